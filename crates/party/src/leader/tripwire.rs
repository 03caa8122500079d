//! The tripwire: an empty file that tells whether another program had the directory.
//!
//! C++ LevelDB removes every temporary file that it does not know whenever it opens a directory, and so does its
//! `DestroyDB` (`DBImpl::RemoveObsoleteFiles` in db/db_impl.cc). So a leader keeps one that no LevelDB ever makes
//! again: number 1 is the first a new database uses. If it is missing, somebody else was here.

use std::fs::OpenOptions;
use std::path::Path;

use crate::error::{Error, Result};

const NAME: &str = "000001.dbtmp";

/// Whether it stands.
pub(super) fn is_set(dir: &Path) -> Result<bool> {
    let path = dir.join(NAME);
    path.try_exists()
        .map_err(|e| Error::io(format_args!("cannot look at {}", path.display()), e))
}

/// Sets it.
pub(super) fn set(dir: &Path) -> Result<()> {
    let path = dir.join(NAME);
    let created = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path);
    created
        .map(drop)
        .map_err(|e| Error::io(format_args!("cannot create {}", path.display()), e))
}
