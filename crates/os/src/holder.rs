//! Who holds a lock that we can't have: for messages to people, never for decisions. Pids mean
//! little across pid namespaces, and the holder may be gone by the time it is read.

use std::fmt;
use std::time::SystemTime;

use crate::process;

/// Who holds a directory's lock, as far as the system tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// Its process, if it can be named from here.
    pub pid: Option<u32>,
    /// Its program: the executable's path, or the process's short name.
    pub program: Option<String>,
    /// When that process started: it can't have had the lock for longer.
    pub since: Option<SystemTime>,
}

impl Holder {
    /// A process, with what is known about it.
    pub fn from_pid(pid: u32) -> Self {
        let info = process::describe(pid);
        Self {
            pid: Some(pid),
            program: info.program,
            since: info.started,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.pid, &self.program) {
            (Some(pid), Some(program)) => write!(f, "process {pid} ({program})"),
            (Some(pid), None) => write!(f, "process {pid}"),
            (None, _) => f.write_str("a process that the system doesn't name"),
        }
    }
}
