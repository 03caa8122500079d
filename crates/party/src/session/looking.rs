//! A task that looks for answers itself, so that a burst of calls waits for no other thread to wake up.
//!
//! The task that sends what others gathered is appointed. It then asks to be polled again and again, behind the other
//! tasks that are ready, and each poll takes what answers have come, without waiting; the tasks they belong to are
//! polled by the same executor next. It ends when all is answered, or when nothing came for a moment ([`LOOK`]).
//!
//! Invariants:
//! - At most one call is appointed. While one is, the driver is awake or sleeps for no longer than a turn, and takes the
//!   role away if nobody has looked in that turn: an executor that polls no more delays others by that much at most.
//! - A look holds the role of reading for its one read, as everybody who reads does; whoever waits for the role
//!   meanwhile is told when it is over.
//! - Whoever leaves the role (answered, expired, dropped) passes it to another task that waits, or tells the driver.

use std::time::Instant;

use super::guard::Guard;
use super::{Inner, Session, Via};
use crate::follower::Received;
use crate::spin::{BURST, Hope, LOOK};

#[derive(Default)]
pub(super) struct Looking {
    /// The call whose task looks.
    by: Option<u64>,
    /// When it began, or began again after it found something.
    since: Option<Instant>,
    /// Looks that were ever made.
    made: u64,
    hope: Hope,
}

impl Looking {
    pub fn is_anybody(&self) -> bool {
        self.by.is_some()
    }

    /// What changes when somebody looks, or the role goes to another.
    pub fn trace(&self) -> (Option<u64>, u64) {
        (self.by, self.made)
    }

    pub fn forget(&mut self) {
        self.by = None;
    }
}

impl Inner {
    /// The task of call `id` is to look, if that is promising and nobody else does.
    pub(super) fn appoint(&mut self, id: u64) {
        let looks = self.looking.is_anybody() || self.reading || self.load.tasks < BURST;
        if looks || !matches!(self.via, Via::Link(_)) || !self.looking.hope.is_there() {
            return;
        }
        self.looking.by = Some(id);
        self.looking.since = None;
        self.driver_takes_turns();
    }

    /// Call `id` needs no answer any more: another has to look, if it did.
    pub(super) fn pass_look_on(&mut self, id: u64) {
        if self.looking.by != Some(id) {
            return;
        }
        self.looking.by = None;
        if self.load.tasks == 0 {
            return;
        }
        let next = self.calls.iter().find_map(|(id, call)| {
            let caller = call.caller.as_ref().filter(|caller| caller.is_task())?;
            call.is_awaited().then_some((id, caller))
        });
        let Some((id, caller)) = next.filter(|_| !self.reading) else {
            return self.hand_reading_on();
        };
        caller.wake(&mut self.wakes);
        self.looking.by = Some(id);
        self.driver_takes_turns();
    }
}

impl Session {
    /// Takes what answers have come, if this is for the task of call `id` to do. True: it should be polled again.
    pub(super) fn look(&self, inner: &mut Guard<'_>, id: u64) -> bool {
        if inner.looking.by != Some(id) {
            return false;
        }
        let link = match &inner.via {
            Via::Link(link) if !inner.reading => link.clone(),
            _ => {
                inner.looking.by = None;
                return false;
            }
        };
        let tenure = inner.tenure;
        // Before it reads: the core may be given away for longer than a look, in which answers came.
        let since = *inner.looking.since.get_or_insert_with(Instant::now);
        let late = since.elapsed() >= LOOK;
        inner.reading = true;
        inner.looking.made += 1;
        let received = inner.unlocked(|| {
            let received = link.receive_now();
            if matches!(received, Ok(Received::Nothing)) {
                // The leader may wait for this core.
                std::thread::yield_now();
            }
            received
        });
        let found = match &received {
            Ok(Received::Replies(replies)) => replies.len(),
            _ => 0,
        };
        self.take_in(inner, tenure, received);
        if inner.tenure != tenure {
            return false;
        }
        inner.reading = false;
        // The driver may have taken the role away.
        if inner.looking.by == Some(id) {
            if found > 0 {
                inner.driver.burst |= found > 1;
                inner.looking.since = None;
                inner.looking.hope.fulfilled();
            } else if late {
                inner.looking.by = None;
                inner.looking.hope.disappointed();
            }
        }
        inner.hand_reading_on();
        inner.looking.by == Some(id)
    }
}
