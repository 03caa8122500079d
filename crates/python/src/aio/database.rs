//! `AsyncDatabase`: the handle of a directory, for tasks.

use std::path::PathBuf;

use level_party::AsyncDb;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::events::AsyncEvents;
use super::operation::{Operation, nothing, operation, plain};
use super::source::Place;
use super::store::{AsyncStore, entered};
use crate::errors::OrRaise;
use crate::reports::{record, yielded};

/// One LevelDB directory, shared with every other process that opens it, for tasks.
#[pyclass(module = "level_party", extends = AsyncStore, frozen, weakref)]
pub(crate) struct AsyncDatabase {
    path: PathBuf,
    db: AsyncDb,
}

fn opened(py: Python<'_>, db: AsyncDb, path: PathBuf) -> PyResult<Py<PyAny>> {
    let base = AsyncStore::new(Place::Db(db.clone()));
    let database = Bound::new(py, base.add_subclass(AsyncDatabase { path, db }))?;
    Ok(database.into_any().unbind())
}

/// Opens a database for tasks: `await` it, or enter it with `async with`.
#[pyfunction]
#[pyo3(signature = (path, **options))]
pub(crate) fn open_async<'py>(
    py: Python<'py>,
    path: PathBuf,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (options, place) = (crate::given::options(options)?, path.clone());
    let open = async move { options.open_async(place).await };
    entered(py, operation(open, |py, db| opened(py, db, path)))
}

#[pymethods]
impl AsyncDatabase {
    #[getter]
    fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// `"leader"`, `"follower"` or `"electing"`.
    #[getter]
    fn role(&self) -> &'static str {
        self.db.role().as_str()
    }

    #[getter]
    fn queued_bytes(&self) -> usize {
        self.db.queued_bytes()
    }

    fn status(&self) -> Operation {
        let db = self.db.clone();
        let ask = async move { db.status().await };
        operation(ask, |py, status| Ok(record(py, &status)?.unbind()))
    }

    fn property(&self, name: String) -> Operation {
        let db = self.db.clone();
        operation(async move { db.property(&name).await }, plain)
    }

    fn verify(&self) -> Operation {
        let db = self.db.clone();
        let verify = async move { db.verify().await };
        operation(verify, |py, report| Ok(record(py, &report)?.unbind()))
    }

    fn checkpoint(&self, path: PathBuf) -> Operation {
        let db = self.db.clone();
        operation(async move { db.checkpoint(path).await }, plain)
    }

    fn losses(&self) -> Operation {
        let db = self.db.clone();
        operation(async move { db.losses().await }, plain)
    }

    fn acknowledge_losses(&self) -> Operation {
        let db = self.db.clone();
        operation(async move { db.acknowledge_losses().await }, plain)
    }

    fn yield_leadership(&self) -> Operation {
        let db = self.db.clone();
        let give_way = async move { db.yield_leadership().await };
        operation(give_way, |py, then| Ok(yielded(py, then)?.unbind()))
    }

    fn events(&self, py: Python<'_>) -> PyResult<AsyncEvents> {
        Ok(AsyncEvents::new(self.db.events().or_raise(py)?))
    }

    fn close(&self) -> Operation {
        let db = self.db.clone();
        operation(async move { db.close().await }, nothing)
    }

    fn __repr__(&self) -> String {
        let (path, role) = (self.path.display(), self.role());
        format!("<level_party.AsyncDatabase {path} ({role})>")
    }
}
