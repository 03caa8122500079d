//! Memory that two processes see: pages that both write, and regions that one writes and others read.
//!
//! **Invariant.** Nothing is mapped whose size another process can still change: a mapping that loses
//! its file's end kills the reader with SIGBUS. On Linux the kernel says so by seals (fcntl(2),
//! `F_ADD_SEALS`), which can't be taken back; on macOS a shared memory object's size is set once.
//! What is in the memory is a peer's word: whoever reads it copies once, then checks.
//!
//! The mappings stay in a forked child (no `MADV_DONTFORK`): `words()` is safe to call, so its memory
//! may not vanish. The child must not use them, and knows by [`crate::process::fork_generation`].

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use crate::mapping::Mapping;
use crate::{BorrowedHandle, OwnedHandle, borrow};

#[cfg_attr(target_os = "linux", path = "unix/shared_page/linux.rs")]
#[cfg_attr(target_vendor = "apple", path = "unix/shared_page/apple.rs")]
#[cfg_attr(windows, path = "windows/shared_page.rs")]
mod system;

/// What may still be done to a shared memory file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seals {
    /// Its size is fixed; whoever has it may write.
    Size,
    /// As above, and nobody can map it writable any more.
    SizeAndWriting,
}

/// Memory which its maker and those it is handed to read and write, as words. Made full of zeros.
///
/// ```
/// use std::sync::atomic::Ordering;
/// use level_party_os::SharedPage;
/// let ours = SharedPage::create(4096)?;
/// let handle = ours.as_handle().try_clone_to_owned()?; // as a peer receives it
/// let theirs = SharedPage::from_handle(handle, 4096)?;
/// theirs.words()[3].store(7, Ordering::Release);
/// assert_eq!(ours.words()[3].load(Ordering::Acquire), 7);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct SharedPage {
    file: OwnedHandle,
    mapping: Mapping,
}

impl SharedPage {
    /// Makes one of `len` bytes.
    ///
    /// # Errors
    /// `InvalidInput` unless `len` is a multiple of 8 above zero; whatever the system says when it has
    /// no memory, descriptors or memory files.
    pub fn create(len: usize) -> io::Result<Self> {
        check_len(len)?;
        let file = system::create(len)?;
        let mapping = Mapping::of_memory(&file, len, true)?;
        system::seal(&file, Seals::Size)?;
        Ok(Self { file, mapping })
    }

    /// Maps one that another process made and handed over.
    ///
    /// # Errors
    /// `InvalidData` if it is no memory file, not exactly `len` bytes long, or its maker could still
    /// change its size; `PermissionDenied` if it can't be written; `InvalidInput` as [`Self::create`].
    pub fn from_handle(handle: OwnedHandle, len: usize) -> io::Result<Self> {
        check_len(len)?;
        system::check(&handle, len, Seals::Size)?;
        let mapping = Mapping::of_memory(&handle, len, true)?;
        Ok(Self {
            file: handle,
            mapping,
        })
    }

    /// The handle to pass to another process.
    pub fn as_handle(&self) -> BorrowedHandle<'_> {
        borrow(&self.file)
    }

    /// The memory, as words in this machine's byte order.
    pub fn words(&self) -> &[AtomicU64] {
        let start = self.mapping.start().cast::<AtomicU64>();
        // SAFETY: a mapping starts at a memory page, so it is aligned; it is `len` bytes long, a
        // multiple of 8, readable and writable, lives as long as `self`, and its file can't shrink.
        // Any bytes are a valid u64, and all access is atomic, in every process that is as honest
        // as this type makes it; a peer that writes otherwise can only change values.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), self.mapping.len() / 8) }
    }
}

/// Memory that only its maker writes: others can map it only to read, whatever they try.
#[derive(Debug)]
pub struct SharedRegion {
    file: OwnedHandle,
    mapping: Mapping,
    writable: bool,
}

impl SharedRegion {
    /// Makes one of `len` bytes, full of zeros, writable in this process through this value alone.
    ///
    /// # Errors
    /// As [`SharedPage::create`]; `Unsupported` where the system can't keep others from writing
    /// (before Linux 5.1; macOS).
    pub fn create(len: usize) -> io::Result<Self> {
        check_len(len)?;
        let file = system::create(len)?;
        let mapping = Mapping::of_memory(&file, len, true)?;
        system::seal(&file, Seals::SizeAndWriting)?;
        Ok(Self {
            file,
            mapping,
            writable: true,
        })
    }

    /// Maps one that another process made and handed over, to read.
    ///
    /// # Errors
    /// As [`SharedPage::from_handle`]; `InvalidData` also if others could still come to write it.
    pub fn from_handle(handle: OwnedHandle, len: usize) -> io::Result<Self> {
        check_len(len)?;
        system::check(&handle, len, Seals::SizeAndWriting)?;
        let mapping = Mapping::of_memory(&handle, len, false)?;
        Ok(Self {
            file: handle,
            mapping,
            writable: false,
        })
    }

    /// The handle to pass to another process. It gives no way to write.
    pub fn as_handle(&self) -> BorrowedHandle<'_> {
        borrow(&self.file)
    }

    /// Its first byte, at the start of a memory page; valid as long as `self`. Another process may
    /// write while it is read: only atomic access is sound. Writing is, if [`Self::is_writable`].
    pub fn start(&self) -> NonNull<u8> {
        self.mapping.start()
    }

    /// Its length in bytes.
    #[allow(clippy::len_without_is_empty)] // it never is
    pub fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Whether this is its maker's own mapping.
    pub fn is_writable(&self) -> bool {
        self.writable
    }
}

fn check_len(len: usize) -> io::Result<()> {
    if len == 0 || !len.is_multiple_of(8) {
        let what = "shared memory is a multiple of eight bytes long";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(())
}

fn refused(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("shared memory refused: {why}"),
    )
}

#[cfg(test)]
mod tests;
