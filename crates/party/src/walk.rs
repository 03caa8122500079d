//! A walk over a range of keys: what was stored at one moment, or that merged with what a transaction wrote.
//!
//! It is what [`Range`](crate::Range) and [`AsyncRange`](crate::AsyncRange) have in common. A thread's step asks for what it
//! needs; a task's step says that it must ask first, and the task awaits [`Walk::ready`].

use std::task::Poll;

use crate::error::Result;
use crate::limits::{Wait, now};
use crate::optimistic::Merged;
use crate::stored::{End, Stored};

/// A walk over a range of keys.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every walk is of what is stored: a box would cost each range an allocation"
)]
pub(crate) enum Walk {
    Stored(Stored),
    Merged(Box<Merged>),
}

impl Walk {
    /// What `take` makes of the next entry from `end`, by a thread.
    #[inline]
    pub fn step<T>(
        &mut self,
        end: End,
        mut take: impl FnMut(&[u8], &[u8]) -> T,
    ) -> Option<Result<T>> {
        match self {
            Walk::Stored(stored) => stored.step(end, take),
            Walk::Merged(merged) => loop {
                match merged.step(end, &mut take) {
                    Poll::Ready(taken) => return taken,
                    Poll::Pending => {
                        if let Err(error) = now(merged.ready(Wait::Thread, end)) {
                            return Some(Err(error));
                        }
                    }
                }
            },
        }
    }

    /// The same where that waits for nothing. Pending: [`Walk::ready`] comes first.
    pub fn try_step<T>(
        &mut self,
        end: End,
        take: impl FnOnce(&[u8], &[u8]) -> T,
    ) -> Poll<Option<Result<T>>> {
        match self {
            Walk::Stored(stored) => stored.try_step(end, take),
            Walk::Merged(merged) => merged.step(end, take),
        }
    }

    /// Asks for what the next step at `end` needs. An error is what that step ends with.
    pub async fn ready(&mut self, wait: Wait, end: End) -> Result<()> {
        match self {
            Walk::Stored(stored) => stored.ready(wait, end).await,
            Walk::Merged(merged) => merged.ready(wait, end).await,
        }
    }

    /// At most `count` entries from here on.
    pub fn limit_to(&mut self, count: u64) {
        match self {
            Walk::Stored(stored) => stored.limit_to(count),
            Walk::Merged(merged) => merged.limit_to(count),
        }
    }

    /// Moves `end` to `target`.
    pub fn move_to(&mut self, end: End, target: &[u8]) {
        match self {
            Walk::Stored(stored) => stored.move_to(end, target),
            Walk::Merged(merged) => merged.move_to(end, target),
        }
    }

    /// From here on keys are all that is wanted.
    pub fn only_keys(&mut self) {
        match self {
            Walk::Stored(stored) => stored.only_keys(),
            // A transaction keeps the values of what it read.
            Walk::Merged(_) => {}
        }
    }

    /// How many entries may come at most.
    pub fn most(&self) -> Option<usize> {
        match self {
            Walk::Stored(stored) => stored.most(),
            Walk::Merged(merged) => merged.most(),
        }
    }
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Walk::Stored(stored) => stored.bounds().fmt(f),
            Walk::Merged(merged) => merged.bounds().fmt(f),
        }
    }
}
