//! What every call into the system needs: errors, owned handles, names in UTF-16, waits.

use std::ffi::OsStr;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::{
    HANDLE, INVALID_HANDLE_VALUE, WAIT_FAILED, WAIT_OBJECT_0, WAIT_TIMEOUT,
};
use windows_sys::Win32::System::Threading::{CreateEventW, INFINITE, WaitForMultipleObjects};
use windows_sys::core::BOOL;

/// Zero is failure.
pub(crate) fn done(result: BOOL) -> io::Result<()> {
    match result {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The handle that a call has just made for us, or its error.
///
/// # Safety
/// `handle` is what such a call has returned, and nobody else owns it.
pub(crate) unsafe fn made(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() || handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is valid, and the caller says that it is ours.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// With a NUL at its end.
pub(super) fn wide(text: impl AsRef<OsStr>) -> Vec<u16> {
    text.as_ref().encode_wide().chain([0]).collect()
}

/// An event that stays as it is set, for all who wait; not set.
pub(crate) fn event() -> io::Result<OwnedHandle> {
    // SAFETY: no attributes, no name; the handle is new.
    unsafe { made(CreateEventW(std::ptr::null(), 1, 0, std::ptr::null())) }
}

/// Waits until one of the objects is signalled, and gives the first that is. `None`: the time has passed.
pub(crate) fn wait_any(
    objects: &[BorrowedHandle<'_>],
    deadline: Option<Instant>,
) -> io::Result<Option<usize>> {
    let raw: Vec<HANDLE> = objects
        .iter()
        .map(|object| object.as_raw_handle())
        .collect();
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // Not shorter than asked; what is too long for one wait is waited for in several.
        let millis = left.map_or(INFINITE, |left| {
            let millis = left.as_nanos().div_ceil(1_000_000);
            u32::try_from(millis).map_or(INFINITE - 1, |millis| millis.min(INFINITE - 1))
        });
        // SAFETY: as many handles as it is told, all borrowed for longer than the call.
        let woken = unsafe { WaitForMultipleObjects(raw.len() as u32, raw.as_ptr(), 0, millis) };
        match woken {
            WAIT_FAILED => return Err(io::Error::last_os_error()),
            WAIT_TIMEOUT
                if left.is_some_and(|left| left <= Duration::from_millis(millis.into())) =>
            {
                return Ok(None);
            }
            WAIT_TIMEOUT => {}
            first => {
                let first = (first - WAIT_OBJECT_0) as usize;
                // Else a mutex that was given up, which none of ours is.
                return Ok((first < raw.len()).then_some(first));
            }
        }
    }
}

/// Whether it is signalled now.
pub(super) fn is_set(object: BorrowedHandle<'_>) -> io::Result<bool> {
    Ok(wait_any(&[object], Some(Instant::now()))?.is_some())
}

/// A point in time, or none if it is too far.
pub(crate) fn after(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}
