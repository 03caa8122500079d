//! A range inside a transaction: the stored entries of its moment merged with what it wrote.
//!
//! The stored side may be looked ahead at by one entry from each end; the transaction's own writes are looked up anew at each
//! step, so that what it writes ahead of the walk is seen. Looking is no read; handing out is, unless the
//! transaction wrote it itself, and that there is nothing else up to it ([`Walked`]).

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;
use std::task::Poll;

use super::{Core, State, Walked};
use crate::bounds::Bounds;
use crate::error::{Error, Result};
use crate::limits::Wait;
use crate::stored::{End, Parts, Stored};

type Entry = (Vec<u8>, Vec<u8>);

/// A walk over a range in a transaction. After an error it ends: a transaction counts on all that it walked over.
pub(crate) struct Merged {
    core: Arc<Core>,
    stored: Ahead,
    prefix: Arc<[u8]>,
    /// The range, in whole keys.
    whole: Bounds,
    /// Where each end began, or was last moved to.
    origin: Bounds,
    /// What neither end has handed out.
    left: Bounds,
    /// Which of [`State::walked`] this is, since an end was last moved.
    walked: usize,
    remaining: u64,
    /// It was walked to its end, and no end was moved since.
    ended: bool,
    failed: bool,
}

/// The stored entries, looked ahead at from each end.
struct Ahead {
    stored: Stored,
    front: Option<Entry>,
    back: Option<Entry>,
}

impl Ahead {
    fn slot(&mut self, end: End) -> &mut Option<Entry> {
        match end {
            End::Front => &mut self.front,
            End::Back => &mut self.back,
        }
    }

    fn has_to_ask(&self, end: End) -> bool {
        let buffered = match end {
            End::Front => &self.front,
            End::Back => &self.back,
        };
        buffered.is_none() && self.stored.has_to_ask(end)
    }

    fn take(&mut self, end: End) -> Option<Result<Entry>> {
        if let Some(buffered) = self.slot(end).take() {
            return Some(Ok(buffered));
        }
        let next = match end {
            End::Front => self.stored.next(),
            End::Back => self.stored.next_back(),
        };
        // The two ends met: what the other one looked ahead at is all there is.
        next.or_else(|| self.slot(end.other()).take().map(Ok))
    }

    /// Takes back what was looked ahead at: both ends stand at those of `left` again. An entry that one end looked ahead at may
    /// have been the other's before, so it is not enough to move the one that has it.
    fn rewind(&mut self, left: &Bounds) {
        (self.front, self.back) = (None, None);
        for (end, bound) in [(End::Front, &left.lower), (End::Back, &left.upper)] {
            // An end without a bound has looked at nothing: it would have passed a key of the transaction's own.
            if let Bound::Included(key) | Bound::Excluded(key) = bound {
                self.stored.move_to(end, key);
            }
        }
    }
}

impl Merged {
    /// `bounds` are those of whole keys, each of which begins with `prefix`.
    pub(super) fn new(core: Arc<Core>, bounds: Bounds, prefix: Arc<[u8]>) -> Self {
        let walked = {
            let mut state = core.state.lock();
            state.walked.push(Walked::new(bounds.clone()));
            state.walked.len() - 1
        };
        let handle = core.moment.handle().clone();
        let no_prefix = handle.no_prefix.clone();
        let parts = Parts {
            sequences: true,
            ..Parts::default()
        };
        let moment = Some(core.moment.clone());
        let stored = Stored::new(handle, no_prefix, moment, bounds.clone()).with_parts(parts);
        Merged {
            core,
            stored: Ahead {
                stored,
                front: None,
                back: None,
            },
            prefix,
            origin: bounds.clone(),
            left: bounds.clone(),
            whole: bounds,
            walked,
            remaining: u64::MAX,
            ended: false,
            failed: false,
        }
    }

    /// What `take` makes of the next entry from `end`. Pending: [`Merged::ready`] comes first.
    pub fn step<T>(
        &mut self,
        end: End,
        take: impl FnOnce(&[u8], &[u8]) -> T,
    ) -> Poll<Option<Result<T>>> {
        if self.failed || self.ended || self.remaining == 0 {
            return Poll::Ready(None);
        }
        loop {
            if self.stored.has_to_ask(end) {
                return Poll::Pending;
            }
            let stored = match self.stored.take(end).transpose() {
                Ok(stored) => stored,
                Err(error) => return Poll::Ready(Some(Err(self.fail(error)))),
            };
            if stored
                .as_ref()
                .is_some_and(|(key, _)| !self.left.contains(self.core.moment.handle().order(), key))
            {
                continue; // An end was moved back to a key that it had given.
            }
            let core = self.core.clone();
            let mut state = core.state.lock();
            if let Err(error) = state.check() {
                return Poll::Ready(Some(Err(self.fail(error))));
            }
            let own = self.own(&state, end);
            let order = match (&stored, &own) {
                (None, None) => {
                    state.walked[self.walked].all = true;
                    self.ended = true;
                    return Poll::Ready(None);
                }
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((stored, _)), Some((own, _))) => match end {
                    End::Front => stored.cmp(own),
                    End::Back => own.cmp(stored),
                },
            };
            if let (Ordering::Less, Some((key, stamped))) = (order, &stored) {
                let value = self.read(&mut state, end, key, stamped);
                drop(state); // `take` may use the transaction.
                let taken = value.map(|value| take(self.shown(key), value));
                return Poll::Ready(Some(taken));
            }
            if let (Ordering::Greater, Some(stored)) = (order, stored) {
                *self.stored.slot(end) = Some(stored);
            }
            // Its own write, also where it hides a stored entry, which then is not read.
            if let Some((key, value)) = own {
                self.pass(end, &key);
                if let Some(value) = value {
                    self.come_to(&mut state, end, &key);
                    drop(state);
                    return Poll::Ready(Some(Ok(take(self.shown(&key), &value))));
                }
            }
        }
    }

    /// Asks for the stored entry that the next step at `end` needs. An error is what that step ends with.
    pub async fn ready(&mut self, wait: Wait, end: End) -> Result<()> {
        if !self.stored.has_to_ask(end) {
            return Ok(());
        }
        let asked = self.stored.stored.ready(wait, end).await;
        asked.map_err(|error| self.fail(error))
    }

    pub fn limit_to(&mut self, count: u64) {
        self.remaining = self.remaining.min(count);
    }

    /// Moves `end` to `target`, within the range. What is walked over from there is another walk.
    pub fn move_to(&mut self, end: End, target: &[u8]) {
        if self.failed || self.remaining == 0 {
            return;
        }
        self.ended = false;
        let target = [&self.prefix[..], target].concat();
        self.stored.rewind(&self.left);
        self.stored.stored.move_to(end, &target);
        let is_beyond = |bound: &Bound<Vec<u8>>| match (end, bound) {
            (End::Front, Bound::Included(lower) | Bound::Excluded(lower)) => target <= *lower,
            (End::Back, Bound::Included(upper) | Bound::Excluded(upper)) => target >= *upper,
            (_, Bound::Unbounded) => false,
        };
        let whole = match end {
            End::Front => &self.whole.lower,
            End::Back => &self.whole.upper,
        };
        let start = match is_beyond(whole) {
            true => whole.clone(),
            false => Bound::Included(target.clone()),
        };
        for bounds in [&mut self.origin, &mut self.left] {
            match end {
                End::Front => bounds.lower = start.clone(),
                End::Back => bounds.upper = start.clone(),
            }
        }
        let mut state = self.core.state.lock();
        state.walked.push(Walked::new(self.origin.clone()));
        self.walked = state.walked.len() - 1;
    }

    /// The range as it was asked for.
    pub fn bounds(&self) -> &Bounds {
        &self.whole
    }

    /// How many entries may come at most.
    pub fn most(&self) -> Option<usize> {
        match self.failed {
            true => Some(0),
            false => usize::try_from(self.remaining).ok(),
        }
    }

    /// The next key at `end` that the transaction itself has written.
    fn own(&self, state: &State, end: End) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        // A map refuses bounds that are the wrong way round.
        if self.left.is_empty(self.core.moment.handle().order()) {
            return None;
        }
        let (lower, upper) = (self.left.lower.as_ref(), self.left.upper.as_ref());
        let mut own = state.written.range::<Vec<u8>, _>((lower, upper));
        let (key, value) = match end {
            End::Front => own.next(),
            End::Back => own.next_back(),
        }?;
        Some((key.clone(), value.clone()))
    }

    /// `end` has gone past `key`.
    fn pass(&mut self, end: End, key: &[u8]) {
        let past = Bound::Excluded(key.to_vec());
        match end {
            End::Front => self.left.lower = past,
            End::Back => self.left.upper = past,
        }
    }

    /// `key` is handed out from `end`: whoever is given it knows that there is nothing before it.
    fn come_to(&mut self, state: &mut State, end: End, key: &[u8]) {
        let walked = &mut state.walked[self.walked];
        let last = match end {
            End::Front => &mut walked.front,
            End::Back => &mut walked.back,
        };
        let last = last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(key);
        self.remaining -= 1;
    }

    /// The value of a stored entry that is handed out, and is read by that.
    fn read<'v>(
        &mut self,
        state: &mut State,
        end: End,
        key: &[u8],
        stamped: &'v [u8],
    ) -> Result<&'v [u8]> {
        let Some((sequence, value)) = stamped.split_first_chunk() else {
            return Err(self.fail(Error::protocol("a stored entry came without its sequence")));
        };
        self.pass(end, key);
        self.come_to(state, end, key);
        let entry = (u64::from_le_bytes(*sequence), value.to_vec());
        state.read.insert(key.to_vec(), Some(entry));
        Ok(value)
    }

    fn shown<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        key.get(self.prefix.len()..).unwrap_or_default()
    }

    fn fail(&mut self, error: Error) -> Error {
        self.failed = true;
        error
    }
}
