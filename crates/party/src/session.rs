//! A node's side of its calls: what is in flight, through whom it goes, and what becomes of it when the leader goes.
//!
//! A session lives as long as its node, over any number of leaders. At each moment it goes **via** one of: nobody
//! (the elector is at work), a link to a leader, or this very process as the leader. Each change of `via` begins a
//! new **tenure**; what an older tenure's link still delivers counts no more.
//!
//! Invariants:
//! - A call is registered in `calls`, with its encoded frame, before its first byte is sent, and stays there until
//!   it is answered or given up. Ids and write numbers rise in the order in which calls are taken on, and `queue` holds
//!   those that the leader has not been given yet, in that order.
//! - When a new tenure begins, all that is in flight is resolved or queued again in id order, ahead of all that comes
//!   later. So a session's writes take effect in the order it issued them.
//! - A write is sent again only when the page and the new leader together show that it was not applied
//!   (the table in `handover`); where nobody can tell, the caller gets `OutcomeUnknown`.
//! - A write whose caller gave up while a leader had claimed it is never sent again.
//! - A grant of a pinned moment is registered together with the tenure it came from; a grant of an older tenure is
//!   void and the call is made anew.
//! - What is kept for calls is bounded in bytes (`room`). No waker is called under the lock (`guard`).
//!
//! Blocking users cost no thread: of the callers that wait, one reads the link for all (a message between
//! threads costs as much as one between processes), and hands the reading on when its own answer has come. For tasks,
//! which cannot wait, one thread does the same (`driver`), started when the first comes; in bursts of calls one of the
//! tasks itself (`looking`).

mod at_once;
mod calls;
mod driver;
mod flight;
mod guard;
mod handover;
mod looking;
mod pins;
mod pump;
mod reading;
mod room;
mod route;
mod task;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use level_party_os::process::fork_generation;
use parking_lot::{Condvar, Mutex};

use crate::alarm::Alarm;
use crate::epoch::{Epoch, random_words};
use crate::error::{Error, ErrorKind, Result};
use crate::follower::Link;
use crate::leader::Leadership;
use crate::options::{DEFAULT_QUEUE_BYTES, WhenFull};
use crate::page::Page;
use crate::protocol::Answer;
use crate::status::{LastTrouble, Role};

pub(crate) use pins::PinId;
pub(crate) use route::Route;
pub(crate) use task::Calling;

/// Names one tenure of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tenure(u64);

/// Who waits for a call: the thread that makes it, or a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Thread,
    Task,
}

/// An unbroken line of leaderships: while it lasts a sequence number means one and the same write. It ends when another
/// program had the directory, or may have had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line(u64);

/// How long a call may take, and what it does when the leader goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub deadline: Instant,
    pub timeout: Duration,
    pub retry: bool,
    /// The only tenure that may answer (a stream without retry).
    pub only: Option<Tenure>,
    /// Since when only party members must have had the directory, for a write whose conditions rest on what was read.
    pub since: Option<Line>,
    pub wait: Wait,
    /// Bytes of calls beside which it may begin.
    pub queue_bytes: usize,
    pub when_full: WhenFull,
}

impl Limits {
    pub fn new(timeout: Duration, retry: bool) -> Self {
        // A deadline past what the clock can name is as good as a century.
        let now = Instant::now();
        let century = Duration::from_secs(100 * 365 * 86_400);
        let deadline = now.checked_add(timeout).unwrap_or_else(|| now + century);
        Limits {
            deadline,
            timeout,
            retry,
            only: None,
            since: None,
            wait: Wait::Thread,
            queue_bytes: DEFAULT_QUEUE_BYTES,
            when_full: WhenFull::Wait,
        }
    }

    /// Whether there is time left for a call that is about to begin: one of several that have the same limits, or a future
    /// that is polled late.
    ///
    /// # Errors
    /// `Timeout`.
    pub fn check_time(&self) -> Result<()> {
        match Instant::now() < self.deadline {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Timeout,
                format!(
                    "the {:?} for this call were over before it was sent; it had no effect",
                    self.timeout
                ),
            )),
        }
    }

    /// The same for a read, which rests on nothing that was read before.
    pub fn untied(self) -> Self {
        Limits {
            since: None,
            ..self
        }
    }
}

/// An answer, the pin it granted, and who gave it.
#[derive(Debug)]
pub(crate) struct Answered {
    pub answer: Answer,
    pub pin: Option<PinId>,
    pub tenure: Tenure,
}

pub(crate) struct Session {
    id: [u64; 2],
    page: Arc<Page>,
    inner: Mutex<Inner>,
    /// `via` changed.
    changed: Condvar,
    /// `via` when it is this process, for calls that need no lock.
    leading: ArcSwapOption<Local>,
    /// Calls that are not answered, as when the lock was last let go.
    backlog: AtomicUsize,
    /// Bytes of this process's writes that are at the engine without having been queued.
    direct: AtomicUsize,
    /// Somebody waits for room.
    line: AtomicBool,
    /// Wakes the elector.
    elector: Arc<Alarm>,
    driver_waker: level_party_os::Waker,
    /// The same for a driver that rests elsewhere than in the system's wait.
    driver_rung: Condvar,
    myself: Weak<Session>,
    fork_generation: u64,
}

struct Inner {
    via: Via,
    tenure: Tenure,
    line: Line,
    /// Somebody reads the link.
    reading: bool,
    /// A call was answered in this tenure or, between tenures, in the last.
    answered: bool,
    /// Somebody sends over the link, or makes calls here.
    sending: bool,
    /// A task's next poll sends what is queued.
    gathering: bool,
    calls: flight::Calls,
    load: flight::Load,
    room: room::Room,
    /// Calls that the leader has not been given yet, by id.
    queue: VecDeque<u64>,
    /// What the link has not taken yet.
    rest: pump::Rest,
    /// Where frames are encoded.
    encoded: Vec<u8>,
    last_write: u64,
    /// The writes that a leader may have seen and that are not decided.
    unfinished: flight::Unfinished,
    pins: pins::Pins,
    driver: driver::Driver,
    looking: looking::Looking,
    /// Tasks to be woken when the lock is let go.
    wakes: Vec<Waker>,
    /// The leadership of the last tenure that had one.
    last_epoch: Option<Epoch>,
    /// The newest sequence that leadership is known to have made visible.
    published: u64,
    trouble: Trouble,
    /// What went wrong last, whether or not it is over.
    noted: Option<(String, Instant)>,
}

#[derive(Clone)]
enum Via {
    Nobody,
    Link(Arc<Link>),
    Local(Arc<Local>),
    Closed,
}

/// This process as the leader, in one tenure.
pub(crate) struct Local {
    pub leadership: Arc<Leadership>,
    pub tenure: Tenure,
    pub line: Line,
}

/// Why there is no leader to go through, for the error of a call that waited in vain.
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

impl Session {
    pub fn new(elector: Arc<Alarm>) -> std::io::Result<Arc<Self>> {
        let id = random_words()?;
        let page = Arc::new(Page::create()?);
        let driver_waker = level_party_os::Waker::new()?;
        Ok(Arc::new_cyclic(|myself| Session {
            id,
            page,
            inner: Mutex::new(Inner {
                via: Via::Nobody,
                tenure: Tenure(0),
                line: Line(0),
                reading: false,
                answered: false,
                sending: false,
                gathering: false,
                calls: flight::Calls::default(),
                load: flight::Load::default(),
                room: room::Room::default(),
                queue: VecDeque::new(),
                rest: pump::Rest::default(),
                encoded: Vec::new(),
                last_write: 0,
                unfinished: flight::Unfinished::default(),
                pins: pins::Pins::default(),
                driver: driver::Driver::default(),
                looking: looking::Looking::default(),
                wakes: Vec::new(),
                last_epoch: None,
                published: 0,
                trouble: Trouble::default(),
                noted: None,
            }),
            changed: Condvar::new(),
            leading: ArcSwapOption::const_empty(),
            backlog: AtomicUsize::new(0),
            direct: AtomicUsize::new(0),
            line: AtomicBool::new(false),
            elector,
            driver_waker,
            driver_rung: Condvar::new(),
            myself: myself.clone(),
            fork_generation: fork_generation(),
        }))
    }

    /// Whether this is a forked child's copy of its parent's session.
    fn is_forked(&self) -> bool {
        fork_generation() != self.fork_generation
    }

    pub fn id(&self) -> [u64; 2] {
        self.id
    }

    pub fn page(&self) -> &Page {
        &self.page
    }

    pub fn role(&self) -> Role {
        match self.lock().via {
            Via::Link(_) => Role::Follower,
            Via::Local(_) => Role::Leader,
            Via::Nobody | Via::Closed => Role::Electing,
        }
    }

    /// Says why there is no leader yet.
    pub fn set_trouble(&self, trouble: Trouble) {
        self.lock().trouble = trouble;
    }

    /// Something went wrong that a [`Status`](crate::Status) is to tell of.
    pub fn note_trouble(&self, what: String) {
        self.lock().note_trouble(what);
    }

    /// What went wrong last.
    pub fn last_trouble(&self) -> Option<LastTrouble> {
        self.lock().last_trouble()
    }

    /// Waits until there is a leader, or `failed` tells why there will be none.
    ///
    /// # Errors
    /// What `failed` returns; at the deadline what stands in the way.
    pub fn wait_for_leader(
        &self,
        limits: &Limits,
        failed: impl Fn() -> Option<Error>,
    ) -> Result<()> {
        let mut inner = self.lock();
        loop {
            match inner.via {
                Via::Link(_) | Via::Local(_) => return Ok(()),
                Via::Closed => return Err(failed().unwrap_or_else(Error::closed)),
                Via::Nobody => {}
            }
            if let Some(error) = failed() {
                return Err(error);
            }
            if inner.wait_until(&self.changed, limits.deadline) {
                return Err(inner.timeout_error(limits));
            }
        }
    }

    /// The line of leaderships that goes on.
    pub fn line(&self) -> Line {
        self.lock().line
    }

    /// Whether the last tenure was of use to anybody.
    pub fn was_answered(&self) -> bool {
        self.lock().answered
    }

    /// Whether `tenure` has not ended.
    pub fn is_current(&self, tenure: Tenure) -> bool {
        self.lock().tenure == tenure
    }
}

impl Inner {
    fn note_trouble(&mut self, what: String) {
        self.noted = Some((what, Instant::now()));
    }

    fn last_trouble(&self) -> Option<LastTrouble> {
        let (what, at) = self.noted.as_ref()?;
        Some(LastTrouble {
            what: what.clone(),
            ago: at.elapsed(),
        })
    }

    /// What a call that waited until its deadline is told.
    fn timeout_error(&self, limits: &Limits) -> Error {
        let limit = limits.timeout;
        match &self.via {
            Via::Link(link) => Error::new(
                ErrorKind::Timeout,
                format!(
                    "the leader ({}) did not answer within {limit:?}",
                    describe_process(link.leader_pid())
                ),
            ),
            Via::Closed => Error::closed(),
            Via::Local(_) | Via::Nobody => {
                let told = self.trouble.told.as_ref().map(|tell| tell());
                let trouble = told.as_ref().unwrap_or(&self.trouble);
                let what = match trouble.what.as_str() {
                    "" => "the election is still under way",
                    what => what,
                };
                let who = trouble
                    .pid
                    .map(|pid| format!(" ({})", describe_process(pid)));
                Error::new(
                    trouble.kind.unwrap_or(ErrorKind::Timeout),
                    format!(
                        "no leader within {limit:?}: {what}{}",
                        who.unwrap_or_default()
                    ),
                )
            }
        }
    }
}

/// `pid 12, program "x", stopped` as far as the operating system tells.
pub(crate) fn describe_process(pid: u32) -> String {
    use level_party_os::process::{ProcessState, describe};
    let info = describe(pid);
    let program = info
        .program
        .map(|p| format!(", program {p}"))
        .unwrap_or_default();
    let state = match info.state {
        ProcessState::Running => ", running",
        ProcessState::Stopped => ", stopped: resume it with SIGCONT or end it",
        ProcessState::Traced => ", held by a debugger",
        ProcessState::Zombie => ", dead but not reaped",
        ProcessState::Gone => ", gone",
        ProcessState::Unknown => "",
    };
    format!("pid {pid}{program}{state}")
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::in_flight_and_assigned;
