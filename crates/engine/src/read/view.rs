//! [`View`]: all that a read needs, immutable: the active memtable, what is frozen, and one version.
//!
//! Promises: a view together with its own last sequence is one consistent moment; writes go on into the active memtable
//! with higher sequences, which such a read passes over. Of each memtable only what was published in it is seen, also where
//! a writer died in the middle. A view needs no lock and no write access. Where the memory of memtables is used again for
//! others, a read of a view that is too old is refused ([`ErrorKind::Stale`](crate::ErrorKind::Stale)), and never answered wrong.
//! Must not know: who made it, or that newer views exist.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use level_party_format::key::InternalComparator;
use level_party_format::{Comparator, Sequence};
use level_party_memtable::{Lookup as MemLookup, MemTable, MemValue};

use crate::base::control::{Control, ViewWord};
use crate::base::entry::{Entry, Lookup};
use crate::base::error::{Error, Result};
use crate::read::dead_ranges::{DeadRanges, Written, WrittenRegion};
use crate::read::iter::{InternalIter, MergingIter};
use crate::read::version::Version;

/// All that a read needs.
pub struct View {
    control: Control,
    /// The memory of its memtables may be used again while it is read.
    recycles: bool,
    word: ViewWord,
    /// What the active memtable had published when the view was made.
    seen: Sequence,
    /// The memtable that writes go into.
    mem: MemTable,
    /// What is full and not in the version yet, newest first.
    frozen: Vec<Frozen>,
    /// The tables.
    pub version: Arc<Version>,
    /// What earlier scans of this engine have found.
    dead_ranges: Arc<DeadRanges>,
}

/// A full memtable on its way to a table, which no write goes into any more.
#[derive(Clone)]
pub(crate) struct Frozen {
    pub(crate) mem: MemTable,
    /// The last sequence that was published in it.
    pub(crate) last: Sequence,
}

/// The parts of a view.
pub(crate) struct Parts {
    pub(crate) mem: MemTable,
    /// What `mem` has published, or had a moment ago.
    pub(crate) seen: Sequence,
    /// Newest first.
    pub(crate) frozen: Vec<Frozen>,
    pub(crate) version: Arc<Version>,
    pub(crate) dead_ranges: Arc<DeadRanges>,
}

impl View {
    /// A view of these parts, which are what `word` names. `recycles`: the memory of the memtables may be used again while
    /// somebody still has it.
    pub(crate) fn new(control: &Control, recycles: bool, word: ViewWord, parts: Parts) -> View {
        View {
            seen: parts.seen,
            control: control.clone(),
            recycles,
            word,
            mem: parts.mem,
            frozen: parts.frozen,
            version: parts.version,
            dead_ranges: parts.dead_ranges,
        }
    }

    /// The view word that it was made for.
    #[inline]
    pub(crate) fn word(&self) -> ViewWord {
        self.word
    }

    #[cfg(test)]
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// The memtables and their counters, newest first, the active one included.
    pub(crate) fn memtables(&self) -> impl Iterator<Item = (u32, &MemTable)> {
        let frozen = self.frozen.iter().map(|frozen| &frozen.mem);
        let mems = std::iter::once(&self.mem).chain(frozen);
        mems.enumerate()
            .map(|(back, mem)| (self.word.active.wrapping_sub(back as u32), mem))
    }

    /// What earlier scans have found, for all views of an engine.
    pub(crate) fn dead_ranges(&self) -> &Arc<DeadRanges> {
        &self.dead_ranges
    }

    /// Bytes that entries take in memory.
    pub(crate) fn bytes_in_memory(&self) -> usize {
        self.memtables().map(|(_, mem)| mem.bytes_used()).sum()
    }

    /// The sequence up to which this view shows every write: it goes on until the memtable is frozen.
    #[inline]
    pub fn last_sequence(&self) -> Sequence {
        // The region's slot may be another's by now.
        self.last_published().unwrap_or(self.seen)
    }

    /// As [`View::last_sequence`]; `None` if the region of the active memtable was used again.
    pub(crate) fn last_published(&self) -> Option<Sequence> {
        self.control.published_in(self.word.active)
    }

    /// The sequence, or the last one that is published in the active memtable if that is smaller.
    #[inline]
    pub(crate) fn clamped(&self, sequence: Sequence) -> Sequence {
        let last = self.last_published();
        sequence.min(last.unwrap_or(Sequence::MAX))
    }

    /// Whether all that was read of its memtables before was theirs.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        if !self.recycles || planted!(GenerationUnchecked) {
            return true;
        }
        let regions = 1 + self.frozen.len() as u32;
        self.control.are_current(self.word.active, regions)
    }

    /// The order of the keys.
    pub fn comparator(&self) -> &InternalComparator {
        self.version.comparator()
    }

    /// The value of a user key at `sequence`, or at the view's last one if that is smaller.
    ///
    /// # Errors
    /// What keeps a table or block from being read that may hold the key; [`ErrorKind::Stale`](crate::ErrorKind::Stale).
    pub fn get(&self, user_key: &[u8], sequence: Sequence) -> Result<Option<Entry>> {
        self.lookup(user_key, sequence).map(Lookup::into_entry)
    }

    /// As [`View::get`], but telling a deleted key from one never written.
    ///
    /// # Errors
    /// As [`View::get`].
    pub fn lookup(&self, user_key: &[u8], sequence: Sequence) -> Result<Lookup> {
        self.find(user_key, sequence, |value| value.to_vec(), <[u8]>::to_vec)
    }

    /// The sequence of the write that put the value a user key has at `sequence`; `None` if it has none. As
    /// [`View::get`] without copying the value.
    ///
    /// # Errors
    /// As [`View::get`].
    pub fn value_sequence(&self, user_key: &[u8], sequence: Sequence) -> Result<Option<Sequence>> {
        let found = self.find(user_key, sequence, |_| (), |_| ())?;
        Ok(found.into_entry().map(|entry| entry.sequence))
    }

    /// As [`View::get`] with what `read` makes of the value, which it is lent, once nothing can fail any more: from a table's
    /// block as it is, from a memtable as a copy, since its memory may be used again meanwhile.
    ///
    /// # Errors
    /// As [`View::get`].
    pub(crate) fn get_with<V>(
        &self,
        user_key: &[u8],
        sequence: Sequence,
        mut read: impl FnMut(&[u8]) -> V,
    ) -> Result<Option<V>> {
        let sequence = self.clamped(sequence);
        lend_copy(|copy| {
            match self.find_in_memory(user_key, sequence, |value| value.copy_to(copy))? {
                MemLookup::Value { .. } => Ok(Some(read(copy))),
                MemLookup::Deleted { .. } => Ok(None),
                MemLookup::Absent => {
                    let found = self.version.find(user_key, sequence, read)?;
                    Ok(found.into_entry().map(|entry| entry.value))
                }
            }
        })
    }

    /// What the memtables or the tables know of a key, with what one of the closures makes of its value.
    fn find<V>(
        &self,
        user_key: &[u8],
        sequence: Sequence,
        in_memory: impl FnMut(MemValue<'_>) -> V,
        in_table: impl FnMut(&[u8]) -> V,
    ) -> Result<Lookup<V>> {
        let sequence = self.clamped(sequence);
        match self.find_in_memory(user_key, sequence, in_memory)? {
            MemLookup::Deleted { sequence } => Ok(Lookup::Deleted { sequence }),
            MemLookup::Value { sequence, value } => Ok(Lookup::Found(Entry { value, sequence })),
            MemLookup::Absent => self.version.find(user_key, sequence, in_table),
        }
    }

    /// What the memtables know of a key.
    ///
    /// # Errors
    /// [`ErrorKind::Stale`](crate::ErrorKind::Stale): what `take` was given is no value.
    #[inline]
    fn find_in_memory<V>(
        &self,
        user_key: &[u8],
        sequence: Sequence,
        mut take: impl FnMut(MemValue<'_>) -> V,
    ) -> Result<MemLookup<V>> {
        let mut found = self.mem.find(user_key, sequence).map(&mut take);
        for frozen in &self.frozen {
            if !matches!(found, MemLookup::Absent) {
                break;
            }
            let last = sequence.min(frozen.last);
            found = frozen.mem.find(user_key, last).map(&mut take);
        }
        match self.is_current() {
            true => Ok(found),
            false => Err(Error::stale()),
        }
    }

    /// An iterator over all internal entries, newest memtable first in `iters`' order. Entries of the active memtable
    /// that are not published yet are among them: whoever reads at a moment passes them over.
    pub(crate) fn internal_iter(&self) -> MergingIter {
        let tables = self.version.level(0).len() + 6;
        let mut iters = Vec::with_capacity(1 + self.frozen.len() + tables);
        iters.push(InternalIter::Mem(self.mem.iter()));
        for frozen in &self.frozen {
            iters.push(InternalIter::Mem(frozen.mem.iter_up_to(frozen.last)));
        }
        self.version.add_iters(&mut iters);
        MergingIter::new(iters, self.comparator().clone())
    }
}

impl Written for View {
    fn user(&self) -> &Comparator {
        &self.comparator().user
    }

    fn shows(&self, at: Sequence) -> bool {
        self.last_published().is_some_and(|last| at <= last)
    }

    fn is_current(&self) -> bool {
        View::is_current(self)
    }

    fn regions(&self) -> impl DoubleEndedIterator<Item = WrittenRegion<'_>> {
        (0..=self.frozen.len()).rev().map(|back| {
            let frozen = back.checked_sub(1).map(|place| &self.frozen[place]);
            let counter = self.word.active.wrapping_sub(back as u32);
            WrittenRegion {
                counter,
                mem: frozen.map_or(&self.mem, |frozen| &frozen.mem),
                before: self.control.region(counter).before(),
                last: frozen.map_or(Sequence::MAX, |frozen| frozen.last),
            }
        })
    }
}

/// Largest buffer that a thread keeps for its next copy of a value.
const KEPT_COPY: usize = 1 << 20;

thread_local! {
    /// A thread's buffer for values of memtables, while it does not use it.
    static COPY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends the thread's buffer. It is out of its place meanwhile: who reads a value may read others, and gets another buffer.
fn lend_copy<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut copy = COPY.take();
    let done = work(&mut copy);
    if copy.capacity() <= KEPT_COPY {
        COPY.set(copy);
    }
    done
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
