//! A call that a task waits for: a future that no runtime needs to know of.
//!
//! Promises:
//! - The first poll takes the call on, in the order of first polls; polling never waits for the leader, the disk or
//!   the link. Where this process leads, reads of single keys are made at once, on the polling thread; what may have
//!   to wait (writes, scans) is made by the driver.
//! - Polled first after its deadline it is not taken on at all.
//! - It ends at its deadline, which the driver watches, and where this process leads the elector too.
//! - Dropped before its end, it is taken back: what was not sent never is; a write that no leader has claimed never
//!   takes effect; a write that was claimed is not sent again, and may have taken effect once. What it was granted
//!   goes back.
//!
//! How calls gather: a call that finds others in flight is not sent by itself. The first such asks to be polled again,
//! behind the other tasks that are ready; when its turn comes, one write takes all that they queued. Where that turn
//! does not come (its task is not polled), whoever reads the next answer sends; an answer is then on its way, or the
//! driver waits for no longer than a millisecond. A call that is alone is sent at once. Whoever sent for several then looks
//! for their answers (`looking`).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use super::calls::charge_of;
use super::flight::Caller;
use super::guard::Guard;
use super::pump::Patience;
use super::room::{Ticket, no_room};
use super::{Answered, Limits, Session, Via, Wait};
use crate::error::{Error, Result};
use crate::protocol::Request;

/// So many queued calls are sent without waiting for the tasks that are ready.
const MOST_GATHERED: usize = 256;

/// A call under way.
pub(crate) struct Calling<'a> {
    session: &'a Session,
    request: Request<'a>,
    limits: Limits,
    state: State,
}

enum State {
    New,
    /// In line for room.
    InLine(Ticket),
    /// Taken on; with `sends` its next poll sends what has gathered.
    Taken {
        id: u64,
        sends: bool,
    },
    Over,
}

impl Session {
    /// Has `request` answered by the leader, whoever that is by then. With [`Wait::Thread`] the first poll blocks until
    /// it is.
    pub fn calling<'a>(&'a self, request: Request<'a>, limits: Limits) -> Calling<'a> {
        Calling {
            session: self,
            request,
            limits,
            state: State::New,
        }
    }
}

impl Calling<'_> {
    fn begin(&mut self, context: &mut Context<'_>) -> Poll<Result<Answered>> {
        let session = self.session;
        self.state = State::Over;
        self.limits.check_time()?;
        if self.request.is_quick()
            && let Some(local) = session.leading.load_full()
            && let Some(answered) = session
                .call_local(&local, &self.request, &self.limits)
                .transpose()
        {
            return Poll::Ready(answered);
        }
        let mut inner = session.lock();
        session.start_driver(&mut inner)?;
        self.enter(&mut inner, None, context)
    }

    /// Takes the call on, if there is room.
    fn enter(
        &mut self,
        inner: &mut Guard<'_>,
        ticket: Option<Ticket>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Answered>> {
        let session = self.session;
        self.state = State::Over;
        let charge = charge_of(&self.request);
        let caller = Caller::Task(context.waker().clone());
        let admitted = match inner.check_new(&self.limits) {
            Ok(()) if ticket.is_some() && Instant::now() >= self.limits.deadline => {
                Err(no_room(&self.limits))
            }
            Ok(()) => session.admit(inner, ticket, charge, &self.limits),
            Err(error) => Err(error),
        };
        match admitted {
            Ok(true) => {}
            Ok(false) => {
                let deadline = self.limits.deadline;
                self.state = State::InLine(inner.room.stay(ticket, caller, deadline));
                inner.watch_deadline(deadline);
                inner.ring_driver_to_read();
                return Poll::Pending;
            }
            Err(error) => {
                inner.room.leave(ticket);
                return Poll::Ready(Err(error));
            }
        }
        let id = inner.submit(&self.request, &self.limits, caller, charge);
        inner.watch_deadline(self.limits.deadline);
        let alone = inner.load.open == 1 && !inner.driver.burst;
        let now = alone || inner.queue.len() >= MOST_GATHERED;
        let sends = !now && !inner.gathering && !matches!(inner.via, Via::Nobody);
        if sends {
            inner.gathering = true;
            inner.wakes.push(context.waker().clone());
        }
        // There is somebody to read the answer before it can come.
        inner.ring_driver_to_read();
        if now {
            session.pump(inner, Patience::None);
        }
        self.state = State::Taken { id, sends };
        Poll::Pending
    }

    fn go_on(
        &mut self,
        inner: &mut Guard<'_>,
        id: u64,
        sends: bool,
        context: &mut Context<'_>,
    ) -> Poll<Result<Answered>> {
        if sends {
            self.state = State::Taken { id, sends: false };
            inner.gathering = false;
            inner.appoint(id);
            inner.ring_driver_to_read();
            self.session.pump(inner, Patience::None);
        }
        let look_again = match sends {
            true => inner.looking.trace().0 == Some(id),
            false => self.session.look(inner, id),
        };
        if let Some(result) = inner.take_answer(id) {
            self.state = State::Over;
            inner.pass_look_on(id);
            return Poll::Ready(result);
        }
        if Instant::now() >= self.limits.deadline {
            self.state = State::Over;
            let error = inner.timeout_error(&self.limits);
            let error = self.session.give_up(inner, id, error);
            inner.pass_look_on(id);
            return Poll::Ready(Err(error));
        }
        if look_again {
            inner.wakes.push(context.waker().clone());
        }
        if let Some(call) = inner.calls.get_mut(id) {
            match &mut call.caller {
                Some(Caller::Task(waker)) => waker.clone_from(context.waker()),
                caller => *caller = Some(Caller::Task(context.waker().clone())),
            }
        }
        Poll::Pending
    }
}

impl Future for Calling<'_> {
    type Output = Result<Answered>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let call = self.get_mut();
        if call.limits.wait == Wait::Thread {
            return Poll::Ready(call.session.call(&call.request, &call.limits));
        }
        if call.session.is_forked() {
            call.state = State::Over;
            return Poll::Ready(Err(Error::forked()));
        }
        match call.state {
            State::New => call.begin(context),
            State::InLine(ticket) => {
                let mut inner = call.session.lock();
                call.enter(&mut inner, Some(ticket), context)
            }
            State::Taken { id, sends } => {
                let mut inner = call.session.lock();
                call.go_on(&mut inner, id, sends, context)
            }
            State::Over => Poll::Ready(Err(Error::closed())),
        }
    }
}

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        // In a forked child it is the parent's to end.
        if matches!(self.state, State::New | State::Over) || self.session.is_forked() {
            return;
        }
        let mut inner = self.session.lock();
        match self.state {
            State::InLine(ticket) => inner.room.leave(Some(ticket)),
            State::Taken { id, sends } => {
                inner.gathering &= !sends;
                // There is nobody to tell.
                let _ = self.session.give_up(&mut inner, id, Error::closed());
                inner.pass_look_on(id);
                if sends {
                    inner.hand_reading_on();
                }
            }
            State::New | State::Over => {}
        }
        self.session.pump(&mut inner, Patience::None);
    }
}
