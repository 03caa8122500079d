//! What looking at a whole database found.

use std::fmt;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Problem {
    /// The file concerned.
    pub file: String,
    /// The offset in bytes in it, where there is one.
    pub offset: Option<u64>,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            Some(offset) => write!(f, "{} at offset {offset}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

impl Problem {
    fn of(problem: &level_party_engine::Problem) -> Self {
        Problem {
            file: problem.file.clone(),
            offset: problem.offset,
            what: problem.what.clone(),
        }
    }
}

/// What [`Db::verify`](crate::Db::verify) found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct VerifyReport {
    /// What is wrong in the files; empty for sound ones.
    pub problems: Vec<Problem>,
    /// Tables that were looked at.
    pub tables: u64,
    /// Data blocks in them.
    pub blocks: u64,
    /// Entries in the blocks that could be read.
    pub entries: u64,
    /// The last sequence found in a table.
    pub last_sequence: u64,
    /// What openings of the database lost and nobody has acknowledged; see
    /// [`LeaderStatus::losses`](crate::LeaderStatus::losses).
    pub losses: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is wrong, and no loss waits to be acknowledged.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty() && self.losses.is_empty()
    }
}

impl VerifyReport {
    pub(crate) fn of(found: level_party_engine::Verified, losses: Vec<String>) -> Self {
        VerifyReport {
            problems: found.problems.iter().map(Problem::of).collect(),
            tables: found.tables,
            blocks: found.blocks,
            entries: found.entries,
            last_sequence: found.last_sequence,
            losses,
        }
    }
}

/// What [`Db::destroy`](crate::Db::destroy) did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Destroyed {
    /// The files that were removed, in that order.
    pub removed: Vec<String>,
    /// What is left in the directory: it is no database's.
    pub left: Vec<String>,
    /// The directory was empty then, and was removed too.
    pub directory_removed: bool,
}

/// What [`Db::repair`](crate::Db::repair) found, and did or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct RepairReport {
    /// What is wrong: a few examples for each file, and a count.
    pub problems: Vec<Problem>,
    /// What openings have left out or set aside and nobody has acknowledged, a sentence each. A repair ends these reports.
    pub losses: Vec<String>,
    /// What is to be done, or was done, a sentence each. If there is nothing, nothing is done.
    pub actions: Vec<String>,
    /// Why a repair that is not a dry run would fail, where that is known.
    pub refusal: Option<String>,
    /// What could not be kept, a few sentences for each file; known only when it was done.
    pub lost: Vec<String>,
    /// The files that were set aside: the name each had, and the name it has.
    pub aside: Vec<(String, String)>,
    /// The repair was done; false for a dry run, and where there was nothing to do.
    pub done: bool,
}

impl RepairReport {
    pub(crate) fn of(repaired: level_party_engine::Repaired) -> Self {
        RepairReport {
            problems: repaired.problems.iter().map(Problem::of).collect(),
            losses: repaired.losses,
            actions: repaired.actions,
            refusal: repaired.refusal,
            lost: repaired.lost,
            aside: repaired.aside,
            done: repaired.done,
        }
    }
}
