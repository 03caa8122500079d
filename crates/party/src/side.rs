//! Work that only the leader does: done by this process where it leads, else asked for over a side connection.
//!
//! - The caller's `timeout` bounds the silence, not the work: the leader tells every second that it goes on.
//! - When the leader goes, the next one is asked again: all work here may be begun anew (`retry(false)`: `ConnectionLost`).
//! - When the caller's handle closes, the connection ends at once, and with it the work at the leader.

mod link;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use level_party_engine::TailWaker;
use level_party_locks::Mutex;
use level_party_os::Stream;
use level_party_remote::FeedWaker;

use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::node::Node;
use crate::place::KnownLeader;
use crate::protocol::{Task, TaskResult};
use crate::stop::Stop;
use link::{Heard, SideLink};

/// How long to wait before a leader that could not be reached is tried again, if another one is not known by then.
const PAUSE: Duration = Duration::from_millis(20);
/// How many leaders may go in the middle of one piece of work before it is given up: it may be what ends them.
const ATTEMPTS: u32 = 8;

/// Ends one caller's long-lived work, from any thread.
#[derive(Default)]
pub(crate) struct Ender {
    ended: AtomicBool,
    waits: Mutex<Waits>,
}

/// What a caller waits for.
#[derive(Default)]
pub(crate) enum Waits {
    #[default]
    Nothing,
    Link(Arc<Stream>),
    Tail(TailWaker),
    /// A feed of a server.
    Feed(FeedWaker),
}

impl Ender {
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// The caller waits for nothing from here on; what it waits for is woken.
    pub fn end(&self) {
        let waits = self.waits.lock();
        self.ended.store(true, Ordering::Release);
        wake(&waits);
    }

    /// The caller is about to wait for this, until it waits for something else.
    pub fn wait_for(&self, what: Waits) {
        let mut waits = self.waits.lock();
        *waits = what;
        if self.is_ended() {
            wake(&waits);
        }
    }
}

fn wake(waits: &Waits) {
    match waits {
        Waits::Nothing => {}
        // Where it ended already there is nothing to do.
        Waits::Link(stream) => drop(stream.shutdown()),
        Waits::Tail(waker) => waker.wake(),
        Waits::Feed(wake) => wake(),
    }
}

/// How one attempt ended without an answer.
enum Lost {
    /// The leader went, or was not there. `begun`: it had begun with the work.
    Leader {
        begun: bool,
    },
    Failed(Error),
}

/// Long-lived work of one caller.
pub(crate) struct Work<'a> {
    pub node: &'a Node,
    pub ender: &'a Ender,
    pub timeout: Duration,
    pub retry: bool,
}

impl Work<'_> {
    /// Has `task` done by the leader, whoever that is by then. `finish` is called with its outcome before the leader is
    /// told that it was heard.
    ///
    /// # Errors
    /// What the work or `finish` fails with; `Timeout`, `ConnectionLost`, `Closed`.
    pub fn run(
        &self,
        task: &Task,
        finish: &dyn Fn(&TaskResult) -> Result<()>,
    ) -> Result<TaskResult> {
        let mut limits = Limits::new(self.timeout, self.retry);
        let mut attempts = 0;
        let mut lost = None;
        loop {
            let leader = self.leader(&limits, lost)?;
            let result = match self.node.leadership() {
                Some(leadership) => match leadership.perform(task, &|| !self.ender.is_ended()) {
                    Ok(outcome) => finish(&outcome).map(|()| outcome).map_err(Lost::Failed),
                    Err(Stop::Failed(error)) => Err(Lost::Failed(error)),
                    Err(Stop::Over | Stop::Unknown(_)) => Err(Lost::Leader { begun: true }),
                },
                None => self.ask(task, &mut limits, finish),
            };
            lost = None;
            match result {
                Ok(outcome) => return Ok(outcome),
                Err(_) if self.ender.is_ended() => return Err(Error::closed()),
                Err(Lost::Failed(error)) => return Err(error),
                Err(Lost::Leader { begun: false }) => self.rest(leader, &limits),
                Err(Lost::Leader { begun: true }) => {
                    attempts += 1;
                    if !self.retry || attempts == ATTEMPTS {
                        return Err(work_lost());
                    }
                    limits = Limits::new(self.timeout, self.retry);
                    lost = Some(leader);
                }
            }
        }
    }

    /// Who leads, once it is another one than `lost`.
    fn leader(&self, limits: &Limits, lost: Option<KnownLeader>) -> Result<KnownLeader> {
        let place = &self.node.place;
        let is_other = |leader| Some(leader) != lost;
        let found = place.wait_for_leader(limits, is_other, || self.ender.is_ended());
        Ok(found?.1)
    }

    fn rest(&self, leader: KnownLeader, limits: &Limits) {
        let soon = (Instant::now() + PAUSE).min(limits.deadline);
        let place = &self.node.place;
        place.rest(leader, soon, || self.ender.is_ended());
    }

    /// Has the leader leave leadership to another process. Gives who led before, and who leads then.
    ///
    /// # Errors
    /// `Timeout`, `Closed`.
    pub fn give_way(&self) -> Result<(KnownLeader, KnownLeader)> {
        let limits = Limits::new(self.timeout, self.retry);
        let (before, leaves) = loop {
            let leader = self.leader(&limits, None)?;
            match self.node.leadership() {
                Some(leadership) => break (leader, leadership.give_way()),
                None => match self.ask_to_give_way(&limits)? {
                    Some(answer) => break answer,
                    None => self.rest(leader, &limits),
                },
            }
        };
        if !leaves {
            return Ok((before, before));
        }
        let place = &self.node.place;
        let is_later = |leader: KnownLeader| leader.leadership > before.leadership;
        let (_, after) = place.wait_for_leader(&limits, is_later, || self.ender.is_ended())?;
        Ok((before, after))
    }

    /// The leader that was asked, and whether it leaves. `None`: it could not be asked.
    fn ask_to_give_way(&self, limits: &Limits) -> Result<Option<(KnownLeader, bool)>> {
        let Ok(mut link) = SideLink::open(self.node, self.ender, Task::Yield) else {
            return Ok(None);
        };
        let mut leader = None;
        loop {
            match link.next(limits.deadline) {
                Ok(Heard::Begun(begun)) => leader = Some(begun),
                Ok(Heard::Working) => {}
                Ok(Heard::Silence) => return Err(link.silence(limits.timeout)),
                Ok(Heard::Done(Ok(TaskResult::Yielding(leaves)))) => {
                    return Ok(leader.map(|leader| (leader, leaves)));
                }
                Ok(Heard::Done(Err(error))) => return Err(error),
                Ok(Heard::Done(Ok(_))) => {
                    return Err(Error::protocol("the leader did another piece of work"));
                }
                Err(error) if error.kind() == ErrorKind::Protocol => return Err(error),
                // It has gone by itself.
                Err(_) => return Ok(leader.map(|leader| (leader, true))),
            }
        }
    }

    /// Another process leads.
    fn ask(
        &self,
        task: &Task,
        limits: &mut Limits,
        finish: &dyn Fn(&TaskResult) -> Result<()>,
    ) -> std::result::Result<TaskResult, Lost> {
        let mut begun = false;
        let Ok(mut link) = SideLink::open(self.node, self.ender, task.clone()) else {
            return Err(Lost::Leader { begun });
        };
        loop {
            let heard = match link.next(limits.deadline) {
                Ok(heard) => heard,
                // A side that breaks the protocol will not do better when it is asked again.
                Err(error) if error.kind() == ErrorKind::Protocol => {
                    return Err(Lost::Failed(error));
                }
                Err(_) => return Err(Lost::Leader { begun }),
            };
            match heard {
                Heard::Silence => return Err(Lost::Failed(link.silence(limits.timeout))),
                Heard::Begun(_) => begun = true,
                Heard::Working => {}
                Heard::Done(Ok(outcome)) => {
                    finish(&outcome).map_err(Lost::Failed)?;
                    return Ok(outcome);
                }
                Heard::Done(Err(error)) => return Err(Lost::Failed(error)),
            }
            *limits = Limits::new(self.timeout, self.retry);
        }
    }
}

fn work_lost() -> Error {
    Error::new(
        ErrorKind::ConnectionLost,
        "the leader went in the middle of this work; it does no harm to ask for it again",
    )
}
