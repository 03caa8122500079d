//! What Python's objects stand for: the crate's handles behind one type each, and what blocks without the interpreter.

use std::task::Poll;

use level_party::{Db, Error, Range, Readable, Snapshot, Sublevel};
use level_party_locks::RwLock;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

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
    /// None once it was closed. The lock is held for moments only: never while something is waited for.
    Snapshot(RwLock<Option<Snapshot>>),
}

impl Source {
    /// The value of a key.
    pub fn find<'py>(&self, py: Python<'py>, key: &[u8]) -> Result<Option<Bound<'py, PyBytes>>> {
        let made = |value: &[u8]| PyBytes::new(py, value);
        match self.try_get_with(key, made) {
            Poll::Ready(found) => found,
            Poll::Pending => Ok(wait(py, || self.get(key))?.map(|value| made(&value))),
        }
    }

    /// Whether a key has a value.
    pub fn contains(&self, py: Python<'_>, key: &[u8]) -> Result<bool> {
        match self.try_get_with(key, |_| ()) {
            Poll::Ready(found) => Ok(found?.is_some()),
            Poll::Pending => wait(py, || self.has(key)),
        }
    }

    /// A read that keeps the interpreter, if it waits for nothing.
    fn try_get_with<T>(
        &self,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> T,
    ) -> Poll<Result<Option<T>>> {
        let found = match self {
            Source::Place(place) => at!(place, place => place.try_get_with(key, read)),
            Source::Snapshot(snapshot) => match &*snapshot.read() {
                Some(at) => at.try_get_with(key, read),
                None => return Poll::Ready(Err(CLOSED)),
            },
        };
        found.map_err(Failure::from)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self {
            Source::Place(place) => Ok(at!(place, place => place.get(key))?),
            Source::Snapshot(snapshot) => open(snapshot, |at| at.get(key)),
        }
    }

    fn has(&self, key: &[u8]) -> Result<bool> {
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

const CLOSED: Failure = Failure::Closed("this snapshot was closed");

/// What `read` reads of the snapshot, while it is open.
pub(crate) fn open<T>(
    snapshot: &RwLock<Option<Snapshot>>,
    read: impl FnOnce(&Snapshot) -> std::result::Result<T, Error>,
) -> Result<T> {
    let held = snapshot.read().clone();
    Ok(read(&held.ok_or(CLOSED)?)?)
}

/// Waits for `call` without the interpreter, which other threads can have meanwhile.
pub(crate) fn wait<T: Send>(py: Python<'_>, call: impl FnOnce() -> T + Send) -> T {
    py.detach(call)
}
