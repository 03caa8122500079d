//! The bytes of LevelDB's files, and nothing else.
//!
//! What it is: encoders and decoders for everything LevelDB 1.23 puts on disk. Log records, write batches, internal
//! keys, blocks, filters, tables, version edits and file names, each in its own module.
//!
//! What it promises: the bytes are LevelDB's own (its `doc/log_format.md`, `doc/table_format.md`, `doc/impl.md` and,
//! where those are silent, its sources). Bytes that are wrong give a [`Corruption`]; they never panic, never read out
//! of bounds, and never make the decoder allocate more than the input could stand for.
//!
//! What it must not know: files, clocks, threads, other processes.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod batch;
pub mod block;
pub mod comparator;
mod corruption;
pub mod crc;
pub mod edit;
pub mod filename;
pub mod filter;
pub mod key;
pub mod log;
pub mod table;
pub mod varint;

pub use comparator::{Comparator, CustomComparator};
pub use corruption::Corruption;

/// The position of one operation in the history of a database. Each put and each delete gets the next one.
pub type Sequence = u64;

/// The largest sequence number: 56 bits, because a tag keeps its low 8 bits for the [`key::ValueType`]
/// (`db/dbformat.h`, `kMaxSequenceNumber`).
pub const MAX_SEQUENCE: Sequence = (1 << 56) - 1;
