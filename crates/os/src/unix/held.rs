//! Who holds a lock that we can't have, by what `fcntl` and `/proc/locks` tell.

use crate::data_dir::DataDir;
use crate::holder::Holder;
use crate::identity::DirIdentity;
use crate::lock::LockFile;
use crate::ofd::{self, Conflict};

#[cfg(target_os = "linux")]
mod proc_locks;

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
