//! [`Seeks`]: how many seeks a table's compaction is worth, counted down for one table (LevelDB `db/version_set.cc`,
//! `VersionSet::Builder::Apply`).
//!
//! A read that has to look into more than one table pays with the time of a seek for what a compaction would spare it. One
//! seek costs about as much as compacting 40 KiB; LevelDB counts, with caution, one seek for 16 KiB of the table.
//!
//! Promises: a reader counts, and takes no lock. A table that has used up its seeks costs later reads no more writes to
//! shared memory.
//! Must not know: tables, versions, or what becomes of a table without seeks.

use std::sync::atomic::{AtomicI64, Ordering};

/// Bytes of a table that a compaction copies in the time of one seek.
const BYTES_PER_SEEK: u64 = 16 << 10;
/// A table's seeks, however small it is.
const LEAST_SEEKS: i64 = 100;
/// Bytes of entries that an iterator passes between two samples, on average.
pub(crate) const SAMPLE_PERIOD: u64 = 1 << 20;

/// The seeks that a table has left.
pub(crate) struct Seeks(AtomicI64);

impl Seeks {
    /// Those of a table of `size` bytes.
    pub(crate) fn of(size: u64) -> Seeks {
        Seeks(AtomicI64::new(allowed(size)))
    }

    /// All of them again: the table is at another level now.
    pub(crate) fn renew(&self, size: u64) {
        self.0.store(allowed(size), Ordering::Relaxed);
    }

    /// Takes one away; whether none is left.
    pub(crate) fn take(&self) -> bool {
        // Two readers that pass here at once may take one too many, which harms nobody.
        self.0.load(Ordering::Relaxed) <= 0 || self.0.fetch_sub(1, Ordering::Relaxed) <= 1
    }
}

fn allowed(size: u64) -> i64 {
    i64::try_from(size / BYTES_PER_SEEK)
        .unwrap_or(i64::MAX)
        .max(LEAST_SEEKS)
}
