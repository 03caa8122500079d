//! The layout of a region: which offsets are looked at, and in which order words are stored and loaded.
//!
//! The table of the layout is in the crate's head. [`Arena`] promises that whatever an offset says, only bytes
//! inside the region are touched: an offset becomes a [`Tower`] or a [`Node`] only by a check, and only those can
//! be read through. It knows nothing of order or of searching.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use level_party_format::key::TAG_LEN;

use crate::memory::{AtomicU32, AtomicU64, Memory, fence};
use crate::region::Region;

/// First word of a region that holds a memtable.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"LPmemtbl");
/// Version of the layout. Peers of another version refuse the region.
pub(crate) const LAYOUT_VERSION: u32 = 1;
/// Levels of the skiplist. With one entry in four rising a level, 12 serve 16 million entries.
pub(crate) const MAX_HEIGHT: usize = 12;

/// A `u32` field of the header.
#[derive(Clone, Copy)]
pub(crate) struct Field32(u32);

/// See the table in the crate's head.
pub(crate) const VERSION: Field32 = Field32(8);
pub(crate) const LIMIT: Field32 = Field32(12);
pub(crate) const FILTER_LEN_FIELD: Field32 = Field32(16);
pub(crate) const HEIGHT: Field32 = Field32(24);
pub(crate) const ALLOCATED: Field32 = Field32(128);
pub(crate) const ENTRIES: Field32 = Field32(132);

/// A `u64` field of the header.
#[derive(Clone, Copy)]
pub(crate) struct Field64(u32);

pub(crate) const MAGIC_FIELD: Field64 = Field64(0);
pub(crate) const LAST_SEQUENCE: Field64 = Field64(64);

/// Offset of the head of the list. Its links lie below it, as an entry's do.
const HEAD_OFFSET: u32 = 240;
/// Bytes before the filter, or before the entries where there is none.
pub(crate) const HEADER_LEN: u32 = 256;
/// Length of the filter: 18 bits a key for a 4 MiB memtable of 28,000 entries, in 1,024 blocks of 64 bytes. Two blocks
/// where the list is run in a model: there every word costs.
pub(crate) const FILTER_LEN: u32 = if cfg!(loom) { 128 } else { 64 << 10 };
/// Regions shorter than this have no filter: it would take too great a part of them.
pub(crate) const FILTER_FROM_LEN: u32 = if cfg!(loom) { 448 } else { 1 << 20 };
/// Bytes of an entry between its offset and its key.
const NODE_HEAD: u32 = 12;
/// The smallest entry there can be: one link, an empty user key, an empty value.
const MIN_NODE: u32 = 4 + NODE_HEAD + TAG_LEN as u32;
/// The longest region used, so that rounding an offset up to a multiple of 4 never overflows.
const MAX_LIMIT: u32 = u32::MAX - 3;

/// Bytes of a region that are not for entries: a region of `REGION_OVERHEAD + n` bytes starts with at least
/// `n` bytes [remaining](crate::MemTableWriter::remaining), as long as the whole is below 4 GiB.
pub const REGION_OVERHEAD: usize = (HEADER_LEN + FILTER_LEN) as usize;

/// Why a region cannot hold a memtable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionError {
    /// The region is shorter than the header.
    TooShort,
    /// The region does not start at a multiple of 8.
    Misaligned,
    /// Somebody else holds the region too; a writer must be its only holder when it starts.
    Shared,
}

impl std::fmt::Display for RegionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            RegionError::TooShort => "the memory region is too short for a memtable's header",
            RegionError::Misaligned => "the memory region does not start at a multiple of 8",
            RegionError::Shared => {
                "the memory region for a new memtable is already held by somebody else"
            }
        })
    }
}

impl std::error::Error for RegionError {}

/// The head or an entry whose offset was checked: its links and its fixed words lie inside the region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tower(u32);

impl Tower {
    /// The head of the list.
    pub(crate) const HEAD: Tower = Tower(HEAD_OFFSET);

    /// The offset that links carry.
    pub(crate) fn offset(self) -> u32 {
        self.0
    }
}

/// An entry whose offset and lengths were checked: all of its bytes lie inside the region.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    tower: Tower,
    key_len: u32,
    value_len: u32,
}

impl Node {
    pub(crate) fn tower(&self) -> Tower {
        self.tower
    }
}

/// What a link says.
pub(crate) enum Link {
    /// There is no entry behind it.
    End,
    /// There is one.
    To(Node),
    /// It leads outside the region, or to an entry that does.
    Broken,
}

/// Where a new entry goes.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    node: u32,
    /// Where the entry after it may start.
    pub(crate) end: u32,
}

impl Place {
    /// The place of an entry in the bytes from `allocated` to `limit`, or `None` if it does not fit.
    pub(crate) fn find(
        allocated: u32,
        limit: u32,
        height: usize,
        key_len: usize,
        value_len: usize,
    ) -> Option<Place> {
        let node = (allocated as usize).checked_add(4 * height)?;
        let end = node
            .checked_add(NODE_HEAD as usize)?
            .checked_add(key_len)?
            .checked_add(value_len)?;
        if end > limit as usize {
            return None;
        }
        // `end` is at most MAX_LIMIT, so both fit and rounding up does not overflow.
        Some(Place {
            node: node as u32,
            end: (end as u32).next_multiple_of(4),
        })
    }

    /// The most bytes [`Place::find`] can ask for, whatever the height.
    pub(crate) fn most_bytes(key_len: usize, value_len: usize) -> usize {
        (4 * MAX_HEIGHT + NODE_HEAD as usize + 3)
            .saturating_add(key_len)
            .saturating_add(value_len)
    }
}

/// A region, with checked access to its words and bytes.
///
/// Invariant: `HEADER_LEN <= limit <=` the memory's length.
#[derive(Clone)]
pub(crate) struct Arena {
    memory: Memory,
    limit: u32,
}

impl Arena {
    /// Takes a region, all of it up to 4 GiB.
    pub(crate) fn new(region: Arc<dyn Region>) -> Result<Arena, RegionError> {
        let limit = region.len().min(MAX_LIMIT as usize) as u32;
        if limit < HEADER_LEN {
            return Err(RegionError::TooShort);
        }
        let memory = Memory::new(region).ok_or(RegionError::Misaligned)?;
        Ok(Arena { memory, limit })
    }

    /// Gives up all bytes from `limit` on, if the region has and needs so many.
    pub(crate) fn shorten(self, limit: u32) -> Option<Arena> {
        (HEADER_LEN..=self.limit)
            .contains(&limit)
            .then_some(Arena { limit, ..self })
    }

    /// Whether nobody else holds the region.
    pub(crate) fn sole_holder(&mut self) -> bool {
        self.memory.sole_holder()
    }

    /// The region's end.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// More steps than any walk over the entries of a region of this length can take.
    pub(crate) fn most_steps(&self) -> u32 {
        self.limit / MIN_NODE + MAX_HEIGHT as u32
    }

    /// The word at `at`. Private: the callers say why `at` is inside.
    ///
    /// # Safety
    /// `at` is a multiple of 4 and `at + 4 <= self.limit`.
    #[inline]
    unsafe fn word32(&self, at: u32) -> &AtomicU32 {
        debug_assert!(at.is_multiple_of(4) && at <= self.limit - 4);
        // SAFETY: the caller's promise keeps it inside the region and aligned; words at link and field offsets are
        // only ever accessed as atomics in this process while they are shared.
        unsafe { self.memory.word32(at) }
    }

    /// # Safety
    /// `at` is a multiple of 8 and `at + 8 <= self.limit`.
    #[inline]
    unsafe fn word64(&self, at: u32) -> &AtomicU64 {
        debug_assert!(at.is_multiple_of(8) && at <= self.limit - 8);
        // SAFETY: as for `word32`.
        unsafe { self.memory.word64(at) }
    }

    /// A field of the header, which only the writer may store to.
    #[inline]
    pub(crate) fn field32(&self, field: Field32) -> &AtomicU32 {
        assert!(field.0.is_multiple_of(4) && field.0 <= HEADER_LEN - 4);
        // SAFETY: just checked, and the limit is at least HEADER_LEN.
        unsafe { self.word32(field.0) }
    }

    /// A field of the header, which only the writer may store to.
    #[inline]
    pub(crate) fn field64(&self, field: Field64) -> &AtomicU64 {
        assert!(field.0.is_multiple_of(8) && field.0 <= HEADER_LEN - 8);
        // SAFETY: just checked, and the limit is at least HEADER_LEN.
        unsafe { self.word64(field.0) }
    }

    /// Word `index` of the filter, or `None` if the region has no room for one.
    #[inline]
    pub(crate) fn filter_word(&self, index: u32) -> Option<&AtomicU64> {
        if index >= FILTER_LEN / 8 || self.limit < HEADER_LEN + FILTER_LEN {
            return None;
        }
        // SAFETY: just checked; HEADER_LEN is a multiple of 8.
        Some(unsafe { self.word64(HEADER_LEN + 8 * index) })
    }

    /// The link of `tower` on `level`.
    #[inline]
    fn link_word(&self, tower: Tower, level: usize) -> &AtomicU32 {
        assert!(level < MAX_HEIGHT);
        // SAFETY: a tower's offset is a multiple of 4 and at least HEAD_OFFSET, which leaves room for MAX_HEIGHT
        // links below it, and it is below the limit.
        unsafe { self.word32(tower.0 - 4 * (level as u32 + 1)) }
    }

    /// The link back from `tower`.
    #[inline]
    fn back_word(&self, tower: Tower) -> &AtomicU32 {
        // SAFETY: the fixed words of a tower lie inside the region.
        unsafe { self.word32(tower.0) }
    }

    /// Checks an offset read from a link.
    #[inline]
    fn node(&self, offset: u32) -> Option<Node> {
        if offset < HEADER_LEN + 4 || !offset.is_multiple_of(4) || offset > self.limit - NODE_HEAD {
            return None;
        }
        // SAFETY: both words lie below offset + NODE_HEAD, which is inside the region.
        let (key_len, value_len) = unsafe {
            let key_len = self.word32(offset + 4).load(Ordering::Relaxed);
            (key_len, self.word32(offset + 8).load(Ordering::Relaxed))
        };
        let room = self.limit - offset - NODE_HEAD;
        let inside = u64::from(key_len) + u64::from(value_len) <= u64::from(room);
        (inside && key_len >= TAG_LEN as u32).then_some(Node {
            tower: Tower(offset),
            key_len,
            value_len,
        })
    }

    /// The offset behind the link of `tower` on `level`, unchecked; 0 is none.
    #[inline]
    pub(crate) fn next_offset(&self, tower: Tower, level: usize) -> u32 {
        load_acquire(self.link_word(tower, level))
    }

    /// The entry at an offset that [`Arena::next_offset`] gave.
    #[inline]
    pub(crate) fn resolve(&self, offset: u32) -> Link {
        if offset == 0 {
            Link::End
        } else {
            self.node(offset).map_or(Link::Broken, Link::To)
        }
    }

    /// The entry after `tower` on level 0.
    #[inline]
    pub(crate) fn next(&self, tower: Tower) -> Link {
        self.resolve(self.next_offset(tower, 0))
    }

    /// The entry before `tower` on level 0.
    #[inline]
    pub(crate) fn previous(&self, tower: Tower) -> Link {
        match load_acquire(self.back_word(tower)) {
            HEAD_OFFSET => Link::End,
            offset => self.node(offset).map_or(Link::Broken, Link::To),
        }
    }

    /// The internal key, at least 8 bytes.
    #[inline]
    pub(crate) fn key(&self, node: &Node) -> &[u8] {
        // SAFETY: `node()` checked that the bytes lie inside the region. The writer does not write to them once
        // a link leads to the entry, and the link was loaded with acquire order.
        unsafe { self.bytes(node.tower.0 + NODE_HEAD, node.key_len) }
    }

    /// The value.
    #[inline]
    pub(crate) fn value(&self, node: &Node) -> &[u8] {
        // SAFETY: as for `key`.
        unsafe { self.bytes(node.tower.0 + NODE_HEAD + node.key_len, node.value_len) }
    }

    /// # Safety
    /// `at + len <= self.limit`, and nobody in this process writes there while the slice lives.
    #[inline]
    unsafe fn bytes(&self, at: u32, len: u32) -> &[u8] {
        debug_assert!(u64::from(at) + u64::from(len) <= u64::from(self.limit));
        // SAFETY: the caller's promise.
        unsafe { self.memory.bytes(at, len) }
    }

    /// Writes an entry's bytes. No link may lead to the place yet.
    ///
    /// # Safety
    /// The caller is the region's only writer, and `place` came from [`Place::find`] with this arena's limit and
    /// these lengths (the key being user key and tag), over bytes that no entry owns.
    pub(crate) unsafe fn fill(
        &self,
        place: Place,
        user_key: &[u8],
        tag: u64,
        value: &[u8],
    ) -> Tower {
        let node = place.node;
        let key_len = user_key.len() + TAG_LEN;
        // SAFETY: `place` reaches to NODE_HEAD + key + value behind `node`, inside the limit. No link leads there,
        // so no reader looks, and the arguments cannot lie there.
        unsafe {
            self.word32(node + 4)
                .store(key_len as u32, Ordering::Relaxed);
            self.word32(node + 8)
                .store(value.len() as u32, Ordering::Relaxed);
            let key = node + NODE_HEAD;
            self.memory.write(key, user_key);
            self.memory
                .write(key + user_key.len() as u32, &tag.to_le_bytes());
            self.memory.write(key + key_len as u32, value);
        }
        Tower(node)
    }

    /// Sets a link of an entry that no link leads to yet, or of the head of a new list.
    pub(crate) fn prepare_next(&self, tower: Tower, level: usize, offset: u32) {
        self.link_word(tower, level)
            .store(offset, Ordering::Relaxed);
    }

    /// Sets the link back of an entry that no link leads to yet.
    pub(crate) fn prepare_previous(&self, tower: Tower, previous: Tower) {
        self.back_word(tower).store(previous.0, Ordering::Relaxed);
    }

    /// Makes `to` reachable from `tower` on `level`.
    pub(crate) fn link_next(&self, tower: Tower, level: usize, to: Tower) {
        self.link_word(tower, level).store(to.0, Ordering::Release);
    }

    /// Makes `to` the entry before `node`.
    pub(crate) fn link_previous(&self, node: &Node, to: Tower) {
        self.back_word(node.tower).store(to.0, Ordering::Release);
    }
}

/// An acquire load that is defined on memory mapped read-only. `std::sync::atomic` promises that for relaxed
/// loads only, and names the fence as the way to order them.
#[inline]
pub(crate) fn load_acquire(word: &AtomicU32) -> u32 {
    let value = word.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    value
}

/// As [`load_acquire`], for the words of 64 bits.
#[inline]
pub(crate) fn load_acquire64(word: &AtomicU64) -> u64 {
    let value = word.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    value
}
