//! Who holds a lock that we can't have: for messages to people, never for decisions. Pids mean
//! little across pid namespaces, and the holder may be gone by the time it is read.

use std::fmt;
use std::time::SystemTime;

use crate::data_dir::{DataDir, DirIdentity};
use crate::lock::LockFile;
use crate::ofd::{self, Conflict};
use crate::process;

#[cfg(target_os = "linux")]
mod proc_locks;

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

/// Who holds the lock of a directory, without trying to take it. `None` if nobody does as far as can
/// be seen: a `flock` holder in a foreign pid namespace can't be.
pub fn lock_holder(dir: &DataDir) -> Option<Holder> {
    let held = HeldLock::look(&LockFile::open_existing(dir).ok()??, dir);
    held.named()
        .or_else(|| held.conflict.map(|_| Holder::default()))
}

/// A lock that somebody else has. Making one costs a system call; who has the lock is looked up only
/// when [`Self::holder`] asks, which can cost tens of milliseconds on a system with many locks.
#[derive(Clone, Debug)]
pub struct HeldLock {
    /// The `fcntl` lock that was in the way.
    conflict: Option<Conflict>,
    file: DirIdentity,
    dir: DirIdentity,
}

impl HeldLock {
    /// Remembers what [`Self::holder`] needs, whatever becomes of `file`'s descriptor.
    pub(crate) fn look(file: &LockFile, dir: &DataDir) -> Self {
        Self {
            conflict: ofd::conflict(file.as_fd(), ofd::WHOLE).unwrap_or_default(),
            file: file.identity(),
            dir: dir.identity(),
        }
    }

    /// Who has the lock now, as far as the system tells.
    pub fn holder(&self) -> Holder {
        self.named().unwrap_or_default()
    }

    fn named(&self) -> Option<Holder> {
        if let Some(Conflict::Process(pid)) = self.conflict {
            return Some(Holder::from_pid(pid));
        }
        // An OFD lock names nobody, but who takes one of ours takes the flocks too.
        flock_holder(self.file, self.dir).map(Holder::from_pid)
    }
}

#[cfg(target_os = "linux")]
fn flock_holder(file: DirIdentity, dir: DirIdentity) -> Option<u32> {
    let table = std::fs::read_to_string("/proc/locks").ok()?;
    proc_locks::flock_holder(&table, file).or_else(|| proc_locks::flock_holder(&table, dir))
}

/// Other systems don't tell.
#[cfg(not(target_os = "linux"))]
fn flock_holder(_file: DirIdentity, _dir: DirIdentity) -> Option<u32> {
    None
}
