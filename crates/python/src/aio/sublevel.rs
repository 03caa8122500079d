//! `AsyncSublevel`: a part of a database, for tasks.

use level_party::AsyncSublevel as Part;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::source::Place;
use super::store::AsyncStore;

/// A part of a database with keys of its own, for tasks.
#[pyclass(module = "level_party", extends = AsyncStore, frozen)]
pub(crate) struct AsyncSublevel {
    parent: Py<AsyncStore>,
    prefix: Vec<u8>,
}

impl AsyncSublevel {
    pub fn new(py: Python<'_>, part: Part, parent: Py<AsyncStore>) -> PyResult<Bound<'_, Self>> {
        let prefix = part.prefix_bytes().to_vec();
        let base = AsyncStore::new(Place::Sublevel(part));
        Bound::new(py, base.add_subclass(AsyncSublevel { parent, prefix }))
    }
}

#[pymethods]
impl AsyncSublevel {
    /// The database or the sublevel that it is a part of.
    #[getter]
    fn parent(&self, py: Python<'_>) -> Py<AsyncStore> {
        self.parent.clone_ref(py)
    }

    /// What its keys begin with in the database.
    #[getter]
    fn prefix<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.prefix)
    }
}
