//! What travels over a side connection: a connection of its own for one piece of work that only the leader does.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::Failure;
use crate::report::VerifyReport;

/// The first and only message of a process over a side connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Side {
    pub pid: u32,
    pub task: Task,
}

/// What the leader is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Compacts the tables that have keys in the range, both bounds included.
    CompactRange {
        begin: Option<ByteBuf>,
        end: Option<ByteBuf>,
    },
    /// Looks at every table of the database.
    Verify,
    /// Leaves leadership to another process, if there is one that takes it.
    Yield,
    /// Makes a copy of the database beside where it is to be.
    Checkpoint(Checkpoint),
    /// Forgets what openings of the database lost.
    Acknowledge,
}

/// Where a copy of the database is made: see [`crate::checkpoint`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// The copy's parent directory, absolute.
    pub parent: ByteBuf,
    /// Its device and inode, so that a leader that sees another directory there finds out.
    pub parent_identity: (u64, u64),
    /// The name that the copy will have there.
    pub name: ByteBuf,
    /// Random, so that nobody else works in the directory that is named after it.
    pub token: u64,
}

/// What the leader sends over a side connection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum News {
    /// Always first: who does the work, and its leadership's number.
    Begun { leadership: u64, leader_pid: u32 },
    /// The work goes on; sent every [`HEARTBEAT`](super::HEARTBEAT).
    Working,
    /// The work is done, or has failed for good. Nothing follows.
    Done(Result<Outcome, Failure>),
}

/// What came of a piece of work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Compacted,
    Verified(VerifyReport),
    /// Whether the leader leaves.
    Yielding(bool),
    /// The copy stands beside where it is to be; it shows this sequence.
    Copied(u64),
    /// What was forgotten, a sentence each.
    Acknowledged(Vec<String>),
}
