//! Tables: sorted, immutable files of internal keys and values (LevelDB's `doc/table_format.md`, `table/format.cc`,
//! `table/table_builder.cc`).
//!
//! ```text
//! table   = data blocks | filter block | metaindex block | index block | footer
//! block   = contents | compression u8 | masked crc u32 of (contents, compression)
//! index   = for each data block: a key >= its last and < the next one's first -> its handle
//! metaindex: "filter." + policy's name -> handle of the filter block
//! footer  = metaindex handle | index handle | zeroes up to byte 40 | magic u64
//! handle  = offset varint | size varint (of the contents)
//! ```
//! This module turns bytes into blocks and entries into bytes. Who reads the bytes from where, and keeps the blocks, is
//! no matter of this crate.

mod builder;
mod compression;
mod deflate;
mod footer;

pub use builder::{TableBuilder, TableOptions};
pub use compression::{Compression, check_block, decode_block, decode_block_in, decode_block_vec};
pub use footer::{BlockHandle, Footer};

use crate::Corruption;
use crate::block::Block;
use crate::filter;
use crate::key::InternalComparator;

/// Length of the footer in bytes. A shorter file is no table.
pub const FOOTER_LEN: usize = 48;
/// Length of what follows the contents of each block: compression and checksum, in bytes.
pub const BLOCK_TRAILER_LEN: usize = 5;

/// The key of the filter block's handle in the metaindex.
fn filter_key() -> String {
    format!("filter.{}", filter::NAME)
}

/// The handle of the Bloom filter block, if the metaindex has one. Its keys are plain strings, not internal keys, so
/// this walks over them.
pub fn find_filter(metaindex: &Block) -> Result<Option<BlockHandle>, Corruption> {
    let wanted = filter_key();
    let mut entries = metaindex.iter(InternalComparator::default());
    entries.seek_to_first()?;
    while entries.valid() {
        if entries.key() == wanted.as_bytes() {
            return BlockHandle::decode(entries.value()).map(Some);
        }
        entries.next()?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
