//! What is asked of a remote.

use std::ops::Bound;
use std::time::Duration;

use crate::answer::{History, Moment};

/// A range of keys, in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// Where it begins.
    pub lower: Bound<Vec<u8>>,
    /// Where it ends.
    pub upper: Bound<Vec<u8>>,
}

impl KeyRange {
    /// Its first key, inclusive; the empty key where it has no lower bound.
    pub fn start(&self) -> Vec<u8> {
        match &self.lower {
            Bound::Included(key) => key.clone(),
            Bound::Excluded(key) => just_after(key),
            Bound::Unbounded => Vec::new(),
        }
    }

    /// The key before which it ends, if it has an upper bound.
    pub fn end(&self) -> Option<Vec<u8>> {
        match &self.upper {
            Bound::Included(key) => Some(just_after(key)),
            Bound::Excluded(key) => Some(key.clone()),
            Bound::Unbounded => None,
        }
    }

    /// Whether no key lies in it.
    pub fn is_empty(&self) -> bool {
        self.end().is_some_and(|end| end <= self.start())
    }
}

/// The first key after `key`.
fn just_after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// Which chunk of a range.
#[derive(Clone, Debug)]
pub struct Scan {
    /// What is left of the range.
    pub range: KeyRange,
    /// From the last key to the first.
    pub reverse: bool,
    /// Values are left out (each is empty).
    pub keys_only: bool,
    /// The chunk ends with the entry that reaches so many bytes of keys and values.
    pub limit_bytes: usize,
    /// The chunk has no more entries than this; at least one.
    pub limit_entries: usize,
    /// Without a moment: the moment is pinned although the chunk holds the whole range.
    pub hold: bool,
}

/// One operation of a batch: a key, and what it is set to (`None`: it is removed).
pub type Op = (Vec<u8>, Option<Vec<u8>>);

/// A batch, which is written as a whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct Write {
    /// Its operations, in their order. Of one key there may be several.
    pub ops: Vec<Op>,
    /// What must hold when its turn comes.
    pub conditions: Conditions,
    /// It is on stable storage before it is acknowledged. (A remote may do so always.)
    pub sync: bool,
}

/// What must hold for a write to be made, judged when its turn has come.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// Each key must have the entry that this sequence wrote, or (`None`) no entry.
    pub keys: Vec<(Vec<u8>, Option<u64>)>,
    /// In each range nothing was put with a sequence above this one.
    pub ranges: Vec<(KeyRange, u64)>,
    /// The history that these sequences are of; `None` only where there are no conditions. Where it has been replaced since,
    /// the conditions do not hold.
    pub history: Option<History>,
}

impl Conditions {
    /// Whether the write is made in any case.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.ranges.is_empty()
    }
}

/// Where a feed of changes begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the first change after those that are visible now.
    Now,
    /// With the oldest change that is kept.
    Beginning,
    /// With the first change after this sequence, of whatever history.
    Sequence(u64),
    /// With the first change after this moment of its history; a gap if changes between are not known.
    Moment(Moment),
}

/// How a remote is opened.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long opening may take.
    pub open_timeout: Duration,
    /// Whether a database is made where there is none.
    pub create_if_missing: bool,
    /// Whether it is an error that there is one.
    pub error_if_exists: bool,
    /// It is opened to be filled by a copy: it may be written while it is `Filling`, and only then. Any other opening of a database
    /// that is being filled is refused.
    pub fills: bool,
}
