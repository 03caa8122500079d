//! `Batch`: writes that take effect together.

use level_party::WriteBatch;
use level_party_locks::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::errors::OrRaise;
use crate::given::Given;
use crate::source::{Place, at, wait};
use crate::store::Store;

/// Writes that take effect together, or not at all.
#[pyclass(module = "level_party", frozen)]
pub(crate) struct Batch {
    place: Place,
    /// None while it is being written.
    batch: Mutex<Option<WriteBatch>>,
}

impl Batch {
    pub fn new(place: Place, sync: Option<bool>) -> Self {
        let mut batch = WriteBatch::new();
        if let Some(sync) = sync {
            batch.sync(sync);
        }
        Batch {
            place,
            batch: Mutex::new(Some(batch)),
        }
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut WriteBatch) -> T) -> PyResult<T> {
        match &mut *self.batch.lock() {
            Some(batch) => Ok(change(batch)),
            None => Err(PyRuntimeError::new_err(
                "this batch is being written by another thread",
            )),
        }
    }

    fn add(&self, key: &[u8], value: Option<&[u8]>) -> PyResult<()> {
        self.with(|batch| {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            };
        })
    }

    /// Writes it; `clear` says whether it is empty then. It is as it was where that fails.
    pub fn write_now(&self, py: Python<'_>, clear: bool) -> PyResult<()> {
        let Some(mut batch) = self.batch.lock().take() else {
            return self.with(|_| ());
        };
        let written = wait(py, || at!(&self.place, place => place.write(&batch)));
        if clear && written.is_ok() {
            batch.clear();
        }
        *self.batch.lock() = Some(batch);
        written.or_raise(py)
    }
}

#[pymethods]
impl Batch {
    fn put(&self, key: Given<'_>, value: Given<'_>) -> PyResult<()> {
        self.add(key.bytes(), Some(value.bytes()))
    }

    fn delete(&self, key: Given<'_>) -> PyResult<()> {
        self.add(key.bytes(), None)
    }

    fn __setitem__(&self, key: Given<'_>, value: Given<'_>) -> PyResult<()> {
        self.add(key.bytes(), Some(value.bytes()))
    }

    fn __delitem__(&self, key: Given<'_>) -> PyResult<()> {
        self.add(key.bytes(), None)
    }

    /// Sets a key of another sublevel, or of the whole database.
    fn put_in(&self, store: PyRef<'_, Store>, key: Given<'_>, value: Given<'_>) -> PyResult<()> {
        let place = Store::place(&store)?;
        self.with(|batch| {
            at!(place, view => batch.put_in(view, key.bytes(), value.bytes()));
        })
    }

    /// Removes a key of another sublevel, or of the whole database.
    fn delete_in(&self, store: PyRef<'_, Store>, key: Given<'_>) -> PyResult<()> {
        let place = Store::place(&store)?;
        self.with(|batch| {
            at!(place, view => batch.delete_in(view, key.bytes()));
        })
    }

    fn write(&self, py: Python<'_>) -> PyResult<()> {
        self.write_now(py, true)
    }

    fn clear(&self) -> PyResult<()> {
        self.with(WriteBatch::clear)
    }

    #[getter]
    fn byte_size(&self) -> PyResult<usize> {
        self.with(|batch| batch.byte_size())
    }

    fn __len__(&self) -> PyResult<usize> {
        self.with(|batch| batch.len())
    }

    fn __bool__(&self) -> bool {
        true
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    /// Writes it, unless the block ended with an exception.
    #[pyo3(signature = (kind=None, _value=None, _traceback=None))]
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: Option<Bound<'_, PyAny>>,
        _value: Option<Bound<'_, PyAny>>,
        _traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        match kind {
            None => self.write_now(py, true),
            Some(_) => self.clear(),
        }
    }
}
