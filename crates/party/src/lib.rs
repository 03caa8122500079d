//! Open one LevelDB directory from any number of processes at once.
//!
//! Each process reads and writes by itself, through memory that all of them share. One process, the **leader**, also does
//! what only one may do: it writes tables and compacts them. When the leader closes or dies, another process takes over.
//! Reads and writes go on meanwhile, and no acknowledged write is lost or applied twice. There is no daemon and nothing to
//! configure. The files stay LevelDB's own: C++ LevelDB opens the directory, and this crate opens C++ LevelDB's.
//!
//! ```
//! # fn main() -> level_party::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! use level_party::{Db, Readable};
//!
//! let db = Db::open(dir.path())?; // in as many processes as you like, in any order
//! db.put("a", "1")?;
//! assert_eq!(db.get("a")?.as_deref(), Some(&b"1"[..]));
//! for entry in db.range("a".."m") {
//!     let (key, value) = entry?; // goes on if the leader dies in the middle
//!     println!("{key:?} = {value:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Where to begin
//!
//! | to | see |
//! |---|---|
//! | open a database, and choose settings | [`Db::open`], [`Options`]; a URL names one on a server |
//! | read | [`Readable`]: one trait for [`Db`], [`Sublevel`], [`Snapshot`] and [`Transaction`] |
//! | write | [`Db::put`], [`Db::write`] with a [`WriteBatch`], [`Db::update`], [`Db::transaction`] |
//! | follow the changes of all processes | [`Db::watch`] |
//! | keep parts of a database apart, with types | [`Db::sublevel`], [`Typed`] |
//! | call from async code | [`AsyncDb`], [`AsyncReadable`] |
//! | copy, check, repair | [`Db::checkpoint`], [`Db::verify`], [`Db::repair`] |
//! | see who leads and how it is | [`Db::status`], [`Db::events`] |
//!
//! [`docs/GUIDE.md`](https://github.com/level-party/level-party/blob/main/docs/GUIDE.md) shows how to build a queue, a cache and a
//! viewer, and when *not* to use this crate. `examples/` has a small program for each of these.
//!
//! # What it promises, and its exact limits
//!
//! | promise | limit |
//! |---|---|
//! | **Linearizable**: once a write has returned, every later read in every process sees it. | One host. A [`Snapshot`], a [`Range`] and a [`Transaction`] show one moment. |
//! | **Durable**: an acknowledged write survives the death of any process. | It survives a loss of power only with `sync`: [`Db::put_sync`], [`WriteBatch::sync`], [`Options::sync`]. **The default is no sync**, as in LevelDB. |
//! | **Exactly once**: a write takes effect once and as a whole, or not at all. | Three causes can leave that open. The call then fails with [`ErrorKind::OutcomeUnknown`], which says what to do next. After any other error the write had no effect ([`Error::had_no_effect`]). |
//! | **In order**: the writes of one handle take effect in the order of the calls. | Calls that are under way in several threads at once have no order. |
//! | **Snapshots hold** when the leader changes. | If this process must open the database anew (its shared memory was found damaged, say) and the moment is gone by then, reads fail with [`ErrorKind::SnapshotLost`]. |
//! | **Always an answer**: each call ends within its deadline ([`Options::timeout`], 30 s). | A system call on the disk that has begun is not broken off. A process that is stopped in the middle of a write holds others' *writes* up, and is named in their `Timeout`; reads go on. |
//! | **Watches are complete**: each change once, in order. | History is kept up to [`Options::watch_history_bytes`]. A slower watcher gets a [`WatchItem::Gap`], never silence. |
//! | **Bad files do not spread**: every block and record is checked when it is read from disk. | Members trust each other, as in SQLite and LMDB: a process of the same user that writes garbage into the shared memory can cause wrong answers. |
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `json` | yes | the codec [`Json`] for [`Typed`] views; brings `serde_json` |
//! | `postgres` | no | databases on PostgreSQL, by URL (`docs/REMOTE.md`); brings `tokio-postgres` and `rustls` |
//! | `etcd` | no | databases on etcd 3.4 or later, by URL; brings `tonic` and `rustls`, and needs no `protoc` |
//! | `serde` | no | statuses, reports, events and [`Position`] implement serde's traits |
//!
//! # Platforms
//!
//! Linux is tested with real processes, kills and full disks. The Windows build is tested under Wine only. The macOS code is
//! written and was never run. Network filesystems and FUSE are refused when a database is opened there.
//! [`docs/PLATFORMS.md`](https://github.com/level-party/level-party/blob/main/docs/PLATFORMS.md) says what each promise rests on.
//! The crate needs Rust 1.89.
//!
//! # Coming from
//!
//! | | level (npm) | redb | SQLite | LMDB | here |
//! |---|---|---|---|---|---|
//! | open | `new Level(path)` | `Database::create` | `sqlite3_open` | `mdb_env_open`, with a map size | [`Db::open`]; there is no map size |
//! | a part with its own keys | `db.sublevel(name)` | table | table | named database | [`Db::sublevel`], in level's layout |
//! | types | `valueEncoding` | `TableDefinition<K, V>` | columns | none | [`Db::typed`] with a [`Codec`] |
//! | read | `await db.get(key)` | `table.get` | `SELECT` | `mdb_get` | [`Readable::get`], [`AsyncReadable::get`] |
//! | scan | `db.iterator({ gte, lt })` | `table.range` | `WHERE k >= ? AND k < ?` | cursor | [`Readable::range`] |
//! | all or none | `db.batch([...])` | `begin_write` .. `commit` | `BEGIN IMMEDIATE` .. `COMMIT` | write transaction | [`Db::write`]; [`Db::transaction`] if it also reads |
//! | one moment | `db.snapshot()` | `begin_read` | read transaction | read-only transaction | [`Db::snapshot`] |
//! | a second writer | fails to open | fails to open | waits, or `SQLITE_BUSY` | waits | waits its turn, until its deadline |
//! | sync by default | no | yes | yes (`FULL`) | yes | **no**: [`Options::sync`] |
//! | changes of other processes | none | none | none (`data_version` says that there were some) | none | [`Db::watch`] |
//! | secondary index | by hand | by hand | `CREATE INDEX` | by hand | by hand: a second sublevel in the same batch |
//! | copy while in use | none | none | `VACUUM INTO`, backup API | `mdb_env_copy` | [`Db::checkpoint`] |
//!
//! Node's `level-party` elects a leader too, and sends every call to it over a socket. This crate does not speak its protocol;
//! the two can open the same directory in turn, not at once.
//!
//! # More
//!
//! The crate tells what it does through [`tracing`](https://docs.rs/tracing)
//! ([`docs/EVENTS.md`](https://github.com/level-party/level-party/blob/main/docs/EVENTS.md)), and is silent without a subscriber.
//! The code's map is `ARCHITECTURE.md`; what travels between processes is `docs/PROTOCOL.md`.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::missing_errors_doc, clippy::missing_panics_doc)]

mod alarm;
mod async_db;
mod bounds;
mod changes;
mod checkpoint;
mod codec;
mod coding;
mod conditions;
mod db;
mod descriptors;
mod election;
mod entries;
mod epoch;
mod error;
mod events;
#[cfg_attr(feature = "faults", doc(hidden))]
#[cfg(feature = "faults")]
pub mod faults;
#[cfg(not(feature = "faults"))]
mod faults;
mod feed;
mod files;
mod handle;
mod lane;
mod layout;
mod leader;
mod limits;
mod liveness;
mod member;
mod migration;
mod names;
mod news;
mod node;
mod offline;
mod optimistic;
mod options;
mod order;
mod pins;
mod place;
mod position;
mod process;
mod protocol;
mod range;
mod read;
mod readers;
mod reads;
mod registry;
mod repair;
mod report;
mod report_status;
mod room;
mod segment;
mod service;
mod side;
mod site;
mod snapshot;
mod source;
mod space;
mod state_file;
mod status;
mod stop;
mod store;
mod stored;
mod sublevel;
mod timer;
mod trace;
mod transaction;
mod tripwire;
mod typed;
mod view;
mod walk;
mod watch;
mod writes;

pub use async_db::{
    AsyncDb, AsyncEvents, AsyncRange, AsyncReadable, AsyncSnapshot, AsyncSublevel,
    AsyncTransaction, AsyncTyped, AsyncWatch,
};
pub use bounds::{KeyRange, Prefix};
#[cfg(feature = "json")]
#[cfg_attr(docsrs, doc(cfg(feature = "json")))]
pub use codec::Json;
pub use codec::{BigEndian, Bytes, Codec, CodecError, Utf8};
pub use db::Db;
pub use error::{Error, ErrorKind, Result};
pub use events::{Event, Events};
pub use handle::Yielded;
pub use migration::{Contents, Migration, MigrationPhase, MigrationProgress, MigrationReport};
pub use options::{Compression, Lead, Options, WhenFull};
pub use order::Comparator;
pub use position::Position;
pub use range::Range;
pub use read::Readable;
pub use repair::RepairOptions;
pub use report::{Destroyed, Problem, RepairReport, VerifyReport};
pub use service::ServiceState;
pub use snapshot::Snapshot;
pub use status::{
    LastTrouble, LeaderStatus, MemberStatus, Opening, PastEvent, Role, ServerStatus, Status,
};
pub use sublevel::Sublevel;
pub use transaction::Transaction;
pub use typed::Typed;
pub use view::View;
pub use watch::{Change, Watch, WatchCloser, WatchFrom, WatchItem};
pub use writes::{WriteBatch, WriteLimits};
