//! Reading a memtable, from this process or another one.

use std::sync::Arc;

use level_party_format::key::{self, InternalComparator, ValueType};
use level_party_format::{Comparator, Corruption, MAX_SEQUENCE, Sequence};

use crate::filter;
use crate::layout::{
    ALLOCATED, Arena, ENTRIES, FILTER_LEN, FILTER_LEN_FIELD, HEADER_LEN, LAST_SEQUENCE,
    LAYOUT_VERSION, LIMIT, MAGIC, MAGIC_FIELD, RegionError, Tower, VERSION, load_acquire,
    load_acquire64,
};
use crate::list::iter::MemIter;
use crate::list::{height, search};
use crate::order::Target;
use crate::region::Region;

/// A reader of a memtable. Clones are cheap and read the same region, which lives as long as any of them.
#[derive(Clone)]
pub struct MemTable {
    arena: Arena,
    order: InternalComparator,
    filtered: bool,
}

/// What a memtable knows of a user key at a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'a> {
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
        value: &'a [u8],
    },
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
        let arena =
            Arena::new(region).map_err(|error: RegionError| Corruption::new(error.to_string()))?;
        if load_acquire64(arena.field64(MAGIC_FIELD)) != MAGIC {
            return Err(Corruption::new("the memory region does not hold a memtable").at(0));
        }
        let version = load_acquire(arena.field32(VERSION));
        if version != LAYOUT_VERSION {
            let what = format!(
                "the memtable has layout version {version}, this program reads {LAYOUT_VERSION}"
            );
            return Err(Corruption::new(what).at(8));
        }
        let (limit, len) = (load_acquire(arena.field32(LIMIT)), arena.limit());
        let Some(arena) = arena.shorten(limit) else {
            let what =
                format!("the memtable says it has {limit} bytes, its memory region has {len}");
            return Err(Corruption::new(what).at(12));
        };
        let filtered = match load_acquire(arena.field32(FILTER_LEN_FIELD)) {
            0 => false,
            FILTER_LEN if limit >= HEADER_LEN + FILTER_LEN => true,
            other => {
                return Err(Corruption::new(format!(
                    "the memtable's filter cannot have {other} bytes"
                ))
                .at(16));
            }
        };
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

    /// The last published sequence. Every entry up to it is seen by reads that follow.
    pub fn last_sequence(&self) -> Sequence {
        load_acquire64(self.arena.field64(LAST_SEQUENCE))
    }

    /// The number of entries, published or not.
    pub fn entries(&self) -> usize {
        load_acquire(self.arena.field32(ENTRIES)) as usize
    }

    /// Bytes that the entries take, links included.
    pub fn bytes_used(&self) -> usize {
        let allocated = load_acquire(self.arena.field32(ALLOCATED)).min(self.arena.limit());
        let filter_len = load_acquire(self.arena.field32(FILTER_LEN_FIELD)).min(FILTER_LEN);
        allocated.saturating_sub(HEADER_LEN + filter_len) as usize
    }

    /// The newest version of `user_key` with a sequence of at most `sequence`.
    ///
    /// In a damaged region the answer may be wrong, but it is an answer.
    pub fn get(&self, user_key: &[u8], sequence: Sequence) -> Lookup<'_> {
        if self.filtered && !filter::may_contain(&self.arena, user_key) {
            return Lookup::Absent;
        }
        let tag = key::pack_tag(sequence.min(MAX_SEQUENCE), ValueType::Value);
        let target = Target { user_key, tag };
        let levels = height(&self.arena);
        let Ok(Some(node)) = search(
            &self.arena,
            &self.order.user,
            &target,
            Tower::HEAD,
            levels,
            |_, _| {},
        ) else {
            return Lookup::Absent;
        };
        let found = self.arena.key(&node);
        if self
            .order
            .user
            .compare(key::user_key(found), user_key)
            .is_ne()
        {
            return Lookup::Absent;
        }
        let tag = key::tag(found);
        let sequence = tag >> 8;
        match ValueType::try_from(tag as u8) {
            Ok(ValueType::Value) => Lookup::Value {
                sequence,
                value: self.arena.value(&node),
            },
            Ok(ValueType::Deletion) => Lookup::Deleted { sequence },
            Err(_) => Lookup::Absent,
        }
    }

    /// An iterator over all entries, published or not, in the order of internal keys. It starts nowhere: seek first.
    pub fn iter(&self) -> MemIter {
        MemIter::new(self.clone())
    }

    pub(crate) fn arena(&self) -> &Arena {
        &self.arena
    }

    pub(crate) fn user_order(&self) -> &Comparator {
        &self.order.user
    }
}

impl std::fmt::Debug for MemTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemTable")
            .field("last_sequence", &self.last_sequence())
            .field("entries", &self.entries())
            .field("bytes_used", &self.bytes_used())
            .finish_non_exhaustive()
    }
}
