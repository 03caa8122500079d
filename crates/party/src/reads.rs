//! One chunk of a range, collected with a cursor.

use std::ops::Bound;

use level_party_engine::{Cursor, Error as EngineError};

use crate::entries::{Entries, EntriesBuilder};
use crate::faults;
use crate::order::Order;

/// Removed keys that one chunk of a scan passes at most: tens of milliseconds of work, after which whoever asked says
/// whether it still wants the rest.
pub(crate) const MOST_PASSED: u64 = 1 << 16;
/// The same for a chunk that is collected at once: some tens of microseconds.
pub(crate) const FEW_PASSED: u64 = 1 << 8;

/// Which chunk of a range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'a> {
    pub order: &'a Order,
    pub lower: Bound<&'a [u8]>,
    pub upper: Bound<&'a [u8]>,
    pub reverse: bool,
    /// The values are left out (each is empty).
    pub keys_only: bool,
    /// Each value is preceded by the sequence of the write that put it (u64, little-endian).
    pub sequences: bool,
    /// The moment is to be held even if nothing more is left.
    pub hold: bool,
    /// The chunk ends with the entry that reaches this size.
    pub limit_bytes: usize,
    /// The chunk has no more entries than this (one at least).
    pub limit_entries: usize,
    /// It passes about so many removed keys at most.
    pub passes: u64,
}

/// A chunk that is collected by another thread.
pub(crate) struct OwnedScan {
    order: Order,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    /// The rest of it.
    rest: Scan<'static>,
}

impl OwnedScan {
    pub fn of(scan: &Scan<'_>) -> OwnedScan {
        OwnedScan {
            order: scan.order.clone(),
            lower: scan.lower.map(<[u8]>::to_vec),
            upper: scan.upper.map(<[u8]>::to_vec),
            rest: Scan {
                order: &Order::BYTEWISE,
                lower: Bound::Unbounded,
                upper: Bound::Unbounded,
                reverse: scan.reverse,
                keys_only: scan.keys_only,
                sequences: scan.sequences,
                hold: scan.hold,
                limit_bytes: scan.limit_bytes,
                limit_entries: scan.limit_entries,
                passes: scan.passes,
            },
        }
    }

    pub fn as_scan(&self) -> Scan<'_> {
        Scan {
            order: &self.order,
            lower: self.lower.as_ref().map(Vec::as_slice),
            upper: self.upper.as_ref().map(Vec::as_slice),
            ..self.rest
        }
    }
}

/// One chunk: from the bound that the scan begins at until the chunk is full or the range ends. `cursor` is a new one at the
/// scan's moment.
pub(crate) fn collect(scan: &Scan<'_>, cursor: Cursor) -> Result<Entries, EngineError> {
    let mut chunk = EntriesBuilder::new(scan.limit_bytes, scan.limit_entries);
    let walk = cursor.passing_at_most(faults::chunk_passes(scan.passes));
    let mut walk = match scan.keys_only {
        true => walk.keys_only(),
        false => walk.appending_values(),
    };
    position(&mut walk, scan)?;
    if !gather(&mut chunk, &mut walk, scan)? {
        return Ok(chunk.finish(true, None));
    }
    // Whoever asked has gone, or has no time left: then it does not ask on.
    Ok(match walk.stopped().filter(|key| within(key, scan)) {
        Some(reached) => chunk.finish(true, Some(reached.to_vec())),
        None => chunk.finish(false, None),
    })
}

/// Takes entries as long as the chunk has room. False: it has no more, and there are more entries.
fn gather(
    chunk: &mut EntriesBuilder,
    cursor: &mut Cursor,
    scan: &Scan<'_>,
) -> level_party_engine::Result<bool> {
    while cursor.valid() && within(cursor.key(), scan) {
        if chunk.is_full() {
            return Ok(false);
        }
        chunk.push(cursor.key(), |packed| {
            if scan.sequences {
                packed.extend_from_slice(&cursor.sequence().to_le_bytes());
            }
            cursor.append_value(packed);
        });
        match scan.reverse {
            false => cursor.next()?,
            true => cursor.prev()?,
        }
    }
    Ok(true)
}

fn position(cursor: &mut Cursor, scan: &Scan<'_>) -> level_party_engine::Result<()> {
    match (scan.reverse, scan.lower, scan.upper) {
        (false, Bound::Unbounded, _) => cursor.seek_to_first(),
        (false, Bound::Included(key), _) => cursor.seek(key),
        (false, Bound::Excluded(key), _) => {
            cursor.seek(key)?;
            match cursor.valid() && scan.order.compare(cursor.key(), key).is_eq() {
                true => cursor.next(),
                false => Ok(()),
            }
        }
        (true, _, Bound::Unbounded) => cursor.seek_to_last(),
        (true, _, Bound::Excluded(key)) => cursor.seek_before(key),
        (true, _, Bound::Included(key)) if scan.order.is_bytewise() => {
            cursor.seek_before(&just_after(key))
        }
        (true, _, Bound::Included(key)) => {
            cursor.seek(key)?;
            match cursor.valid() && scan.order.compare(cursor.key(), key).is_eq() {
                true => Ok(()),
                false => cursor.seek_before(key),
            }
        }
    }
}

/// The first key after `key`, in the order of bytes.
fn just_after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// Whether `key` has not passed the bound at which the scan ends.
fn within(key: &[u8], scan: &Scan<'_>) -> bool {
    match scan.reverse {
        false => scan.order.is_below(scan.upper, key),
        true => scan.order.is_above(scan.lower, key),
    }
}
