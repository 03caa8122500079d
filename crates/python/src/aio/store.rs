//! `AsyncStore`: what a database and a sublevel have in common beside the reads, for tasks.

use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict};

use super::batch::AsyncBatch;
use super::operation::{Operation, nothing, operation, plain};
use super::readable::{AsyncReadable, key, value};
use super::snapshot::AsyncSnapshot;
use super::source::{Place, Source, at, set};
use super::sublevel::AsyncSublevel;
use super::transaction::AsyncBlock;
use super::watch::AsyncWatch;
use crate::attempts::Attempts;
use crate::errors::{Failure, OrRaise};
use crate::given::{Given, span};
use crate::store::{add_all, changed};
use crate::watch::from;

static RUN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static ENTERED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// A database or a sublevel, for tasks.
#[pyclass(module = "level_party", extends = AsyncReadable, subclass, frozen)]
pub(crate) struct AsyncStore;

impl AsyncStore {
    pub fn new(place: Place) -> PyClassInitializer<AsyncStore> {
        let source = Source::Place(place);
        PyClassInitializer::from(AsyncReadable { source }).add_subclass(AsyncStore)
    }

    /// What it stands for.
    pub fn place<'a>(this: &'a PyRef<'_, AsyncStore>) -> PyResult<&'a Place> {
        match &this.as_super().source {
            Source::Place(place) => Ok(place),
            _ => Err(PyTypeError::new_err("this can't be written to")),
        }
    }
}

/// An operation whose answer can be closed: it may be awaited, or entered with `async with`.
pub(super) fn entered(py: Python<'_>, operation: Operation) -> PyResult<Bound<'_, PyAny>> {
    let class = ENTERED.import(py, "level_party._aio", "Entered")?;
    class.call1((operation,))
}

/// What a function of Python's makes of a value, in the middle of a future.
fn apply(change: &Py<PyAny>, held: Option<&[u8]>, raised: &mut Option<PyErr>) -> Option<Vec<u8>> {
    Python::attach(|py| changed(py, change, held)).unwrap_or_else(|error| {
        *raised = Some(error);
        // What is there already is not written.
        held.map(<[u8]>::to_vec)
    })
}

#[pymethods]
impl AsyncStore {
    #[pyo3(signature = (key, value, *, sync=None))]
    fn put(
        this: PyRef<'_, Self>,
        key: Given<'_>,
        value: Given<'_>,
        sync: Option<bool>,
    ) -> PyResult<Operation> {
        let place = Self::place(&this)?.clone();
        let (key, value) = (key.bytes().to_vec(), value.bytes().to_vec());
        let put = async move { set(&place, &key, Some(&value), sync).await };
        Ok(operation(put, nothing))
    }

    #[pyo3(signature = (key, *, sync=None))]
    fn delete(this: PyRef<'_, Self>, key: Given<'_>, sync: Option<bool>) -> PyResult<Operation> {
        let (place, key) = (Self::place(&this)?.clone(), key.bytes().to_vec());
        Ok(operation(
            async move { set(&place, &key, None, sync).await },
            nothing,
        ))
    }

    #[pyo3(signature = (entries, *, sync=None))]
    fn update(
        this: PyRef<'_, Self>,
        entries: &Bound<'_, PyAny>,
        sync: Option<bool>,
    ) -> PyResult<Operation> {
        let batch = AsyncBatch::new(Self::place(&this)?.clone(), sync);
        batch.with(|batch| add_all(batch, entries))?;
        Ok(batch.write_now())
    }

    #[pyo3(signature = (*, sync=None))]
    fn batch(this: PyRef<'_, Self>, sync: Option<bool>) -> PyResult<AsyncBatch> {
        Ok(AsyncBatch::new(Self::place(&this)?.clone(), sync))
    }

    #[pyo3(signature = (key, *default), text_signature = "(self, key, default=...)")]
    fn pop(this: PyRef<'_, Self>, key: Given<'_>, default: Vec<Py<PyAny>>) -> PyResult<Operation> {
        if default.len() > 1 {
            return Err(PyTypeError::new_err(
                "pop takes a key and one default at most",
            ));
        }
        let (place, wanted) = (Self::place(&this)?.clone(), key.bytes().to_vec());
        let absent = wanted.clone();
        let take = async move { at!(&place, place => place.take(&wanted).await) };
        Ok(operation(take, move |py, held| {
            match (held, default.into_iter().next()) {
                (None, Some(default)) => Ok(default),
                (None, None) => Err(PyKeyError::new_err(PyBytes::new(py, &absent).unbind())),
                (held, _) => value(py, held),
            }
        }))
    }

    fn setdefault(
        this: PyRef<'_, Self>,
        key: Given<'_>,
        default: Given<'_>,
    ) -> PyResult<Operation> {
        let place = Self::place(&this)?.clone();
        let (key, default) = (key.bytes().to_vec(), default.bytes().to_vec());
        let update = async move {
            let change = |held: Option<&[u8]>| Some(held.map_or(default.clone(), <[u8]>::to_vec));
            at!(&place, place => place.update(&key, change).await)
        };
        Ok(operation(update, value))
    }

    fn replace(this: PyRef<'_, Self>, key: Given<'_>, value: Given<'_>) -> PyResult<Operation> {
        let place = Self::place(&this)?.clone();
        let (key, new) = (key.bytes().to_vec(), value.bytes().to_vec());
        let replace = async move { at!(&place, place => place.replace(&key, &new).await) };
        Ok(operation(replace, super::readable::value))
    }

    fn modify(this: PyRef<'_, Self>, key: Given<'_>, change: Py<PyAny>) -> PyResult<Operation> {
        let (place, key) = (Self::place(&this)?.clone(), key.bytes().to_vec());
        let modify = async move {
            let mut raised = None;
            let change = |held: Option<&[u8]>| apply(&change, held, &mut raised);
            let then = at!(&place, place => place.update(&key, change).await);
            match raised {
                Some(error) => Ok(Err(error)),
                None => then.map(Ok),
            }
        };
        Ok(operation(modify, |py, then: PyResult<Option<Vec<u8>>>| {
            then.and_then(|then| value(py, then))
        }))
    }

    fn compare_and_swap(
        this: PyRef<'_, Self>,
        key: Given<'_>,
        expected: Option<Given<'_>>,
        new: Option<Given<'_>>,
    ) -> PyResult<Operation> {
        let (place, wanted) = (Self::place(&this)?.clone(), key.bytes().to_vec());
        let (expected, new) = (
            expected.as_ref().map(self::key),
            new.as_ref().map(self::key),
        );
        let swap = async move {
            let (expected, new) = (expected.as_deref(), new.as_deref());
            let swapped =
                at!(&place, place => place.compare_and_swap(&wanted, expected, new).await)?;
            Ok::<_, Failure>(swapped.is_ok())
        };
        Ok(operation(swap, plain))
    }

    #[pyo3(signature = (body=None))]
    fn transaction<'py>(
        this: PyRef<'py, Self>,
        py: Python<'py>,
        body: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let attempts = Attempts::new(Self::place(&this)?.to_blocking());
        let block = Bound::new(py, AsyncBlock::new(attempts))?.into_any();
        match body {
            Some(body) => RUN
                .import(py, "level_party._aio", "run")?
                .call1((block, body)),
            None => Ok(block),
        }
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None)")]
    fn clear(this: PyRef<'_, Self>, bounds: Option<&Bound<'_, PyDict>>) -> PyResult<Operation> {
        let (place, span) = (Self::place(&this)?.clone(), span(bounds)?);
        let clear = async move { at!(&place, place => place.clear(span.bounds()).await) };
        Ok(operation(clear, plain))
    }

    fn snapshot<'py>(this: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let place = Self::place(&this)?.clone();
        let take = async move { at!(&place, place => place.snapshot().await) };
        let made = |py: Python<'_>, moment| Ok(AsyncSnapshot::new(py, moment)?.into_any().unbind());
        entered(py, operation(take, made))
    }

    #[pyo3(signature = (after=None, *, beginning=false, **bounds), text_signature = "(self, after=None, *, beginning=False, gt=None, gte=None, lt=None, lte=None, prefix=None)")]
    fn watch<'py>(
        this: PyRef<'py, Self>,
        py: Python<'py>,
        after: Option<Bound<'py, PyAny>>,
        beginning: bool,
        bounds: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (place, span) = (Self::place(&this)?.clone(), span(bounds)?);
        let from = from(after, beginning)?;
        let begin = async move { at!(&place, place => place.watch(span.bounds(), from).await) };
        entered(
            py,
            operation(begin, |py, changes| plain(py, AsyncWatch::new(changes))),
        )
    }

    #[pyo3(signature = (name, *, separator='!'))]
    fn sublevel<'py>(
        this: PyRef<'py, Self>,
        py: Python<'py>,
        name: &str,
        separator: char,
    ) -> PyResult<Bound<'py, AsyncSublevel>> {
        let found = at!(Self::place(&this)?, place => place.sublevel_with(name, separator));
        let found = found.or_raise(py)?;
        AsyncSublevel::new(py, found, this.into_pyobject(py)?.unbind())
    }

    fn sublevels(this: PyRef<'_, Self>) -> PyResult<Operation> {
        let place = Self::place(&this)?.clone();
        let find = async move { at!(&place, place => place.sublevels().await) };
        Ok(operation(find, plain))
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None)")]
    fn compact(this: PyRef<'_, Self>, bounds: Option<&Bound<'_, PyDict>>) -> PyResult<Operation> {
        let (place, span) = (Self::place(&this)?.clone(), span(bounds)?);
        let compact = async move { at!(&place, place => place.compact_range(span.bounds()).await) };
        Ok(operation(compact, nothing))
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None)")]
    fn approximate_size(
        this: PyRef<'_, Self>,
        bounds: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Operation> {
        let (place, span) = (Self::place(&this)?.clone(), span(bounds)?);
        let size = async move { at!(&place, place => place.approximate_size(span.bounds()).await) };
        Ok(operation(size, plain))
    }
}
