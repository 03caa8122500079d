//! Futexes (futex(2)). Shared ones: the same word is at another address in each process.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, Timespec};

use super::{Wake, nap};

/// The word is all that is needed.
pub(super) const HANDLES: usize = 0;

#[derive(Debug)]
pub(super) struct Bells;

impl Bells {
    pub(super) fn create(_count: usize) -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) fn of_handles(_none: Vec<OwnedFd>) -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) fn handles(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    pub(super) fn wait(
        &self,
        _bell: usize,
        word: &AtomicU64,
        seen: u32,
        timeout: Duration,
    ) -> bool {
        let Ok(left) = Timespec::try_from(timeout) else {
            return nap(word, seen, timeout);
        };
        match futex::wait(low_half(word), Flags::empty(), seen, Some(&left)) {
            // Woken, or another value by now, or a signal: the caller looks for itself.
            Ok(()) | Err(Errno::AGAIN | Errno::INTR) => true,
            Err(Errno::TIMEDOUT) => false,
            // A filter of system calls.
            Err(_) => nap(word, seen, timeout),
        }
    }

    pub(super) fn wake(&self, _bell: usize, word: &AtomicU64, which: Wake) {
        let most = match which {
            Wake::One => 1,
            Wake::All => i32::MAX as u32,
        };
        // It fails where waits fail, and there nobody sleeps.
        let _ = futex::wake(low_half(word), Flags::empty(), most);
    }
}

/// Where the kernel looks.
fn low_half(word: &AtomicU64) -> &AtomicU32 {
    let half = word.as_ptr().cast::<u32>();
    let index = usize::from(cfg!(target_endian = "big"));
    // SAFETY: within the word, aligned, and it lives as long. No thread loads or stores through it: it is an address for
    // the kernel, whose own load of 32 bits is atomic.
    unsafe { AtomicU32::from_ptr(half.add(index)) }
}
