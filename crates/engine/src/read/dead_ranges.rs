//! [`DeadRanges`]: where an engine's scans found long rows of removed keys, so that the next scan need not pass them again.
//!
//! A queue takes its first key again and again. What it took leaves removed keys (tombstones) before the first one that is left,
//! until a compaction drops them, and a scan from the front passes all of them. So a scan that passed many tells what it
//! found, and the next one goes on behind them.
//!
//! **Invariant.** No key in a [`Range`](ranges::Range) had a value at any moment from the range's `since` to the `position`'s
//! sequence, both included.
//!
//! It holds when a range is learnt: a scan at moment M saw that its keys have no value, `since` is M, and the position is brought
//! to M first. It holds when the position goes on from S to M: a key without a value at S has one at a moment up to M only
//! if an operation in (S, M] put it. All these operations are looked at, and each key that was put is cut out
//! of its range. They are found without a search: the entries of a region lie in memory in the order of their
//! sequences, one entry for each, and a position is a place there.
//!
//! So a range is a statement about moments of the database, not about memory, files or views, and is used by a
//! scan at M only if `since` <= M and the position was brought to M or beyond.
//!
//! | case | why it holds |
//! |---|---|
//! | a scan at an older moment, of a snapshot or of a thread that was overtaken | used if `since` <= M; it learns nothing if M is before the position |
//! | entries of a commit under way, of a dead holder or of one that failed | they are above what the region published; M never is, because a view that can't tell what is published uses and learns nothing. After a dead holder their sequences are given again, in the next region; no walk goes beyond what a region published |
//! | a switch of regions | the walk ends at what the frozen region published, and goes on at the first entry of the next one |
//! | a flush, a compaction, another leader, the death of any member | they change no moment that can be read. Regions that went into tables before the position came to their end: the next entry is not the expected one, and all is forgotten |
//! | a region whose memory is used again during a scan or a walk | the generations are looked at behind the walk ([`Written::is_current`]), and all is forgotten |
//! | a view older than the position | its moments are before the position: nothing is walked |
//! | a damaged region | an entry that has not the expected sequence ends the walk, and all is forgotten |
//! | a condemned segment, another founding | another engine, which knows nothing yet |
//! | members that know nothing of this | the ranges are this engine's alone, and what others write is in the regions |
//!
//! **Cost.** A scan asks once it has passed [`FIRST_LOOK`] removed keys; one that passes fewer pays nothing but a count,
//! and it tells of rows of [`LEAST_ROW`] alone, or of what makes a range larger. A walk over what was written is made where it
//! costs less than the passing that it saves, or would have saved since the last walk (`credit`): so a scan costs at most about
//! twice what it would without, however much others write elsewhere. There are at most [`MAX_RANGES`](ranges::MAX_RANGES) ranges, with
//! edges of at most [`MAX_EDGE`] bytes.
//!
//! Must not know: who scans, or where views come from.

use std::sync::atomic::{AtomicBool, Ordering};

use level_party_format::{Comparator, Sequence};
use level_party_locks::Mutex;
use level_party_memtable::{InsertedAt, MemTable};

mod ranges;
#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) use ranges::Edge;
use ranges::Ranges;

/// Removed keys that a scan passes before it asks: about as many as asking takes time.
pub(crate) const FIRST_LOOK: u64 = 4;
/// A row of fewer removed keys is not worth a range: telling of it takes some hundredths of the time that passing it took.
pub(crate) const LEAST_ROW: u64 = if cfg!(test) { 16 } else { 128 };
/// The same for keys beside a range, by which it grows.
pub(crate) const LEAST_GROWTH: u64 = 8;
/// Entries that can be looked at in the time that passing one removed key takes: they lie in a row.
const WALKED_PER_PASS: u64 = 4;
/// The longest key that is kept as an edge.
const MAX_EDGE: usize = 4 << 10;

/// What was written and is not in tables, as a view has it.
pub(crate) trait Written {
    /// The order of user keys.
    fn user(&self) -> &Comparator;

    /// Whether all that was written up to this moment is published in regions that this is able to tell of, or in tables.
    fn shows(&self, at: Sequence) -> bool;

    /// Whether all that was read of the regions before was theirs.
    fn is_current(&self) -> bool;

    /// The regions, oldest first.
    fn regions(&self) -> impl DoubleEndedIterator<Item = WrittenRegion<'_>>;
}

/// A region, whose entries have each sequence above `before` once, in order.
pub(crate) struct WrittenRegion<'a> {
    pub(crate) counter: u32,
    pub(crate) mem: &'a MemTable,
    /// The last sequence before it.
    pub(crate) before: Sequence,
    /// Entries with higher sequences than this one do not count. The region that is written has no such limit but that of the
    /// moment.
    pub(crate) last: Sequence,
}

/// The ranges that an engine's scans have found to have no key.
pub(crate) struct DeadRanges {
    /// Nobody waits for it: who finds it taken goes on without.
    state: Mutex<State>,
    /// Whether there are ranges, for those who would have to look: it may be late.
    has_some: AtomicBool,
    /// How often a scan was told to go on elsewhere.
    #[cfg(test)]
    uses: std::sync::atomic::AtomicU64,
}

struct State {
    /// How far what was written is known. `None`: there are no ranges.
    position: Option<Position>,
    ranges: Ranges,
    /// Removed keys that were passed because a walk was too long, since the last walk.
    credit: u64,
    /// A key that was put.
    key: Vec<u8>,
}

/// Behind which of all entries.
#[derive(Clone, Copy)]
struct Position {
    /// The counter of the region.
    region: u32,
    place: InsertedAt,
    /// The sequence of the entry before.
    sequence: Sequence,
}

/// Which way a scan goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Forward,
    Backward,
}

impl Default for DeadRanges {
    fn default() -> DeadRanges {
        DeadRanges::new()
    }
}

impl DeadRanges {
    /// Nothing is known yet.
    pub(crate) fn new() -> DeadRanges {
        DeadRanges {
            state: Mutex::new(State {
                position: None,
                ranges: Ranges::default(),
                credit: 0,
                key: Vec::new(),
            }),
            has_some: AtomicBool::new(false),
            #[cfg(test)]
            uses: Default::default(),
        }
    }

    /// The end, in the direction of a scan, of what is known to have no key at moment `at`, from a removed key on. `None` if
    /// nothing is known there.
    pub(crate) fn beyond(
        &self,
        written: &impl Written,
        at: Sequence,
        key: &[u8],
        way: Way,
    ) -> Option<Edge> {
        if !self.has_some.load(Ordering::Relaxed) || !written.shows(at) {
            return None;
        }
        let mut state = self.state.try_lock()?;
        let user = written.user();
        let worth = state.ranges.holding(user, key)?.passed;
        if !state.catch_up(written, at, worth) {
            return None;
        }
        let edge = state.ranges.edge_beyond(user, key, at, way).cloned();
        #[cfg(test)]
        if edge.is_some() {
            self.uses.fetch_add(1, Ordering::Relaxed);
        }
        edge
    }

    #[cfg(test)]
    pub(crate) fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    /// A scan at moment `at`, of a view that has what was `written`, has found no key from `start` to `end`, and passed so many
    /// removed ones there.
    pub(crate) fn learn(
        &self,
        written: &impl Written,
        at: Sequence,
        (start, end): (Edge, Edge),
        passed: u64,
    ) {
        if start.len().max(end.len()) > MAX_EDGE || !written.shows(at) {
            return;
        }
        let Some(mut state) = self.state.try_lock() else {
            return;
        };
        let is_before = |position: Position| at < position.sequence;
        if state.position.is_some_and(is_before) {
            return;
        }
        // Where the regions from the position on are in tables, it begins anew.
        let mut is_there = state.catch_up(written, at, passed);
        if state.position.is_none() {
            state.position = Position::before(written, at);
            is_there = state.catch_up(written, at, passed);
        }
        // What the scan read may have been another region's.
        if is_there && written.is_current() {
            state.ranges.insert(written.user(), start, end, at, passed);
        }
        self.has_some
            .store(!state.ranges.is_empty(), Ordering::Relaxed);
    }
}

impl State {
    /// Brings the position to `at`, unless it is there or beyond. False: it did not, because what was written since is not worth to
    /// be looked at for so many removed keys that need not be passed; or because it is not there any more, and then nothing
    /// is known.
    fn catch_up(&mut self, written: &impl Written, at: Sequence, worth: u64) -> bool {
        let Some(position) = self.position else {
            return false;
        };
        let operations = at.saturating_sub(position.sequence);
        if operations == 0 {
            return true;
        }
        let worth = worth.saturating_add(self.credit);
        if operations > worth.saturating_mul(WALKED_PER_PASS) {
            self.credit = worth;
            return false;
        }
        self.credit = 0;
        let reached = self.walk(written, position, at);
        self.position = reached.filter(|_| written.is_current());
        if self.position.is_none() {
            self.ranges.clear();
        }
        self.position.is_some()
    }

    /// Looks at all that was written from a position up to `at`. `None` if it is not all there.
    fn walk(&mut self, written: &impl Written, from: Position, at: Sequence) -> Option<Position> {
        let user = written.user();
        let mut position = from;
        for region in written.regions() {
            let is_before = (region.counter.wrapping_sub(position.region) as i32) < 0;
            if is_before || position.sequence == at {
                continue;
            }
            if region.counter != position.region {
                position.region = region.counter;
                position.place = region.mem.first_inserted();
            }
            while position.sequence < region.last.min(at) {
                let (entry, behind) = region.mem.inserted(position.place)?;
                if entry.sequence() != position.sequence + 1 {
                    return None;
                }
                position.sequence += 1;
                position.place = behind;
                if !entry.is_deletion() && !self.ranges.is_empty() {
                    self.key.clear();
                    entry.append_key(&mut self.key);
                    self.ranges.cut_out(user, &self.key);
                }
            }
        }
        (position.sequence == at).then_some(position)
    }
}

impl Position {
    /// The last one at or before `at` that is known without a walk: where a region begins.
    fn before(written: &impl Written, at: Sequence) -> Option<Position> {
        let newest_first = written.regions().rev();
        let mut begins = newest_first.map(|region| Position {
            region: region.counter,
            place: region.mem.first_inserted(),
            sequence: region.before,
        });
        begins.find(|position| position.sequence <= at)
    }
}
