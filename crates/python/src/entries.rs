//! Iterators over a range of keys.

use pyo3::prelude::*;

use crate::ahead::{Ahead, Part};
use crate::errors::OrRaise;

/// An iterator over entries, keys or values of one moment.
#[pyclass(module = "level_party")]
pub(crate) struct Entries {
    ahead: Ahead,
    part: Part,
}

impl Entries {
    pub fn new(ahead: Ahead, part: Part) -> Self {
        Entries { ahead, part }
    }
}

#[pymethods]
impl Entries {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let part = self.part;
        match self.ahead.next(py).or_raise(py)? {
            Some((key, value)) => part.of(py, key, value).map(Some),
            None => Ok(None),
        }
    }

    /// Ends the iteration, and gives the moment back that it shows.
    fn close(&mut self) {
        self.ahead.close();
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&mut self, _exception: &Bound<'_, PyAny>) {
        self.close();
    }
}
