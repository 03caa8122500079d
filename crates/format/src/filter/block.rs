//! A table's block of filters.

use bytes::Bytes;

use super::BloomPolicy;

/// A filter for every 2 KiB of file.
const BASE_LG: u8 = 11;
/// The word for the array's offset, and `base_lg`.
const TAIL_LEN: usize = 5;

/// Builds a table's filter block. For each data block: [`start_block`](Self::start_block), then all its keys.
///
/// ```
/// use level_party_format::filter::{BloomPolicy, FilterBlock, FilterBlockBuilder};
///
/// let mut builder = FilterBlockBuilder::new(BloomPolicy::new(10));
/// builder.start_block(0);
/// builder.add_key(b"foo");
/// let filters = FilterBlock::new(builder.finish().into()).expect("well-formed");
/// assert!(filters.may_match(0, b"foo"));
/// assert!(!filters.may_match(0, b"missing"));
/// ```
#[derive(Debug)]
pub struct FilterBlockBuilder {
    policy: BloomPolicy,
    /// Of the keys since the last filter. LevelDB keeps the keys; their hashes make the same filter.
    hashes: Vec<u32>,
    result: Vec<u8>,
    offsets: Vec<u32>,
}

impl FilterBlockBuilder {
    /// A builder of filters by `policy`.
    pub fn new(policy: BloomPolicy) -> Self {
        FilterBlockBuilder {
            policy,
            hashes: Vec::new(),
            result: Vec::new(),
            offsets: Vec::new(),
        }
    }

    /// Says that the keys to come are in the data block at `offset` in the file. Offsets must not go down.
    pub fn start_block(&mut self, offset: u64) {
        let index = offset >> BASE_LG;
        debug_assert!(index >= self.offsets.len() as u64, "block offsets ascend");
        while (self.offsets.len() as u64) < index {
            self.generate();
        }
    }

    /// Adds a user key of the current data block. Doubles count double, as in LevelDB.
    pub fn add_key(&mut self, user_key: &[u8]) {
        self.hashes.push(BloomPolicy::hash_key(user_key));
    }

    /// The contents of the filter block.
    pub fn finish(mut self) -> Vec<u8> {
        if !self.hashes.is_empty() {
            self.generate();
        }
        let array = self.result_len();
        for offset in &self.offsets {
            self.result.extend_from_slice(&offset.to_le_bytes());
        }
        self.result.extend_from_slice(&array.to_le_bytes());
        self.result.push(BASE_LG);
        self.result
    }

    /// Ends the current filter; it is empty if there were no keys.
    fn generate(&mut self) {
        self.offsets.push(self.result_len());
        if !self.hashes.is_empty() {
            self.policy
                .create_from_hashes(&self.hashes, &mut self.result);
            self.hashes.clear();
        }
    }

    fn result_len(&self) -> u32 {
        u32::try_from(self.result.len()).expect("the filters of one table are below 4 GiB")
    }
}

/// A table's filter block, ready to be asked.
#[derive(Debug, Clone)]
pub struct FilterBlock {
    data: Bytes,
    /// Where the array of offsets starts. Invariant: `filters` words and one more lie behind it.
    array: usize,
    filters: usize,
    base_lg: u8,
}

impl FilterBlock {
    /// Takes a filter block's contents; `None` if they make no sense: then there is no filter, and any key may be there.
    pub fn new(data: Bytes) -> Option<Self> {
        let (body, &[a, b, c, d, base_lg]) = data.split_last_chunk::<TAIL_LEN>()?;
        let array = u32::from_le_bytes([a, b, c, d]) as usize;
        if array > body.len() || base_lg >= 64 {
            return None;
        }
        let filters = (body.len() - array) / 4;
        Some(FilterBlock {
            data,
            array,
            filters,
            base_lg,
        })
    }

    /// Whether the data block at `block_offset` may hold `user_key`. Never wrong when it says no.
    pub fn may_match(&self, block_offset: u64, user_key: &[u8]) -> bool {
        let index = match usize::try_from(block_offset >> self.base_lg) {
            Ok(index) if index < self.filters => index,
            _ => return true,
        };
        let (start, limit) = (self.word(index), self.word(index + 1));
        if start <= limit && limit <= self.array {
            BloomPolicy::key_may_match(user_key, &self.data[start..limit])
        } else {
            // As in LevelDB: an empty filter matches nothing even where it points outside.
            start != limit
        }
    }

    /// The length of the contents in bytes, for a cache's accounts.
    pub fn byte_size(&self) -> usize {
        self.data.len()
    }

    /// Word `index` of the array. `index` may be `filters`: the word behind the array.
    fn word(&self, index: usize) -> usize {
        let at = self.array + index * 4;
        let word = self.data[at..]
            .first_chunk()
            .expect("the array and one more word fit in the block");
        u32::from_le_bytes(*word) as usize
    }
}
