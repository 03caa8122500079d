//! A LevelDB storage engine in two halves that meet in a [`View`].
//!
//! The **read half** ([`View`], [`Version`], [`Cursor`], tables) answers from an immutable [`View`]: the active memtable,
//! what is frozen, and one version of the table files. It needs no lock and no write access.
//! The **write half** ([`Engine`]) owns the log, the memtable's insertions, flush, compaction, the manifest and recovery.
//!
//! It promises: a directory that C++ LevelDB 1.23 opens at any time, also after a crash, and the reverse; a write that
//! was answered is kept when the process dies, and when the power fails if it asked for `sync`; what a failed append left in
//! the log is cut off before anything follows it; a log of which a sync failed is left to its table; after a failed append to
//! the manifest, or a failed sync of it or of a table, not one further byte goes to log or manifest.
//!
//! Its sources are layers, and a layer uses those below it alone: `engine` (the public face), `lead`, `commit`, `follow`,
//! `read`, `base`. Each has a file of its name that says what it must not know. The test `engine_layers_point_down` holds it.
//!
//! It must not know: other processes, sockets, who may lead, or the wall clock. All file access goes through [`Fs`],
//! memory for memtables comes from a segment, and whoever opens an engine holds the directory's `LOCK`.
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
#[cfg(test)]
#[macro_use]
#[path = "../tests/engine/forward.rs"]
mod forward;

mod base;
mod commit;
mod engine;
mod follow;
mod lead;
mod read;
#[cfg(test)]
mod testing;

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

pub use base::condition::{Condition, Conflict, Expect, Untouched};
pub use base::control::{CondemnReason, MemberInfo};
pub use base::entry::{Entry, Lookup};
pub use base::error::{Error, ErrorKind, Result};
pub use base::fs::{
    Fs, LogFile, LongestFile, MapFile, MemFs, ReadCached, ReadFile, StdFs, WriteFile, blocking,
    nonblocking, with_descriptors,
};
pub use base::key_range::KeyRange;
pub use base::member::{Membership, first_incarnation, next_incarnation};
pub use base::metrics::LevelWork;
pub use base::options::{Before, Listener, Options, RecoveryMode};
pub use base::peers::{Incarnation, LocalPeers, Peers};
pub use base::segment::Segment;
pub use base::stats::Stats;
#[cfg(feature = "steps")]
pub use base::steps::Step;
pub use base::waiting::WaitedFor;
pub use commit::write::{CommitHook, MAX_KEY_BYTES, MAX_VALUE_BYTES, Outcome, Write};
pub use engine::Engine;
pub use follow::manifest_contents::current_manifest;
pub use follow::tail::{Committed, Gap, Tail, TailItem, TailWaker};
pub use lead::destroy::{Destroyed, destroy};
pub use lead::foreign::refuse_foreign;
pub use lead::opened::Recovered;
pub use lead::orphans::check_no_orphans;
pub use lead::repair::{Repair, Repaired};
pub use lead::verify::{Problem, Verified, verify};
pub use read::cursor::Cursor;
pub use read::files::{FileMeta, Tables};
pub use read::open_tables::TableRef;
pub use read::range_cursor::{Keys, Pairs, RangeCursor};
pub use read::snapshots::Pin;
pub use read::table::Table;
pub use read::version::Version;
pub use read::view::View;

pub use level_party_format::batch::{Op, WriteBatch};
pub use level_party_format::table::Compression;
pub use level_party_format::{Comparator, CustomComparator, Sequence};
pub use level_party_memtable::{Region, SharedWords, region_of};
