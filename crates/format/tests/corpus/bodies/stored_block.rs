//! A block as it lies in a table: checksum and compression.

use level_party_format::table::{
    BLOCK_TRAILER_LEN, Compression, check_block, decode_block, decode_block_vec,
};

use super::signing::signed_block;

/// How much longer a block's contents can be than what is stored. Stored bytes, not lengths they claim, bound memory.
const SNAPPY_GROWTH: usize = 22;
const ZSTD_GROWTH: usize = 32 * 1024;
const DEFLATE_GROWTH: usize = 1032;

/// Reads `data` as contents and type byte of a block. Gives 1 if it holds contents.
pub fn run(data: &[u8]) -> usize {
    let unsigned = decode_block(data, 7);
    assert!(unsigned.is_ok() || unsigned.is_err_and(|error| error.offset == Some(7)));
    let raw = signed_block(&[data, &[0; BLOCK_TRAILER_LEN - 1]].concat());
    usize::from(contents(&raw).is_some())
}

/// The contents of a signed block, if it has any.
pub fn contents(raw: &[u8]) -> Option<Vec<u8>> {
    let (compression, stored) = check_block(raw, 0).ok()?;
    let decoded = decode_block(raw, 0);
    assert_eq!(decoded, decode_block_vec(raw.to_vec(), 0));
    let decoded = decoded.ok()?;
    let growth = match compression {
        Compression::None => {
            assert_eq!(decoded, stored);
            1
        }
        Compression::Snappy => SNAPPY_GROWTH,
        Compression::Zstd => ZSTD_GROWTH,
        Compression::Zlib | Compression::ZlibRaw => DEFLATE_GROWTH,
    };
    assert!(decoded.len() <= growth * stored.len());
    Some(decoded)
}
