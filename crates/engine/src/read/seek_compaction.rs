//! [`Worn`]: a version's first table that has used up its [seeks](crate::read::seek_budget) (LevelDB `db/version_set.cc`,
//! `Version::UpdateStats`).
//!
//! Promises: a reader counts and rings a bell, and nothing else: it takes no lock, and writes no file.
//! Must not know: how a compaction is chosen or done.

use std::sync::{Arc, OnceLock};

use crate::base::bell::Bell;
use crate::read::files::FileMeta;

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
