//! The classes of `level_party.plyvel`: plyvel's API over this crate. `python/level_party/plyvel.py` says what differs.

mod batch;
mod cursor;
mod database;
mod iterator;
mod prefixed;
mod raw;
mod snapshot;

pub(crate) use batch::WriteBatch;
pub(crate) use database::{DB, destroy_db, repair_db};
pub(crate) use iterator::Iterator;
pub(crate) use prefixed::PrefixedDB;
pub(crate) use raw::RawIterator;
pub(crate) use snapshot::Snapshot;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use level_party::{Db, Error, ErrorKind};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::source::wait;

static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// plyvel's exception for an error.
fn raise(py: Python<'_>, error: &Error) -> PyErr {
    if error.kind() == ErrorKind::Closed {
        return PyRuntimeError::new_err("Database is closed");
    }
    raise_as(py, error.kind(), error.message())
}

fn raise_as(py: Python<'_>, kind: ErrorKind, message: &str) -> PyErr {
    let made = MAKE
        .import(py, "level_party.plyvel", "_make")
        .and_then(|make| make.call1((kind.as_str(), message)));
    made.map_or_else(|failed| failed, PyErr::from_value)
}

/// What all objects of one `DB` share.
pub(crate) struct Open {
    db: Db,
    closed: AtomicBool,
}

impl Open {
    /// Raises what plyvel raises of a closed database.
    fn check(&self) -> PyResult<&Db> {
        match self.closed.load(Ordering::Acquire) {
            false => Ok(&self.db),
            true => Err(PyRuntimeError::new_err("Database is closed")),
        }
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.closed.store(true, Ordering::Release);
        wait(py, || self.db.close()).map_err(|error| raise(py, &error))
    }
}

/// A key behind a prefix, where there is one.
fn behind(prefix: Option<&[u8]>, key: &[u8]) -> Vec<u8> {
    [prefix.unwrap_or_default(), key].concat()
}

pub(crate) type Shared = Arc<Open>;
