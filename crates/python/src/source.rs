//! What Python's objects stand for: the crate's handles behind one type each, and what blocks without the interpreter.

use level_party::{Db, Error, Range, Readable, Snapshot, Sublevel};
use level_party_locks::RwLock;
use pyo3::prelude::*;

use crate::errors::{Failure, Result};
use crate::given::{Span, Walk};

/// A database or a part of it: what can be written to.
#[derive(Clone)]
pub(crate) enum Place {
    Db(Db),
    Sublevel(Sublevel),
}

/// Calls the same method of either.
macro_rules! at {
    ($place:expr, $it:ident => $call:expr) => {
        match $place {
            $crate::source::Place::Db($it) => $call,
            $crate::source::Place::Sublevel($it) => $call,
        }
    };
}
pub(crate) use at;

impl Place {
    pub fn snapshot(&self) -> Result<Snapshot> {
        Ok(at!(self, place => place.snapshot())?)
    }
}

/// What can be read.
pub(crate) enum Source {
    Place(Place),
    /// None once it was closed. Whoever holds the lock needs no interpreter for what it does then.
    Snapshot(RwLock<Option<Snapshot>>),
}

impl Source {
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self {
            Source::Place(Place::Db(db)) => Ok(db.get(key)?),
            Source::Place(Place::Sublevel(sublevel)) => Ok(sublevel.get(key)?),
            Source::Snapshot(snapshot) => open(snapshot, |at| at.get(key)),
        }
    }

    pub fn contains(&self, key: &[u8]) -> Result<bool> {
        match self {
            Source::Place(place) => Ok(at!(place, place => place.contains(key))?),
            Source::Snapshot(snapshot) => open(snapshot, |at| at.contains(key)),
        }
    }

    pub fn get_many(&self, keys: &[impl AsRef<[u8]>]) -> Result<Vec<Option<Vec<u8>>>> {
        match self {
            Source::Place(place) => Ok(at!(place, place => place.get_many(keys))?),
            Source::Snapshot(snapshot) => open(snapshot, |at| at.get_many(keys)),
        }
    }

    pub fn range(&self, span: Span) -> Result<Range> {
        match self {
            Source::Place(place) => Ok(at!(place, place => place.range(span.bounds()))),
            Source::Snapshot(snapshot) => open(snapshot, |at| Ok(at.range(span.bounds()))),
        }
    }

    /// The range with its limit.
    pub fn walk(&self, walk: &Walk) -> Result<Range> {
        let range = self.range(walk.span.clone())?;
        Ok(match walk.limit {
            Some(limit) => range.limit(limit),
            None => range,
        })
    }
}

/// What `read` reads of the snapshot, while it is open.
pub(crate) fn open<T>(
    snapshot: &RwLock<Option<Snapshot>>,
    read: impl FnOnce(&Snapshot) -> std::result::Result<T, Error>,
) -> Result<T> {
    match &*snapshot.read() {
        Some(snapshot) => Ok(read(snapshot)?),
        None => Err(Failure::Closed("this snapshot was closed")),
    }
}

/// Waits for `call` without the interpreter, which other threads can have meanwhile.
pub(crate) fn wait<T: Send>(py: Python<'_>, call: impl FnOnce() -> T + Send) -> T {
    py.detach(call)
}
