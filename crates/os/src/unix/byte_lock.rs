//! A lock on one byte of a file: a sign of life that the kernel takes back when its holder dies,
//! and that means the same in every pid namespace.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use crate::fork::ForkGuard;
use crate::ofd::{self, Range};

/// An exclusive lock on one byte, held until it is dropped or the process dies (a forked child
/// doesn't keep it). The byte need not exist in the file.
///
/// The lock belongs to the `File`'s open file description: a second lock on the same byte through the
/// same `Arc<File>` succeeds and is the same lock, and clones made by `try_clone` share it. Open the
/// file once per owner.
///
/// ```
/// use std::{fs::File, sync::Arc};
/// use level_party_os::ByteLock;
/// let tmp = tempfile::NamedTempFile::new()?;
/// let open = || File::options().read(true).write(true).open(tmp.path());
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
    /// First, so that it leaves before the file's descriptor can be closed and reused.
    _guard: ForkGuard,
    file: Arc<File>,
    offset: u64,
    owner: u32,
}

impl ByteLock {
    /// Locks the byte at `offset`, or answers `None` if another description has it. `file` must be
    /// open for writing.
    ///
    /// # Errors
    /// `InvalidInput` for an offset beyond a file's size; whatever `fcntl(2)` says.
    pub fn try_lock(file: &Arc<File>, offset: u64) -> io::Result<Option<Self>> {
        let guard = ForkGuard::new(file.as_fd())?;
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
            _guard: guard,
        }))
    }

    /// Whether another open file description has the byte at `offset` locked.
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
