//! `AsyncEvents`: what happens to this process's part, for tasks.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use level_party::{AsyncEvents as Queue, Error};
use level_party_locks::Mutex;
use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;

use super::operation::{Operation, operation};
use crate::reports::record;

/// What happens to this process's part in the party, from when it was made.
#[pyclass(module = "level_party", frozen)]
pub(crate) struct AsyncEvents {
    queue: Arc<Mutex<Queue>>,
}

impl AsyncEvents {
    pub fn new(queue: Queue) -> Self {
        AsyncEvents {
            queue: Arc::new(Mutex::new(queue)),
        }
    }
}

#[pymethods]
impl AsyncEvents {
    fn __aiter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __anext__(&self) -> Operation {
        let queue = self.queue.clone();
        // A step that is not polled to its end loses no event.
        let step =
            poll_fn(move |context| pin!(queue.lock().next()).poll(context).map(Ok::<_, Error>));
        operation(step, |py, event| match event {
            Some(event) => Ok(record(py, &event)?.unbind()),
            None => Err(PyStopAsyncIteration::new_err(())),
        })
    }
}
