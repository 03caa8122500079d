//! A lock on one byte of a file: a sign of life that the kernel takes back when its holder dies,
//! and that means the same in every pid namespace.
//!
//! **Promises.** Offsets up to 2^63 - 1, so that a number that is never given twice can be an offset. A question does not see
//! the locks of the description through which it is asked, so a process must not ask about a byte of its own. An error of a question says nothing about the holder; whether it counts as alive is the caller's to say.
//!
//! **Must not know.** What the bytes stand for.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use crate::guarded_file::GuardedFile;
use crate::ofd::{self, Range};

/// An exclusive lock on one byte, held until it is dropped or the process dies (a forked child
/// doesn't keep it). The byte need not exist in the file.
///
/// The lock belongs to the file's open file description: a second lock on the same byte through the
/// same file succeeds and is the same lock, and clones made by `try_clone` share it. Open the
/// file once per owner.
///
/// ```
/// use std::{fs::File, sync::Arc};
/// use level_party_os::{ByteLock, GuardedFile};
/// let tmp = tempfile::NamedTempFile::new()?;
/// let open = || GuardedFile::open(File::options().read(true).write(true), tmp.path());
/// let (mine, other) = (Arc::new(open()?), open()?);
/// let lock = ByteLock::try_lock(&mine, 7)?.expect("nobody has it");
/// assert!(ByteLock::is_locked(&other, 7)?);
/// assert!(!ByteLock::is_locked(&other, 8)?);
/// drop(lock);
/// assert!(!ByteLock::is_locked(&other, 7)?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct ByteLock {
    file: Arc<GuardedFile>,
    offset: u64,
    owner: u32,
}

impl ByteLock {
    /// Locks the byte at `offset`, or answers `None` if another description has it. `file` must be
    /// open for writing.
    ///
    /// # Errors
    /// `InvalidInput` for an offset of 2^63 or more; whatever `fcntl(2)` says.
    pub fn try_lock(file: &Arc<GuardedFile>, offset: u64) -> io::Result<Option<Self>> {
        if !ofd::try_lock(
            file.as_fd(),
            Range {
                start: offset,
                len: 1,
            },
        )? {
            return Ok(None);
        }
        Ok(Some(Self {
            file: file.clone(),
            offset,
            owner: std::process::id(),
        }))
    }

    /// Whether another open file description has the byte at `offset` locked. One's own lock through `file`, or a clone
    /// of it, is not seen: never ask about a byte that `file` itself has locked.
    ///
    /// # Errors
    /// As [`Self::try_lock`].
    pub fn is_locked(file: &File, offset: u64) -> io::Result<bool> {
        Ok(ofd::conflict(
            file.as_fd(),
            Range {
                start: offset,
                len: 1,
            },
        )?
        .is_some())
    }

    /// The byte's offset in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl Drop for ByteLock {
    fn drop(&mut self) {
        // A forked child shares the description: its drop must not unlock the parent's byte.
        if self.owner == std::process::id() {
            let _ = ofd::unlock(
                self.file.as_fd(),
                Range {
                    start: self.offset,
                    len: 1,
                },
            );
        }
    }
}
