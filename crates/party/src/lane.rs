//! The lane: writes of tasks that can't be made where they are polled, made by one thread in the order in which they came.
//!
//! Promises:
//! - A write that was given up before the engine has begun with it never takes effect; one that was begun may, once.
//! - Writes that wait together are committed together.
//! - What a write waits in vain for ends it at its deadline, whatever this thread is doing.
//!
//! Must not know: handles, or how a write is made when nobody is in its way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use level_party_engine::{CommitHook, ErrorKind as EngineErrorKind, Write, WriteBatch};
use level_party_locks::{Condvar, Mutex};

use crate::conditions::Conditions;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::member::Member;
use crate::news::News;
use crate::place::{Place, connection_lost, line_broken};
use crate::stop::{Stop, outcome_unknown, outcome_unknown_by};

/// Writes of the lane that are committed together.
const GROUP: usize = 256;
/// How long a write that the engine has begun with may take beyond its deadline, before it is said that nobody knows. The
/// engine looks at deadlines some times in this.
const GRACE: Duration = Duration::from_millis(200);

/// The lane of a node.
#[derive(Default)]
pub(crate) struct Lane {
    /// Writes that are not answered.
    pending: AtomicUsize,
    state: Mutex<State>,
    /// There is something to do.
    rung: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Ticket>>,
    running: bool,
    closed: bool,
}

/// A write in the lane.
struct Ticket {
    batch: Mutex<Option<WriteBatch>>,
    sync: bool,
    conditions: Conditions,
    limits: Limits,
    step: AtomicU8,
    assigned: AtomicBool,
    answer: Mutex<Option<Result<u64>>>,
    answered: News,
}

/// Nobody has begun with it.
const WAITS: u8 = 0;
/// The engine has.
const BEGUN: u8 = 1;
/// It was given up before.
const GIVEN_UP: u8 = 2;

impl Lane {
    /// Whether nothing is in it, so that a write which is made elsewhere overtakes none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.pending.load(Ordering::Acquire) == 0
    }

    /// Has a write made, and waits for it.
    ///
    /// # Errors
    /// The write's; `Timeout`; `OutcomeUnknown`; `Closed`; the system has no thread left.
    pub async fn write(
        place: &Arc<Place>,
        batch: WriteBatch,
        sync: bool,
        conditions: &Conditions,
        limits: &Limits,
    ) -> Result<u64> {
        let ticket = Arc::new(Ticket {
            batch: Mutex::new(Some(batch)),
            sync,
            conditions: conditions.clone(),
            limits: *limits,
            step: AtomicU8::new(WAITS),
            assigned: AtomicBool::new(false),
            answer: Mutex::new(None),
            answered: News::default(),
        });
        place.lane.push(place, &ticket)?;
        let held = Held(&ticket);
        let taken = |deadline| {
            let ready = || ticket.answer.lock().take();
            ticket
                .answered
                .wait(limits.wait, deadline, &place.timer, ready)
        };
        if let Some(answer) = taken(limits.deadline).await? {
            return answer;
        }
        if held.give_up() {
            return Err(place.timeout_of_write(limits));
        }
        let late = limits.deadline + GRACE;
        taken(late).await?.unwrap_or_else(|| {
            let why = format!("it was under way when its {:?} were over", limits.timeout);
            Err(outcome_unknown(&why))
        })
    }

    fn push(&self, place: &Arc<Place>, ticket: &Arc<Ticket>) -> Result<()> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Error::closed());
        }
        if !state.running {
            let place = Arc::clone(place);
            std::thread::Builder::new()
                .name("level-party-lane".into())
                .spawn(move || run(&place))
                .map_err(|error| Error::io("cannot start a thread", error))?;
            state.running = true;
        }
        self.pending.fetch_add(1, Ordering::AcqRel);
        state.waiting.push_back(Arc::clone(ticket));
        drop(state);
        self.rung.notify_one();
        Ok(())
    }

    /// The node closes: the thread ends, and what waits is answered.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.rung.notify_one();
        for ticket in waiting {
            self.answer(&ticket, Err(Error::closed()));
        }
    }

    fn answer(&self, ticket: &Ticket, answer: Result<u64>) {
        self.pending.fetch_sub(1, Ordering::AcqRel);
        *ticket.answer.lock() = Some(answer);
        ticket.answered.tell();
    }

    /// The next writes, once there are some. `None`: the node closes.
    fn next(&self) -> Option<Vec<Arc<Ticket>>> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            if !state.waiting.is_empty() {
                let count = state.waiting.len().min(GROUP);
                return Some(state.waiting.drain(..count).collect());
            }
            self.rung.wait(&mut state);
        }
    }
}

/// A write that somebody waits for; dropped, it is given up.
struct Held<'a>(&'a Ticket);

impl Held<'_> {
    /// False: the engine has begun with it.
    fn give_up(&self) -> bool {
        let step = &self.0.step;
        let given_up = step.compare_exchange(WAITS, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire);
        if given_up.is_ok() {
            *self.0.batch.lock() = None;
        }
        given_up != Err(BEGUN)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Tells a ticket how far its write is.
struct Hook(Arc<Ticket>);

impl CommitHook for Hook {
    fn claim(&mut self) -> bool {
        let step = &self.0.step;
        match step.compare_exchange(WAITS, BEGUN, Ordering::AcqRel, Ordering::Acquire) {
            // It may be made anew in another stay.
            Ok(_) | Err(BEGUN) => true,
            Err(_) => false,
        }
    }

    fn assigned(&mut self, _last_sequence: u64) {
        self.0.assigned.store(true, Ordering::Relaxed);
    }

    fn undone(&mut self) {
        self.0.assigned.store(false, Ordering::Relaxed);
    }
}

/// The lane's thread.
fn run(place: &Arc<Place>) {
    while let Some(mut tickets) = place.lane.next() {
        let mut left = None;
        while !tickets.is_empty() {
            let far = Limits::new(Duration::MAX, true);
            let next = |member: &Member| Some(member.stay()) != left;
            let member = match crate::limits::now(place.wait_for(&far, next, || None)) {
                Ok(member) => member,
                Err(error) => {
                    let error = crate::protocol::Failure::from(&error);
                    for ticket in &tickets {
                        place.lane.answer(ticket, Err(error.clone().into()));
                    }
                    return;
                }
            };
            tickets = make(place, &member, tickets);
            left = Some(member.stay());
        }
    }
}

/// Makes writes of a member; gives those that had no effect because its stay is over.
fn make(place: &Place, member: &Member, tickets: Vec<Arc<Ticket>>) -> Vec<Arc<Ticket>> {
    let mut writes = Vec::with_capacity(tickets.len());
    let mut made = Vec::with_capacity(tickets.len());
    for ticket in tickets {
        if ticket.limits.since.is_some_and(|line| line != place.line()) {
            place.lane.answer(&ticket, Err(line_broken()));
            continue;
        }
        let batch = ticket.batch.lock().clone();
        let Some(batch) = batch else {
            place.lane.answer(&ticket, Err(Error::closed()));
            continue;
        };
        let write = Write::new(batch).sync(ticket.sync);
        let write = write.deadline(ticket.limits.deadline);
        let write = ticket.conditions.of(write);
        writes.push(write.hook(Box::new(Hook(Arc::clone(&ticket)))));
        made.push(ticket);
    }
    let answers = member.engine().write_all(writes);
    let mut again = Vec::new();
    for (ticket, answer) in made.into_iter().zip(answers) {
        let assigned = ticket.assigned.load(Ordering::Relaxed);
        let answer = match answer {
            Ok(sequence) => Ok(sequence),
            Err(error) if error.kind() == EngineErrorKind::Timeout => {
                Err(member.explain(error, &ticket.limits))
            }
            Err(error) => match member.stop_of_write(error, assigned) {
                Stop::Failed(error) => Err(error),
                Stop::Unknown(cause) => {
                    member.end();
                    Err(outcome_unknown_by(cause))
                }
                Stop::Over if !ticket.limits.retry => Err(connection_lost()),
                Stop::Over => {
                    again.push(ticket);
                    continue;
                }
            },
        };
        place.lane.answer(&ticket, answer);
    }
    if !again.is_empty() {
        member.end();
    }
    again
}

impl Place {
    /// A write was not begun before its deadline.
    pub(crate) fn timeout_of_write(&self, limits: &Limits) -> Error {
        match &*self.member() {
            None => self.timeout_error(limits),
            Some(_) => Error::new(
                ErrorKind::Timeout,
                format!(
                    "within {:?} this write's turn did not come behind those before it; it had no effect",
                    limits.timeout
                ),
            ),
        }
    }
}
