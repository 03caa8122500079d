//! Succession: which records of a log do not count, because the process that appended them had been succeeded.
//!
//! An opening reads the logs that it found and goes on in a new one. Whoever wrote them may live on: it looked whether the
//! directory was still its own ([`Before::Append`](crate::Before::Append)), stood still, lost every lock and the
//! directory, and appends one record more when it goes on. It answers nothing then (`Before::Answer`). Where the logs
//! were in tables before the first answer, nobody reads that record any more. But a successor that is not
//! [settled](crate::settle) leaves them for the next opening, which would find a write that the successor never saw, with
//! sequences that the successor gave to others.
//!
//! Invariants:
//! - The log of each opening of a database that was there **begins with an empty batch**, whose sequence is the first that
//!   this opening may give. It is appended before the opening returns, so before anybody is told how far the logs were
//!   recovered, and also where no write follows. LevelDB reads it as the empty batch that it is.
//! - A record of an earlier log that begins at or behind the first such sequence in a later log was appended late, and does
//!   not count: not in a recovery, a checkpoint or a repair. Records have no gaps between them, and an opening takes whole
//!   ones, so no record begins before that sequence and reaches past it.
//! - No other log has the rule applied to it: logs of one process follow each other without overlap, and of another
//!   program's logs ([`Options::foreign_logs`](crate::Options::foreign_logs)) nothing is concluded. An opening that is settled
//!   before its first answer leaves none to be replayed again, but one may be kept for who follows the batches
//!   ([`crate::tail`]), and a repair without a manifest reads whatever is there.
//! - What a former process makes late touches nothing of its successor's: a log, table or manifest is created only where
//!   there is none of its number ([`Fs::create_new`]).
//!
//! Crash cases. The process dies before its empty batch is whole: it has told nobody anything, and whatever the logs hold
//! by then counts. It dies after that: the batch bounds the logs before it, for every later opening, until they are in
//! tables. The batch can't be appended (the disk is full): reads are answered, and the first write ends writing; for as
//! long as that leadership lasts, and until the next opening, a late record would count. The power fails: what a later log's
//! beginning says may be what the medium had there before, and earlier logs may hold what was synced. So nothing earlier
//! is left out; a log that begins at or below what an earlier one holds ends recovery instead, as a gap does. Nothing in it
//! was answered with `sync`: that waits until the earlier logs are in tables.

use std::io;

use level_party_format::batch::{BatchRef, HEADER_LEN, WriteBatch};
use level_party_format::log::{self, LogItem, LogReader};
use level_party_format::{MAX_SEQUENCE, Sequence, filename};

use crate::error::{Error, Result};
use crate::fs::{Fs, ReadFile};

/// What a log begins with whose first sequence is `first`; nothing, if there is none left to give.
pub(crate) fn beginning(first: Sequence) -> Option<WriteBatch> {
    (first <= MAX_SEQUENCE).then(|| {
        let mut batch = WriteBatch::new();
        batch.set_sequence(first);
        batch
    })
}

/// The first sequence of a log, where it says so.
pub(crate) fn first_sequence(log: &dyn ReadFile) -> io::Result<Option<Sequence>> {
    let mut head = [0; log::HEADER_LEN + HEADER_LEN];
    if log.len() < head.len() as u64 {
        return Ok(None);
    }
    log.read_at(&mut head, 0)?;
    Ok(match LogReader::new(&head).next() {
        Some(LogItem::Record { payload, .. }) => BatchRef::parse(&payload)
            .ok()
            .filter(|batch| batch.count() == 0)
            .map(|batch| batch.sequence()),
        _ => None,
    })
}

/// For each log, in order, from which sequence on its records do not count, where the logs begin so.
pub(crate) fn ends(firsts: &[Option<Sequence>]) -> Vec<Sequence> {
    let mut ends = vec![Sequence::MAX; firsts.len()];
    for at in (1..firsts.len()).rev() {
        ends[at - 1] = ends[at].min(firsts[at].unwrap_or(Sequence::MAX));
    }
    ends
}

/// The same of the logs with these numbers.
pub(crate) fn ends_of(fs: &dyn Fs, logs: &[u64]) -> Result<Vec<Sequence>> {
    // Nothing comes before the first.
    let later = logs.iter().skip(1).map(|number| first_of(fs, *number));
    let firsts: Vec<_> = logs
        .first()
        .map(|_| Ok(None))
        .into_iter()
        .chain(later)
        .collect::<Result<_>>()?;
    Ok(ends(&firsts))
}

/// The same where some of them may be damaged.
pub(crate) fn ends_of_readable(fs: &dyn Fs, logs: &[u64]) -> Vec<Sequence> {
    let first = |number: &u64| first_of(fs, *number).ok().flatten();
    ends(&logs.iter().map(first).collect::<Vec<_>>())
}

fn first_of(fs: &dyn Fs, number: u64) -> Result<Option<Sequence>> {
    let name = filename::log(number);
    let log = fs.open_read(&name);
    log.and_then(|log| first_sequence(log.as_ref()))
        .map_err(|error| Error::io("read", &name, error))
}

/// Whether a batch was appended late to a log whose records do not count from `end` on.
pub(crate) fn is_late(batch: &BatchRef<'_>, end: Sequence) -> bool {
    batch.count() > 0 && batch.sequence() >= end
}

/// What is said of records that were.
pub(crate) fn said(late: u64, name: &str, end: Sequence) -> String {
    format!(
        "{late} records of {name} from sequence {end} on: they were appended after the process that wrote it had been \
         succeeded, and never answered"
    )
}
