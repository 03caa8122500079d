//! Log records: the framing of WALs and MANIFESTs (LevelDB's `doc/log_format.md`, `db/log_writer.cc`,
//! `db/log_reader.cc`).
//!
//! ```text
//! a log     = blocks of 32 KiB; only the last may be shorter
//! fragment  = masked crc u32 of (type, data) | length u16 | type u8 | data
//! type      = 1 FULL, 2 FIRST, 3 MIDDLE, 4 LAST
//! ```
//! A fragment never crosses a block's end. With under 7 bytes left in a block they are zero; with exactly 7 left a
//! record starts there with a FIRST of length 0. The writer emits these same bytes, the reader tells a record cut off
//! by the end of the file ([`LogItem::Torn`]) from one that is there and wrong ([`LogItem::Bad`]): what to do about
//! either is for the caller to decide.

mod reader;
mod writer;

pub use reader::{LogItem, LogReader};
pub use writer::LogWriter;

/// Length of a block in bytes.
pub const BLOCK_LEN: usize = 32 * 1024;
/// Length of a fragment's header in bytes.
pub const HEADER_LEN: usize = 7;

const ZERO: u8 = 0;
const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

#[cfg(test)]
mod tests;
