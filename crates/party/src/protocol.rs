//! What travels between a follower and its leader. The byte table is `docs/PROTOCOL.md`.
//!
//! A connection begins with a fixed preamble from each side (so that any two versions can tell each other apart; the
//! follower's carries two handles: the data directory, and its session page). After it come frames: a length and one
//! message in postcard's encoding. Every [`Call`](ClientMessage::Call) gets exactly one
//! [`Reply`](ServerMessage::Reply) with its id, in order, or the connection ends.
//!
//! This module knows bytes only; who sends what when is in `follower` and `leader`.

mod entries;
mod frame;
mod packed;
mod side;

use std::ops::Bound;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind, Result};
use crate::options::EngineOptions;
use crate::status::{LastTrouble, LeaderStatus};

pub(crate) use entries::{ChunkEntry, Entries, EntriesBuilder, TooLarge};
pub(crate) use frame::{
    FrameBuffer, PREAMBLE_BYTES, Preamble, decode, encode_frame, frame_message,
};
pub(crate) use packed::{Condition, Conditions, Keys, MAX_KEYS, Values};
pub(crate) use side::{Changes, Checkpoint, Missing, News, Outcome, Piece, Side, Start, Task};

/// The largest key, in bytes. LevelDB has no limit below 4 GiB; with this one a scan's two bounds fit a request.
pub const MAX_KEY_BYTES: usize = 16 << 20;
/// The largest write (a batch with its keys, values and about 10 bytes an entry), in bytes.
pub const MAX_BATCH_BYTES: usize = 64 << 20;
/// The most entries of one write: each costs the leader some 80 bytes beside its own while it is in memory.
pub const MAX_BATCH_ENTRIES: u32 = 1 << 20;
/// The largest chunk of a scan that a leader collects, but for a single entry that is larger.
pub(crate) const MAX_CHUNK_BYTES: u32 = 1 << 20;
/// What a hello may name, of each kind.
pub(crate) const MAX_HELLO_ITEMS: usize = 65_536;
/// A first message's frame: a side connection's request with two bounds, which is larger than any hello (its moments
/// of at most 10 bytes, and epochs of at most 30), and the message around it.
pub(crate) const MAX_HELLO_FRAME: usize = 2 * MAX_KEY_BYTES + 4096;
const _: () = assert!(MAX_HELLO_FRAME > MAX_HELLO_ITEMS * 40 + 4096);
/// A bound of a range in the first message of a side connection, which has the limit of a hello.
pub(crate) const MAX_SIDE_BOUND: usize = 1 << 20;
/// A request's frame: the largest batch or a scan with two bounds, and the message around it.
pub(crate) const MAX_REQUEST_FRAME: usize = MAX_BATCH_BYTES + 4096;
/// A reply's frame: a chunk with one value that another program wrote, which may be larger than ours. Over a side
/// connection too.
const MAX_REPLY_FRAME: usize = 1 << 30;
/// Where an entry is too large to travel, its key or the beginning of it does instead.
const _: () = assert!(MAX_REPLY_FRAME > 2 * MAX_KEY_BYTES);
/// What a reply's frame has at most beside what is packed in it.
const REPLY_OVERHEAD: usize = 4096;
/// What a frame has at most beside keys, values and bounds: length, tags, ids and lengths.
const FRAME_OVERHEAD: usize = 64;
/// The version of the messages below. A change of meaning or shape raises it.
pub(crate) const VERSION: u16 = 6;
/// Over a side connection the leader says at least this often that it is at work.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(1);

/// The largest frame of a reply.
pub(crate) fn max_reply_frame() -> usize {
    crate::faults::reply_frame(MAX_REPLY_FRAME)
}

/// Bytes that can be packed in one reply.
pub(crate) fn max_reply_content() -> usize {
    max_reply_frame() - REPLY_OVERHEAD
}

/// Refuses an entry that no reply can hold, in either role: another program may have written it.
///
/// # Errors
/// `InvalidArgument`.
pub(crate) fn check_travels(entry_bytes: usize) -> Result<()> {
    if entry_bytes <= max_reply_content() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "an entry of {entry_bytes} bytes is larger than a message between processes may be ({}): another program \
             wrote it; read it with that one, or delete it",
            max_reply_content()
        ),
    ))
}

/// What a follower sends.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ClientMessage<'a> {
    /// Always first.
    Hello(Hello),
    /// A request, answered by a reply with the same id.
    Call {
        id: u64,
        #[serde(borrow)]
        request: Request<'a>,
    },
    /// One grant of a pinned moment is given back. No reply.
    Unpin { sequence: u64 },
    /// Instead of a hello: this is a side connection, for this one piece of work.
    Side(Side),
}

/// Who a follower is and what it brings along from earlier leaders.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// 128 random bits, the same for the life of the follower's node.
    pub session: [u64; 2],
    /// Its place in the state file's table of sessions, where it found one.
    pub place: Option<u32>,
    pub pid: u32,
    /// Whether it leads when nobody else does.
    pub may_lead: bool,
    pub options: EngineOptions,
    /// What went wrong last in its part.
    pub trouble: Option<LastTrouble>,
    /// The leadership it was attached to last.
    pub last_epoch: Option<Epoch>,
    /// Leaderships that assigned sequences to its unanswered writes.
    pub unresolved: Vec<Epoch>,
    /// One of these writes asked for `sync`: if it is found to have been made, it must last by then.
    pub owed_sync: bool,
    /// Moments it holds, one for each grant.
    pub pins: Vec<u64>,
}

/// What the leader answers a [`Hello`] with, once it has recovered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Welcome {
    pub epoch: Epoch,
    pub leader_pid: u32,
    pub options: EngineOptions,
    /// One for each of [`Hello::unresolved`].
    pub recovered: Vec<RecoveredThrough>,
    /// Whether only party members had the directory since [`Hello::last_epoch`].
    pub unbroken: bool,
    /// One for each of [`Hello::pins`]: whether that moment can still be read.
    pub pins_held: Vec<bool>,
    /// Where [`Hello::owed_sync`] says so: what keeps the leader from making what it recovered last.
    pub not_lasting: Option<Failure>,
    /// What this leadership and earlier ones lost of the database, until it is acknowledged; a sentence each.
    pub losses: Vec<String>,
}

/// How much of a past leadership's writes its successor found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RecoveredThrough {
    /// Nobody knows that leadership any more.
    Unknown,
    /// The leadership goes on: it is the one that answers.
    Current,
    /// Sequences up to this one were recovered, and none above.
    Sequence(u64),
    /// The same, but another program had the directory in between: sequences above what that leadership is known
    /// to have published say nothing.
    SequenceBeforeForeign(u64),
}

/// What a caller wants.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Request<'a> {
    Get {
        #[serde(borrow)]
        key: &'a Bytes,
        at: Option<u64>,
    },
    Contains {
        #[serde(borrow)]
        key: &'a Bytes,
        at: Option<u64>,
    },
    /// Several keys ([`Keys`]) at one moment.
    GetMany(#[serde(borrow)] GetMany<'a>),
    Write(#[serde(borrow)] Write<'a>),
    Scan(#[serde(borrow)] Scan<'a>),
    Pin,
    Status,
    /// About how many bytes of tables a range takes.
    ApproximateSize {
        #[serde(borrow)]
        lower: Bound<&'a Bytes>,
        #[serde(borrow)]
        upper: Bound<&'a Bytes>,
    },
    /// A property by LevelDB's name.
    Property {
        name: &'a str,
    },
}

impl Request<'_> {
    /// About how many bytes its frame has; never fewer.
    pub fn frame_bytes(&self) -> usize {
        let bound = |bound: &Bound<&Bytes>| match bound {
            Bound::Included(key) | Bound::Excluded(key) => key.len(),
            Bound::Unbounded => 0,
        };
        let content = match self {
            Request::Get { key, .. } | Request::Contains { key, .. } => key.len(),
            Request::GetMany(many) => many.keys.len(),
            Request::Write(write) => write.batch.len() + write.conditions.len(),
            Request::Scan(scan) => bound(&scan.lower) + bound(&scan.upper),
            Request::ApproximateSize { lower, upper } => bound(lower) + bound(upper),
            Request::Property { name } => name.len(),
            Request::Pin | Request::Status => 0,
        };
        content + FRAME_OVERHEAD
    }

    /// Whether it takes a leader microseconds, so that a task may make it where it stands.
    pub fn is_quick(&self) -> bool {
        matches!(
            self,
            Request::Get { .. } | Request::Contains { .. } | Request::Pin
        )
    }

    /// Whether its answer may pin a moment.
    pub fn may_grant(&self) -> bool {
        matches!(
            self,
            Request::Pin
                | Request::Scan(Scan { at: None, .. })
                | Request::GetMany(GetMany { at: None, .. })
        )
    }
}

/// A batch to be written.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Write<'a> {
    pub number: u64,
    pub sync: bool,
    /// In LevelDB's batch form (its sequence field is ignored).
    #[serde(borrow)]
    pub batch: &'a Bytes,
    /// What must hold for it to be applied ([`Conditions`]); empty: nothing.
    #[serde(borrow)]
    pub conditions: &'a Bytes,
}

/// Some keys to be read.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct GetMany<'a> {
    /// The moment, as in [`Scan::at`].
    pub at: Option<u64>,
    #[serde(borrow)]
    pub keys: &'a Bytes,
    /// The answer ends with the value that reaches this size, and is asked on from there.
    pub limit_bytes: u32,
}

/// One chunk of a range.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Scan<'a> {
    /// The moment, which must be pinned by this session; `None`: the newest, pinned by the answer if more is left.
    pub at: Option<u64>,
    #[serde(borrow)]
    pub lower: Bound<&'a Bytes>,
    #[serde(borrow)]
    pub upper: Bound<&'a Bytes>,
    pub reverse: bool,
    /// The values are left out (each is empty in the answer).
    pub keys_only: bool,
    /// Each value is preceded by the sequence of the write that put it (u64, little-endian).
    pub sequences: bool,
    /// A newest moment is pinned even if nothing more is left.
    pub hold: bool,
    /// The chunk ends with the entry that reaches this size.
    pub limit_bytes: u32,
    /// The chunk has no more entries than this (one at least).
    pub limit_entries: u32,
}

/// What the leader sends.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ServerMessage<'a> {
    /// The leader holds the lock and recovers; the welcome follows.
    Recovering,
    Welcome(Welcome),
    /// Instead of a welcome: the connection ends.
    Refused(Failure),
    Reply {
        id: u64,
        #[serde(borrow)]
        result: std::result::Result<Response<'a>, Failure>,
    },
    /// Over a side connection.
    Side(#[serde(borrow)] News<'a>),
}

/// An answer as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Response<'a> {
    Value(#[serde(borrow)] Option<&'a Bytes>),
    Contained(bool),
    Values {
        sequence: u64,
        pinned: bool,
        #[serde(borrow)]
        packed: &'a Bytes,
    },
    Written {
        sequence: u64,
    },
    /// A condition did not hold: nothing was written.
    Conflict,
    Entries {
        sequence: u64,
        pinned: bool,
        more: bool,
        /// Where the range goes on, if not after the last entry.
        #[serde(borrow)]
        reached: Option<&'a Bytes>,
        #[serde(borrow)]
        packed: &'a Bytes,
    },
    Pinned {
        sequence: u64,
    },
    Status(Box<LeaderStatus>),
    Size(u64),
    Property(Option<String>),
}

/// An error as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub kind: ErrorKind,
    pub message: String,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Failure {
            kind: error.kind(),
            message: error.message().to_string(),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Error::new(failure.kind, failure.message)
    }
}

/// An answer as a caller gets it, in both roles.
#[derive(Debug)]
pub(crate) enum Answer {
    Value(Option<Vec<u8>>),
    Contained(bool),
    Values {
        sequence: u64,
        pinned: bool,
        values: Values,
    },
    Written {
        sequence: u64,
    },
    Conflict,
    Entries {
        sequence: u64,
        pinned: bool,
        entries: Entries,
    },
    Pinned {
        sequence: u64,
    },
    Status(Box<LeaderStatus>),
    Size(u64),
    Property(Option<String>),
}

impl Answer {
    /// How it travels.
    pub fn as_response(&self) -> Response<'_> {
        match self {
            Answer::Value(value) => Response::Value(value.as_deref().map(Bytes::new)),
            Answer::Contained(yes) => Response::Contained(*yes),
            Answer::Values {
                sequence,
                pinned,
                values,
            } => Response::Values {
                sequence: *sequence,
                pinned: *pinned,
                packed: Bytes::new(values.packed()),
            },
            Answer::Written { sequence } => Response::Written {
                sequence: *sequence,
            },
            Answer::Conflict => Response::Conflict,
            Answer::Entries {
                sequence,
                pinned,
                entries,
            } => Response::Entries {
                sequence: *sequence,
                pinned: *pinned,
                more: entries.more(),
                reached: entries.reached().map(Bytes::new),
                packed: Bytes::new(entries.packed()),
            },
            Answer::Pinned { sequence } => Response::Pinned {
                sequence: *sequence,
            },
            Answer::Status(status) => Response::Status(status.clone()),
            Answer::Size(bytes) => Response::Size(*bytes),
            Answer::Property(text) => Response::Property(text.clone()),
        }
    }

    /// Checks and copies what came.
    pub fn from_response(response: Response<'_>) -> Result<Self> {
        Ok(match response {
            Response::Value(value) => Answer::Value(value.map(|v| v.to_vec())),
            Response::Contained(yes) => Answer::Contained(yes),
            Response::Values {
                sequence,
                pinned,
                packed,
            } => Answer::Values {
                sequence,
                pinned,
                values: Values::from_packed(packed)?,
            },
            Response::Written { sequence } => Answer::Written { sequence },
            Response::Conflict => Answer::Conflict,
            Response::Entries {
                sequence,
                pinned,
                more,
                reached,
                packed,
            } => Answer::Entries {
                sequence,
                pinned,
                entries: Entries::from_packed(
                    packed.to_vec(),
                    more,
                    reached.map(|key| key.to_vec()),
                )?,
            },
            Response::Pinned { sequence } => Answer::Pinned { sequence },
            Response::Status(status) => Answer::Status(status),
            Response::Size(bytes) => Answer::Size(bytes),
            Response::Property(text) => Answer::Property(text),
        })
    }

    /// The moment this answer granted a pin of.
    pub fn granted_pin(&self) -> Option<u64> {
        match self {
            Answer::Pinned { sequence }
            | Answer::Entries {
                sequence,
                pinned: true,
                ..
            }
            | Answer::Values {
                sequence,
                pinned: true,
                ..
            } => Some(*sequence),
            _ => None,
        }
    }
}

/// What to say when an answer is of another form than its request asks for.
pub(crate) fn unexpected(answer: &Answer) -> Error {
    Error::protocol(format!(
        "the leader sent an answer of another form: {answer:?}"
    ))
}

#[cfg(test)]
mod tests;
