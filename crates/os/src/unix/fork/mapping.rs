//! Shared memory that a forked child does not keep.
//!
//! A mapping keeps its file's description open, and with it the locks that belong to that: so a child may not keep one of a file
//! that is locked either.
//!
//! **Promises.** In the child the same addresses are memory of its own, zeros, so that no reference dangles and no store of the
//! child reaches anybody. No fork can fall between a mapping's birth (or end) and its entry in the table.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::{NonNull, null_mut};

use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

use super::{install_handlers, table};

/// A shared mapping of a file. Its bytes may change at any time, so no plain reference to them is ever made here.
#[derive(Debug)]
pub(crate) struct GuardedMapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: it is an address and a length; the memory is valid in every thread until drop, and this type gives no
// unsynchronized access to it.
unsafe impl Send for GuardedMapping {}
// SAFETY: as above.
unsafe impl Sync for GuardedMapping {}

impl GuardedMapping {
    /// Maps `len` bytes of a file. Nobody can touch them before [`Self::allow_access`].
    pub(crate) fn without_access(file: BorrowedFd<'_>, len: usize) -> Result<Self, Errno> {
        install_handlers();
        let mut table = table();
        let access = ProtFlags::empty();
        // SAFETY: a new mapping at an address that the kernel chooses; nothing else lives there.
        let start =
            unsafe { rustix::mm::mmap(null_mut(), len, access, MapFlags::SHARED, file, 0)? };
        table.mapped.insert(start.expose_provenance(), len);
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at address zero");
        Ok(Self { start, len })
    }

    /// Maps `len` bytes of a file which the caller knows to be that long, and never to become shorter (touching what is cut off
    /// kills the process with SIGBUS).
    pub(crate) fn of_file(file: &File, len: usize) -> io::Result<Self> {
        let mapping = Self::without_access(file.as_fd(), len)?;
        mapping.allow_access()?;
        Ok(mapping)
    }

    /// Lets the kernel take its pages away, although the process locks what it maps.
    pub(crate) fn unlock(&self) {
        // SAFETY: our own mapping; what it contains does not change.
        let _ = unsafe { rustix::mm::munlock(self.start.as_ptr().cast(), self.len) };
    }

    pub(crate) fn allow_access(&self) -> Result<(), Errno> {
        let access = MprotectFlags::READ | MprotectFlags::WRITE;
        // SAFETY: our own mapping, to which nobody has a reference yet.
        unsafe { rustix::mm::mprotect(self.start.as_ptr().cast(), self.len, access) }
    }

    /// The first byte, at the start of a memory page.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for GuardedMapping {
    fn drop(&mut self) {
        let mut table = table();
        table.mapped.remove(&self.start.as_ptr().addr());
        // SAFETY: made by `mmap` with this address and length, and unmapped only here; whoever was given its address was
        // told that it lives no longer than this value. The table is locked, so that no fork falls between.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// In the child of a fork: has zeros of its own in the place of a mapping. Makes system calls and nothing else.
pub(super) fn replace_with_zeros(start: usize, len: usize) {
    let start = std::ptr::with_exposed_provenance_mut(start);
    let how = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED | libc::MAP_NORESERVE;
    // SAFETY: the range is that of a mapping of this crate, which the kernel replaces as a whole. References into it are
    // to atomic words, which may take other values at any time. Memory that can only be read is never counted against a
    // limit, so this does not fail half-way. If it fails nevertheless, the child may not go on with what is there.
    unsafe {
        if libc::mmap(start, len, libc::PROT_READ, how, -1, 0) != start {
            libc::abort();
        }
        // Refused under strict overcommit: then a store ends the child.
        libc::mprotect(start, len, libc::PROT_READ | libc::PROT_WRITE);
    }
}
