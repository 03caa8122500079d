//! What must hold for a write to be made.

use std::ops::Bound;

use level_party_engine::{Expect, KeyRange, Write};
use level_party_remote::History;

use crate::error::{Error, ErrorKind, Result};

/// Conditions that one write may have.
pub(crate) const MAX_CONDITIONS: usize = 1 << 20;
/// What a condition takes beside its keys, in bytes.
const CONDITION_BYTES: usize = 64;

/// What must hold for a write to be made; empty: nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    keys: Vec<(Vec<u8>, Expect)>,
    ranges: Vec<(KeyRange, u64)>,
    bytes: usize,
}

impl Conditions {
    /// `key` must have the entry with this sequence, or none.
    pub fn push(&mut self, key: &[u8], sequence: Option<u64>) {
        let expect = sequence.map_or(Expect::Absent, Expect::Sequence);
        self.bytes += key.len() + CONDITION_BYTES;
        self.keys.push((key.to_vec(), expect));
    }

    /// Nothing may have been put between the bounds since a moment.
    pub fn push_range(&mut self, lower: &Bound<Vec<u8>>, upper: &Bound<Vec<u8>>, since: u64) {
        let len = |bound: &Bound<Vec<u8>>| match bound {
            Bound::Included(key) | Bound::Excluded(key) => key.len(),
            Bound::Unbounded => 0,
        };
        self.bytes += len(lower) + len(upper) + CONDITION_BYTES;
        let range = KeyRange {
            start: lower.clone(),
            end: upper.clone(),
        };
        self.ranges.push((range, since));
    }

    /// About how many bytes they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.ranges.is_empty()
    }

    /// # Errors
    /// `InvalidArgument`: there are too many.
    pub fn check_count(&self) -> Result<()> {
        if self.keys.len() + self.ranges.len() <= MAX_CONDITIONS {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("a write has more than {MAX_CONDITIONS} conditions"),
        ))
    }

    /// The same, as a server is asked for them.
    pub fn on_server(&self, history: Option<History>) -> level_party_remote::Conditions {
        let key = |(key, expect): &(Vec<u8>, Expect)| match expect {
            Expect::Absent => (key.clone(), None),
            Expect::Sequence(sequence) => (key.clone(), Some(*sequence)),
        };
        let range = |(range, since): &(KeyRange, u64)| {
            let range = level_party_remote::KeyRange {
                lower: range.start.clone(),
                upper: range.end.clone(),
            };
            (range, *since)
        };
        level_party_remote::Conditions {
            keys: self.keys.iter().map(key).collect(),
            ranges: self.ranges.iter().map(range).collect(),
            history: history.filter(|_| !self.is_empty()),
        }
    }

    /// `write` under these conditions.
    pub fn of(&self, mut write: Write) -> Write {
        for (key, expect) in &self.keys {
            write = write.condition(key, *expect);
        }
        for (range, since) in &self.ranges {
            write = write.untouched(range.clone(), *since);
        }
        write
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_conditions_than_a_write_may_have_are_refused() {
        let mut conditions = Conditions::default();
        (0..MAX_CONDITIONS).for_each(|_| conditions.push(b"", None));
        conditions.check_count().unwrap();
        conditions.push_range(&Bound::Unbounded, &Bound::Unbounded, 1);
        let error = conditions.check_count().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
}
