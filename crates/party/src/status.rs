//! What a handle knows about its party.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What this process is for the directory at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It holds `LOCK` and alone writes files.
    Leader,
    /// It is attached to the leader.
    Follower,
    /// It has no leader and is looking for one, or trying to become it.
    Electing,
}

impl Role {
    /// `"leader"`, `"follower"` or `"electing"`.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Leader => "leader",
            Role::Follower => "follower",
            Role::Electing => "electing",
        }
    }
}

/// A report of the party, as [`Db::status`](crate::Db::status) gives it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// What this process is.
    pub role: Role,
    /// This process.
    pub pid: u32,
    /// The database, as the leader sees it.
    #[serde(flatten)]
    pub leader: LeaderStatus,
    /// Settings asked for here that differ from those in force at the leader, a sentence each.
    pub differing_options: Vec<String>,
}

/// The leader's part of a [`Status`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LeaderStatus {
    /// The leader's process.
    pub leader_pid: u32,
    /// Its executable, where the operating system tells.
    pub leader_program: Option<String>,
    /// The number of this leadership; it never restarts.
    pub epoch: u64,
    /// How long this leadership has lasted.
    pub leading_for: Duration,
    /// The sequence number of the newest visible write.
    pub last_sequence: u64,
    /// Pids of the attached followers.
    pub followers: Vec<u32>,
    /// Snapshots and iterators that hold a moment.
    pub pins: u64,
    /// The oldest moment held.
    pub oldest_pin: Option<u64>,
    /// Tables in each level.
    pub files_per_level: Vec<u64>,
    /// Bytes of the tables in each level.
    pub bytes_per_level: Vec<u64>,
    /// Bytes of writes held in memory.
    pub memtable_bytes: u64,
    /// What recovery left out or set aside when this leadership began, a sentence each.
    pub dropped: Vec<String>,
    /// What went wrong last in background work, if anything.
    pub background_error: Option<String>,
}
