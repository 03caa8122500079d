//! [`AsideLog`]: a log that an opening has set aside, and which of its batches can be brought back.
//!
//! An opening sets a log aside where recovery ended, with all later ones. The database then went on without them, and gave
//! their sequences to other writes: the two histories parted at the first sequence that was not recovered. An entry that
//! was set aside is newer than what was recovered before that, and older than all that was written since.
//!
//! Promises: a batch is offered only if its checksum is right and no opening has recovered it.
//! Must not know: what the database holds.

use std::borrow::Cow;
use std::collections::HashSet;

use level_party_format::Sequence;
use level_party_format::batch::BatchRef;
use level_party_format::log::{LogItem, LogReader};

use crate::base::error::{Error, Result};
use crate::base::fs::Fs;
use crate::lead::aside_names::AsideName;

/// A log that was set aside.
pub(super) struct AsideLog {
    pub(super) name: String,
    said: AsideName,
    /// Sound batches that were not recovered.
    pub(super) batches: u64,
    /// No sequence of a recovered write is as high. 0, if that can't be known: then nothing counts as recovered.
    pub(super) parted_at: Sequence,
}

/// The logs among `names` that were set aside and have something to bring back, in order.
pub(super) fn find(fs: &dyn Fs, names: &[String]) -> Result<Vec<AsideLog>> {
    let mut logs = Vec::new();
    for name in names {
        let Some(said) = AsideName::parse(name) else {
            continue;
        };
        let bytes = fs
            .read(name)
            .map_err(|error| Error::io("read", name, error))?;
        let (parted_at, batches) = unrecovered(&bytes, said);
        if !batches.is_empty() {
            logs.push(AsideLog {
                name: name.clone(),
                said,
                batches: batches.len() as u64,
                parted_at,
            });
        }
    }
    logs.sort_by(|a, b| (a.said.log, &a.name).cmp(&(b.said.log, &b.name)));
    Ok(logs)
}

impl AsideLog {
    /// Its sound batches that were not recovered, of the bytes of its file.
    pub(super) fn unrecovered<'a>(&self, bytes: &'a [u8]) -> Vec<Cow<'a, [u8]>> {
        unrecovered(bytes, self.said).1
    }
}

/// The sound batches of a log that were not recovered when it was set aside, and the sequence at which the histories
/// parted. Where its name does not say that, a log with damage was recovered up to it, and parted behind that. One without
/// damage was set aside for that of another, so nothing is known: 0.
fn unrecovered(bytes: &[u8], said: AsideName) -> (Sequence, Vec<Cow<'_, [u8]>>) {
    let mut recovered_to = 0;
    let mut has_flaw = false;
    let (mut before, mut behind) = (Vec::new(), Vec::new());
    let mut lowest = Sequence::MAX;
    for item in LogReader::new(bytes) {
        let (payload, offset) = match item {
            LogItem::Record {
                payload, offset, ..
            } => (payload, offset),
            LogItem::Bad { .. } => {
                has_flaw = true;
                continue;
            }
            LogItem::Torn { .. } => break,
        };
        let (first, end) = match BatchRef::parse(&payload) {
            Ok(batch) if batch.count() == 0 => continue,
            Ok(batch) => (
                batch.sequence(),
                batch.sequence() + u64::from(batch.count()),
            ),
            Err(_) => {
                has_flaw = true;
                continue;
            }
        };
        let is_behind = match said.from {
            Some(_) => offset >= said.at.unwrap_or(0),
            None => has_flaw,
        };
        match is_behind {
            true => {
                lowest = lowest.min(first);
                behind.push(payload);
            }
            false => {
                recovered_to = recovered_to.max(end);
                before.push(payload);
            }
        }
    }
    match (said.from, has_flaw) {
        // A log of another history may begin lower.
        (Some(from), _) => (from.min(lowest), behind),
        (None, true) => (recovered_to, behind),
        (None, false) => (0, before),
    }
}

/// The operations that can be brought back, as sequences and user keys. A repair that was cut short has left tables of them,
/// which say no longer where they come from.
pub(super) fn operations(fs: &dyn Fs, logs: &[AsideLog]) -> Result<HashSet<(Sequence, Vec<u8>)>> {
    let mut operations = HashSet::new();
    for log in logs {
        let read = fs.read(&log.name);
        let bytes = read.map_err(|error| Error::io("read", &log.name, error))?;
        for payload in log.unrecovered(&bytes) {
            let Ok(batch) = BatchRef::parse(&payload) else {
                continue;
            };
            let keys = batch.iter().map(|op| op.key().to_vec());
            operations.extend((batch.sequence()..).zip(keys));
        }
    }
    Ok(operations)
}
