//! `Database`: the handle of a directory.

use std::path::PathBuf;

use level_party::{Db, Options};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::errors::OrRaise;
use crate::events::Events;
use crate::reports::{record, yielded};
use crate::source::{Place, wait};
use crate::store::Store;

/// One LevelDB directory, shared with every other process that opens it.
#[pyclass(module = "level_party", extends = Store, frozen, weakref)]
pub(crate) struct Database {
    path: PathBuf,
    db: Db,
    /// As they were given, for whoever opens it again.
    options: Py<PyDict>,
}

impl Database {
    fn new(
        py: Python<'_>,
        db: Db,
        path: PathBuf,
        options: Py<PyDict>,
    ) -> PyResult<Bound<'_, Self>> {
        let database = Database {
            path,
            db: db.clone(),
            options,
        };
        Bound::new(py, Store::new(Place::Db(db)).add_subclass(database))
    }
}

/// The options as they were given, kept apart from what the caller may change.
pub(crate) fn kept(py: Python<'_>, given: Option<&Bound<'_, PyDict>>) -> PyResult<Py<PyDict>> {
    Ok(match given {
        Some(given) => given.copy()?.unbind(),
        None => PyDict::new(py).unbind(),
    })
}

#[pyfunction]
#[pyo3(signature = (path, **options), text_signature = "(path, *, create_if_missing=True, error_if_exists=False, reject_writes=False, sync=False, lead='auto', open_timeout=10.0, timeout=30.0, retry=True, queue_bytes=67108864, when_full='wait', write_buffer_size=4194304, block_size=4096, max_file_size=2097152, compression='snappy', bloom_bits_per_key=None, watch_history_bytes=4194304, block_cache_bytes=8388608, map_tables=False, raise_descriptor_limit=True)")]
pub(crate) fn open<'py>(
    py: Python<'py>,
    path: PathBuf,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, Database>> {
    let with: Options = crate::given::options(options)?;
    let db = wait(py, || with.open(&path)).or_raise(py)?;
    Database::new(py, db, path, kept(py, options)?)
}

#[pymethods]
impl Database {
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

    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let db = &self.db;
        record(py, &wait(py, || db.status()).or_raise(py)?)
    }

    fn property(&self, py: Python<'_>, name: &str) -> PyResult<Option<String>> {
        let db = &self.db;
        wait(py, || db.property(name)).or_raise(py)
    }

    fn verify<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let db = &self.db;
        record(py, &wait(py, || db.verify()).or_raise(py)?)
    }

    fn checkpoint(&self, py: Python<'_>, path: PathBuf) -> PyResult<u64> {
        let db = &self.db;
        wait(py, || db.checkpoint(path)).or_raise(py)
    }

    fn losses(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let db = &self.db;
        wait(py, || db.losses()).or_raise(py)
    }

    fn acknowledge_losses(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let db = &self.db;
        wait(py, || db.acknowledge_losses()).or_raise(py)
    }

    fn yield_leadership<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let db = &self.db;
        yielded(py, wait(py, || db.yield_leadership()).or_raise(py)?)
    }

    fn events(&self, py: Python<'_>) -> PyResult<Events> {
        Ok(Events::new(self.db.to_async().events().or_raise(py)?))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let db = &self.db;
        wait(py, || db.close()).or_raise(py)
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py)
    }

    /// Pickled, it is opened anew where it is unpickled.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let again = py.import("level_party._pickle")?.getattr("database")?;
        (again, (&self.path, self.options.clone_ref(py))).into_pyobject(py)
    }

    fn __repr__(&self) -> String {
        let (path, role) = (self.path.display(), self.role());
        format!("<level_party.Database {path} ({role})>")
    }
}

#[pyfunction]
pub(crate) fn destroy(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyAny>> {
    record(py, &wait(py, || Db::destroy(path)).or_raise(py)?)
}

#[pyfunction]
#[pyo3(signature = (path, *, dry_run=false, bring_back_aside=true, allow_empty=false))]
pub(crate) fn repair(
    py: Python<'_>,
    path: PathBuf,
    dry_run: bool,
    bring_back_aside: bool,
    allow_empty: bool,
) -> PyResult<Bound<'_, PyAny>> {
    let options = Db::repair_options()
        .dry_run(dry_run)
        .bring_back_aside(bring_back_aside)
        .allow_empty(allow_empty);
    record(py, &wait(py, || options.run(path)).or_raise(py)?)
}
