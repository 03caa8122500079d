//! A flag that a thread blocked in the system can wait for: an event.

use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::time::Duration;

use windows_sys::Win32::System::Threading::{ResetEvent, SetEvent};

use super::call;

/// Ends other threads' waits. Once woken it stays so, for every waiter, until [`Waker::reset`].
/// Share it with an `Arc`.
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
    event: OwnedHandle,
}

impl Waker {
    /// A waker that nobody has woken.
    ///
    /// # Errors
    /// When the system has no handle left.
    pub fn new() -> io::Result<Self> {
        let event = call::event()?;
        Ok(Self { event })
    }

    /// Wakes all present and future waiters. Never blocks.
    pub fn wake(&self) {
        // SAFETY: an event that we own; it fails for no other reason than that it were none.
        unsafe { SetEvent(self.event.as_raw_handle()) };
    }

    /// Takes all wakes back.
    pub fn reset(&self) {
        // SAFETY: as above.
        unsafe { ResetEvent(self.event.as_raw_handle()) };
    }

    /// Waits until it is woken. False: the timeout passed.
    ///
    /// # Errors
    /// Whatever `WaitForMultipleObjects` says.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
        Ok(call::wait_any(&[self.event()], call::after(timeout))?.is_some())
    }

    pub(crate) fn event(&self) -> BorrowedHandle<'_> {
        self.event.as_handle()
    }
}
