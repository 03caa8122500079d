//! Succession: which records of a log do not count, because the process that appended them had been succeeded.
//!
//! A founder reads the logs that it found into tables and goes on in a new one. Whoever wrote them may live on: it looked
//! whether the directory was still its own ([`Before::Append`](crate::Before::Append)), stood still, lost every lock and the
//! directory, and appends one record more when it goes on. It answers nothing then (`Before::Answer`). Where the manifest
//! names the founder's tables, no opening reads that record. But the log may be kept for those who follow what is committed
//! ([`crate::follow::tail`]), a repair without a manifest reads whatever is there, and a founder that died before its manifest
//! was named leaves the log to the next one. They would find a write that the founder never saw, with sequences that the
//! founder gave to others.
//!
//! Invariants:
//! - The log of each opening of a database that was there **begins with an empty batch**, whose sequence is the first that
//!   this opening may give. It is appended before the opening returns, so before anybody is told how far the logs were
//!   recovered, and also where no write follows. LevelDB reads it as the empty batch that it is.
//! - A record of an earlier log that begins at or behind the first such sequence in a later log was appended late, and does
//!   not count: not in a recovery, a tail or a repair. Records have no gaps between them, and an opening takes whole
//!   ones, so no record begins before that sequence and reaches past it.
//! - No other log has the rule applied to it: logs of one segment follow each other without overlap, and of another
//!   program's logs ([`Options::foreign_logs`](crate::Options::foreign_logs)) nothing is concluded.
//! - A beginning may come late too: a candidate makes its log, stands still, and is succeeded before it appends that. Then
//!   nothing follows it in its log, and the next beginning goes by what its successor counted. So a beginning that is alone
//!   bounds nothing where a later log has one; where it was not late, the later one is the same sequence.
//! - What a former process makes late touches nothing of its successor's: a log, table or manifest is created only where
//!   there is none of its number ([`Fs::create_log`], [`Fs::create_new`]).
//!
//! Crash cases. The process dies before its empty batch is whole, or that can't be appended: it has told nobody anything, and
//! whatever the logs hold by then counts. It dies after that: the batch bounds the logs before it, for every later opening,
//! until they are in tables. The power fails: what a later log's beginning says may be what the medium had there before, and
//! earlier logs may hold what was synced. So nothing earlier is left out; a log that begins at or below what an earlier one
//! holds ends recovery instead, as a gap does. Nothing in it was answered: its manifest was not durable.

use std::io;

use level_party_format::batch::{BatchRef, HEADER_LEN, WriteBatch};
use level_party_format::log::{self, LogItem, LogReader};
use level_party_format::{MAX_SEQUENCE, Sequence, filename};

use crate::base::error::{Error, Result};
use crate::base::fs::{Fs, ReadFile};

/// What a log begins with whose first sequence is `first`; nothing, if there is none left to give.
pub(crate) fn beginning(first: Sequence) -> Option<WriteBatch> {
    (first <= MAX_SEQUENCE).then(|| {
        let mut batch = WriteBatch::new();
        batch.set_sequence(first);
        batch
    })
}

/// How a log begins that says so.
#[derive(Clone, Copy)]
struct Beginning {
    first: Sequence,
    /// Nothing follows it in its log.
    is_alone: bool,
}

/// The beginning of a log, where it has one.
fn beginning_of(log: &dyn ReadFile) -> io::Result<Option<Beginning>> {
    let mut head = [0; log::HEADER_LEN + HEADER_LEN];
    if log.len() < head.len() as u64 {
        return Ok(None);
    }
    log.read_at(&mut head, 0)?;
    Ok(match LogReader::new(&head).next() {
        Some(LogItem::Record { payload, .. }) => BatchRef::parse(&payload)
            .ok()
            .filter(|batch| batch.count() == 0)
            .map(|batch| Beginning {
                first: batch.sequence(),
                is_alone: log.len() == head.len() as u64,
            }),
        _ => None,
    })
}

/// For each log, in order, from which sequence on its records do not count, where the logs begin so.
fn ends(beginnings: &[Option<Beginning>]) -> Vec<Sequence> {
    let mut ends = vec![Sequence::MAX; beginnings.len()];
    for at in (1..beginnings.len()).rev() {
        let later = ends[at];
        ends[at - 1] = match beginnings[at] {
            // It came late itself: whoever came next had counted more by then.
            Some(own) if own.is_alone && later != Sequence::MAX => later,
            Some(own) => later.min(own.first),
            None => later,
        };
    }
    ends
}

/// The same of the logs with these numbers.
pub(crate) fn ends_of(fs: &dyn Fs, logs: &[u64]) -> Result<Vec<Sequence>> {
    // Nothing comes before the first.
    let later = logs.iter().skip(1).map(|number| beginning_at(fs, *number));
    let beginnings: Vec<_> = logs
        .first()
        .map(|_| Ok(None))
        .into_iter()
        .chain(later)
        .collect::<Result<_>>()?;
    Ok(ends(&beginnings))
}

/// The same where some of them may be damaged. A successor never begins before its predecessor, so logs whose beginnings
/// descend have been mixed up, and none bounds another.
pub(crate) fn ends_of_readable(fs: &dyn Fs, logs: &[u64]) -> Vec<Sequence> {
    let beginning = |number: &u64| beginning_at(fs, *number).ok().flatten();
    let beginnings: Vec<_> = logs.iter().map(beginning).collect();
    match beginnings.iter().flatten().is_sorted_by_key(|it| it.first) {
        true => ends(&beginnings),
        false => vec![Sequence::MAX; logs.len()],
    }
}

fn beginning_at(fs: &dyn Fs, number: u64) -> Result<Option<Beginning>> {
    let name = filename::log(number);
    let log = fs.open_read(&name);
    log.and_then(|log| beginning_of(log.as_ref()))
        .map_err(|error| Error::io("read", &name, error))
}

/// What is missing before a log of ours that begins with this empty batch, where `last` is the last sequence that was found
/// before it: every log of an opening begins right behind what the opening had recovered.
pub(crate) fn gap(beginning: &BatchRef<'_>, last: Option<Sequence>) -> Option<String> {
    let (first, last) = (beginning.sequence(), last?);
    let missing = first.checked_sub(last + 1).filter(|missing| *missing > 0)?;
    let missing = match missing {
        1 => "1 write is".to_owned(),
        count => format!("{count} writes are"),
    };
    Some(format!(
        "it begins with the sequence {first}, but what comes before it ends at {last}: {missing} missing"
    ))
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
