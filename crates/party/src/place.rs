//! A node's place in its directory, as its calls see it: the member to make them of, or why there is none.
//!
//! A call is made of the member that is there; when that one's stay is over before the call had any effect, of the next. A
//! handle's writes take effect in the order in which they were begun: what a thread writes goes through the lane of the tasks
//! where that has any.
//! Must not know: how a stay begins, or who leads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use level_party_locks::Mutex;

use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind, Result};
use crate::lane::Lane;
use crate::limits::{Limits, Line, Stay, Wait};
use crate::member::{Member, is_unbroken, line_after};
use crate::news::News;
use crate::pins::Pins;
use crate::process::describe_process;
use crate::readers::Readers;
use crate::room::Room;
use crate::status::Role;
use crate::stop::{Stop, outcome_unknown_by};
use crate::timer::Timer;

/// A node's place in its directory.
pub(crate) struct Place {
    member: ArcSwapOption<Member>,
    inner: Mutex<Inner>,
    /// Which line goes on.
    line: AtomicU64,
    /// Anything here changed.
    pub changed: News,
    pub timer: Timer,
    pub room: Room,
    pub lane: Lane,
    pub readers: Readers,
    pub pins: Pins,
}

struct Inner {
    closed: bool,
    stays: u64,
    /// That of the last stay.
    epoch: Option<Epoch>,
    /// Who leads, as far as this process was told.
    leader: Option<KnownLeader>,
    leads: bool,
    trouble: Trouble,
}

/// Who leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownLeader {
    pub pid: u32,
    /// The leadership's number.
    pub leadership: u64,
}

/// Why there is no member to make calls of, for the error of a call that waited in vain.
#[derive(Clone, Default)]
pub(crate) struct Trouble {
    pub what: String,
    /// The process that is waited for.
    pub pid: Option<u32>,
    /// What kind of error it is, where it is more than a missing answer.
    pub kind: Option<ErrorKind>,
    /// Finds all this out where that is slow: asked only when an error is told.
    pub told: Option<Arc<dyn Fn() -> Trouble + Send + Sync>>,
}

impl Inner {
    fn set_leader(&mut self, leader: Option<KnownLeader>) {
        self.leader = leader;
        self.leads = leader.is_some_and(|leader| leader.pid == std::process::id());
    }
}

impl Place {
    pub fn new() -> Self {
        Place {
            member: ArcSwapOption::const_empty(),
            inner: Mutex::new(Inner {
                closed: false,
                stays: 0,
                epoch: None,
                leader: None,
                leads: false,
                trouble: Trouble::default(),
            }),
            line: AtomicU64::new(0),
            changed: News::default(),
            timer: Timer::default(),
            room: Room::default(),
            lane: Lane::default(),
            readers: Readers::default(),
            pins: Pins::default(),
        }
    }

    /// The member, if there is one.
    #[inline]
    pub fn member(&self) -> arc_swap::Guard<Option<Arc<Member>>> {
        self.member.load()
    }

    /// The line that goes on.
    pub fn line(&self) -> Line {
        Line(self.line.load(Ordering::Acquire))
    }

    pub fn role(&self) -> Role {
        let inner = self.inner.lock();
        match (self.member.load().is_some(), inner.leads, inner.leader) {
            (true, true, _) => Role::Leader,
            (true, false, Some(_)) => Role::Follower,
            _ => Role::Electing,
        }
    }

    /// The number of the next stay.
    pub fn next_stay(&self) -> Stay {
        let mut inner = self.inner.lock();
        inner.stays += 1;
        Stay(inner.stays)
    }

    /// A stay begins, in which somebody leads, or nobody known.
    pub fn enter(&self, member: &Arc<Member>, leader: Option<KnownLeader>) {
        let mut inner = self.inner.lock();
        if inner.closed {
            return;
        }
        let before = inner.epoch.replace(member.epoch());
        let line = line_after(self.line(), before, member);
        self.line.store(line.0, Ordering::Release);
        // Before anybody can read there: what a moment's number means must be known first.
        self.pins
            .move_to(member.engine(), member.stay(), is_unbroken(before, member));
        inner.set_leader(leader);
        self.member.store(Some(Arc::clone(member)));
        drop(inner);
        self.tell();
    }

    /// The stay is over: calls wait for the next one.
    pub fn leave(&self) {
        let mut inner = self.inner.lock();
        self.member.store(None);
        inner.set_leader(None);
        drop(inner);
        self.pins.loosen();
        self.tell();
    }

    /// Who leads from here on, as far as this process knows.
    pub fn led_by(&self, leader: Option<KnownLeader>) {
        self.inner.lock().set_leader(leader);
        self.tell();
    }

    /// Says why there is no member yet.
    pub fn set_trouble(&self, trouble: Trouble) {
        self.inner.lock().trouble = trouble;
    }

    /// Whoever waits looks again.
    pub fn tell(&self) {
        self.changed.tell();
    }

    /// The node leaves for good: all that waits is answered.
    pub fn close(&self) {
        self.inner.lock().closed = true;
        self.leave();
        self.room.close();
        self.lane.close();
        self.readers.close();
        self.timer.close();
    }

    pub fn is_closed(&self) -> bool {
        self.inner.lock().closed
    }

    /// Waits for a member that `wanted` takes.
    ///
    /// # Errors
    /// `Closed`, or what `failed` gives; at the deadline what stands in the way.
    pub async fn wait_for(
        &self,
        limits: &Limits,
        wanted: impl Fn(&Member) -> bool,
        failed: impl Fn() -> Option<Error>,
    ) -> Result<Arc<Member>> {
        let ready = || {
            if let Some(error) = failed() {
                return Some(Err(error));
            }
            let member = self.member.load_full().filter(|member| wanted(member));
            match member {
                Some(member) => Some(Ok(member)),
                None if self.is_closed() => Some(Err(Error::closed())),
                None => None,
            }
        };
        let found = self
            .changed
            .wait(limits.wait, limits.deadline, &self.timer, ready);
        found
            .await?
            .unwrap_or_else(|| Err(self.timeout_error(limits)))
    }

    /// Whether a living process leads and this one knows it, or there is no member that could tell.
    pub fn is_led(&self) -> bool {
        let Some(member) = &*self.member() else {
            return true;
        };
        let engine = member.engine();
        let lives = |leader| leader == engine.incarnation() || !engine.is_dead(leader);
        engine.leader().is_some_and(lives) && self.role() != Role::Electing
    }

    /// Makes a call of the member that is there, or the next one.
    ///
    /// # Errors
    /// The call's; `Timeout`, `Closed`, `ConnectionLost`; `Conflict` where it is tied to a line that has ended.
    pub async fn call<T>(
        &self,
        limits: &Limits,
        make: impl Fn(&Member) -> std::result::Result<T, Stop>,
    ) -> Result<T> {
        let mut left = None;
        loop {
            let current = self.member.load_full().filter(|m| Some(m.stay()) != left);
            let member = match current {
                Some(member) => member,
                None => {
                    let is_next = |member: &Member| Some(member.stay()) != left;
                    self.wait_for(limits, is_next, || None).await?
                }
            };
            if limits.only.is_some_and(|only| only != member.stay()) {
                return Err(connection_lost());
            }
            if limits.since.is_some_and(|line| line != self.line()) {
                return Err(line_broken());
            }
            match make(&member) {
                Ok(made) => return Ok(made),
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Unknown(cause)) => {
                    member.end();
                    return Err(outcome_unknown_by(cause));
                }
                Err(Stop::Over) => {
                    member.end();
                    if !limits.retry {
                        return Err(connection_lost());
                    }
                    left = Some(member.stay());
                }
            }
        }
    }

    /// Waits until this process knows of a leader that `wanted` takes.
    ///
    /// # Errors
    /// `Closed`, also where `ended` says that the caller is; at the deadline what stands in the way.
    pub fn wait_for_leader(
        &self,
        limits: &Limits,
        wanted: impl Fn(KnownLeader) -> bool,
        ended: impl Fn() -> bool,
    ) -> Result<(Arc<Member>, KnownLeader)> {
        let ready = || {
            if ended() {
                return Some(Err(Error::closed()));
            }
            let inner = self.inner.lock();
            let leader = inner.leader.filter(|leader| wanted(*leader));
            match (self.member.load_full(), leader) {
                _ if inner.closed => Some(Err(Error::closed())),
                (Some(member), Some(leader)) => Some(Ok((member, leader))),
                _ => None,
            }
        };
        let found = self
            .changed
            .wait(Wait::Thread, limits.deadline, &self.timer, ready);
        crate::limits::now(found)?.unwrap_or_else(|| Err(self.timeout_error(limits)))
    }

    /// Waits until `until` has come, the leader is another one, or the caller has ended.
    pub fn rest(&self, leader: KnownLeader, until: Instant, ended: impl Fn() -> bool) {
        let ready = || {
            let changed = self.inner.lock().leader != Some(leader);
            (changed || ended()).then_some(())
        };
        let waited = self.changed.wait(Wait::Thread, until, &self.timer, ready);
        // A thread's wait needs no timer, and so can't fail.
        let _ = crate::limits::now(waited);
    }

    /// What a call that waited until its deadline is told.
    pub fn timeout_error(&self, limits: &Limits) -> Error {
        let limit = limits.timeout;
        let trouble = {
            let inner = self.inner.lock();
            if inner.closed {
                return Error::closed();
            }
            inner.trouble.clone()
        };
        let told = trouble.told.as_ref().map(|tell| tell());
        let trouble = told.as_ref().unwrap_or(&trouble);
        let what = match trouble.what.as_str() {
            "" => "the database is being opened",
            what => what,
        };
        let who = trouble
            .pid
            .map(|pid| format!(" ({})", describe_process(pid)));
        Error::new(
            trouble.kind.unwrap_or(ErrorKind::Timeout),
            format!(
                "not open within {limit:?}: {what}{}",
                who.unwrap_or_default()
            ),
        )
    }
}

/// `retry(false)`: this process would have to open the database anew.
pub(crate) fn connection_lost() -> Error {
    Error::new(
        ErrorKind::ConnectionLost,
        "this process had to open the database anew in the middle of this call or stream; begin it again (or open with \
         retry)",
    )
}

/// Another program had the directory since what a write rests on was read.
pub(crate) fn line_broken() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "another program had the directory since this transaction read from it; nothing was written",
    )
}
