//! [`MergingIter`]: the entries of many iterators in one order, in both directions.
//!
//! Invariant: `current` is the child with the smallest key (largest, going backward), `runner` the one with the next;
//! going forward every other child is at its first entry after the current key, going backward at its last before it.
//! As long as the current child stays ahead of the runner, a step costs one comparison.
//! Equal internal keys can only be the same entry twice (a log replayed into a second table); then the earlier child
//! goes first, and after a change of direction its twin may be left out.

use std::cmp::Ordering;

use level_party_format::Corruption;
use level_party_format::key::InternalComparator;

use super::InternalIter;
use crate::error::{Error, Result};

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
    runner: usize,
    /// The current key during a change of direction.
    turning_at: Vec<u8>,
}

impl MergingIter {
    /// Merges the children; of equal keys the earlier child's comes first.
    pub(crate) fn new(children: Vec<InternalIter>, comparator: InternalComparator) -> MergingIter {
        MergingIter {
            children,
            comparator,
            direction: Direction::Forward,
            current: NONE,
            runner: NONE,
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
        self.choose();
        Ok(())
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

    /// After the current child moved: stays with it, or changes to the runner.
    #[inline]
    fn advance(&mut self, moved: Result<()>) -> Result<()> {
        if let Err(error) = moved {
            self.current = NONE;
            return Err(error);
        }
        let valid = self.children[self.current].valid();
        if self.runner == NONE {
            if !valid {
                self.current = NONE;
            }
        } else if !valid || !self.ahead(self.current, self.runner) {
            self.current = self.runner;
            self.runner = self.foremost_but(self.current);
        }
        Ok(())
    }

    fn choose(&mut self) {
        self.current = self.foremost_but(NONE);
        self.runner = match self.current {
            NONE => NONE,
            current => self.foremost_but(current),
        };
    }

    /// The valid child that goes first in this direction, leaving one out.
    fn foremost_but(&self, but: usize) -> usize {
        let mut foremost = NONE;
        for (at, child) in self.children.iter().enumerate() {
            if at != but && child.valid() && (foremost == NONE || self.ahead(at, foremost)) {
                foremost = at;
            }
        }
        foremost
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
        self.runner = self.foremost_but(current);
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
