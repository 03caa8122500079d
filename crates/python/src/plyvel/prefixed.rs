//! `PrefixedDB`: the keys of a `DB` that begin with a prefix, seen without it.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::database::{DB, find, set};
use super::iterator::Asked;
use super::snapshot::moment;
use super::{Iterator, Snapshot, WriteBatch, behind};
use crate::given::Given;

/// The keys of a database that begin with a prefix, seen without it.
#[pyclass(module = "level_party.plyvel", frozen)]
pub(crate) struct PrefixedDB {
    db: Py<DB>,
    prefix: Vec<u8>,
}

impl PrefixedDB {
    pub fn behind(db: Py<DB>, prefix: Vec<u8>) -> Self {
        PrefixedDB { db, prefix }
    }
}

#[pymethods]
impl PrefixedDB {
    #[new]
    #[pyo3(signature = (*, db, prefix))]
    fn new(db: Py<DB>, prefix: &Bound<'_, PyBytes>) -> Self {
        PrefixedDB::behind(db, prefix.as_bytes().to_vec())
    }

    #[getter]
    fn db(&self, py: Python<'_>) -> Py<DB> {
        self.db.clone_ref(py)
    }

    #[getter]
    fn prefix<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.prefix)
    }

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
        let db = self.db.get().shared().check()?;
        find(py, db, Some(&self.prefix), key.as_bytes(), default)
    }

    #[pyo3(signature = (key, value, *, sync=None))]
    fn put(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyBytes>,
        value: Given<'_>,
        sync: Option<bool>,
    ) -> PyResult<()> {
        let key = behind(Some(&self.prefix), key.as_bytes());
        set(py, self.db.get().shared(), &key, Some(value.bytes()), sync)
    }

    #[pyo3(signature = (key, *, sync=None))]
    fn delete(&self, py: Python<'_>, key: &Bound<'_, PyBytes>, sync: Option<bool>) -> PyResult<()> {
        let key = behind(Some(&self.prefix), key.as_bytes());
        set(py, self.db.get().shared(), &key, None, sync)
    }

    #[pyo3(signature = (*, transaction=None, sync=None))]
    fn write_batch(&self, transaction: Option<bool>, sync: Option<bool>) -> WriteBatch {
        let open = self.db.get().shared().clone();
        let (transaction, sync) = (transaction.unwrap_or(false), sync.unwrap_or(false));
        WriteBatch::new(open, &self.prefix, transaction, sync)
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<Iterator> {
        self.iterator(py, None)
    }

    #[pyo3(signature = (**asked), text_signature = "(self, *, reverse=False, start=None, stop=None, include_start=True, include_stop=False, prefix=None, include_key=True, include_value=True, verify_checksums=False, fill_cache=True)")]
    fn iterator(&self, py: Python<'_>, asked: Option<&Bound<'_, PyDict>>) -> PyResult<Iterator> {
        let (asked, open) = (Asked::of(asked)?, self.db.get().shared());
        Iterator::new(open.clone(), moment(py, open)?, Some(&self.prefix), &asked)
    }

    fn snapshot(&self, py: Python<'_>) -> PyResult<Snapshot> {
        let open = self.db.get().shared().clone();
        Snapshot::take(py, open, Some(self.prefix.clone()))
    }

    fn prefixed_db(&self, py: Python<'_>, prefix: &Bound<'_, PyBytes>) -> PrefixedDB {
        let prefix = behind(Some(&self.prefix), prefix.as_bytes());
        PrefixedDB::behind(self.db.clone_ref(py), prefix)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let prefix = PyBytes::new(py, &self.prefix).repr()?.to_string();
        Ok(format!("<plyvel.PrefixedDB with prefix {prefix}>"))
    }
}
