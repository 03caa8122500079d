//! A block as it lies in the file: contents, compression, checksum.

use super::BLOCK_TRAILER_LEN;
use crate::{Corruption, crc};

/// How a block's contents are compressed. The numbers are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Compression {
    /// Not at all.
    None = 0,
    /// Snappy.
    Snappy = 1,
    /// Zstandard: read, never written. LevelDB up to 1.23 cannot read it.
    Zstd = 2,
}

impl TryFrom<u8> for Compression {
    type Error = Corruption;

    fn try_from(byte: u8) -> Result<Self, Corruption> {
        match byte {
            0 => Ok(Compression::None),
            1 => Ok(Compression::Snappy),
            2 => Ok(Compression::Zstd),
            other => Err(Corruption::new(format!(
                "unknown block compression {other}"
            ))),
        }
    }
}

/// The trailer of a block.
pub(super) fn trailer(contents: &[u8], compression: Compression) -> [u8; BLOCK_TRAILER_LEN] {
    let kind = compression as u8;
    let crc = crc::extend(crc::crc32c(contents), &[kind]);
    let [a, b, c, d] = crc::mask(crc).to_le_bytes();
    [kind, a, b, c, d]
}

/// Checks a block as read from the file (contents and trailer) against its checksum, and gives its contents, still
/// compressed, without copying them. `file_offset` is where `raw` starts in the file, for the error.
pub fn check_block(raw: &[u8], file_offset: u64) -> Result<(Compression, &[u8]), Corruption> {
    let Some((contents, &[kind, a, b, c, d])) = raw.split_last_chunk::<BLOCK_TRAILER_LEN>() else {
        return Err(Corruption::new("a block shorter than its trailer").at(file_offset));
    };
    let checked = &raw[..contents.len() + 1];
    if crc::mask(crc::crc32c(checked)) != u32::from_le_bytes([a, b, c, d]) {
        return Err(Corruption::new("block checksum mismatch").at(file_offset));
    }
    let compression = Compression::try_from(kind).map_err(|error| error.at(file_offset))?;
    Ok((compression, contents))
}

/// The uncompressed contents of a block as read from the file (contents and trailer): checks the checksum, then
/// decompresses. `file_offset` is where `raw` starts in the file, for the error.
///
/// ```
/// use level_party_format::{crc, table};
///
/// let mut raw = b"contents\x00".to_vec();
/// let crc = crc::mask(crc::crc32c(&raw));
/// raw.extend_from_slice(&crc.to_le_bytes());
/// assert_eq!(table::decode_block(&raw, 0)?, b"contents");
/// raw[0] ^= 1;
/// assert!(table::decode_block(&raw, 0).is_err());
/// # Ok::<(), level_party_format::Corruption>(())
/// ```
pub fn decode_block(raw: &[u8], file_offset: u64) -> Result<Vec<u8>, Corruption> {
    let (compression, contents) = check_block(raw, file_offset)?;
    decompress(compression, contents).map_err(|error| error.at(file_offset))
}

/// As [`decode_block`], but keeps the memory of `raw` if the block is not compressed.
pub fn decode_block_vec(mut raw: Vec<u8>, file_offset: u64) -> Result<Vec<u8>, Corruption> {
    let (compression, contents) = check_block(&raw, file_offset)?;
    if compression == Compression::None {
        raw.truncate(raw.len() - BLOCK_TRAILER_LEN);
        return Ok(raw);
    }
    decompress(compression, contents).map_err(|error| error.at(file_offset))
}

fn decompress(compression: Compression, contents: &[u8]) -> Result<Vec<u8>, Corruption> {
    match compression {
        Compression::None => Ok(contents.to_vec()),
        Compression::Snappy => decompress_snappy(contents),
        Compression::Zstd => decompress_zstd(contents),
    }
}

/// Snappy's densest element makes 64 bytes of 3, so no input grows by more than this factor.
const SNAPPY_MAX_RATIO: usize = 22;

fn decompress_snappy(contents: &[u8]) -> Result<Vec<u8>, Corruption> {
    let bad =
        |what: &dyn std::fmt::Display| Corruption::new(format!("corrupted snappy block: {what}"));
    let stated = snap::raw::decompress_len(contents).map_err(|error| bad(&error))?;
    if stated > contents.len().saturating_mul(SNAPPY_MAX_RATIO) {
        return Err(bad(&format_args!(
            "{} bytes that claim to be {stated}",
            contents.len()
        )));
    }
    snap::raw::Decoder::new()
        .decompress_vec(contents)
        .map_err(|error| bad(&error))
}

/// A zstd block of at least 4 bytes makes at most 128 KiB, so no input grows by more than this factor.
const ZSTD_MAX_RATIO: u64 = 32 * 1024;
/// The largest frame that is read: the decoder's own limit for a window.
const ZSTD_MAX_LEN: u64 = 100 * 1024 * 1024;

fn decompress_zstd(contents: &[u8]) -> Result<Vec<u8>, Corruption> {
    let bad =
        |what: &dyn std::fmt::Display| Corruption::new(format!("corrupted zstd block: {what}"));
    // As in LevelDB, the frame must state its length, and not as 0.
    let stated = zstd_stated_len(contents).ok_or_else(|| bad(&"it does not state its length"))?;
    let limit = ZSTD_MAX_LEN.min((contents.len() as u64).saturating_mul(ZSTD_MAX_RATIO));
    if stated > limit {
        return Err(bad(&format_args!(
            "{} bytes that claim to be {stated}",
            contents.len()
        )));
    }
    let mut out = vec![0; stated as usize];
    let written = ruzstd::decoding::FrameDecoder::new()
        .decode_all(contents, &mut out)
        .map_err(|error| bad(&error))?;
    if written != out.len() {
        return Err(bad(&format_args!("{written} bytes instead of {stated}")));
    }
    Ok(out)
}

/// The length of the content that a zstd frame's header states (RFC 8878, section 3.1.1.1).
fn zstd_stated_len(frame: &[u8]) -> Option<u64> {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let (&descriptor, rest) = frame.strip_prefix(&MAGIC)?.split_first()?;
    let single_segment = descriptor & 0x20 != 0;
    let window_len = usize::from(!single_segment);
    let dictionary_len = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let field_len = match descriptor >> 6 {
        0 => usize::from(single_segment),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    let field = rest.get(window_len + dictionary_len..)?.get(..field_len)?;
    let mut bytes = [0; 8];
    bytes[..field_len].copy_from_slice(field);
    let stated = u64::from_le_bytes(bytes) + if field_len == 2 { 256 } else { 0 };
    (stated > 0).then_some(stated)
}
