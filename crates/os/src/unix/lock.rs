//! The directory's lock: whoever has it may write there.
//!
//! **Invariant.** While a [`DirLock`] lives, every other program is refused, whichever way it asks:
//! - an OFD write lock on the whole of `LOCK` refuses classic `fcntl` locks (C++ LevelDB, `PosixEnv`);
//! - `flock` on `LOCK` refuses those who use `flock` (they and `fcntl` don't see each other on Linux);
//! - `flock` on the directory refuses other level-party processes even after `LOCK` was deleted and
//!   made anew under a living holder.
//!
//! The locked `LOCK` is then compared with what the name means now: a lock on a deleted file excludes
//! nobody. `LOCK` is never unlinked, but when a database is destroyed. Locks are only tried, never waited for.
//!
//! The lock has its own descriptors: [`DataDir`]'s may be passed to other processes, and a descriptor
//! that carries a lock would carry it over there.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};

use crate::data_dir::DataDir;
use crate::fork::GuardedFd;
use crate::held::HeldLock;
use crate::identity::DirIdentity;
use crate::lock_error::{LOCK_NAME, LockError};
use crate::ofd;

mod file;

pub(crate) use file::{LockFile, Opened, kept};

/// How often `LOCK` may be replaced while we try to lock it. More is no accident.
const MAX_REPLACEMENTS: usize = 16;

impl From<rustix::io::Errno> for LockError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

/// The lock on a directory. Dropping it gives the lock back at once, also when forked children still
/// share its descriptors; the death of the process does too. A forked child doesn't have it.
///
/// ```
/// use level_party_os::{DataDir, DirLock, LockError};
/// let tmp = tempfile::tempdir()?;
/// let dir = DataDir::open(tmp.path())?;
/// let lock = DirLock::try_acquire(&dir)?;
/// let Err(LockError::Held(held)) = DirLock::try_acquire(&dir) else { panic!("two holders") };
/// # #[cfg(target_os = "linux")]
/// assert_eq!(held.holder().pid, Some(std::process::id()));
/// drop(lock);
/// assert!(DirLock::try_acquire(&dir).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DirLock {
    file: LockFile,
    dir: GuardedFd,
    identity: DirIdentity,
    owner: u32,
}

impl DirLock {
    /// Takes the lock if nobody has it; makes `LOCK` (mode 0644) if it is missing.
    ///
    /// # Errors
    /// [`LockError::Held`] if somebody has it, in this process or another; [`LockError::Io`] if
    /// `LOCK` can't be made or opened, is no regular file, or the filesystem has no locks.
    pub fn try_acquire(dir: &DataDir) -> Result<Self, LockError> {
        for _ in 0..MAX_REPLACEMENTS {
            let lock = Self::lock_once(dir)?;
            if LockFile::named_now(dir)? == Some(lock.file.identity()) {
                return Ok(lock);
            }
        }
        let what = "LOCK is being replaced again and again by another program";
        Err(LockError::Io(io::Error::other(what)))
    }

    fn lock_once(dir: &DataDir) -> Result<Self, LockError> {
        let held = |file: &LockFile| LockError::Held(HeldLock::look(file, dir));
        let file = LockFile::open_or_create(dir)?;
        if !flock_only() && !ofd::try_lock(file.as_fd(), ofd::WHOLE)? {
            return Err(held(&file));
        }
        let directory = GuardedFd::open(|| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(dir, c".", flags, Mode::empty())?)
        })?;
        // From here on dropping it undoes what was taken.
        let identity = dir.identity();
        let lock = Self {
            file,
            dir: directory,
            identity,
            owner: std::process::id(),
        };
        for fd in [lock.file.as_fd(), lock.dir.as_fd()] {
            match rustix::fs::flock(fd, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(held(&lock.file)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(lock)
    }

    /// The directory it is the lock of.
    pub fn identity(&self) -> DirIdentity {
        self.identity
    }

    /// Whether `LOCK` in the directory is still the file that is locked. `Ok(false)` means that
    /// somebody removed it under us: other programs may come in, the holder should leave.
    ///
    /// # Errors
    /// Whatever `stat(2)` says.
    pub fn is_intact(&self) -> io::Result<bool> {
        let flags = AtFlags::empty();
        match rustix::fs::statat(&self.dir, LOCK_NAME, flags) {
            Ok(stat) => Ok(DirIdentity::from_stat(&stat) == self.file.identity()),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // Closing would not be enough while a child between fork and exec shares the descriptions;
        // and in such a child unlocking would take the lock from its parent.
        if self.owner == std::process::id() {
            let _ = rustix::fs::flock(&self.dir, FlockOperation::Unlock);
            let _ = rustix::fs::flock(self.file.as_fd(), FlockOperation::Unlock);
            let _ = ofd::unlock(self.file.as_fd(), ofd::WHOLE);
        }
    }
}

/// A planted bug: `fcntl` locks are not looked at, so C++ LevelDB's is not seen. The tests must catch it.
#[cfg(feature = "faults")]
fn flock_only() -> bool {
    std::env::var_os("LEVEL_PARTY_PLANT").is_some_and(|bug| bug == "flock-only")
}

#[cfg(not(feature = "faults"))]
fn flock_only() -> bool {
    false
}

/// `LOCK` must be a plain file; a fifo or device can't be locked in a way others respect.
fn require_regular(stat: &rustix::fs::Stat) -> io::Result<()> {
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "LOCK is not a regular file",
    ))
}

#[cfg(test)]
mod tests;
