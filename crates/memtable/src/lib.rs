//! The memtable: a skiplist in one position-independent region of memory.
//!
//! **What it is.** One writer inserts entries into a [`Region`]; any number of readers read it at the same
//! moment without a lock, from this process or from another one that maps the region read-only. Inside the
//! region there are only offsets, never pointers, so each process may map it at its own address.
//!
//! **What it promises.**
//! - An entry is never changed or moved once it is linked. Every link is an atomic word, stored with release
//!   order after the entry's bytes: who sees a link sees the whole entry.
//! - [`MemTableWriter::publish`] stores the last sequence with release order: a reader that loads it with
//!   [`MemTable::last_sequence`] then finds every entry up to it. Entries beyond it may be seen too; readers
//!   skip them by their sequence.
//! - An insert that does not fit answers [`Full`] and changes nothing.
//! - A reader never stores into the region, and trusts nothing it reads there: every offset and length is
//!   checked against the region's end, and every loop is bounded. A region that was scribbled over gives wrong
//!   answers or [`Corruption`](level_party_format::Corruption), never an access outside of it. A peer that
//!   changes bytes while they are read can change what a key or value says (they are plain byte slices), never
//!   where it lies: lengths and offsets are loaded once, atomically, then checked.
//! - No allocation per insert, lookup or step of an iterator.
//!
//! **What it must not know.** Where the memory comes from (see [`RegionSource`]), files, other processes, when
//! a memtable is full enough to be flushed.
//!
//! # Layout of a region (version 1, all words in the host's byte order, offsets in bytes from its start)
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 8 | magic; stored last when a region is set up |
//! | 8 | 4 | layout version |
//! | 12 | 4 | limit: bytes of the region in use by this layout |
//! | 16 | 4 | length of the filter: 0 or 65,536 |
//! | 24 | 4 | height: levels of the list in use, 1 to 12 |
//! | 64 | 8 | published last sequence |
//! | 128 | 4 | allocated: offset of the first byte no entry owns yet |
//! | 132 | 4 | number of entries |
//! | 192 | 48 | the head's links, level 11 first, level 0 last |
//! | 256 | 0 or 65,536 | Bloom filter of the user keys, in blocks of 64 bytes |
//! | then | | entries, each at a multiple of 4 |
//!
//! An entry, seen from its offset `n` (links point at `n`; 0 is no entry, 240 is the head):
//! | offset | size | field |
//! |---|---|---|
//! | n - 4 x height | 4 x height | links to the next entry, level height-1 first, level 0 last |
//! | n | 4 | link to the previous entry on level 0 (a hint that trails the forward links, exact once published) |
//! | n + 4 | 4 | length of the internal key, at least 8 |
//! | n + 8 | 4 | length of the value |
//! | n + 12 | | internal key (user key, then tag: LevelDB's `db/dbformat.h`), then the value |
//!
//! # Example
//! ```
//! use level_party_format::key::{InternalComparator, ValueType};
//! use level_party_memtable::{HeapRegions, Lookup, MemTableWriter, RegionSource};
//!
//! let region = HeapRegions::new().allocate(1 << 20)?;
//! let mut writer = MemTableWriter::create(region, InternalComparator::default(), 0)?;
//! writer.insert(b"apple", 1, ValueType::Value, b"red")?;
//! writer.insert(b"apple", 2, ValueType::Value, b"green")?;
//! writer.publish(2);
//!
//! let table = writer.reader();
//! assert_eq!(table.last_sequence(), 2);
//! assert_eq!(table.get(b"apple", 2), Lookup::Value { sequence: 2, value: b"green" });
//! assert_eq!(table.get(b"apple", 1), Lookup::Value { sequence: 1, value: b"red" });
//! assert_eq!(table.get(b"pear", 2), Lookup::Absent);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(missing_docs)]

mod filter;
mod layout;
mod list;
mod memory;
#[cfg(all(test, loom))]
mod models;
mod order;
mod region;

pub use layout::{REGION_OVERHEAD, RegionError};
pub use list::iter::MemIter;
pub use list::reader::{Lookup, MemTable};
pub use list::writer::{Full, MemTableWriter};
pub use region::{HeapRegions, Region, RegionSource};
