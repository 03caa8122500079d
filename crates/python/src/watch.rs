//! `Watch`: the committed changes of a range.

use std::time::Instant;

use level_party::{Position, Watch as Changes, WatchCloser, WatchFrom, WatchItem};
use level_party_locks::Mutex;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;

use crate::errors::OrRaise;
use crate::source::wait;
use crate::waiting::{SIGNALS, deadline};

static CHANGE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static GAP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Where a watch begins: after a position, which is text or a sequence number; with the oldest change; or now.
pub(crate) fn from(after: Option<Bound<'_, PyAny>>, beginning: bool) -> PyResult<WatchFrom> {
    let Some(after) = after else {
        return Ok(match beginning {
            true => WatchFrom::Beginning,
            false => WatchFrom::Now,
        });
    };
    if beginning {
        return Err(PyTypeError::new_err(
            "give a position or beginning, not both",
        ));
    }
    if let Ok(sequence) = after.extract::<u64>() {
        return Ok(Position::from(sequence).into());
    }
    let Ok(text) = after.extract::<String>() else {
        return Err(PyTypeError::new_err(
            "a position is a string, as Watch.position gives it, or a sequence number",
        ));
    };
    Ok(text.parse::<Position>().or_raise(after.py())?.into())
}

/// An item as Python has it: a `Change` or a `Gap`.
pub(crate) fn item(py: Python<'_>, item: WatchItem) -> PyResult<Bound<'_, PyAny>> {
    match item {
        WatchItem::Change(change) => {
            let class = CHANGE.import(py, "level_party._reports", "Change")?;
            let key = PyBytes::new(py, &change.key);
            let value = change.value.map(|value| PyBytes::new(py, &value));
            class.call1((change.sequence, key, value))
        }
        WatchItem::Gap { from, resume } => {
            let class = GAP.import(py, "level_party._reports", "Gap")?;
            class.call1((from, resume))
        }
        other => Err(PyRuntimeError::new_err(format!(
            "an unknown item: {other:?}"
        ))),
    }
}

/// The committed changes of a range, made by whichever process, in order.
#[pyclass(module = "level_party", frozen)]
pub(crate) struct Watch {
    /// None while a thread waits for the next item.
    changes: Mutex<Option<Changes>>,
    closer: WatchCloser,
    position: Mutex<Position>,
}

impl Watch {
    pub fn new(changes: Changes) -> Self {
        Watch {
            closer: changes.closer(),
            position: Mutex::new(changes.position()),
            changes: Mutex::new(Some(changes)),
        }
    }

    fn until<'py>(
        &self,
        py: Python<'py>,
        until: Option<Instant>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let taken = self.changes.lock().take();
        let mut changes = taken.ok_or_else(|| {
            PyRuntimeError::new_err("another thread waits for the next change of this watch")
        })?;
        let found = loop {
            let now = Instant::now();
            let left = until.map_or(SIGNALS, |until| until.saturating_duration_since(now));
            let next = wait(py, || changes.next_timeout(left.min(SIGNALS)));
            *self.position.lock() = changes.position();
            match next {
                Ok(None) if until.is_none_or(|until| Instant::now() < until) => {
                    if let Err(raised) = py.check_signals() {
                        break Err(raised);
                    }
                }
                next => break next.or_raise(py),
            }
        };
        *self.changes.lock() = Some(changes);
        found?.map(|found| item(py, found)).transpose()
    }
}

#[pymethods]
impl Watch {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.until(py, None)
    }

    /// The next item; `None`: there was none in so many seconds.
    #[pyo3(signature = (timeout=None))]
    fn next<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.until(py, deadline(timeout)?)
    }

    /// Up to where everything was given, as text.
    #[getter]
    fn position(&self) -> String {
        self.position.lock().to_string()
    }

    /// Ends the watch: whoever waits for its next item, in any thread, is told `ClosedError`.
    fn close(&self, py: Python<'_>) {
        wait(py, || self.closer.close());
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) {
        self.close(py);
    }
}
