//! Memory files of Linux (`memfd_create(2)`), made longer than memory, and what `fallocate(2)` does with them.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use rustix::mm::Advice;
use rustix::process::{Resource, getrlimit};

use super::Memory;
use crate::fork::{GuardedFd, GuardedMapping};
use crate::segment_error::SegmentError;
use crate::shared_segment::RESERVE_STEP;
use crate::unix::memory_file;

pub(crate) const CAN_PUNCH: bool = true;

pub(super) fn create(len: usize) -> Result<GuardedFd, SegmentError> {
    let needed = len as u64;
    if let Some(limit) = getrlimit(Resource::Fsize).current
        && limit < needed
    {
        return Err(SegmentError::FileSizeLimit { needed, limit });
    }
    let file = GuardedFd::open(memory_file::create).map_err(unmade)?;
    rustix::fs::ftruncate(&file, needed).map_err(io::Error::from)?;
    Ok(file)
}

/// A kernel without memory files, or a filter of system calls (seccomp), against a want of descriptors or memory.
fn unmade(error: io::Error) -> SegmentError {
    match Errno::from_io_error(&error) {
        Some(Errno::NOSYS | Errno::PERM | Errno::ACCESS | Errno::INVAL) => {
            SegmentError::NoMemoryFiles(error)
        }
        _ => SegmentError::Io(error),
    }
}

/// A kernel that does not know the advice writes larger core files.
pub(super) fn keep_out_of_core_files(mapping: &GuardedMapping) {
    // SAFETY: this advice changes what a core file contains, and nothing else.
    let _ = unsafe {
        rustix::mm::madvise(
            mapping.start().as_ptr().cast(),
            mapping.len(),
            Advice::LinuxDontDump,
        )
    };
}

pub(super) fn reserve(memory: &Memory, offset: usize, len: usize) -> Result<(), SegmentError> {
    let file = memory.file.as_fd();
    in_pieces(offset, len, |at, piece| {
        rustix::fs::fallocate(file, FallocateFlags::empty(), at as u64, piece as u64)
    })
}

/// Reserves piece by piece. On many kernels a signal undoes the whole call that it interrupts, so each piece that was
/// interrupted is tried with half of it: one page is done sooner than any timer comes again.
fn in_pieces(
    offset: usize,
    len: usize,
    mut reserve: impl FnMut(usize, usize) -> rustix::io::Result<()>,
) -> Result<(), SegmentError> {
    let least = rustix::param::page_size();
    let (mut at, end) = (offset, offset + len);
    let mut step = RESERVE_STEP;
    while at < end {
        // Pieces end at multiples of themselves, so that none shares a page with the next.
        let piece = (step - at % step).min(end - at);
        match reserve(at, piece) {
            Ok(()) => {
                at += piece;
                step = (step * 2).min(RESERVE_STEP);
            }
            Err(Errno::INTR) => step = (step / 2).max(least),
            Err(error @ (Errno::NOSPC | Errno::NOMEM)) => {
                return Err(SegmentError::NoMemory {
                    needed: (end - at) as u64,
                    source: error.into(),
                });
            }
            Err(error) => return Err(SegmentError::Io(error.into())),
        }
    }
    Ok(())
}

pub(super) fn punch(memory: &Memory, offset: usize, len: usize) -> io::Result<()> {
    let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let file = memory.file.as_fd();
    let punched =
        rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, how, offset as u64, len as u64));
    Ok(punched?)
}

/// Whether the system counts each page in advance and refuses those beyond its limit (proc_sys_vm(5)). True where it does
/// not tell.
pub(crate) fn strict_overcommit() -> bool {
    let mode = std::fs::read_to_string("/proc/sys/vm/overcommit_memory");
    !mode.is_ok_and(|mode| matches!(mode.trim(), "0" | "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_pieces_are_halved_until_they_pass() {
        let (offset, len) = (4095, 3 * RESERVE_STEP);
        for longest in [rustix::param::page_size(), 100_000, RESERVE_STEP] {
            let mut reached = offset;
            let reserved = in_pieces(offset, len, |at, piece| {
                assert_eq!(at, reached, "nothing is left out");
                if piece > longest {
                    return Err(Errno::INTR);
                }
                reached += piece;
                Ok(())
            });
            reserved.unwrap();
            assert_eq!(reached, offset + len);
        }
    }

    #[test]
    fn want_of_memory_ends_reserving_and_names_what_is_missing() {
        for error in [Errno::NOSPC, Errno::NOMEM] {
            let result = in_pieces(0, 3 * RESERVE_STEP, |at, _| match at {
                0 => Ok(()),
                _ => Err(error),
            });
            let Err(SegmentError::NoMemory { needed, .. }) = result else {
                panic!("{result:?}")
            };
            assert_eq!(needed, 2 * RESERVE_STEP as u64);
        }
    }
}
