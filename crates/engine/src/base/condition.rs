//! Conditions of a write: what must still be true of a key when the write's turn comes.
//!
//! Promises: a condition speaks of the newest write to its key; a deleted key is absent, and a key that was put again
//! has the sequence of that put, also where the value is the same as before.
//! Must not know: when a condition is judged, or against which state.

use std::fmt;

use level_party_format::Sequence;

use crate::base::key_range::KeyRange;

/// What a [`Condition`] expects of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expect {
    /// The key has no value: it was never written, or its newest write is a deletion.
    Absent,
    /// The key's value was put by the write with this sequence ([`Entry::sequence`](crate::Entry::sequence)).
    Sequence(Sequence),
}

impl Expect {
    /// Whether a key whose value has this sequence (`None`: it has no value) is as expected.
    pub fn holds(self, found: Option<Sequence>) -> bool {
        match self {
            Expect::Absent => found.is_none(),
            Expect::Sequence(sequence) => found == Some(sequence),
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expect::Absent => f.write_str("absent"),
            Expect::Sequence(sequence) => write!(f, "at sequence {sequence}"),
        }
    }
}

/// One key, and what must be true of it for a [`Write`](crate::Write) to be applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// The user key.
    pub key: Vec<u8>,
    /// What is expected of it.
    pub expect: Expect,
}

/// A range of keys in which nothing was put since a moment, for a [`Write`](crate::Write) to be applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Untouched {
    /// The keys.
    pub range: KeyRange,
    /// The moment: every write up to and including this sequence.
    pub since: Sequence,
}

/// Why a write was refused: the source of an error of kind [`Conflict`](crate::ErrorKind::Conflict).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The first key that was not as expected.
    pub key: Vec<u8>,
    /// What was expected of it.
    pub expected: Expect,
    /// The sequence of the write that put the value it has; `None` if it has none.
    pub found: Option<Sequence>,
}

/// Bytes of a key that a message shows.
const SHOWN_KEY: usize = 80;

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.key[..self.key.len().min(SHOWN_KEY)];
        let more = if shown.len() < self.key.len() {
            "..."
        } else {
            ""
        };
        let (key, expected) = (shown.escape_ascii(), self.expected);
        let found = self.found.map_or(Expect::Absent, Expect::Sequence);
        write!(
            f,
            "the write was not applied: the key \"{key}{more}\" was expected to be {expected}, and is {found}"
        )
    }
}

impl std::error::Error for Conflict {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_says_what_was_expected_and_what_was_found() {
        let mut conflict = Conflict {
            key: b"a\n".to_vec(),
            expected: Expect::Sequence(5),
            found: None,
        };
        let sentence = "the write was not applied: the key \"a\\n\" was expected to be at sequence 5, and is absent";
        assert_eq!(conflict.to_string(), sentence);
        conflict.key = vec![b'k'; 1000];
        assert!(conflict.to_string().len() < 200);
    }

    #[test]
    fn only_what_is_expected_holds() {
        assert!(Expect::Absent.holds(None) && !Expect::Absent.holds(Some(0)));
        assert!(Expect::Sequence(3).holds(Some(3)));
        assert!(!Expect::Sequence(3).holds(Some(4)) && !Expect::Sequence(3).holds(None));
    }
}
