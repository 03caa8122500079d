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
use level_party_format::batch::{BatchRef, HEADER_LEN as BATCH_HEADER_LEN};
use level_party_format::filename::{self, FileKind};
use level_party_format::log::{self, LogItem, LogReader};

use crate::base::error::{Error, Result};
use crate::base::fs::Fs;
use crate::lead::aside_names::ASIDE_PREFIX;

/// Types of a record's first fragment: the whole record, or its beginning.
const FULL: u8 = 1;
const FIRST: u8 = 2;

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
        log.parted_at = match (parted_at, first) {
            (Some(0), Some(first)) => damaged_start(&bytes, first).unwrap_or(0),
            (parted_at, first) => parted_at.or(first).unwrap_or(0),
        };
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

/// The sequence with which a log begins whose first records are damaged, where `sound` is that of its first sound batch.
/// Damage seldom hits a header: a sequence is believed if the damaged records, by their own lengths and counts, lead from
/// it to exactly that batch.
fn damaged_start(bytes: &[u8], sound: Sequence) -> Option<Sequence> {
    let sound_at = LogReader::new(bytes).find_map(|item| match item {
        LogItem::Record {
            payload, offset, ..
        } if BatchRef::parse(&payload).is_ok_and(|batch| batch.count() > 0) => Some(offset),
        _ => None,
    })?;
    let sound_at = usize::try_from(sound_at).ok()?;
    let (mut at, mut first, mut next) = (0, None, None);
    while at < sound_at {
        let block_left = log::BLOCK_LEN - at % log::BLOCK_LEN;
        if block_left < log::HEADER_LEN {
            at += block_left;
            continue;
        }
        let header = bytes.get(at..at + log::HEADER_LEN)?;
        let len = usize::from(u16::from_le_bytes([header[4], header[5]]));
        if matches!(header[6], FULL | FIRST) {
            let batch = bytes.get(at + log::HEADER_LEN..at + log::HEADER_LEN + BATCH_HEADER_LEN)?;
            let (sequence, count) = batch.split_at(8);
            let sequence = Sequence::from_le_bytes(sequence.try_into().ok()?);
            if next.is_some_and(|next| next != sequence) {
                return None;
            }
            first.get_or_insert(sequence);
            let count = u32::from_le_bytes(count.try_into().ok()?);
            next = Some(sequence.checked_add(u64::from(count))?);
        }
        at += log::HEADER_LEN + len;
    }
    first.filter(|_| at == sound_at && next == Some(sound))
}
