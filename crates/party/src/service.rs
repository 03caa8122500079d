//! Whether a database is in use, being filled by a copy, or moved: its service state.
//!
//! In a directory it is the file `level-party.service`, which is not there while the database is live. So that every commit
//! can look at it, a word of `level-party.state` says the same to the members of an epoch; a founder sets the word from the file.
//! The file is changed first ([`Member::change_service_state`]), and counts: where a crash in between left another word, it is set
//! by whoever changes the state next or [settles](crate::member::Member::settle_service_state) it, or by the next founding.
//!
//! The file, UTF-8: `filling`, a line feed, and how far the copy has come; or `moved`, a line feed, a word of whoever moved it, a
//! line feed, and where the database is now. It is put in place by a rename, so it is there whole or not at all.
//!
//! [`Member::change_service_state`]: crate::member::Member::change_service_state

use std::io;

use level_party_engine::Fs;
pub(crate) use level_party_remote::SEALED;
pub use level_party_remote::ServiceState;

use crate::error::{Error, ErrorKind, Result};

const NAME: &str = "level-party.service";
/// It becomes that file by a rename.
const NEW_NAME: &str = "level-party.service-new";
/// A state that takes more is not kept.
const MAX_BYTES: usize = 1 << 20;

/// The service state as a word of `level-party.state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceWord {
    Live = 0,
    Filling = 1,
    Moved = 2,
    /// It is filled, and whoever fills it writes no more either: both are compared.
    Sealed = 3,
}

impl ServiceWord {
    /// A number that no version has written refuses writes.
    pub fn of(number: u64) -> ServiceWord {
        match number {
            0 => ServiceWord::Live,
            1 => ServiceWord::Filling,
            3 => ServiceWord::Sealed,
            _ => ServiceWord::Moved,
        }
    }
}

impl From<&ServiceState> for ServiceWord {
    fn from(state: &ServiceState) -> ServiceWord {
        match state {
            ServiceState::Live => ServiceWord::Live,
            ServiceState::Filling { .. } if state.is_sealed() => ServiceWord::Sealed,
            ServiceState::Filling { .. } => ServiceWord::Filling,
            _ => ServiceWord::Moved,
        }
    }
}

/// What whoever opens or writes a database in this state is told.
pub(crate) fn refusal(state: &ServiceState) -> Error {
    Error::remote(state.refusal())
}

/// What the directory's file says.
///
/// # Errors
/// `Corruption`: the file says something else; the system's.
pub(crate) fn read(files: &dyn Fs) -> Result<ServiceState> {
    let content = match files.read(NAME) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ServiceState::Live),
        content => content.map_err(|error| Error::io(format_args!("cannot read {NAME}"), error))?,
    };
    let text = std::str::from_utf8(&content).ok();
    let state = text.and_then(|text| ServiceState::parse(text).ok());
    state
        .filter(|state| *state != ServiceState::Live)
        .ok_or_else(|| {
            let what = format!(
                "{NAME} is damaged; remove it if nobody makes a copy of this database, or into it"
            );
            Error::new(ErrorKind::Corruption, what)
        })
}

/// Makes the directory's file say it, durably.
///
/// # Errors
/// `InvalidArgument`: its text is too long; the system's.
pub(crate) fn write(files: &dyn Fs, state: &ServiceState) -> Result<()> {
    let content = state.to_text();
    if content.len() > MAX_BYTES {
        let what = format!("a service state has at most {MAX_BYTES} bytes");
        return Err(Error::new(ErrorKind::InvalidArgument, what));
    }
    let written = match state {
        ServiceState::Live => remove(files),
        _ => replace(files, content.as_bytes()),
    };
    written.map_err(|error| Error::io(format_args!("cannot write {NAME}"), error))
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
            write(&files, &state).unwrap();
            assert_eq!(read(&files).unwrap(), state);
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
            let error = read(&files).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption);
        }
    }
}
