//! [`Stats`]: the engine's figures at one moment.

use std::time::Duration;

use level_party_format::Sequence;
use level_party_format::edit::LEVELS;

use crate::base::metrics::LevelWork;

/// The engine's figures at one moment, for people and tests; nothing decides by them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Tables of each level.
    pub files_per_level: [usize; LEVELS],
    /// Bytes of the tables of each level.
    pub bytes_per_level: [u64; LEVELS],
    /// Bytes used in the active memtable and the frozen ones.
    pub memtable_bytes: u64,
    /// Bytes of tables' blocks in memory: see [`Options::block_cache_bytes`](crate::Options::block_cache_bytes).
    pub block_cache_bytes: u64,
    /// Live pins.
    pub pins: usize,
    /// The smallest pinned sequence.
    pub oldest_pin: Option<Sequence>,
    /// The last published sequence.
    pub last_sequence: Sequence,
    /// Flushes and compactions since the opening, by the level they wrote to.
    pub work_per_level: [LevelWork; LEVELS],
    /// How often a group of writes waited for flush or compaction since the opening.
    pub stalls: u64,
    /// How long they waited, all together: a measure, by which nothing is decided.
    pub stall_time: Duration,
    /// What keeps flush or compaction from going on, if anything: it is tried again when a write needs it.
    pub background_error: Option<String>,
}
