//! [`MergingIter`]: the entries of many iterators in one order, in both directions.
//!
//! Invariant: `current` is the child with the smallest key (largest, going backward); `others` are the other children
//! that are at an entry, as a binary heap with the next one on top. Going forward each of them is at its first entry after
//! the current key, going backward at its last before it.
//! As long as the current child stays ahead of the top, a step costs one comparison; a change of child costs as many as
//! the heap is deep, so that a merge of a thousand tables works in one pass.
//! Equal internal keys can only be the same entry twice (a log replayed into a second table); then the earlier child
//! goes first, and after a change of direction its twin may be left out.

use std::cmp::Ordering;

use level_party_format::Corruption;
use level_party_format::key::InternalComparator;

use super::InternalIter;
use crate::base::error::{Error, Result};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// No child.
const NONE: usize = usize::MAX;

/// An iterator over the entries of all its children.
pub(crate) struct MergingIter {
    children: Vec<InternalIter>,
    comparator: InternalComparator,
    direction: Direction,
    current: usize,
    /// A heap by [`MergingIter::ahead`].
    others: Vec<usize>,
    /// The current key during a change of direction.
    turning_at: Vec<u8>,
}

impl MergingIter {
    /// Merges the children; of equal keys the earlier child's comes first.
    pub(crate) fn new(
        mut children: Vec<InternalIter>,
        comparator: InternalComparator,
    ) -> MergingIter {
        let count = children.len();
        for child in &mut children {
            child.share_read_ahead(count);
        }
        MergingIter {
            children,
            comparator,
            direction: Direction::Forward,
            current: NONE,
            others: Vec::with_capacity(count),
            turning_at: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn valid(&self) -> bool {
        self.current != NONE
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.children
            .get(self.current)
            .map_or(&[], InternalIter::key)
    }

    /// The internal key of the entry and the length of its value; `None` if not valid.
    #[inline]
    pub(crate) fn entry(&self) -> Option<(&[u8], usize)> {
        self.children.get(self.current).map(InternalIter::entry)
    }

    #[inline]
    pub(crate) fn load_value(&mut self) {
        if let Some(child) = self.children.get_mut(self.current) {
            child.load_value();
        }
    }

    /// Appends the value, loaded or not.
    #[inline]
    pub(crate) fn append_value(&self, out: &mut Vec<u8>) {
        if let Some(child) = self.children.get(self.current) {
            child.append_value(out);
        }
    }

    /// The value, once it was loaded.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        self.children
            .get(self.current)
            .map_or(&[], InternalIter::value)
    }

    pub(crate) fn seek_to_first(&mut self) -> Result<()> {
        self.position(Direction::Forward, InternalIter::seek_to_first)
    }

    pub(crate) fn seek_to_last(&mut self) -> Result<()> {
        self.position(Direction::Backward, InternalIter::seek_to_last)
    }

    /// To the first entry at or after an internal key.
    pub(crate) fn seek(&mut self, internal_key: &[u8]) -> Result<()> {
        self.position(Direction::Forward, |child| child.seek(internal_key))
    }

    fn position(
        &mut self,
        direction: Direction,
        to: impl Fn(&mut InternalIter) -> Result<()>,
    ) -> Result<()> {
        self.current = NONE;
        self.direction = direction;
        self.children.iter_mut().try_for_each(to)?;
        self.gather_but(NONE);
        self.current = self.take_foremost();
        Ok(())
    }

    /// Stands nowhere.
    pub(crate) fn leave(&mut self) {
        self.current = NONE;
        self.others.clear();
    }

    /// To the next entry; does nothing if not valid.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<()> {
        if self.current == NONE {
            return Ok(());
        }
        if self.direction != Direction::Forward {
            self.turn(Direction::Forward)?;
        }
        let moved = self.children[self.current].next();
        self.advance(moved)
    }

    /// To the entry before; does nothing if not valid.
    #[inline]
    pub(crate) fn prev(&mut self) -> Result<()> {
        if self.current == NONE {
            return Ok(());
        }
        if self.direction != Direction::Backward {
            self.turn(Direction::Backward)?;
        }
        let moved = self.children[self.current].prev();
        self.advance(moved)
    }

    /// After the current child moved: stays with it, or changes to the next.
    #[inline]
    fn advance(&mut self, moved: Result<()>) -> Result<()> {
        if let Err(error) = moved {
            self.current = NONE;
            return Err(error);
        }
        if !self.children[self.current].valid() {
            self.current = self.take_foremost();
        } else if let Some(&next) = self.others.first()
            && !self.ahead(self.current, next)
        {
            self.others[0] = self.current;
            self.current = next;
            self.sift_down(0);
        }
        Ok(())
    }

    /// Makes the heap of all valid children but one.
    fn gather_but(&mut self, but: usize) {
        let children = self.children.iter().enumerate();
        let valid = children.filter(|(at, child)| *at != but && child.valid());
        self.others.clear();
        self.others.extend(valid.map(|(at, _)| at));
        for at in (0..self.others.len() / 2).rev() {
            self.sift_down(at);
        }
    }

    /// Takes the child that goes first out of the heap.
    fn take_foremost(&mut self) -> usize {
        if self.others.is_empty() {
            return NONE;
        }
        let foremost = self.others.swap_remove(0);
        self.sift_down(0);
        foremost
    }

    /// Puts the child at a place of the heap below all that go before it.
    fn sift_down(&mut self, mut at: usize) {
        loop {
            let mut below = 2 * at + 1;
            let Some(&left) = self.others.get(below) else {
                return;
            };
            let mut first = left;
            if let Some(&right) = self.others.get(below + 1)
                && self.ahead(right, left)
            {
                (below, first) = (below + 1, right);
            }
            if self.ahead(self.others[at], first) {
                return;
            }
            self.others.swap(at, below);
            at = below;
        }
    }

    /// Whether child `a` goes before child `b` in this direction.
    #[inline]
    fn ahead(&self, a: usize, b: usize) -> bool {
        let keys = self
            .comparator
            .compare(self.children[a].key(), self.children[b].key());
        let order = keys.then(a.cmp(&b));
        match self.direction {
            Direction::Forward => order == Ordering::Less,
            Direction::Backward => order == Ordering::Greater,
        }
    }

    /// Moves every child but the current to the other side of the current key.
    #[cold]
    fn turn(&mut self, direction: Direction) -> Result<()> {
        let current = self.current;
        let mut turning_at = std::mem::take(&mut self.turning_at);
        turning_at.clear();
        turning_at.extend_from_slice(self.children[current].key());
        self.direction = direction;
        self.current = NONE;
        for (at, child) in self.children.iter_mut().enumerate() {
            if at != current {
                cross(child, &turning_at, direction, &self.comparator)?;
            }
        }
        self.turning_at = turning_at;
        self.current = current;
        self.gather_but(current);
        Ok(())
    }

    /// The error for an entry here that makes no sense, naming its place.
    #[cold]
    pub(crate) fn damaged(&self, error: Corruption) -> Error {
        match self.children.get(self.current) {
            Some(child) => child.damaged(error),
            None => Error::corruption("a table", error),
        }
    }
}

/// Moves a child to its first entry after `key`, or to its last before it.
fn cross(
    child: &mut InternalIter,
    key: &[u8],
    direction: Direction,
    comparator: &InternalComparator,
) -> Result<()> {
    child.seek(key)?;
    match direction {
        Direction::Forward if child.valid() && comparator.compare(child.key(), key).is_eq() => {
            child.next()
        }
        Direction::Forward => Ok(()),
        Direction::Backward if child.valid() => child.prev(),
        Direction::Backward => child.seek_to_last(),
    }
}
