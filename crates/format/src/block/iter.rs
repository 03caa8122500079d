//! A block to keys and values, in both directions.

use std::cmp::Ordering;

use super::Block;
use crate::Corruption;
use crate::key::InternalComparator;

/// Walks over the entries of a block that it owns.
///
/// After an error, and beyond either end, it stands at no entry; from there every move but the seeks is a no-op.
#[derive(Debug, Clone)]
pub struct BlockIter {
    block: Block,
    comparator: InternalComparator,
    /// Offset of the entry it stands at, or `NOWHERE`.
    current: u32,
    /// Invariant: `value_start..next` is the current entry's value, and lies in the block; empty if nowhere.
    value_start: u32,
    next: u32,
    /// Invariant: the current entry's whole key; empty if nowhere, but for the start of a seek.
    key: Vec<u8>,
    /// Invariant: consecutive entries of this block, or none.
    interval: Interval,
}

/// No entry starts here: an entry has at least three bytes.
const NOWHERE: u32 = u32::MAX;

/// Entries from a restart on, kept for going backward.
///
/// A key is made of the one behind it: cut to what that one shares, then what it put away. So all of them take no more
/// memory than their block, however long the prefixes they share.
#[derive(Debug, Clone, Default)]
struct Interval {
    /// What the entries put away of the keys before them, one piece behind the other.
    put_away: Vec<u8>,
    entries: Vec<Decoded>,
    /// The whole key of the last entry.
    last_key: Vec<u8>,
    /// Index of the entry that was stepped to last.
    at: usize,
}

#[derive(Debug, Clone, Copy)]
struct Decoded {
    offset: u32,
    value_start: u32,
    end: u32,
    /// How much of the key before it the entry keeps.
    shared: u32,
    /// Where in `put_away` the piece ends that it put away; it starts where that of the entry before ends.
    put_away_end: u32,
}

impl BlockIter {
    pub(super) fn new(block: Block, comparator: InternalComparator) -> Self {
        BlockIter {
            block,
            comparator,
            current: NOWHERE,
            value_start: 0,
            next: 0,
            key: Vec::new(),
            interval: Interval::default(),
        }
    }

    /// Goes over to another block, at no entry yet, keeping its memory. A table's iterator need not allocate per block.
    pub fn reset(&mut self, block: Block) {
        self.block = block;
        self.go_nowhere();
        self.interval.clear();
    }

    /// Whether it stands at an entry.
    #[inline]
    pub fn valid(&self) -> bool {
        self.current != NOWHERE
    }

    /// The key of the current entry; empty if there is none.
    #[inline]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The value of the current entry; empty if there is none.
    #[inline]
    pub fn value(&self) -> &[u8] {
        &self.block.data[self.value_start as usize..self.next as usize]
    }

    /// Goes to the first entry.
    pub fn seek_to_first(&mut self) -> Result<(), Corruption> {
        self.key.clear();
        self.parse(0)
    }

    /// Goes to the last entry.
    pub fn seek_to_last(&mut self) -> Result<(), Corruption> {
        self.step_back_from(self.block.shape.entries_len)
    }

    /// Goes to the first entry whose key is `>= target`; to none if there is no such entry.
    pub fn seek(&mut self, target: &[u8]) -> Result<(), Corruption> {
        let start = match self
            .block
            .lend()
            .last_restart_before(&self.comparator, target)
        {
            Ok(start) => start,
            Err(offset) => return self.fail(offset),
        };
        self.key.clear();
        self.parse(start)?;
        while self.valid() && self.comparator.compare(&self.key, target) == Ordering::Less {
            self.parse(self.next)?;
        }
        Ok(())
    }

    /// Goes to the next entry; to none after the last.
    // LevelDB's name for it. Not the trait's: it lends, can fail, and has a way back.
    #[allow(clippy::should_implement_trait)]
    #[inline]
    pub fn next(&mut self) -> Result<(), Corruption> {
        if !self.valid() {
            return Ok(());
        }
        self.parse(self.next)
    }

    /// Goes to the entry before; to none before the first.
    pub fn prev(&mut self) -> Result<(), Corruption> {
        if !self.valid() {
            return Ok(());
        }
        if let Some(index) = self.interval.before(self.current) {
            self.interval.key_before(index + 1, &mut self.key);
            self.take(index);
            return Ok(());
        }
        self.step_back_from(self.current)
    }

    /// Goes to the entry at `offset`, whose predecessor's key is in `key` (or none, at a restart).
    #[inline]
    fn parse(&mut self, offset: u32) -> Result<(), Corruption> {
        if offset >= self.block.shape.entries_len {
            self.go_nowhere();
            return Ok(());
        }
        match self.block.lend().entry(offset) {
            Some(entry) if entry.shared as usize <= self.key.len() => {
                self.key.truncate(entry.shared as usize);
                let unshared = entry.key_start as usize..entry.value_start as usize;
                self.key.extend_from_slice(&self.block.data[unshared]);
                self.current = offset;
                self.value_start = entry.value_start;
                self.next = entry.end;
                Ok(())
            }
            _ => self.fail(offset),
        }
    }

    /// Goes to the last entry that starts before `limit`, which must itself be an entry's offset or the entries' end.
    fn step_back_from(&mut self, limit: u32) -> Result<(), Corruption> {
        let Some(start) = self.last_restart_below(limit) else {
            self.go_nowhere();
            return Ok(());
        };
        match self.interval.decode(&self.block, start, limit) {
            Ok(last) => {
                self.interval.key_before(last + 1, &mut self.key);
                self.take(last);
                Ok(())
            }
            Err(offset) => self.fail(offset),
        }
    }

    /// The offset of the last restart below `limit`. In a block with restarts out of order it is some restart below
    /// it, so that going backward ends in any case.
    fn last_restart_below(&self, limit: u32) -> Option<u32> {
        if limit == 0 || self.block.shape.restarts == 0 {
            return None;
        }
        let (mut left, mut right) = (0, self.block.shape.restarts - 1);
        let mut start = 0;
        while left < right {
            let middle = left + (right - left).div_ceil(2);
            let offset = self.block.lend().restart(middle);
            if offset < limit {
                left = middle;
                start = offset;
            } else {
                right = middle - 1;
            }
        }
        Some(start)
    }

    /// Goes to entry `index` of the decoded interval, whose key is in `key`.
    #[inline]
    fn take(&mut self, index: usize) {
        let entry = self.interval.entries[index];
        self.interval.at = index;
        self.current = entry.offset;
        self.value_start = entry.value_start;
        self.next = entry.end;
    }

    fn go_nowhere(&mut self) {
        self.current = NOWHERE;
        self.value_start = 0;
        self.next = 0;
        self.key.clear();
    }

    #[cold]
    fn fail(&mut self, offset: u32) -> Result<(), Corruption> {
        self.go_nowhere();
        self.interval.clear();
        Err(Corruption::new("bad entry in a block").at(u64::from(offset)))
    }
}

impl Interval {
    fn clear(&mut self) {
        self.put_away.clear();
        self.entries.clear();
        self.last_key.clear();
        self.at = 0;
    }

    /// Turns the key of entry `index` into that of the entry before it. Behind the last entry any key will do.
    #[inline]
    fn key_before(&self, index: usize, key: &mut Vec<u8>) {
        match self.entries.get(index) {
            Some(entry) => {
                let start = index
                    .checked_sub(1)
                    .map_or(0, |before| self.entries[before].put_away_end);
                key.truncate(entry.shared as usize);
                key.extend_from_slice(&self.put_away[start as usize..entry.put_away_end as usize]);
            }
            None => {
                key.clear();
                key.extend_from_slice(&self.last_key);
            }
        }
    }

    /// The index of the entry before the one at `offset`, if both, or that one alone, are known here.
    #[inline]
    fn before(&self, offset: u32) -> Option<usize> {
        if self
            .entries
            .get(self.at)
            .is_some_and(|entry| entry.offset == offset)
        {
            return self.at.checked_sub(1);
        }
        // Forward steps came in between: look whether they stayed near.
        let index = self.entries.partition_point(|entry| entry.end < offset);
        let known = self
            .entries
            .get(index)
            .is_some_and(|entry| entry.end == offset);
        known.then_some(index)
    }

    /// Decodes the entries from `start` up to `limit` and gives the index of the last; `Err` gives the offset of one
    /// that is wrong. `start` must be below `limit`.
    fn decode(&mut self, block: &Block, start: u32, limit: u32) -> Result<usize, u32> {
        self.clear();
        let mut offset = start;
        while offset < limit {
            let entry = block.lend().entry(offset).ok_or(offset)?;
            let put_away = self.last_key.get(entry.shared as usize..).ok_or(offset)?;
            self.put_away.extend_from_slice(put_away);
            self.last_key.truncate(entry.shared as usize);
            let unshared = entry.key_start as usize..entry.value_start as usize;
            self.last_key.extend_from_slice(&block.data[unshared]);
            self.entries.push(Decoded {
                offset,
                value_start: entry.value_start,
                end: entry.end,
                shared: entry.shared,
                // No more is put away than was there, in a block below 4 GiB.
                put_away_end: self.put_away.len() as u32,
            });
            offset = entry.end;
        }
        if offset != limit {
            return Err(offset);
        }
        self.entries.len().checked_sub(1).ok_or(start)
    }
}

#[cfg(test)]
mod tests;
