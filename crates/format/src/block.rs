//! Blocks: sorted keys and values, keys shortened by what they share with the one before (LevelDB's
//! `doc/table_format.md`, `table/block.cc`).
//!
//! ```text
//! block   = entries | restarts: u32 little-endian each | number of restarts u32 little-endian
//! entry   = shared varint | unshared varint | value length varint | unshared key bytes | value
//! restart = offset of an entry with shared = 0; the first is 0
//! ```
//! A number of restarts of 0 means an empty block. A [`Block`] is shared bytes; a [`BlockIter`] owns its block and its
//! buffers, allocates nothing per step, and going backward decodes each restart interval once.
//!
//! This module knows nothing of compression, checksums or where a block lies in a file: see [`crate::table`].

mod borrowed;
mod builder;
mod iter;

pub use borrowed::BlockRef;
pub use builder::BlockBuilder;
pub use iter::BlockIter;

use bytes::Bytes;

use crate::Corruption;
use crate::key::InternalComparator;

/// The contents of a block: checked in outline here, entry by entry while iterating.
///
/// ```
/// use level_party_format::block::{Block, BlockBuilder};
/// use level_party_format::key::{InternalComparator, seek_key};
///
/// let mut builder = BlockBuilder::new(16);
/// builder.add(&seek_key(b"a", 1), b"first");
/// builder.add(&seek_key(b"b", 2), b"second");
/// let block = Block::new(builder.finish().to_vec().into())?;
///
/// let mut iter = block.iter(InternalComparator::default());
/// iter.seek(&seek_key(b"aa", 9))?;
/// assert!(iter.valid());
/// assert_eq!(iter.value(), b"second");
/// # Ok::<(), level_party_format::Corruption>(())
/// ```
#[derive(Debug, Clone)]
pub struct Block {
    data: Bytes,
    shape: Shape,
}

/// Where a block's parts lie.
#[derive(Debug, Clone, Copy)]
struct Shape {
    /// Where the entries end and the restart array starts; 0 for an empty block. Invariant: the array of `restarts`
    /// words and the count fit behind it.
    entries_len: u32,
    restarts: u32,
}

impl Block {
    /// Takes a block's contents (uncompressed, without trailer). Checks that the restart array fits and starts with 0.
    pub fn new(data: Bytes) -> Result<Self, Corruption> {
        let shape = BlockRef::new(&data)?.shape();
        Ok(Block { data, shape })
    }

    /// The same block, lent.
    #[inline]
    pub fn lend(&self) -> BlockRef<'_> {
        BlockRef::of_shape(&self.data, self.shape)
    }

    /// An iterator over the entries, at no entry yet. The comparator is used by `seek` alone.
    pub fn iter(&self, comparator: InternalComparator) -> BlockIter {
        BlockIter::new(self.clone(), comparator)
    }

    /// The length of the contents in bytes, for a cache's accounts.
    pub fn byte_size(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.shape.entries_len == 0
    }
}

#[cfg(test)]
mod tests;
