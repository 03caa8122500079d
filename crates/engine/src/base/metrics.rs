//! [`Metrics`]: what the engine has done since it was opened, counted where it happens.
//!
//! Promises: counting costs an addition. Times are measures for people: nothing is decided by them.
//! Must not know: who reads them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use level_party_format::edit::LEVELS;
use level_party_locks::Mutex;

/// What was written into one level since the engine was opened: flushes into level 0, compactions into the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LevelWork {
    /// Flushes or compactions that made tables for this level. One that moves a table as it is does not count.
    pub compactions: u64,
    /// Bytes of the tables they read.
    pub bytes_read: u64,
    /// Bytes of the tables they wrote.
    pub bytes_written: u64,
    /// How long they took.
    pub time: Duration,
}

/// Counts.
#[derive(Default)]
pub(crate) struct Metrics {
    levels: Mutex<[LevelWork; LEVELS]>,
    stalls: AtomicU64,
    stall_micros: AtomicU64,
}

impl Metrics {
    /// A flush or compaction into a level is done.
    pub(crate) fn worked(&self, level: usize, read: u64, written: u64, since: Instant) {
        if let Some(work) = self.levels.lock().get_mut(level) {
            work.compactions += 1;
            work.bytes_read += read;
            work.bytes_written += written;
            work.time += since.elapsed();
        }
    }

    /// A group of writes has waited for the tables.
    pub(crate) fn stalled(&self, since: Instant) {
        let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.stalls.fetch_add(1, Ordering::Relaxed);
        self.stall_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn levels(&self) -> [LevelWork; LEVELS] {
        *self.levels.lock()
    }

    pub(crate) fn stalls(&self) -> (u64, Duration) {
        let micros = self.stall_micros.load(Ordering::Relaxed);
        let stalls = self.stalls.load(Ordering::Relaxed);
        (stalls, Duration::from_micros(micros))
    }
}
