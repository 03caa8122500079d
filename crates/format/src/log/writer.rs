//! Records to bytes.

use super::{BLOCK_LEN, FIRST, FULL, HEADER_LEN, LAST, MIDDLE};
use crate::crc;

/// Frames records for a log file. It knows only how far into a block the file ends.
///
/// ```
/// use level_party_format::log::{LogItem, LogReader, LogWriter};
///
/// let mut file = Vec::new();
/// LogWriter::new().add_record(b"hello", &mut file);
/// let items: Vec<LogItem> = LogReader::new(&file).collect();
/// assert_eq!(items, [LogItem::Record { payload: b"hello".into(), offset: 0, end: 12 }]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct LogWriter {
    /// Bytes used of the current block, at most [`BLOCK_LEN`].
    used: usize,
}

impl LogWriter {
    /// A writer for an empty file.
    pub fn new() -> Self {
        LogWriter::default()
    }

    /// A writer that goes on at the end of a file of `file_len` bytes.
    pub fn new_at(file_len: u64) -> Self {
        LogWriter {
            used: (file_len % BLOCK_LEN as u64) as usize,
        }
    }

    /// Appends to `out` the bytes that the file must get next so that it holds one more record.
    pub fn add_record(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        let fragments = payload.len() / (BLOCK_LEN - HEADER_LEN) + 2;
        out.reserve(payload.len() + fragments * HEADER_LEN);
        let mut rest = payload;
        let mut begin = true;
        loop {
            let left = BLOCK_LEN - self.used;
            if left < HEADER_LEN {
                out.resize(out.len() + left, 0);
                self.used = 0;
            }
            let room = BLOCK_LEN - self.used - HEADER_LEN;
            let (fragment, after) = rest.split_at(rest.len().min(room));
            let end = after.is_empty();
            let kind = match (begin, end) {
                (true, true) => FULL,
                (true, false) => FIRST,
                (false, false) => MIDDLE,
                (false, true) => LAST,
            };
            self.emit(kind, fragment, out);
            if end {
                return;
            }
            rest = after;
            begin = false;
        }
    }

    fn emit(&mut self, kind: u8, fragment: &[u8], out: &mut Vec<u8>) {
        let length = u16::try_from(fragment.len()).expect("a fragment fits in its block");
        let crc = crc::extend(crc::crc32c(&[kind]), fragment);
        out.extend_from_slice(&crc::mask(crc).to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
        out.push(kind);
        out.extend_from_slice(fragment);
        self.used += HEADER_LEN + fragment.len();
    }
}
