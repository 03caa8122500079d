//! Shared memory objects of macOS. They are not sparse files but promises of memory: a page is made when it is touched.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};

use super::Memory;
use crate::fork::{GuardedFd, GuardedMapping};
use crate::segment_error::SegmentError;
use crate::unix::memory_file;

/// There is no call that gives pages back.
pub(crate) const CAN_PUNCH: bool = false;

pub(super) fn create(len: usize) -> Result<GuardedFd, SegmentError> {
    GuardedFd::open(|| memory_file::create(len)).map_err(|error| match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES | libc::ENOSYS) => SegmentError::NoMemoryFiles(error),
        Some(libc::ENOMEM | libc::EINVAL) => SegmentError::NoMemory {
            needed: len as u64,
            source: error,
        },
        _ => SegmentError::Io(error),
    })
}

/// Core files are off by default here, and no advice keeps a mapping out of one.
pub(super) fn keep_out_of_core_files(_mapping: &GuardedMapping) {}

/// Stores into one byte of each page what it contains: the page is memory from then on, in the swap file at worst.
pub(super) fn reserve(memory: &Memory, offset: usize, len: usize) -> Result<(), SegmentError> {
    let page = rustix::param::page_size();
    let first = offset - offset % page;
    for at in (first..offset + len).step_by(page) {
        // SAFETY: within the mapping, which begins at a page and can't shrink; access to it is atomic everywhere. This one
        // changes no value, whatever other threads and processes store beside it.
        let byte = unsafe { AtomicU8::from_ptr(memory.start().as_ptr().add(at)) };
        byte.fetch_or(0, Ordering::Relaxed);
    }
    Ok(())
}

pub(super) fn punch(_memory: &Memory, _offset: usize, _len: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn strict_overcommit() -> bool {
    false
}
