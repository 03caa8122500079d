//! Making a call: through this process, or through the link and back.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, MutexGuard};

use super::{Answered, Inner, Limits, Local, Pending, Session, Tenure, Via};
use crate::error::{Error, ErrorKind, Result};
use crate::faults;
use crate::follower::{Link, Received, SendError};
use crate::leader::Stop;
use crate::page::ENTRIES;
use crate::protocol::{Answer, ClientMessage, Request, encode_frame};
use crate::range::stream_lost;

impl Session {
    /// Has `request` answered by the leader, whoever that is by then.
    ///
    /// # Errors
    /// As the leader answers; `Timeout`, `OutcomeUnknown`, `ConnectionLost`, `Closed`.
    pub fn call(&self, request: &Request<'_>, limits: &Limits) -> Result<Answered> {
        loop {
            let answered = match self.leading.load_full() {
                Some(local) => self.call_local(&local, request, limits)?,
                None => self.call_link(request, limits)?,
            };
            if let Some(answered) = answered {
                return Ok(answered);
            }
        }
    }

    /// This process leads. `None`: not any more, and the call had no effect.
    fn call_local(
        &self,
        local: &Arc<Local>,
        request: &Request<'_>,
        limits: &Limits,
    ) -> Result<Option<Answered>> {
        if limits.only.is_some_and(|only| only != local.tenure) {
            return Err(stream_lost());
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
            Err(Stop::Over) => self.wait_for_end_of(local, limits).map(|()| None),
            Err(Stop::Unknown(cause)) => {
                Err(outcome_unknown(&cause.to_string()).with_source(cause))
            }
        }
    }

    fn wait_for_end_of(&self, local: &Local, limits: &Limits) -> Result<()> {
        let mut inner = self.inner.lock();
        while inner.tenure == local.tenure {
            if self
                .changed
                .wait_until(&mut inner, limits.deadline)
                .timed_out()
            {
                return Err(inner.timeout_error(limits));
            }
        }
        Ok(())
    }

    /// Another process leads, or nobody yet. `None`: this process does by now.
    fn call_link(&self, request: &Request<'_>, limits: &Limits) -> Result<Option<Answered>> {
        let Some(mut sender) = self.sender.try_lock_until(limits.deadline) else {
            return Err(self.inner.lock().timeout_error(limits));
        };
        let id = sender.next_call;
        let write = matches!(request, Request::Write(_)).then_some(sender.next_write);
        let mut request = *request;
        if let (Request::Write(write), Some(next)) = (&mut request, write) {
            write.number = next;
        }
        let mut frame = Vec::new();
        encode_frame(&ClientMessage::Call { id, request }, &mut frame);
        let frame = Arc::new(frame);
        let caller = Arc::new(Condvar::new());
        let pending = Pending {
            frame: frame.clone(),
            write,
            grants: request.may_grant(),
            retry: limits.retry,
            caller: Some(caller.clone()),
            answer: None,
            sent_again: None,
        };
        let Some((link, tenure)) = self.register(id, pending, limits)? else {
            return Ok(None);
        };
        sender.next_call += 1;
        sender.next_write += u64::from(write.is_some());
        let sent = link.send(&frame, limits.deadline, || {
            self.read_if_nobody_does(&link, tenure)
        });
        drop(sender);
        match sent {
            Ok(()) => {}
            Err(SendError::NothingSent) => {
                let mut inner = self.inner.lock();
                let error = inner.timeout_error(limits);
                return Err(self.give_up(&mut inner, id, error));
            }
            Err(SendError::Broken) => self.lose(tenure),
        }
        self.wait_for_answer(id, &caller, limits).map(Some)
    }

    /// Waits for a leader, and for room where it is a write, and puts the call among those in flight.
    /// `None`: this process leads.
    fn register(
        &self,
        id: u64,
        pending: Pending,
        limits: &Limits,
    ) -> Result<Option<(Arc<Link>, Tenure)>> {
        let mut inner = self.inner.lock();
        loop {
            let ready = match &inner.via {
                Via::Closed => return Err(Error::closed()),
                Via::Local(_) => return Ok(None),
                Via::Nobody => None,
                Via::Link(link) => {
                    (!inner.catching_up && inner.has_room(pending.write)).then(|| link.clone())
                }
            };
            if let Some(link) = ready {
                if limits.only.is_some_and(|only| only != inner.tenure) {
                    return Err(stream_lost());
                }
                if let Some(number) = pending.write {
                    self.page.begin(number);
                    inner.unfinished.insert(number);
                }
                inner.pending.insert(id, pending);
                return Ok(Some((link, inner.tenure)));
            }
            if self
                .changed
                .wait_until(&mut inner, limits.deadline)
                .timed_out()
            {
                return Err(inner.timeout_error(limits));
            }
        }
    }

    fn wait_for_answer(&self, id: u64, caller: &Condvar, limits: &Limits) -> Result<Answered> {
        let mut inner = self.inner.lock();
        let result = self.wait_for_answer_locked(&mut inner, id, caller, limits);
        // However this wait ended, it may have been this caller whom the last reader woke to read on.
        inner.hand_reading_on();
        drop(inner);
        self.flush_returned();
        result
    }

    fn wait_for_answer_locked(
        &self,
        inner: &mut MutexGuard<'_, Inner>,
        id: u64,
        caller: &Condvar,
        limits: &Limits,
    ) -> Result<Answered> {
        loop {
            if inner
                .pending
                .get(&id)
                .is_none_or(|call| call.answer.is_some())
            {
                let call = inner.pending.remove(&id);
                return call
                    .and_then(|call| call.answer)
                    .unwrap_or_else(|| Err(Error::closed()));
            }
            if Instant::now() >= limits.deadline {
                let error = inner.timeout_error(limits);
                return Err(self.give_up(inner, id, error));
            }
            match &inner.via {
                Via::Link(link) if !inner.reading => {
                    let (link, tenure) = (link.clone(), inner.tenure);
                    inner.reading = true;
                    MutexGuard::unlocked(inner, || {
                        self.read_for_all(&link, tenure, Some(id), limits.deadline);
                    });
                    if inner.tenure == tenure {
                        inner.reading = false;
                    }
                }
                _ => {
                    caller.wait_until(inner, limits.deadline);
                }
            }
        }
    }

    /// Takes what answers have come, if none of the waiting callers is at it.
    fn read_if_nobody_does(&self, link: &Link, tenure: Tenure) {
        {
            let mut inner = self.inner.lock();
            if inner.reading || inner.tenure != tenure {
                return;
            }
            inner.reading = true;
        }
        self.read_for_all(link, tenure, None, Instant::now());
        let mut inner = self.inner.lock();
        if inner.tenure == tenure {
            inner.reading = false;
            inner.hand_reading_on();
        }
    }

    /// Reads the link until call `id` is answered, `deadline` passes, or the link ends.
    fn read_for_all(&self, link: &Link, tenure: Tenure, id: Option<u64>, deadline: Instant) {
        loop {
            match link.receive(deadline) {
                Ok(Received::Replies(replies)) => {
                    let mut inner = self.inner.lock();
                    if inner.tenure != tenure {
                        return;
                    }
                    for (id, result) in replies {
                        self.deliver(&mut inner, id, result);
                    }
                    let open = |id| {
                        inner
                            .pending
                            .get(&id)
                            .is_some_and(|call| call.answer.is_none())
                    };
                    if id.is_some_and(|id| !open(id)) {
                        return;
                    }
                }
                Ok(Received::Nothing) => return,
                Err(_) => return self.lose(tenure),
            }
        }
    }

    /// An answer came through the current tenure.
    pub(super) fn deliver(&self, inner: &mut Inner, id: u64, result: Result<Answer>) {
        let Some(call) = inner.pending.get_mut(&id) else {
            // The caller gave up; what was granted to it goes back.
            if let Some(sequence) = result.ok().and_then(|answer| answer.granted_pin()) {
                inner.pins.give_back(sequence);
            }
            return;
        };
        inner.answered = true;
        let (write, caller) = (call.write, call.caller.clone());
        let tenure = inner.tenure;
        let answered = result.map(|answer| {
            if let Answer::Written { sequence } = answer {
                inner.published = inner.published.max(sequence);
            }
            let pin = answer
                .granted_pin()
                .map(|sequence| inner.pins.grant(sequence));
            Answered {
                answer,
                pin,
                tenure,
            }
        });
        if let Some(number) = write {
            faults::point("answer-received");
            inner.unfinished.remove(&number);
            self.changed.notify_all();
        }
        match caller {
            Some(caller) => {
                if let Some(call) = inner.pending.get_mut(&id) {
                    call.answer = Some(answered);
                }
                caller.notify_one();
            }
            None => {
                inner.pending.remove(&id);
            }
        }
    }

    /// The caller of `id` waits no longer: `error` if the call had no effect and never will, else `OutcomeUnknown`.
    fn give_up(&self, inner: &mut Inner, id: u64, error: Error) -> Error {
        let Some(call) = inner.pending.get_mut(&id) else {
            return error;
        };
        match call.write {
            Some(number) if !self.page.cancel(number) => {
                // A leader has it. It stays, with nobody to tell, so that it is never sent again.
                call.caller = None;
                outcome_unknown(error.message())
            }
            write => {
                let grants = call.grants;
                inner.pending.remove(&id);
                if let Some(number) = write {
                    inner.unfinished.remove(&number);
                    self.changed.notify_all();
                }
                if let (true, true, Via::Link(link)) =
                    (grants, inner.pending.is_empty(), &inner.via)
                {
                    // Nobody is left to read an answer that pins a moment: the connection goes, and the pin with it.
                    link.shutdown();
                }
                error
            }
        }
    }
}

impl Inner {
    /// Whether the session page has an entry for write `number`.
    fn has_room(&self, number: Option<u64>) -> bool {
        match (number, self.unfinished.first()) {
            (Some(number), Some(oldest)) => number - oldest < ENTRIES as u64,
            _ => true,
        }
    }

    /// Wakes one of the waiting callers to read, if nobody does.
    fn hand_reading_on(&self) {
        if self.reading {
            return;
        }
        let waiting = |call: &&Pending| call.answer.is_none() && call.caller.is_some();
        if let Some(caller) = self
            .pending
            .values()
            .find(waiting)
            .and_then(|call| call.caller.as_ref())
        {
            caller.notify_one();
        }
    }
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
