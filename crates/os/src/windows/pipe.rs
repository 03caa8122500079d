//! Ends of named pipes: bytes both ways, for overlapped calls, of our own user on this host.

use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, OwnedHandle};
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::{
    ERROR_PIPE_BUSY, ERROR_PIPE_CONNECTED, ERROR_SEM_TIMEOUT, GENERIC_READ, GENERIC_WRITE,
};
use windows_sys::Win32::Storage::FileSystem::{
    CreateFileW, FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, OPEN_EXISTING,
    PIPE_ACCESS_DUPLEX, SECURITY_IDENTIFICATION, SECURITY_SQOS_PRESENT,
};
use windows_sys::Win32::System::Pipes::{
    ConnectNamedPipe, CreateNamedPipeW, PIPE_READMODE_BYTE, PIPE_REJECT_REMOTE_CLIENTS,
    PIPE_TYPE_BYTE, PIPE_UNLIMITED_INSTANCES, PIPE_WAIT, WaitNamedPipeW,
};

use super::call::{made, wide};
use super::credentials::{OwnersOnly, check_owner};
use super::overlapped::{Call, keep_calls};

/// What the system may hold of each direction.
const QUOTA: u32 = 64 << 10;
/// How long to look for a server's end that is free: one that works makes a new one for each that is taken.
const BUSY_LIMIT: Duration = Duration::from_millis(100);

/// A server's end that waits for its client.
#[derive(Debug)]
pub(super) struct Waiting {
    pipe: Option<OwnedHandle>,
    call: Call,
}

impl Waiting {
    /// # Errors
    /// `PermissionDenied` if it is to be the `first` of its name and is not; the system's.
    pub(super) fn new(name: &str, security: &OwnersOnly, first: bool) -> io::Result<Self> {
        let name = wide(name);
        let first = if first {
            FILE_FLAG_FIRST_PIPE_INSTANCE
        } else {
            0
        };
        let attributes = security.attributes();
        // SAFETY: the name ends with NUL, the attributes live as long as the call; the handle is new.
        let pipe = unsafe {
            made(CreateNamedPipeW(
                name.as_ptr(),
                PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | first,
                PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
                PIPE_UNLIMITED_INSTANCES,
                QUOTA,
                QUOTA,
                0,
                &attributes,
            ))?
        };
        keep_calls(pipe.as_handle())?;
        let mut call = Call::new()?;
        let raw = pipe.as_raw_handle();
        // SAFETY: only the overlapped structure is handed over.
        match unsafe { call.begin(|overlapped| ConnectNamedPipe(raw, overlapped)) } {
            // Somebody was quicker.
            Err(error) if error.raw_os_error() == Some(ERROR_PIPE_CONNECTED as i32) => call.set(),
            begun => begun?,
        }
        Ok(Self {
            pipe: Some(pipe),
            call,
        })
    }

    /// Signalled when a client has come, or went again.
    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    /// The end, with its client.
    ///
    /// # Errors
    /// None has come, or it went again.
    pub(super) fn take(mut self) -> io::Result<OwnedHandle> {
        let pipe = self.pipe.take().ok_or(io::ErrorKind::NotConnected)?;
        match self.call.end(pipe.as_raw_handle()) {
            Some(Err(error)) => Err(error),
            _ => Ok(pipe),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(pipe) = &self.pipe {
            self.call.end(pipe.as_raw_handle());
        }
    }
}

/// A client's end of a pipe of our own user.
///
/// # Errors
/// `NotFound`: there is none of that name. `WouldBlock`: all its ends are taken, and no new one is made.
/// `PermissionDenied`: it is another user's.
pub(super) fn connect(name: &str) -> io::Result<OwnedHandle> {
    let name = wide(name);
    let deadline = Instant::now() + BUSY_LIMIT;
    loop {
        // SAFETY: the name ends with NUL; the handle is new. The server may ask who we are, not act as us.
        let opened = unsafe {
            made(CreateFileW(
                name.as_ptr(),
                GENERIC_READ | GENERIC_WRITE,
                0,
                null(),
                OPEN_EXISTING,
                FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION,
                null_mut(),
            ))
        };
        match opened {
            Ok(pipe) => {
                check_owner(pipe.as_handle())?;
                keep_calls(pipe.as_handle())?;
                return Ok(pipe);
            }
            Err(error) if error.raw_os_error() != Some(ERROR_PIPE_BUSY as i32) => {
                return Err(error);
            }
            Err(_) => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // SAFETY: the name ends with NUL.
        let free = unsafe { WaitNamedPipeW(name.as_ptr(), left.as_millis().max(1) as u32) };
        let error = io::Error::last_os_error();
        if free == 0 && error.raw_os_error() != Some(ERROR_SEM_TIMEOUT as i32) {
            return Err(error);
        }
    }
}
