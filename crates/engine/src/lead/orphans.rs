//! Orphans: tables and logs in a directory without `CURRENT`.
//!
//! Promises: without `CURRENT` there is no database, but a table or a log with entries shows that one was here. Making a
//! new one would destroy what is left of it (LevelDB does).
//! Must not know: who asks, or what a repair makes of the files.

use level_party_format::filename::{self, FileKind};

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::Fs;

/// Refuses a directory without `CURRENT` that holds data of a database.
///
/// ```
/// use level_party_engine::{ErrorKind, Fs, MemFs, check_no_orphans};
///
/// let fs = MemFs::new();
/// check_no_orphans(&fs)?;
/// fs.create("000005.ldb")?;
/// assert_eq!(check_no_orphans(&fs).unwrap_err().kind(), ErrorKind::Corruption);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Corruption`]: the message names the first such file; or the system's error.
pub fn check_no_orphans(fs: &dyn Fs) -> Result<()> {
    let mut names = fs
        .list()
        .map_err(|error| Error::io("list", "the directory", error))?;
    names.sort();
    for name in names {
        let holds_data = match filename::parse(&name) {
            Some((FileKind::Table, _)) => true,
            Some((FileKind::Log, _)) => {
                let file = fs
                    .open_read(&name)
                    .map_err(|error| Error::io("open", &name, error))?;
                !file.is_empty()
            }
            _ => false,
        };
        if holds_data {
            let message = format!("CURRENT is missing, but {name} holds data of a database");
            return Err(Error::new(ErrorKind::Corruption, message));
        }
    }
    Ok(())
}
