//! Iterators over a range of keys.

use pyo3::prelude::*;

use crate::errors::OrRaise;
use crate::steps::{Part, Steps};

/// An iterator over entries, keys or values of one moment.
#[pyclass(module = "level_party")]
pub(crate) struct Entries {
    steps: Steps,
    part: Part,
}

impl Entries {
    pub fn new(steps: Steps, part: Part) -> Self {
        Entries { steps, part }
    }
}

#[pymethods]
impl Entries {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let part = self.part;
        let made = |key: &[u8], value: &[u8]| part.of(py, key, value);
        self.steps.next(py, made).or_raise(py)?.transpose()
    }

    /// Ends the iteration, and gives the moment back that it shows.
    fn close(&mut self) {
        self.steps.close();
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&mut self, _exception: &Bound<'_, PyAny>) {
        self.close();
    }
}
