//! Right checksums on wrong bytes: else a fuzzer would hardly ever come past a checksum.

use level_party_format::{crc, log, table};

/// A log made of `bytes`, which begin at the place in the log's first block that their first two bytes tell, behind one
/// record of zeroes; so a few bytes can lie across a block's end. Gives the file and the length of that record.
pub fn placed_log(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (place, rest) = bytes.split_first_chunk::<2>()?;
    let place = usize::from(u16::from_le_bytes(*place)) % log::BLOCK_LEN;
    let mut file = Vec::new();
    if let Some(filler) = place.checked_sub(log::HEADER_LEN) {
        log::LogWriter::new().add_record(&vec![0; filler], &mut file);
    }
    let start = file.len();
    file.extend_from_slice(rest);
    sign_log(&mut file[..], start);
    Some((file, start))
}

/// Gives each fragment from `at` on its right checksum, except where its type's highest bit says not to.
fn sign_log(file: &mut [u8], mut at: usize) {
    while at < file.len() {
        let block_end = (at / log::BLOCK_LEN + 1) * log::BLOCK_LEN;
        let Some(header) = file.get(at..at + log::HEADER_LEN) else {
            return;
        };
        let data = at + log::HEADER_LEN;
        let end = data + usize::from(u16::from_le_bytes([header[4], header[5]]));
        let kind = header[6];
        if data > block_end || end > block_end {
            at = block_end;
            continue;
        }
        if end > file.len() {
            return;
        }
        if kind < 0x80 {
            let crc = crc::extend(crc::crc32c(&[kind]), &file[data..end]);
            file[at..at + 4].copy_from_slice(&crc::mask(crc).to_le_bytes());
        }
        at = end;
    }
}

/// The raw bytes of a table's block (contents and trailer), with the right checksum.
pub fn signed_block(raw: &[u8]) -> Vec<u8> {
    let mut raw = raw.to_vec();
    if let Some(at) = raw.len().checked_sub(table::BLOCK_TRAILER_LEN - 1) {
        let crc = crc::mask(crc::crc32c(&raw[..at]));
        raw[at..].copy_from_slice(&crc.to_le_bytes());
    }
    raw
}
