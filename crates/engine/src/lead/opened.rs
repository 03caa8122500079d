//! What an opening makes: [`Opened`], the parts of an engine, and [`Recovered`], what its owner is told.
//!
//! Must not know: how logs are read, or how what they held is settled.

use std::sync::Arc;

use level_party_format::Sequence;
use level_party_memtable::MemTableWriter;

use crate::commit::wal::Wal;
use crate::commit::work;
use crate::follow::manifest_contents::Contents;
use crate::follow::tail::past::PastLog;
use crate::lead::manifest::Manifest;
use crate::lead::obsolete::Obsolete;
use crate::read::run::Run;
use crate::read::version::Version;

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
    pub(crate) mem: MemTableWriter,
    /// Logs that are in tables, oldest first, which are kept for those who follow the batches.
    pub(crate) past: Vec<PastLog>,
}

/// What an engine stands on when it is opened.
pub(crate) enum Base {
    /// Everything recovered is in tables, which this manifest names.
    Settled(Manifest, Obsolete),
    Unsettled(Unsettled),
}

impl Base {
    /// The tables that are read from the beginning.
    pub(crate) fn version(&self) -> &Arc<Version> {
        match self {
            Base::Settled(manifest, _) => manifest.version(),
            Base::Unsettled(unsettled) => &unsettled.version,
        }
    }

    /// What is not in them.
    pub(crate) fn recovered(&self) -> Option<work::Recovered> {
        match self {
            Base::Settled(..) => None,
            Base::Unsettled(unsettled) => Some(work::Recovered {
                run: Arc::clone(&unsettled.run),
                logs: unsettled.logs.clone(),
            }),
        }
    }

    /// Logs below this number are in them; `wal` is the new log's.
    pub(crate) fn log_number(&self, wal: u64) -> u64 {
        match self {
            Base::Settled(..) => wal,
            Base::Unsettled(unsettled) => unsettled.contents.log_number,
        }
    }
}

/// What was recovered and is not in tables yet.
pub(crate) struct Unsettled {
    /// Of the manifest that was found, and its tables.
    pub(crate) contents: Contents,
    pub(crate) version: Arc<Version>,
    /// What the logs hold.
    pub(crate) run: Arc<Run>,
    /// The numbers of these logs, in order.
    pub(crate) logs: Vec<u64>,
    /// All names that were in the directory.
    pub(crate) names: Vec<String>,
    /// The numbers of logs that are kept for those who follow the batches.
    pub(crate) kept: Vec<u64>,
}
