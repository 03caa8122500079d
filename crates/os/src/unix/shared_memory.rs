//! A shared segment's file and mapping.
//!
//! **Promises.** The mapping and the descriptor are guarded against forks from their first moment. A limit of this process
//! that stands against them is named, and none of the calls ends the process by a signal.
//!
//! **Must not know.** What is in the memory.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::fork::{GuardedFd, GuardedMapping};
use crate::segment_error::SegmentError;
use crate::unix::memory_file;

#[cfg(target_vendor = "apple")]
mod apple;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_vendor = "apple")]
use apple as system;
#[cfg(target_os = "linux")]
use linux as system;

pub(crate) use system::{CAN_PUNCH, strict_overcommit};

/// Mapped memory, and its file.
#[derive(Debug)]
pub(crate) struct Memory {
    mapping: GuardedMapping,
    file: GuardedFd,
}

impl Memory {
    pub(crate) fn create(len: usize) -> Result<Self, SegmentError> {
        let file = system::create(len)?;
        let mapping = map(&file, len)?;
        memory_file::seal(file.as_fd()).map_err(SegmentError::NoMemoryFiles)?;
        Ok(Self { mapping, file })
    }

    pub(crate) fn of_handle(handle: OwnedFd, len: usize) -> Result<Self, SegmentError> {
        let file = GuardedFd::open(|| Ok(handle))?;
        // It came close-on-exec from `Stream::recv_handles`; other ways of handing over may not say so.
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::CLOEXEC).map_err(io::Error::from)?;
        memory_file::check(file.as_fd(), len).map_err(refusal)?;
        let mapping = map(&file, len)?;
        Ok(Self { mapping, file })
    }

    pub(crate) fn handle(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.mapping.start()
    }

    pub(crate) fn len(&self) -> usize {
        self.mapping.len()
    }

    pub(crate) fn reserve(&self, offset: usize, len: usize) -> Result<(), SegmentError> {
        system::reserve(self, offset, len)
    }

    /// What one process reserved is memory for all.
    pub(crate) fn accept(&self, _offset: usize, _len: usize) -> Result<(), SegmentError> {
        Ok(())
    }

    pub(crate) fn punch(&self, offset: usize, len: usize) -> io::Result<()> {
        system::punch(self, offset, len)
    }
}

/// Maps without access first: under `mlockall(MCL_FUTURE)` the system makes all that can be accessed memory at once, and
/// keeps it so.
fn map(file: &GuardedFd, len: usize) -> Result<GuardedMapping, SegmentError> {
    let mapping =
        GuardedMapping::without_access(file.as_fd(), len).map_err(|e| unmapped(e, len))?;
    mapping.unlock();
    system::keep_out_of_core_files(&mapping);
    mapping.allow_access().map_err(|e| unmapped(e, len))?;
    Ok(mapping)
}

fn unmapped(error: Errno, len: usize) -> SegmentError {
    let needed = len as u64;
    let limit = |resource| getrlimit(resource).current;
    match error {
        Errno::NOMEM => match limit(Resource::As) {
            Some(limit) => SegmentError::AddressSpaceLimit { needed, limit },
            None => SegmentError::NoMemory {
                needed,
                source: error.into(),
            },
        },
        // mmap(2): too much memory has been locked.
        Errno::AGAIN => SegmentError::LockedMemoryLimit {
            needed,
            limit: limit(Resource::Memlock).unwrap_or(u64::MAX),
        },
        Errno::ACCESS | Errno::PERM => SegmentError::Refused(error.into()),
        error => SegmentError::Io(error.into()),
    }
}

fn refusal(error: io::Error) -> SegmentError {
    match error.kind() {
        io::ErrorKind::InvalidData => SegmentError::Refused(error),
        _ => SegmentError::Io(error),
    }
}
