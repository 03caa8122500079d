//! Open one LevelDB directory from any number of processes at once.
//!
//! The first process to open a directory becomes its **leader**: it takes LevelDB's `LOCK` and alone writes files.
//! Every other process becomes a **follower** and works through the leader over a local socket. When the leader
//! closes or dies, a follower takes over: calls in flight complete, streams go on after the last key they had, and
//! no write is lost or applied twice. There is no daemon and nothing to configure.
//!
//! ```
//! # fn main() -> level_party::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! let db = level_party::Db::open(dir.path())?; // in as many processes as you like, in any order
//! db.put(b"a", b"1")?;
//! assert_eq!(db.get(b"a")?.as_deref(), Some(&b"1"[..]));
//! for entry in db.range("a".."m") {
//!     let (key, value) = entry?; // goes on if the leader dies in the middle
//!     println!("{key:?} = {value:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The code's map is `ARCHITECTURE.md`; what travels between processes is `docs/PROTOCOL.md`.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod alarm;
mod async_db;
mod batch;
mod bounds;
mod checkpoint;
mod codec;
mod db;
mod descriptors;
mod election;
mod epoch;
mod error;
mod events;
#[cfg_attr(feature = "faults", doc(hidden))]
#[cfg(feature = "faults")]
pub mod faults;
#[cfg(not(feature = "faults"))]
mod faults;
mod follower;
mod handle;
mod leader;
mod names;
mod node;
mod offline;
mod options;
mod page;
mod position;
mod protocol;
mod range;
mod registry;
mod repair;
mod report;
mod session;
mod side;
mod sign_of_life;
mod snapshot;
mod space;
mod spin;
mod state;
mod status;
mod sublevel;
mod transaction;
mod typed;
mod watch;

pub use async_db::{
    AsyncBatch, AsyncDb, AsyncEvents, AsyncKeys, AsyncRange, AsyncSnapshot, AsyncTransaction,
    AsyncTransactionRange, AsyncValues, AsyncWatch,
};
pub use batch::{Batch, Op, WriteBatch, WriteOptions};
pub use bounds::KeyRange;
#[cfg(feature = "json")]
pub use codec::Json;
pub use codec::{BigEndian, Bytes, Codec, CodecError, Utf8};
pub use db::Db;
pub use error::{Error, ErrorKind, Result};
pub use events::{Event, Events};
pub use handle::Yielded;
pub use options::{
    Compression, DEFAULT_OPEN_TIMEOUT, DEFAULT_QUEUE_BYTES, DEFAULT_TIMEOUT, Lead, Options,
    WhenFull,
};
pub use position::Position;
pub use protocol::{MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, MAX_KEY_BYTES};
pub use range::{Keys, Range, Values};
pub use repair::RepairOptions;
pub use report::{Destroyed, Problem, RepairReport, VerifyReport};
pub use snapshot::Snapshot;
pub use status::{LastTrouble, LeaderStatus, MemberStatus, Opening, Role, Status};
pub use sublevel::Sublevel;
pub use transaction::{Transaction, TransactionRange};
pub use typed::{
    AsyncTyped, AsyncTypedKeys, AsyncTypedRange, AsyncTypedTransaction, AsyncTypedTransactionRange,
    AsyncTypedValues, Typed, TypedKeyRange, TypedKeys, TypedRange, TypedTransaction, TypedValues,
    View,
};
pub use watch::{Change, ChangeKind, Watch, WatchCloser, WatchFrom, WatchItem};
