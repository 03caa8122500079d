//! Whom we talk to: processes of our own user, and nobody else, elevated or not.
//!
//! - **Who connects** is the system's to decide: a pipe entitles our user alone, and rejects other hosts.
//! - **Who serves**: the pipe's owner must be our user. Nobody can give an object away to another owner.

use std::io;
use std::mem::size_of;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::ptr::{null_mut, slice_from_raw_parts};
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::{HANDLE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo,
    SDDL_REVISION_1, SE_KERNEL_OBJECT,
};
use windows_sys::Win32::Security::{
    EqualSid, GetTokenInformation, OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID,
    SECURITY_ATTRIBUTES, TOKEN_ELEVATION, TOKEN_INFORMATION_CLASS, TOKEN_QUERY, TOKEN_USER,
    TokenElevation, TokenUser,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, OpenProcess, OpenProcessToken, PROCESS_QUERY_LIMITED_INFORMATION,
};

use super::call::{done, made, wide};

/// The other side of a connection, as it was when it connected or began to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its process, for messages. `None` if the system doesn't tell; it may be gone.
    pub pid: Option<u32>,
}

/// A token's answer, in words so that it is aligned.
fn ask(token: BorrowedHandle<'_>, class: TOKEN_INFORMATION_CLASS) -> io::Result<Vec<u64>> {
    let mut words = vec![0_u64; 32];
    loop {
        let mut needed = 0;
        let room = (words.len() * size_of::<u64>()) as u32;
        // SAFETY: the buffer is as long as it says.
        let asked = unsafe {
            GetTokenInformation(
                token.as_raw_handle(),
                class,
                words.as_mut_ptr().cast(),
                room,
                &mut needed,
            )
        };
        if asked != 0 {
            return Ok(words);
        }
        let error = io::Error::last_os_error();
        if needed <= room {
            return Err(error);
        }
        words.resize((needed as usize).div_ceil(size_of::<u64>()), 0);
    }
}

fn token_of(process: HANDLE) -> io::Result<OwnedHandle> {
    let mut token: HANDLE = null_mut();
    // SAFETY: the handle is written to a local.
    done(unsafe { OpenProcessToken(process, TOKEN_QUERY, &mut token) })?;
    // SAFETY: it was made by the call.
    unsafe { made(token) }
}

fn own_token() -> io::Result<OwnedHandle> {
    // SAFETY: a number that stands for this process; it need not be closed.
    token_of(unsafe { GetCurrentProcess() })
}

/// Our user, as the words of a `TOKEN_USER`.
fn own_user() -> io::Result<&'static [u64]> {
    static USER: OnceLock<Vec<u64>> = OnceLock::new();
    if let Some(user) = USER.get() {
        return Ok(user);
    }
    let user = ask(own_token()?.as_handle(), TokenUser)?;
    Ok(USER.get_or_init(|| user))
}

fn own_sid() -> io::Result<PSID> {
    let user: *const TOKEN_USER = own_user()?.as_ptr().cast();
    // SAFETY: the system wrote a `TOKEN_USER` there, aligned and never freed; the SID lies in the same words.
    Ok(unsafe { (*user).User.Sid })
}

/// Our user's SID as text, such as `S-1-5-21-1-2-3-1001`.
pub(crate) fn own_sid_text() -> io::Result<String> {
    let mut text: *mut u16 = null_mut();
    // SAFETY: the SID is valid; the text is made by the call, NUL-terminated, and freed here.
    unsafe {
        done(ConvertSidToStringSidW(own_sid()?, &mut text))?;
        let len = (0..).take_while(|i| *text.add(*i) != 0).count();
        let sid = String::from_utf16_lossy(&*slice_from_raw_parts(text, len));
        LocalFree(text.cast());
        Ok(sid)
    }
}

/// Attributes of an object that belongs to our user, who alone may do anything with it.
pub(super) struct OwnersOnly {
    descriptor: PSECURITY_DESCRIPTOR,
}

// SAFETY: memory that nobody changes until it is freed, on no particular thread.
unsafe impl Send for OwnersOnly {}
// SAFETY: as above.
unsafe impl Sync for OwnersOnly {}

impl OwnersOnly {
    pub(super) fn new() -> io::Result<Self> {
        let sid = own_sid_text()?;
        let text = wide(format!("O:{sid}D:P(A;;GA;;;{sid})"));
        let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
        // SAFETY: the text ends with NUL; the descriptor is made by the call, and freed by drop.
        done(unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &mut descriptor,
                null_mut(),
            )
        })?;
        Ok(Self { descriptor })
    }

    /// Valid as long as `self`.
    pub(super) fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: self.descriptor,
            bInheritHandle: 0,
        }
    }
}

impl Drop for OwnersOnly {
    fn drop(&mut self) {
        // SAFETY: made by a call that says to free it so.
        unsafe { LocalFree(self.descriptor.cast()) };
    }
}

/// Refuses an object that is not our user's.
pub(super) fn check_owner(object: BorrowedHandle<'_>) -> io::Result<()> {
    let (mut owner, mut descriptor): (PSID, PSECURITY_DESCRIPTOR) = (null_mut(), null_mut());
    // SAFETY: what is asked for is written to locals; the owner lies in the descriptor, which is freed here.
    let ours = unsafe {
        let asked = GetSecurityInfo(
            object.as_raw_handle(),
            SE_KERNEL_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &mut owner,
            null_mut(),
            null_mut(),
            null_mut(),
            &mut descriptor,
        );
        if asked != 0 {
            return Err(io::Error::from_raw_os_error(asked as i32));
        }
        let ours = !owner.is_null() && EqualSid(owner, own_sid()?) != 0;
        LocalFree(descriptor.cast());
        ours
    };
    match ours {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the other side is another user; run as that user",
        )),
    }
}

/// Whether this process acts with an administrator's full rights.
pub(super) fn is_elevated() -> io::Result<bool> {
    elevation(own_token()?)
}

/// The same of another process.
pub(super) fn is_process_elevated(pid: u32) -> io::Result<bool> {
    // SAFETY: no inheritance; the handle is new.
    let process = unsafe { made(OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid))? };
    elevation(token_of(process.as_raw_handle())?)
}

fn elevation(token: OwnedHandle) -> io::Result<bool> {
    let words = ask(token.as_handle(), TokenElevation)?;
    let elevation: *const TOKEN_ELEVATION = words.as_ptr().cast();
    // SAFETY: the system wrote a `TOKEN_ELEVATION` there, aligned.
    Ok(unsafe { (*elevation).TokenIsElevated } != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_user_has_a_sid_and_owns_what_it_makes() {
        let sid = own_sid_text().unwrap();
        assert!(sid.starts_with("S-1-"), "{sid}");
        let only = OwnersOnly::new().unwrap();
        assert!(!only.attributes().lpSecurityDescriptor.is_null());
    }

    #[test]
    fn a_process_knows_of_itself_what_others_know_of_it() {
        let me = std::process::id();
        assert_eq!(is_elevated().unwrap(), is_process_elevated(me).unwrap());
    }
}
