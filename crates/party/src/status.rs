//! What a handle knows about its party.

use std::time::Duration;

use crate::events::Event;
use crate::service::ServiceState;

/// What this process is for the directory at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "lowercase")
)]
#[non_exhaustive]
pub enum Role {
    /// It reads and writes as every process does, and does for all what only one may do: it writes tables and compacts them.
    Leader,
    /// Another process leads.
    Follower,
    /// It knows of no leader: it is looking for one, trying to become it, or opening the database. Reads and writes go on
    /// where the database is open.
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
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Status {
    /// What this process is.
    pub role: Role,
    /// This process.
    pub pid: u32,
    /// The database, and who leads.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub leader: LeaderStatus,
    /// Whether it is in use, or moved.
    pub service: ServiceState,
    /// Writes of this process that are not answered yet.
    pub queued_calls: u64,
    /// What they take, as [`Options::queue_bytes`](crate::Options::queue_bytes) counts it.
    pub queued_bytes: u64,
    /// What went wrong last in this process's part, if anything did.
    pub last_trouble: Option<LastTrouble>,
    /// The last events of this process's part, at most 16, the newest first.
    pub recent_events: Vec<PastEvent>,
    /// Settings asked for here that differ from those in force, which are those of the process that opened the database first: a
    /// sentence each.
    pub differing_options: Vec<String>,
}

/// What went wrong last in a process's part in the party: its connection ended, it could not connect or lead, its
/// leadership could not go on. It did not keep the process from going on since.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LastTrouble {
    /// A sentence.
    pub what: String,
    /// How long ago it was.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "ago_ms", with = "milliseconds::always")
    )]
    pub ago: Duration,
}

/// An event of a process's part in the party, and when it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PastEvent {
    /// What happened.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub event: Event,
    /// How long ago it was.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "ago_ms", with = "milliseconds::always")
    )]
    pub ago: Duration,
}

/// The most sentences of one kind that a process tells others.
const MAX_SENTENCES: usize = 65;

/// The first of some sentences, and how many more there are: what a process tells others is bounded.
pub(crate) fn first_of(sentences: &[String]) -> Vec<String> {
    if sentences.len() <= MAX_SENTENCES {
        return sentences.to_vec();
    }
    let (first, more) = sentences.split_at(MAX_SENTENCES - 1);
    let count = format!("and {} more", more.len());
    first.iter().cloned().chain([count]).collect()
}

/// What somebody should know of the database that this process opened, as [`Db::opening`](crate::Db::opening) gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opening {
    /// What this and earlier openings lost, a sentence each; see [`LeaderStatus::losses`].
    pub losses: Vec<String>,
    /// What else recovery left out, if this process made it, a sentence each: nobody had been promised it.
    pub left_out: Vec<String>,
}

/// The part of a [`Status`] that is the same in all processes. Nobody is asked for it.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LeaderStatus {
    /// The leader's process; where nobody leads, that of the last one.
    pub leader_pid: u32,
    /// Its executable, where the operating system tells.
    pub leader_program: Option<String>,
    /// The number of this leadership; it never restarts.
    pub epoch: u64,
    /// How long this leadership has lasted.
    pub leading_for: Duration,
    /// The sequence number of the newest visible write.
    pub last_sequence: u64,
    /// Pids of the other processes that have the database open.
    pub followers: Vec<u32>,
    /// The processes that have the database open: the leader first, then the others in the order in which they came.
    pub members: Vec<MemberStatus>,
    /// Snapshots and iterators that hold a moment.
    pub pins: u64,
    /// The oldest moment held.
    pub oldest_pin: Option<u64>,
    /// How long a process has held the oldest moment that any of them holds. What the moment needs is kept in the tables for
    /// as long.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "oldest_pin_held_for_ms", with = "milliseconds")
    )]
    pub oldest_pin_held_for: Option<Duration>,
    /// Tables in each level.
    pub files_per_level: Vec<u64>,
    /// Bytes of the tables in each level.
    pub bytes_per_level: Vec<u64>,
    /// Bytes of writes held in memory.
    pub memtable_bytes: u64,
    /// What recovery left out or set aside when a first process opened the database, a sentence each: also what nobody had been
    /// promised, such as a record that a killed process had not finished. The next recovery does not tell it again.
    pub dropped: Vec<String>,
    /// What this and earlier openings lost, a sentence each, until it is
    /// [acknowledged](crate::Db::acknowledge_losses) or a [repair](crate::Db::repair) was made.
    pub losses: Vec<String>,
    /// What went wrong last in background work, if anything.
    pub background_error: Option<String>,
}

/// A process that has the database open.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct MemberStatus {
    /// The process.
    pub pid: u32,
    /// Its executable, where the operating system tells.
    pub program: Option<String>,
    /// How long it has had the database open.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "attached_for_ms", with = "milliseconds::always")
    )]
    pub attached_for: Duration,
    /// Snapshots and iterators by which it holds a moment.
    pub pins: u64,
    /// The oldest moment that it holds.
    pub oldest_pin: Option<u64>,
    /// How long it has held that one.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "oldest_pin_held_for_ms", with = "milliseconds")
    )]
    pub oldest_pin_held_for: Option<Duration>,
    /// What went wrong last in its part. Each process tells it of itself alone.
    pub last_trouble: Option<LastTrouble>,
}

/// Spans of time as whole milliseconds.
#[cfg(feature = "serde")]
pub(crate) mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub fn serialize<S: Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        span.map(ms).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_millis))
    }

    /// Where there always is one.
    pub mod always {
        use super::{Deserialize, Deserializer, Duration, Serialize, Serializer};

        pub fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
            let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
            ms.serialize(to)
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
            Ok(Duration::from_millis(u64::deserialize(from)?))
        }
    }
}
