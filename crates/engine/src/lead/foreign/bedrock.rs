//! Worlds of Minecraft Bedrock: LevelDB directories whose blocks are zlib or raw deflate.
//!
//! Promises: a world is known by the numbers of a few blocks. The game reads blocks that are stored plain, zlib and raw
//! deflate, and no others, so all that is written to a world is raw deflate.

use level_party_format::block::Block;
use level_party_format::key::InternalComparator;
use level_party_format::table::{
    self, BLOCK_TRAILER_LEN, BlockHandle, Compression, FOOTER_LEN, Footer, check_block,
};

use crate::base::fs::{Fs, ReadFile};
use crate::base::options::Options;

/// Data blocks of one table that are looked at where its index is stored plain, which says nothing.
const BLOCKS: usize = 4;

/// Whether what is written with these options fits a world.
pub(super) fn is_kept(options: &Options) -> bool {
    options.block_compression() == Compression::ZlibRaw
}

/// Makes what is written fit a world.
pub(super) fn keep(options: &mut Options) {
    options.compression = Compression::ZlibRaw;
    options.zstd_that_leveldb_1_23_cannot_read = false;
}

/// Whether any of these tables is a world's.
pub(super) fn is_world(fs: &dyn Fs, tables: Vec<&str>) -> bool {
    tables.into_iter().any(|name| {
        let file = fs.open_read(name).ok();
        file.and_then(|file| is_table(file.as_ref()))
            .unwrap_or(false)
    })
}

/// `None`: it can't be read.
fn is_table(file: &dyn ReadFile) -> Option<bool> {
    let len = file.len();
    let mut footer = [0; FOOTER_LEN];
    file.read_at(&mut footer, len.checked_sub(FOOTER_LEN as u64)?)
        .ok()?;
    let index = Footer::decode(&footer, len).ok()?.index;
    match compression(file, index)? {
        // A short index is stored plain whatever the blocks are.
        Compression::None => {}
        compression => return Some(compression.is_bedrock()),
    }
    let raw = read(file, index)?;
    let contents = table::decode_block(&raw, index.offset).ok()?;
    let handles = handles(contents)?;
    let last = handles.len().saturating_sub(1);
    let sampled = (0..BLOCKS).filter_map(|part| handles.get(part * last / (BLOCKS - 1)));
    let found = sampled.filter_map(|handle| compression(file, *handle));
    Some(found.into_iter().any(Compression::is_bedrock))
}

/// How a block is compressed. The whole block is read only where its number says that it is worth while, so that a damaged
/// number is not believed.
fn compression(file: &dyn ReadFile, handle: BlockHandle) -> Option<Compression> {
    handle.check(file.len()).ok()?;
    let mut number = [0];
    file.read_at(&mut number, handle.offset + handle.size)
        .ok()?;
    if let [0 | 1] = number {
        return Compression::of(number[0], &[]).ok();
    }
    let raw = read(file, handle)?;
    check_block(&raw, handle.offset).ok().map(|found| found.0)
}

fn read(file: &dyn ReadFile, handle: BlockHandle) -> Option<Vec<u8>> {
    handle.check(file.len()).ok()?;
    let len = usize::try_from(handle.size).ok()? + BLOCK_TRAILER_LEN;
    let mut raw = vec![0; len];
    file.read_at(&mut raw, handle.offset).ok()?;
    Some(raw)
}

/// The handles of an index. The order of its keys does not matter for a walk from the first to the last.
fn handles(contents: Vec<u8>) -> Option<Vec<BlockHandle>> {
    let block = Block::new(contents.into()).ok()?;
    let mut entries = block.iter(InternalComparator::default());
    let mut handles = Vec::new();
    entries.seek_to_first().ok()?;
    while entries.valid() {
        handles.push(BlockHandle::decode(entries.value()).ok()?);
        entries.next().ok()?;
    }
    Some(handles)
}
