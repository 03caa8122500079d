//! `/proc/PID` (proc_pid_stat(5)).

use std::time::{Duration, SystemTime};

use super::{ProcessInfo, ProcessState};

pub(super) fn describe(pid: u32) -> ProcessInfo {
    let stat = match std::fs::read(format!("/proc/{pid}/stat")) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => {
            let state = if proc_is_mounted() {
                ProcessState::Gone
            } else {
                ProcessState::Unknown
            };
            return ProcessInfo {
                pid,
                program: None,
                state,
                started: None,
            };
        }
    };
    let (state, ticks) = parse_stat(&stat).unwrap_or((ProcessState::Unknown, None));
    ProcessInfo {
        pid,
        program: program(pid),
        state,
        started: ticks.and_then(start_time),
    }
}

pub(super) fn boot_id_text() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()
}

fn proc_is_mounted() -> bool {
    std::fs::metadata("/proc/self/stat").is_ok()
}

fn program(pid: u32) -> Option<String> {
    if let Ok(exe) = std::fs::read_link(format!("/proc/{pid}/exe")) {
        let exe = exe.to_string_lossy();
        return Some(exe.strip_suffix(" (deleted)").unwrap_or(&exe).to_owned());
    }
    let comm = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(&comm).trim_end().to_owned())
}

/// State (field 3) and start in clock ticks since boot (field 22). The name before them, in
/// parentheses, may hold anything, parentheses too.
fn parse_stat(stat: &str) -> Option<(ProcessState, Option<u64>)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = match fields.next()? {
        "R" | "S" | "D" | "I" | "K" | "W" | "P" => ProcessState::Running,
        "T" => ProcessState::Stopped,
        "t" => ProcessState::Traced,
        "Z" | "X" | "x" => ProcessState::Zombie,
        _ => ProcessState::Unknown,
    };
    Some((state, fields.nth(18).and_then(|ticks| ticks.parse().ok())))
}

fn start_time(ticks: u64) -> Option<SystemTime> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let boot = stat
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let since_boot = Duration::from_millis(ticks.saturating_mul(1000) / per_second);
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(boot))?
        .checked_add(since_boot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "12 (a) R (b) T 1 1 1 0 -1 4 5 6 7 8 9 10 11 12 20 0 1 0 4242 1 1\n";
        assert_eq!(parse_stat(stat), Some((ProcessState::Stopped, Some(4242))));
        assert_eq!(parse_stat("12 (a) t"), Some((ProcessState::Traced, None)));
        assert_eq!(parse_stat("12 a"), None);
    }
}
