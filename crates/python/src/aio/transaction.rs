//! `AsyncTransaction`: reads and writes that take effect at one moment, for tasks.

use std::future::poll_fn;
use std::sync::Arc;

use level_party::{AsyncTransaction as Made, WriteBatch};
use level_party_locks::Mutex;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;

use super::operation::{Operation, nothing, operation};
use super::readable::AsyncReadable;
use super::source::{Source, at};
use super::store::AsyncStore;
use crate::attempts::Attempts;
use crate::errors::{Failure, OrRaise, Result};
use crate::given::Given;
use crate::store::add_all;

/// A transaction under way, for tasks. Its writes wait for nothing.
#[pyclass(module = "level_party", extends = AsyncReadable, frozen)]
pub(crate) struct AsyncTransaction {
    made: Arc<Made>,
}

impl AsyncTransaction {
    fn new(py: Python<'_>, made: Made) -> PyResult<Bound<'_, Self>> {
        let made = Arc::new(made);
        let base = PyClassInitializer::from(AsyncReadable {
            source: Source::Transaction(made.clone()),
        });
        Bound::new(py, base.add_subclass(AsyncTransaction { made }))
    }
}

#[pymethods]
impl AsyncTransaction {
    fn put(&self, py: Python<'_>, key: Given<'_>, value: Given<'_>) -> PyResult<()> {
        self.made.put(key, value).or_raise(py)
    }

    fn delete(&self, py: Python<'_>, key: Given<'_>) -> PyResult<()> {
        self.made.delete(key).or_raise(py)
    }

    fn update(&self, py: Python<'_>, entries: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut batch = WriteBatch::new();
        add_all(&mut batch, entries)?;
        self.made.write(&batch).or_raise(py)
    }

    /// Whether what it writes is on stable storage before it is acknowledged.
    fn sync(&self, yes: bool) {
        self.made.sync(yes);
    }

    /// This transaction over the keys of `store`.
    fn of<'py>(
        &self,
        py: Python<'py>,
        store: PyRef<'py, AsyncStore>,
    ) -> PyResult<Bound<'py, AsyncTransaction>> {
        let made = at!(AsyncStore::place(&store)?, view => self.made.of(view));
        AsyncTransaction::new(py, made)
    }
}

/// A transaction of an `async with` block, or of a function (`_aio.run`).
#[pyclass(module = "level_party", frozen)]
pub(crate) struct AsyncBlock {
    /// None while it begins or commits, and once it is over.
    attempts: Arc<Mutex<Option<Attempts>>>,
}

impl AsyncBlock {
    pub fn new(attempts: Attempts) -> Self {
        AsyncBlock {
            attempts: Arc::new(Mutex::new(Some(attempts))),
        }
    }

    /// The next attempt, as it is made; `None`: the last one has committed.
    fn attempt(&self) -> impl Future<Output = Result<Option<Made>>> + Send + 'static {
        let slot = self.attempts.clone();
        async move {
            let taken = slot.lock().take();
            let mut attempts = taken.ok_or(Failure::Closed(
                "this transaction is over, or is being ended",
            ))?;
            attempts.ask();
            let next = poll_fn(|context| attempts.poll_next(context)).await?;
            *slot.lock() = next.is_some().then_some(attempts);
            Ok(next)
        }
    }
}

fn begun(py: Python<'_>, made: Option<Made>) -> PyResult<Py<PyAny>> {
    match made {
        Some(made) => Ok(AsyncTransaction::new(py, made)?.into_any().unbind()),
        None => Ok(py.None()),
    }
}

#[pymethods]
impl AsyncBlock {
    fn __await__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a transaction without a function is for `async with`",
        ))
    }

    /// The next attempt; `None`: the last one has committed.
    fn _next(&self) -> Operation {
        operation(self.attempt(), begun)
    }

    /// Takes back what the attempt under way did.
    #[pyo3(name = "_abandon")]
    fn abandon(&self) {
        self.attempts.lock().take();
    }

    fn __aenter__(&self) -> PyResult<Operation> {
        if self
            .attempts
            .lock()
            .as_ref()
            .is_none_or(Attempts::has_begun)
        {
            return Err(PyRuntimeError::new_err(
                "a transaction is entered once: call transaction() again",
            ));
        }
        Ok(operation(self.attempt(), begun))
    }

    /// Commits, unless the block ended with an exception. Raises `ConflictError` where others changed what was read.
    #[pyo3(signature = (kind=None, _value=None, _traceback=None))]
    fn __aexit__(
        &self,
        kind: Option<Bound<'_, PyAny>>,
        _value: Option<Bound<'_, PyAny>>,
        _traceback: Option<Bound<'_, PyAny>>,
    ) -> Operation {
        if kind.is_some() {
            self.abandon();
            return operation(std::future::ready(Ok::<_, Failure>(())), nothing);
        }
        let (attempt, slot) = (self.attempt(), self.attempts.clone());
        let commit = async move {
            let next = attempt.await?;
            slot.lock().take();
            match next {
                None => Ok(()),
                Some(_) => Err(Failure::Conflict),
            }
        };
        operation(commit, nothing)
    }
}
