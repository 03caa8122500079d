//! A directory held by a program that is no party member.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::fs::{FlockOperation, fcntl_lock, flock};

/// How another program locks `LOCK`. On Linux the two do not see each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// As C++ LevelDB does: `fcntl`, by process.
    Fcntl,
    /// As many Rust and Go programs do: `flock`, by open file.
    Flock,
}

/// This process holding a directory's `LOCK` as another program would, until dropped.
#[derive(Debug)]
pub struct ForeignLock {
    _file: File,
}

impl ForeignLock {
    /// Takes `LOCK` in `dir` as C++ LevelDB does, creating the file if it is missing.
    ///
    /// # Panics
    /// If somebody holds it.
    pub fn take(dir: impl AsRef<Path>) -> Self {
        let path = dir.as_ref().join("LOCK");
        Self::try_take(dir, LockKind::Fcntl)
            .unwrap_or_else(|| panic!("{} cannot be locked", path.display()))
    }

    /// Takes `LOCK` in `dir`, creating the file if it is missing; `None` if somebody holds it.
    ///
    /// # Panics
    /// If the file cannot be opened.
    pub fn try_take(dir: impl AsRef<Path>, kind: LockKind) -> Option<Self> {
        let path = dir.as_ref().join("LOCK");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let file =
            file.unwrap_or_else(|error| panic!("{} cannot be opened: {error}", path.display()));
        let operation = FlockOperation::NonBlockingLockExclusive;
        let taken = match kind {
            LockKind::Fcntl => fcntl_lock(&file, operation),
            LockKind::Flock => flock(&file, operation),
        };
        taken.ok().map(|()| ForeignLock { _file: file })
    }
}
