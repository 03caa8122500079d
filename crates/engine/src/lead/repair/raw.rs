//! [`raw_entries`]: the entries of a table whose footer or index is gone.
//!
//! The data blocks of a table follow each other from its first byte on. Without the index nothing says where one ends but
//! its checksum: a block ends where the four bytes behind a compression type are the checksum of all that comes before
//! them. Behind a damaged block, where the next one starts is looked for in the same way, within a budget.
//!
//! Promises: an entry is given only out of a block with the right checksum, in ascending order, and never out of an index
//! or filter block, whose values are no one's. No bytes make it panic, or work longer than [`BUDGET`] allows.
//! Must not know: what becomes of the entries.

use level_party_format::block::Block;
use level_party_format::key::{self, InternalComparator};
use level_party_format::table::{self, BLOCK_TRAILER_LEN};
use level_party_format::{Corruption, MAX_SEQUENCE, crc, varint};

use crate::base::error::{Error, Result};

/// Steps of a byte that are spent in all on starts where no block is known to begin.
const BUDGET: usize = 1 << 24;
/// The longest block that is looked for at such a start: LevelDB's usual block with a large last entry.
const MAX_LOOKED_FOR: usize = 8 << 10;
/// The highest compression type that is looked for: well above those that any LevelDB writes.
const MAX_TYPE: u8 = 15;

/// What a walk without an index found.
#[derive(Default)]
pub(super) struct RawWalk {
    pub(super) blocks: u64,
    /// Bytes that belong to no block with a right checksum.
    pub(super) passed: u64,
}

/// Gives the entries of the data blocks that lie in the bytes of a table file, with strictly ascending keys.
pub(super) fn raw_entries(
    file: &[u8],
    order: &InternalComparator,
    mut entry: impl FnMut(&[u8], &[u8]) -> Result<()>,
) -> Result<RawWalk> {
    let mut walk = RawWalk::default();
    let mut last: Vec<u8> = Vec::new();
    let (mut at, mut budget, mut is_known) = (0, BUDGET, true);
    while at < file.len() {
        let longest = match is_known {
            true => file.len(),
            false => MAX_LOOKED_FOR.min(budget),
        };
        let Some(len) = block_len(&file[at..], longest) else {
            if !is_known {
                budget = budget.saturating_sub(longest.min(file.len() - at));
            }
            if budget == 0 {
                walk.passed += (file.len() - at) as u64;
                break;
            }
            is_known = false;
            walk.passed += 1;
            at += 1;
            continue;
        };
        let raw = &file[at..at + len];
        is_known = true;
        if let Some(entries) = data_entries(raw, at as u64, order)? {
            walk.blocks += 1;
            for (internal_key, value) in entries {
                if last.is_empty() || order.compare(&last, &internal_key).is_lt() {
                    entry(&internal_key, &value)?;
                    last = internal_key;
                }
            }
        }
        at += len;
    }
    Ok(walk)
}

/// The length of the block that starts here, with its trailer, if its checksum says that it ends anywhere within `longest`.
fn block_len(bytes: &[u8], longest: usize) -> Option<usize> {
    let end = bytes.len().checked_sub(BLOCK_TRAILER_LEN)?.min(longest);
    let mut crc = crc::crc32c(&[]);
    for len in 0..=end {
        let kind = bytes[len];
        if kind <= MAX_TYPE {
            let stated = &bytes[len + 1..len + BLOCK_TRAILER_LEN];
            let found = crc::mask(crc::extend(crc, &[kind])).to_le_bytes();
            if found == stated {
                return Some(len + BLOCK_TRAILER_LEN);
            }
        }
        crc = crc::extend(crc, &[kind]);
    }
    None
}

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// The entries of a block; nothing, if it can't be a data block.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported): the block is sound, but compressed in a way that is not known.
fn data_entries(raw: &[u8], offset: u64, order: &InternalComparator) -> Result<Option<Entries>> {
    match table::decode_block(raw, offset) {
        Ok(contents) => Ok(entries_of(contents, offset, order)),
        Err(error) if error.unknown_compression.is_some() => {
            Err(Error::corruption("a table without an index", error))
        }
        Err(_) => Ok(None),
    }
}

fn entries_of(contents: Vec<u8>, offset: u64, order: &InternalComparator) -> Option<Entries> {
    let block = Block::new(contents.into()).ok()?;
    let mut entries = Entries::new();
    let mut iter = block.iter(order.clone());
    let mut walk = || -> Result<(), Corruption> {
        iter.seek_to_first()?;
        while iter.valid() {
            let parsed = key::parse(iter.key())?;
            if parsed.sequence == MAX_SEQUENCE {
                return Err(Corruption::new("a separator of an index"));
            }
            entries.push((iter.key().to_vec(), iter.value().to_vec()));
            iter.next()?;
        }
        Ok(())
    };
    walk().ok()?;
    (!is_index(&entries, offset)).then_some(entries)
}

/// Whether the values are the handles of blocks that follow each other from the file's start to before this block.
fn is_index(entries: &Entries, offset: u64) -> bool {
    let mut at = 0;
    for (_, value) in entries {
        let handle = varint::get_u64(value).and_then(|(start, rest)| {
            varint::get_u64(rest).map(|(size, rest)| (start, size, rest))
        });
        let Some((start, size, [])) = handle else {
            return false;
        };
        let end = size.checked_add(BLOCK_TRAILER_LEN as u64 + at);
        match end {
            Some(end) if start == at && end <= offset => at = end,
            _ => return false,
        }
    }
    true
}
