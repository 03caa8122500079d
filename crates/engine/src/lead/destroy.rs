//! Destroy: removes a database's files, and no others.
//!
//! Promises: `CURRENT` goes first, and durably, so that a crash in the middle leaves nothing that opens as a whole
//! database; calling it again finishes the work. Files with other names are left alone, and so are `LOCK`, which others
//! may hold open, and directories.
//! Must not know: who holds the directory's `LOCK`: the caller does, throughout.

use std::io;

use level_party_format::filename::{self, CURRENT, FileKind};

use crate::base::error::{Error, Result};
use crate::base::fs::Fs;

/// What [`destroy`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destroyed {
    /// The names that were removed, in that order.
    pub removed: Vec<String>,
    /// The names that are left: they are not the database's.
    pub left: Vec<String>,
}

/// Removes LevelDB's own files from a directory. An empty or missing database is no error.
///
/// # Errors
/// The system's error; some files may be gone then.
///
/// ```
/// use std::sync::Arc;
/// use level_party_engine::{Engine, Fs, MemFs, Options, destroy};
///
/// let files = MemFs::new();
/// files.write("notes.txt", "mine");
/// Engine::open(Arc::new(files.clone()), Options::default())?.close()?;
/// let done = destroy(&files)?;
/// assert_eq!(done.removed[0], "CURRENT");
/// assert_eq!(files.list().unwrap(), ["notes.txt"]);
/// # Ok::<(), level_party_engine::Error>(())
/// ```
pub fn destroy(fs: &dyn Fs) -> Result<Destroyed> {
    let names = fs
        .list()
        .map_err(|error| Error::io("list", "the directory", error))?;
    let mut ours: Vec<(u8, String)> = Vec::new();
    let mut done = Destroyed::default();
    for name in names {
        match filename::parse(&name).and_then(|(kind, _)| turn(kind)) {
            Some(turn) => ours.push((turn, name)),
            None => done.left.push(name),
        }
    }
    ours.sort();
    for (_, name) in ours {
        match fs.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &name, error));
            }
            _ => {}
        }
        if name == CURRENT {
            sync_dir(fs)?;
        }
        done.removed.push(name);
    }
    sync_dir(fs)?;
    Ok(done)
}

/// When a file's turn is. Logs come right after `CURRENT`: LevelDB replays those it finds into a new database.
fn turn(kind: FileKind) -> Option<u8> {
    match kind {
        FileKind::Current => Some(0),
        FileKind::Log => Some(1),
        FileKind::Manifest => Some(2),
        FileKind::Table | FileKind::Temp | FileKind::InfoLog => Some(3),
        FileKind::Lock => None,
    }
}

fn sync_dir(fs: &dyn Fs) -> Result<()> {
    fs.sync_dir()
        .map_err(|error| Error::io("sync", "the directory", error))
}
