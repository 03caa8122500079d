//! The memtable: a skiplist in one position-independent region of memory.
//!
//! **What it is.** A writer inserts entries into a [`Region`]; any number of readers read it at the same moment without
//! a lock, from this process or from another one that maps the region. Several writers may go on in turns
//! ([`MemTableWriter::attach`], [`MemTableWriter::reload`]). Inside the region there are only indexes, never pointers,
//! so each process may map it at its own address.
//!
//! **What it promises.**
//! - An entry is never changed or moved once it is linked. Links are stored with release order after the entry's bytes:
//!   who sees a link sees the whole entry.
//! - A reader that is told of an entry (by a word beside the region, stored with release order after the insert and loaded
//!   with acquire order) finds it. Later entries may be seen too; readers pass over them by their sequence
//!   ([`MemTable::get`], [`MemTable::iter_up_to`]).
//! - An insert that does not fit answers [`InsertError::Full`] and changes nothing.
//! - Every access to a region is an atomic load or store of one word; keys and values are copied out. So a region may be
//!   set up again under a reader, whose answer is then anything: the reader finds out by a generation beside the region,
//!   looked at again after the copy.
//! - A reader never stores into the region, and neither readers nor writers trust what they read there: every index and
//!   length is checked against the region's end, and every loop is bounded. A region that was scribbled over gives wrong
//!   answers, [`Corruption`](level_party_format::Corruption) or [`RegionError`], never an access outside of it.
//! - Entries lie in the order in which they were inserted, one behind the other, so that a reader that knows how far it has
//!   looked finds what is new without a search ([`MemTable::inserted`]).
//! - No allocation per insert or lookup, but for the copy of a value.
//!
//! **What it must not know.** Where the memory comes from (see [`RegionSource`]), files, other processes, when
//! a memtable is full enough to be flushed.
//!
//! # Layout of a region (version 3: words of 64 bits in the host's byte order; indexes count words)
//! | word | is |
//! |---|---|
//! | 0 | `LPmemtbl`, stored last when a region is set up |
//! | 1 | layout version |
//! | 2 | limit: words in use by this layout |
//! | 3 | length of the filter in words: 0 or 8,192 |
//! | 4 | height: levels of the list in use, 1 to 12 |
//! | 16 | allocated: index of the first word no entry owns yet |
//! | 17 | number of entries |
//! | 24 to 30 | the head's links, level 0 in word 30 |
//! | 32 | Bloom filter of the user keys, in blocks of 64 bytes, if there is one |
//! | then | entries |
//!
//! An entry, seen from its index `n` (links hold `n`; 0 is no entry, 31 is the head):
//! | word | low half | high half |
//! |---|---|---|
//! | n - 1 - k, k up to half of the height | link on level 2k - 1 | link on level 2k; 0 above the height |
//! | n - 1 | link to the entry before on level 0: a hint, exact once the insert is done | link on level 0 |
//! | n | length of the user key in bytes | length of the value in bytes, and bit 31 set, as it is in no word of links |
//! | n + 1 | the tag: sequence << 8, type | |
//! | n + 2 | the user key, then zeros up to a whole word | |
//! | then | the value, then zeros up to a whole word | |
//!
//! # Example
//! ```
//! use level_party_format::key::{InternalComparator, ValueType};
//! use level_party_memtable::{HeapRegions, Lookup, MemTableWriter, RegionSource};
//!
//! let region = HeapRegions::new().allocate(1 << 20)?;
//! let mut writer = MemTableWriter::create(region, InternalComparator::default())?;
//! writer.insert(b"apple", 1, ValueType::Value, b"red")?;
//! writer.insert(b"apple", 2, ValueType::Value, b"green")?;
//!
//! let table = writer.reader();
//! assert_eq!(table.get(b"apple", 2), Lookup::Value { sequence: 2, value: b"green".to_vec() });
//! assert_eq!(table.get(b"apple", 1), Lookup::Value { sequence: 1, value: b"red".to_vec() });
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
pub use list::insertions::{Inserted, InsertedAt};
pub use list::iter::MemIter;
pub use list::reader::{Lookup, MemTable, MemValue};
pub use list::writer::{InsertError, MemTableWriter};
pub use memory::{AtomicU64, Words};
pub use region::{HeapRegions, Region, RegionSource, SharedWords, region_of};
