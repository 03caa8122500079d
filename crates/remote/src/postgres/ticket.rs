//! A write that somebody waits for, and how far it is.
//!
//! Invariant: a write is sent only if it goes from `WAITS` to `SENT`, which it does once; whoever gives it up before has taken it
//! from `WAITS` to `GIVEN_UP`, and knows that it had no effect.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use level_party_locks::Mutex;

use crate::error::Result;
use crate::request::Write;

const WAITS: u8 = 0;
const SENT: u8 = 1;
const GIVEN_UP: u8 = 2;

/// The answer to a write; see [`Remote::write`](crate::Remote::write).
pub type Written = Result<Option<u64>>;

pub struct Ticket {
    step: AtomicU8,
    pub deadline: Instant,
    pub bytes: usize,
    /// Taken when it is sent.
    write: Mutex<Option<Write>>,
    answer: Mutex<Answer>,
}

#[derive(Default)]
struct Answer {
    written: Option<Written>,
    over: bool,
    waker: Option<Waker>,
}

impl Ticket {
    pub fn new(write: Write, deadline: Instant) -> Arc<Ticket> {
        let op = |(key, value): &(Vec<u8>, Option<Vec<u8>>)| {
            key.len() + value.as_ref().map_or(0, Vec::len) + 64
        };
        let conditions = write.conditions.keys.len() + write.conditions.ranges.len();
        Arc::new(Ticket {
            step: AtomicU8::new(WAITS),
            deadline,
            bytes: write.ops.iter().map(op).sum::<usize>() + conditions * 64,
            write: Mutex::new(Some(write)),
            answer: Mutex::default(),
        })
    }

    /// It is about to be sent. `None`: it was given up.
    pub fn send(&self) -> Option<Write> {
        let sent = self
            .step
            .compare_exchange(WAITS, SENT, Ordering::AcqRel, Ordering::Acquire);
        sent.ok().and_then(|_| self.write.lock().take())
    }

    /// It is not wanted any more. False: it was sent, or given up before.
    pub fn give_up(&self) -> bool {
        let up = self
            .step
            .compare_exchange(WAITS, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire);
        if up.is_ok() {
            drop(self.write.lock().take());
        }
        up.is_ok()
    }

    pub fn waits(&self) -> bool {
        self.step.load(Ordering::Acquire) == WAITS
    }

    /// Tells whoever waits. Only the first answer counts.
    pub fn answer(&self, answer: Written) {
        let mut state = self.answer.lock();
        if state.over {
            return;
        }
        state.over = true;
        state.written = Some(answer);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub fn is_answered(&self) -> bool {
        self.answer.lock().over
    }
}

/// Whoever waits for a ticket; dropped, the write is given up if it was not sent.
pub struct Waiting(pub Arc<Ticket>);

impl Future for Waiting {
    type Output = Written;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Written> {
        let mut state = self.0.answer.lock();
        if let Some(answer) = state.written.take() {
            return Poll::Ready(answer);
        }
        let before = state.waker.replace(context.waker().clone());
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.give_up();
        let waker = self.0.answer.lock().waker.take();
        drop(waker);
    }
}
