//! Taking in answers: one reads for all.
//!
//! Of the callers that wait one reads the link, and hands the reading on when its own answer has come; where only
//! tasks wait, the driver reads. All answers that one read brought are told under one lock.

use std::sync::Arc;
use std::time::Instant;

use super::calls::outcome_unknown;
use super::flight::Call;
use super::guard::Guard;
use super::{Answered, Inner, Session, Tenure, Via};
use crate::error::{Error, Result};
use crate::faults;
use crate::follower::{Link, Received};
use crate::protocol::Answer;

impl Session {
    /// Takes what answers have come, if nobody is at it. True: nobody else reads.
    pub(super) fn read_if_nobody_does(&self, link: &Link, tenure: Tenure) -> bool {
        {
            let mut inner = self.lock();
            if inner.reading || inner.tenure != tenure {
                return false;
            }
            inner.reading = true;
        }
        let received = link.receive_now();
        let mut inner = self.lock();
        self.take_in(&mut inner, tenure, received);
        if inner.tenure == tenure {
            inner.reading = false;
            inner.hand_reading_on();
        }
        true
    }

    /// Reads the link once, or waits until `deadline` in vain. The caller has the role, and gives it up before it sends
    /// what the answers made room for: the leader may take nothing until its answers are read.
    pub(super) fn read_for_all(
        &self,
        inner: &mut Guard<'_>,
        link: &Arc<Link>,
        tenure: Tenure,
        deadline: Instant,
    ) {
        let received = inner.unlocked(|| link.receive(deadline));
        self.take_in(inner, tenure, received);
        if inner.tenure == tenure {
            inner.reading = false;
        }
    }

    /// Tells the answers of one read.
    pub(super) fn take_in(
        &self,
        inner: &mut Guard<'_>,
        tenure: Tenure,
        received: Result<Received>,
    ) {
        if inner.tenure != tenure {
            return;
        }
        match received {
            Ok(Received::Replies(replies)) => {
                for (id, result) in replies {
                    self.deliver(inner, id, result);
                }
            }
            Ok(Received::Nothing) => {}
            Err(_) => self.lose_locked(inner, tenure),
        }
    }

    /// An answer came through the current tenure.
    pub(super) fn deliver(&self, inner: &mut Inner, id: u64, result: Result<Answer>) {
        let Inner {
            calls,
            load,
            room,
            wakes,
            unfinished,
            published,
            pins,
            via,
            tenure,
            answered,
            ..
        } = inner;
        let mut give_back = |sequence| match via {
            Via::Local(local) => local.leadership.unpin(sequence),
            _ => pins.give_back(sequence),
        };
        if let Ok(Answer::Written { sequence }) = result {
            *published = (*published).max(sequence);
        }
        let Some(call) = calls.get_mut(id).filter(|call| call.answer.is_none()) else {
            // The caller gave up; what was granted to it goes back.
            if let Some(sequence) = result.ok().and_then(|answer| answer.granted_pin()) {
                give_back(sequence);
            }
            return;
        };
        *answered = true;
        call.end(load);
        room.freed = true;
        if let Some(number) = call.write {
            faults::point("answer-received");
            unfinished.remove(number);
        }
        match call.caller.take() {
            Some(caller) => {
                call.answer = Some(result.map(|answer| Answered {
                    pin: answer.granted_pin().map(|sequence| pins.grant(sequence)),
                    answer,
                    tenure: *tenure,
                }));
                caller.wake_last(wakes);
            }
            None => {
                if let Some(sequence) = result.ok().and_then(|answer| answer.granted_pin()) {
                    give_back(sequence);
                }
                calls.remove(id);
            }
        }
    }

    /// The caller of `id` waits no longer: `error` if the call had no effect and never will, else `OutcomeUnknown`.
    /// A call that was answered meanwhile is dropped with its answer.
    pub(super) fn give_up(&self, inner: &mut Inner, id: u64, error: Error) -> Error {
        let Some(call) = inner.calls.get_mut(id) else {
            return error;
        };
        if call.answer.is_some() {
            let answered = inner.calls.remove(id).and_then(|call| call.answer);
            if let Some(pin) = answered.and_then(|answer| answer.ok()?.pin) {
                self.unpin_locked(inner, pin);
            }
            return error;
        }
        let driver = inner.driver.started;
        match call.write {
            _ if call.entry().is_some_and(|(n, to)| !self.page.cancel(n, to)) => {
                // A leader has it. It stays, with nobody to tell, so that it is never sent again.
                call.abandon(&mut inner.load, false);
                return outcome_unknown(error.message());
            }
            None if call.begun.is_some() && call.grants => {
                // Its answer pins a moment: whoever reads it gives that back.
                call.abandon(&mut inner.load, driver);
                if driver {
                    inner.ring_driver_to_read();
                } else if let Via::Link(link) = &inner.via
                    && !inner.calls.iter().any(|(_, call)| call.is_awaited())
                {
                    // Nobody is left to read it: the connection goes, and the pin with it.
                    link.shutdown();
                }
                return error;
            }
            _ => {}
        }
        if let Some(mut call) = inner.calls.remove(id) {
            call.end(&mut inner.load);
            inner.room.freed = true;
            if let Some(number) = call.write {
                inner.unfinished.remove(number);
            }
        }
        error
    }
}

impl Inner {
    /// Has one of the waiting callers read, or the driver, or the first who waits for room, if nobody does.
    pub(super) fn hand_reading_on(&mut self) {
        if self.reading || self.load.open == 0 {
            return;
        }
        if self.load.open > self.load.tasks {
            let waiting = |call: &&Call| call.is_awaited();
            let mut threads = self.calls.iter().map(|(_, call)| call).filter(waiting);
            let thread = threads.find_map(|call| call.caller.as_ref().filter(|c| !c.is_task()));
            if let Some(thread) = thread {
                thread.wake(&mut self.wakes);
                return;
            }
        }
        if self.load.tasks > 0 {
            self.ring_driver_to_read();
        } else {
            // Nobody waits for what is owed, but somebody may for the room it takes.
            self.room.freed = true;
        }
    }
}
