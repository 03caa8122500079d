//! `Snapshot`: a frozen moment of a `DB` or a `PrefixedDB`.

use level_party::Snapshot as Moment;
use level_party_locks::RwLock;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::database::find;
use super::iterator::Asked;
use super::{Iterator, RawIterator, Shared, raise};
use crate::source::wait;

/// A frozen moment.
#[pyclass(module = "level_party.plyvel", frozen)]
pub(crate) struct Snapshot {
    open: Shared,
    /// None once it was closed.
    moment: RwLock<Option<Moment>>,
    prefix: Option<Vec<u8>>,
}

fn closed() -> PyErr {
    PyRuntimeError::new_err("Database or snapshot is closed")
}

impl Snapshot {
    pub fn take(py: Python<'_>, open: Shared, prefix: Option<Vec<u8>>) -> PyResult<Self> {
        let moment = moment(py, &open)?;
        Ok(Snapshot {
            open,
            moment: RwLock::new(Some(moment)),
            prefix,
        })
    }

    fn moment(&self) -> PyResult<Moment> {
        self.open.check()?;
        self.moment.read().clone().ok_or_else(closed)
    }
}

/// The database as it is now.
pub(super) fn moment(py: Python<'_>, open: &Shared) -> PyResult<Moment> {
    let db = open.check()?;
    wait(py, || db.snapshot()).map_err(|error| raise(py, &error))
}

#[pymethods]
impl Snapshot {
    #[pyo3(signature = (key, default=None, *, verify_checksums=None, fill_cache=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyBytes>,
        default: Option<Bound<'py, PyAny>>,
        verify_checksums: Option<bool>,
        fill_cache: Option<bool>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let _ = (verify_checksums, fill_cache);
        let prefix = self.prefix.as_deref();
        find(py, &self.moment()?, prefix, key.as_bytes(), default)
    }

    fn __iter__(&self) -> PyResult<Iterator> {
        self.iterator(None)
    }

    #[pyo3(signature = (**asked), text_signature = "(self, *, reverse=False, start=None, stop=None, include_start=True, include_stop=False, prefix=None, include_key=True, include_value=True, verify_checksums=False, fill_cache=True)")]
    fn iterator(&self, asked: Option<&Bound<'_, PyDict>>) -> PyResult<Iterator> {
        let asked = Asked::of(asked)?;
        Iterator::new(
            self.open.clone(),
            self.moment()?,
            self.prefix.as_deref(),
            &asked,
        )
    }

    #[pyo3(signature = (*, verify_checksums=None, fill_cache=None))]
    fn raw_iterator(
        &self,
        verify_checksums: Option<bool>,
        fill_cache: Option<bool>,
    ) -> PyResult<RawIterator> {
        let _ = (verify_checksums, fill_cache);
        Ok(RawIterator::new(self.open.clone(), self.moment()?))
    }

    fn close(&self, py: Python<'_>) {
        let held = self.moment.write().take();
        wait(py, || drop(held));
    }

    fn release(&self, py: Python<'_>) {
        self.close(py);
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> bool {
        self.close(py);
        false
    }
}
