//! [`Worn`]: a version's first table that has used up its [seeks](crate::read::seek_budget) (LevelDB `db/version_set.cc`,
//! `Version::UpdateStats`).
//!
//! Promises: a reader counts and tells once a version, and nothing else: it takes no lock, and writes no file.
//! Must not know: how a compaction is chosen or done.

use std::sync::{Arc, OnceLock};

use crate::read::files::FileMeta;

/// Told the number of a table that has used up its seeks.
pub(crate) type TellWorn = Arc<dyn Fn(u64) + Send + Sync>;

/// The first table of a version that has used up its seeks, with its level.
#[derive(Default)]
pub(crate) struct Worn {
    table: OnceLock<(usize, Arc<FileMeta>)>,
    tell: Option<TellWorn>,
}

impl Worn {
    /// Tells when a table has used up its seeks.
    pub(crate) fn telling(tell: TellWorn) -> Worn {
        Worn {
            table: OnceLock::new(),
            tell: Some(tell),
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
    pub(crate) fn used_up(&self, level: usize, file: &Arc<FileMeta>) {
        if self.table.get().is_none() && self.table.set((level, Arc::clone(file))).is_ok() {
            self.tell.iter().for_each(|tell| tell(file.number));
        }
    }

    pub(crate) fn get(&self) -> Option<&(usize, Arc<FileMeta>)> {
        self.table.get()
    }
}
