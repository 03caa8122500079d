//! A stretch of shared memory, mapped for as long as the value lives.

use std::fs::File;
use std::io;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags};

/// Memory shared with whoever has the same file. Its bytes may change at any time, so no plain
/// reference to them is ever made here; what they are touched through must be atomic.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: it is an address and a length; the memory is valid in every thread until drop, and this
// type gives no unsynchronized access to it.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of a file which the caller knows to be that long, and never to become
    /// shorter (touching what is cut off kills the process with SIGBUS).
    pub(crate) fn of_file(file: &File, len: usize, writable: bool) -> io::Result<Self> {
        let mut access = ProtFlags::READ;
        if writable {
            access |= ProtFlags::WRITE;
        }
        // SAFETY: a new mapping at an address that the kernel chooses; nothing else lives there.
        let start = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), len, access, MapFlags::SHARED, file, 0)?
        };
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at address zero");
        Ok(Self { start, len })
    }

    /// The first byte, at the start of a memory page.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `mmap` with this address and length, and unmapped only here; whoever was
        // given its address was told that it lives no longer than this value. A forked child has its
        // own copy of the mapping.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
