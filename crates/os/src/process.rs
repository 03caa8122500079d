//! Other processes, for messages: which program, what state, since when. And the boot, our user, our
//! forks. A pid may be reused at any time: nothing here may decide whether somebody is alive.

use std::time::SystemTime;

pub use crate::fork::fork_generation;

#[cfg_attr(target_os = "linux", path = "unix/process/linux.rs")]
#[cfg_attr(target_vendor = "apple", path = "unix/process/apple.rs")]
#[cfg_attr(windows, path = "windows/process.rs")]
mod system;

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// Running, or waiting for something.
    Running,
    /// Stopped by a signal (SIGSTOP, Ctrl-Z).
    Stopped,
    /// Stopped by a debugger.
    Traced,
    /// Dead, but its parent has not noticed.
    Zombie,
    /// There is none with this pid, as far as we can see.
    Gone,
    /// The system doesn't tell.
    Unknown,
}

/// What is known about a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its id, as asked.
    pub pid: u32,
    /// Path of its executable; its short name where the path is not ours to see.
    pub program: Option<String>,
    /// What it is doing.
    pub state: ProcessState,
    /// When it started, to about a hundredth of a second.
    pub started: Option<SystemTime>,
}

/// Describes a process.
///
/// ```
/// use level_party_os::process::{self, ProcessState};
/// let me = process::describe(std::process::id());
/// assert_eq!(me.state, ProcessState::Running);
/// assert!(me.program.is_some() && me.started.is_some());
/// ```
pub fn describe(pid: u32) -> ProcessInfo {
    system::describe(pid)
}

/// A number that is new at each boot of the system, where it has one: what a file says about running
/// processes is void if it says it with another boot's number.
pub fn boot_id() -> Option<[u8; 16]> {
    #[cfg(unix)]
    {
        parse_uuid(&system::boot_id_text()?)
    }
    #[cfg(windows)]
    {
        system::boot_id()
    }
}

/// Time since the system came up, the same for all its processes; it goes on while the system is suspended where the system
/// tells that.
pub fn since_boot() -> std::time::Duration {
    #[cfg(unix)]
    {
        #[cfg(target_os = "linux")]
        let clock = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let clock = rustix::time::ClockId::Monotonic;
        let now = rustix::time::clock_gettime(clock);
        let (seconds, nanos) = (now.tv_sec as u64, now.tv_nsec as u32);
        std::time::Duration::new(seconds, nanos)
    }
    #[cfg(windows)]
    {
        system::since_boot()
    }
}

/// The user as whom this process acts.
#[cfg(unix)]
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The user as whom this process acts, for people: `user 1000`.
pub fn user() -> String {
    #[cfg(unix)]
    {
        format!("user {}", effective_uid())
    }
    #[cfg(windows)]
    {
        format!("user {}", system::user())
    }
}

/// Stops this process as `kill -STOP` does: the calling thread at once, the others right after it. On return somebody has let it
/// go on.
///
/// # Errors
/// The system's.
#[cfg(all(unix, feature = "faults"))]
pub fn stop_this_one() -> std::io::Result<()> {
    // SAFETY: a signal to the calling thread, whose effect no handler can change.
    match unsafe { libc::raise(libc::SIGSTOP) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Sixteen bytes of hexadecimal digits, with dashes anywhere.
#[cfg(unix)]
fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text
        .trim()
        .bytes()
        .filter(|byte| *byte != b'-')
        .map(|byte| char::from(byte).to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |n, d| n << 4 | d))
        .collect();
    (digits.len() == 32)
        .then(|| bytes.try_into().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_stays_and_is_there() {
        assert_eq!(boot_id(), boot_id());
        assert!(boot_id().is_some());
    }

    #[test]
    #[cfg(unix)]
    fn a_boot_id_is_sixteen_bytes_or_nothing() {
        let text = "6f1c2a2e-0b5f-4c0e-9d58-000102030405\n";
        assert_eq!(parse_uuid(text).unwrap()[..4], [0x6f, 0x1c, 0x2a, 0x2e]);
        assert_eq!(parse_uuid(text).unwrap()[10..], [0, 1, 2, 3, 4, 5]);
        assert_eq!(parse_uuid(""), None);
        assert_eq!(parse_uuid("6f1c"), None);
        assert_eq!(parse_uuid("zf1c2a2e-0b5f-4c0e-9d58-000102030405"), None);
    }

    #[test]
    fn time_since_the_boot_does_not_go_back() {
        let before = since_boot();
        assert!(since_boot() >= before && !before.is_zero());
    }

    #[test]
    fn a_pid_that_cannot_exist_is_gone() {
        let info = describe(u32::MAX);
        assert_eq!(info.state, ProcessState::Gone);
        assert_eq!((info.program, info.started), (None, None));
    }
}
