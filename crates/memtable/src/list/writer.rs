//! Inserting into a memtable: one writer, beside any readers.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic;

use level_party_format::key::{self, InternalComparator, TAG_LEN, ValueType};
use level_party_format::{Comparator, Sequence};

use crate::filter;
use crate::layout::{
    ALLOCATED, Arena, ENTRIES, FILTER_FROM_LEN, FILTER_LEN, FILTER_LEN_FIELD, HEADER_LEN, HEIGHT,
    LAST_SEQUENCE, LAYOUT_VERSION, LIMIT, Link, MAGIC, MAGIC_FIELD, MAX_HEIGHT, Place, RegionError,
    Tower, VERSION,
};
use crate::list::reader::MemTable;
use crate::list::{Broken, search};
use crate::order::Target;
use crate::region::Region;

/// One entry in so many rises to the next level (LevelDB's `db/skiplist.h`).
const BRANCHING: u64 = 4;

/// The writer of a memtable: there is one for each region.
///
/// The entry inserted last is remembered with its neighbourhood. Keys that come in order are so inserted without
/// a search from the head: with one comparison per level climbed, and none climbed where they are adjacent.
pub struct MemTableWriter {
    arena: Arena,
    order: InternalComparator,
    filtered: bool,
    /// Levels of the list in use.
    height: usize,
    allocated: u32,
    entries: u32,
    towers: Towers,
    /// On each level the last entry not after the one inserted last (that one itself, where it reaches).
    hint: [Tower; MAX_HEIGHT],
    /// Whether the last insert came after the one before it: the next one likely does too.
    ascending: bool,
}

/// The region has no room for the entry; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the memtable has no room for the entry")
    }
}

impl std::error::Error for Full {}

impl MemTableWriter {
    /// Sets up an empty memtable in a region, whatever is in it, with a published last sequence.
    ///
    /// # Errors
    /// - [`RegionError::Shared`] if anybody else holds the `Arc` (or a `Weak` of it): the region could have a
    ///   writer already.
    /// - [`RegionError::TooShort`], [`RegionError::Misaligned`] if it cannot hold a header.
    pub fn create(
        region: Arc<dyn Region>,
        order: InternalComparator,
        initial_last_sequence: Sequence,
    ) -> Result<MemTableWriter, RegionError> {
        let mut arena = Arena::new(region)?;
        if !arena.sole_holder() {
            return Err(RegionError::Shared);
        }
        let filtered =
            arena.limit() >= FILTER_FROM_LEN && matches!(order.user, Comparator::Bytewise);
        let filter_len = if filtered { FILTER_LEN } else { 0 };
        let writer = MemTableWriter {
            filtered,
            height: 1,
            allocated: HEADER_LEN + filter_len,
            entries: 0,
            towers: Towers::new(),
            hint: [Tower::HEAD; MAX_HEIGHT],
            ascending: false,
            arena,
            order,
        };
        writer.set_up(filter_len, initial_last_sequence);
        Ok(writer)
    }

    /// Writes the header of an empty list. Regions come with any content, so every word that a reader may look at
    /// is set; the magic goes away first and comes back last.
    fn set_up(&self, filter_len: u32, last_sequence: Sequence) {
        use atomic::Ordering::{Relaxed, Release};
        let arena = &self.arena;
        arena.field64(MAGIC_FIELD).store(0, Relaxed);
        arena.field32(VERSION).store(LAYOUT_VERSION, Relaxed);
        arena.field32(LIMIT).store(arena.limit(), Relaxed);
        arena.field32(FILTER_LEN_FIELD).store(filter_len, Relaxed);
        arena.field32(HEIGHT).store(1, Relaxed);
        arena.field64(LAST_SEQUENCE).store(last_sequence, Relaxed);
        arena.field32(ALLOCATED).store(self.allocated, Relaxed);
        arena.field32(ENTRIES).store(0, Relaxed);
        for level in 0..MAX_HEIGHT {
            arena.prepare_next(Tower::HEAD, level, 0);
        }
        if self.filtered {
            filter::clear(arena);
        }
        arena.field64(MAGIC_FIELD).store(MAGIC, Release);
    }

    /// Inserts an entry. Readers may see it at once; [`MemTableWriter::publish`] says when they must.
    ///
    /// Each (user key, sequence) is to be inserted once. If one comes again, both are there, and a lookup finds
    /// the one inserted last. `sequence` is at most [`MAX_SEQUENCE`](level_party_format::MAX_SEQUENCE).
    ///
    /// # Errors
    /// [`Full`] if the region has no room for it. It never does as long as [`MemTableWriter::remaining`] is at least
    /// [`MemTableWriter::bytes_for`] the lengths. The memtable is unchanged then.
    pub fn insert(
        &mut self,
        user_key: &[u8],
        sequence: Sequence,
        kind: ValueType,
        value: &[u8],
    ) -> Result<(), Full> {
        let levels = self.towers.next_height();
        let key_len = user_key.len().checked_add(TAG_LEN).ok_or(Full)?;
        let place = Place::find(
            self.allocated,
            self.arena.limit(),
            levels,
            key_len,
            value.len(),
        )
        .ok_or(Full)?;
        let target = Target {
            user_key,
            tag: key::pack_tag(sequence, kind),
        };
        // The list of a region that only this writer writes is never broken; if it is, no more goes in.
        let next = self.seek_place(&target).map_err(|Broken| Full)?;

        if self.filtered {
            filter::add(&self.arena, user_key);
        }
        // SAFETY: `create` made sure that this is the region's only writer, `&mut self` that it is here once;
        // `place` is behind all that was allocated, for these lengths.
        let new = unsafe { self.arena.fill(place, user_key, target.tag, value) };
        self.link(new, levels, next);
        self.allocated = place.end;
        self.entries += 1;
        self.arena
            .field32(ALLOCATED)
            .store(self.allocated, atomic::Ordering::Relaxed);
        self.arena
            .field32(ENTRIES)
            .store(self.entries, atomic::Ordering::Relaxed);
        Ok(())
    }

    /// Puts a new entry behind the hint, lower levels first, and makes it the hint.
    fn link(&mut self, new: Tower, levels: usize, next: Link) {
        let arena = &self.arena;
        arena.prepare_previous(new, self.hint[0]);
        for level in 0..levels {
            arena.prepare_next(new, level, arena.next_offset(self.hint[level], level));
        }
        if levels > self.height {
            self.height = levels;
            arena
                .field32(HEIGHT)
                .store(levels as u32, atomic::Ordering::Relaxed);
        }
        for level in link_order(levels) {
            arena.link_next(self.hint[level], level, new);
            self.hint[level] = new;
        }
        if let Link::To(next) = next {
            arena.link_previous(&next, new);
        }
    }

    /// Moves the hint to the place of `target`: on each level the last entry before it. Gives the entry that will be
    /// the next one.
    fn seek_place(&mut self, target: &Target<'_>) -> Result<Link, Broken> {
        let order = &self.order.user;
        let was_ascending = std::mem::replace(&mut self.ascending, false);
        let mut start = Tower::HEAD;
        let mut levels = self.height;
        let after_last = match self.arena.resolve(self.hint[0].offset()) {
            _ if self.hint[0] == Tower::HEAD => false,
            Link::To(last) => target.compare(order, self.arena.key(&last)) == Ordering::Greater,
            Link::End | Link::Broken => return Err(Broken),
        };
        if after_last && was_ascending {
            (start, levels) = self.climb(target)?;
        }
        let hint = &mut self.hint;
        search(&self.arena, order, target, start, levels, |level, tower| {
            hint[level] = tower
        })?;
        self.ascending = after_last;
        Ok(self.arena.next(self.hint[0]))
    }

    /// The lowest part of the list that must be searched for `target`, which is after the hint: where to start and
    /// how many levels. Above those levels the hint stands.
    fn climb(&self, target: &Target<'_>) -> Result<(Tower, usize), Broken> {
        let mut start = self.hint[0];
        // The offset of the last entry known to be before the target.
        let mut passed = start.offset();
        for level in 0..self.height {
            let offset = self.arena.next_offset(self.hint[level], level);
            match self.arena.resolve(offset) {
                Link::End => return Ok((start, level)),
                Link::Broken => return Err(Broken),
                Link::To(_) if offset == passed => {}
                Link::To(node) => {
                    if target.compare(&self.order.user, self.arena.key(&node)) != Ordering::Greater
                    {
                        return Ok((start, level));
                    }
                    start = node.tower();
                    passed = offset;
                }
            }
        }
        Ok((start, self.height))
    }

    /// Publishes the last sequence: a reader that sees it sees every entry inserted before.
    pub fn publish(&self, last_sequence: Sequence) {
        self.arena
            .field64(LAST_SEQUENCE)
            .store(last_sequence, atomic::Ordering::Release);
    }

    /// A reader of this memtable.
    pub fn reader(&self) -> MemTable {
        MemTable::over(self.arena.clone(), self.order.clone(), self.filtered)
    }

    /// Bytes still free.
    pub fn remaining(&self) -> usize {
        self.arena.limit().saturating_sub(self.allocated) as usize
    }

    /// The most bytes that an entry with a user key and a value of these lengths can take. Sums of it are safe to
    /// compare with [`MemTableWriter::remaining`].
    pub fn bytes_for(key_len: usize, value_len: usize) -> usize {
        Place::most_bytes(key_len.saturating_add(TAG_LEN), value_len)
    }
}

/// Lower levels first: a search that finds an entry on a higher level finds it, or one before it, on all levels below.
#[cfg(not(loom))]
#[inline]
fn link_order(levels: usize) -> std::ops::Range<usize> {
    0..levels
}

/// The same, or a planted bug.
#[cfg(loom)]
fn link_order(levels: usize) -> Vec<usize> {
    use crate::memory::{Planted, planted};
    let mut order: Vec<usize> = (0..levels).collect();
    if planted(Planted::UpperLevelsFirst) {
        order.reverse();
    }
    order
}

/// Chooses heights: a xorshift generator, the same for each memtable.
struct Towers(u64);

impl Towers {
    fn new() -> Towers {
        Towers(0x2545_f491_4f6c_dd1d)
    }

    fn next_height(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The high bits of a product are the well-mixed ones.
        let mut bits = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let mut height = 1;
        while height < MAX_HEIGHT && bits.is_multiple_of(BRANCHING) {
            height += 1;
            bits /= BRANCHING;
        }
        height
    }
}
