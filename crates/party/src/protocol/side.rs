//! What travels over a side connection: a connection of its own for one piece of work that only the leader does.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::Failure;
use crate::report::{Problem, VerifyReport};

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
    Done(Result<TaskResult, Failure>),
}

/// What came of a piece of work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum TaskResult {
    Compacted,
    Verified(Verified),
    /// Whether the leader leaves.
    Yielding(bool),
    /// The copy stands beside where it is to be; it shows this sequence.
    Copied(u64),
    /// What was forgotten, a sentence each.
    Acknowledged(Vec<String>),
}

/// A [`VerifyReport`] as it travels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Verified {
    /// A file, an offset in it, and what is wrong there.
    problems: Vec<(String, Option<u64>, String)>,
    tables: u64,
    blocks: u64,
    entries: u64,
    last_sequence: u64,
    losses: Vec<String>,
}

impl From<VerifyReport> for Verified {
    fn from(report: VerifyReport) -> Self {
        let problem = |p: Problem| (p.file, p.offset, p.what);
        Verified {
            problems: report.problems.into_iter().map(problem).collect(),
            tables: report.tables,
            blocks: report.blocks,
            entries: report.entries,
            last_sequence: report.last_sequence,
            losses: report.losses,
        }
    }
}

impl From<Verified> for VerifyReport {
    fn from(report: Verified) -> Self {
        let problem = |(file, offset, what)| Problem { file, offset, what };
        VerifyReport {
            problems: report.problems.into_iter().map(problem).collect(),
            tables: report.tables,
            blocks: report.blocks,
            entries: report.entries,
            last_sequence: report.last_sequence,
            losses: report.losses,
        }
    }
}
