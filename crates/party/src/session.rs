//! A node's side of its calls: what is in flight, through whom it goes, and what becomes of it when the leader goes.
//!
//! A session lives as long as its node, over any number of leaders. At each moment it goes **via** one of: nobody
//! (the elector is at work), a link to a leader, or this very process as the leader. Each change of `via` begins a
//! new **tenure**; what an older tenure's link still delivers counts no more.
//!
//! Invariants:
//! - A call is registered in `pending`, with its encoded frame, before its first byte is sent, and stays there until
//!   it is answered or given up. Ids and write numbers rise in the order frames are sent (the `sender` lock).
//! - When a new tenure begins, all that is pending is resolved or sent again in id order, *before* any new call goes
//!   out: `via` is set last. So a session's writes take effect in the order it issued them.
//! - A write is sent again only when the page and the new leader together show that it was not applied
//!   (the table in `handover`); where nobody can tell, the caller gets `OutcomeUnknown`.
//! - A write whose caller gave up while a leader had claimed it is never sent again.
//! - A grant of a pinned moment is registered together with the tenure it came from; a grant of an older tenure is
//!   void and the call is made anew.
//!
//! There is no thread that reads answers: of the callers that wait, one reads the link for all (a message between
//! threads costs as much as one between processes), and hands the reading on when its own answer has come.

mod calls;
mod handover;
mod pins;
mod route;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use parking_lot::{Condvar, Mutex};

use crate::alarm::Alarm;
use crate::epoch::{Epoch, random_words};
use crate::error::{Error, ErrorKind, Result};
use crate::follower::Link;
use crate::leader::Leadership;
use crate::page::Page;
use crate::protocol::Answer;
use crate::status::Role;

pub(crate) use pins::PinId;
pub(crate) use route::Route;

/// Names one tenure of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tenure(u64);

/// How long a call may take, and what it does when the leader goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub deadline: Instant,
    pub timeout: Duration,
    pub retry: bool,
    /// The only tenure that may answer (a stream without retry).
    pub only: Option<Tenure>,
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
    /// Held while a frame is numbered and sent.
    sender: Mutex<Sender>,
    inner: Mutex<Inner>,
    /// `via` changed, or room for writes came free.
    changed: Condvar,
    /// `via` when it is this process, for calls that need no lock.
    leading: ArcSwapOption<Local>,
    /// Wakes the elector.
    elector: Arc<Alarm>,
}

struct Sender {
    next_call: u64,
    next_write: u64,
}

struct Inner {
    via: Via,
    tenure: Tenure,
    /// One of the waiting callers reads the link.
    reading: bool,
    /// A call was answered in this tenure or, between tenures, in the last.
    answered: bool,
    /// What was in flight is still being sent to the new leader: no new call goes out yet.
    catching_up: bool,
    /// Calls in flight by id.
    pending: BTreeMap<u64, Pending>,
    /// Numbers of the writes in flight.
    unfinished: BTreeSet<u64>,
    pins: pins::Pins,
    /// The leadership of the last tenure that had one.
    last_epoch: Option<Epoch>,
    /// The newest sequence that leadership is known to have made visible.
    published: u64,
    trouble: Trouble,
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

struct Pending {
    frame: Arc<Vec<u8>>,
    /// The write's number, if it is one.
    write: Option<u64>,
    /// Its answer may grant a pin.
    grants: bool,
    retry: bool,
    /// Whom to wake; `None` where the caller gave up and only the outcome is still owed.
    caller: Option<Arc<Condvar>>,
    answer: Option<Result<Answered>>,
    /// The leadership it was sent again to last, and how often.
    sent_again: Option<(Epoch, u32)>,
}

impl Session {
    pub fn new(elector: Arc<Alarm>) -> std::io::Result<Self> {
        Ok(Session {
            id: random_words()?,
            page: Arc::new(Page::create()?),
            sender: Mutex::new(Sender {
                next_call: 1,
                next_write: 1,
            }),
            inner: Mutex::new(Inner {
                via: Via::Nobody,
                tenure: Tenure(0),
                reading: false,
                answered: false,
                catching_up: false,
                pending: BTreeMap::new(),
                unfinished: BTreeSet::new(),
                pins: pins::Pins::default(),
                last_epoch: None,
                published: 0,
                trouble: Trouble::default(),
            }),
            changed: Condvar::new(),
            leading: ArcSwapOption::const_empty(),
            elector,
        })
    }

    pub fn id(&self) -> [u64; 2] {
        self.id
    }

    pub fn page(&self) -> &Page {
        &self.page
    }

    pub fn role(&self) -> Role {
        match self.inner.lock().via {
            Via::Link(_) => Role::Follower,
            Via::Local(_) => Role::Leader,
            Via::Nobody | Via::Closed => Role::Electing,
        }
    }

    /// Says why there is no leader yet.
    pub fn set_trouble(&self, trouble: Trouble) {
        self.inner.lock().trouble = trouble;
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
        let mut inner = self.inner.lock();
        loop {
            match inner.via {
                Via::Link(_) | Via::Local(_) => return Ok(()),
                Via::Closed => return Err(failed().unwrap_or_else(Error::closed)),
                Via::Nobody => {}
            }
            if let Some(error) = failed() {
                return Err(error);
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

    /// Whether the last tenure was of use to anybody.
    pub fn was_answered(&self) -> bool {
        self.inner.lock().answered
    }

    /// Whether `tenure` has not ended.
    pub fn is_current(&self, tenure: Tenure) -> bool {
        self.inner.lock().tenure == tenure
    }
}

impl Inner {
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
