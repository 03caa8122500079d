//! Waiting for a peer's end without looking at its data.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::Timespec;

use crate::hangup::Hangup;

/// Until the deadline. Too long for the system is as good as for ever.
fn left(deadline: Option<Instant>) -> Option<Timespec> {
    let left = deadline?.saturating_duration_since(Instant::now());
    Timespec::try_from(left).ok()
}

/// `poll` with no events asked reports only hang-ups and errors (poll(2)).
#[cfg(target_os = "linux")]
pub(crate) fn wait(
    socket: BorrowedFd<'_>,
    waker: BorrowedFd<'_>,
    timeout: Option<Duration>,
) -> io::Result<Option<Hangup>> {
    use rustix::event::{PollFd, PollFlags};
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(socket, PollFlags::empty()),
            PollFd::from_borrowed_fd(waker, PollFlags::IN),
        ];
        match rustix::event::poll(&mut fds, left(deadline).as_ref()) {
            Ok(0) => return Ok(None),
            Ok(_) if !fds[0].revents().is_empty() => return Ok(Some(Hangup::PeerGone)),
            Ok(_) if !fds[1].revents().is_empty() => return Ok(Some(Hangup::Woken)),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// `poll` here reports nothing when nothing is asked; kqueue tells the end apart from data, and with
/// `EV_CLEAR` data wakes us once for each arrival, not for as long as it lies there.
#[cfg(not(target_os = "linux"))]
pub(crate) fn wait(
    socket: BorrowedFd<'_>,
    waker: BorrowedFd<'_>,
    timeout: Option<Duration>,
) -> io::Result<Option<Hangup>> {
    use rustix::event::kqueue::{Event, EventFilter, EventFlags, kevent_timespec, kqueue};
    use std::os::fd::AsRawFd;
    let queue = kqueue()?;
    rustix::io::fcntl_setfd(&queue, rustix::io::FdFlags::CLOEXEC)?;
    let read = |fd: BorrowedFd<'_>| {
        let flags = EventFlags::ADD | EventFlags::CLEAR;
        Event::new(
            EventFilter::Read(fd.as_raw_fd()),
            flags,
            std::ptr::null_mut(),
        )
    };
    let mut changes = vec![read(socket), read(waker)];
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let mut events = Vec::with_capacity(2);
        // SAFETY: both descriptors are borrowed for longer than the queue lives.
        let got = unsafe {
            kevent_timespec(
                &queue,
                &changes,
                rustix::buffer::spare_capacity(&mut events),
                left(deadline).as_ref(),
            )
        };
        match got {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        changes.clear();
        let is = |event: &Event, fd: BorrowedFd<'_>| matches!(event.filter(), EventFilter::Read(raw) if raw == fd.as_raw_fd());
        if events
            .iter()
            .any(|event| is(event, socket) && event.flags().contains(EventFlags::EOF))
        {
            return Ok(Some(Hangup::PeerGone));
        }
        if events.iter().any(|event| is(event, waker)) {
            return Ok(Some(Hangup::Woken));
        }
    }
}
