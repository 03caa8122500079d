//! `Events`: what happens to this process's part.

use std::pin::pin;
use std::time::Instant;

use level_party::AsyncEvents;
use level_party_locks::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::reports::record;
use crate::waiting::{block_on, deadline};

/// What happens to this process's part in the party, from when it was made.
#[pyclass(module = "level_party", frozen)]
pub(crate) struct Events {
    /// None while a thread waits for the next one.
    events: Mutex<Option<AsyncEvents>>,
}

impl Events {
    pub fn new(events: AsyncEvents) -> Self {
        Events {
            events: Mutex::new(Some(events)),
        }
    }

    fn until<'py>(
        &self,
        py: Python<'py>,
        until: Option<Instant>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let taken = self.events.lock().take();
        let mut events = taken.ok_or_else(|| {
            PyRuntimeError::new_err("another thread waits for the next event of this iterator")
        })?;
        let next = block_on(py, pin!(events.next()), until);
        *self.events.lock() = Some(events);
        match next? {
            Some(Some(event)) => record(py, &event).map(Some),
            Some(None) | None => Ok(None),
        }
    }
}

#[pymethods]
impl Events {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.until(py, None)
    }

    /// The next event; `None`: there was none, or none comes any more.
    #[pyo3(signature = (timeout=None))]
    fn next<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.until(py, deadline(timeout)?)
    }
}
