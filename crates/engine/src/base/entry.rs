//! What a read of one key finds.

use level_party_format::Sequence;

/// A value and the sequence of the write that put it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Vec<u8>,
    /// The sequence of the write.
    pub sequence: Sequence,
}

/// What a lookup is to bring back of a value that it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// A copy of it.
    Value,
    /// Only its sequence: [`Entry::value`] stays empty.
    Presence,
}

impl Want {
    #[inline]
    pub(crate) fn take(self, copy: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
        match self {
            Want::Value => copy(),
            Want::Presence => Vec::new(),
        }
    }
}

/// What a place (a table, a version, a view) knows of a user key at a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Nothing: an older place may know the key.
    Absent,
    /// The newest write deleted the key: older places must not be asked.
    Deleted {
        /// The sequence of the deletion.
        sequence: Sequence,
    },
    /// The newest write put this value.
    Found(Entry),
}

impl Lookup {
    /// The entry, if there is a value.
    pub fn into_entry(self) -> Option<Entry> {
        match self {
            Lookup::Found(entry) => Some(entry),
            Lookup::Absent | Lookup::Deleted { .. } => None,
        }
    }

    /// The sequence of the newest write to the key, be it a value or a deletion.
    pub fn sequence(&self) -> Option<Sequence> {
        match self {
            Lookup::Absent => None,
            Lookup::Deleted { sequence } => Some(*sequence),
            Lookup::Found(entry) => Some(entry.sequence),
        }
    }
}
