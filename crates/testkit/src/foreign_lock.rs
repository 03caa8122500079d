//! A directory held by a program that is no party member.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::fs::{FlockOperation, fcntl_lock};

/// This process holding a directory's `LOCK` as C++ LevelDB does (`fcntl`, by process), until dropped.
#[derive(Debug)]
pub struct ForeignLock {
    _file: File,
}

impl ForeignLock {
    /// Takes `LOCK` in `dir`, creating the file if it is missing.
    ///
    /// # Panics
    /// If somebody holds it.
    pub fn take(dir: impl AsRef<Path>) -> Self {
        let path = dir.as_ref().join("LOCK");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let file =
            file.unwrap_or_else(|error| panic!("{} cannot be opened: {error}", path.display()));
        let taken = fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive);
        taken.unwrap_or_else(|error| panic!("{} cannot be locked: {error}", path.display()));
        ForeignLock { _file: file }
    }
}
