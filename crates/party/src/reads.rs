//! One chunk of a range, collected with a cursor.

use std::ops::Bound;

use level_party_engine::{Cursor, Error as EngineError};

use crate::entries::{Entries, EntriesBuilder};
use crate::faults;

/// Removed keys that one chunk of a scan passes at most: tens of milliseconds of work, after which whoever asked says
/// whether it still wants the rest.
const MAX_PASSED: u64 = 1 << 16;

/// Which chunk of a range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'a> {
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
}

/// A chunk that is collected by another thread.
pub(crate) struct OwnedScan {
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    /// The rest of it.
    scan: Scan<'static>,
}

impl OwnedScan {
    pub fn of(scan: &Scan<'_>) -> OwnedScan {
        OwnedScan {
            lower: scan.lower.map(<[u8]>::to_vec),
            upper: scan.upper.map(<[u8]>::to_vec),
            scan: Scan {
                lower: Bound::Unbounded,
                upper: Bound::Unbounded,
                ..*scan
            },
        }
    }

    pub fn as_scan(&self) -> Scan<'_> {
        Scan {
            lower: self.lower.as_ref().map(Vec::as_slice),
            upper: self.upper.as_ref().map(Vec::as_slice),
            ..self.scan
        }
    }
}

/// One chunk: from the bound that the scan begins at until the chunk is full or the range ends. `cursor` makes a new
/// cursor at the scan's moment, which passes so many removed keys.
pub(crate) fn collect(
    scan: &Scan<'_>,
    cursor: impl Fn(u64) -> Result<Cursor, EngineError>,
) -> Result<Entries, EngineError> {
    let mut chunk = EntriesBuilder::new(scan.limit_bytes, scan.limit_entries);
    let mut walk = cursor(faults::chunk_passes(MAX_PASSED))?;
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
        let value: &[u8] = match scan.keys_only {
            true => b"",
            false => cursor.value(),
        };
        let sequence = cursor.sequence().to_le_bytes();
        let stamp: &[u8] = match scan.sequences {
            true => &sequence,
            false => b"",
        };
        chunk.push(cursor.key(), stamp, value);
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
            match cursor.valid() && cursor.key() == key {
                true => cursor.next(),
                false => Ok(()),
            }
        }
        (true, _, Bound::Unbounded) => cursor.seek_to_last(),
        (true, _, Bound::Excluded(key)) => cursor.seek_before(key),
        (true, _, Bound::Included(key)) => cursor.seek_before(&just_after(key)),
    }
}

/// The first key after `key`, in the order of bytes.
fn just_after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// Whether `key` has not passed the bound at which the scan ends.
fn within(key: &[u8], scan: &Scan<'_>) -> bool {
    match (scan.reverse, scan.lower, scan.upper) {
        (false, _, Bound::Included(upper)) => key <= upper,
        (false, _, Bound::Excluded(upper)) => key < upper,
        (true, Bound::Included(lower), _) => key >= lower,
        (true, Bound::Excluded(lower), _) => key > lower,
        (false, _, Bound::Unbounded) | (true, Bound::Unbounded, _) => true,
    }
}
