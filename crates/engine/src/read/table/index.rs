//! [`Index`]: a table's index block, decoded flat, so that a lookup is a binary search that allocates nothing.
//!
//! Must not know: files. Positions of blocks are believed here and checked where a block is read.

use bytes::Bytes;
use level_party_format::Corruption;
use level_party_format::block::Block;
use level_party_format::key::InternalComparator;
use level_party_format::table::BlockHandle;

/// How many times its own size an index's keys may be.
const MOST_EXPANSION: usize = 64;

/// The blocks of a table in order, each with a key at or after all of its keys and before all of the next block's.
#[derive(Default)]
pub(crate) struct Index {
    keys: Vec<u8>,
    blocks: Vec<BlockEntry>,
}

struct BlockEntry {
    key_end: usize,
    handle: BlockHandle,
}

impl Index {
    /// Decodes an index block's contents.
    pub(crate) fn decode(
        contents: Vec<u8>,
        comparator: &InternalComparator,
    ) -> Result<Index, Corruption> {
        // LevelDB writes each of an index's keys whole. One that shares prefixes may decode to more than it is, but not to
        // what a forged one could: a long key repeated without end.
        let most = contents.len().saturating_mul(MOST_EXPANSION);
        let block = Block::new(Bytes::from(contents))?;
        let mut index = Index::default();
        let mut entries = block.iter(comparator.clone());
        entries.seek_to_first()?;
        while entries.valid() {
            let handle = BlockHandle::decode(entries.value())?;
            if index.keys.len() + entries.key().len() > most {
                return Err(Corruption::new(
                    "the index's keys are far longer than the index",
                ));
            }
            index.keys.extend_from_slice(entries.key());
            let key_end = index.keys.len();
            index.blocks.push(BlockEntry { key_end, handle });
            entries.next()?;
        }
        index.keys.shrink_to_fit();
        index.blocks.shrink_to_fit();
        Ok(index)
    }

    /// The number of blocks.
    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Where a block is; `None` beyond the last.
    pub(crate) fn handle(&self, at: usize) -> Option<BlockHandle> {
        self.blocks.get(at).map(|entry| entry.handle)
    }

    /// The first block that can hold `internal_key` or a later one; [`Index::len`] if none can.
    pub(crate) fn find(&self, comparator: &InternalComparator, internal_key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.blocks.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if comparator.compare(self.key(middle), internal_key).is_lt() {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The key of a block, which must exist.
    pub(crate) fn key(&self, at: usize) -> &[u8] {
        let start = match at {
            0 => 0,
            _ => self.blocks[at - 1].key_end,
        };
        &self.keys[start..self.blocks[at].key_end]
    }
}

#[cfg(test)]
mod tests {
    use level_party_format::block::BlockBuilder;
    use level_party_format::key::{ValueType, append_internal_key};

    use super::*;

    /// An index whose keys share a long prefix, with `interval` entries between two whole keys.
    fn index(interval: usize, entries: u64) -> Vec<u8> {
        let mut block = BlockBuilder::new(interval);
        let mut key = Vec::new();
        let mut handle = Vec::new();
        for n in 0..entries {
            key.clear();
            let user = [vec![b'k'; 10_000], n.to_be_bytes().to_vec()].concat();
            append_internal_key(&mut key, &user, 1, ValueType::Value);
            handle.clear();
            BlockHandle {
                offset: n * 10,
                size: 5,
            }
            .encode(&mut handle);
            block.add(&key, &handle);
        }
        block.finish().to_vec()
    }

    /// Found by reading: a small index could decode to memory without bound.
    #[test]
    fn an_index_that_decodes_to_far_more_than_it_is_is_corruption() {
        let order = InternalComparator::default();
        let whole = Index::decode(index(1, 1000), &order).expect("as LevelDB writes it");
        assert_eq!(whole.len(), 1000);
        assert!(
            Index::decode(index(16, 1000), &order).is_ok(),
            "shared as in data blocks"
        );
        assert!(Index::decode(index(1_000_000, 1000), &order).is_err());
    }
}
