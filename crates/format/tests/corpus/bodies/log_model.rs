//! A log read the plain way: block by block, as LevelDB's `db/log_reader.cc` does, keeping the records alone.

use level_party_format::crc;
use level_party_format::log::{BLOCK_LEN, HEADER_LEN};

/// The records that LevelDB would give.
pub fn records(file: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut chain: Option<Vec<u8>> = None;
    for block in file.chunks(BLOCK_LEN) {
        let mut rest = block;
        while rest.len() >= HEADER_LEN {
            let Some((kind, data, after)) = fragment(rest) else {
                chain = None;
                break;
            };
            rest = after;
            chain = match (kind, chain) {
                (1, _) => {
                    records.push(data.to_vec());
                    None
                }
                (2, _) => Some(data.to_vec()),
                (3, Some(chain)) => Some([&chain, data].concat()),
                (4, Some(chain)) => {
                    records.push([&chain, data].concat());
                    None
                }
                _ => None,
            };
        }
    }
    records
}

/// Type, data and what follows; `None` if the rest of the block is to be dropped.
fn fragment(rest: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (header, body) = rest.split_at(HEADER_LEN);
    let length = usize::from(header[4]) + 256 * usize::from(header[5]);
    let (data, after) = body.split_at_checked(length)?;
    let kind = header[6];
    let checked = [&[kind], data].concat();
    let stored = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    let is_gap = kind == 0 && length == 0;
    (!is_gap && crc::unmask(stored) == crc::crc32c(&checked)).then_some((kind, data, after))
}
