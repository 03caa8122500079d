//! What looking at a whole database found.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

impl From<&level_party_engine::Problem> for Problem {
    fn from(problem: &level_party_engine::Problem) -> Self {
        Problem {
            file: problem.file.clone(),
            offset: problem.offset,
            what: problem.what.clone(),
        }
    }
}

/// What [`Db::verify`](crate::Db::verify) found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// What is wrong; empty for a sound database.
    pub problems: Vec<Problem>,
    /// Tables that were looked at.
    pub tables: u64,
    /// Data blocks in them.
    pub blocks: u64,
    /// Entries in the blocks that could be read.
    pub entries: u64,
    /// The last sequence found in a table.
    pub last_sequence: u64,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl From<level_party_engine::Verified> for VerifyReport {
    fn from(found: level_party_engine::Verified) -> Self {
        VerifyReport {
            problems: found.problems.iter().map(Problem::from).collect(),
            tables: found.tables,
            blocks: found.blocks,
            entries: found.entries,
            last_sequence: found.last_sequence,
        }
    }
}
