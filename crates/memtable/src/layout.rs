//! The layout of a region: which words are looked at, and in which order they are stored and loaded.
//!
//! The table of the layout is in the crate's head. [`Arena`] promises that whatever an index says, only words inside the
//! region are touched: an index becomes a [`Tower`] or a [`Node`] only by a check, and only those can be read through.
//! It knows nothing of order or of searching.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::memory::{AtomicU64, LINK, Memory, WORD, load_acquire, prefetch, store_bytes, stored};
use crate::order::EntryKey;
use crate::region::Region;

mod header;

pub use header::RegionError;
pub(crate) use header::{
    ALLOCATED, ENTRIES, FILTER_LEN_FIELD, HEAD_LINKS, HEIGHT, LAYOUT_VERSION, LIMIT, MAGIC,
    MAGIC_FIELD, VERSION,
};

/// Levels of the skiplist. With one entry in four rising a level, 12 serve 16 million entries.
pub(crate) const MAX_HEIGHT: usize = 12;
/// Index of the head of the list. Its links lie below it, as an entry's do.
const HEAD: u32 = 31;
/// Words before the filter, or before the entries where there is none.
pub(crate) const HEADER_WORDS: usize = 32;
/// Words of the filter: 18 bits a key for a 4 MiB memtable of 28,000 entries, in 1,024 blocks of 64 bytes. Two blocks
/// where the list is run in a model: there every word costs.
pub(crate) const FILTER_WORDS: usize = if cfg!(loom) { 16 } else { 8 << 10 };
/// Regions with fewer words have no filter: it would take too great a part of them.
pub(crate) const FILTER_FROM: usize = if cfg!(loom) { 56 } else { 128 << 10 };
/// Words of an entry from its index to its user key: lengths and tag.
const NODE_HEAD: usize = 2;
/// The smallest entry there can be: one word of links, an empty user key, an empty value.
pub(crate) const MIN_NODE: usize = 1 + NODE_HEAD;
/// The most words of a region that are used: 2 GiB, so that lengths in it have 31 bits, and indexes 28.
const MAX_WORDS: usize = i32::MAX as usize / WORD;
/// In the first word of an entry and in no word of links, whose halves are indexes: tells where an entry begins that is
/// reached from the end of the one before, and not by a link.
const FIRST_WORD: u64 = 1 << 63;

/// Bytes of a region that are not for entries: a region of `REGION_OVERHEAD + n` bytes starts with at least
/// `n` bytes [remaining](crate::MemTableWriter::remaining), as long as the whole is below 2 GiB and `n` a multiple
/// of 8.
pub const REGION_OVERHEAD: usize = (HEADER_WORDS + FILTER_WORDS) * WORD;

/// The head or an entry whose index was checked: its links and its first word lie inside the region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tower(u32);

impl Tower {
    /// The head of the list.
    pub(crate) const HEAD: Tower = Tower(HEAD);

    /// The index that links carry.
    pub(crate) fn index(self) -> u32 {
        self.0
    }
}

/// An entry whose index and lengths were checked: all of its words lie inside the region.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    pub(crate) tower: Tower,
    pub(crate) key: EntryKey<'a>,
    pub(crate) value: Stored<'a>,
}

impl Node<'_> {
    /// Its tag: the sequence it was written at << 8, and its type.
    #[inline]
    pub(crate) fn tag(&self) -> u64 {
        self.key.tag.load(Ordering::Relaxed)
    }

    /// What is kept of it by who comes back for its value.
    #[inline]
    pub(crate) fn spot(&self) -> Spot {
        Spot {
            tower: self.tower,
            key_words: self.key.words.len() as u32,
            value_len: self.value.len as u32,
        }
    }
}

/// An entry that was met, without a borrow of the region.
#[derive(Clone, Copy)]
pub(crate) struct Spot {
    pub(crate) tower: Tower,
    key_words: u32,
    value_len: u32,
}

impl Spot {
    /// The length of its value in bytes.
    #[inline]
    pub(crate) fn value_len(&self) -> usize {
        self.value_len as usize
    }
}

/// Bytes in shared memory, as the words they take.
#[derive(Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) words: &'a [AtomicU64],
    /// Their number.
    pub(crate) len: usize,
}

/// What a link says.
pub(crate) enum Link<'a> {
    /// There is no entry behind it.
    End,
    /// There is one.
    To(Node<'a>),
    /// It leads outside the region, or to an entry that does.
    Broken,
}

/// Where a new entry goes.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    node: usize,
    /// Where the entry after it may start.
    pub(crate) end: usize,
}

impl Place {
    /// The place of an entry in the words from `allocated` to `limit`, or `None` if it does not fit.
    pub(crate) fn find(
        allocated: usize,
        limit: usize,
        height: usize,
        user_key_len: usize,
        value_len: usize,
    ) -> Option<Place> {
        let node = allocated + link_words(height);
        // No slice is longer than half of all memory, and a word has eight bytes: nothing overflows.
        let end = node + NODE_HEAD + user_key_len.div_ceil(WORD) + value_len.div_ceil(WORD);
        (end <= limit).then_some(Place { node, end })
    }

    /// The most bytes [`Place::find`] can ask for, whatever the height.
    pub(crate) fn most_bytes(user_key_len: usize, value_len: usize) -> usize {
        let padded = |len: usize| len.checked_next_multiple_of(WORD).unwrap_or(usize::MAX);
        ((link_words(MAX_HEIGHT) + NODE_HEAD) * WORD)
            .saturating_add(padded(user_key_len))
            .saturating_add(padded(value_len))
    }
}

/// Words for so many bytes, which are below 4 GiB.
#[inline]
fn words_for(len: usize) -> usize {
    // Cheaper than `div_ceil`, and no length read from a region is near overflow: see `Arena::node`.
    len.wrapping_add(WORD - 1) / WORD
}

/// Words of the links of an entry: two links a word, and the one back is one of them.
fn link_words(height: usize) -> usize {
    1 + height / 2
}

/// Where a link lies: so many words below the entry, so many bits up in that word. The link back is in the low half of
/// the first, the link on level 0 in its high half.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    below: usize,
    shift: u32,
}

impl Level {
    const BACK: Level = Level { below: 1, shift: 0 };

    #[inline]
    pub(crate) const fn new(level: usize) -> Level {
        debug_assert!(level < MAX_HEIGHT);
        Level {
            below: 1 + level.div_ceil(2),
            shift: 32 * ((level as u32 + 1) % 2),
        }
    }

    /// This link in the word that holds it.
    #[inline]
    fn get(self, word: u64) -> u32 {
        (word >> self.shift) as u32
    }

    /// The word with this link changed.
    #[inline]
    fn set(self, word: u64, to: u32) -> u64 {
        word & !(u64::from(u32::MAX) << self.shift) | u64::from(to) << self.shift
    }
}

/// Where a walk over level 0 goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Direction(Level);

impl Direction {
    pub(crate) const FORWARD: Direction = Direction(Level::new(0));
    pub(crate) const BACKWARD: Direction = Direction(Level::BACK);

    /// What the link of the last entry in this direction says.
    #[inline]
    pub(crate) fn end(self) -> u32 {
        if self.0.shift == 0 { HEAD } else { 0 }
    }
}

/// A region, with checked access to its words.
///
/// Invariant: it has at least `HEADER_WORDS`.
#[derive(Clone)]
pub(crate) struct Arena {
    memory: Memory,
}

impl Arena {
    /// Takes a region, all of it up to 2 GiB.
    pub(crate) fn new(region: Arc<dyn Region>) -> Result<Arena, RegionError> {
        let memory = Memory::new(region).ok_or(RegionError::Misaligned)?;
        let arena = Arena {
            memory: memory.shortened(MAX_WORDS),
        };
        if arena.limit() < HEADER_WORDS {
            return Err(RegionError::TooShort);
        }
        Ok(arena)
    }

    /// Gives up all words from `limit` on, if the region has and needs so many.
    fn shorten(self, limit: usize) -> Option<Arena> {
        (HEADER_WORDS..=self.limit())
            .contains(&limit)
            .then(|| Arena {
                memory: self.memory.shortened(limit),
            })
    }

    #[inline]
    fn words(&self) -> &[AtomicU64] {
        self.memory.words()
    }

    /// The region's end.
    #[inline]
    pub(crate) fn limit(&self) -> usize {
        self.words().len()
    }

    /// More steps than any walk over the entries of a region of this length can take.
    pub(crate) fn most_steps(&self) -> u32 {
        (self.limit() / MIN_NODE + MAX_HEIGHT) as u32
    }

    /// The words of the filter, or `None` if the region has no room for one.
    #[inline]
    pub(crate) fn filter(&self) -> Option<&[AtomicU64]> {
        self.words().get(HEADER_WORDS..HEADER_WORDS + FILTER_WORDS)
    }

    /// The word of a link of `tower`.
    #[inline]
    fn link_word(&self, tower: Tower, level: Level) -> &AtomicU64 {
        // A tower's index is at least that of the head, which leaves room for all links below it.
        &self.words()[tower.0 as usize - level.below]
    }

    /// Checks an index read from a link, and the key of the entry there.
    #[inline]
    pub(crate) fn key(&self, index: u32) -> Option<(Tower, EntryKey<'_>)> {
        let (words, at) = (self.words(), index as usize);
        let [lens, _] = words.get(at..at + NODE_HEAD)? else {
            return None;
        };
        let len = lens.load(Ordering::Relaxed) as u32 as usize;
        let [tag, key @ ..] = words.get(at + 1..at + NODE_HEAD + words_for(len))? else {
            return None;
        };
        let key = EntryKey {
            tag,
            words: key,
            len,
        };
        (at > HEADER_WORDS).then_some((Tower(index), key))
    }

    /// Checks an index read from a link, and all of the entry there.
    #[inline]
    pub(crate) fn node(&self, index: u32) -> Option<Node<'_>> {
        let (words, at) = (self.words(), index as usize);
        let [lens, tag] = words.get(at..at + NODE_HEAD)? else {
            return None;
        };
        let lens = lens.load(Ordering::Relaxed);
        let (key_len, value_len) = lengths(lens);
        let start = at + NODE_HEAD;
        let middle = start + words_for(key_len);
        let value = words.get(middle..middle + words_for(value_len))?;
        let key = EntryKey {
            tag,
            words: words.get(start..middle)?,
            len: key_len,
        };
        let value = Stored {
            words: value,
            len: value_len,
        };
        (at > HEADER_WORDS).then_some(Node {
            tower: Tower(index),
            key,
            value,
        })
    }

    /// The entry whose links begin with this word, and the word behind it. `None` if none does.
    #[inline]
    pub(crate) fn node_from(&self, links: usize) -> Option<(Node<'_>, usize)> {
        let words = self.words().get(links..)?.iter();
        let mut words = words.take(link_words(MAX_HEIGHT) + 1);
        let at = links + words.position(|word| word.load(Ordering::Relaxed) & FIRST_WORD != 0)?;
        let node = self.node(u32::try_from(at).ok()?)?;
        let end = at + NODE_HEAD + node.key.words.len() + node.value.words.len();
        Some((node, end))
    }

    /// The index behind the link of `tower` on `level`, unchecked; 0 is none.
    #[inline]
    pub(crate) fn next_index(&self, tower: Tower, level: Level) -> u32 {
        level.get(load_acquire(self.link_word(tower, level)))
    }

    /// The entry at an index that [`Arena::next_index`] gave.
    #[inline]
    pub(crate) fn resolve(&self, index: u32) -> Link<'_> {
        if index == 0 {
            Link::End
        } else {
            self.node(index).map_or(Link::Broken, Link::To)
        }
    }

    /// The entry after `tower` on level 0.
    #[inline]
    pub(crate) fn next(&self, tower: Tower) -> Link<'_> {
        self.resolve(self.next_index(tower, Level::new(0)))
    }

    /// The index of the entry beside `tower` on level 0, unchecked, or [`Direction::end`].
    #[inline]
    pub(crate) fn neighbour(&self, tower: Tower, direction: Direction) -> u32 {
        // Both links are in the same word.
        let links = load_acquire(&self.words()[tower.0 as usize - 1]);
        direction.0.get(links)
    }

    /// Has the entry beside `tower`, if there is one, on its way here before it is asked for.
    #[inline]
    pub(crate) fn prefetch_neighbour(&self, tower: Tower, direction: Direction) {
        // Nothing is read there, so nothing has to be ordered.
        let links = self.words()[tower.0 as usize - 1].load(Ordering::Relaxed);
        if let Some(word) = self.words().get(direction.0.get(links) as usize) {
            prefetch(word);
        }
    }

    /// The value of an entry that was met in this arena.
    #[inline]
    pub(crate) fn value(&self, spot: &Spot) -> Stored<'_> {
        let start = spot.tower.0 as usize + NODE_HEAD + spot.key_words as usize;
        let len = spot.value_len();
        Stored {
            words: &self.words()[start..start + words_for(len)],
            len,
        }
    }

    /// Stores an entry, without links, at a place that [`Place::find`] gave for these lengths in this arena; no link may
    /// lead there yet.
    #[inline(never)]
    pub(crate) fn fill(&self, place: Place, user_key: &[u8], tag: u64, value: &[u8]) -> Tower {
        let words = &self.words()[place.node..place.end];
        let [lens, tag_word, bytes @ ..] = words else {
            unreachable!("an entry has its lengths and a tag");
        };
        // Both are below the limit, which is below 2 GiB.
        let (key_len, value_len) = (user_key.len() as u32, value.len() as u32);
        lens.store(FIRST_WORD | pair(key_len, value_len), Ordering::Relaxed);
        tag_word.store(tag, Ordering::Relaxed);
        let (key, behind) = bytes.split_at(words_for(user_key.len()));
        store_bytes(key, user_key);
        store_bytes(behind, value);
        Tower(place.node as u32)
    }

    /// Sets the links of an entry that no link leads to yet, or of the head of a new list: the one back, then that of
    /// each level.
    #[inline]
    pub(crate) fn prepare_links(&self, tower: Tower, previous: Tower, next: &[u32]) {
        let Some((first, upper)) = next.split_first() else {
            return;
        };
        let words = self.words();
        let mut at = tower.0 as usize - 1;
        words[at].store(pair(previous.0, *first), Ordering::Relaxed);
        for links in upper.chunks(2) {
            at -= 1;
            let high = links.get(1).copied().unwrap_or(0);
            words[at].store(pair(links[0], high), Ordering::Relaxed);
        }
    }

    /// Makes `to` reachable from `tower` on `level`.
    #[inline]
    pub(crate) fn link_next(&self, tower: Tower, level: Level, to: Tower) {
        let word = self.link_word(tower, level);
        // One writer: nobody stores between this load and this store.
        let links = level.set(word.load(Ordering::Relaxed), to.0);
        word.store(links, stored(LINK));
    }

    /// Makes `to` the entry before `node`.
    #[inline]
    pub(crate) fn link_previous(&self, node: Tower, to: Tower) {
        self.link_next(node, Level::BACK, to);
    }
}

/// The lengths of an entry's user key and value, of its first word.
#[inline]
fn lengths(first: u64) -> (usize, usize) {
    let value = (first & !FIRST_WORD) >> 32;
    (first as u32 as usize, value as usize)
}

/// A word of two halves.
#[inline]
fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}
