//! Sending what is queued, or making it here where this process leads.
//!
//! Whoever finds calls queued and nobody at it takes the `sending` role: a caller for its own call and all others
//! that came, the elector for what is in flight when a leader was found, the driver for the tasks. Everything that
//! is queued goes in one write; what is queued meanwhile goes with the next.
//!
//! Invariants:
//! - The order in the queue is the order of ids, and calls leave it at its front only: what was in flight at the old
//!   leader is ahead of all that came later.
//! - A write's page entry stands before its frame is given to the link, and at most `ENTRIES` numbers are in use.
//! - Who has a deadline works for others no longer than until then: what is left is handed on, to the caller of the
//!   first call that is left or to the driver.
//! - What the link took in part is kept and goes on first. Grants given back travel between whole frames.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::guard::Guard;
use super::{Inner, Local, Session, Via};
use crate::error::{Error, Result};
use crate::faults;
use crate::follower::{Link, SendError};
use crate::leader::{Leadership, Stop};
use crate::page::{ENTRIES, Page};
use crate::protocol::{Answer, ClientMessage, Request, decode, encode_frame, frame_message};

/// One write to the link gathers about this much.
const BURST_BYTES: usize = 128 << 10;
/// A frame larger than this goes alone, without being copied.
pub(super) const LARGE_FRAME: usize = 32 << 10;
/// One caller sends for the others this often before it leaves the role to them.
const MAX_ROUNDS: usize = 16;
/// Calls that are made here before their answers are told.
const LOCAL_BATCH: usize = 256;

/// How long a sender waits for the link to take more.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    Until(Instant),
    Endless,
    /// Not at all: what is left is the driver's.
    None,
}

impl Patience {
    /// Whose time is up works for others no longer.
    fn is_over(self) -> bool {
        matches!(self, Patience::Until(deadline) if Instant::now() >= deadline)
    }
}

/// Bytes that the link has not taken yet.
#[derive(Default)]
pub(super) struct Rest {
    gathered: Vec<u8>,
    large: Bytes,
    at: usize,
    /// A call that an older leader was sent is among it.
    again: bool,
}

impl Rest {
    fn bytes(&self) -> &[u8] {
        match self.large.is_empty() {
            true => &self.gathered[self.at..],
            false => &self.large[self.at..],
        }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    fn clear(&mut self) {
        self.gathered.clear();
        if self.gathered.capacity() > BURST_BYTES {
            self.gathered = Vec::new();
        }
        self.large = Bytes::new();
        self.at = 0;
        self.again = false;
    }
}

impl Session {
    /// Sends or makes what is queued, unless somebody is at it. Without patience what this process has to make itself
    /// is left to the driver.
    pub(super) fn pump(&self, inner: &mut Guard<'_>, patience: Patience) {
        for round in 0..MAX_ROUNDS {
            if inner.sending || !inner.has_something_to_send() {
                return;
            }
            if round > 0 && patience.is_over() {
                break;
            }
            let went_on = match inner.via.clone() {
                Via::Link(link) => self.send_some(inner, &link, patience),
                Via::Local(local) => match patience {
                    Patience::Until(_) | Patience::Endless => {
                        self.make_some(inner, &local, patience)
                    }
                    Patience::None => {
                        inner.ring_driver();
                        false
                    }
                },
                Via::Nobody | Via::Closed => false,
            };
            if !went_on {
                return;
            }
        }
        inner.hand_sending_on();
    }

    /// Gives the link one write. False: it takes no more, or there is nothing that may be sent.
    fn send_some(&self, inner: &mut Guard<'_>, link: &Arc<Link>, patience: Patience) -> bool {
        if inner.rest.is_empty() {
            inner.gather(&self.page);
        }
        if inner.rest.is_empty() {
            return false;
        }
        let tenure = inner.tenure;
        inner.sending = true;
        let mut rest = std::mem::take(&mut inner.rest);
        let (taken, result) = inner.unlocked(|| {
            let deadline = match patience {
                Patience::Until(deadline) => Some(deadline),
                Patience::Endless => Some(far()),
                Patience::None => None,
            };
            link.send(rest.bytes(), deadline, || {
                self.read_if_nobody_does(link, tenure)
            })
        });
        if rest.again {
            faults::point("sent-again");
        }
        if inner.tenure != tenure {
            return false;
        }
        inner.sending = false;
        rest.at += taken;
        if rest.is_empty() {
            rest.clear();
        }
        inner.rest = rest;
        match result {
            Ok(()) => true,
            Err(SendError::Full) => {
                // A frame sent in part holds up all that come after it, and answers that are waited for with them. Those
                // who wait may be blocked in reading: the driver goes on as soon as the link takes more.
                if self.start_driver(inner).is_err() {
                    self.lose_locked(inner, tenure);
                    return false;
                }
                inner.hand_sending_on();
                false
            }
            Err(SendError::Broken) => {
                self.lose_locked(inner, tenure);
                false
            }
        }
    }

    /// Makes some of what is queued in this process, which leads. False: there is nothing that may be made.
    fn make_some(&self, inner: &mut Guard<'_>, local: &Local, patience: Patience) -> bool {
        if inner.tenure != local.tenure {
            return false;
        }
        let mut calls = Vec::new();
        while calls.len() < LOCAL_BATCH {
            let Some(id) = inner.next_queued(&self.page) else {
                break;
            };
            if let Some(call) = inner.calls.get(id) {
                calls.push((id, call.frame.clone()));
            }
        }
        if calls.is_empty() {
            return false;
        }
        inner.sending = true;
        let (made, left) = inner.unlocked(|| make(&local.leadership, &self.page, &calls, patience));
        if inner.tenure != local.tenure {
            // The grants among them went with the leadership; the page knows of the writes.
            return false;
        }
        inner.sending = false;
        for (id, result) in made {
            self.deliver(inner, id, result);
        }
        inner.queue_again(left.iter().map(|(id, _)| *id));
        true
    }
}

impl Inner {
    /// Whether there is a leader, and something that it has not been given yet.
    pub fn has_something_to_send(&self) -> bool {
        !self.queue.is_empty() || !self.rest.is_empty() || self.has_returned()
    }

    fn has_returned(&self) -> bool {
        matches!(self.via, Via::Link(_)) && self.pins.has_returned()
    }

    /// Whether the session page has an entry for write `number`.
    fn has_page_entry(&self, number: u64) -> bool {
        self.unfinished
            .oldest()
            .is_none_or(|oldest| number - oldest < ENTRIES as u64)
    }

    /// The call at the queue's front, if it may go now. It is then on its way.
    fn next_queued(&mut self, page: &Page) -> Option<u64> {
        loop {
            let id = *self.queue.front()?;
            let Some(call) = self.calls.get(id).filter(|call| call.answer.is_none()) else {
                self.queue.pop_front();
                continue;
            };
            let epoch = self.last_epoch?;
            if let Some(number) = call.write.filter(|_| call.begun.is_none()) {
                if !self.has_page_entry(number) {
                    return None;
                }
                page.begin(number, epoch);
                self.unfinished.insert(number);
            }
            if let Some(call) = self.calls.get_mut(id) {
                call.begun = Some(epoch);
            }
            self.queue.pop_front();
            return Some(id);
        }
    }

    /// Calls that were taken off the queue's front, and that nobody began with after all.
    fn queue_again(&mut self, ids: impl DoubleEndedIterator<Item = u64>) {
        for id in ids.rev() {
            // A write's entry stands, pending: its caller can still take it back.
            if let Some(call) = self.calls.get_mut(id).filter(|call| call.write.is_none()) {
                call.begun = None;
            }
            self.queue.push_front(id);
        }
    }

    /// Readies the next write to the link.
    fn gather(&mut self, page: &Page) {
        self.rest.clear();
        for sequence in self.pins.take_returned() {
            encode_frame(&ClientMessage::Unpin { sequence }, &mut self.rest.gathered);
        }
        while self.rest.gathered.len() < BURST_BYTES {
            let next = self.queue.front().and_then(|id| self.calls.get(*id));
            let large = next.is_some_and(|call| call.frame.len() > LARGE_FRAME);
            if large && !self.rest.gathered.is_empty() {
                return;
            }
            let Some(id) = self.next_queued(page) else {
                return;
            };
            let Some(call) = self.calls.get(id) else {
                continue;
            };
            self.rest.again |= call.sent_again.is_some();
            if call.frame.len() > LARGE_FRAME && self.rest.gathered.is_empty() {
                self.rest.large = call.frame.clone();
                return;
            }
            self.rest.gathered.extend_from_slice(&call.frame);
        }
    }

    /// Has somebody else take the sending role, where there is something to send.
    fn hand_sending_on(&mut self) {
        if !self.has_something_to_send() {
            return;
        }
        self.ring_driver();
        let awaited = |id: &u64| self.calls.get(*id).filter(|call| call.is_awaited());
        let first = self.queue.iter().find_map(awaited);
        if let Some(caller) = first.and_then(|call| call.caller.as_ref())
            && !caller.is_task()
        {
            caller.wake(&mut self.wakes);
        }
    }
}

/// What became of some calls, and those of them that nobody began with.
type Made<'a> = (Vec<(u64, Result<Answer>)>, &'a [(u64, Bytes)]);

/// Makes calls in their order, writes that follow each other together, and gives those that it has no patience for. What
/// has no result is left to the next leader.
fn make<'a>(
    leadership: &Leadership,
    page: &Arc<Page>,
    calls: &'a [(u64, Bytes)],
    patience: Patience,
) -> Made<'a> {
    let mut made = Vec::with_capacity(calls.len());
    let mut writes = VecDeque::new();
    let mut tell = |id: u64, served| match served {
        Ok(answer) => made.push((id, Ok(answer))),
        Err(Stop::Failed(error)) => made.push((id, Err(error))),
        Err(Stop::Over | Stop::Unknown(_)) => {}
    };
    let commit = |writes: &mut VecDeque<_>, tell: &mut dyn FnMut(u64, _)| {
        let (ids, group): (Vec<u64>, Vec<_>) = writes.drain(..).unzip();
        for (id, served) in ids.into_iter().zip(leadership.write_together(page, &group)) {
            tell(id, served);
        }
    };
    let mut left = &calls[calls.len()..];
    for (at, (id, frame)) in calls.iter().enumerate() {
        match decode(frame_message(frame)) {
            Ok(ClientMessage::Call {
                request: Request::Write(write),
                ..
            }) => writes.push_back((*id, write)),
            Ok(ClientMessage::Call { request, .. }) => {
                commit(&mut writes, &mut tell);
                // A write takes no time to speak of, many reads may.
                if patience.is_over() {
                    left = &calls[at..];
                    break;
                }
                // Only a write looks at its deadline.
                tell(*id, leadership.execute(&request, far()));
            }
            Ok(_) => tell(
                *id,
                Err(Stop::Failed(Error::protocol("only calls are queued"))),
            ),
            Err(error) => tell(*id, Err(Stop::Failed(error))),
        }
    }
    commit(&mut writes, &mut tell);
    (made, left)
}

/// Later than anything waits.
pub(super) fn far() -> Instant {
    Instant::now() + Duration::from_secs(365 * 86_400)
}
