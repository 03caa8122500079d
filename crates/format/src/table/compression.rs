//! A block as it lies in the file: contents, compression, checksum.

use super::{BLOCK_TRAILER_LEN, deflate};
use crate::{Corruption, crc};
use ruzstd::encoding::CompressionLevel;

// The numbers on disk.
const NONE: u8 = 0;
const SNAPPY: u8 = 1;
/// Google's LevelDB and Mojang's took the same number for different things.
const ZSTD_OR_ZLIB: u8 = 2;
const ZLIB_RAW: u8 = 4;

/// How a block's contents are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// Snappy.
    Snappy,
    /// Zstandard. LevelDB up to 1.23 cannot read it.
    Zstd,
    /// zlib, as old worlds of Minecraft Bedrock have it. It has the number of zstd, and no other LevelDB can read it.
    Zlib,
    /// Raw deflate, as Minecraft Bedrock writes it. No other LevelDB can read it.
    ZlibRaw,
}

impl Compression {
    /// The number on disk, in the block's trailer.
    pub fn number(self) -> u8 {
        match self {
            Compression::None => NONE,
            Compression::Snappy => SNAPPY,
            Compression::Zstd | Compression::Zlib => ZSTD_OR_ZLIB,
            Compression::ZlibRaw => ZLIB_RAW,
        }
    }

    /// What a block's number and first stored bytes say.
    ///
    /// # Errors
    /// [`Corruption::unknown_compression`].
    pub fn of(number: u8, stored: &[u8]) -> Result<Self, Corruption> {
        match number {
            NONE => Ok(Compression::None),
            SNAPPY => Ok(Compression::Snappy),
            ZSTD_OR_ZLIB if stored.starts_with(&ZSTD_MAGIC) => Ok(Compression::Zstd),
            ZSTD_OR_ZLIB if deflate::has_zlib_header(stored) => Ok(Compression::Zlib),
            ZLIB_RAW => Ok(Compression::ZlibRaw),
            other => Err(Corruption::unknown_compression(other)),
        }
    }

    /// Whether it is one of the two that only Minecraft Bedrock's LevelDB writes.
    pub fn is_bedrock(self) -> bool {
        matches!(self, Compression::Zlib | Compression::ZlibRaw)
    }
}

/// The trailer of a block.
pub(super) fn trailer(contents: &[u8], compression: Compression) -> [u8; BLOCK_TRAILER_LEN] {
    let kind = compression.number();
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
    let checked = &raw[..=contents.len()];
    if crc::mask(crc::crc32c(checked)) != u32::from_le_bytes([a, b, c, d]) {
        return Err(Corruption::new("block checksum mismatch").at(file_offset));
    }
    let compression = Compression::of(kind, contents).map_err(|error| error.at(file_offset))?;
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

/// As [`decode_block`], but lends the contents: those of a block that is not compressed as they are in `raw`, others from
/// `scratch`, whose memory is used again.
pub fn decode_block_in<'a>(
    raw: &'a [u8],
    file_offset: u64,
    scratch: &'a mut Vec<u8>,
) -> Result<&'a [u8], Corruption> {
    let (compression, contents) = check_block(raw, file_offset)?;
    decompress_in(compression, contents, scratch).map_err(|error| error.at(file_offset))
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
    if compression == Compression::None {
        return Ok(contents.to_vec());
    }
    let mut out = Vec::new();
    let len = decompress_in(compression, contents, &mut out)?.len();
    out.truncate(len);
    Ok(out)
}

fn decompress_in<'a>(
    compression: Compression,
    contents: &'a [u8],
    scratch: &'a mut Vec<u8>,
) -> Result<&'a [u8], Corruption> {
    match compression {
        Compression::None => Ok(contents),
        Compression::Snappy => decompress_snappy_in(contents, scratch),
        Compression::Zstd => {
            *scratch = decompress_zstd(contents)?;
            Ok(scratch)
        }
        Compression::Zlib => deflate::decompress_in(contents, true, scratch),
        Compression::ZlibRaw => deflate::decompress_in(contents, false, scratch),
    }
}

/// Snappy's densest element makes 64 bytes of 3, so no input grows by more than this factor.
const SNAPPY_MAX_RATIO: usize = 22;

/// Decompresses into the beginning of `out`, which becomes longer if it must, and never shorter.
fn decompress_snappy_in<'a>(contents: &[u8], out: &'a mut Vec<u8>) -> Result<&'a [u8], Corruption> {
    let stated = snap::raw::decompress_len(contents).map_err(|error| bad_snappy(&error))?;
    if stated > contents.len().saturating_mul(SNAPPY_MAX_RATIO) {
        return Err(bad_snappy(&format_args!(
            "{} bytes that claim to be {stated}",
            contents.len()
        )));
    }
    if out.len() < stated {
        out.resize(stated, 0);
    }
    let written = snap::raw::Decoder::new()
        .decompress(contents, &mut out[..stated])
        .map_err(|error| bad_snappy(&error))?;
    Ok(&out[..written])
}

#[cold]
fn bad_snappy(what: &dyn std::fmt::Display) -> Corruption {
    Corruption::new(format!("corrupted snappy block: {what}"))
}

/// A zstd block of at least 4 bytes makes at most 128 KiB, so no input grows by more than this factor.
const ZSTD_MAX_RATIO: u64 = 32 * 1024;
/// The largest frame that is read or written: the decoder's own limit for a window.
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
    let mut decoder = ruzstd::decoding::FrameDecoder::new();
    let written = decoder
        .decode_all(contents, &mut out)
        .map_err(|error| bad(&error))?;
    // The decoder leaves the comparison to its caller. A frame need not have a checksum.
    if let Some(checksum) = decoder.get_checksum_from_data()
        && decoder.get_calculated_checksum() != Some(checksum)
    {
        return Err(bad(&"its own checksum does not fit"));
    }
    if written != out.len() {
        return Err(bad(&format_args!("{written} bytes instead of {stated}")));
    }
    Ok(out)
}

/// The length of the content that a zstd frame's header states, if it does and if that is not 0.
fn zstd_stated_len(frame: &[u8]) -> Option<u64> {
    ZstdFrame::parse(frame)?.stated.filter(|&stated| stated > 0)
}

/// `contents` as a zstd frame that states their length, if that saves more than an eighth.
///
/// The frame has been read back: whatever the encoder made, nothing but `contents` comes out of it.
pub(super) fn compress_zstd(contents: &[u8]) -> Option<Vec<u8>> {
    if contents.len() as u64 > ZSTD_MAX_LEN {
        return None;
    }
    // Each frame has an encoder of its own: one that is used again keeps tables of the frame before.
    let frame = ruzstd::encoding::compress_to_vec(contents, CompressionLevel::Fastest);
    // The encoder leaves the length out, and LevelDB reads no frame without it.
    let frame = ZstdFrame::parse(&frame)?.with_stated_len(contents.len().try_into().ok()?);
    let saves = frame.len() < contents.len() - contents.len() / 8;
    let reads_back = || decompress_zstd(&frame).is_ok_and(|read| read == contents);
    (saves && reads_back()).then_some(frame)
}

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Bits of a frame header's descriptor.
const ZSTD_SINGLE_SEGMENT: u8 = 0x20;
const ZSTD_CHECKSUM: u8 = 0x04;
const ZSTD_DICTIONARY: u8 = 0x03;

/// A zstd frame with its header taken apart (RFC 8878, section 3.1.1.1).
struct ZstdFrame<'a> {
    descriptor: u8,
    dictionary: &'a [u8],
    /// The length of the content, if the header states one.
    stated: Option<u64>,
    /// All behind the header: the blocks, and the checksum if the descriptor says so.
    body: &'a [u8],
}

impl<'a> ZstdFrame<'a> {
    fn parse(frame: &'a [u8]) -> Option<Self> {
        let (&descriptor, rest) = frame.strip_prefix(&ZSTD_MAGIC)?.split_first()?;
        let single_segment = descriptor & ZSTD_SINGLE_SEGMENT != 0;
        let window_len = usize::from(!single_segment);
        let dictionary_len = [0, 1, 2, 4][usize::from(descriptor & ZSTD_DICTIONARY)];
        let field_len = match descriptor >> 6 {
            0 => usize::from(single_segment),
            1 => 2,
            2 => 4,
            _ => 8,
        };
        let (_window, rest) = rest.split_at_checked(window_len)?;
        let (dictionary, rest) = rest.split_at_checked(dictionary_len)?;
        let (field, body) = rest.split_at_checked(field_len)?;
        let mut bytes = [0; 8];
        bytes[..field_len].copy_from_slice(field);
        let stated = u64::from_le_bytes(bytes).saturating_add(if field_len == 2 { 256 } else { 0 });
        Some(ZstdFrame {
            descriptor,
            dictionary,
            stated: (field_len > 0).then_some(stated),
            body,
        })
    }

    /// The frame with `len` as the stated length of its content, in a single segment: the window is then the content,
    /// which no match reaches beyond. No block may be longer than the window, so the frame of a short content must not
    /// be longer than that.
    fn with_stated_len(&self, len: u32) -> Vec<u8> {
        let (flag, field_len, field) = match len {
            0..256 => (0, 1, len),
            256..65_792 => (1, 2, len - 256),
            _ => (2, 4, len),
        };
        let kept = self.descriptor & (ZSTD_CHECKSUM | ZSTD_DICTIONARY);
        let mut out = Vec::with_capacity(16 + self.body.len());
        out.extend_from_slice(&ZSTD_MAGIC);
        out.push((flag << 6) | ZSTD_SINGLE_SEGMENT | kept);
        out.extend_from_slice(self.dictionary);
        out.extend_from_slice(&field.to_le_bytes()[..field_len]);
        out.extend_from_slice(self.body);
        out
    }
}
