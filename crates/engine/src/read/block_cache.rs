//! [`BlockCache`]: blocks of tables in memory, as they are after checksum and decompression.
//!
//! Promises: no more bytes than it was given, whatever is read. What is here was verified when it was loaded; an error is
//! never kept, so that the next read tries again. Once it is full, a block comes in when it was missed twice in a while:
//! blocks that are read once cost no memory of their own and push out none that are read again.
//! Must not know: what is in a block, or which tables are still in a version. A removed table's blocks are not asked for
//! any more and go as others come, as in LevelDB.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use level_party_format::block::Block;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

/// As many locks as LevelDB's cache has.
const SHARDS: usize = 16;
/// What a block is expected to be. Wrong by an order of magnitude costs little.
const USUAL_BLOCK: usize = 4 << 10;
/// Bytes that a block costs beside its contents: its entry in the cache, and the allocator's part.
const OVERHEAD: usize = 128;
/// Misses that are remembered for each block that has room.
const MARKS_PER_BLOCK: usize = 4;

/// Blocks of the tables of one database.
pub(crate) struct BlockCache {
    blocks: Cache<Place, Block, Bytes, BuildHasherDefault<Mixed>>,
    capacity: u64,
    /// All bytes that ever came in: below `capacity` nothing had to go yet.
    let_in: AtomicU64,
    /// Marks of places missed of late; another place may overwrite one.
    missed: Box<[AtomicU32]>,
}

/// Where a block is. A file's number is not used again while an engine is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    file: u64,
    offset: u64,
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(mix(self.file, self.offset));
    }
}

/// The hash of a place as it is: no key of a stranger's, so that it need not be secret, and what is kept does not differ
/// from run to run.
#[derive(Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = mix(self.0, u64::from(*byte));
        }
    }

    fn write_u64(&mut self, mixed: u64) {
        self.0 = mixed;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Place, Block> for Bytes {
    fn weight(&self, _: &Place, block: &Block) -> u64 {
        weight(block.byte_size())
    }
}

fn weight(len: usize) -> u64 {
    (len + OVERHEAD) as u64
}

impl BlockCache {
    /// A cache of at most about `bytes` bytes; none at all for 0.
    pub(crate) fn new(bytes: usize) -> Option<BlockCache> {
        if bytes == 0 {
            return None;
        }
        let usual = (bytes / USUAL_BLOCK).max(1);
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity(usual)
            .weight_capacity(bytes as u64)
            .build()
            .expect("both capacities are given");
        let marks = usual.saturating_mul(MARKS_PER_BLOCK).next_power_of_two();
        Some(BlockCache {
            blocks: Cache::with_options(
                options,
                Bytes,
                BuildHasherDefault::default(),
                DefaultLifecycle::default(),
            ),
            capacity: bytes as u64,
            let_in: AtomicU64::new(0),
            missed: (0..marks).map(|_| AtomicU32::new(0)).collect(),
        })
    }

    /// The block at an offset of a file, if it is here.
    #[inline]
    pub(crate) fn get(&self, file: u64, offset: u64) -> Option<Block> {
        self.blocks.get(&Place { file, offset })
    }

    /// Whether a block that was missed, and is `len` bytes long, is to be brought by [`BlockCache::put`].
    pub(crate) fn wants(&self, file: u64, offset: u64, len: usize) -> bool {
        let room = self.let_in.load(Ordering::Relaxed) + weight(len) <= self.capacity;
        if room {
            return true;
        }
        let hash = mix(file, offset);
        let slot = (hash >> 32) as usize & (self.missed.len() - 1);
        // Zero is no mark.
        let mark = hash as u32 | 1;
        let mark_before = self.missed[slot].swap(mark, Ordering::Relaxed);
        mark_before == mark
    }

    /// Puts a verified block here. One that is larger than the cache's parts are is not kept.
    pub(crate) fn put(&self, file: u64, offset: u64, block: Block) {
        let weight = weight(block.byte_size());
        self.let_in.fetch_add(weight, Ordering::Relaxed);
        self.blocks.insert(Place { file, offset }, block);
    }

    /// The bytes of the blocks that are here.
    pub(crate) fn bytes(&self) -> u64 {
        self.blocks.weight()
    }
}

/// Spreads a place over 64 bits (the finalizer of SplitMix64).
fn mix(file: u64, offset: u64) -> u64 {
    let mut hash = file
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(offset);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests;
