//! [`raw_entries`]: the entries of a table whose footer or index is gone.
//!
//! The data blocks of a table follow each other from its first byte on. Without the index nothing says where one ends but
//! its checksum: a block ends where the four bytes behind a compression type are the checksum of all that comes before
//! them. Behind a damaged block, where the next one starts is looked for in the same way, within a budget.
//!
//! Promises: an entry is given only out of a block with the right checksum, in ascending order, and never out of an index
//! or filter block, whose values are no one's. No bytes make it panic, or work longer than
//! the budgets allow.
//! Must not know: what becomes of the entries.

use level_party_format::block::Block;
use level_party_format::key::{self, InternalComparator};
use level_party_format::table::{self, BLOCK_TRAILER_LEN};
use level_party_format::{Corruption, MAX_SEQUENCE, crc, varint};

use crate::base::error::{Error, Result};

/// Steps of a byte that are spent in all on starts where no block is known to begin, but one may by its first bytes.
const LIKELY_BUDGET: usize = 1 << 26;
/// The same on all other starts: raw deflate begins with any byte.
const BUDGET: usize = 1 << 24;
/// Steps that are spent on starts where a block is known to begin and none ends, for each byte of the file. Whether the block
/// is damaged or very long, only its end says.
const PASSES: usize = 8;
/// The longest block that is looked for at other starts: LevelDB's usual block with a large last entry.
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
    let (mut at, mut is_known) = (0, true);
    let mut passes = file.len().saturating_mul(PASSES);
    let (mut likely, mut others) = (LIKELY_BUDGET, BUDGET);
    while at < file.len() {
        let rest = &file[at..];
        let (budget, longest) = match is_known {
            true => (&mut passes, file.len()),
            false if may_begin(rest) => (&mut likely, MAX_LOOKED_FOR),
            false => (&mut others, MAX_LOOKED_FOR),
        };
        let longest = match is_known {
            true => longest.min((*budget).max(MAX_LOOKED_FOR)),
            false => longest.min(*budget),
        };
        let found = if longest > 0 {
            block_len(rest, longest)
        } else {
            None
        };
        let Some(len) = found else {
            *budget = budget.saturating_sub(longest.min(rest.len()));
            if likely == 0 {
                walk.passed += rest.len() as u64;
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

/// Whether a block of entries may begin so. Its first key shares nothing with one before, so that its first byte is 0; and
/// what is compressed begins with that of its kind.
fn may_begin(bytes: &[u8]) -> bool {
    const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let is_plain = |bytes: &[u8]| matches!(bytes, [0, unshared, ..] if *unshared >= 8);
    let is_zlib = match bytes {
        [first, second, ..] => {
            first & 0x0f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31)
        }
        _ => false,
    };
    // Snappy: the length, then a literal, as nothing is there to be copied.
    let literal = varint::get_u32(bytes).map(|(_, rest)| rest);
    let is_snappy = literal.is_some_and(|literal| match literal {
        [tag, rest @ ..] if tag & 3 == 0 => {
            let length_bytes = usize::from(tag >> 2).saturating_sub(59);
            rest.get(length_bytes..).is_some_and(is_plain)
        }
        _ => false,
    });
    is_plain(bytes) || is_snappy || is_zlib || bytes.starts_with(&ZSTD_MAGIC)
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
