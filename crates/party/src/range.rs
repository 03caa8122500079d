//! Iterators over a range of keys at one moment.
//!
//! An iterator is three things: the range that is left, the moment (a sequence number that the leader keeps
//! readable), and one buffered chunk for each end. Each chunk is asked for by its range alone, so the leader keeps
//! no cursor for anyone, and when the leader changes the next chunk is simply asked of the new one: the range that is
//! left begins *after* the last key seen (an exclusive bound: no key is computed), in either direction.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use serde_bytes::Bytes;

use crate::batch::check_key;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{Handle, Pinned};
use crate::protocol::{Entries, Scan};
use crate::session::Tenure;

/// The first chunk is small, so that a short scan costs little; the following ones grow to spare round trips.
const FIRST_CHUNK_BYTES: u32 = 4 << 10;
const LAST_CHUNK_BYTES: u32 = 256 << 10;

/// A range of keys, compared bytewise.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub lower: Bound<Vec<u8>>,
    pub upper: Bound<Vec<u8>>,
}

impl Bounds {
    pub fn all() -> Self {
        Bounds {
            lower: Bound::Unbounded,
            upper: Bound::Unbounded,
        }
    }

    pub fn from_range<K: AsRef<[u8]>>(range: impl RangeBounds<K>) -> Self {
        let owned = |b: Bound<&K>| b.map(|k| k.as_ref().to_vec());
        Bounds {
            lower: owned(range.start_bound()),
            upper: owned(range.end_bound()),
        }
    }

    /// Keys that begin with `prefix`: up to, not including, the shortest key after them all.
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        while end.last() == Some(&0xff) {
            end.pop();
        }
        let upper = match end.last_mut() {
            Some(last) => {
                *last += 1;
                Bound::Excluded(end)
            }
            None => Bound::Unbounded,
        };
        Bounds {
            lower: Bound::Included(prefix.to_vec()),
            upper,
        }
    }

    /// The bounds as they travel.
    ///
    /// # Errors
    /// `InvalidArgument`: a bound is over the limit of a key.
    pub fn checked(&self) -> Result<(Bound<&Bytes>, Bound<&Bytes>)> {
        let check = |bound: &Bound<Vec<u8>>| match bound {
            Bound::Included(key) | Bound::Excluded(key) => check_key(key),
            Bound::Unbounded => Ok(()),
        };
        check(&self.lower)?;
        check(&self.upper)?;
        Ok((
            self.lower.as_ref().map(|key| Bytes::new(key)),
            self.upper.as_ref().map(|key| Bytes::new(key)),
        ))
    }

    /// Whether no key at all can lie in the range.
    pub fn is_empty(&self) -> bool {
        use Bound::{Excluded, Included, Unbounded};
        match (&self.lower, &self.upper) {
            (_, Excluded(upper)) if upper.is_empty() => true,
            (Unbounded, _) | (_, Unbounded) => false,
            (Included(lower), Included(upper)) => lower > upper,
            (Included(lower) | Excluded(lower), Excluded(upper))
            | (Excluded(lower), Included(upper)) => lower >= upper,
        }
    }
}

/// The entries of a range at one moment, in key order; made by [`Db::range`](crate::Db::range) and its kin.
///
/// Double-ended: [`Iterator::rev`] walks it from the last key. After an error it ends.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path())?;
/// db.batch().put("a", "1").put("b", "2").put("c", "3").write()?;
/// let keys = db.range("b"..).rev().map(|entry| Ok(entry?.0)).collect::<level_party::Result<Vec<_>>>()?;
/// assert_eq!(keys, [b"c", b"b"]);
/// # Ok::<(), level_party::Error>(())
/// ```
pub struct Range {
    handle: Arc<Handle>,
    /// The moment, once known: from a snapshot, or from the first chunk.
    pin: Option<Arc<Pinned>>,
    /// The leadership the first chunk came from; `retry(false)` holds the stream to it.
    tenure: Option<Tenure>,
    /// What neither end has asked for yet.
    left: Bounds,
    front: Chunk,
    back: Chunk,
    /// Nothing is left to ask for.
    drained: bool,
    failed: bool,
}

/// Entries that came and were not handed out yet.
struct Chunk {
    entries: Option<Entries>,
    next_bytes: u32,
}

impl Chunk {
    fn new() -> Self {
        Chunk {
            entries: None,
            next_bytes: FIRST_CHUNK_BYTES,
        }
    }

    fn pop(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        let entry = self.entries.as_mut()?.pop();
        if entry.is_none() {
            self.entries = None;
        }
        entry
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Front,
    Back,
}

impl Range {
    pub(crate) fn new(handle: Arc<Handle>, pin: Option<Arc<Pinned>>, bounds: Bounds) -> Self {
        let drained = bounds.is_empty();
        Range {
            handle,
            pin,
            tenure: None,
            left: bounds,
            front: Chunk::new(),
            back: Chunk::new(),
            drained,
            failed: false,
        }
    }

    fn step(&mut self, end: End) -> Option<Result<(Vec<u8>, Vec<u8>)>> {
        if self.failed {
            return None;
        }
        match self.try_step(end) {
            Ok(entry) => entry.map(Ok),
            Err(error) => {
                self.failed = true;
                self.pin = None;
                Some(Err(error))
            }
        }
    }

    fn try_step(&mut self, end: End) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        loop {
            let (mine, other) = match end {
                End::Front => (&mut self.front, &mut self.back),
                End::Back => (&mut self.back, &mut self.front),
            };
            if let Some(entry) = mine.pop() {
                return Ok(Some(entry));
            }
            if self.drained {
                // The two ends met: what the other end has buffered is all there is, nearest to me last.
                return Ok(other.entries.as_mut().and_then(Entries::pop_last));
            }
            self.fill(end)?;
        }
    }

    fn fill(&mut self, end: End) -> Result<()> {
        let chunk = match end {
            End::Front => &mut self.front,
            End::Back => &mut self.back,
        };
        let (lower, upper) = self.left.checked()?;
        let scan = Scan {
            at: None,
            lower,
            upper,
            reverse: end == End::Back,
            keys_only: false,
            limit_bytes: chunk.next_bytes,
        };
        chunk.next_bytes = (chunk.next_bytes * 4).min(LAST_CHUNK_BYTES);
        let (entries, pinned, tenure) =
            self.handle.scan(&scan, self.pin.as_deref(), self.tenure)?;
        if let Some(pinned) = pinned {
            self.pin = Some(Arc::new(pinned));
        }
        self.tenure = Some(tenure);
        let Some(last) = entries.last_key() else {
            self.drained = true;
            return Ok(());
        };
        let edge = Bound::Excluded(last.to_vec());
        match end {
            End::Front => self.left.lower = edge,
            End::Back => self.left.upper = edge,
        }
        self.drained = !entries.more() || self.left.is_empty();
        chunk.entries = Some(entries);
        Ok(())
    }
}

impl Iterator for Range {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(End::Front)
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(End::Back)
    }
}

impl std::iter::FusedIterator for Range {}

/// What a stream with `retry(false)` ends with when its leader has gone.
pub(crate) fn stream_lost() -> Error {
    Error::new(
        ErrorKind::ConnectionLost,
        "the leader went while this stream was open; start it again (or open with retry)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upper(prefix: &[u8]) -> Bound<Vec<u8>> {
        Bounds::prefix(prefix).upper
    }

    #[test]
    fn a_prefix_ends_before_the_shortest_key_after_it() {
        assert_eq!(upper(b"ab"), Bound::Excluded(b"ac".to_vec()));
        assert_eq!(upper(b"a\xff"), Bound::Excluded(b"b".to_vec()));
        assert_eq!(upper(b"\xff\xff"), Bound::Unbounded);
        assert_eq!(upper(b""), Bound::Unbounded);
    }

    #[test]
    fn an_empty_upper_bound_is_not_an_absent_one() {
        assert!(Bounds::from_range(..b"".as_slice()).is_empty());
        assert!(!Bounds::from_range(..=b"".as_slice()).is_empty());
        assert!(!Bounds::from_range::<&[u8]>(..).is_empty());
        assert!(Bounds::from_range("b".."a").is_empty());
    }
}
