//! Reading a memtable, from this process or another one.

use std::sync::Arc;

use level_party_format::key::{self, InternalComparator, ValueType};
use level_party_format::{Comparator, Corruption, MAX_SEQUENCE, Sequence};

use crate::filter;
use crate::layout::{
    ALLOCATED, Arena, ENTRIES, FILTER_LEN_FIELD, FILTER_WORDS, HEADER_WORDS, RegionError, Stored,
    Tower,
};
use crate::list::iter::MemIter;
use crate::list::{height, search};
use crate::memory::{WORD, append_bytes, bytes_to_vec};
use crate::order::Target;
use crate::region::Region;

/// A reader of a memtable. Clones are cheap and read the same region, which lives as long as any of them.
#[derive(Clone)]
pub struct MemTable {
    arena: Arena,
    order: InternalComparator,
    filtered: bool,
}

/// What a memtable knows of a user key at a sequence. `V` is what stands for the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<V = Vec<u8>> {
    /// Nothing: older data must be asked.
    Absent,
    /// The newest version that may be seen is a deletion.
    Deleted {
        /// The deletion's sequence.
        sequence: Sequence,
    },
    /// The newest version that may be seen has a value.
    Value {
        /// The version's sequence.
        sequence: Sequence,
        /// Its value.
        value: V,
    },
}

impl<V> Lookup<V> {
    /// The same with another thing for the value, if there is one.
    #[inline]
    pub fn map<W>(self, to: impl FnOnce(V) -> W) -> Lookup<W> {
        match self {
            Lookup::Absent => Lookup::Absent,
            Lookup::Deleted { sequence } => Lookup::Deleted { sequence },
            Lookup::Value { sequence, value } => Lookup::Value {
                sequence,
                value: to(value),
            },
        }
    }
}

/// A value in a region, not copied yet. If the region is used again for something else before it is copied, the copy
/// has bytes of anything.
#[derive(Clone, Copy)]
pub struct MemValue<'a>(Stored<'a>);

impl MemValue<'_> {
    /// A copy.
    #[inline]
    pub fn to_vec(&self) -> Vec<u8> {
        bytes_to_vec(self.0.words, self.0.len)
    }

    /// Copies it to `out`, in the place of what is there.
    #[inline]
    pub fn copy_to(&self, out: &mut Vec<u8>) {
        out.clear();
        append_bytes(out, self.0.words, self.0.len);
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether it is the empty value.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }
}

impl std::fmt::Debug for MemValue<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_vec().fmt(f)
    }
}

impl MemTable {
    /// Opens a region that a [`MemTableWriter`](crate::MemTableWriter) set up, most likely in another process.
    /// `order` must be the writer's. Nothing in the region is trusted: see the crate's head.
    ///
    /// # Errors
    /// [`Corruption`] if the region's header is not one of this layout version, or does not fit the region.
    pub fn open(
        region: Arc<dyn Region>,
        order: InternalComparator,
    ) -> Result<MemTable, Corruption> {
        let opened = Arena::new(region).and_then(Arena::opened);
        let (arena, filtered) = opened.map_err(RegionError::into_corruption)?;
        Ok(MemTable::over(arena, order, filtered))
    }

    /// A reader of an arena whose header is known to be right.
    pub(crate) fn over(arena: Arena, order: InternalComparator, filtered: bool) -> MemTable {
        MemTable {
            arena,
            order,
            filtered,
        }
    }

    /// The number of entries, published or not.
    pub fn entries(&self) -> usize {
        self.arena.load(ENTRIES) as usize
    }

    /// Bytes that the entries take, links included.
    pub fn bytes_used(&self) -> usize {
        let allocated = (self.arena.load(ALLOCATED) as usize).min(self.arena.limit());
        let filter = (self.arena.load(FILTER_LEN_FIELD) as usize).min(FILTER_WORDS);
        allocated.saturating_sub(HEADER_WORDS + filter) * WORD
    }

    /// The newest version of `user_key` with a sequence of at most `sequence`, its value copied.
    ///
    /// In a damaged region the answer may be wrong, but it is an answer.
    pub fn get(&self, user_key: &[u8], sequence: Sequence) -> Lookup {
        self.find(user_key, sequence).map(|value| value.to_vec())
    }

    /// As [`MemTable::get`], without copying the value.
    #[inline]
    pub fn find(&self, user_key: &[u8], sequence: Sequence) -> Lookup<MemValue<'_>> {
        if self.filtered && !filter::may_contain(&self.arena, user_key) {
            return Lookup::Absent;
        }
        self.find_in_list(user_key, sequence)
    }

    fn find_in_list(&self, user_key: &[u8], sequence: Sequence) -> Lookup<MemValue<'_>> {
        let tag = key::pack_tag(sequence.min(MAX_SEQUENCE), ValueType::Value);
        let (target, order) = (Target::new(user_key, tag), &self.order.user);
        let levels = height(&self.arena);
        let found = search(&self.arena, order, &target, Tower::HEAD, levels, |_, _| {});
        let node = match found {
            Ok(Some(node)) if target.has_user_key_of(order, node.key) => node,
            _ => return Lookup::Absent,
        };
        let tag = node.tag();
        let sequence = tag >> 8;
        match ValueType::try_from(tag as u8) {
            Ok(ValueType::Value) => Lookup::Value {
                sequence,
                value: MemValue(node.value),
            },
            Ok(ValueType::Deletion) => Lookup::Deleted { sequence },
            Err(_) => Lookup::Absent,
        }
    }

    /// An iterator over all entries, published or not, in the order of internal keys. It starts nowhere: seek first.
    pub fn iter(&self) -> MemIter {
        self.iter_up_to(MAX_SEQUENCE)
    }

    /// As [`MemTable::iter`], passing over entries with a sequence above `last`.
    pub fn iter_up_to(&self, last: Sequence) -> MemIter {
        MemIter::new(self.clone(), last)
    }

    pub(crate) fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Whether there is a filter before the entries.
    pub(crate) fn filtered(&self) -> bool {
        self.filtered
    }

    pub(crate) fn user_order(&self) -> &Comparator {
        &self.order.user
    }
}

impl std::fmt::Debug for MemTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemTable")
            .field("entries", &self.entries())
            .field("bytes_used", &self.bytes_used())
            .finish_non_exhaustive()
    }
}
