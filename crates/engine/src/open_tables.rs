//! [`OpenTables`]: how many tables are kept open at once.
//!
//! Promises: beside those that some read, cursor or compaction uses just now, no more tables are open than the limit,
//! however many a version has; so a database of thousands of tables works with a few hundred file descriptors. A table
//! used since the clock's hand last passed is kept longer than one that was not (second chance).
//! Must not know: levels, versions, or why a table is read. A table found open costs no lock.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::{ArcSwapOption, Guard};
use parking_lot::Mutex;

use crate::table::Table;

/// Where a file's open table is, if it is open.
#[derive(Default)]
pub(crate) struct Slot {
    table: ArcSwapOption<Table>,
    /// It was read since the hand last passed.
    used: AtomicBool,
}

impl Slot {
    /// The table, if it is open.
    #[inline]
    pub(crate) fn get(&self) -> Option<TableRef> {
        let table = self.table.load();
        table.as_ref()?;
        // Most often it is set already: then the line is only read.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        Some(TableRef(table))
    }

    pub(crate) fn is_open(&self) -> bool {
        self.table.load().is_some()
    }
}

/// An open table, kept open for as long as this lives.
pub struct TableRef(Guard<Option<Arc<Table>>>);

impl TableRef {
    /// The table, to be kept for longer.
    pub fn to_arc(&self) -> Arc<Table> {
        Arc::clone(self.0.as_ref().expect("made with a table only"))
    }
}

impl Deref for TableRef {
    type Target = Table;

    #[inline]
    fn deref(&self) -> &Table {
        self.0.as_ref().expect("made with a table only")
    }
}

impl fmt::Debug for TableRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Table::fmt(self, f)
    }
}

/// The tables kept open.
pub(crate) struct OpenTables {
    limit: usize,
    /// In the order in which the hand passes them. Each open slot is here once, closed ones not at all.
    clock: Mutex<VecDeque<Weak<Slot>>>,
}

impl OpenTables {
    pub(crate) fn new(limit: usize) -> OpenTables {
        OpenTables {
            limit: limit.max(1),
            clock: Mutex::default(),
        }
    }

    /// Keeps a table that was just opened in its slot, and closes another for it if need be. Where two readers opened it
    /// at the same moment, one of the two tables is kept.
    pub(crate) fn keep(&self, slot: &Arc<Slot>, table: Arc<Table>) -> TableRef {
        let mut clock = self.clock.lock();
        if let Some(kept) = slot.get() {
            return kept;
        }
        slot.table.store(Some(Arc::clone(&table)));
        slot.used.store(true, Ordering::Relaxed);
        clock.push_back(Arc::downgrade(slot));
        while clock.len() > self.limit {
            // Each round either shortens the row or clears a mark, so that this ends.
            let Some(oldest) = clock.pop_front().and_then(|slot| slot.upgrade()) else {
                continue;
            };
            if oldest.used.swap(false, Ordering::Relaxed) {
                clock.push_back(Arc::downgrade(&oldest));
            } else {
                oldest.table.store(None);
            }
        }
        TableRef(Guard::from_inner(Some(table)))
    }
}
