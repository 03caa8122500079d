//! The writes of a process: queued in the order of coming, and made by one connection, one group after the other.
//!
//! The thread of a write that finds nobody writing makes it itself. All others are made by one thread, which also takes over
//! whatever does not succeed at once. Invariants:
//! - Only who holds the core's lock forms or sends a group, and there is one group under way.
//! - A group that was sent keeps its number until the server has answered for it. It is given up only when nobody waits for it any
//!   more; the next group has a higher number, after which it can have no effect.
//! - Whoever waits is answered by its deadline: before it is sent by `Timeout`, after that by `OutcomeUnknown`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use level_party_locks::{Condvar, Mutex};

use super::blocker::Patience;
use super::failure::{Failure, NO_SESSION, NOT_SERVED, SUPERSEDED, WENT_BACK, is_state, may_pass};
use super::group::Group;
use super::link::{Link, bytes_of, pause, random_words};
use super::pool::Server;
use super::schema::Sql;
use super::ticket::{Ticket, Waiting, Written};
use crate::call::blocked_on;
use crate::error::{Error, ErrorKind, Result};
use crate::request::Write;

/// How long after its deadline a thread waits for the answer that the deadline has come.
const GRACE: Duration = Duration::from_millis(200);
/// Writes of one group at most,
const GROUP: usize = 1024;
/// and their bytes, unless one alone has more.
const GROUP_BYTES: usize = 4 << 20;

/// The writes of a process.
pub struct Writer {
    server: Arc<Server>,
    /// It writes while the database is being filled, and only then.
    fills: bool,
    queue: Mutex<Queue>,
    /// There is something to do for the thread.
    rung: Condvar,
    core: Mutex<Core>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Ticket>>,
    /// A group is under way that the thread is to see to.
    left_over: bool,
    running: bool,
    closed: bool,
}

#[derive(Default)]
struct Core {
    link: Option<Link>,
    session: Option<[u8; 16]>,
    /// That of the last group,
    number: u64,
    /// and of the last that was answered.
    known: u64,
    /// Groups that are to be made before any other: the first was sent.
    groups: VecDeque<Group>,
    failed: u32,
}

impl Writer {
    pub fn new(server: Arc<Server>, fills: bool) -> Arc<Self> {
        Arc::new(Writer {
            server,
            fills,
            queue: Mutex::default(),
            rung: Condvar::new(),
            core: Mutex::default(),
        })
    }

    /// Has a write made for a task.
    pub fn begin(self: &Arc<Self>, write: Write, deadline: Instant) -> Result<Waiting> {
        let ticket = Ticket::new(write, deadline);
        self.push(&ticket)?;
        self.ring()?;
        Ok(Waiting(ticket))
    }

    /// Makes a write for a thread, which makes it itself if nobody else is writing.
    pub fn write(self: &Arc<Self>, write: Write, deadline: Instant) -> Written {
        let ticket = Ticket::new(write, deadline);
        self.push(&ticket)?;
        if let Some(mut core) = self.core.try_lock()
            && core.groups.is_empty()
            && core.link.is_some()
            && core.session.is_some()
        {
            self.make_next(&mut core, Some(deadline));
        }
        if !ticket.is_answered() || self.has_work() {
            self.ring()?;
        }
        let mut waiting = Waiting(Arc::clone(&ticket));
        match blocked_on(&mut waiting, deadline + GRACE) {
            Some(written) => written,
            None if ticket.give_up() => Err(self.server.late().context("this write was not made")),
            None => Err(self.unknown_when_late()),
        }
    }

    fn push(&self, ticket: &Arc<Ticket>) -> Result<()> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(Error::closed());
        }
        queue.waiting.push_back(Arc::clone(ticket));
        Ok(())
    }

    fn has_work(&self) -> bool {
        let queue = self.queue.lock();
        queue.left_over || !queue.waiting.is_empty()
    }

    /// Has the thread look.
    fn ring(self: &Arc<Self>) -> Result<()> {
        let mut queue = self.queue.lock();
        if !queue.running && !queue.closed {
            let writer = Arc::clone(self);
            std::thread::Builder::new()
                .name("level-party-remote-writer".into())
                .spawn(move || writer.run())
                .map_err(|error| {
                    let what = format!("cannot start a thread: {error}");
                    Error::new(ErrorKind::Io, what).with_source(error)
                })?;
            queue.running = true;
        }
        drop(queue);
        self.rung.notify_one();
        Ok(())
    }

    /// No write begins any more; those that were not sent are answered. Gives the session, if there was one.
    pub fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        self.rung.notify_one();
        for ticket in waiting {
            if ticket.give_up() {
                ticket.answer(Err(Error::closed()));
            }
        }
    }

    /// The session, which is over: what is under way has no effect once the server has forgotten it.
    pub fn take_session(&self, until: Instant) -> Option<[u8; 16]> {
        self.core.try_lock_until(until)?.session.take()
    }

    /// What the thread does.
    fn run(self: Arc<Self>) {
        loop {
            let mut queue = self.queue.lock();
            while !queue.closed && !queue.left_over && queue.waiting.is_empty() {
                self.rung.wait(&mut queue);
            }
            if queue.closed && !queue.left_over {
                return;
            }
            drop(queue);
            let mut core = self.core.lock();
            self.make_next(&mut core, None);
            let failed = core.failed;
            drop(core);
            if failed > 0 {
                self.rest(pause(failed - 1));
            }
        }
    }

    /// Waits a moment before another attempt; those whose time is over meanwhile are told.
    fn rest(&self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            let next = self.tell_late(&VecDeque::new(), false);
            let next = next.map_or(until, |next| next.min(until));
            let mut queue = self.queue.lock();
            if queue.closed || Instant::now() >= until {
                return;
            }
            // Whoever rings has something for the next attempt.
            self.rung.wait_until(&mut queue, next);
        }
    }

    /// Makes the group that is under way, or the next one; no longer than until `mine`.
    fn make_next(&self, core: &mut Core, mine: Option<Instant>) {
        match self.try_next(core, mine) {
            Ok(()) => core.failed = 0,
            Err(error) => {
                core.failed += 1;
                self.server.note(&error);
            }
        }
        core.drop_unawaited();
        self.queue.lock().left_over = !core.groups.is_empty();
    }

    /// # Errors
    /// What is to be tried again.
    fn try_next(&self, core: &mut Core, mine: Option<Instant>) -> Result<()> {
        self.tell_late(&core.groups, false);
        core.drop_unawaited();
        let Some((first, last)) = self.awaited(core) else {
            return Ok(());
        };
        if core
            .link
            .as_ref()
            .is_some_and(|link| !self.server.is_current(link))
        {
            core.link = None;
        }
        if core.link.is_none() {
            match self.server.connect(first) {
                Ok(link) => core.link = Some(link),
                Err(error) if may_pass(&error) => return Err(error),
                Err(error) => {
                    self.refuse_all(core, &error);
                    return Ok(());
                }
            }
        }
        if core.session.is_none() {
            self.begin_session(core, first)?;
        }
        if core.session.is_some() && core.groups.is_empty() {
            let [mark, _] = random_words()?;
            let group = Group::of(core.number + 1, mark, self.take_waiting());
            if group.members.is_empty() {
                return Ok(());
            }
            core.number += 1;
            core.groups.push_back(group);
        }
        self.send(core, mine.map_or(last, |mine| mine.min(last)))
    }

    /// When the first and the last of those who wait have no more time. `None`: nobody waits.
    fn awaited(&self, core: &Core) -> Option<(Instant, Instant)> {
        let queue = self.queue.lock();
        let queued = queue.waiting.iter().filter(|ticket| ticket.waits());
        let sent = core.groups.iter().flat_map(Group::awaited);
        let deadlines: Vec<Instant> = queued.chain(sent).map(|ticket| ticket.deadline).collect();
        Some((*deadlines.iter().min()?, *deadlines.iter().max()?))
    }

    /// The next writes that fit into one group.
    fn take_waiting(&self) -> Vec<Arc<Ticket>> {
        let mut queue = self.queue.lock();
        let mut bytes = 0;
        let mut taken = Vec::new();
        while let Some(ticket) = queue.waiting.front() {
            bytes += ticket.bytes;
            if !taken.is_empty() && (bytes > GROUP_BYTES || taken.len() == GROUP) {
                break;
            }
            taken.extend(queue.waiting.pop_front());
        }
        taken
    }

    /// The server will not take a write of ours.
    fn refuse_all(&self, core: &mut Core, error: &Error) {
        let waiting = std::mem::take(&mut self.queue.lock().waiting);
        for ticket in waiting {
            if ticket.give_up() {
                ticket.answer(Err(error.clone()));
            }
        }
        for group in core.groups.drain(..) {
            let open = group.open;
            for member in &group.members {
                let told = if open {
                    unknown(error.message())
                } else {
                    error.clone()
                };
                member.ticket.answer(Err(told));
            }
        }
    }

    fn begin_session(&self, core: &mut Core, until: Instant) -> Result<()> {
        let id = bytes_of(random_words()?);
        let Some(link) = core.link.as_mut() else {
            return Ok(());
        };
        match link.query(&self.server.sql, Sql::NEW_SESSION, &[&id.as_slice()], until) {
            Ok(_) => {
                core.session = Some(id);
                (core.number, core.known) = (0, 0);
                for group in &mut core.groups {
                    core.number += 1;
                    group.number = core.number;
                }
                Ok(())
            }
            Err(Failure::Refused(error)) => {
                self.refuse_all(core, &error);
                Ok(())
            }
            Err(failure) => {
                core.link = None;
                Err(failure.into_error(|| self.server.late()))
            }
        }
    }

    /// Sends the first group and tells its members what became of them.
    fn send(&self, core: &mut Core, until: Instant) -> Result<()> {
        let Core {
            link,
            session,
            groups,
            known,
            ..
        } = core;
        let (Some(connected), Some(session), Some(group)) =
            (link.as_mut(), *session, groups.front())
        else {
            return Ok(());
        };
        connected.warned = false;
        let due = group.awaited().map(|ticket| ticket.deadline).min();
        let mut patience = Patience::new(&self.server, connected, due.unwrap_or(until));
        let next = || {
            let asks = patience.next();
            let late = self.tell_late(groups, true);
            Some(late.map_or(asks, |late| late.min(asks)))
        };
        let called = group.call(
            connected,
            &self.server.sql,
            (session, *known, self.fills),
            until,
            next,
        );
        let warned = connected.warned;
        match called {
            Ok(_) if warned => {
                // It is committed there, and perhaps not on the standby: the next call of this number waits for that.
                groups[0].open = true;
                Err(Error::new(
                    ErrorKind::Io,
                    "the server warned when it committed, and is asked again",
                ))
            }
            Ok(outcomes) => {
                *known = group.number;
                let newest = outcomes.iter().flatten().max().copied();
                self.server.seen(connected, newest.unwrap_or(0));
                for (member, outcome) in group.members.iter().zip(outcomes) {
                    member.ticket.answer(Ok(outcome));
                }
                groups.pop_front();
                Ok(())
            }
            Err(Failure::Refused(error)) => self.refused(core, error),
            // This call was rolled back; an earlier one of this number may not have been.
            Err(Failure::Again(error)) => Err(error),
            Err(failure) => {
                groups[0].open = true;
                *link = None;
                self.server.look_again();
                Err(failure.into_error(|| self.server.late()))
            }
        }
    }

    /// The server has rolled this call of the first group back.
    fn refused(&self, core: &mut Core, error: Error) -> Result<()> {
        if is_state(&error, WENT_BACK) {
            // The next connection begins another history. The session stays as it is there.
            self.server.went_back();
            core.link = None;
            core.known = 0;
            return Err(error);
        }
        if is_state(&error, NOT_SERVED) && !core.groups.front().is_some_and(|group| group.open) {
            // All that wait are refused alike.
            self.refuse_all(core, &error);
            return Ok(());
        }
        let is_unknown = is_state(&error, NO_SESSION) || is_state(&error, SUPERSEDED);
        if is_unknown {
            core.session = None;
        }
        let Some(group) = core.groups.front() else {
            return Ok(());
        };
        if is_unknown && !group.open {
            return Ok(()); // It had no effect: it is made in another session.
        }
        if is_unknown {
            let lost = "the server does not know this process any more (it was silent for a day, or a fail-over lost it)";
            for member in &group.members {
                member.ticket.answer(Err(unknown(lost)));
            }
            core.groups.pop_front();
            return Ok(());
        }
        if group.open {
            return Err(error); // What became of the earlier call is still to be told.
        }
        if group.members.len() == 1 {
            group.members[0].ticket.answer(Err(error));
            core.groups.pop_front();
            return Ok(());
        }
        // One of them is the cause; the others are made.
        let groups = core
            .groups
            .pop_front()
            .map(|group| group.split(core.number))
            .unwrap_or_default();
        core.number += groups.len() as u64;
        for group in groups.into_iter().rev() {
            core.groups.push_front(group);
        }
        Ok(())
    }

    fn unknown_when_late(&self) -> Error {
        let why = "it was under way when its time was over";
        match self.server.last_trouble() {
            Some(what) => unknown(&format!("{why} ({what})")),
            None => unknown(why),
        }
    }

    /// Tells those whose time is over; gives when the next one's is. `under_way`: the first group is being called.
    fn tell_late(&self, groups: &VecDeque<Group>, under_way: bool) -> Option<Instant> {
        let now = Instant::now();
        let mut queue = self.queue.lock();
        let is_late = |ticket: &Arc<Ticket>| ticket.deadline <= now;
        let (late, waiting) = queue.waiting.drain(..).partition::<VecDeque<_>, _>(is_late);
        queue.waiting = waiting;
        let mut next = queue.waiting.iter().map(|ticket| ticket.deadline).min();
        drop(queue);
        let not_made = || Err(self.server.late().context("this write was not made"));
        for ticket in late {
            if ticket.give_up() {
                ticket.answer(not_made());
            }
        }
        for (at, group) in groups.iter().enumerate() {
            let may_be_made = group.open || (at == 0 && under_way);
            for ticket in group.awaited() {
                if !is_late(ticket) {
                    next = Some(next.map_or(ticket.deadline, |next| next.min(ticket.deadline)));
                } else if !may_be_made && group.members.len() == 1 {
                    ticket.answer(not_made());
                } else {
                    // Of several it is made with the others.
                    ticket.answer(Err(self.unknown_when_late()));
                }
            }
        }
        next
    }
}

impl Core {
    /// Nobody waits for these groups any more. Whatever became of them, the next number is after theirs.
    fn drop_unawaited(&mut self) {
        self.groups.retain(|group| group.awaited().next().is_some());
    }
}

fn unknown(why: &str) -> Error {
    Error::new(
        ErrorKind::OutcomeUnknown,
        format!(
            "nobody can tell yet whether the write took effect: {why}; make it again in a transaction that first reads \
             whether it is there"
        ),
    )
}
