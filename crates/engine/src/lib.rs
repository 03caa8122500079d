//! A LevelDB storage engine in two halves that meet in a [`View`].
//!
//! The **read half** ([`View`], [`Version`], [`Cursor`], tables) answers from an immutable [`View`]: the active memtable,
//! what is frozen or was just recovered, and one version of the table files. It needs no lock and no write access.
//! The **write half** ([`Engine`]) owns the log, the memtable's insertions, flush, compaction, the manifest and recovery.
//!
//! It promises: a directory that C++ LevelDB 1.23 opens at any time, also after a crash, and the reverse; a write that
//! was answered is kept when the process dies, and when the power fails if it asked for `sync`; after a failed append to
//! the log or the manifest, or any failed sync, not one further byte goes to either.
//!
//! It must not know: other processes, sockets, who may lead, or the wall clock. All file access goes through [`Fs`],
//! memory for memtables comes from a `RegionSource`, and whoever opens an engine holds the directory's `LOCK`.
//!
//! ```
//! use std::sync::Arc;
//! use level_party_engine::{Engine, MemFs, Options, Write};
//! use level_party_format::batch::WriteBatch;
//!
//! let engine = Engine::open(Arc::new(MemFs::new()), Options::default())?;
//! let mut batch = WriteBatch::new();
//! batch.put(b"colour", b"green");
//! let sequence = engine.write(Write::new(batch))?;
//! assert_eq!(sequence, 1);
//! assert_eq!(engine.get(b"colour")?.unwrap().value, b"green");
//! engine.close()?;
//! # Ok::<(), level_party_engine::Error>(())
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[macro_use]
mod planted;

mod block_cache;
mod checkpoint;
mod choose_manifest;
mod clock;
mod condition;
mod cursor;
mod destroy;
mod entry;
mod error;
mod files;
mod foreign;
mod foreign_file;
mod fs;
mod iter;
mod key_range;
mod level_files;
mod limits;
mod manifest_contents;
mod open_tables;
mod options;
mod orphans;
mod range_cursor;
mod repair;
mod seek_budget;
mod seek_compaction;
mod seek_key;
mod sync;
mod table;
#[cfg(test)]
mod testing;
mod verify;
mod version;
mod view;

mod aside_names;
mod background;
mod bell;
mod compaction;
mod context;
mod engine;
mod file_numbers;
mod flush;
mod health;
mod losses;
mod manifest;
mod memory;
mod metrics;
mod obsolete;
mod opened;
mod recovery;
mod run;
mod settle;
mod shared;
mod snapshots;
mod stats;
mod succession;
mod table_writer;
mod tail;
mod wal;
mod work;
mod write;
mod write_run;

pub use condition::{Condition, Conflict, Expect, Untouched};
// The planted bugs meet the same harnesses as the engine does in its integration tests, which name this crate.
#[cfg(all(test, not(loom)))]
extern crate self as level_party_engine;
#[cfg(all(test, not(loom)))]
#[allow(dead_code)] // some of it is for the other tests
#[path = "../tests/engine/harness/mod.rs"]
mod harness;
#[cfg(all(test, not(loom)))]
#[allow(dead_code)]
#[path = "../tests/engine/support.rs"]
mod support;

pub use cursor::Cursor;
pub use destroy::{Destroyed, destroy};
pub use engine::Engine;
pub use entry::{Entry, Lookup};
pub use error::{Error, ErrorKind, Result};
pub use files::{FileMeta, Tables};
pub use foreign::refuse_foreign;
pub use fs::{Fs, MapFile, MemFs, ReadFile, StdFs, WriteFile, with_descriptors};
pub use key_range::KeyRange;
pub use manifest_contents::current_manifest;
pub use metrics::LevelWork;
pub use open_tables::TableRef;
pub use opened::Recovered;
pub use options::{Before, Listener, Options, RecoveryMode};
pub use orphans::check_no_orphans;
pub use range_cursor::{Keys, Pairs, RangeCursor};
pub use repair::{Repair, Repaired};
pub use run::Run;
pub use snapshots::Pin;
pub use stats::Stats;
pub use table::Table;
pub use tail::{Committed, Gap, Tail, TailItem, TailWaker};
pub use verify::{Problem, Verified, verify};
pub use version::Version;
pub use view::{Frozen, View};
pub use write::{CommitHook, MAX_KEY_BYTES, MAX_VALUE_BYTES, Outcome, Write};

pub use level_party_format::batch::{Op, WriteBatch};
pub use level_party_format::table::Compression;
pub use level_party_format::{Comparator, Sequence};
