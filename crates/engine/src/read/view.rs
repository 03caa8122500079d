//! [`View`]: all that a read needs, immutable: the active memtable, what is frozen, and one version.
//!
//! Promises: a view together with its own last sequence is one consistent moment; writes go on into the active memtable
//! with higher sequences, which such a read passes over. A view needs no lock and no write access, and keeps what it
//! reads alive.
//! Must not know: who made it, or that newer views exist.

use std::fmt;
use std::sync::Arc;

use level_party_format::Sequence;
use level_party_format::key::InternalComparator;
use level_party_memtable::{Lookup as MemLookup, MemTable};

use crate::base::entry::{Entry, Lookup, Want};
use crate::base::error::Result;
use crate::read::iter::{InternalIter, MergingIter};
use crate::read::run::{Run, RunIter};
use crate::read::version::Version;

/// All that a read needs.
pub struct View {
    /// The memtable that writes go into.
    pub mem: MemTable,
    /// What is full, or was recovered, and is not in the version yet, newest first.
    pub frozen: Vec<Frozen>,
    /// The tables.
    pub version: Arc<Version>,
}

/// Entries on their way to tables, which no write goes into any more.
#[derive(Clone)]
pub enum Frozen {
    /// A full memtable.
    Mem(MemTable),
    /// What the logs of earlier openings held.
    Run(Arc<Run>),
}

impl Frozen {
    fn get(&self, user_key: &[u8], sequence: Sequence) -> MemLookup<'_> {
        match self {
            Frozen::Mem(mem) => mem.get(user_key, sequence),
            Frozen::Run(run) => run.get(user_key, sequence),
        }
    }

    fn iter(&self) -> InternalIter {
        match self {
            Frozen::Mem(mem) => InternalIter::Mem(mem.iter()),
            Frozen::Run(run) => InternalIter::Run(RunIter::new(run)),
        }
    }

    pub(crate) fn bytes_used(&self) -> usize {
        match self {
            Frozen::Mem(mem) => mem.bytes_used(),
            Frozen::Run(run) => run.bytes_used(),
        }
    }
}

impl View {
    /// A view of these parts; `frozen` newest first.
    pub fn new(mem: MemTable, frozen: Vec<Frozen>, version: Arc<Version>) -> View {
        View {
            mem,
            frozen,
            version,
        }
    }

    /// The sequence up to which this view shows every write: the word in the active memtable.
    pub fn last_sequence(&self) -> Sequence {
        self.mem.last_sequence()
    }

    /// The order of the keys.
    pub fn comparator(&self) -> &InternalComparator {
        self.version.comparator()
    }

    /// The value of a user key at `sequence`.
    ///
    /// # Errors
    /// What keeps a table or block from being read that may hold the key.
    pub fn get(&self, user_key: &[u8], sequence: Sequence) -> Result<Option<Entry>> {
        self.lookup(user_key, sequence).map(Lookup::into_entry)
    }

    /// As [`View::get`], but telling a deleted key from one never written.
    ///
    /// # Errors
    /// As [`View::get`].
    pub fn lookup(&self, user_key: &[u8], sequence: Sequence) -> Result<Lookup> {
        self.find(user_key, sequence, Want::Value)
    }

    /// The sequence of the write that put the value a user key has at `sequence`; `None` if it has none. As
    /// [`View::get`] without copying the value.
    ///
    /// # Errors
    /// As [`View::get`].
    pub fn value_sequence(&self, user_key: &[u8], sequence: Sequence) -> Result<Option<Sequence>> {
        let found = self.find(user_key, sequence, Want::Presence)?;
        Ok(found.into_entry().map(|entry| entry.sequence))
    }

    fn find(&self, user_key: &[u8], sequence: Sequence, want: Want) -> Result<Lookup> {
        let in_mem = std::iter::once_with(|| self.mem.get(user_key, sequence));
        let in_frozen = self.frozen.iter().map(|f| f.get(user_key, sequence));
        for found in in_mem.chain(in_frozen) {
            match found {
                MemLookup::Absent => {}
                MemLookup::Deleted { sequence } => return Ok(Lookup::Deleted { sequence }),
                MemLookup::Value { sequence, value } => {
                    let value = want.take(value);
                    return Ok(Lookup::Found(Entry { value, sequence }));
                }
            }
        }
        self.version.find(user_key, sequence, want)
    }

    /// An iterator over all internal entries, newest memtable first in `iters`' order.
    pub(crate) fn internal_iter(&self) -> MergingIter {
        let mut iters = Vec::with_capacity(1 + self.frozen.len() + self.version.level(0).len() + 6);
        iters.push(InternalIter::Mem(self.mem.iter()));
        iters.extend(self.frozen.iter().map(Frozen::iter));
        self.version.add_iters(&mut iters);
        MergingIter::new(iters, self.comparator().clone())
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("last_sequence", &self.last_sequence())
            .field("frozen", &self.frozen.len())
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
