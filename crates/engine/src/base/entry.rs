//! What a read of one key finds.

use level_party_format::Sequence;

/// A value and the sequence of the write that put it there. `V` is what was made of the value: a copy, if nothing else is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<V = Vec<u8>> {
    /// The value.
    pub value: V,
    /// The sequence of the write.
    pub sequence: Sequence,
}

/// What a place (a table, a version, a view) knows of a user key at a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<V = Vec<u8>> {
    /// Nothing: an older place may know the key.
    Absent,
    /// The newest write deleted the key: older places must not be asked.
    Deleted {
        /// The sequence of the deletion.
        sequence: Sequence,
    },
    /// The newest write put this value.
    Found(Entry<V>),
}

impl<V> Lookup<V> {
    /// The entry, if there is a value.
    pub fn into_entry(self) -> Option<Entry<V>> {
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
