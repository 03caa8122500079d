//! libproc and sysctl.

use std::ffi::CStr;
use std::mem::{MaybeUninit, size_of};
use std::time::{Duration, SystemTime};

use super::{ProcessInfo, ProcessState};

pub(super) fn describe(pid: u32) -> ProcessInfo {
    let Ok(raw) = i32::try_from(pid) else {
        return gone(pid);
    };
    let mut info = MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = size_of::<libc::proc_bsdinfo>() as i32;
    // SAFETY: the buffer is as long as it says; the call writes at most that much.
    let got = unsafe {
        libc::proc_pidinfo(
            raw,
            libc::PROC_PIDTBSDINFO,
            0,
            info.as_mut_ptr().cast(),
            size,
        )
    };
    if got != size {
        return gone(pid);
    }
    // SAFETY: wholly written, and plain integers anyway.
    let info = unsafe { info.assume_init() };
    let state = match info.pbi_status {
        libc::SSTOP => ProcessState::Stopped,
        libc::SZOMB => ProcessState::Zombie,
        _ => ProcessState::Running,
    };
    let started = Duration::from_secs(info.pbi_start_tvsec)
        .checked_add(Duration::from_micros(info.pbi_start_tvusec))
        .and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    ProcessInfo {
        pid,
        program: program(raw),
        state,
        started,
    }
}

fn gone(pid: u32) -> ProcessInfo {
    ProcessInfo {
        pid,
        program: None,
        state: ProcessState::Gone,
        started: None,
    }
}

fn program(pid: i32) -> Option<String> {
    let mut path = [0_u8; libc::PROC_PIDPATHINFO_MAXSIZE as usize];
    // SAFETY: the buffer is as long as it says; the call writes at most that much.
    let len = unsafe { libc::proc_pidpath(pid, path.as_mut_ptr().cast(), path.len() as u32) };
    let path = path.get(..usize::try_from(len).ok().filter(|len| *len > 0)?)?;
    Some(String::from_utf8_lossy(path).into_owned())
}

pub(super) fn boot_id_text() -> Option<String> {
    let mut text = [0_u8; 64];
    let mut len = text.len();
    let name: &CStr = c"kern.bootsessionuuid";
    // SAFETY: `len` says how long the buffer is, and is written with what was used; nothing is set.
    let failed = unsafe {
        libc::sysctlbyname(
            name.as_ptr(),
            text.as_mut_ptr().cast(),
            &mut len,
            std::ptr::null_mut(),
            0,
        )
    };
    if failed != 0 {
        return None;
    }
    let text = CStr::from_bytes_until_nul(&text).ok()?;
    text.to_str().ok().map(str::to_owned)
}
