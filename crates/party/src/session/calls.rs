//! Making a call: in this process at once where it leads, else through the queue.

use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Condvar;

use super::flight::{Call, Caller};
use super::guard::Guard;
use super::pump::{LARGE_FRAME, Patience};
use super::room::{CALL_BYTES, no_room};
use super::{Answered, Inner, Limits, Local, Session, Via};
use crate::error::{Error, ErrorKind, Result};
use crate::leader::Stop;
use crate::protocol::{ClientMessage, Request, encode_frame};
use crate::range::stream_lost;

impl Session {
    /// Has `request` answered by the leader, whoever that is by then. Blocks.
    ///
    /// # Errors
    /// As the leader answers; `Timeout`, `OutcomeUnknown`, `ConnectionLost`, `Busy`, `Closed`.
    pub fn call(&self, request: &Request<'_>, limits: &Limits) -> Result<Answered> {
        loop {
            let local = self.leading.load();
            let Some(local) = local.as_ref() else {
                return self.call_queued(request, limits);
            };
            // A write must not overtake those that are queued.
            let is_write = matches!(request, Request::Write(_));
            if is_write && self.backlog.load(Ordering::Acquire) > 0 {
                return self.call_queued(request, limits);
            }
            let charge = if is_write { charge_of(request) } else { 0 };
            if is_write && !self.begin_direct(charge, limits.queue_bytes) {
                return self.call_queued(request, limits);
            }
            let answered = self.call_local(local, request, limits);
            if is_write {
                self.end_direct(charge);
            }
            match answered? {
                Some(answered) => return Ok(answered),
                None => self.wait_for_end_of(local, limits)?,
            }
        }
    }

    /// This process leads. `None`: not any more, and the call had no effect.
    pub(super) fn call_local(
        &self,
        local: &Local,
        request: &Request<'_>,
        limits: &Limits,
    ) -> Result<Option<Answered>> {
        if limits.only.is_some_and(|only| only != local.tenure) {
            return Err(stream_lost());
        }
        if limits.since.is_some_and(|line| line != local.line) {
            return Err(line_broken());
        }
        match local.leadership.execute(request, limits.deadline) {
            Ok(answer) => Ok(match answer.granted_pin() {
                None => Some(Answered {
                    answer,
                    pin: None,
                    tenure: local.tenure,
                }),
                Some(sequence) => self
                    .register_grant(sequence, local.tenure)
                    .map(|pin| Answered {
                        answer,
                        pin: Some(pin),
                        tenure: local.tenure,
                    }),
            }),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Over) if !limits.retry => Err(connection_lost(true)),
            Err(Stop::Over) => Ok(None),
            Err(Stop::Unknown(cause)) => {
                Err(outcome_unknown(&cause.to_string()).with_source(cause))
            }
        }
    }

    fn wait_for_end_of(&self, local: &Local, limits: &Limits) -> Result<()> {
        let mut inner = self.lock();
        while inner.tenure == local.tenure {
            if inner.wait_until(&self.changed, limits.deadline) {
                return Err(inner.timeout_error(limits));
            }
        }
        Ok(())
    }

    /// Queues the call, and waits for its answer.
    fn call_queued(&self, request: &Request<'_>, limits: &Limits) -> Result<Answered> {
        limits.check_time()?;
        let mut inner = self.lock();
        let charge = charge_of(request);
        let (caller, asleep) = Caller::this_thread();
        if let Err(error) = self.wait_for_room(&mut inner, charge, &asleep, limits) {
            inner.hand_reading_on();
            return Err(error);
        }
        let id = inner.submit(request, limits, caller, charge);
        self.pump(&mut inner, Patience::Until(limits.deadline));
        let result = self.wait_for_answer(&mut inner, id, &asleep, limits);
        // However this wait ended, it may have been this caller whom the last reader or sender woke to go on.
        inner.hand_reading_on();
        self.pump(&mut inner, Patience::None);
        result
    }

    fn wait_for_room(
        &self,
        inner: &mut Guard<'_>,
        charge: usize,
        asleep: &Condvar,
        limits: &Limits,
    ) -> Result<()> {
        let mut ticket = None;
        loop {
            if let Err(error) = inner.check_new(limits) {
                inner.room.leave(ticket);
                return Err(error);
            }
            if self.admit(inner, ticket, charge, limits)? {
                return Ok(());
            }
            let (caller, _) = Caller::this_thread();
            ticket = Some(inner.room.stay(ticket, caller, limits.deadline));
            self.read_or_sleep(inner, asleep, limits.deadline);
            if Instant::now() >= limits.deadline {
                inner.room.leave(ticket);
                return Err(no_room(limits));
            }
        }
    }

    fn wait_for_answer(
        &self,
        inner: &mut Guard<'_>,
        id: u64,
        asleep: &Condvar,
        limits: &Limits,
    ) -> Result<Answered> {
        loop {
            if let Some(result) = inner.take_answer(id) {
                return result;
            }
            if Instant::now() >= limits.deadline {
                let error = inner.timeout_error(limits);
                return Err(self.give_up(inner, id, error));
            }
            self.read_or_sleep(inner, asleep, limits.deadline);
        }
    }

    /// Reads for all, if nobody does and somebody is to be answered; else sleeps until it is told of something. Who waits
    /// for room reads too: what takes the room may be calls that nobody waits for any more.
    fn read_or_sleep(&self, inner: &mut Guard<'_>, asleep: &Condvar, deadline: Instant) {
        match &inner.via {
            Via::Link(link) if !inner.reading && inner.load.open > 0 => {
                let (link, tenure) = (link.clone(), inner.tenure);
                inner.reading = true;
                self.read_for_all(inner, &link, tenure, deadline);
            }
            _ => {
                inner.wait_until(asleep, deadline);
            }
        }
        // Answers may have made way for writes that wait for it.
        self.pump(inner, Patience::Until(deadline));
    }
}

impl Inner {
    /// A new call may begin.
    ///
    /// # Errors
    /// `Closed`; `ConnectionLost` for a stream whose leader has gone; `Conflict` where another program may have come since
    /// what its conditions rest on was read.
    pub(super) fn check_new(&self, limits: &Limits) -> Result<()> {
        if matches!(self.via, Via::Closed) {
            return Err(Error::closed());
        }
        if limits.only.is_some_and(|only| only != self.tenure) {
            return Err(stream_lost());
        }
        match limits.since.is_some_and(|line| line != self.line) {
            true => Err(line_broken()),
            false => Ok(()),
        }
    }

    /// Takes a call on, at the queue's end.
    pub(super) fn submit(
        &mut self,
        request: &Request<'_>,
        limits: &Limits,
        caller: Caller,
        charge: usize,
    ) -> u64 {
        let id = self.calls.next_id();
        let mut request = *request;
        let mut number = None;
        if let Request::Write(write) = &mut request {
            self.last_write += 1;
            write.number = self.last_write;
            number = Some(self.last_write);
        }
        let frame = self.encode(&ClientMessage::Call { id, request }, charge - CALL_BYTES);
        let driven = caller.is_task();
        self.load.open += 1;
        self.load.tasks += usize::from(driven);
        self.load.bytes += charge;
        self.calls.push(Call {
            frame,
            write: number,
            sync: matches!(request, Request::Write(write) if write.sync),
            conditional: matches!(request, Request::Write(write) if !write.conditions.is_empty()),
            begun: None,
            grants: request.may_grant(),
            retry: limits.retry,
            deadline: limits.deadline,
            charge,
            caller: Some(caller),
            answer: None,
            sent_again: None,
            driven,
        });
        self.queue.push_back(id);
        id
    }

    /// The frame of `message`, which has `most` bytes at most. A small one takes one allocation of its own size: copying
    /// it costs less than what `Bytes` needs to share memory with room to spare.
    fn encode(&mut self, message: &ClientMessage<'_>, most: usize) -> Bytes {
        if most > LARGE_FRAME {
            let mut frame = Vec::with_capacity(most);
            encode_frame(message, &mut frame);
            return Bytes::from(frame);
        }
        self.encoded.clear();
        encode_frame(message, &mut self.encoded);
        Bytes::copy_from_slice(&self.encoded)
    }

    /// The answer of call `id`, if it has one: the call is over then.
    pub(super) fn take_answer(&mut self, id: u64) -> Option<Result<Answered>> {
        match self.calls.get(id) {
            Some(call) if call.answer.is_none() => None,
            Some(_) => self.calls.remove(id).and_then(|call| call.answer),
            None => Some(Err(Error::closed())),
        }
    }
}

fn line_broken() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "another program may have had the directory since the keys were read; nothing was written",
    )
}

/// What a call takes in memory until it is answered.
pub(super) fn charge_of(request: &Request<'_>) -> usize {
    CALL_BYTES + request.frame_bytes()
}

pub(super) fn outcome_unknown(why: &str) -> Error {
    Error::new(
        ErrorKind::OutcomeUnknown,
        format!(
            "the write was under way and may or may not have taken effect (at most once): {why}"
        ),
    )
}

pub(super) fn connection_lost(without_effect: bool) -> Error {
    let effect = match without_effect {
        true => "it had no effect",
        false => "if it was a write, it may have taken effect (at most once)",
    };
    Error::new(
        ErrorKind::ConnectionLost,
        format!("the leader went while the call was in flight; {effect}"),
    )
}
