//! A block lent: its layout, and the search for one key, which need no more than the bytes.

use std::cmp::Ordering;

use super::Shape;
use crate::Corruption;
use crate::key::InternalComparator;
use crate::varint;

/// The contents of a block that lie elsewhere: what [`Block`](super::Block) is without owning them.
///
/// ```
/// use level_party_format::block::{BlockBuilder, BlockRef};
/// use level_party_format::key::{InternalComparator, seek_key};
///
/// let mut builder = BlockBuilder::new(16);
/// builder.add(&seek_key(b"a", 1), b"first");
/// builder.add(&seek_key(b"b", 2), b"second");
/// let block = BlockRef::new(builder.finish())?;
///
/// let mut key = Vec::new();
/// let found = block.seek(&InternalComparator::default(), &seek_key(b"aa", 9), &mut key)?;
/// assert_eq!(found, Some(&b"second"[..]));
/// assert_eq!(key, seek_key(b"b", 2));
/// # Ok::<(), level_party_format::Corruption>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct BlockRef<'a> {
    data: &'a [u8],
    shape: Shape,
}

/// Where the parts of an entry lie. Invariant: `key_start <= value_start <= end <= entries_len`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) shared: u32,
    pub(super) key_start: u32,
    pub(super) value_start: u32,
    pub(super) end: u32,
}

impl<'a> BlockRef<'a> {
    /// Takes a block's contents (uncompressed, without trailer). Checks that the restart array fits and starts with 0.
    pub fn new(data: &'a [u8]) -> Result<Self, Corruption> {
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
        let shape = Shape {
            entries_len,
            restarts,
        };
        let block = BlockRef { data, shape };
        if restarts > 0 && block.restart(0) != 0 {
            return Err(Corruption::new(
                "a block whose first restart is not its first entry",
            ));
        }
        Ok(block)
    }

    /// `data` must be what `shape` was made from.
    #[inline]
    pub(super) fn of_shape(data: &'a [u8], shape: Shape) -> Self {
        BlockRef { data, shape }
    }

    #[inline]
    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// Finds the first entry whose key is `>= target`: its value, and its key in `key`, whose memory is used again.
    /// `None` if there is no such entry.
    ///
    /// # Errors
    /// An entry on the way is malformed.
    pub fn seek(
        &self,
        comparator: &InternalComparator,
        target: &[u8],
        key: &mut Vec<u8>,
    ) -> Result<Option<&'a [u8]>, Corruption> {
        let bad = |offset: u32| Corruption::new("bad entry in a block").at(u64::from(offset));
        let mut offset = self.last_restart_before(comparator, target).map_err(bad)?;
        key.clear();
        while offset < self.shape.entries_len {
            let entry = self.entry(offset).ok_or_else(|| bad(offset))?;
            if entry.shared as usize > key.len() {
                return Err(bad(offset));
            }
            key.truncate(entry.shared as usize);
            key.extend_from_slice(&self.data[entry.key_start as usize..entry.value_start as usize]);
            if comparator.compare(key, target) != Ordering::Less {
                let value = &self.data[entry.value_start as usize..entry.end as usize];
                return Ok(Some(value));
            }
            offset = entry.end;
        }
        Ok(None)
    }

    /// The offset of the last restart whose key is `< target`, or the first restart. `Err` gives the offset of an entry
    /// that cannot be a restart.
    pub(super) fn last_restart_before(
        &self,
        comparator: &InternalComparator,
        target: &[u8],
    ) -> Result<u32, u32> {
        let mut left = 0;
        let mut right = self.shape.restarts.saturating_sub(1);
        let mut start = 0;
        while left < right {
            let middle = left + (right - left).div_ceil(2);
            let offset = self.restart(middle);
            let entry = self
                .entry(offset)
                .filter(|entry| entry.shared == 0)
                .ok_or(offset)?;
            let key = &self.data[entry.key_start as usize..entry.value_start as usize];
            if comparator.compare(key, target) == Ordering::Less {
                left = middle;
                start = offset;
            } else {
                right = middle - 1;
            }
        }
        Ok(start)
    }

    /// The entries' bytes.
    #[inline]
    fn entries(&self) -> &'a [u8] {
        &self.data[..self.shape.entries_len as usize]
    }

    /// The offset that restart `index` gives, unchecked against the entries. `index` must be below `restarts`.
    #[inline]
    pub(super) fn restart(&self, index: u32) -> u32 {
        let at = self.shape.entries_len as usize + index as usize * 4;
        let word = self.data[at..]
            .first_chunk()
            .expect("the restart array fits in the block");
        u32::from_le_bytes(*word)
    }

    /// The entry at `offset`: `None` if it is malformed or does not fit.
    #[inline]
    pub(super) fn entry(&self, offset: u32) -> Option<Entry> {
        let rest = self.entries().get(offset as usize..)?;
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
        (end <= self.shape.entries_len).then_some(Entry {
            shared,
            key_start,
            value_start,
            end,
        })
    }
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
