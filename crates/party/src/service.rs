//! Whether a database is in use, being filled by a copy, or moved: its service state.
//!
//! In a directory it is the file `level-party.service`, which is not there while the database is live. So that every commit
//! can look at it, a word of `level-party.state` says the same to the members of an epoch; a founder sets the word from the file.
//! The file is changed first ([`Member::change_service_state`]): a crash in between is made good by whoever makes the change again,
//! or comes into force with the next founding.
//!
//! The file, UTF-8: `filling`, a line feed, and how far the copy has come; or `moved`, a line feed, a word of whoever moved it, a
//! line feed, and where the database is now. It is put in place by a rename, so it is there whole or not at all.
//!
//! [`Member::change_service_state`]: crate::member::Member::change_service_state

use std::io;

use level_party_engine::Fs;

use crate::error::{Error, ErrorKind, Result};

const NAME: &str = "level-party.service";
/// It becomes that file by a rename.
const NEW_NAME: &str = "level-party.service-new";
/// A file that is longer is none of ours.
const MAX_BYTES: usize = 1 << 20;

/// Whether a database is in use. It is kept with the database, and is the same for every process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "lowercase")
)]
#[non_exhaustive]
pub enum ServiceState {
    /// It is read and written.
    #[default]
    Live,
    /// A copy is being made into it ([`Migration`](crate::Migration)): opening it fails with [`Busy`](ErrorKind::Busy).
    Filling {
        /// How far the copy has come, as the one who makes it knows it.
        progress: String,
    },
    /// It is elsewhere now: every write fails with [`Moved`](ErrorKind::Moved). Reads show what it was.
    Moved {
        /// Where: a URL without its password, or a path.
        to: String,
        /// A random word of whoever moved it.
        by: String,
    },
}

/// The service state as a word of `level-party.state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceWord {
    Live = 0,
    Filling = 1,
    Moved = 2,
}

impl ServiceWord {
    /// A number that no version has written refuses writes.
    pub fn of(number: u64) -> ServiceWord {
        match number {
            0 => ServiceWord::Live,
            1 => ServiceWord::Filling,
            _ => ServiceWord::Moved,
        }
    }
}

impl ServiceState {
    pub(crate) fn word(&self) -> ServiceWord {
        match self {
            ServiceState::Live => ServiceWord::Live,
            ServiceState::Filling { .. } => ServiceWord::Filling,
            ServiceState::Moved { .. } => ServiceWord::Moved,
        }
    }

    /// What whoever opens or writes such a database is told.
    pub(crate) fn refusal(&self) -> Error {
        match self {
            ServiceState::Live => Error::new(
                ErrorKind::Busy,
                "the database was not in use just now; try again: nothing was written",
            ),
            ServiceState::Filling { .. } => Error::new(
                ErrorKind::Busy,
                "a copy is being made into this database; it can be opened when that is done (`level-party copy`)",
            ),
            ServiceState::Moved { to, .. } => Error::new(
                ErrorKind::Moved,
                format!("the database was moved to {to}; open that instead: nothing was written"),
            ),
        }
    }

    /// What the directory's file says.
    ///
    /// # Errors
    /// `Corruption`: the file says something else; the system's.
    pub(crate) fn read(files: &dyn Fs) -> Result<ServiceState> {
        let content = match files.read(NAME) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ServiceState::Live),
            content => {
                content.map_err(|error| Error::io(format_args!("cannot read {NAME}"), error))?
            }
        };
        let damaged = || {
            let what = format!(
                "{NAME} is damaged; remove it if nobody makes a copy of this database, or into it"
            );
            Error::new(ErrorKind::Corruption, what)
        };
        let text = String::from_utf8(content).map_err(|_| damaged())?;
        match text.split_once('\n') {
            Some(("filling", progress)) => Ok(ServiceState::Filling {
                progress: progress.to_owned(),
            }),
            Some(("moved", rest)) => {
                let (by, to) = rest.split_once('\n').ok_or_else(damaged)?;
                Ok(ServiceState::Moved {
                    to: to.to_owned(),
                    by: by.to_owned(),
                })
            }
            _ => Err(damaged()),
        }
    }

    /// Makes the directory's file say it, durably.
    ///
    /// # Errors
    /// `InvalidArgument`: its text is too long; the system's.
    pub(crate) fn write(&self, files: &dyn Fs) -> Result<()> {
        let content = match self {
            ServiceState::Live => None,
            ServiceState::Filling { progress } => Some(format!("filling\n{progress}")),
            ServiceState::Moved { to, by } => Some(format!("moved\n{by}\n{to}")),
        };
        if content
            .as_ref()
            .is_some_and(|content| content.len() > MAX_BYTES)
        {
            let what = format!("a service state has at most {MAX_BYTES} bytes");
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        let written = match content {
            Some(content) => replace(files, content.as_bytes()),
            None => remove(files),
        };
        written.map_err(|error| Error::io(format_args!("cannot write {NAME}"), error))
    }
}

fn replace(files: &dyn Fs, content: &[u8]) -> io::Result<()> {
    let mut file = files.create(NEW_NAME)?;
    file.append(content)?;
    file.sync()?;
    drop(file);
    files.rename(NEW_NAME, NAME)?;
    files.sync_dir()
}

fn remove(files: &dyn Fs) -> io::Result<()> {
    match files.remove(NAME) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }?;
    files.sync_dir()
}

#[cfg(test)]
mod tests {
    use level_party_engine::StdFs;

    use super::*;

    #[test]
    fn file_says_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let files = StdFs::new(dir.path());
        let states = [
            ServiceState::Live,
            ServiceState::Filling {
                progress: "a\nb".to_owned(),
            },
            ServiceState::Moved {
                to: "postgres://host/db".to_owned(),
                by: "0123".to_owned(),
            },
            ServiceState::Live,
        ];
        for state in states {
            state.write(&files).unwrap();
            assert_eq!(ServiceState::read(&files).unwrap(), state);
        }
        assert!(!dir.path().join(NAME).exists());
    }

    #[test]
    fn damaged_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let files = StdFs::new(dir.path());
        for content in [
            &b""[..],
            b"moved",
            b"moved\nx",
            b"live\n",
            b"\xff\n",
            b"filled\n",
        ] {
            std::fs::write(dir.path().join(NAME), content).unwrap();
            let error = ServiceState::read(&files).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption);
        }
    }
}
