//! What a remote answers.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// One unbroken history of a database, in which a sequence number means one and the same write. The server begins another one
/// where writes may have been lost: by a fail-over, or a restored copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct History {
    /// It grows from history to history.
    pub number: u64,
    /// Keeps two histories of the same number apart.
    pub random: [u64; 2],
}

/// A moment: what was written with sequences up to this one, in this history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    /// The sequence of the last change in it.
    pub sequence: u64,
    /// The history that the sequence is of.
    pub history: History,
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The sequence of the change that put it.
    pub sequence: u64,
    /// The value.
    pub value: Vec<u8>,
}

/// One entry of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The key.
    pub key: Vec<u8>,
    /// The sequence of the change that put it.
    pub sequence: u64,
    /// The value; empty where only keys were asked for.
    pub value: Vec<u8>,
}

/// One chunk of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its entries, in the order of the scan.
    pub items: Vec<Item>,
    /// Whether more of the range may be left.
    pub more: bool,
    /// Where the range goes on, if not behind the last item: so far no entry was found. (The bound is inclusive.)
    pub reached: Option<Vec<u8>>,
    /// The moment that it shows, pinned for the caller: only where none was given, and `more` or [`hold`](crate::Scan::hold) is true.
    pub pinned: Option<Moment>,
}

/// A committed change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its sequence.
    pub sequence: u64,
    /// The key.
    pub key: Vec<u8>,
    /// What it was set to; `None`: it was removed.
    pub value: Option<Vec<u8>>,
}

/// Changes from `from` on can't be told; what follows begins with `resume`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first that is missing.
    pub from: u64,
    /// The first that can be told.
    pub resume: u64,
}

/// What a feed tells next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What is missing before the changes.
    pub gap: Option<Gap>,
    /// Changes in the order of their sequences.
    pub changes: Vec<Change>,
    /// Up to where everything was told.
    pub through: Moment,
}

/// What a remote can store at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest key, in bytes.
    pub key_bytes: usize,
    /// The largest batch, in bytes of keys and values.
    pub batch_bytes: usize,
    /// The most operations of a batch.
    pub batch_ops: usize,
}

/// Whether acknowledged writes are on a second server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standby {
    /// Yes: a fail-over to it loses none.
    Synchronous,
    /// There is one, which may lag: a fail-over to it can lose acknowledged writes.
    Asynchronous,
    /// None is connected.
    None,
}

/// Whether a database is in use. It is kept with the database, and is the same for every process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "lowercase")
)]
#[non_exhaustive]
pub enum ServiceState {
    /// It is read and written.
    #[default]
    Live,
    /// A copy is being made into it.
    Filling {
        /// How far the copy has come, as the one who makes it knows it.
        progress: String,
    },
    /// It is elsewhere now: it is read, and not written.
    Moved {
        /// Where: a URL without its password, or a path.
        to: String,
        /// A random word of whoever moved it.
        by: String,
    },
}

impl ServiceState {
    /// What whoever writes, or opens what is being filled, is told.
    pub fn refusal(&self) -> Error {
        match self {
            ServiceState::Live => Error::new(
                ErrorKind::Busy,
                "the database is in use, and is no longer being filled; nothing was written",
            ),
            ServiceState::Filling { .. } => Error::new(
                ErrorKind::Busy,
                "a copy is being made into this database; it can be used when that is done; nothing was written",
            ),
            ServiceState::Moved { to, .. } => Error::new(
                ErrorKind::Moved,
                format!("the database was moved to {to}; open it there. Nothing was written"),
            ),
        }
    }
}

/// What went wrong last, although calls went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// A sentence.
    pub what: String,
    /// How long ago.
    pub ago: Duration,
}

/// How the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The product and its version.
    pub server: String,
    /// Where it was reached, without a password.
    pub address: String,
    /// The newest moment.
    pub last: Moment,
    /// Moments before this sequence may be unreadable.
    pub oldest_readable: u64,
    /// Moments that this process holds, and the oldest.
    pub pins: u64,
    /// See `pins`.
    pub oldest_pin: Option<u64>,
    /// Whether acknowledged writes are on a second server.
    pub standby: Standby,
    /// How far the furthest standby is behind, where the server says so.
    pub lag_bytes: Option<u64>,
    /// What a reader should know, a sentence each.
    pub warnings: Vec<String>,
    /// What went wrong last.
    pub trouble: Option<Trouble>,
}

impl Status {
    /// A status with what every server tells.
    pub fn new(server: impl Into<String>, address: impl Into<String>, last: Moment) -> Self {
        Status {
            server: server.into(),
            address: address.into(),
            last,
            oldest_readable: 0,
            pins: 0,
            oldest_pin: None,
            standby: Standby::None,
            lag_bytes: None,
            warnings: Vec::new(),
            trouble: None,
        }
    }
}
