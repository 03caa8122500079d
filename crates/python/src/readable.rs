//! `Readable`: the reads of a database, a sublevel and a snapshot.

use level_party_locks::RwLock;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::entries::Entries;
use crate::errors::{OrRaise, Result};
use crate::given::{Given, Span, Walk, walk};
use crate::source::{Source, wait};
use crate::steps::{Part, Steps};

/// What can be read: a database, a sublevel or a snapshot.
#[pyclass(module = "level_party", subclass, frozen, mapping)]
pub(crate) struct Readable {
    pub source: Source,
}

impl Drop for Readable {
    fn drop(&mut self) {
        // The last one leaves the directory, and a leader hands over: not with the interpreter held.
        let nothing = Source::Snapshot(RwLock::new(None));
        let source = std::mem::replace(&mut self.source, nothing);
        // Where there is no interpreter any more, it goes with the closure.
        let _ = Python::try_attach(|py| wait(py, || drop(source)));
    }
}

impl Readable {
    pub fn entries(&self, py: Python<'_>, walk: &Walk, part: Part) -> PyResult<Entries> {
        let range = self.source.walk(walk).or_raise(py)?;
        Ok(Entries::new(Steps::new(range, walk.reverse, part), part))
    }

    fn edge<'py>(
        &self,
        py: Python<'py>,
        given: Option<&Bound<'py, PyDict>>,
        last: bool,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let span = crate::given::span(given)?;
        let found = wait(py, || -> Result<_> {
            let mut range = self.source.range(span)?.limit(1);
            let entry = match last {
                true => range.next_back(),
                false => range.next(),
            };
            Ok(entry.transpose()?)
        });
        let entry = found.or_raise(py)?;
        entry
            .map(|(key, value)| {
                PyTuple::new(py, [PyBytes::new(py, &key), PyBytes::new(py, &value)])
            })
            .transpose()
    }
}

/// The value as Python has it.
pub(crate) fn bytes(py: Python<'_>, value: Option<Vec<u8>>) -> Option<Bound<'_, PyBytes>> {
    value.map(|value| PyBytes::new(py, &value))
}

/// The values of several keys as Python has them.
pub(crate) fn list(py: Python<'_>, values: Vec<Option<Vec<u8>>>) -> PyResult<Bound<'_, PyList>> {
    PyList::new(py, values.into_iter().map(|value| bytes(py, value)))
}

/// Keys as owned bytes.
pub(crate) fn owned_keys(keys: &Bound<'_, PyAny>) -> PyResult<Vec<Vec<u8>>> {
    let keys = keys.try_iter()?;
    keys.map(|key| Ok(key?.extract::<Given<'_>>()?.bytes().to_vec()))
        .collect()
}

#[pymethods]
impl Readable {
    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: Given<'py>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let key = key.bytes();
        let found = self.source.find(py, key).or_raise(py)?;
        Ok(found.map(Bound::into_any).or(default))
    }

    fn get_many<'py>(
        &self,
        py: Python<'py>,
        keys: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let keys = owned_keys(keys)?;
        let found = wait(py, || self.source.get_many(&keys)).or_raise(py)?;
        list(py, found)
    }

    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        key: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let given = key.extract::<Given<'_>>()?;
        let bytes = given.bytes();
        let found = self.source.find(py, bytes).or_raise(py)?;
        found.ok_or_else(|| PyKeyError::new_err(key.unbind()))
    }

    fn __contains__(&self, py: Python<'_>, key: Given<'_>) -> PyResult<bool> {
        self.source.contains(py, key.bytes()).or_raise(py)
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<Entries> {
        let all = Walk {
            span: Span::ALL,
            reverse: false,
            limit: None,
        };
        self.entries(py, &all, Part::Keys)
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None, reverse=False, limit=None)")]
    fn range(&self, py: Python<'_>, bounds: Option<&Bound<'_, PyDict>>) -> PyResult<Entries> {
        self.entries(py, &walk(bounds)?, Part::Items)
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None, reverse=False, limit=None)")]
    fn items(&self, py: Python<'_>, bounds: Option<&Bound<'_, PyDict>>) -> PyResult<Entries> {
        self.entries(py, &walk(bounds)?, Part::Items)
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None, reverse=False, limit=None)")]
    fn keys(&self, py: Python<'_>, bounds: Option<&Bound<'_, PyDict>>) -> PyResult<Entries> {
        self.entries(py, &walk(bounds)?, Part::Keys)
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None, reverse=False, limit=None)")]
    fn values(&self, py: Python<'_>, bounds: Option<&Bound<'_, PyDict>>) -> PyResult<Entries> {
        self.entries(py, &walk(bounds)?, Part::Values)
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None)")]
    fn first<'py>(
        &self,
        py: Python<'py>,
        bounds: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.edge(py, bounds, false)
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None)")]
    fn last<'py>(
        &self,
        py: Python<'py>,
        bounds: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.edge(py, bounds, true)
    }
}
