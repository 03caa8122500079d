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
use crate::read::dead_ranges::{Edge, FIRST_LOOK, LEAST_ROW, Way};

/// A search that found nothing new asks again after more and more removed keys, but at most after so many.
const MOST_BETWEEN_LOOKS: u64 = 64;

/// A row of removed keys that a search is in.
pub(super) struct DeadRow {
    /// Where it began, as far as it can be told of.
    from: Edge,
    /// Of the removed keys passed, those that need not be told of.
    known: u64,
    /// After how many removed keys it asks, and how many come until it asks again.
    look_at: u64,
    pause: u64,
}

impl DeadRow {
    fn new(from: Edge) -> Box<DeadRow> {
        Box::new(DeadRow {
            from,
            known: FIRST_LOOK,
            look_at: FIRST_LOOK,
            pause: FIRST_LOOK,
        })
    }
}

impl Cursor {
    /// Going forward, at a removed key (`saved_key`): goes beyond what is known to have no key. False: it does not move.
    pub(super) fn jump_ahead(&mut self) -> Result<bool> {
        if !self.is_time_to_look() {
            return Ok(false);
        }
        let at = std::mem::take(&mut self.saved_key);
        let edge = self.look(Edge::Before, &at, Way::Forward);
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
        if self.dead_row.is_none() {
            self.sought.clear();
        }
        let at = key::user_key(self.merge.key()).to_vec();
        // Whether that key itself has a value is not known yet. If it has, the row ends where it begins.
        let target = match self.look(Edge::After, &at, Way::Backward) {
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
        let row = self.dead_row.as_ref();
        row.is_none_or(|row| self.removed >= row.look_at)
    }

    /// Where what is known from a removed key on ends.
    #[cold]
    fn look(&mut self, edge: fn(Vec<u8>) -> Edge, at: &[u8], way: Way) -> Option<Edge> {
        let row = self
            .dead_row
            .get_or_insert_with(|| DeadRow::new(edge(at.to_vec())));
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

    /// A search is over: tells of the removed keys that it passed, if they are many that were not known.
    #[cold]
    pub(super) fn end_dead_row(&mut self, way: Way, is_whole: bool) {
        let Some(row) = self.dead_row.take() else {
            return;
        };
        let unknown = self.removed.saturating_sub(row.known);
        if !is_whole || unknown < LEAST_ROW {
            return;
        }
        // What it stands at, and where it stopped, is not passed.
        let reached = match (self.valid, &self.stopped) {
            (true, _) => Some(self.key().to_vec()),
            (false, stopped) => stopped.clone(),
        };
        let ends = match (way, reached) {
            (Way::Forward, Some(key)) => (row.from, Edge::Before(key)),
            (Way::Forward, None) => (row.from, Edge::Highest),
            (Way::Backward, Some(key)) => (Edge::After(key), row.from),
            (Way::Backward, None) => (Edge::Lowest, row.from),
        };
        let ranges = self.view.dead_ranges();
        ranges.learn(self.view.as_ref(), self.sequence, ends, unknown);
    }
}
