//! `Store`: what a database and a sublevel have in common beside the reads.

use level_party::{Snapshot as Moment, WriteBatch};
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::attempts::Attempts;
use crate::batch::Batch;
use crate::errors::OrRaise;
use crate::given::{Given, span};
use crate::readable::{Readable, bytes};
use crate::snapshot::Snapshot;
use crate::source::{Place, Source, at, wait};
use crate::sublevel::Sublevel;
use crate::transaction::{Block, run};
use crate::watch::{Watch, from};

/// A database or a sublevel.
#[pyclass(module = "level_party", extends = Readable, subclass, frozen)]
pub(crate) struct Store;

impl Store {
    pub fn new(place: Place) -> PyClassInitializer<Store> {
        let source = Source::Place(place);
        PyClassInitializer::from(Readable { source }).add_subclass(Store)
    }

    /// What it stands for.
    pub fn place<'a>(this: &'a PyRef<'_, Store>) -> PyResult<&'a Place> {
        match &this.as_super().source {
            Source::Place(place) => Ok(place),
            Source::Snapshot(_) => Err(PyTypeError::new_err("a snapshot can't be written to")),
        }
    }
}

/// Writes one entry, or removes it, as the handle or the caller says of `sync`.
pub(crate) fn set(
    place: &Place,
    key: &[u8],
    value: Option<&[u8]>,
    sync: Option<bool>,
) -> Result<(), level_party::Error> {
    at!(place, place => match (value, sync) {
        (Some(value), None) => place.put(key, value),
        (Some(value), Some(true)) => place.put_sync(key, value),
        (None, None) => place.delete(key),
        (value, Some(sync)) => place.write(one(key, value).sync(sync)),
    })
}

fn one(key: &[u8], value: Option<&[u8]>) -> WriteBatch {
    let mut batch = WriteBatch::new();
    match value {
        Some(value) => batch.put(key, value),
        None => batch.delete(key),
    };
    batch
}

/// Adds the entries of a mapping, or of an iterable of pairs.
pub(crate) fn add_all(batch: &mut WriteBatch, entries: &Bound<'_, PyAny>) -> PyResult<()> {
    let pairs = match entries.hasattr("items")? {
        true => entries.call_method0("items")?,
        false => entries.clone(),
    };
    for pair in pairs.try_iter()? {
        let (key, value): (Given<'_>, Given<'_>) = pair?.extract()?;
        batch.put(key, value);
    }
    Ok(())
}

fn absent(key: &Given<'_>, py: Python<'_>) -> PyErr {
    PyKeyError::new_err(PyBytes::new(py, key.bytes()).unbind())
}

#[pymethods]
impl Store {
    #[pyo3(signature = (key, value, *, sync=None))]
    fn put(
        this: PyRef<'_, Self>,
        py: Python<'_>,
        key: Given<'_>,
        value: Given<'_>,
        sync: Option<bool>,
    ) -> PyResult<()> {
        let (place, key, value) = (Self::place(&this)?, key.bytes(), value.bytes());
        wait(py, || set(place, key, Some(value), sync)).or_raise(py)
    }

    #[pyo3(signature = (key, *, sync=None))]
    fn delete(
        this: PyRef<'_, Self>,
        py: Python<'_>,
        key: Given<'_>,
        sync: Option<bool>,
    ) -> PyResult<()> {
        let (place, key) = (Self::place(&this)?, key.bytes());
        wait(py, || set(place, key, None, sync)).or_raise(py)
    }

    fn __setitem__(
        this: PyRef<'_, Self>,
        py: Python<'_>,
        key: Given<'_>,
        value: Given<'_>,
    ) -> PyResult<()> {
        Self::put(this, py, key, value, None)
    }

    /// As `pop` without a default.
    fn __delitem__(this: PyRef<'_, Self>, py: Python<'_>, key: Given<'_>) -> PyResult<()> {
        let (place, bytes) = (Self::place(&this)?, key.bytes());
        let held = wait(py, || at!(place, place => place.take(bytes))).or_raise(py)?;
        held.map(drop).ok_or_else(|| absent(&key, py))
    }

    #[pyo3(signature = (key, *default), text_signature = "(self, key, default=...)")]
    fn pop<'py>(
        this: PyRef<'py, Self>,
        py: Python<'py>,
        key: Given<'py>,
        default: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if default.len() > 1 {
            return Err(PyTypeError::new_err(
                "pop takes a key and one default at most",
            ));
        }
        let (place, bytes) = (Self::place(&this)?, key.bytes());
        let held = wait(py, || at!(place, place => place.take(bytes))).or_raise(py)?;
        match (held, default.into_iter().next()) {
            (Some(value), _) => Ok(PyBytes::new(py, &value).into_any()),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(absent(&key, py)),
        }
    }

    fn setdefault<'py>(
        this: PyRef<'py, Self>,
        py: Python<'py>,
        key: Given<'py>,
        default: Given<'py>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let (place, key, default) = (Self::place(&this)?, key.bytes(), default.bytes());
        let change = |held: Option<&[u8]>| Some(held.unwrap_or(default).to_vec());
        let then = wait(py, || at!(place, place => place.update(key, change)));
        Ok(bytes(py, then.or_raise(py)?))
    }

    #[pyo3(signature = (entries, *, sync=None))]
    fn update(
        this: PyRef<'_, Self>,
        py: Python<'_>,
        entries: &Bound<'_, PyAny>,
        sync: Option<bool>,
    ) -> PyResult<()> {
        let batch = Batch::new(Self::place(&this)?.clone(), sync);
        batch.with(|batch| add_all(batch, entries))??;
        batch.write_now(py, true)
    }

    #[pyo3(signature = (*, sync=None))]
    fn batch(this: PyRef<'_, Self>, sync: Option<bool>) -> PyResult<Batch> {
        Ok(Batch::new(Self::place(&this)?.clone(), sync))
    }

    fn replace<'py>(
        this: PyRef<'py, Self>,
        py: Python<'py>,
        key: Given<'py>,
        value: Given<'py>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let (place, key, value) = (Self::place(&this)?, key.bytes(), value.bytes());
        let held = wait(py, || at!(place, place => place.replace(key, value)));
        Ok(bytes(py, held.or_raise(py)?))
    }

    fn modify<'py>(
        this: PyRef<'py, Self>,
        py: Python<'py>,
        key: Given<'py>,
        change: Py<PyAny>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let (place, key) = (Self::place(&this)?, key.bytes());
        let mut raised = None;
        let apply = |held: Option<&[u8]>| {
            Python::attach(|py| match changed(py, &change, held) {
                Ok(new) => new,
                Err(error) => {
                    raised = Some(error);
                    // What is there already is not written.
                    held.map(<[u8]>::to_vec)
                }
            })
        };
        let then = wait(py, || at!(place, place => place.update(key, apply)));
        match raised {
            Some(error) => Err(error),
            None => Ok(bytes(py, then.or_raise(py)?)),
        }
    }

    fn compare_and_swap(
        this: PyRef<'_, Self>,
        py: Python<'_>,
        key: Given<'_>,
        expected: Option<Given<'_>>,
        new: Option<Given<'_>>,
    ) -> PyResult<bool> {
        let (place, key) = (Self::place(&this)?, key.bytes());
        let expected = expected.as_ref().map(Given::bytes);
        let new = new.as_ref().map(Given::bytes);
        let swap = || at!(place, place => place.compare_and_swap(key, expected, new));
        Ok(wait(py, swap).or_raise(py)?.is_ok())
    }

    #[pyo3(signature = (body=None))]
    fn transaction<'py>(
        this: PyRef<'py, Self>,
        py: Python<'py>,
        body: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let attempts = Attempts::new(Self::place(&this)?.clone());
        match body {
            Some(body) => run(py, attempts, &body),
            None => Ok(Bound::new(py, Block::new(attempts))?.into_any()),
        }
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None)")]
    fn clear(
        this: PyRef<'_, Self>,
        py: Python<'_>,
        bounds: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<u64> {
        let (place, span) = (Self::place(&this)?, span(bounds)?);
        wait(py, || at!(place, place => place.clear(span.bounds()))).or_raise(py)
    }

    fn snapshot<'py>(this: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, Snapshot>> {
        let place = Self::place(&this)?;
        let moment: Moment = wait(py, || place.snapshot()).or_raise(py)?;
        Snapshot::new(py, moment)
    }

    #[pyo3(signature = (after=None, *, beginning=false, **bounds), text_signature = "(self, after=None, *, beginning=False, gt=None, gte=None, lt=None, lte=None, prefix=None)")]
    fn watch(
        this: PyRef<'_, Self>,
        py: Python<'_>,
        after: Option<Bound<'_, PyAny>>,
        beginning: bool,
        bounds: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Watch> {
        let (place, span) = (Self::place(&this)?, span(bounds)?);
        let from = from(after, beginning)?;
        let watch = wait(py, || at!(place, place => place.watch(span.bounds(), from)));
        Ok(Watch::new(watch.or_raise(py)?))
    }

    #[pyo3(signature = (name, *, separator='!'))]
    fn sublevel<'py>(
        this: PyRef<'py, Self>,
        py: Python<'py>,
        name: &str,
        separator: char,
    ) -> PyResult<Bound<'py, Sublevel>> {
        let found = at!(Self::place(&this)?, place => place.sublevel_with(name, separator));
        let (found, parent) = (found.or_raise(py)?, this.into_pyobject(py)?.unbind());
        Sublevel::new(py, found, parent, name, separator)
    }

    fn sublevels(this: PyRef<'_, Self>, py: Python<'_>) -> PyResult<Vec<String>> {
        let place = Self::place(&this)?;
        wait(py, || at!(place, place => place.sublevels())).or_raise(py)
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None)")]
    fn compact(
        this: PyRef<'_, Self>,
        py: Python<'_>,
        bounds: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let (place, span) = (Self::place(&this)?, span(bounds)?);
        wait(
            py,
            || at!(place, place => place.compact_range(span.bounds())),
        )
        .or_raise(py)
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None)")]
    fn approximate_size(
        this: PyRef<'_, Self>,
        py: Python<'_>,
        bounds: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<u64> {
        let (place, span) = (Self::place(&this)?, span(bounds)?);
        wait(
            py,
            || at!(place, place => place.approximate_size(span.bounds())),
        )
        .or_raise(py)
    }
}

/// What `change` makes of what a key holds.
pub(crate) fn changed(
    py: Python<'_>,
    change: &Py<PyAny>,
    held: Option<&[u8]>,
) -> PyResult<Option<Vec<u8>>> {
    let held = held.map(|held| PyBytes::new(py, held));
    let new = change.bind(py).call1((held,))?;
    let new = new.extract::<Option<Given<'_>>>()?;
    Ok(new.map(|new| new.bytes().to_vec()))
}
