//! `Snapshot`: a frozen moment.

use level_party::Snapshot as Moment;
use level_party_locks::RwLock;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::errors::OrRaise;
use crate::readable::Readable;
use crate::source::{Source, open, wait};

/// A database or a sublevel as it was at one moment.
#[pyclass(module = "level_party", extends = Readable, frozen)]
pub(crate) struct Snapshot {
    sequence: u64,
}

impl Snapshot {
    pub fn new(py: Python<'_>, moment: Moment) -> PyResult<Bound<'_, Self>> {
        let sequence = moment.sequence();
        let source = Source::Snapshot(RwLock::new(Some(moment)));
        let base = PyClassInitializer::from(Readable { source });
        Bound::new(py, base.add_subclass(Snapshot { sequence }))
    }
}

fn moment<'a>(this: &'a PyRef<'_, Snapshot>) -> PyResult<&'a RwLock<Option<Moment>>> {
    match &this.as_super().source {
        Source::Snapshot(moment) => Ok(moment),
        Source::Place(_) => Err(PyTypeError::new_err("this is no snapshot")),
    }
}

#[pymethods]
impl Snapshot {
    /// The sequence number of the newest write that it shows.
    #[getter]
    fn sequence(&self) -> u64 {
        self.sequence
    }

    /// A sublevel at this moment.
    fn sublevel<'py>(
        this: PyRef<'py, Self>,
        py: Python<'py>,
        name: &str,
    ) -> PyResult<Bound<'py, Snapshot>> {
        let moment = moment(&this)?;
        let found = wait(py, || open(moment, |moment| moment.sublevel(name)));
        Snapshot::new(py, found.or_raise(py)?)
    }

    fn close(this: PyRef<'_, Self>, py: Python<'_>) -> PyResult<()> {
        let moment = moment(&this)?;
        let held = moment.write().take();
        wait(py, || drop(held));
        Ok(())
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(
        this: PyRef<'_, Self>,
        py: Python<'_>,
        _exception: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        Self::close(this, py)
    }

    fn __repr__(&self) -> String {
        format!("<level_party.Snapshot at sequence {}>", self.sequence)
    }
}
