//! A region's header: which generation it holds, what of it is published, the record of the commit in flight, and what is known
//! of its log's syncs.

use std::sync::atomic::Ordering;

use level_party_format::Sequence;

use super::{At, Control, REGIONS};
use crate::base::peers::Peers;
use crate::base::steps::step;
use crate::base::sync::{AtomicU64, fence};

const HEADERS: usize = 1024;
const HEADER_LEN: usize = 128;

const GENERATION: usize = 0;
const PUBLISHED: usize = 8;
const START: usize = 16;
const LAST: usize = 24;
const END: usize = 32;
const LOG: usize = 40;
const BEFORE: usize = 48;
const DURABLE: usize = 72;
const FAILED: usize = 80;
/// Where a planted bug finds whose record it is.
#[cfg(test)]
const RECORD_WRITER: usize = 120;

/// The header of the region that a counter names. The slot may hold another generation by now: see
/// [`RegionWords::is_current`].
#[derive(Clone, Copy)]
pub(crate) struct RegionWords<'a> {
    control: &'a Control,
    counter: u32,
}

impl Control {
    /// The header of a region.
    #[inline]
    pub(crate) fn region(&self, counter: u32) -> RegionWords<'_> {
        RegionWords {
            control: self,
            counter,
        }
    }
}

impl<'a> RegionWords<'a> {
    #[inline]
    fn word(&self, field: usize) -> &'a AtomicU64 {
        let slot = (self.counter % REGIONS) as usize;
        self.control.word(At(HEADERS + slot * HEADER_LEN + field))
    }

    /// Whether the slot holds the region of this counter. A reader asks after a fence with acquire order.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.word(GENERATION).load(Ordering::Relaxed) == u64::from(self.counter)
    }

    /// The last sequence committed in it, or before it.
    #[inline]
    pub(crate) fn published(&self) -> Sequence {
        self.word(PUBLISHED).load(Ordering::Acquire)
    }

    /// The number of the log that has its entries.
    pub(crate) fn log(&self) -> u64 {
        self.word(LOG).load(Ordering::Acquire)
    }

    /// The last sequence before those that are committed in it.
    pub(crate) fn before(&self) -> Sequence {
        self.word(BEFORE).load(Ordering::Acquire)
    }

    /// Whether a holder died or failed in the middle of a commit. Only the holder of the lock, and the flush of a frozen
    /// region, may ask.
    pub(crate) fn has_record(&self) -> bool {
        self.word(LAST).load(Ordering::Relaxed) > self.published()
    }

    /// The bytes of its log that count. As [`RegionWords::has_record`].
    pub(crate) fn committed_end(&self) -> u64 {
        let field = if self.has_record() { START } else { END };
        self.word(field).load(Ordering::Relaxed)
    }

    /// Where the record of the commit in flight begins, or of the one before. As [`RegionWords::has_record`].
    pub(crate) fn record_start(&self) -> u64 {
        self.word(START).load(Ordering::Relaxed)
    }

    /// Whether its log had to be cut when it was left (R2), and that is not durable yet. Of a region that is not written any
    /// more.
    pub(crate) fn needs_completion(&self) -> bool {
        self.is_current() && self.has_record() && !self.is_durable()
    }

    /// Whether its log is final, and a sync that was begun after that succeeded (S7).
    pub(crate) fn is_durable(&self) -> bool {
        self.is_marked(DURABLE)
    }

    /// Whether a sync of its log failed, or may have: what is in the log may not be durable, whatever a later sync says.
    pub(crate) fn is_failed(&self) -> bool {
        self.is_marked(FAILED)
    }

    /// Whoever synced its final log says so.
    pub(crate) fn set_durable(&self) {
        self.mark(DURABLE);
    }

    /// Whoever saw a sync of its log fail, or a member die in one, says so, before the member's `syncing` word is cleared.
    pub(crate) fn set_failed(&self) {
        self.mark(FAILED);
    }

    fn mark_of(&self) -> u64 {
        u64::from(self.counter) + (1 << 32)
    }

    fn is_marked(&self, field: usize) -> bool {
        self.word(field).load(Ordering::Acquire) == self.mark_of()
    }

    /// A mark names its region, so one that comes late says nothing of the slot's next region.
    fn mark(&self, field: usize) {
        let word = self.word(field);
        let mut seen = word.load(Ordering::Acquire);
        while seen != self.mark_of() && self.is_current() {
            let marked =
                word.compare_exchange(seen, self.mark_of(), Ordering::AcqRel, Ordering::Acquire);
            match marked {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Makes the slot this region's, with nothing in it (W2 of docs/COMMIT.md).
    pub(crate) fn set_up(&self, log: u64, before: Sequence) {
        self.word(GENERATION)
            .store(u64::from(self.counter), Ordering::Relaxed);
        if !planted!(SetUpWithoutFence) {
            // Whoever reads anything that is stored from here on finds the new generation.
            fence(Ordering::Release);
        }
        self.word(LOG).store(log, Ordering::Release);
        self.word(BEFORE).store(before, Ordering::Release);
        for field in [START, END, DURABLE, FAILED] {
            self.word(field).store(0, Ordering::Release);
        }
        self.word(LAST).store(before, Ordering::Release);
        self.store_published(before);
    }

    pub(super) fn store_published(&self, last: Sequence) {
        let order = match planted!(PublishedRelaxed) {
            true => Ordering::Relaxed,
            false => Ordering::Release,
        };
        self.word(PUBLISHED).store(last, order);
    }

    /// The record of the commit in flight (C10).
    #[cfg_attr(
        not(any(test, feature = "steps")),
        expect(unused_variables, reason = "steps of tests")
    )]
    pub(super) fn store_record(&self, last: Sequence, len: u64, peers: &dyn Peers) {
        let end = self.word(END).load(Ordering::Relaxed);
        step!(peers, RecordStart);
        self.word(START).store(end, Ordering::Release);
        step!(peers, RecordLast);
        self.word(LAST).store(last, Ordering::Release);
        step!(peers, RecordEnd);
        self.word(END).store(end + len, Ordering::Release);
    }

    /// The member whose commit is in flight.
    #[cfg(test)]
    pub(super) fn record_writer(&self) -> u64 {
        self.word(RECORD_WRITER).load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn store_record_writer(&self, writer: u64) {
        self.word(RECORD_WRITER).store(writer, Ordering::Relaxed);
    }

    /// The commit in flight did not happen, and its log was cut to `committed_end` (E2, E3).
    #[cfg_attr(
        not(any(test, feature = "steps")),
        expect(unused_variables, reason = "steps of tests")
    )]
    pub(super) fn take_back_record(&self, peers: &dyn Peers) {
        let end = self.committed_end();
        step!(peers, RestoreEnd);
        if !planted!(EndNotRestored) {
            self.store_end(end);
        }
        step!(peers, RestoreLast);
        let last = self.published();
        self.word(LAST).store(last, Ordering::Release);
    }

    /// The log has these bytes, of which no commit is in flight.
    pub(super) fn store_end(&self, end: u64) {
        self.word(END).store(end, Ordering::Release);
    }

    /// The last sequence of the commit in flight.
    pub(crate) fn record_last(&self) -> Sequence {
        self.word(LAST).load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for RegionWords<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegionWords")
            .field("counter", &self.counter)
            .field("current", &self.is_current())
            .field("published", &self.published())
            .field("log", &self.log())
            .finish_non_exhaustive()
    }
}
