//! What an opening makes: [`Opened`], the parts of an engine, and [`Recovered`], what its owner is told.
//!
//! Must not know: how logs are read, or who asks.

use level_party_format::Sequence;

use crate::commit::wal::Wal;
use crate::lead::kept_logs::KeptLogs;
use crate::lead::manifest::Manifest;
use crate::lead::obsolete::Obsolete;

/// What an opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The last sequence recovered: every write up to it is there, none above it.
    pub last_sequence: Sequence,
    /// What was left out or set aside, one sentence each.
    pub dropped: Vec<String>,
    /// The database did not exist before.
    pub created: bool,
}

/// The parts of an engine after recovery.
pub(crate) struct Opened {
    pub(crate) recovered: Recovered,
    pub(crate) base: Base,
    pub(crate) wal: Wal,
}

/// What a leader stands on when it begins: everything is in the tables that this manifest names, or in regions.
pub(crate) struct Base {
    pub(crate) manifest: Manifest,
    pub(crate) obsolete: Obsolete,
    /// Logs that stay for those who follow.
    pub(crate) kept: KeptLogs,
}
