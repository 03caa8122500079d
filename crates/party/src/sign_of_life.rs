//! A session's sign of life: a locked byte of `level-party.state`, which is its place in the table of sessions.
//!
//! The kernel gives the byte back when the process dies, however it dies and whoever asks; a pid says nothing across
//! pid namespaces. The session finds a free byte by itself and names it to each leader in its hello.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use level_party_os::{ByteLock, DirIdentity};
use parking_lot::Mutex;

use crate::state::{PLACES, STATE_NAME, byte_of};

/// Who a session is to a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub session: [u64; 2],
    /// Its place in the table of sessions; `None` where it found none. A leader that is new then waits for it as long as
    /// for those it knows nothing of.
    pub place: Option<u32>,
}

#[derive(Default)]
pub(crate) struct SignOfLife {
    held: Mutex<Option<Held>>,
}

struct Held {
    _lock: ByteLock,
    place: u32,
    /// Which file it is: the directory's owner may have deleted it and a leader made another.
    file: DirIdentity,
}

impl SignOfLife {
    /// The place of `session` in the state file of the directory `dir`, taken now if it has none there.
    pub fn give(&self, dir: &Path, session: [u64; 2]) -> Member {
        let path = dir.join(STATE_NAME);
        let mut held = self.held.lock();
        let file = DirIdentity::of_file_at(&path).ok().flatten();
        if held.as_ref().map(|held| held.file) != file {
            *held = file.and_then(|file| take(&path, file, session));
        }
        Member {
            session,
            place: held.as_ref().map(|held| held.place),
        }
    }

    /// The session ends: nobody need wait for it.
    pub fn end(&self) {
        *self.held.lock() = None;
    }
}

/// The first free place from one that depends on the session. `None`: all are taken, or the file can't be used; the
/// session lives without.
fn take(path: &Path, identity: DirIdentity, session: [u64; 2]) -> Option<Held> {
    let file = File::options().read(true).write(true).open(path).ok()?;
    let file = Arc::new(file);
    let first = (session[0] % u64::from(PLACES)) as u32;
    (0..PLACES).find_map(|step| {
        let place = (first + step) % PLACES;
        let lock = ByteLock::try_lock(&file, byte_of(place)).ok().flatten()?;
        Some(Held {
            _lock: lock,
            place,
            file: identity,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateFile;

    #[test]
    fn each_session_has_a_place_of_its_own_for_as_long_as_it_lives() {
        let dir = tempfile::tempdir().unwrap();
        let none = SignOfLife::default().give(dir.path(), [9, 0]);
        assert_eq!(none.place, None, "there is no file yet");
        let state = StateFile::open(dir.path()).unwrap();
        let (one, other) = (SignOfLife::default(), SignOfLife::default());
        let last = u64::from(PLACES) - 1;
        assert_eq!(one.give(dir.path(), [last, 1]).place, Some(PLACES - 1));
        assert_eq!(one.give(dir.path(), [last, 1]).place, Some(PLACES - 1));
        assert_eq!(other.give(dir.path(), [last, 2]).place, Some(0), "around");
        assert!(state.is_alive(PLACES - 1) && state.is_alive(0) && !state.is_alive(1));
        one.end();
        assert!(!state.is_alive(PLACES - 1));
    }

    #[test]
    #[cfg(unix)] // Windows removes no file that is mapped
    fn a_state_file_made_anew_gets_a_new_sign() {
        let dir = tempfile::tempdir().unwrap();
        let sign = SignOfLife::default();
        let old = StateFile::open(dir.path()).unwrap();
        let place = sign.give(dir.path(), [5, 1]).place.unwrap();
        std::fs::remove_file(dir.path().join(STATE_NAME)).unwrap();
        let new = StateFile::open(dir.path()).unwrap();
        assert!(!new.is_alive(place));
        assert_eq!(sign.give(dir.path(), [5, 1]).place, Some(place));
        assert!(new.is_alive(place) && !old.is_alive(place));
    }
}
