//! Processes by their handles.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::time::{Duration, SystemTime};

use windows_sys::Wdk::System::SystemInformation::{
    NtQuerySystemInformation, SystemTimeOfDayInformation,
};
use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, FILETIME};
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, OpenProcess, PROCESS_NAME_WIN32, PROCESS_QUERY_LIMITED_INFORMATION,
    PROCESS_SYNCHRONIZE, QueryFullProcessImageNameW, WaitForSingleObject,
};

use super::{ProcessInfo, ProcessState};
use crate::windows::made;

pub(super) fn describe(pid: u32) -> ProcessInfo {
    let nothing = |state| ProcessInfo {
        pid,
        program: None,
        state,
        started: None,
    };
    let access = PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE;
    // SAFETY: no inheritance; the handle is new.
    let process = match unsafe { made(OpenProcess(access, 0, pid)) } {
        Ok(process) => process,
        Err(error) if error.raw_os_error() == Some(ERROR_ACCESS_DENIED as i32) => {
            return nothing(ProcessState::Unknown);
        }
        Err(_) => return nothing(ProcessState::Gone),
    };
    // SAFETY: an open process, not waited for.
    if unsafe { WaitForSingleObject(process.as_raw_handle(), 0) } == 0 {
        // Somebody still has a handle on it.
        return nothing(ProcessState::Gone);
    }
    ProcessInfo {
        pid,
        program: program(&process),
        // The system doesn't tell of a suspended one.
        state: ProcessState::Running,
        started: started(&process).ok(),
    }
}

fn program(process: &OwnedHandle) -> Option<String> {
    let mut path = vec![0_u16; 33_000];
    let mut len = path.len() as u32;
    // SAFETY: the buffer is as long as it says; `len` is written with what was used.
    let told = unsafe {
        QueryFullProcessImageNameW(
            process.as_raw_handle(),
            PROCESS_NAME_WIN32,
            path.as_mut_ptr(),
            &mut len,
        )
    };
    (told != 0).then(|| String::from_utf16_lossy(&path[..len as usize]))
}

fn started(process: &OwnedHandle) -> io::Result<SystemTime> {
    let mut times = [FILETIME::default(); 4];
    let [created, exited, kernel, user] = &mut times;
    // SAFETY: four locals are written.
    let told = unsafe { GetProcessTimes(process.as_raw_handle(), created, exited, kernel, user) };
    if told == 0 {
        return Err(io::Error::last_os_error());
    }
    let ticks = u64::from(times[0].dwHighDateTime) << 32 | u64::from(times[0].dwLowDateTime);
    // Tenths of microseconds since 1601.
    const TO_1970: u64 = 116_444_736_000_000_000;
    let since = Duration::from_nanos(ticks.saturating_sub(TO_1970).saturating_mul(100));
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// `SYSTEM_TIMEOFDAY_INFORMATION`, whose fields the bindings do not name.
#[repr(C)]
struct TimeOfDay {
    boot_time: i64,
    current_time: i64,
    time_zone_bias: i64,
    time_zone_id: u32,
    reserved: u32,
    boot_time_bias: u64,
    sleep_time_bias: u64,
}

pub(super) fn since_boot() -> Duration {
    // SAFETY: it takes nothing and can't fail.
    Duration::from_millis(unsafe {
        windows_sys::Win32::System::SystemInformation::GetTickCount64()
    })
}

/// The moment of the boot to a tenth of a microsecond. When somebody sets the clock the system moves the moment and its
/// bias by the same; their difference stays.
pub(super) fn boot_id() -> Option<[u8; 16]> {
    let mut told = MaybeUninit::<TimeOfDay>::zeroed();
    let mut len = 0;
    // SAFETY: the buffer is as long as it says.
    let result = unsafe {
        NtQuerySystemInformation(
            SystemTimeOfDayInformation,
            told.as_mut_ptr().cast(),
            size_of::<TimeOfDay>() as u32,
            &mut len,
        )
    };
    // SAFETY: plain integers, zeroed before.
    let told = unsafe { told.assume_init() };
    let moment = told.boot_time.wrapping_sub_unsigned(told.boot_time_bias);
    (result >= 0 && moment != 0).then(|| {
        let mut id = *b"winboot-________";
        id[8..].copy_from_slice(&moment.to_le_bytes());
        id
    })
}

/// The account's SID.
pub(super) fn user() -> String {
    crate::credentials::own_sid_text().unwrap_or_else(|_| "without a name".to_owned())
}
