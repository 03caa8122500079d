//! `Operation`: what a call for a task gives, a coroutine over a future of the crate.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use level_party_locks::Mutex;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;

use super::wake::LoopWaker;
use crate::errors::Failure;
use crate::source::wait;

/// A future, and what its answer is in Python.
trait Job: Send {
    fn poll(&mut self, py: Python<'_>, context: &mut Context<'_>) -> Poll<PyResult<Py<PyAny>>>;
}

struct Made<F, C> {
    future: Pin<Box<F>>,
    convert: Option<C>,
}

impl<F, C, T, E> Job for Made<F, C>
where
    F: Future<Output = Result<T, E>> + Send,
    C: FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send,
    T: Send,
    E: Into<Failure> + Send,
{
    fn poll(&mut self, py: Python<'_>, context: &mut Context<'_>) -> Poll<PyResult<Py<PyAny>>> {
        let waker = context.waker();
        let future = &mut self.future;
        let polled = wait(py, || future.as_mut().poll(&mut Context::from_waker(waker)));
        polled.map(|answer| match (answer, self.convert.take()) {
            (Ok(answer), Some(convert)) => convert(py, answer),
            (Err(error), _) => Err(error.into().raise(py)),
            (Ok(_), None) => Err(PyRuntimeError::new_err("a future gave two answers")),
        })
    }
}

/// What a call for a task gives: a coroutine, which is to be awaited once.
#[pyclass(module = "level_party", frozen)]
pub(crate) struct Operation {
    /// None once it has ended, and while it is polled.
    job: Mutex<Option<Box<dyn Job>>>,
    waker: Arc<LoopWaker>,
}

/// The operation that awaits `future`, and gives what `convert` makes of its answer.
pub(super) fn operation<F, C, T, E>(future: F, convert: C) -> Operation
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    C: FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    T: Send + 'static,
    E: Into<Failure> + Send + 'static,
{
    Operation {
        job: Mutex::new(Some(Box::new(Made {
            future: Box::pin(future),
            convert: Some(convert),
        }))),
        waker: Arc::default(),
    }
}

/// For an operation that answers nothing.
pub(super) fn nothing(py: Python<'_>, _: ()) -> PyResult<Py<PyAny>> {
    Ok(py.None())
}

/// For an answer that Python has a type for.
pub(super) fn plain<T>(py: Python<'_>, answer: T) -> PyResult<Py<PyAny>>
where
    T: for<'py> IntoPyObject<'py>,
{
    answer.into_py_any(py)
}

impl Operation {
    fn step<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let taken = self.job.lock().take();
        let mut job = taken.ok_or_else(|| {
            PyRuntimeError::new_err("cannot reuse an operation: it was awaited already")
        })?;
        let waker = Waker::from(self.waker.clone());
        loop {
            self.waker.begin();
            match job.poll(py, &mut Context::from_waker(&waker)) {
                Poll::Ready(Ok(answer)) => return Err(PyStopIteration::new_err((answer,))),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    if let Some(future) = self.waker.wait(py)? {
                        *self.job.lock() = Some(job);
                        // What `await` on the future does: it is marked as waited for.
                        return future.try_iter()?.next().unwrap_or_else(|| {
                            Err(PyRuntimeError::new_err("a new future is done already"))
                        });
                    }
                }
            }
        }
    }
}

#[pymethods]
impl Operation {
    fn __await__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.step(py)
    }

    fn send<'py>(
        &self,
        py: Python<'py>,
        _value: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.step(py)
    }

    /// Takes the call back: what nobody has begun with never takes effect.
    #[pyo3(signature = (kind, value=None, _traceback=None))]
    fn throw(
        &self,
        py: Python<'_>,
        kind: Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        _traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.close(py);
        let is_class = kind.is_instance_of::<pyo3::types::PyType>();
        let raised = match value.filter(|value| !value.is_none()) {
            Some(value) if value.is_instance_of::<pyo3::exceptions::PyBaseException>() => value,
            Some(value) => kind.call1((value,))?,
            None if is_class => kind.call0()?,
            None => kind,
        };
        Err(PyErr::from_value(raised))
    }

    fn close(&self, py: Python<'_>) {
        let job = self.job.lock().take();
        wait(py, || drop(job));
    }
}
