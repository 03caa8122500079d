//! The locks of one directory that one process takes together, alone or with others.
//!
//! **Promises.** Either all of them are held or none, on the `LOCK` that the directory names. Dropping it gives
//! all back at once, but not in a forked child, which has none of them.
//!
//! **Must not know.** What the holder may do.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};

use super::{LOCK_NAME, LockFile};
use crate::data_dir::DataDir;
use crate::fork::GuardedFd;
use crate::held::HeldLock;
use crate::identity::DirIdentity;
use crate::lock_error::{LockError, LowerError};
use crate::ofd::{self, Range, WHOLE};

/// How often `LOCK` may be replaced while we try to lock it. More is no accident.
const MAX_REPLACEMENTS: usize = 16;

/// The byte of `LOCK` that every member holds. One is enough to stand against a lock on the whole file.
const MEMBER_BYTE: Range = Range { start: 0, len: 1 };
/// All bytes but that one.
const OTHER_BYTES: Range = Range { start: 1, len: 0 };

/// Whether others may have the directory too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    Alone,
    WithMembers,
}

#[derive(Debug)]
pub(super) struct Claim {
    file: LockFile,
    /// `None` only while the locks are being taken.
    dir: Option<GuardedFd>,
    identity: DirIdentity,
    owner: u32,
}

impl Claim {
    pub(super) fn take(dir: &DataDir, share: Share) -> Result<Self, LockError> {
        for _ in 0..MAX_REPLACEMENTS {
            let claim = Self::take_once(dir, share)?;
            if LockFile::named_now(dir)? == Some(claim.file.identity()) {
                return Ok(claim);
            }
        }
        let what = "LOCK is being replaced again and again by another program";
        Err(LockError::Io(io::Error::other(what)))
    }

    fn take_once(dir: &DataDir, share: Share) -> Result<Self, LockError> {
        // Dropping it undoes what was taken so far.
        let mut claim = Self {
            file: LockFile::open_or_create(dir)?,
            dir: None,
            identity: dir.identity(),
            owner: std::process::id(),
        };
        let held = |file: &LockFile| LockError::Held(HeldLock::look(file, dir));
        let file = claim.file.as_fd();
        let (record, flock) = match share {
            Share::Alone => (
                super::flock_only() || ofd::try_lock(file, WHOLE)?,
                FlockOperation::NonBlockingLockExclusive,
            ),
            Share::WithMembers => (
                ofd::try_lock_shared(file, MEMBER_BYTE)?,
                FlockOperation::NonBlockingLockShared,
            ),
        };
        if !record {
            return Err(held(&claim.file));
        }
        let directory = claim.dir.insert(GuardedFd::open(|| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(dir, c".", flags, Mode::empty())?)
        })?);
        for fd in [claim.file.as_fd(), directory.as_fd()] {
            match rustix::fs::flock(fd, flock) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(held(&claim.file)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(claim)
    }

    /// Lets members in. After an error the claim is worth nothing and must be dropped.
    pub(super) fn lower(&self) -> Result<(), LowerError> {
        // Record locks first: theirs is the only change that is atomic. A `flock` is given back and taken anew, and may be
        // lost to a waiter; what it refuses meanwhile is refused by the one on the other file, or by the record lock.
        let file = self.file.as_fd();
        if !(super::flock_only() || ofd::try_lock_shared(file, WHOLE)?) {
            return Err(LowerError::Lost);
        }
        // Without room for the split the read lock stays on the whole file, and refuses the same programs.
        let _ = ofd::unlock(file, OTHER_BYTES);
        let flocked = std::iter::once(file).chain(self.dir.as_ref().map(AsFd::as_fd));
        for fd in flocked {
            match rustix::fs::flock(fd, FlockOperation::NonBlockingLockShared) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(LowerError::Lost),
                Err(error) => return Err(LowerError::Io(error.into())),
            }
        }
        Ok(())
    }

    pub(super) fn identity(&self) -> DirIdentity {
        self.identity
    }

    /// Whether `LOCK` in the directory is the file that is locked.
    pub(super) fn is_intact(&self) -> io::Result<bool> {
        let Some(dir) = &self.dir else {
            return Ok(false);
        };
        match rustix::fs::statat(dir, LOCK_NAME, AtFlags::empty()) {
            Ok(stat) => Ok(DirIdentity::from_stat(&stat) == self.file.identity()),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(test)]
    pub(super) fn lock_file(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }

    #[cfg(test)]
    pub(super) fn directory(&self) -> std::os::fd::BorrowedFd<'_> {
        self.dir.as_ref().expect("it is taken").as_fd()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Closing would not be enough while a child between fork and exec shares the descriptions;
        // and in such a child unlocking would take the lock from its parent.
        if self.owner == std::process::id() {
            if let Some(dir) = &self.dir {
                let _ = rustix::fs::flock(dir, FlockOperation::Unlock);
            }
            let _ = rustix::fs::flock(self.file.as_fd(), FlockOperation::Unlock);
            let _ = ofd::unlock(self.file.as_fd(), WHOLE);
        }
    }
}
