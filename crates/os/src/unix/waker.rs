//! A flag that a thread blocked in the kernel can wait for: set from anywhere, seen by `poll`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::fork::GuardedFd;

/// Ends other threads' waits. Once woken it stays so, for every waiter, until [`Waker::reset`].
/// Share it with an `Arc`. A forked child's wakes don't reach its parent.
///
/// ```
/// use level_party_os::{Hangup, Stream, Waker};
/// let (ours, _theirs) = Stream::pair()?;
/// let waker = Waker::new()?;
/// waker.wake();
/// assert_eq!(ours.wait_hangup(&waker)?, Hangup::Woken);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Waker {
    read: GuardedFd,
    /// The pipe's other end; an eventfd has only one.
    write: Option<GuardedFd>,
}

impl Waker {
    /// A waker that nobody has woken.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn new() -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            use rustix::event::EventfdFlags;
            let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
            let read = GuardedFd::open(|| Ok(rustix::event::eventfd(0, flags)?))?;
            Ok(Self { read, write: None })
        }
        #[cfg(not(target_os = "linux"))]
        {
            let (read, write) = GuardedFd::open_pair(pipe)?;
            rustix::io::ioctl_fionbio(&read, true)?;
            rustix::io::ioctl_fionbio(&write, true)?;
            Ok(Self {
                read,
                write: Some(write),
            })
        }
    }

    /// Wakes all present and future waiters. Never blocks.
    pub fn wake(&self) {
        // Eight bytes because an eventfd adds a number. It fails only when it is full, thus woken.
        let target = self.write.as_ref().unwrap_or(&self.read);
        let _ = rustix::io::write(target, &1_u64.to_ne_bytes());
    }

    /// Takes all wakes back.
    pub fn reset(&self) {
        let mut sink = [0_u8; 512];
        while matches!(rustix::io::read(&self.read, &mut sink), Ok(n) if n == sink.len()) {}
    }

    /// Waits until it is woken. False: the timeout passed.
    ///
    /// # Errors
    /// Whatever `poll(2)` says.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
        crate::stream::wait_input(self.poll_fd(), timeout)
    }

    pub(crate) fn poll_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

/// A pipe, both ends close-on-exec: (read, write).
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(target_os = "linux")]
    {
        Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let ends = rustix::pipe::pipe()?;
        for end in [&ends.0, &ends.1] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
        }
        Ok(ends)
    }
}
