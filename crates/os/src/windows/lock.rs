//! The directory's lock: its holder has the directory alone. Members share a [`MemberLock`].
//!
//! **Invariant.** While a [`DirLock`] lives, every other program is refused, whichever way it asks. `LOCK` is
//! - opened to read and write. C++ LevelDB (`WindowsEnv::LockFile` in util/env_windows.cc) shares reading alone when it opens
//!   `LOCK`, so it gets a sharing violation; ours share both, so that members can open it beside each other;
//! - then locked by `LockFile` on all bytes, as there. That refuses programs that share everything, but lock, and our own.
//!
//! Deleting and renaming are not shared, so `LOCK` can't be taken away under its holder. Locks are only tried, never
//! waited for. `LOCK` is never removed, but when a database is destroyed.

use std::io;

use crate::data_dir::DataDir;
use crate::identity::DirIdentity;
use crate::lock_error::{LockError, LowerError};

mod claim;
mod member;

use claim::{Claim, Share};
pub use member::MemberLock;

/// The lock on a directory. Dropping it gives the lock back at once; the death of the process does too.
///
/// ```
/// use level_party_os::{DataDir, DirLock, LockError};
/// let tmp = tempfile::tempdir()?;
/// let dir = DataDir::open(tmp.path())?;
/// let lock = DirLock::try_acquire(&dir)?;
/// let Err(LockError::Held(_)) = DirLock::try_acquire(&dir) else { panic!("two holders") };
/// drop(lock);
/// assert!(DirLock::try_acquire(&dir).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DirLock {
    claim: Claim,
}

impl DirLock {
    /// Takes the lock if nobody has it, alone or as a member; makes `LOCK` if it is missing.
    ///
    /// # Errors
    /// [`LockError::Held`] if somebody has it, in this process or another; [`LockError::Io`] if
    /// `LOCK` can't be made or opened, is no regular file, or the filesystem has no locks.
    pub fn try_acquire(dir: &DataDir) -> Result<Self, LockError> {
        let claim = Claim::take(dir, Share::Alone)?;
        Ok(Self { claim })
    }

    /// Becomes a member, and lets other members in. There is no moment at which anybody else gets the directory alone.
    ///
    /// # Errors
    /// After any error all locks are given back, and the caller begins again.
    pub fn lower(self) -> Result<MemberLock, LowerError> {
        self.claim.lower()?;
        Ok(MemberLock::of(self.claim))
    }

    /// The directory it is the lock of.
    pub fn identity(&self) -> DirIdentity {
        self.claim.identity()
    }

    /// Whether `LOCK` in the directory is still the file that is locked. The system sees to it; a program beneath it (as
    /// beneath Wine) can still remove it.
    ///
    /// # Errors
    /// Whatever `CreateFile` says.
    pub fn is_intact(&self) -> io::Result<bool> {
        self.claim.is_intact()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::os::windows::fs::OpenOptionsExt;
    use std::os::windows::io::AsHandle;

    use windows_sys::Win32::Foundation::ERROR_SHARING_VIOLATION;
    use windows_sys::Win32::Storage::FileSystem::FILE_SHARE_READ;

    use super::claim::{WHOLE, is};
    use super::*;
    use crate::lock_error::LOCK_NAME;
    use crate::windows::byte_lock::try_lock;

    fn fixture() -> (tempfile::TempDir, DataDir) {
        let tmp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(tmp.path()).unwrap();
        (tmp, dir)
    }

    fn is_held(dir: &DataDir) -> bool {
        matches!(DirLock::try_acquire(dir), Err(LockError::Held(_)))
    }

    #[test]
    fn lock_excludes_its_own_process_until_dropped() {
        let (tmp, dir) = fixture();
        let lock = DirLock::try_acquire(&dir).unwrap();
        assert!(is_held(&dir));
        assert!(is_held(&DataDir::open(tmp.path()).unwrap()));
        assert!(lock.is_intact().unwrap());
        drop(lock);
        assert!(!is_held(&dir));
    }

    #[test]
    fn cpp_leveldbs_lock_and_ours_refuse_each_other() {
        let (tmp, dir) = fixture();
        let path = tmp.path().join(LOCK_NAME);
        let as_leveldb = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .share_mode(FILE_SHARE_READ)
                .open(&path)
        };
        let lock = DirLock::try_acquire(&dir).unwrap();
        let refused = as_leveldb().unwrap_err();
        assert!(is(&refused, ERROR_SHARING_VIOLATION), "{refused}");
        drop(lock);
        let theirs = as_leveldb().unwrap();
        assert!(is_held(&dir));
        drop(theirs);
        assert!(!is_held(&dir));
    }

    #[test]
    fn who_shares_everything_but_locks_is_refused_and_refuses_us() {
        let (tmp, dir) = fixture();
        let path = tmp.path().join(LOCK_NAME);
        let sharing = || File::options().read(true).write(true).open(&path);
        drop(DirLock::try_acquire(&dir).unwrap());
        let theirs = sharing().unwrap();
        assert!(try_lock(theirs.as_handle(), WHOLE).unwrap());
        assert!(is_held(&dir));
        drop(theirs);
        let lock = DirLock::try_acquire(&dir).unwrap();
        let whole = || try_lock(sharing().unwrap().as_handle(), WHOLE).unwrap();
        assert!(!whole());
        let _member = lock.lower().unwrap();
        assert!(!whole());
    }

    #[test]
    fn members_share_and_founders_wait_for_the_last() {
        let (tmp, dir) = fixture();
        let founder = DirLock::try_acquire(&dir).unwrap();
        let no_member = || matches!(MemberLock::try_join(&dir), Err(LockError::Held(_)));
        assert!(no_member());
        let first = founder.lower().unwrap();
        let second = MemberLock::try_join(&DataDir::open(tmp.path()).unwrap()).unwrap();
        assert!(first.is_intact().unwrap() && second.identity() == dir.identity());
        assert!(is_held(&dir));
        drop(first);
        assert!(is_held(&dir));
        drop(MemberLock::try_join(&dir).unwrap());
        assert!(is_held(&dir));
        drop(second);
        assert!(!is_held(&dir));
    }

    #[test]
    fn member_and_cpp_leveldb_refuse_each_other() {
        let (tmp, dir) = fixture();
        let path = tmp.path().join(LOCK_NAME);
        let mut as_leveldb = OpenOptions::new();
        as_leveldb
            .read(true)
            .write(true)
            .create(true)
            .truncate(false);
        as_leveldb.share_mode(FILE_SHARE_READ);
        let member = DirLock::try_acquire(&dir).unwrap().lower().unwrap();
        let refused = as_leveldb.open(&path).unwrap_err();
        assert!(is(&refused, ERROR_SHARING_VIOLATION), "{refused}");
        let joined = MemberLock::try_join(&dir).unwrap();
        drop(member);
        assert!(as_leveldb.open(&path).is_err());
        drop(joined);
        let theirs = as_leveldb.open(&path).unwrap();
        let refused = MemberLock::try_join(&dir);
        assert!(matches!(refused, Err(LockError::Held(_))), "{refused:?}");
        drop(theirs);
        drop(MemberLock::try_join(&dir).unwrap());
    }

    #[test]
    fn the_lock_file_is_not_removed_or_renamed_under_its_holder() {
        let (tmp, dir) = fixture();
        let _lock = DirLock::try_acquire(&dir).unwrap();
        let path = tmp.path().join(LOCK_NAME);
        assert!(std::fs::remove_file(&path).is_err());
        assert!(std::fs::rename(&path, tmp.path().join("moved")).is_err());
        assert!(is_held(&dir));
    }
}
