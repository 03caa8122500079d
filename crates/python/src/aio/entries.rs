//! Asynchronous iterators over a range of keys.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use level_party::{AsyncRange, Error};
use level_party_locks::Mutex;
use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;

use super::operation::{Operation, operation};
use crate::steps::Part;

enum Walk {
    Items(AsyncRange),
    Keys(AsyncRange<Vec<u8>>),
    Closed,
}

type Pair = (Vec<u8>, Vec<u8>);

impl Walk {
    /// One step. A step that is not polled to its end loses no entry.
    fn poll(
        &mut self,
        reverse: bool,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Pair, Error>>> {
        let alone = |key: Option<Result<Vec<u8>, Error>>| key.map(|key| Ok((key?, Vec::new())));
        match (self, reverse) {
            (Walk::Items(range), false) => pin!(range.next()).poll(context),
            (Walk::Items(range), true) => pin!(range.next_back()).poll(context),
            (Walk::Keys(range), false) => pin!(range.next()).poll(context).map(alone),
            (Walk::Keys(range), true) => pin!(range.next_back()).poll(context).map(alone),
            (Walk::Closed, _) => Poll::Ready(None),
        }
    }
}

/// An asynchronous iterator over entries, keys or values of one moment.
#[pyclass(module = "level_party", frozen)]
pub(crate) struct AsyncEntries {
    walk: Arc<Mutex<Walk>>,
    reverse: bool,
    part: Part,
}

impl AsyncEntries {
    pub fn new(range: AsyncRange, reverse: bool, part: Part) -> Self {
        let walk = match part {
            Part::Keys | Part::Nothing => Walk::Keys(range.keys()),
            Part::Items | Part::Values => Walk::Items(range),
        };
        AsyncEntries {
            walk: Arc::new(Mutex::new(walk)),
            reverse,
            part,
        }
    }
}

#[pymethods]
impl AsyncEntries {
    fn __aiter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __anext__(&self) -> Operation {
        let (walk, reverse, part) = (self.walk.clone(), self.reverse, self.part);
        let step = async move {
            let next = poll_fn(|context| walk.lock().poll(reverse, context)).await;
            next.transpose()
        };
        operation(step, move |py, entry| match entry {
            Some((key, value)) => Ok(part.of(py, &key, &value)?.unbind()),
            None => Err(PyStopAsyncIteration::new_err(())),
        })
    }

    /// Ends the iteration, and gives the moment back that it shows.
    fn close(&self) {
        *self.walk.lock() = Walk::Closed;
    }
}
