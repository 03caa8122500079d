//! A cursor's part in [`DeadRanges`](crate::read::dead_ranges::DeadRanges): a search that passes many removed keys asks where
//! they end, and tells of those that nobody knew.
//!
//! Promises: a search ends at the same key with it and without; one that passes fewer than [`FIRST_LOOK`] removed keys is
//! not concerned.
//! Must not know: how long what it is told holds.

use level_party_format::{MAX_SEQUENCE, key};

use super::{Cursor, save};
use crate::base::error::Result;
use crate::base::seek_key::SeekKey;
use crate::read::dead_ranges::{Edge, FIRST_LOOK, LEAST_GROWTH, LEAST_ROW, Way};

/// A search that found nothing new asks again after more and more removed keys, but at most after so many.
const MOST_BETWEEN_LOOKS: u64 = 64;

/// The row of removed keys that a search is in.
#[derive(Default)]
pub(super) struct DeadRow {
    /// The key at which it began to ask.
    from: Vec<u8>,
    /// Removed keys that it passed until the last one that it could go on from elsewhere; 0 if it could not yet.
    known: u64,
    /// After how many removed keys it asks next; 0 if it has not asked.
    look_at: u64,
    /// How many pass until it asks again.
    pause: u64,
}

impl Cursor {
    /// Going forward, at a removed key (`saved_key`): goes beyond what is known to have no key. False: it does not move.
    pub(super) fn jump_ahead(&mut self) -> Result<bool> {
        if !self.is_time_to_look() {
            return Ok(false);
        }
        let at = std::mem::take(&mut self.saved_key);
        let edge = self.look(&at, Way::Forward);
        self.saved_key = at;
        let target = match edge {
            None | Some(Edge::Lowest) => return Ok(false),
            Some(Edge::Before(key)) => SeekKey::new(&key, self.sequence),
            Some(Edge::After(key)) => SeekKey::after_all(&key),
            Some(Edge::Highest) => {
                self.merge.leave();
                return Ok(true);
            }
        };
        self.seek_on(&target)
    }

    /// Going backward, at the deletion of a key that has not shown a value yet: the same.
    pub(super) fn jump_back(&mut self) -> Result<bool> {
        if !self.is_time_to_look() {
            return Ok(false);
        }
        if self.dead_row.look_at == 0 {
            self.sought.clear();
        }
        let at = key::user_key(self.merge.key()).to_vec();
        let target = match self.look(&at, Way::Backward) {
            None | Some(Edge::Highest) => return Ok(false),
            Some(Edge::Before(key)) => SeekKey::new(&key, MAX_SEQUENCE),
            Some(Edge::After(key)) => SeekKey::after_all(&key),
            Some(Edge::Lowest) => {
                self.merge.leave();
                return Ok(true);
            }
        };
        // As in `seek_on`: entries out of order can't send it in a circle.
        let comparator = self.view.comparator();
        let is_beyond = |sought: &[u8]| comparator.compare(target.as_bytes(), sought).is_lt();
        if !self.sought.is_empty() && !is_beyond(&self.sought) {
            return Ok(false);
        }
        save(&mut self.sought, target.as_bytes());
        self.seek_entry_before(&target)?;
        Ok(true)
    }

    #[inline]
    fn is_time_to_look(&self) -> bool {
        self.removed >= self.dead_row.look_at
    }

    /// Where what is known from a removed key on ends.
    fn look(&mut self, at: &[u8], way: Way) -> Option<Edge> {
        let row = &mut self.dead_row;
        if row.look_at == 0 {
            save(&mut row.from, at);
            (row.known, row.pause) = (0, FIRST_LOOK);
        }
        let ranges = self.view.dead_ranges();
        let found = ranges.beyond(self.view.as_ref(), self.sequence, at, way);
        if found.is_some() {
            (row.known, row.pause) = (self.removed, 1);
        } else {
            row.pause = (4 * row.pause).min(MOST_BETWEEN_LOOKS);
        }
        row.look_at = self.removed + row.pause;
        found
    }

    /// A search is over that has asked: tells of the removed keys that it passed, if they are many that were not known.
    pub(super) fn end_dead_row(&mut self, way: Way, is_whole: bool) {
        let row = &mut self.dead_row;
        row.look_at = 0;
        let (unknown, least) = match row.known {
            0 => (self.removed - FIRST_LOOK, LEAST_ROW),
            known => (self.removed - known, LEAST_GROWTH),
        };
        if is_whole && unknown >= least {
            self.tell(way, unknown);
        }
    }

    #[cold]
    fn tell(&self, way: Way, unknown: u64) {
        let from = self.dead_row.from.clone();
        // What it stands at, and where it stopped, is not passed.
        let reached = match (self.valid, &self.stopped) {
            (true, _) => Some(self.key().to_vec()),
            (false, stopped) => stopped.clone(),
        };
        let ends = match way {
            Way::Forward => (
                Edge::Before(from),
                reached.map_or(Edge::Highest, Edge::Before),
            ),
            // Whether the key at which it began to ask has a value itself was not known then. If it has, there are no keys
            // between the two.
            Way::Backward => (reached.map_or(Edge::Lowest, Edge::After), Edge::After(from)),
        };
        let ranges = self.view.dead_ranges();
        ranges.learn(self.view.as_ref(), self.sequence, ends, unknown);
    }
}
