//! `LOCK`, opened and locked, alone or with others.
//!
//! **Promises.** While a claim lives nobody opens `LOCK` as C++ LevelDB does, and nobody locks all of it. Dropping it gives the
//! locks back at once.
//!
//! **Must not know.** What the holder may do.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsHandle, AsRawHandle};
use std::path::PathBuf;

use windows_sys::Win32::Foundation::{ERROR_LOCK_VIOLATION, ERROR_SHARING_VIOLATION};
use windows_sys::Win32::Storage::FileSystem::{FILE_SHARE_READ, FILE_SHARE_WRITE};

use crate::data_dir::DataDir;
use crate::held::HeldLock;
use crate::identity::DirIdentity;
use crate::lock_error::{LOCK_NAME, LockError, LowerError};
use crate::windows::byte_lock::{Range, try_lock, try_lock_shared, unlock};
use crate::windows::data_dir::open_to_look;

/// All bytes that a file can have, as C++ LevelDB says it.
pub(crate) const WHOLE: Range = Range {
    start: 0,
    len: u64::MAX,
};

/// The byte of `LOCK` that every member holds. One is enough to stand against a lock on all bytes.
const MEMBER_BYTE: Range = Range { start: 0, len: 1 };

/// Whether others may have the directory too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    Alone,
    WithMembers,
}

#[derive(Debug)]
pub(super) struct Claim {
    file: File,
    path: PathBuf,
    identity: DirIdentity,
}

impl Claim {
    pub(super) fn take(dir: &DataDir, share: Share) -> Result<Self, LockError> {
        let path = dir.path().join(LOCK_NAME);
        let held = || LockError::Held(HeldLock::new(path.clone()));
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE)
            .open(&path);
        let file = match opened {
            Err(error) if is(&error, ERROR_SHARING_VIOLATION) => return Err(held()),
            opened => opened?,
        };
        if !file.metadata()?.is_file() {
            let what = "LOCK is not a regular file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what).into());
        }
        let locked = match share {
            Share::Alone => try_lock(file.as_handle(), WHOLE),
            Share::WithMembers => try_lock_shared(file.as_handle(), MEMBER_BYTE),
        };
        match locked {
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

    /// Lets members in: a shared lock may lie over an exclusive one of the same handle, which is then given back
    /// (`LockFileEx`, remarks). After an error the claim is worth nothing and must be dropped.
    pub(super) fn lower(&self) -> Result<(), LowerError> {
        if !try_lock_shared(self.file.as_handle(), MEMBER_BYTE)? {
            return Err(LowerError::Lost);
        }
        unlock(self.file.as_handle(), WHOLE);
        Ok(())
    }

    pub(super) fn identity(&self) -> DirIdentity {
        self.identity
    }

    pub(super) fn is_intact(&self) -> io::Result<bool> {
        match open_to_look(&self.path) {
            Ok(named) => Ok(DirIdentity::of_file(named.as_handle())?
                == DirIdentity::of_file(self.file.as_handle())?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

pub(super) fn is(error: &io::Error, code: u32) -> bool {
    error.raw_os_error() == Some(code as i32)
}

impl Drop for Claim {
    fn drop(&mut self) {
        // The system takes what a closed file had locked back in its own time. One of the two is not locked.
        debug_assert!(!self.file.as_raw_handle().is_null());
        unlock(self.file.as_handle(), WHOLE);
        unlock(self.file.as_handle(), MEMBER_BYTE);
    }
}
