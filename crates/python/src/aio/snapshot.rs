//! `AsyncSnapshot`: a frozen moment, for tasks.

use std::sync::Arc;

use level_party::{AsyncSnapshot as Moment, Error};
use level_party_locks::RwLock;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use super::operation::{Operation, nothing, operation};
use super::readable::AsyncReadable;
use super::source::{Source, open};
use crate::errors::OrRaise;

/// A database or a sublevel as it was at one moment, for tasks.
#[pyclass(module = "level_party", extends = AsyncReadable, frozen)]
pub(crate) struct AsyncSnapshot {
    sequence: u64,
}

impl AsyncSnapshot {
    pub fn new(py: Python<'_>, moment: Moment) -> PyResult<Bound<'_, Self>> {
        let sequence = moment.sequence();
        let source = Source::Snapshot(Arc::new(RwLock::new(Some(moment))));
        let base = PyClassInitializer::from(AsyncReadable { source });
        Bound::new(py, base.add_subclass(AsyncSnapshot { sequence }))
    }
}

fn moment(this: &PyRef<'_, AsyncSnapshot>) -> PyResult<Arc<RwLock<Option<Moment>>>> {
    match &this.as_super().source {
        Source::Snapshot(moment) => Ok(moment.clone()),
        _ => Err(PyTypeError::new_err("this is no snapshot")),
    }
}

#[pymethods]
impl AsyncSnapshot {
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
    ) -> PyResult<Bound<'py, AsyncSnapshot>> {
        let open = open(&*moment(&this)?).or_raise(py)?;
        AsyncSnapshot::new(py, open.sublevel(name).or_raise(py)?)
    }

    fn close(this: PyRef<'_, Self>) -> PyResult<Operation> {
        let moment = moment(&this)?;
        let close = async move {
            moment.write().take();
            Ok::<_, Error>(())
        };
        Ok(operation(close, nothing))
    }
}
