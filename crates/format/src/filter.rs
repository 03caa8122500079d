//! Bloom filters, and the block of a table that holds one for every 2 KiB of file (LevelDB's `util/bloom.cc`,
//! `table/filter_block.cc`, `doc/table_format.md`).
//!
//! ```text
//! filter       = bits | number of probes u8
//! filter block = filters | offset of each filter u32 | offset of this array u32 | base_lg u8 (11)
//! ```
//! The filter for a data block is number `block's offset in the file >> base_lg`. It ends where the next one starts;
//! the last one's end is the word that tells where the array is. An empty filter matches nothing, and what cannot be
//! understood matches everything. Filters are about user keys.

mod block;
mod bloom;

pub use block::{FilterBlock, FilterBlockBuilder};
pub use bloom::{BloomPolicy, hash};

/// The name of the policy in a table's metaindex.
pub const NAME: &str = "leveldb.BuiltinBloomFilter2";

#[cfg(test)]
mod tests;
