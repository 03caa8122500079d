//! Open one LevelDB directory from any number of processes at once.
//!
//! The first process to open a directory becomes its **leader**, the others join. All of them share LevelDB's `LOCK` and
//! a piece of memory with the memtables; each reads and writes by itself, at the speed of one process. The leader does what
//! only one may do: it writes tables and compacts them. When it closes or dies, another one takes over, while reads and
//! writes go on: no write is lost or applied twice. There is no daemon and nothing to configure.
//!
//! ```
//! # fn main() -> level_party::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! use level_party::{Db, Readable};
//!
//! let db = Db::open(dir.path())?; // in as many processes as you like, in any order
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
//! Reads are in the trait [`Readable`], for tasks [`AsyncReadable`]; everything else is found at [`Db`] and [`AsyncDb`].
//!
//! Features: `json` (on by default), the codec `Json`; `serde`, which has statuses, reports, events and [`Position`]
//! implement serde's traits.
//!
//! The code's map is `ARCHITECTURE.md`; what travels between processes is `docs/PROTOCOL.md`.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

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
mod reads;
mod registry;
mod repair;
mod report;
mod report_status;
mod room;
mod segment;
mod side;
mod snapshot;
mod source;
mod space;
mod state;
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
pub use codec::Json;
pub use codec::{BigEndian, Bytes, Codec, CodecError, Utf8};
pub use db::Db;
pub use error::{Error, ErrorKind, Result};
pub use events::{Event, Events};
pub use handle::Yielded;
pub use options::{Compression, Lead, Options, WhenFull};
pub use order::Comparator;
pub use position::Position;
pub use range::Range;
pub use read::Readable;
pub use repair::RepairOptions;
pub use report::{Destroyed, Problem, RepairReport, VerifyReport};
pub use snapshot::Snapshot;
pub use status::{LastTrouble, LeaderStatus, MemberStatus, Opening, PastEvent, Role, Status};
pub use sublevel::Sublevel;
pub use transaction::Transaction;
pub use typed::Typed;
pub use view::View;
pub use watch::{Change, Watch, WatchCloser, WatchFrom, WatchItem};
pub use writes::WriteBatch;
