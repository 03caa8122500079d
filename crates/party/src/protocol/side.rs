//! What travels over a side connection: a connection of its own for one long-lived piece of work.

use std::ops::Bound;

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

use super::Failure;
use crate::epoch::Epoch;
use crate::error::{Error, Result};
use crate::report::VerifyReport;

/// The first and only message of a follower over a side connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Side {
    /// That of the process's main connection.
    pub session: [u64; 2],
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
    /// Tells of every committed change of keys in the range, until the connection ends.
    Watch {
        from: Start,
        lower: Bound<ByteBuf>,
        upper: Bound<ByteBuf>,
    },
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

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Start {
    /// With the first change after those that are visible now.
    Now,
    /// With the oldest change that is kept.
    Beginning,
    /// With the first change after this one, of the history that `epoch` knew (`None`: whatever history it was).
    After { sequence: u64, epoch: Option<Epoch> },
}

/// What the leader sends over a side connection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum News<'a> {
    /// Always first: who does the work.
    Begun { epoch: Epoch, leader_pid: u32 },
    /// The work goes on; sent every [`HEARTBEAT`](super::HEARTBEAT) where there is nothing else to tell.
    Working,
    /// A part of a watch.
    Changes(#[serde(borrow)] Piece<'a>),
    /// The work is done, or has failed for good. Nothing follows.
    Done(std::result::Result<Outcome, Failure>),
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

/// A part of a watch: all changes in the range with sequences up to `through` that no part before it told.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Piece<'a> {
    /// Changes before those of this part cannot be told.
    pub gap: Option<Missing>,
    pub through: u64,
    /// See [`Changes`].
    #[serde(borrow)]
    pub packed: &'a Bytes,
}

/// Changes from `from` on are missing; what follows begins with `resume`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Missing {
    pub from: u64,
    pub resume: u64,
}

const PUT: u8 = 1;
const DELETE: u8 = 0;

/// Changes, one after the other: `sequence u64 | kind u8 (LevelDB's: 1 put, 0 delete) | key length u32 | key`, and for a
/// put `value length u32 | value`; little-endian.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    packed: Vec<u8>,
    at: usize,
}

/// A change as it is read from [`Changes`]; no value: a delete.
pub(crate) type RawChange = (u64, Vec<u8>, Option<Vec<u8>>);

impl Changes {
    pub fn push(&mut self, sequence: u64, key: &[u8], value: Option<&[u8]>) {
        self.packed.extend_from_slice(&sequence.to_le_bytes());
        self.packed.push(value.map_or(DELETE, |_| PUT));
        for bytes in std::iter::once(key).chain(value) {
            self.packed
                .extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            self.packed.extend_from_slice(bytes);
        }
    }

    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// Whether all were taken.
    pub fn is_empty(&self) -> bool {
        self.at == self.packed.len()
    }

    pub fn from_packed(packed: &[u8]) -> Self {
        Changes {
            packed: packed.to_vec(),
            at: 0,
        }
    }

    /// The next change.
    ///
    /// # Errors
    /// `Protocol`: it is not whole.
    pub fn take(&mut self) -> Result<Option<RawChange>> {
        if self.at == self.packed.len() {
            *self = Changes::default();
            return Ok(None);
        }
        let mut rest = &self.packed[self.at..];
        let change = read_change(&mut rest).ok_or_else(|| {
            Error::protocol("the changes of a watch are not whole: is the leader another release?")
        })?;
        self.at = self.packed.len() - rest.len();
        Ok(Some(change))
    }
}

fn read_change(rest: &mut &[u8]) -> Option<RawChange> {
    let sequence = u64::from_le_bytes(split(rest, 8)?.try_into().ok()?);
    let kind = split(rest, 1)?[0];
    let key = read_bytes(rest)?;
    let value = match kind {
        PUT => Some(read_bytes(rest)?),
        DELETE => None,
        _ => return None,
    };
    Some((sequence, key, value))
}

fn read_bytes(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let length = u32::from_le_bytes(split(rest, 4)?.try_into().ok()?);
    Some(split(rest, length as usize)?.to_vec())
}

fn split<'a>(rest: &mut &'a [u8], at: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(at)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_out_as_they_went_in_and_any_cut_is_an_error() {
        let mut changes = Changes::default();
        changes.push(7, b"k", Some(b""));
        changes.push(9, b"", None);
        let mut read = Changes::from_packed(changes.packed());
        let first = (7, b"k".to_vec(), Some(Vec::new()));
        assert_eq!(read.take().unwrap(), Some(first));
        assert_eq!(read.take().unwrap(), Some((9, Vec::new(), None)));
        assert_eq!(read.take().unwrap(), None);
        let second = changes.packed().len() - 13;
        for cut in (1..changes.packed().len()).filter(|cut| *cut != second) {
            let mut read = Changes::from_packed(&changes.packed()[..cut]);
            let all = std::iter::from_fn(|| read.take().transpose());
            assert!(all.take(3).any(|change| change.is_err()), "cut at {cut}");
        }
    }
}
