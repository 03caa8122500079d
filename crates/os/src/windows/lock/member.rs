//! The lock of a member of a directory, which all members hold at once.
//!
//! **Promises.** While any [`MemberLock`] lives, in whatever process, programs that would have the directory alone are refused:
//! a founder of ours, C++ LevelDB, and those that lock `LOCK` as a whole. It never becomes a [`crate::DirLock`]: two members
//! that both waited for that would wait for each other.
//!
//! **Must not know.** What members do, or which of them leads.

use std::io;

use super::claim::{Claim, Share};
use crate::data_dir::DataDir;
use crate::identity::DirIdentity;
use crate::lock_error::LockError;

/// A share in a directory: `LOCK` open, and a shared lock on its first byte. Dropping it gives it back at once; the death of
/// the process does too.
///
/// ```
/// use level_party_os::{DataDir, DirLock, LockError, MemberLock};
/// let tmp = tempfile::tempdir()?;
/// let dir = DataDir::open(tmp.path())?;
/// let founder = DirLock::try_acquire(&dir)?;
/// assert!(matches!(MemberLock::try_join(&dir), Err(LockError::Held(_))));
/// let first = founder.lower()?;
/// let second = MemberLock::try_join(&dir)?;
/// drop(first);
/// assert!(matches!(DirLock::try_acquire(&dir), Err(LockError::Held(_))));
/// drop(second);
/// assert!(DirLock::try_acquire(&dir).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MemberLock {
    claim: Claim,
}

impl MemberLock {
    pub(super) fn of(claim: Claim) -> Self {
        Self { claim }
    }

    /// Takes a share if nobody has the directory alone; makes `LOCK` if it is missing. It says nothing about other members:
    /// perhaps there are none.
    ///
    /// # Errors
    /// As [`crate::DirLock::try_acquire`]: [`LockError::Held`] if a founder or a foreign program has it.
    pub fn try_join(dir: &DataDir) -> Result<Self, LockError> {
        Claim::take(dir, Share::WithMembers).map(Self::of)
    }

    /// The directory it is a share of.
    pub fn identity(&self) -> DirIdentity {
        self.claim.identity()
    }

    /// As [`crate::DirLock::is_intact`].
    ///
    /// # Errors
    /// Whatever `CreateFile` says.
    pub fn is_intact(&self) -> io::Result<bool> {
        self.claim.is_intact()
    }
}
