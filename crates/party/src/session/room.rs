//! The bound on what a session keeps for calls that are not answered, in bytes.
//!
//! Invariants:
//! - The bytes of calls without an answer, in either role and also while there is no leader, are within the limit of
//!   each handle that adds to them; a call that is larger than its limit is taken on only when there is no other.
//! - Who finds no room waits in the order of coming, so a handle's writes keep their order while they wait here. What
//!   a waiting call is kept as is its caller's own: nothing of it is copied yet.
//! - Whose time is up holds nobody up, also if it is a future that nobody polls.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Instant;

use super::flight::Caller;
use super::{Inner, Limits, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::options::WhenFull;

/// What keeping a call takes beside its frame.
pub(super) const CALL_BYTES: usize = 256;

/// A place in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// Those who wait for room, in the order of coming.
#[derive(Default)]
pub(super) struct Room {
    next: u64,
    line: BTreeMap<Ticket, (Caller, Instant)>,
    /// There may be room for the first in line.
    pub freed: bool,
}

impl Room {
    /// Has the first in line look, and those before it whose time is up.
    pub fn tell_next(&mut self, wakes: &mut Vec<Waker>) {
        if !std::mem::take(&mut self.freed) || self.line.is_empty() {
            return;
        }
        let now = Instant::now();
        for (caller, deadline) in self.line.values() {
            caller.wake(wakes);
            if *deadline > now {
                return;
            }
        }
    }

    /// Whose turn it is.
    fn first(&self) -> Option<Ticket> {
        if self.line.is_empty() {
            return None;
        }
        let now = Instant::now();
        let mut line = self.line.iter();
        let first = line.find(|(_, (_, deadline))| *deadline > now);
        first.map(|(ticket, _)| *ticket)
    }

    /// Has all in line look: the session closes.
    pub fn tell_all(&mut self, wakes: &mut Vec<Waker>) {
        self.line
            .values()
            .for_each(|(caller, _)| caller.wake(wakes));
    }

    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// The tasks in line, and until when they wait.
    pub fn tasks(&self) -> impl Iterator<Item = (&Caller, Instant)> {
        let tasks = self.line.values().filter(|(caller, _)| caller.is_task());
        tasks.map(|(caller, deadline)| (caller, *deadline))
    }

    /// Leaves the line, or takes the turn in it.
    pub fn leave(&mut self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            let first = self.first();
            self.line.remove(&ticket);
            self.freed |= first.is_none_or(|first| ticket <= first);
        }
    }

    /// Waits on, with `caller` to be told; at the end of the line if it had no place yet.
    pub fn stay(&mut self, ticket: Option<Ticket>, caller: Caller, deadline: Instant) -> Ticket {
        let ticket = ticket.unwrap_or_else(|| {
            self.next += 1;
            Ticket(self.next)
        });
        self.line.insert(ticket, (caller, deadline));
        ticket
    }
}

impl Session {
    /// Takes the turn of a call that takes `charge` bytes. False: it has to wait in line.
    ///
    /// # Errors
    /// `Busy`, where its handle does not wait.
    pub(super) fn admit(
        &self,
        inner: &mut Inner,
        ticket: Option<Ticket>,
        charge: usize,
        limits: &Limits,
    ) -> Result<bool> {
        let mut taken = inner.load.bytes + self.direct.load(Ordering::Relaxed);
        let fits_beside =
            |taken: usize| taken == 0 || taken.saturating_add(charge) <= limits.queue_bytes;
        if !fits_beside(taken) {
            // Whoever is done at the engine looks for the line after it gave its bytes back, so that one of both sees
            // the other.
            self.line.store(true, Ordering::SeqCst);
            taken = inner.load.bytes + self.direct.load(Ordering::SeqCst);
        }
        let fits = fits_beside(taken);
        let first = inner.room.first();
        if fits && (first.is_none() || first == ticket) {
            inner.room.leave(ticket);
            return Ok(true);
        }
        match limits.when_full {
            WhenFull::Wait => Ok(false),
            WhenFull::Busy => {
                inner.room.leave(ticket);
                Err(busy(taken))
            }
        }
    }

    /// A call of this thread's own goes to the engine, and takes `charge` bytes while it is there. False: it has to
    /// wait in line.
    pub(super) fn begin_direct(&self, charge: usize, queue_bytes: usize) -> bool {
        let taken = self.direct.fetch_add(charge, Ordering::SeqCst);
        let fits = taken == 0 || taken.saturating_add(charge) <= queue_bytes;
        let line = self.line.load(Ordering::SeqCst);
        if !fits || line {
            self.end_direct(charge);
        }
        fits && !line
    }

    pub(super) fn end_direct(&self, charge: usize) {
        self.direct.fetch_sub(charge, Ordering::SeqCst);
        if self.line.load(Ordering::SeqCst) {
            self.lock().room.freed = true;
        }
    }

    /// Calls of this process that are not answered; those that a leader makes on its callers' own threads are not counted.
    pub fn queued_calls(&self) -> usize {
        self.lock().load.open
    }

    /// The bytes of this process's calls that are not answered.
    pub fn queued_bytes(&self) -> usize {
        self.lock().load.bytes + self.direct.load(Ordering::Relaxed)
    }
}

fn busy(taken: usize) -> Error {
    Error::new(
        ErrorKind::Busy,
        format!(
            "{taken} bytes of calls wait for their answers, and this one is over the limit of queue_bytes; it had no \
             effect: try again when others have ended"
        ),
    )
}

/// What a call that waited in line until its deadline is told.
pub(super) fn no_room(limits: &Limits) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!(
            "no room within {:?}: other calls took all of queue_bytes ({}), and were not answered",
            limits.timeout, limits.queue_bytes
        ),
    )
}
