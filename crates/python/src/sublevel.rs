//! `Sublevel`: a part of a database with keys of its own.

use level_party::Sublevel as Part;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::source::Place;
use crate::store::Store;

/// A part of a database with keys of its own.
#[pyclass(module = "level_party", extends = Store, frozen)]
pub(crate) struct Sublevel {
    parent: Py<Store>,
    name: String,
    separator: char,
    prefix: Vec<u8>,
}

impl Sublevel {
    pub fn new<'py>(
        py: Python<'py>,
        part: Part,
        parent: Py<Store>,
        name: &str,
        separator: char,
    ) -> PyResult<Bound<'py, Self>> {
        let sublevel = Sublevel {
            parent,
            name: name.to_owned(),
            separator,
            prefix: part.prefix_bytes().to_vec(),
        };
        Bound::new(py, Store::new(Place::Sublevel(part)).add_subclass(sublevel))
    }
}

#[pymethods]
impl Sublevel {
    /// The database or the sublevel that it is a part of.
    #[getter]
    fn parent(&self, py: Python<'_>) -> Py<Store> {
        self.parent.clone_ref(py)
    }

    /// What its keys begin with in the database.
    #[getter]
    fn prefix<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.prefix)
    }

    /// Pickled, it is opened anew where it is unpickled.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let again = py.import("level_party._pickle")?.getattr("sublevel")?;
        let args = (self.parent.clone_ref(py), &self.name, self.separator);
        (again, args).into_pyobject(py)
    }

    fn __repr__(&self) -> String {
        format!(
            "<level_party.Sublevel {:?}>",
            String::from_utf8_lossy(&self.prefix)
        )
    }
}
