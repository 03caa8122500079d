//! Seeks that a table's compaction is worth: [`Seeks`] counts them for a table, [`Worn`] keeps a version's first table that
//! has used up its own (LevelDB `db/version_set.cc`, `VersionSet::Builder::Apply` and `Version::UpdateStats`).
//!
//! A read that has to look into more than one table pays with the time of a seek for what a compaction would spare it. One
//! seek costs about as much as compacting 40 KiB; LevelDB counts, with caution, one seek for 16 KiB of the table.
//!
//! Promises: a reader counts and rings a bell, and nothing else: it takes no lock, and writes no file. A table that has
//! used up its seeks costs later reads no more writes to shared memory.
//! Must not know: how a compaction is chosen or done.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::bell::Bell;
use crate::files::FileMeta;

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
    fn take(&self) -> bool {
        // Two readers that pass here at once may take one too many, which harms nobody.
        self.0.load(Ordering::Relaxed) <= 0 || self.0.fetch_sub(1, Ordering::Relaxed) <= 1
    }
}

fn allowed(size: u64) -> i64 {
    i64::try_from(size / BYTES_PER_SEEK)
        .unwrap_or(i64::MAX)
        .max(LEAST_SEEKS)
}

/// The first table of a version that has used up its seeks, with its level.
#[derive(Default)]
pub(crate) struct Worn {
    table: OnceLock<(usize, Arc<FileMeta>)>,
    bell: Option<Arc<Bell>>,
}

impl Worn {
    /// Rings this bell when a table has used up its seeks.
    pub(crate) fn ringing(bell: &Arc<Bell>) -> Worn {
        Worn {
            table: OnceLock::new(),
            bell: Some(Arc::clone(bell)),
        }
    }

    /// A read had to look beyond this table, the first that it looked into.
    #[inline]
    pub(crate) fn charge(&self, level: usize, file: &Arc<FileMeta>) {
        if file.seeks().take() {
            self.used_up(level, file);
        }
    }

    #[cold]
    fn used_up(&self, level: usize, file: &Arc<FileMeta>) {
        if self.table.get().is_none() && self.table.set((level, Arc::clone(file))).is_ok() {
            self.bell.iter().for_each(|bell| bell.ring());
        }
    }

    pub(crate) fn get(&self) -> Option<&(usize, Arc<FileMeta>)> {
        self.table.get()
    }
}
