//! [`AsideLog`]: a log that an opening has set aside, and which of its batches can be brought back.
//!
//! An opening sets a log aside where recovery ended, with all later ones. The database then went on without them, and gave
//! their sequences to other writes: the two histories parted at the first sequence that was not recovered. An entry that
//! was set aside is newer than what was recovered before that, and older than all that was written since.
//!
//! Promises: a batch is offered only if its checksum is right and no opening has recovered it.
//! Must not know: what the database holds.

use std::borrow::Cow;

use level_party_format::Sequence;
use level_party_format::batch::BatchRef;
use level_party_format::filename::{self, FileKind};
use level_party_format::log::{LogItem, LogReader};

use crate::error::{Error, Result};
use crate::fs::Fs;
use crate::recovery::ASIDE_PREFIX;

/// A log that was set aside.
pub(super) struct AsideLog {
    pub(super) name: String,
    number: u64,
    /// Sound batches that were not recovered.
    pub(super) batches: u64,
    /// No sequence of a recovered write is as high. 0, if that can't be known: then nothing counts as recovered.
    pub(super) parted_at: Sequence,
}

/// The logs among `names` that were set aside and have something to bring back, in order.
pub(super) fn find(fs: &dyn Fs, names: &[String]) -> Result<Vec<AsideLog>> {
    let mut logs = Vec::new();
    for name in names {
        let number = name
            .strip_prefix(ASIDE_PREFIX)
            .and_then(|was| filename::parse(was.trim_end_matches(".more")));
        let Some((FileKind::Log, number)) = number else {
            continue;
        };
        let bytes = fs
            .read(name)
            .map_err(|error| Error::io("read", name, error))?;
        let mut log = AsideLog {
            name: name.clone(),
            number,
            batches: 0,
            parted_at: 0,
        };
        let (parted_at, batches) = unrecovered(&bytes);
        let first = batches.first().and_then(|batch| sequence_of(batch));
        log.batches = batches.len() as u64;
        log.parted_at = parted_at.or(first).unwrap_or(0);
        if log.batches > 0 {
            logs.push(log);
        }
    }
    logs.sort_by(|a, b| (a.number, &a.name).cmp(&(b.number, &b.name)));
    Ok(logs)
}

fn sequence_of(batch: &[u8]) -> Option<Sequence> {
    BatchRef::parse(batch).ok().map(|batch| batch.sequence())
}

/// The sound batches of a log that were not recovered when the log was set aside. A log with damage was recovered up to it,
/// and the sequence behind that comes along (0: the damage is at its start); one without damage was set aside for that of
/// an earlier one.
pub(super) fn unrecovered(bytes: &[u8]) -> (Option<Sequence>, Vec<Cow<'_, [u8]>>) {
    let mut recovered_to = 0;
    let mut has_flaw = false;
    let (mut before, mut behind) = (Vec::new(), Vec::new());
    for item in LogReader::new(bytes) {
        let payload = match item {
            LogItem::Record { payload, .. } => payload,
            LogItem::Bad { .. } => {
                has_flaw = true;
                continue;
            }
            LogItem::Torn { .. } => break,
        };
        let end = match BatchRef::parse(&payload) {
            // The beginning of a log of ours says how far the logs before it reach.
            Ok(batch) if batch.count() == 0 => {
                if !has_flaw {
                    recovered_to = recovered_to.max(batch.sequence());
                }
                continue;
            }
            Ok(batch) => batch.sequence() + u64::from(batch.count()),
            Err(_) => {
                has_flaw = true;
                continue;
            }
        };
        match has_flaw {
            true => behind.push(payload),
            false => {
                recovered_to = recovered_to.max(end);
                before.push(payload);
            }
        }
    }
    match has_flaw {
        true => (Some(recovered_to), behind),
        false => (None, before),
    }
}
