//! Statuses and reports as Python's objects: what serde makes of them, with attributes (`level_party/_reports.py`).

use level_party::Yielded;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use serde::Serialize;

static FROM_JSON: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static YIELDED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// A report as an object with attributes.
pub(crate) fn record<'py>(py: Python<'py>, report: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    let text = serde_json::to_string(report)
        .map_err(|error| PyRuntimeError::new_err(format!("a report has no JSON: {error}")))?;
    FROM_JSON
        .import(py, "level_party._reports", "_from_json")?
        .call1((text,))
}

/// The leader after that.
pub(crate) fn yielded(py: Python<'_>, then: Yielded) -> PyResult<Bound<'_, PyAny>> {
    let class = YIELDED.import(py, "level_party._reports", "Yielded")?;
    class.call1((then.leader_pid, then.epoch, then.handed_over))
}
