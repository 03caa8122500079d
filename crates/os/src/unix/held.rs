//! Who holds a lock that we can't have, by what `fcntl` and `/proc/locks` tell.

use crate::data_dir::DataDir;
use crate::holder::Holder;
use crate::identity::DirIdentity;
use crate::lock::LockFile;
use crate::ofd::{self, Conflict};

#[cfg(target_os = "linux")]
mod proc_locks;

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
        let pid = match self.conflict {
            Some(Conflict::Process(pid)) => Some(pid),
            // An OFD lock names nobody, but who takes one of ours takes the flocks too.
            _ => flock_holder(self.file, self.dir),
        };
        pid.map(Holder::from_pid).unwrap_or_default()
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
