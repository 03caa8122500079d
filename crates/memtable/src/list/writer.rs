//! Inserting into a memtable: one writer, beside any readers.

use std::sync::Arc;

use level_party_format::key::{self, InternalComparator, ValueType};
use level_party_format::{Comparator, Sequence};

use crate::filter;
use crate::layout::{
    ALLOCATED, Arena, ENTRIES, FILTER_FROM, FILTER_LEN_FIELD, FILTER_WORDS, HEAD_LINKS, HEIGHT,
    LAYOUT_VERSION, LIMIT, Level, Link, MAGIC, MAGIC_FIELD, MAX_HEIGHT, MIN_NODE, Place,
    RegionError, Tower, VERSION,
};
use crate::list::reader::MemTable;
use crate::list::{Broken, search};
use crate::memory::{LINK, WORD, stored};
use crate::order::Target;
use crate::region::Region;

/// One entry in so many rises to the next level (LevelDB's `db/skiplist.h`).
const BRANCHING: u64 = 4;

/// The writer of a memtable. A region may have several, in one process or in many, that write in turns: who wants to go
/// on where another one wrote calls [`MemTableWriter::reload`] first.
///
/// The entry inserted last is remembered with its neighbourhood. Keys that come in order are so inserted without
/// a search from the head: with one comparison per level climbed, and none climbed where they are adjacent.
pub struct MemTableWriter {
    arena: Arena,
    order: InternalComparator,
    filtered: bool,
    /// Levels of the list in use.
    height: usize,
    /// Index of the first word that no entry owns.
    allocated: usize,
    entries: u64,
    towers: Towers,
    /// On each level the last entry not after the one inserted last (that one itself, where it reaches).
    hint: [Tower; MAX_HEIGHT],
    /// Whether the last insert came after the one before it: the next one likely does too.
    ascending: bool,
}

/// Why an entry was not inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// The region has no room for it; nothing was changed.
    Full,
    /// The region does not hold a list any more: a link leads out of it, or in a circle. Nothing was changed.
    Damaged,
}

impl std::fmt::Display for InsertError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            InsertError::Full => "the memtable has no room for the entry",
            InsertError::Damaged => {
                "a link of the memtable leads out of its memory region, or in a circle"
            }
        })
    }
}

impl std::error::Error for InsertError {}

impl From<Broken> for InsertError {
    fn from(Broken: Broken) -> InsertError {
        InsertError::Damaged
    }
}

impl MemTableWriter {
    /// Sets up an empty memtable in a region, whatever is in it. Who reads what was in the region before gets answers of
    /// any kind from now on.
    ///
    /// # Errors
    /// [`RegionError::TooShort`], [`RegionError::Misaligned`] if it cannot hold a header.
    pub fn create(
        region: Arc<dyn Region>,
        order: InternalComparator,
    ) -> Result<MemTableWriter, RegionError> {
        let arena = Arena::new(region)?;
        let filtered = arena.limit() >= FILTER_FROM && matches!(order.user, Comparator::Bytewise);
        let writer = MemTableWriter::over(arena, order, filtered);
        writer.set_up();
        Ok(writer)
    }

    /// Goes on in a region that another writer set up, most likely in another process. `order` must be that writer's.
    /// Nothing in the region is trusted: see the crate's head.
    ///
    /// ```
    /// use level_party_format::key::{InternalComparator, ValueType};
    /// use level_party_memtable::{HeapRegions, MemTableWriter, RegionSource};
    ///
    /// let (region, order) = (HeapRegions::new().allocate(1 << 20)?, InternalComparator::default());
    /// let mut first = MemTableWriter::create(region.clone(), order.clone())?;
    /// first.insert(b"apple", 1, ValueType::Value, b"red")?;
    ///
    /// let mut second = MemTableWriter::attach(region, order)?;
    /// second.insert(b"pear", 2, ValueType::Value, b"green")?;
    ///
    /// first.reload()?;
    /// first.insert(b"fig", 3, ValueType::Value, b"blue")?;
    /// assert_eq!(second.reader().entries(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Any [`RegionError`].
    pub fn attach(
        region: Arc<dyn Region>,
        order: InternalComparator,
    ) -> Result<MemTableWriter, RegionError> {
        let mut writer = MemTableWriter::attach_beside(region, order)?;
        writer.reload()?;
        Ok(writer)
    }

    /// As [`MemTableWriter::attach`], also while another writer inserts: nothing that changes is looked at, so that this
    /// writer has an empty list until it is [reloaded](MemTableWriter::reload), which must come before it inserts.
    ///
    /// # Errors
    /// Any [`RegionError`].
    pub fn attach_beside(
        region: Arc<dyn Region>,
        order: InternalComparator,
    ) -> Result<MemTableWriter, RegionError> {
        let (arena, filtered) = Arena::new(region)?.opened()?;
        if filtered && !matches!(order.user, Comparator::Bytewise) {
            return Err(RegionError::impossible(
                FILTER_LEN_FIELD,
                FILTER_WORDS as u64,
            ));
        }
        Ok(MemTableWriter::over(arena, order, filtered))
    }

    /// The writer of an empty list.
    fn over(arena: Arena, order: InternalComparator, filtered: bool) -> MemTableWriter {
        MemTableWriter {
            filtered,
            height: 1,
            allocated: Arena::first_place(filtered),
            entries: 0,
            towers: Towers::new(),
            hint: [Tower::HEAD; MAX_HEIGHT],
            ascending: false,
            arena,
            order,
        }
    }

    /// Goes on where another writer of the region left it. The caller sees to it that what that one stored is seen
    /// (as by the lock under which they write in turns).
    ///
    /// # Errors
    /// [`RegionError::Impossible`] if the region does not say where that is. The writer is as it was.
    pub fn reload(&mut self) -> Result<(), RegionError> {
        let arena = &self.arena;
        let checked = |field, range: std::ops::RangeInclusive<usize>| {
            let value = arena.load(field);
            let checked = usize::try_from(value).ok().filter(|v| range.contains(v));
            checked.ok_or(RegionError::impossible(field, value))
        };
        let first = Arena::first_place(self.filtered);
        let height = checked(HEIGHT, 1..=MAX_HEIGHT)?;
        let allocated = checked(ALLOCATED, first..=arena.limit())?;
        let entries = checked(ENTRIES, 0..=(allocated - first) / MIN_NODE)?;
        for level in 0..MAX_HEIGHT {
            let link = arena.next_index(Tower::HEAD, Level::new(level));
            let inside = level < height && (first + 1..allocated).contains(&(link as usize));
            if link != 0 && !inside {
                return Err(RegionError::impossible(HEAD_LINKS, link.into()));
            }
        }
        (self.height, self.allocated, self.entries) = (height, allocated, entries as u64);
        (self.hint, self.ascending) = ([Tower::HEAD; MAX_HEIGHT], false);
        Ok(())
    }

    /// Writes the header of an empty list. Regions come with any content, so every word that a reader may look at
    /// is set; the magic goes away first and comes back last.
    fn set_up(&self) {
        let arena = &self.arena;
        arena.store(MAGIC_FIELD, 0);
        arena.store(VERSION, LAYOUT_VERSION);
        arena.store(LIMIT, arena.limit() as u64);
        let filter_len = if self.filtered { FILTER_WORDS } else { 0 };
        arena.store(FILTER_LEN_FIELD, filter_len as u64);
        arena.store(HEIGHT, 1);
        arena.store(ALLOCATED, self.allocated as u64);
        arena.store(ENTRIES, 0);
        arena.prepare_links(Tower::HEAD, Tower::HEAD, &[0; MAX_HEIGHT]);
        if self.filtered {
            filter::clear(arena);
        }
        arena.field(MAGIC_FIELD).store(MAGIC, stored(LINK));
    }

    /// Inserts an entry. Readers may see it at once.
    ///
    /// Each (user key, sequence) is to be inserted once. If one comes again, both are there, and a lookup finds
    /// the one inserted last. `sequence` is at most [`MAX_SEQUENCE`](level_party_format::MAX_SEQUENCE).
    ///
    /// # Errors
    /// [`InsertError::Full`] if the region has no room for it. It never does as long as [`MemTableWriter::remaining`] is at
    /// least [`MemTableWriter::bytes_for`] the lengths. [`InsertError::Damaged`] only if another process wrote nonsense.
    pub fn insert(
        &mut self,
        user_key: &[u8],
        sequence: Sequence,
        kind: ValueType,
        value: &[u8],
    ) -> Result<(), InsertError> {
        let levels = self.towers.next_height();
        let place = Place::find(
            self.allocated,
            self.arena.limit(),
            levels,
            user_key.len(),
            value.len(),
        )
        .ok_or(InsertError::Full)?;
        let addition = self
            .filtered
            .then(|| filter::prepare(&self.arena, user_key));
        let target = Target::new(user_key, key::pack_tag(sequence, kind));
        let next = self.seek_place(&target)?;

        let new = self.arena.fill(place, user_key, target.tag, value);
        if let Some(addition) = addition {
            filter::add(&self.arena, addition);
        }
        // Before it is linked: a writer that comes after a dead one must not take its place for free.
        self.allocated = place.end;
        self.arena.store(ALLOCATED, self.allocated as u64);
        self.link(new, levels, next);
        self.entries += 1;
        self.arena.store(ENTRIES, self.entries);
        Ok(())
    }

    /// Puts a new entry behind the hint, lower levels first, and makes it the hint.
    #[inline]
    fn link(&mut self, new: Tower, levels: usize, next: Option<Tower>) {
        let (arena, hint) = (&self.arena, &mut self.hint);
        if levels == 1 {
            // Three of four, and with nothing to prepare for more.
            let bottom = Level::new(0);
            arena.prepare_links(new, hint[0], &[arena.next_index(hint[0], bottom)]);
            arena.link_next(hint[0], bottom, new);
            hint[0] = new;
        } else {
            let mut links = [0; MAX_HEIGHT];
            for (level, link) in links[..levels].iter_mut().enumerate() {
                *link = arena.next_index(hint[level], Level::new(level));
            }
            arena.prepare_links(new, hint[0], &links[..levels]);
            if levels > self.height {
                self.height = levels;
                arena.store(HEIGHT, levels as u64);
            }
            for level in link_order(levels) {
                arena.link_next(hint[level], Level::new(level), new);
                hint[level] = new;
            }
        }
        if let Some(next) = next {
            arena.link_previous(next, new);
        }
    }

    /// Moves the hint to the place of `target`: on each level the last entry before it. Gives the entry that will be
    /// the next one.
    #[inline]
    fn seek_place(&mut self, target: &Target<'_>) -> Result<Option<Tower>, Broken> {
        let after_last = self.hint[0] != Tower::HEAD && {
            let (_, last) = self.arena.key(self.hint[0].index()).ok_or(Broken)?;
            target.is_after(&self.order.user, last)
        };
        let is_row = after_last && self.ascending;
        if is_row && self.arena.next_index(self.hint[0], Level::new(0)) == 0 {
            return Ok(None);
        }
        self.ascending = false;
        let next = self.search_place(target, is_row)?;
        self.ascending = after_last;
        Ok(next)
    }

    /// As [`MemTableWriter::seek_place`], which knows whether the target is after the hint and likely near it.
    #[inline(never)]
    fn search_place(&mut self, target: &Target<'_>, near: bool) -> Result<Option<Tower>, Broken> {
        let (start, levels) = match near {
            true => self.climb(target)?,
            false => (Tower::HEAD, self.height),
        };
        let (order, hint) = (&self.order.user, &mut self.hint);
        search(&self.arena, order, target, start, levels, |level, tower| {
            hint[level] = tower;
        })?;
        match self.arena.next(self.hint[0]) {
            Link::To(next) => Ok(Some(next.tower)),
            Link::End => Ok(None),
            Link::Broken => Err(Broken),
        }
    }

    /// The lowest part of the list that must be searched for `target`, which is after the hint: where to start and
    /// how many levels. Above those levels the hint stands.
    fn climb(&self, target: &Target<'_>) -> Result<(Tower, usize), Broken> {
        let mut start = self.hint[0];
        // The index of the last entry known to be before the target.
        let mut passed = start.index();
        for level in 0..self.height {
            let index = self.arena.next_index(self.hint[level], Level::new(level));
            match self.arena.resolve(index) {
                Link::End => return Ok((start, level)),
                Link::Broken => return Err(Broken),
                Link::To(_) if index == passed => {}
                Link::To(node) => {
                    if !target.is_after(&self.order.user, node.key) {
                        return Ok((start, level));
                    }
                    start = node.tower;
                    passed = index;
                }
            }
        }
        Ok((start, self.height))
    }

    /// A reader of this memtable.
    pub fn reader(&self) -> MemTable {
        MemTable::over(self.arena.clone(), self.order.clone(), self.filtered)
    }

    /// Bytes that were free when the list was empty.
    pub fn capacity(&self) -> usize {
        let first = Arena::first_place(self.filtered);
        self.arena.limit().saturating_sub(first) * WORD
    }

    /// Bytes still free.
    pub fn remaining(&self) -> usize {
        self.arena.limit().saturating_sub(self.allocated) * WORD
    }

    /// The most bytes that an entry with a user key and a value of these lengths can take. Sums of it are safe to
    /// compare with [`MemTableWriter::remaining`].
    pub fn bytes_for(key_len: usize, value_len: usize) -> usize {
        Place::most_bytes(key_len, value_len)
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
