//! The stored entries of a range of keys at one moment, walked from both ends. What users see of it is `range.rs`.
//!
//! A walk is three things: the range that is left, the moment (a sequence number that is kept readable), and one buffered
//! chunk for each end. Each chunk is asked for by its range alone, so no cursor outlives a call, and when this process has to
//! open the database anew the next chunk is simply asked of what it has then: the range that is
//! left begins *after* the last key seen (an exclusive bound: no key is computed), in either direction.
//!
//! The moment is pinned by the first chunk if more is left. If nothing is, that chunk is kept: it is the whole range,
//! so that a seek finds everything in it. A range that was sought before its first chunk pins in any case, since that
//! chunk is not the whole. So either there is a pin, or the chunk in hand is all there is.

use std::ops::Bound;
use std::sync::Arc;
use std::task::Poll;

use level_party_engine::nonblocking;

use crate::bounds::Bounds;
use crate::entries::Entries;
use crate::error::{Error, Result};
use crate::faults;
use crate::handle::{Handle, Pinned, Scanned};
use crate::limits::{Limits, Stay, Wait, now};
use crate::reads::{FEW_PASSED, MOST_PASSED, Scan};

/// The first chunk is small, so that a short scan costs little: about ten small entries. The following ones grow.
const FIRST_CHUNK_BYTES: usize = 1280;
/// Behind a seek it is a few entries: often the first is all that is looked at.
const SOUGHT_CHUNK_BYTES: usize = 256;
/// The largest chunk that is collected where nothing may be waited for: some ten microseconds.
const LARGEST_AT_ONCE: usize = 4 << 10;
/// How much larger each chunk is than the one before it, so that about as much is read ahead as was taken before.
const GROWTH: usize = 2;
const LAST_CHUNK_BYTES: usize = 128 << 10;

/// The stored entries of a range at one moment, in key order.
pub(crate) struct Stored {
    handle: Arc<Handle>,
    /// What every key begins with and the caller does not see.
    prefix: Arc<[u8]>,
    /// The moment, once known: from a snapshot, or from the first chunk.
    pin: Option<Arc<Pinned>>,
    /// The stay the first chunk came from; `retry(false)` holds the stream to it.
    stay: Option<Stay>,
    /// The whole range, which a seek stays within.
    bounds: Bounds,
    /// What neither end has asked for yet.
    left: Bounds,
    front: Side,
    back: Side,
    parts: Parts,
    /// How many entries may be handed out yet.
    remaining: u64,
    /// A seek came before the first chunk.
    sought: bool,
    /// Nothing is left to ask for.
    drained: bool,
    failed: bool,
    /// What the first step ends with: the range means nothing here.
    problem: Option<Error>,
}

/// What each entry is to have.
#[derive(Clone, Copy, Default)]
pub(crate) struct Parts {
    pub keys_only: bool,
    /// Values preceded by their sequences.
    pub sequences: bool,
}

/// One end of a range: where it stands, and what came and was not handed out yet.
struct Side {
    chunk: Option<Entries>,
    next_bytes: usize,
    position: Position,
}

impl Side {
    fn new() -> Self {
        Side {
            chunk: None,
            next_bytes: FIRST_CHUNK_BYTES,
            position: Position {
                start: None,
                last: Vec::new(),
                moved: false,
            },
        }
    }
}

/// Where one end stands.
struct Position {
    /// Where it was last moved to. `None`: it began at the bound of the whole range.
    start: Option<Bound<Vec<u8>>>,
    /// The key it handed out last since then.
    last: Vec<u8>,
    moved: bool,
}

impl Position {
    /// The bound of what was not handed out, of a range that has this one as a whole.
    fn bound(&self, whole: &Bound<Vec<u8>>) -> Bound<Vec<u8>> {
        match self.moved {
            true => Bound::Excluded(self.last.clone()),
            false => self.start.as_ref().unwrap_or(whole).clone(),
        }
    }

    fn place(&mut self, start: Bound<Vec<u8>>) {
        self.start = Some(start);
        self.moved = false;
    }

    /// `key` was handed out.
    fn pass(&mut self, key: &[u8]) {
        self.last.clear();
        self.last.extend_from_slice(key);
        self.moved = true;
    }
}

/// One of a range's ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Front,
    Back,
}

impl End {
    pub fn other(self) -> Self {
        match self {
            End::Front => End::Back,
            End::Back => End::Front,
        }
    }
}

impl Stored {
    /// `bounds` are those of whole keys, each of which begins with `prefix`.
    pub fn new(
        handle: Arc<Handle>,
        prefix: Arc<[u8]>,
        pin: Option<Arc<Pinned>>,
        bounds: Bounds,
    ) -> Self {
        let problem = bounds.check_order(handle.order()).err();
        let drained = problem.is_none() && bounds.is_empty(handle.order());
        Stored {
            handle,
            prefix,
            pin,
            stay: None,
            left: bounds.clone(),
            front: Side::new(),
            back: Side::new(),
            drained,
            bounds,
            parts: Parts::default(),
            remaining: u64::MAX,
            sought: false,
            failed: false,
            problem,
        }
    }

    /// At most `count` entries from here on, whichever end they are taken from. No more than these are fetched.
    pub fn limit_to(&mut self, count: u64) {
        // Never more than an earlier limit: once nothing remained the moment was given back.
        self.remaining = self.remaining.min(count);
    }

    /// What the entries are to have from the next chunk on.
    pub fn with_parts(mut self, parts: Parts) -> Self {
        self.parts = parts;
        self
    }

    /// From the next chunk on, keys are all that is wanted.
    pub fn only_keys(&mut self) {
        self.parts.keys_only = true;
    }

    fn side(&mut self, end: End) -> &mut Side {
        match end {
            End::Front => &mut self.front,
            End::Back => &mut self.back,
        }
    }

    /// Moves `end` to `target`, within the range.
    pub fn move_to(&mut self, end: End, target: &[u8]) {
        if self.failed || self.remaining == 0 {
            return;
        }
        let target = [&self.prefix[..], target].concat();
        let handle = self.handle.clone();
        let order = handle.order();
        let is_beyond = |bound: &Bound<Vec<u8>>| match (end, bound) {
            (_, Bound::Unbounded) => false,
            (End::Front, Bound::Included(lower) | Bound::Excluded(lower)) => {
                order.compare(&target, lower).is_le()
            }
            (End::Back, Bound::Included(upper) | Bound::Excluded(upper)) => {
                order.compare(&target, upper).is_ge()
            }
        };
        let whole = match end {
            End::Front => &self.bounds.lower,
            End::Back => &self.bounds.upper,
        };
        let start = match is_beyond(whole) {
            true => whole.clone(),
            false => Bound::Included(target.clone()),
        };
        let begun = self.stay.is_some();
        let is_whole = begun && self.pin.is_none();
        for of in [End::Front, End::Back] {
            let Some(chunk) = &mut self.side(of).chunk else {
                continue;
            };
            if is_whole || (of == end && chunk.covers(order, &target)) {
                match end {
                    End::Front => chunk.seek_low(order, &target, of == End::Back),
                    End::Back => chunk.seek_high(order, &target, of == End::Back),
                }
                if !is_whole && let Some(others) = &mut self.side(end.other()).chunk {
                    // This end may have gone on into it: what it took there lies before it again.
                    others.put_back_last();
                }
                self.side(end).position.place(start);
                return;
            }
        }
        if is_whole {
            return; // There is no entry at all.
        }
        self.sought |= !begun;
        self.side(end).position.place(start);
        self.left = Bounds {
            lower: self.front.position.bound(&self.bounds.lower),
            upper: self.back.position.bound(&self.bounds.upper),
            by_prefix: false,
        };
        self.drained = self.left.is_empty(order);
        for side in [&mut self.front, &mut self.back] {
            side.chunk = None;
            side.next_bytes = SOUGHT_CHUNK_BYTES;
        }
    }

    /// Hands out one entry from `end`: what `take` makes of its key and value.
    pub fn step<T>(&mut self, end: End, take: impl FnOnce(&[u8], &[u8]) -> T) -> Option<Result<T>> {
        if self.failed || self.remaining == 0 {
            return None;
        }
        let (of, at) = match self.find(end) {
            Ok(found) => found?,
            Err(error) => {
                self.fail();
                return Some(Err(error));
            }
        };
        let hidden = self.prefix.len();
        let chunk = match of {
            End::Front => self.front.chunk.as_ref(),
            End::Back => self.back.chunk.as_ref(),
        };
        let position = match end {
            End::Front => &mut self.front.position,
            End::Back => &mut self.back.position,
        };
        let (key, value) = chunk?.entry(at);
        let taken = take(key.get(hidden..).unwrap_or_default(), value);
        position.pass(key);
        self.remaining -= 1;
        if self.remaining == 0 {
            // Nothing can be asked any more: the moment need not be kept.
            self.pin = None;
        }
        Some(Ok(taken))
    }

    /// The same where that waits for nothing, and at most a small chunk has to be asked for. Pending: [`Stored::ready`]
    /// comes first.
    pub fn try_step<T>(
        &mut self,
        end: End,
        take: impl FnOnce(&[u8], &[u8]) -> T,
    ) -> Poll<Option<Result<T>>> {
        if self.has_to_ask(end) && self.problem.is_none() {
            let is_small = self.side(end).next_bytes <= LARGEST_AT_ONCE;
            match is_small.then(|| nonblocking(|| self.fill_at_once(end, FEW_PASSED))) {
                Some(Poll::Ready(Err(error))) => {
                    self.fail();
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Poll::Ready(Ok(()))) if !self.has_to_ask(end) => {}
                _ => return Poll::Pending,
            }
        }
        Poll::Ready(self.step(end, take))
    }

    fn fail(&mut self) {
        self.failed = true;
        self.pin = None;
    }

    /// Where the next entry from `end` is: in whose chunk, and at which place there.
    fn find(&mut self, end: End) -> Result<Option<(End, usize)>> {
        let mut limits = None;
        let mut is_first = true;
        loop {
            if let Some(at) = self.side(end).chunk.as_mut().and_then(Entries::pop) {
                return Ok(Some((end, at)));
            }
            if self.drained {
                // The two ends met: what the other end has buffered is all there is, nearest to me last.
                let other = self.side(end.other()).chunk.as_mut();
                let at = other.and_then(Entries::pop_last);
                return Ok(at.map(|at| (end.other(), at)));
            }
            if std::mem::take(&mut is_first) {
                // Most steps need no clock.
                match self.fill_at_once(end, MOST_PASSED) {
                    Poll::Ready(filled) => filled?,
                    Poll::Pending => {}
                }
                continue;
            }
            let limits = match limits {
                Some(limits) => limits,
                None => *limits.insert(self.handle.limits()?),
            };
            now(self.fill(limits, end))?;
        }
    }

    /// Asks as long as the next step at `end` would have to. An error is what that step ends with.
    pub async fn ready(&mut self, wait: Wait, end: End) -> Result<()> {
        let filled = self.fill_until_ready(wait, end).await;
        if filled.is_err() {
            self.fail();
        }
        filled
    }

    async fn fill_until_ready(&mut self, wait: Wait, end: End) -> Result<()> {
        if !self.has_to_ask(end) {
            return Ok(());
        }
        let limits = self.handle.limits_by(wait)?;
        while self.has_to_ask(end) {
            self.fill(limits, end).await?;
        }
        Ok(())
    }

    /// Whether the next step at `end` can't be made with what has come.
    pub fn has_to_ask(&self, end: End) -> bool {
        let side = match end {
            End::Front => &self.front,
            End::Back => &self.back,
        };
        let over = self.failed || self.remaining == 0 || self.drained;
        !over && side.chunk.as_ref().is_none_or(Entries::is_empty)
    }

    /// The next chunk at an end.
    fn next_scan(&self, end: End, passes: u64) -> Scan<'_> {
        let side = match end {
            End::Front => &self.front,
            End::Back => &self.back,
        };
        Scan {
            order: self.handle.order(),
            lower: self.left.lower.as_ref().map(Vec::as_slice),
            upper: self.left.upper.as_ref().map(Vec::as_slice),
            reverse: end == End::Back,
            keys_only: self.parts.keys_only,
            sequences: self.parts.sequences,
            hold: self.sought,
            limit_bytes: side.next_bytes,
            limit_entries: usize::try_from(self.remaining).unwrap_or(usize::MAX),
            passes,
        }
    }

    /// Asks for one chunk, which may be empty where only removed keys were found so far.
    async fn fill(&mut self, limits: Limits, end: End) -> Result<()> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        let scan = self.next_scan(end, MOST_PASSED);
        let pin = self.pin.as_deref();
        let scanned = self.handle.scan_by(limits, &scan, pin, self.stay);
        let scanned = scanned.await?;
        self.take_in(end, scanned);
        Ok(())
    }

    /// The same without a clock. Pending: it has to be asked for by [`Stored::fill`].
    fn fill_at_once(&mut self, end: End, passes: u64) -> Poll<Result<()>> {
        if let Some(problem) = self.problem.take() {
            return Poll::Ready(Err(problem));
        }
        let scan = self.next_scan(end, passes);
        let pin = self.pin.as_deref();
        let scanned = self.handle.scan_at_once(&scan, pin, self.stay);
        scanned.map_ok(|scanned| self.take_in(end, scanned))
    }

    /// Takes the chunk that was asked for at an end.
    fn take_in(&mut self, end: End, (entries, pinned, stay): Scanned) {
        if let Some(pinned) = pinned {
            self.pin = Some(Arc::new(pinned));
        }
        self.stay = Some(stay);
        let side = self.side(end);
        let next_bytes = (side.next_bytes * GROWTH).min(LAST_CHUNK_BYTES);
        side.next_bytes = next_bytes.max(FIRST_CHUNK_BYTES);
        let edge = match (entries.reached(), entries.last_key()) {
            (Some(reached), _) => Bound::Included(reached.to_vec()),
            (None, Some(last)) => beyond(end, last),
            (None, None) => {
                self.drained = true;
                return;
            }
        };
        let more = entries.more();
        side.chunk = Some(entries);
        self.drained = !more;
        match end {
            End::Front => self.left.lower = edge,
            End::Back => self.left.upper = edge,
        }
        self.drained |= self.left.is_empty(self.handle.order());
    }
}

/// The bound of what lies beyond the key `last` in the direction of a walk from `end`.
fn beyond(end: End, last: &[u8]) -> Bound<Vec<u8>> {
    match end {
        End::Back if faults::planted("reverse-resume-decremented") => faults::decremented(last),
        _ => Bound::Excluded(last.to_vec()),
    }
}

/// A whole entry, as [`Stored::step`] takes it.
fn owned(key: &[u8], value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (key.to_vec(), value.to_vec())
}

impl Iterator for Stored {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(End::Front, owned)
    }
}

impl DoubleEndedIterator for Stored {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(End::Back, owned)
    }
}

impl Stored {
    /// The range as it was asked for.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// How many entries may come at most.
    pub fn most(&self) -> Option<usize> {
        match self.failed {
            true => Some(0),
            false => usize::try_from(self.remaining).ok(),
        }
    }
}
