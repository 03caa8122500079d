//! A walk over a range, one entry after the other, as Python has them.
//!
//! Promises: a step whose entry was read ahead, or is one of a few that are in memory, keeps the interpreter; every other one waits
//! without it.

use std::task::Poll;

use level_party::{Error, Range};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::source::wait;

/// What is given of each entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Items,
    Keys,
    Values,
    Nothing,
}

impl Part {
    /// The entry as Python has it.
    pub fn of<'py>(self, py: Python<'py>, key: &[u8], value: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self {
            Part::Items => {
                let pair = [PyBytes::new(py, key), PyBytes::new(py, value)];
                PyTuple::new(py, pair)?.into_any()
            }
            Part::Keys => PyBytes::new(py, key).into_any(),
            Part::Values => PyBytes::new(py, value).into_any(),
            Part::Nothing => py.None().into_bound(py),
        })
    }
}

/// A walk in one direction.
pub(crate) struct Steps {
    walk: Walk,
    reverse: bool,
}

enum Walk {
    Items(Range),
    Keys(Range<Vec<u8>>),
    Over,
}

impl Steps {
    pub fn new(range: Range, reverse: bool, part: Part) -> Self {
        let walk = match part {
            Part::Keys | Part::Nothing => Walk::Keys(range.keys()),
            Part::Items | Part::Values => Walk::Items(range),
        };
        Steps { walk, reverse }
    }

    /// What `make` makes of the next entry's key and value, if there is one.
    pub fn next<T>(
        &mut self,
        py: Python<'_>,
        make: impl FnOnce(&[u8], &[u8]) -> T,
    ) -> Result<Option<T>, Error> {
        let mut make = Some(make);
        let next = match &mut self.walk {
            Walk::Items(range) => step(py, range, self.reverse, &mut make),
            Walk::Keys(range) => step(py, range, self.reverse, &mut make),
            Walk::Over => None,
        };
        match next {
            Some(Ok(made)) => Ok(made),
            ended => {
                self.close();
                ended.transpose().map(Option::flatten)
            }
        }
    }

    /// Nothing is given any more, and no moment is kept.
    pub fn close(&mut self) {
        self.walk = Walk::Over;
    }
}

/// One step of either walk. `make` is called once, where there is an entry.
fn step<R: Send, T>(
    py: Python<'_>,
    range: &mut Range<R>,
    reverse: bool,
    make: &mut Option<impl FnOnce(&[u8], &[u8]) -> T>,
) -> Option<Result<Option<T>, Error>> {
    let mut lend = |key: &[u8], value: &[u8]| make.take().map(|make| make(key, value));
    let at_once = match reverse {
        false => range.try_next_with(&mut lend),
        true => range.try_next_back_with(&mut lend),
    };
    if let Poll::Ready(next) = at_once {
        return next;
    }
    let copy = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
    let next = wait(py, || match reverse {
        false => range.next_with(copy),
        true => range.next_back_with(copy),
    });
    next.map(|next| next.map(|(key, value)| lend(&key, &value)))
}
