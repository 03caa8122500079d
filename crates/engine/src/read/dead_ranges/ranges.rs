//! [`Ranges`]: ranges of keys without a value, and since when.
//!
//! Promises: they are in order and do not overlap; there are never more than [`MAX_RANGES`].
//! Must not know: how it comes that a key has no value.

use std::cmp::Ordering;

use level_party_format::{Comparator, Sequence};

use super::Way;

/// The most ranges that are kept: each front that is taken from needs a few.
pub(super) const MAX_RANGES: usize = 16;

/// A place before, between or after keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    /// Before all keys.
    Lowest,
    /// Right before this key.
    Before(Vec<u8>),
    /// Right after it.
    After(Vec<u8>),
    /// After all keys.
    Highest,
}

impl Edge {
    /// Bytes of its key.
    pub(super) fn len(&self) -> usize {
        self.key().map_or(0, <[u8]>::len)
    }

    fn key(&self) -> Option<&[u8]> {
        match self {
            Edge::Before(key) | Edge::After(key) => Some(key),
            Edge::Lowest | Edge::Highest => None,
        }
    }

    /// Whether a key lies after it.
    fn is_before(&self, user: &Comparator, key: &[u8]) -> bool {
        match self {
            Edge::Lowest => true,
            Edge::Before(edge) => user.compare(edge, key).is_le(),
            Edge::After(edge) => user.compare(edge, key).is_lt(),
            Edge::Highest => false,
        }
    }

    fn compare(&self, user: &Comparator, other: &Edge) -> Ordering {
        let rank = |edge: &Edge| match edge {
            Edge::Lowest => 0,
            Edge::Before(_) => 1,
            Edge::After(_) => 2,
            Edge::Highest => 3,
        };
        let by_rank = rank(self).cmp(&rank(other));
        match (self.key(), other.key()) {
            (Some(key), Some(others)) => user.compare(key, others).then(by_rank),
            _ => by_rank,
        }
    }
}

/// The keys between two edges: none had a value at any moment from `since` on.
#[derive(Clone, Debug)]
pub(super) struct Range {
    start: Edge,
    end: Edge,
    since: Sequence,
    /// Removed keys that a scan passed there: what is saved.
    pub(super) passed: u64,
}

impl Range {
    fn is_empty(&self, user: &Comparator) -> bool {
        self.start.compare(user, &self.end).is_ge()
    }
}

/// Ranges in order.
#[derive(Default)]
pub(super) struct Ranges {
    ranges: Vec<Range>,
}

impl Ranges {
    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.ranges.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The place of the range that a key is in.
    fn find(&self, user: &Comparator, key: &[u8]) -> Option<usize> {
        let ends_before = |range: &Range| range.end.is_before(user, key);
        let at = self.ranges.partition_point(ends_before);
        let range = self.ranges.get(at)?;
        range.start.is_before(user, key).then_some(at)
    }

    /// The range that a key is in.
    pub(super) fn holding(&self, user: &Comparator, key: &[u8]) -> Option<&Range> {
        self.find(user, key).map(|at| &self.ranges[at])
    }

    /// The end, on the way, of the range that a key is in and of those that follow without a gap, as far as they tell of moment `at`.
    pub(super) fn edge_beyond(
        &self,
        user: &Comparator,
        key: &[u8],
        at: Sequence,
        way: Way,
    ) -> Option<&Edge> {
        let mut place = self.find(user, key);
        let mut edge = None;
        while let Some(range) = place.and_then(|place| self.ranges.get(place)) {
            let (near, far) = match way {
                Way::Forward => (&range.start, &range.end),
                Way::Backward => (&range.end, &range.start),
            };
            let tells = range.since <= at || planted!(DeadRangesOfLater);
            if !tells || edge.is_some_and(|edge| edge != near) {
                break;
            }
            edge = Some(far);
            place = place.and_then(|place| match way {
                Way::Forward => place.checked_add(1),
                Way::Backward => place.checked_sub(1),
            });
        }
        edge
    }

    /// A key got a value: it is in no range any more.
    pub(super) fn cut_out(&mut self, user: &Comparator, key: &[u8]) {
        let Some(at) = self.find(user, key) else {
            return;
        };
        if planted!(WrittenSinceUnchecked) {
            return;
        }
        let whole = self.ranges.remove(at);
        let passed = whole.passed / 2;
        let below = Range {
            end: Edge::Before(key.to_vec()),
            passed,
            ..whole.clone()
        };
        let above = Range {
            start: Edge::After(key.to_vec()),
            passed,
            ..whole
        };
        let parts = [below, above].into_iter();
        let parts = parts.filter(|range| !range.is_empty(user));
        self.ranges.splice(at..at, parts);
        self.make_room(user);
    }

    /// The keys between two edges have no value at moment `since`, which is no earlier than that of any other range. What is
    /// in ranges already stays as it is, so that it goes on to tell of earlier moments.
    pub(super) fn insert(
        &mut self,
        user: &Comparator,
        start: Edge,
        end: Edge,
        since: Sequence,
        passed: u64,
    ) {
        let mut gaps = Vec::new();
        let mut from = start;
        for range in &self.ranges {
            if range.end.compare(user, &from).is_le() {
                continue;
            }
            if range.start.compare(user, &end).is_ge() {
                break;
            }
            gaps.push((from, range.start.clone()));
            from = range.end.clone();
        }
        gaps.push((from, end));
        let passed = passed / gaps.len() as u64;
        let gaps = gaps.into_iter().map(|(start, end)| Range {
            start,
            end,
            since,
            passed,
        });
        self.ranges
            .extend(gaps.filter(|range| !range.is_empty(user)));
        self.ranges.sort_by(|a, b| a.start.compare(user, &b.start));
        self.make_room(user);
    }

    /// Makes one range of two neighbours where there are too many: of those that were learnt longest ago. Where
    /// there are no neighbours, the one that saves least goes.
    fn make_room(&mut self, user: &Comparator) {
        while self.ranges.len() > MAX_RANGES {
            let pairs = self.ranges.windows(2).enumerate();
            let neighbours = pairs.filter(|(_, pair)| pair[0].end == pair[1].start);
            let oldest = neighbours.min_by_key(|(_, pair)| pair[0].since.max(pair[1].since));
            if let Some((at, _)) = oldest {
                let second = self.ranges.remove(at + 1);
                let first = &mut self.ranges[at];
                first.end = second.end;
                first.since = first.since.max(second.since);
                first.passed = first.passed.saturating_add(second.passed);
            } else {
                let least = self.ranges.iter().enumerate();
                let least = least.min_by_key(|(_, range)| range.passed);
                let Some((at, _)) = least else { return };
                self.ranges.remove(at);
            }
        }
        debug_assert!(self.is_in_order(user), "{:?}", self.ranges);
    }

    fn is_in_order(&self, user: &Comparator) -> bool {
        let is_apart = |pair: &[Range]| pair[0].end.compare(user, &pair[1].start).is_le();
        self.ranges.windows(2).all(is_apart)
    }
}
