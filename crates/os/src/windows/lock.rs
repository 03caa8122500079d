//! The directory's lock: whoever has it may write there.
//!
//! **Invariant.** While a [`DirLock`] lives, every other program is refused, whichever way it asks. `LOCK` is opened and
//! locked as C++ LevelDB does it (`WindowsEnv::LockFile` and `LockOrUnlock` in util/env_windows.cc):
//! - `CreateFile` to read and write, sharing reading alone: who opens it to write as well gets a sharing violation;
//! - then `LockFile` on all bytes, which refuses programs that open it before us and share everything, but lock.
//!
//! Deleting and renaming are not shared, so `LOCK` can't be taken away under its holder. Locks are only tried, never
//! waited for. `LOCK` is never removed, but when a database is destroyed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsHandle, AsRawHandle};
use std::path::PathBuf;

use windows_sys::Win32::Foundation::{ERROR_LOCK_VIOLATION, ERROR_SHARING_VIOLATION};
use windows_sys::Win32::Storage::FileSystem::FILE_SHARE_READ;

use super::byte_lock::{Range, try_lock, unlock};
use super::data_dir::{DataDir, open_to_look};
use crate::held::HeldLock;
use crate::identity::DirIdentity;
use crate::lock_error::{LOCK_NAME, LockError};

/// All bytes that a file can have, as C++ LevelDB says it.
const WHOLE: Range = Range {
    start: 0,
    len: u64::MAX,
};

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
    file: File,
    path: PathBuf,
    identity: DirIdentity,
}

impl DirLock {
    /// Takes the lock if nobody has it; makes `LOCK` if it is missing.
    ///
    /// # Errors
    /// [`LockError::Held`] if somebody has it, in this process or another; [`LockError::Io`] if
    /// `LOCK` can't be made or opened, is no regular file, or the filesystem has no locks.
    pub fn try_acquire(dir: &DataDir) -> Result<Self, LockError> {
        let path = dir.path().join(LOCK_NAME);
        let held = || LockError::Held(HeldLock::new(path.clone()));
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .share_mode(FILE_SHARE_READ)
            .open(&path);
        let file = match opened {
            Err(error) if is(&error, ERROR_SHARING_VIOLATION) => return Err(held()),
            opened => opened?,
        };
        if !file.metadata()?.is_file() {
            let what = "LOCK is not a regular file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what).into());
        }
        match try_lock(file.as_handle(), WHOLE) {
            Err(error) if !is(&error, ERROR_LOCK_VIOLATION) => return Err(error.into()),
            Ok(true) => {}
            Ok(false) | Err(_) => return Err(held()),
        }
        Ok(Self {
            file,
            path,
            identity: dir.identity(),
        })
    }

    /// The directory it is the lock of.
    pub fn identity(&self) -> DirIdentity {
        self.identity
    }

    /// Whether `LOCK` in the directory is still the file that is locked. The system sees to it; a program beneath it (as
    /// beneath Wine) can still remove it.
    ///
    /// # Errors
    /// Whatever `CreateFile` says.
    pub fn is_intact(&self) -> io::Result<bool> {
        match open_to_look(&self.path) {
            Ok(named) => Ok(DirIdentity::of_file(named.as_handle())?
                == DirIdentity::of_file(self.file.as_handle())?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn is(error: &io::Error, code: u32) -> bool {
    error.raw_os_error() == Some(code as i32)
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // The system takes what a closed file had locked back in its own time.
        debug_assert!(!self.file.as_raw_handle().is_null());
        unlock(self.file.as_handle(), WHOLE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> (tempfile::TempDir, DataDir) {
        let tmp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(tmp.path()).unwrap();
        (tmp, dir)
    }

    fn is_held(dir: &DataDir) -> bool {
        matches!(DirLock::try_acquire(dir), Err(LockError::Held(_)))
    }

    #[test]
    fn the_lock_excludes_a_second_holder_in_the_same_process_and_comes_free_on_drop() {
        let (tmp, dir) = fixture();
        let lock = DirLock::try_acquire(&dir).unwrap();
        assert!(is_held(&dir));
        assert!(is_held(&DataDir::open(tmp.path()).unwrap()));
        assert!(lock.is_intact().unwrap());
        drop(lock);
        assert!(!is_held(&dir));
    }

    #[test]
    fn who_opens_the_lock_file_as_cpp_leveldb_does_is_refused_and_refuses_us() {
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
        let _lock = DirLock::try_acquire(&dir).unwrap();
        assert!(sharing().is_err());
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
