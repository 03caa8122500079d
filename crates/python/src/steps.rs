//! Entries read ahead of a walk, many at a time and without the interpreter, given out one by one.
//!
//! What is read ahead is of the walk's one moment, so that it is right whenever it is given. It grows with what is asked for:
//! who takes the first entry alone has few read.

use level_party::{Error, Range};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::source::wait;

const FIRST_BYTES: usize = 2 << 10;
const LAST_BYTES: usize = 64 << 10;

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

/// A key and its value.
pub(crate) type Entry<'a> = (&'a [u8], &'a [u8]);

/// A walk in one direction.
enum Walk {
    Items(Range),
    Keys(Range<Vec<u8>>),
    Over,
}

/// The entries of a walk, some of them read ahead.
pub(crate) struct Ahead {
    walk: Walk,
    reverse: bool,
    /// Keys and values behind each other,
    packed: Vec<u8>,
    /// and where each key and each value ends.
    ends: Vec<(usize, usize)>,
    /// How many of them were given.
    given: usize,
    /// The key given last before these.
    before: Option<Vec<u8>>,
    next_bytes: usize,
    failed: Option<Error>,
}

impl Ahead {
    pub fn new(range: Range, reverse: bool, part: Part) -> Self {
        let walk = match part {
            Part::Keys | Part::Nothing => Walk::Keys(range.keys()),
            Part::Items | Part::Values => Walk::Items(range),
        };
        Ahead {
            walk,
            reverse,
            packed: Vec::new(),
            ends: Vec::new(),
            given: 0,
            before: None,
            next_bytes: FIRST_BYTES,
            failed: None,
        }
    }

    /// The next entry: its key and value, if there is one.
    pub fn next(&mut self, py: Python<'_>) -> Result<Option<Entry<'_>>, Error> {
        if self.given == self.ends.len() {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if matches!(self.walk, Walk::Over) {
                return Ok(None);
            }
            wait(py, || self.fill());
            if self.ends.is_empty() {
                return self.failed.take().map_or(Ok(None), Err);
            }
        }
        let at = self.given;
        self.given += 1;
        Ok(Some(self.entry(at)))
    }

    /// The key of the entry given last.
    pub fn last_key(&self) -> Option<&[u8]> {
        match self.given.checked_sub(1) {
            Some(at) => Some(self.entry(at).0),
            None => self.before.as_deref(),
        }
    }

    fn entry(&self, at: usize) -> Entry<'_> {
        let begin = at.checked_sub(1).map_or(0, |before| self.ends[before].1);
        let (key, value) = self.ends[at];
        (&self.packed[begin..key], &self.packed[key..value])
    }

    /// Nothing is given any more, and no moment is kept.
    pub fn close(&mut self) {
        self.walk = Walk::Over;
        self.failed = None;
        self.given = self.ends.len();
    }

    fn fill(&mut self) {
        self.before = self.last_key().map(<[u8]>::to_vec);
        let (packed, ends) = (&mut self.packed, &mut self.ends);
        // The memory that a large value took is not kept for small ones.
        packed.clear();
        packed.shrink_to(2 * LAST_BYTES);
        ends.clear();
        self.given = 0;
        while packed.len() + 32 * ends.len() < self.next_bytes {
            let mut keep = |key: &[u8], value: &[u8]| {
                packed.extend_from_slice(key);
                let end = packed.len();
                packed.extend_from_slice(value);
                ends.push((end, packed.len()));
            };
            let kept = match (&mut self.walk, self.reverse) {
                (Walk::Items(range), false) => range.next_with(keep),
                (Walk::Items(range), true) => {
                    let entry = range.next_back();
                    entry.map(|entry| entry.map(|(key, value)| keep(&key, &value)))
                }
                (Walk::Keys(range), reverse) => {
                    let key = match reverse {
                        true => range.next_back(),
                        false => range.next(),
                    };
                    key.map(|key| key.map(|key| keep(&key, &[])))
                }
                (Walk::Over, _) => None,
            };
            match kept {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    self.failed = Some(error);
                    self.walk = Walk::Over;
                    return;
                }
                None => {
                    self.walk = Walk::Over;
                    return;
                }
            }
        }
        self.next_bytes = (self.next_bytes * 4).min(LAST_BYTES);
    }
}
