//! The tripwire: an empty file that tells whether another program had the directory.
//!
//! C++ LevelDB removes every temporary file that it does not know whenever it opens a directory, and so does its
//! `DestroyDB` (`DBImpl::RemoveObsoleteFiles` in db/db_impl.cc). So a leader keeps one that no LevelDB ever makes
//! again: number 1 is the first a new database uses. If it is missing, somebody else was here.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Error, Result};

const NAME: &str = "000001.dbtmp";

/// Whether it stands.
pub(crate) fn is_set(dir: &Path) -> Result<bool> {
    match std::fs::symlink_metadata(dir.join(NAME)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(format_args!("cannot look at {NAME}"), error)),
    }
}

/// Sets it. Leaves a file of its name as it is: whoever may write the directory could have put a link there
/// that leads to another file.
pub(crate) fn set(dir: &Path) -> Result<()> {
    match File::create_new(dir.join(NAME)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::io(format_args!("cannot create {NAME}"), error)),
    }
}

/// Takes it away: the next leader takes what it finds for another program's. Durable when this returns.
pub(crate) fn remove(dir: &Path) -> Result<()> {
    let removed = match std::fs::remove_file(dir.join(NAME)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => level_party_os::sync_directory(dir),
    };
    removed.map_err(|error| Error::io(format_args!("cannot remove {NAME}"), error))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn tripwire_set_again_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("precious");
        std::fs::write(&precious, "bytes").unwrap();
        std::os::unix::fs::symlink(&precious, dir.path().join(NAME)).unwrap();
        set(dir.path()).unwrap();
        set(dir.path()).unwrap();
        assert_eq!(std::fs::read(&precious).unwrap(), b"bytes");
        std::fs::remove_file(dir.path().join(NAME)).unwrap();
        assert!(!is_set(dir.path()).unwrap());
        set(dir.path()).unwrap();
        assert!(is_set(dir.path()).unwrap());
    }
}
