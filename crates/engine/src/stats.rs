//! [`Stats`]: the engine's figures at one moment.

use level_party_format::Sequence;
use level_party_format::edit::LEVELS;

/// The engine's figures at one moment, for people and tests; nothing decides by them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Tables of each level.
    pub files_per_level: [usize; LEVELS],
    /// Bytes of the tables of each level.
    pub bytes_per_level: [u64; LEVELS],
    /// Bytes used in the active memtable and the frozen ones.
    pub memtable_bytes: u64,
    /// Live pins.
    pub pins: usize,
    /// The smallest pinned sequence.
    pub oldest_pin: Option<Sequence>,
    /// The last published sequence.
    pub last_sequence: Sequence,
    /// What keeps flush or compaction from going on, if anything: it is tried again when a write needs it.
    pub background_error: Option<String>,
}
