//! The driver: one thread a node, started by the first call of a task, or when the link takes no more of what a blocking
//! caller leaves behind; it does what the threads of blocking callers do for themselves. It reads while no such thread
//! and no task (`looking`) does, goes on with what the link did not take, makes what is
//! queued where this process leads, and wakes tasks whose time is up.
//!
//! While it makes a call itself it looks at no deadline: where this process leads the elector does so too
//! ([`Session::relieve_driver`]).
//!
//! It waits for the link and for its own waker in one system call. A task that sends rings it only where its wait
//! does not cover the call: it does not look at the link, or would sleep past the deadline. It goes on looking at the
//! link when no task waits, so that the next call of a task finds it there; data that a blocking caller reads instead
//! ends that.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::guard::Guard;
use super::pump::Patience;
use super::{Inner, Session, Tenure, Via};
use crate::error::{Error, Result};
use crate::follower::{Link, Received};

/// How long after answers to several tasks their next calls are given to gather; then what is queued goes out anyway.
const TURN: Duration = Duration::from_millis(1);

/// What the session knows of its driver.
#[derive(Default)]
pub(super) struct Driver {
    pub started: bool,
    asleep: bool,
    /// In its sleep it looks for answers.
    looks: bool,
    /// Nor longer than a turn.
    turns: bool,
    /// It sleeps no longer than this.
    until: Option<Instant>,
    /// It is to be woken when the lock is let go.
    pub rung: bool,
    /// No task that waits has an earlier deadline.
    earliest: Option<Instant>,
    /// Where this process leads the elector looks at the deadlines too, by then at the latest: the driver may be making
    /// a call that takes its time.
    relieved: Option<Instant>,
    /// The elector is to be woken when the lock is let go.
    pub elector_rung: bool,
    /// Several tasks were answered at once a moment ago: their next calls are sent together.
    pub burst: bool,
}

impl Inner {
    /// Wakes the driver, if it sleeps.
    pub(super) fn ring_driver(&mut self) {
        self.driver.rung |= self.driver.asleep;
    }

    /// The same, if in its sleep it does not look for answers and nobody else does. Who is about to send for others looks
    /// too, or rings; the driver, if it takes turns, sees soon enough whether it comes to that.
    pub(super) fn ring_driver_to_read(&mut self) {
        let about_to = self.gathering && self.driver.turns;
        let somebody = self.driver.looks || self.reading || self.looking.is_anybody() || about_to;
        if !somebody && matches!(self.via, Via::Link(_)) {
            self.ring_driver();
        }
    }

    /// Has it sleep for no longer than a turn: a task looks for answers.
    pub(super) fn driver_takes_turns(&mut self) {
        if !self.driver.turns {
            self.ring_driver();
        }
    }

    /// A task waits until `deadline` at most.
    pub(super) fn watch_deadline(&mut self, deadline: Instant) {
        let earliest = &mut self.driver.earliest;
        *earliest = Some(earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        if self.driver.until.is_none_or(|until| deadline < until) {
            self.ring_driver();
        }
        let relieved = self.driver.relieved;
        if matches!(self.via, Via::Local(_)) && relieved.is_none_or(|until| deadline < until) {
            self.driver.relieved = Some(deadline);
            self.driver.elector_rung = true;
        }
    }

    /// Wakes the tasks whose time is up.
    fn expire(&mut self, now: Instant) {
        if self.driver.earliest.is_none_or(|earliest| now < earliest) {
            return;
        }
        let mut earliest = None;
        for (_, call) in self.calls.iter() {
            let Some(caller) = call.caller.as_ref().filter(|caller| caller.is_task()) else {
                continue;
            };
            match call.deadline <= now {
                true => caller.wake(&mut self.wakes),
                false => {
                    earliest =
                        Some(earliest.map_or(call.deadline, |e: Instant| e.min(call.deadline)))
                }
            }
        }
        let mut freed = false;
        for (caller, deadline) in self.room.tasks() {
            match deadline <= now {
                true => {
                    caller.wake(&mut self.wakes);
                    freed = true;
                }
                false => earliest = Some(earliest.map_or(deadline, |e: Instant| e.min(deadline))),
            }
        }
        self.room.freed |= freed;
        self.driver.earliest = earliest;
    }
}

impl Session {
    /// Starts the driver, if it does not run.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start_driver(&self, inner: &mut Inner) -> Result<()> {
        if inner.driver.started {
            return Ok(());
        }
        let Some(session) = self.myself.upgrade() else {
            return Err(Error::closed());
        };
        std::thread::Builder::new()
            .name("level-party-driver".into())
            .stack_size(256 << 10)
            .spawn(move || session.drive())
            .map_err(|error| Error::io("cannot start a thread", error))?;
        inner.driver.started = true;
        Ok(())
    }

    /// Wakes the tasks whose time is up, for a driver that is at work, and says when the next one's is.
    pub fn relieve_driver(&self) -> Option<Instant> {
        let mut inner = self.lock();
        inner.expire(Instant::now());
        inner.driver.relieved = inner.driver.earliest;
        inner.driver.relieved
    }

    fn drive(self: Arc<Self>) {
        let mut inner = self.lock();
        while !matches!(inner.via, Via::Closed) {
            inner.expire(Instant::now());
            if inner.wakes.is_empty() {
                self.drive_once(&mut inner);
            } else {
                inner.unlocked(|| {});
            }
        }
    }

    /// `poll` failed. With `EINTR` it was made again (`level-party-os`); with `ENOMEM` (elsewhere than on Linux `EAGAIN`)
    /// the system has no memory for it, which may pass: what has come is read all the same, as that needs no `poll`.
    /// `EINVAL` (more descriptors than this process may have) and `EFAULT` do not pass by themselves: the link is given
    /// up, so that the calls in flight are resolved over another or end at their deadlines.
    ///
    /// Either way the driver first rests where no memory is needed, until it is rung or for no longer than a turn: it has
    /// deadlines to watch.
    pub(super) fn go_on_without_poll(
        &self,
        inner: &mut Guard<'_>,
        link: Option<Arc<Link>>,
        tenure: Tenure,
        error: &io::Error,
    ) {
        let turn = Instant::now() + TURN;
        inner.driver.asleep = true;
        inner.wait_until(&self.driver_rung, turn);
        inner.driver.asleep = false;
        let Some(link) = link.filter(|_| inner.tenure == tenure) else {
            return;
        };
        if !matches!(
            error.kind(),
            io::ErrorKind::OutOfMemory | io::ErrorKind::WouldBlock
        ) {
            self.lose_locked(inner, tenure);
            return;
        }
        if !inner.reading && !inner.looking.is_anybody() {
            self.read_what_has_come(inner, &link, tenure);
        }
        if inner.tenure == tenure {
            self.pump(inner, Patience::None);
        }
    }

    /// Nobody else reads.
    fn read_what_has_come(&self, inner: &mut Guard<'_>, link: &Link, tenure: Tenure) {
        inner.reading = true;
        let received = inner.unlocked(|| link.receive_now());
        if let Ok(Received::Replies(replies)) = &received {
            inner.driver.burst = replies.len() > 1;
        }
        self.take_in(inner, tenure, received);
        if inner.tenure == tenure {
            inner.reading = false;
            inner.hand_reading_on();
        }
    }

    fn drive_once(&self, inner: &mut Guard<'_>) {
        if matches!(inner.via, Via::Local(_)) && !inner.sending {
            let before = inner.queue.len();
            self.pump(inner, Patience::Endless);
            if inner.queue.len() < before {
                return;
            }
        }
        let link = match &inner.via {
            Via::Link(link) => Some(link.clone()),
            _ => None,
        };
        let tenure = inner.tenure;
        let looking = inner.looking.trace();
        let read = link.is_some() && !inner.reading && looking.0.is_none();
        let write = link.is_some() && !inner.rest.is_empty() && !inner.sending;
        let now = Instant::now();
        let turn = (inner.driver.burst || looking.0.is_some()).then(|| now + TURN);
        let until = [turn, inner.driver.earliest].into_iter().flatten().min();
        let timeout = until.map(|until| until.saturating_duration_since(now));
        inner.driver.asleep = true;
        inner.driver.looks = read;
        inner.driver.turns = turn.is_some();
        inner.driver.until = until;
        let ready = inner.unlocked(|| match &link {
            Some(link) => link.wait_ready(read, write, &self.driver_waker, timeout),
            None => self
                .driver_waker
                .wait(timeout)
                .map(|woken| level_party_os::Ready {
                    read: false,
                    write: false,
                    woken,
                }),
        });
        inner.driver.asleep = false;
        inner.driver.looks = false;
        inner.driver.turns = false;
        let ready = match ready {
            Ok(ready) => ready,
            Err(error) => return self.go_on_without_poll(inner, link, tenure, &error),
        };
        if ready.woken {
            self.driver_waker.reset();
        }
        let Some(link) = link.filter(|_| inner.tenure == tenure) else {
            return;
        };
        // Unasked: the link is over. What it still brought is taken, where no thread is at that.
        let over = ready.read && !read;
        if over && looking.0.is_none() {
            self.lose_locked(inner, tenure);
        } else if ready.read && !inner.reading && (over || !inner.looking.is_anybody()) {
            inner.looking.forget();
            self.read_what_has_come(inner, &link, tenure);
            if inner.tenure == tenure {
                self.pump(inner, Patience::None);
            }
        } else if ready.write || ready.woken {
            self.pump(inner, Patience::None);
        } else if turn.is_some_and(|turn| Instant::now() >= turn) {
            inner.driver.burst = false;
            if inner.looking.trace() == looking {
                // Its task is not polled.
                inner.looking.forget();
            }
            self.pump(inner, Patience::None);
        }
    }
}
