//! `RawIterator`: LevelDB's own iterator, which stands on an entry or is not valid.

use level_party::Snapshot;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::cursor::Cursor;
use super::{Shared, raise};
use crate::given::Span;
use crate::steps::Part;

/// An iterator that stands on an entry, or on none.
#[pyclass(module = "level_party.plyvel", weakref)]
pub(crate) struct RawIterator {
    open: Shared,
    /// None once it was closed.
    cursor: Option<Cursor>,
    /// The entry it stands on,
    at: Option<(Vec<u8>, Vec<u8>)>,
    /// which the cursor stands behind, as it has come: forward or backward.
    forward: bool,
}

impl RawIterator {
    pub fn new(open: Shared, snapshot: Snapshot) -> Self {
        RawIterator {
            open,
            cursor: Some(Cursor::new(snapshot, Span::ALL, Part::Items)),
            at: None,
            forward: true,
        }
    }

    fn cursor(&mut self) -> PyResult<&mut Cursor> {
        self.open.check()?;
        self.cursor
            .as_mut()
            .ok_or_else(|| PyRuntimeError::new_err("Database or iterator is closed"))
    }

    /// Steps to the entry on one side of the cursor.
    fn step(&mut self, py: Python<'_>, forward: bool) -> PyResult<()> {
        let copy = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
        let stepped = self.cursor()?.step(py, forward, copy);
        self.at = stepped.map_err(|error| raise(py, &error))?;
        self.forward = forward;
        Ok(())
    }

    fn current(&mut self, py: Python<'_>) -> PyResult<&(Vec<u8>, Vec<u8>)> {
        self.cursor()?;
        match &self.at {
            Some(entry) => Ok(entry),
            None => Err(invalid(py)),
        }
    }
}

/// What plyvel raises where an iterator stands on no entry.
fn invalid(py: Python<'_>) -> PyErr {
    let class = py
        .import("level_party.plyvel")
        .and_then(|module| module.getattr("IteratorInvalidError"));
    match class.and_then(|class| class.call0()) {
        Ok(error) => PyErr::from_value(error),
        Err(failed) => failed,
    }
}

#[pymethods]
impl RawIterator {
    fn valid(&mut self) -> PyResult<bool> {
        self.cursor()?;
        Ok(self.at.is_some())
    }

    fn seek_to_first(&mut self, py: Python<'_>) -> PyResult<()> {
        self.cursor()?.go_to_start();
        self.step(py, true)
    }

    fn seek_to_last(&mut self, py: Python<'_>) -> PyResult<()> {
        self.cursor()?.go_to_stop();
        self.step(py, false)
    }

    fn seek(&mut self, py: Python<'_>, target: &Bound<'_, PyBytes>) -> PyResult<()> {
        self.cursor()?.go_before(target.as_bytes().to_vec());
        self.step(py, true)
    }

    fn next(&mut self, py: Python<'_>) -> PyResult<()> {
        let key = self.current(py)?.0.clone();
        if !self.forward {
            self.cursor()?.go_behind(key);
        }
        self.step(py, true)
    }

    fn prev(&mut self, py: Python<'_>) -> PyResult<()> {
        let key = self.current(py)?.0.clone();
        if self.forward {
            self.cursor()?.go_before(key);
        }
        self.step(py, false)
    }

    fn key<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.current(py)?.0))
    }

    fn value<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.current(py)?.1))
    }

    fn item<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let (key, value) = self.current(py)?;
        PyTuple::new(py, [PyBytes::new(py, key), PyBytes::new(py, value)])
    }

    fn close(&mut self) {
        self.cursor = None;
        self.at = None;
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&mut self, _exception: &Bound<'_, PyAny>) -> bool {
        self.close();
        false
    }
}
