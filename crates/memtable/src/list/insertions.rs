//! The entries of a memtable in the order in which they were inserted.
//!
//! Promises: who was told of an entry finds it here, whole, after the entry that was inserted before it. The next entry begins
//! where the one before ends, so that no search is needed. What a place leads to is checked like every index: in a region that
//! was set up again, or scribbled over, the answer is another entry or none.
//! Must not know: who looks for new entries, or what was published.

use level_party_format::Sequence;
use level_party_format::key::ValueType;

use crate::layout::{Arena, Node};
use crate::list::reader::MemTable;
use crate::memory::append_bytes;

/// A place between two entries of a memtable, in the order of their insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InsertedAt(usize);

/// An entry that was met in the order of insertion.
pub struct Inserted<'a> {
    node: Node<'a>,
    tag: u64,
}

impl Inserted<'_> {
    /// Its sequence.
    #[inline]
    pub fn sequence(&self) -> Sequence {
        self.tag >> 8
    }

    /// Whether it removes its key. Only [`ValueType::Deletion`] does.
    #[inline]
    pub fn is_deletion(&self) -> bool {
        ValueType::try_from(self.tag as u8) == Ok(ValueType::Deletion)
    }

    /// Appends its user key.
    #[inline]
    pub fn append_key(&self, out: &mut Vec<u8>) {
        append_bytes(out, self.node.key.words, self.node.key.len);
    }
}

impl std::fmt::Debug for Inserted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inserted")
            .field("sequence", &self.sequence())
            .field("is_deletion", &self.is_deletion())
            .finish_non_exhaustive()
    }
}

impl MemTable {
    /// The place before the entry that was inserted first.
    pub fn first_inserted(&self) -> InsertedAt {
        InsertedAt(Arena::first_place(self.filtered()))
    }

    /// The entry that was inserted at a place, and the place behind it. The caller was told that there is one (by a word
    /// beside the region, as for every read), and `place` is the first one or came with the entry before: otherwise the
    /// answer is `None` or any entry. So compare its sequence with the one that is expected.
    ///
    /// ```
    /// use level_party_format::key::{InternalComparator, ValueType};
    /// use level_party_memtable::{HeapRegions, MemTableWriter, RegionSource};
    ///
    /// let region = HeapRegions::new().allocate(1 << 20)?;
    /// let mut writer = MemTableWriter::create(region, InternalComparator::default())?;
    /// writer.insert(b"pear", 1, ValueType::Value, b"green")?;
    /// writer.insert(b"apple", 2, ValueType::Deletion, b"")?;
    ///
    /// let table = writer.reader();
    /// let (first, place) = table.inserted(table.first_inserted()).expect("two entries");
    /// let (second, _) = table.inserted(place).expect("one entry more");
    /// let mut key = Vec::new();
    /// second.append_key(&mut key);
    /// assert_eq!((first.sequence(), second.sequence()), (1, 2));
    /// assert_eq!((second.is_deletion(), &key[..]), (true, &b"apple"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn inserted(&self, place: InsertedAt) -> Option<(Inserted<'_>, InsertedAt)> {
        let (node, end) = self.arena().node_from(place.0)?;
        let tag = node.tag();
        Some((Inserted { node, tag }, InsertedAt(end)))
    }
}
