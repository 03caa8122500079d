//! `AsyncReadable`: the reads of a database, a sublevel, a snapshot and a transaction, for tasks.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::entries::AsyncEntries;
use super::operation::{Operation, operation, plain};
use super::source::Source;
use crate::errors::{Failure, OrRaise};
use crate::given::{Given, Span, Walk, span, walk};
use crate::readable::{list, owned_keys};
use crate::steps::Part;

/// What can be read by a task.
#[pyclass(module = "level_party", subclass, frozen)]
pub(crate) struct AsyncReadable {
    pub source: Source,
}

impl AsyncReadable {
    fn entries(&self, py: Python<'_>, walk: Walk, part: Part) -> PyResult<AsyncEntries> {
        let reverse = walk.reverse;
        let range = self.source.walk(walk).or_raise(py)?;
        Ok(AsyncEntries::new(range, reverse, part))
    }

    fn edge(&self, bounds: Option<&Bound<'_, PyDict>>, last: bool) -> PyResult<Operation> {
        let (source, span) = (self.source.clone(), span(bounds)?);
        let find = async move {
            let walk = Walk {
                span,
                reverse: last,
                limit: Some(1),
            };
            let mut range = source.walk(walk)?;
            let entry = match last {
                true => range.next_back().await,
                false => range.next().await,
            };
            Ok::<_, Failure>(entry.transpose()?)
        };
        Ok(operation(find, pair))
    }
}

/// A key, as owned bytes.
pub(super) fn key(given: &Given<'_>) -> Vec<u8> {
    given.bytes().to_vec()
}

/// For a value that may be missing.
pub(super) fn value(py: Python<'_>, value: Option<Vec<u8>>) -> PyResult<Py<PyAny>> {
    Ok(match value {
        Some(value) => PyBytes::new(py, &value).into_any().unbind(),
        None => py.None(),
    })
}

type Pair = (Vec<u8>, Vec<u8>);

fn pair(py: Python<'_>, entry: Option<Pair>) -> PyResult<Py<PyAny>> {
    let Some((key, value)) = entry else {
        return Ok(py.None());
    };
    let pair = PyTuple::new(py, [PyBytes::new(py, &key), PyBytes::new(py, &value)])?;
    Ok(pair.into_any().unbind())
}

#[pymethods]
impl AsyncReadable {
    #[pyo3(signature = (key, default=None))]
    fn get(&self, key: Given<'_>, default: Option<Py<PyAny>>) -> Operation {
        let (source, key) = (self.source.clone(), key.bytes().to_vec());
        let get = async move { source.get(&key).await };
        operation(get, |py, found| match (found, default) {
            (None, Some(default)) => Ok(default),
            (found, _) => value(py, found),
        })
    }

    fn get_many(&self, keys: &Bound<'_, PyAny>) -> PyResult<Operation> {
        let (source, keys) = (self.source.clone(), owned_keys(keys)?);
        let get = async move { source.get_many(keys).await };
        Ok(operation(get, |py, found| {
            Ok(list(py, found)?.into_any().unbind())
        }))
    }

    fn contains(&self, key: Given<'_>) -> Operation {
        let (source, key) = (self.source.clone(), key.bytes().to_vec());
        operation(async move { source.contains(&key).await }, plain)
    }

    fn __aiter__(&self, py: Python<'_>) -> PyResult<AsyncEntries> {
        let all = Walk {
            span: Span::ALL,
            reverse: false,
            limit: None,
        };
        self.entries(py, all, Part::Keys)
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None, reverse=False, limit=None)")]
    fn range(&self, py: Python<'_>, bounds: Option<&Bound<'_, PyDict>>) -> PyResult<AsyncEntries> {
        self.entries(py, walk(bounds)?, Part::Items)
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None, reverse=False, limit=None)")]
    fn items(&self, py: Python<'_>, bounds: Option<&Bound<'_, PyDict>>) -> PyResult<AsyncEntries> {
        self.entries(py, walk(bounds)?, Part::Items)
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None, reverse=False, limit=None)")]
    fn keys(&self, py: Python<'_>, bounds: Option<&Bound<'_, PyDict>>) -> PyResult<AsyncEntries> {
        self.entries(py, walk(bounds)?, Part::Keys)
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None, reverse=False, limit=None)")]
    fn values(&self, py: Python<'_>, bounds: Option<&Bound<'_, PyDict>>) -> PyResult<AsyncEntries> {
        self.entries(py, walk(bounds)?, Part::Values)
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None)")]
    fn first(&self, bounds: Option<&Bound<'_, PyDict>>) -> PyResult<Operation> {
        self.edge(bounds, false)
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None)")]
    fn last(&self, bounds: Option<&Bound<'_, PyDict>>) -> PyResult<Operation> {
        self.edge(bounds, true)
    }
}
