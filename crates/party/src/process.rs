//! Other processes, for messages to people.

use level_party_os::process::{ProcessState, describe};

/// `pid 12, program "x", stopped` as far as the operating system tells.
pub(crate) fn describe_process(pid: u32) -> String {
    let info = describe(pid);
    let program = info
        .program
        .map(|p| format!(", program {p}"))
        .unwrap_or_default();
    let state = match info.state {
        ProcessState::Running => ", running",
        ProcessState::Stopped => ", stopped: resume it with SIGCONT or end it",
        ProcessState::Traced => ", held by a debugger",
        ProcessState::Zombie => ", dead but not reaped",
        ProcessState::Gone => ", gone",
        ProcessState::Unknown => "",
    };
    format!("pid {pid}{program}{state}")
}
