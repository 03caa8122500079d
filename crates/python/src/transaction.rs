//! `Transaction`: reads and writes that take effect at one moment, in a `with` block or a function.

use std::future::{Future, poll_fn};
use std::pin::pin;

use level_party::{AsyncRange, AsyncReadable, AsyncTransaction};
use level_party_locks::Mutex;
use pyo3::exceptions::{PyKeyError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::attempts::Attempts;
use crate::errors::{Failure, OrRaise};
use crate::given::{Given, Span, Walk, span, walk};
use crate::readable::{list, owned_keys};
use crate::source::at;
use crate::steps::Part;
use crate::store::{Store, add_all};
use crate::waiting::block_on;

/// A transaction under way.
#[pyclass(module = "level_party", frozen)]
pub(crate) struct Transaction {
    made: AsyncTransaction,
}

impl Transaction {
    fn found(&self, py: Python<'_>, key: &[u8]) -> PyResult<Option<Vec<u8>>> {
        done(py, self.made.get(key))?.or_raise(py)
    }

    fn entries(&self, walk: Walk, part: Part) -> TransactionEntries {
        let range = self.made.range(walk.span.bounds());
        TransactionEntries {
            range: match walk.limit {
                Some(limit) => range.limit(limit),
                None => range,
            },
            reverse: walk.reverse,
            part,
        }
    }

    fn edge<'py>(
        &self,
        py: Python<'py>,
        span: Span,
        last: bool,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let bounds = span.bounds();
        let found = match last {
            true => done(py, self.made.last(bounds))?,
            false => done(py, self.made.first(bounds))?,
        };
        let pair = |(key, value): (Vec<u8>, Vec<u8>)| {
            PyTuple::new(py, [PyBytes::new(py, &key), PyBytes::new(py, &value)])
        };
        found.or_raise(py)?.map(pair).transpose()
    }
}

/// What `future` comes to.
fn done<F: Future + Send>(py: Python<'_>, future: F) -> PyResult<F::Output>
where
    F::Output: Send,
{
    match block_on(py, pin!(future), None)? {
        Some(done) => Ok(done),
        None => Err(PyRuntimeError::new_err("a wait without an end has ended")),
    }
}

#[pymethods]
impl Transaction {
    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: Given<'py>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let found = self.found(py, key.bytes())?;
        Ok(found.map_or(default, |value| Some(PyBytes::new(py, &value).into_any())))
    }

    fn get_many<'py>(
        &self,
        py: Python<'py>,
        keys: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let keys = owned_keys(keys)?;
        list(py, done(py, self.made.get_many(keys))?.or_raise(py)?)
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: Given<'py>) -> PyResult<Bound<'py, PyBytes>> {
        match self.found(py, key.bytes())? {
            Some(value) => Ok(PyBytes::new(py, &value)),
            None => Err(PyKeyError::new_err(PyBytes::new(py, key.bytes()).unbind())),
        }
    }

    fn __contains__(&self, py: Python<'_>, key: Given<'_>) -> PyResult<bool> {
        done(py, self.made.contains(key.bytes()))?.or_raise(py)
    }

    fn put(&self, py: Python<'_>, key: Given<'_>, value: Given<'_>) -> PyResult<()> {
        self.made.put(key, value).or_raise(py)
    }

    fn delete(&self, py: Python<'_>, key: Given<'_>) -> PyResult<()> {
        self.made.delete(key).or_raise(py)
    }

    fn __setitem__(&self, py: Python<'_>, key: Given<'_>, value: Given<'_>) -> PyResult<()> {
        self.put(py, key, value)
    }

    /// Raises `KeyError` where there is none.
    fn __delitem__(&self, py: Python<'_>, key: Given<'_>) -> PyResult<()> {
        match done(py, self.made.contains(key.bytes()))?.or_raise(py)? {
            true => self.made.delete(key).or_raise(py),
            false => Err(PyKeyError::new_err(PyBytes::new(py, key.bytes()).unbind())),
        }
    }

    fn update(&self, py: Python<'_>, entries: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut batch = level_party::WriteBatch::new();
        add_all(&mut batch, entries)?;
        self.made.write(&batch).or_raise(py)
    }

    /// Whether what it writes is on stable storage before it is acknowledged.
    fn sync(&self, yes: bool) {
        self.made.sync(yes);
    }

    /// This transaction over the keys of `store`.
    fn of(&self, store: PyRef<'_, Store>) -> PyResult<Transaction> {
        let made = at!(Store::place(&store)?, view => self.made.of(view));
        Ok(Transaction { made })
    }

    fn __iter__(&self) -> TransactionEntries {
        let all = Walk {
            span: Span::ALL,
            reverse: false,
            limit: None,
        };
        self.entries(all, Part::Keys)
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None, reverse=False, limit=None)")]
    fn range(&self, bounds: Option<&Bound<'_, PyDict>>) -> PyResult<TransactionEntries> {
        Ok(self.entries(walk(bounds)?, Part::Items))
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None, reverse=False, limit=None)")]
    fn items(&self, bounds: Option<&Bound<'_, PyDict>>) -> PyResult<TransactionEntries> {
        Ok(self.entries(walk(bounds)?, Part::Items))
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None, reverse=False, limit=None)")]
    fn keys(&self, bounds: Option<&Bound<'_, PyDict>>) -> PyResult<TransactionEntries> {
        Ok(self.entries(walk(bounds)?, Part::Keys))
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None, reverse=False, limit=None)")]
    fn values(&self, bounds: Option<&Bound<'_, PyDict>>) -> PyResult<TransactionEntries> {
        Ok(self.entries(walk(bounds)?, Part::Values))
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None)")]
    fn first<'py>(
        &self,
        py: Python<'py>,
        bounds: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.edge(py, span(bounds)?, false)
    }

    #[pyo3(signature = (**bounds), text_signature = "(self, *, gt=None, gte=None, lt=None, lte=None, prefix=None)")]
    fn last<'py>(
        &self,
        py: Python<'py>,
        bounds: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.edge(py, span(bounds)?, true)
    }

    fn __repr__(&self) -> String {
        format!("<level_party.{:?}>", self.made)
    }
}

/// An iterator over entries as a transaction sees them. It reads no entry ahead: what it gave is what the transaction has read.
#[pyclass(module = "level_party")]
pub(crate) struct TransactionEntries {
    range: AsyncRange,
    reverse: bool,
    part: Part,
}

#[pymethods]
impl TransactionEntries {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let next = match self.reverse {
            true => done(py, self.range.next_back())?,
            false => done(py, self.range.next())?,
        };
        match next.transpose().or_raise(py)? {
            Some((key, value)) => self.part.of(py, &key, &value).map(Some),
            None => Ok(None),
        }
    }
}

/// A transaction of a `with` block.
#[pyclass(module = "level_party", frozen)]
pub(crate) struct Block {
    /// None while a thread begins or commits it.
    attempts: Mutex<Option<Attempts>>,
}

impl Block {
    pub fn new(attempts: Attempts) -> Self {
        Block {
            attempts: Mutex::new(Some(attempts)),
        }
    }

    fn take(&self) -> PyResult<Attempts> {
        let attempts = self.attempts.lock().take();
        attempts.ok_or_else(|| PyRuntimeError::new_err("another thread ends this transaction"))
    }
}

#[pymethods]
impl Block {
    fn __enter__(&self, py: Python<'_>) -> PyResult<Transaction> {
        let mut attempts = self.take()?;
        if attempts.has_begun() {
            return Err(PyRuntimeError::new_err(
                "a transaction is entered once: call transaction() again",
            ));
        }
        let begun = next(py, &mut attempts);
        *self.attempts.lock() = Some(attempts);
        begun?.ok_or_else(|| PyRuntimeError::new_err("a transaction ended before it began"))
    }

    /// Commits, unless the block ended with an exception. Raises `ConflictError` where others changed what was read.
    #[pyo3(signature = (kind=None, _value=None, _traceback=None))]
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: Option<Bound<'_, PyAny>>,
        _value: Option<Bound<'_, PyAny>>,
        _traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        // However it ends, it goes with this call.
        let mut attempts = self.take()?;
        if kind.is_some() {
            return Ok(());
        }
        match next(py, &mut attempts)? {
            None => Ok(()),
            Some(_) => Err(Failure::Conflict.raise(py)),
        }
    }
}

/// The next attempt; `None`: the last one has committed.
fn next(py: Python<'_>, attempts: &mut Attempts) -> PyResult<Option<Transaction>> {
    attempts.ask();
    let next = done(py, poll_fn(|context| attempts.poll_next(context)))?;
    Ok(next.or_raise(py)?.map(|made| Transaction { made }))
}

/// Runs `body` until what it did commits.
pub(crate) fn run<'py>(
    py: Python<'py>,
    mut attempts: Attempts,
    body: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut value = py.None().into_bound(py);
    while let Some(begun) = next(py, &mut attempts)? {
        value = body.call1((begun,))?;
    }
    Ok(value)
}
