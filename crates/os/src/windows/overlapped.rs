//! One call that the system makes while we do something else.
//!
//! **Invariant.** While a call is under way its [`Call`] lives, at one address, and so do the bytes it was given: whoever
//! drops it ends the call first and waits until the system has let go.
//!
//! A handle on which such calls are made is bound to a completion port that nobody looks at: else the system would end
//! the calls of a thread when that thread ends. The lowest bit of the event keeps their completions away from the port
//! (`GetQueuedCompletionStatus`, remarks).

use std::cell::UnsafeCell;
use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use windows_sys::Win32::Foundation::{
    ERROR_IO_INCOMPLETE, ERROR_IO_PENDING, HANDLE, INVALID_HANDLE_VALUE, STATUS_PENDING,
};
use windows_sys::Win32::System::IO::{
    CancelIoEx, CreateIoCompletionPort, GetOverlappedResult, OVERLAPPED,
};
use windows_sys::Win32::System::Threading::SetEvent;
use windows_sys::core::BOOL;

use super::call::{done, event, made};

/// The calls of a thread on this handle outlive the thread.
pub(super) fn keep_calls(handle: BorrowedHandle<'_>) -> io::Result<()> {
    static PORT: OnceLock<OwnedHandle> = OnceLock::new();
    let port = match PORT.get() {
        Some(port) => port,
        None => {
            // SAFETY: a new port, bound to nothing.
            let port = unsafe {
                made(CreateIoCompletionPort(
                    INVALID_HANDLE_VALUE,
                    null_mut(),
                    0,
                    1,
                ))?
            };
            PORT.get_or_init(|| port)
        }
    };
    // SAFETY: both are open; what comes back is the port itself.
    let bound =
        unsafe { CreateIoCompletionPort(handle.as_raw_handle(), port.as_raw_handle(), 0, 0) };
    match bound.is_null() {
        true => Err(io::Error::last_os_error()),
        false => Ok(()),
    }
}

/// Room for one call at a time, and the event that says that it is over (or that none is under way and [`Call::set`] was
/// called).
pub(super) struct Call {
    overlapped: Box<UnsafeCell<OVERLAPPED>>,
    event: OwnedHandle,
    under_way: bool,
}

// SAFETY: the system writes to the overlapped structure from anywhere; it is looked at by `&mut self` and by an atomic
// load alone.
unsafe impl Send for Call {}
// SAFETY: `&self` gives the event's handle only.
unsafe impl Sync for Call {}

impl Call {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: integers and null handles.
        let overlapped: OVERLAPPED = unsafe { std::mem::zeroed() };
        Ok(Self {
            overlapped: Box::new(UnsafeCell::new(overlapped)),
            event: event()?,
            under_way: false,
        })
    }

    /// A second handle on the event.
    pub(super) fn event(&self) -> io::Result<OwnedHandle> {
        self.event.try_clone()
    }

    pub(super) fn event_ref(&self) -> BorrowedHandle<'_> {
        self.event.as_handle()
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// Sets the event for good: there will be no more calls.
    pub(super) fn set(&self) {
        // SAFETY: an event that we own.
        unsafe { SetEvent(self.event.as_raw_handle()) };
    }

    /// Begins a call. `begin` is given what the system wants, and says what the system said; the call is then under way,
    /// or over, or has failed.
    ///
    /// # Safety
    /// What `begin` hands to the system beside this lives, and is not touched, until [`Self::result`] has said that the
    /// call is over or `self` is dropped. None is under way.
    pub(super) unsafe fn begin(
        &mut self,
        begin: impl FnOnce(*mut OVERLAPPED) -> BOOL,
    ) -> io::Result<()> {
        assert!(!self.under_way);
        let overlapped = self.overlapped.get();
        // SAFETY: no call is under way, so nobody else looks at it.
        unsafe {
            *overlapped = std::mem::zeroed();
            (*overlapped).hEvent = self.event.as_raw_handle().map_addr(|event| event | 1);
        }
        self.under_way = true;
        match done(begin(overlapped)) {
            Err(error) if error.raw_os_error() != Some(ERROR_IO_PENDING as i32) => {
                self.under_way = false;
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// What became of the call, if it is over: how many bytes it moved. `handle` is the one it was made on.
    pub(super) fn result(&mut self, handle: HANDLE) -> Option<io::Result<usize>> {
        if !self.under_way {
            return None;
        }
        // SAFETY: the word is aligned and lives; the system writes it last, when the call is over.
        let status = unsafe { AtomicUsize::from_ptr(&raw mut (*self.overlapped.get()).Internal) };
        if status.load(Ordering::Acquire) as i32 == STATUS_PENDING {
            return None;
        }
        self.finish(handle, false)
    }

    /// Ends the call, if one is under way, and waits for its end: it may still have succeeded.
    pub(super) fn end(&mut self, handle: HANDLE) -> Option<io::Result<usize>> {
        if !self.under_way {
            return None;
        }
        // SAFETY: a call on this handle; that it is over by now is no error here.
        unsafe { CancelIoEx(handle, self.overlapped.get()) };
        self.finish(handle, true)
    }

    fn finish(&mut self, handle: HANDLE, wait: bool) -> Option<io::Result<usize>> {
        let mut moved = 0;
        // SAFETY: the structure of a call on this handle.
        let result = done(unsafe {
            GetOverlappedResult(handle, self.overlapped.get(), &mut moved, wait.into())
        });
        if let Err(error) = &result
            && error.raw_os_error() == Some(ERROR_IO_INCOMPLETE as i32)
        {
            return None;
        }
        self.under_way = false;
        Some(result.map(|()| moved as usize))
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let under_way = self.under_way;
        f.debug_struct("Call")
            .field("under_way", &under_way)
            .finish_non_exhaustive()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Its owner ends it; what it was given may be gone now.
        assert!(!self.under_way, "a call outlives its place");
    }
}
