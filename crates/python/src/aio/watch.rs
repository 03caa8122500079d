//! `AsyncWatch`: the committed changes of a range, for tasks.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use level_party::{AsyncWatch as Changes, Error, WatchCloser};
use level_party_locks::Mutex;
use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;

use super::operation::{Operation, nothing, operation};
use crate::watch::item;

/// The committed changes of a range, made by whichever process, in order.
#[pyclass(module = "level_party", frozen)]
pub(crate) struct AsyncWatch {
    changes: Arc<Mutex<Changes>>,
    closer: WatchCloser,
}

impl AsyncWatch {
    pub fn new(changes: Changes) -> Self {
        AsyncWatch {
            closer: changes.closer(),
            changes: Arc::new(Mutex::new(changes)),
        }
    }
}

#[pymethods]
impl AsyncWatch {
    fn __aiter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __anext__(&self) -> Operation {
        let changes = self.changes.clone();
        let step = async move {
            // A step that is not polled to its end loses no change.
            let next = poll_fn(|context| pin!(changes.lock().next()).poll(context)).await;
            next.transpose()
        };
        operation(step, |py, found| match found {
            Some(found) => Ok(item(py, found)?.unbind()),
            None => Err(PyStopAsyncIteration::new_err(())),
        })
    }

    /// Up to where everything was given, as text.
    #[getter]
    fn position(&self) -> String {
        self.changes.lock().position().to_string()
    }

    /// Ends the watch: whoever waits for its next item is told `ClosedError`.
    fn close(&self) -> Operation {
        let closer = self.closer.clone();
        operation(
            async move {
                closer.close();
                Ok::<_, Error>(())
            },
            nothing,
        )
    }
}
