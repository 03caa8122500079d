//! The directory's lock: its holder has the directory alone. Members share a [`MemberLock`].
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

use rustix::fs::FileType;

use crate::data_dir::DataDir;
use crate::identity::DirIdentity;
use crate::lock_error::{LOCK_NAME, LockError, LowerError};

mod claim;
mod file;
mod member;

use claim::{Claim, Share};
pub(crate) use file::{LockFile, Opened, kept};
pub use member::MemberLock;

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
    claim: Claim,
}

impl DirLock {
    /// Takes the lock if nobody has it, alone or as a member; makes `LOCK` (mode 0644) if it is missing.
    ///
    /// # Errors
    /// [`LockError::Held`] if somebody has it, in this process or another; [`LockError::Io`] if
    /// `LOCK` can't be made or opened, is no regular file, or the filesystem has no locks.
    pub fn try_acquire(dir: &DataDir) -> Result<Self, LockError> {
        let claim = Claim::take(dir, Share::Alone)?;
        Ok(Self { claim })
    }

    /// Becomes a member, and lets other members in. There is no moment at which a founder or C++ LevelDB gets the directory.
    ///
    /// # Errors
    /// [`LowerError::Lost`] if a program that waits for a `flock` got it in between: the kernel takes such a lock back
    /// before it gives the lower one (flock(2)). After any error all locks are given back, and the caller begins again.
    pub fn lower(self) -> Result<MemberLock, LowerError> {
        self.claim.lower()?;
        Ok(MemberLock::of(self.claim))
    }

    /// The directory it is the lock of.
    pub fn identity(&self) -> DirIdentity {
        self.claim.identity()
    }

    /// Whether `LOCK` in the directory is still the file that is locked. `Ok(false)` means that
    /// somebody removed it under us: other programs may come in, the holder should leave.
    ///
    /// # Errors
    /// Whatever `stat(2)` says.
    pub fn is_intact(&self) -> io::Result<bool> {
        self.claim.is_intact()
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
