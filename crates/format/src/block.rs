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

mod builder;
mod iter;

pub use builder::BlockBuilder;
pub use iter::BlockIter;

use bytes::Bytes;

use crate::Corruption;
use crate::key::InternalComparator;
use crate::varint;

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
    /// Where the entries end and the restart array starts; 0 for an empty block. Invariant: the array of `restarts`
    /// words and the count fit behind it.
    entries_len: u32,
    restarts: u32,
}

impl Block {
    /// Takes a block's contents (uncompressed, without trailer). Checks that the restart array fits and starts with 0.
    pub fn new(data: Bytes) -> Result<Self, Corruption> {
        let Ok(len) = u32::try_from(data.len()) else {
            return Err(Corruption::new("a block of 4 GiB or more"));
        };
        let Some((body, count)) = data.split_last_chunk::<4>() else {
            return Err(Corruption::new(
                "a block too short for its number of restarts",
            ));
        };
        let restarts = u32::from_le_bytes(*count);
        if restarts as usize > body.len() / 4 {
            return Err(Corruption::new(format!(
                "a block of {len} bytes that says it has {restarts} restarts"
            )));
        }
        let entries_len = if restarts == 0 {
            0
        } else {
            len - 4 - restarts * 4
        };
        let block = Block {
            data,
            entries_len,
            restarts,
        };
        if restarts > 0 && block.restart(0) != 0 {
            return Err(Corruption::new(
                "a block whose first restart is not its first entry",
            ));
        }
        Ok(block)
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
        self.entries_len == 0
    }

    /// The entries' bytes.
    #[inline]
    fn entries(&self) -> &[u8] {
        &self.data[..self.entries_len as usize]
    }

    /// The offset that restart `index` gives, unchecked against the entries. `index` must be below `restarts`.
    #[inline]
    fn restart(&self, index: u32) -> u32 {
        let at = self.entries_len as usize + index as usize * 4;
        let word = self.data[at..]
            .first_chunk()
            .expect("the restart array fits in the block");
        u32::from_le_bytes(*word)
    }

    /// The entry at `offset`: `None` if it is malformed or does not fit.
    #[inline]
    fn entry(&self, offset: u32) -> Option<Entry> {
        let entries = self.entries();
        let rest = entries.get(offset as usize..)?;
        let (shared, unshared, value_len, header_len) = match *rest {
            [shared, unshared, value_len, ..] if (shared | unshared | value_len) < 0x80 => (
                u32::from(shared),
                u32::from(unshared),
                u32::from(value_len),
                3,
            ),
            _ => long_header(rest)?,
        };
        let key_start = offset + header_len;
        let value_start = key_start.checked_add(unshared)?;
        let end = value_start.checked_add(value_len)?;
        (end <= self.entries_len).then_some(Entry {
            shared,
            key_start,
            value_start,
            end,
        })
    }
}

/// Where the parts of an entry lie. Invariant: `key_start <= value_start <= end <= entries_len`.
#[derive(Debug, Clone, Copy)]
struct Entry {
    shared: u32,
    key_start: u32,
    value_start: u32,
    end: u32,
}

fn long_header(input: &[u8]) -> Option<(u32, u32, u32, u32)> {
    let (shared, rest) = varint::get_u32(input)?;
    let (unshared, rest) = varint::get_u32(rest)?;
    let (value_len, rest) = varint::get_u32(rest)?;
    Some((
        shared,
        unshared,
        value_len,
        (input.len() - rest.len()) as u32,
    ))
}

#[cfg(test)]
mod tests;
