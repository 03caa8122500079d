//! One memory mapped twice, at two addresses: once to write, once read-only, as a peer process has it. A reader that
//! stored anything would be killed.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr::NonNull;
use std::sync::Arc;

use level_party_memtable::Region;

struct Mapping {
    address: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping stays until drop, page-aligned, and the file keeps its length. Of the two mappings of a file
// only one can be written through.
unsafe impl Region for Mapping {
    fn ptr(&self) -> NonNull<u8> {
        self.address
    }

    fn len(&self) -> usize {
        self.len
    }
}

// SAFETY: plain shared memory.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn region(file: &File, len: usize, protection: i32) -> Arc<dyn Region> {
        // SAFETY: a fresh mapping at an address of the system's choice.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        assert_ne!(
            address,
            libc::MAP_FAILED,
            "{}",
            std::io::Error::last_os_error()
        );
        let address = NonNull::new(address.cast()).unwrap();
        Arc::new(Mapping { address, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `region` with this length, and no reader is left.
        unsafe { libc::munmap(self.address.as_ptr().cast(), self.len) };
    }
}

/// A writable and a read-only region over the same memory.
pub fn pair(len: usize) -> (Arc<dyn Region>, Arc<dyn Region>) {
    // SAFETY: the name is a C string; the descriptor is fresh and owned by the file.
    let file = unsafe {
        let handle = libc::memfd_create(c"memtable".as_ptr(), libc::MFD_CLOEXEC);
        assert!(handle >= 0, "{}", std::io::Error::last_os_error());
        File::from_raw_fd(handle)
    };
    file.set_len(len as u64).unwrap();
    let writable = Mapping::region(&file, len, libc::PROT_READ | libc::PROT_WRITE);
    (writable, Mapping::region(&file, len, libc::PROT_READ))
}
