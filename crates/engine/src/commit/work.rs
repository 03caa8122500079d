//! [`State`]: what the background thread is to do, and how it fared.
//!
//! Promises: what is frozen becomes tables oldest first; a caller that waits for a step is told of failures of that step
//! alone; nothing is asked of a thread that is not there.
//! Must not know: how a step is done, or who does it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::base::control::LeaderStep as Step;
use crate::base::error::{Error, Result};

/// How often each step has failed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Failures {
    flush: u64,
    compaction: u64,
}

/// What the background thread is to do, and how it fared. Guarded by one lock with the publication of a version.
pub(crate) struct State {
    manual: VecDeque<Arc<Manual>>,
    flush_error: Option<Error>,
    compaction_error: Option<Error>,
    /// Why a table was set aside, for as long as the engine is open.
    damage: Option<Error>,
    /// How often each step has failed.
    failures: Failures,
    /// This process has a thread that does all this.
    leads: bool,
}

impl State {
    pub(crate) fn new() -> State {
        State {
            manual: VecDeque::new(),
            flush_error: None,
            compaction_error: None,
            damage: None,
            failures: Failures::default(),
            leads: false,
        }
    }

    /// The thread begins its work.
    pub(crate) fn begin_leading(&mut self) {
        self.leads = true;
        self.flush_error = None;
        self.compaction_error = None;
        self.damage = None;
    }

    /// Whether the thread does its work.
    pub(crate) fn leads(&self) -> bool {
        self.leads
    }

    /// It does no more. Whoever waits is told why.
    pub(crate) fn end_leading(&mut self, why: &Error) {
        self.leads = false;
        for manual in self.manual.drain(..) {
            manual.answer(Err(why.clone()));
        }
    }

    /// Whether a frozen memtable may be flushed. After a failure it is only if somebody called: then `retry`.
    pub(crate) fn may_flush(&self, retry: bool) -> bool {
        retry || self.flush_error.is_none()
    }

    /// Whether a compaction may be begun that nobody has asked for.
    pub(crate) fn may_compact(&self, retry: bool) -> bool {
        retry || self.compaction_error.is_none()
    }

    pub(crate) fn flushed(&mut self, result: Result<(), &Error>) {
        self.failures.flush += u64::from(result.is_err());
        self.flush_error = result.err().cloned();
    }

    pub(crate) fn compacted(&mut self, result: Result<()>) {
        self.failures.compaction += u64::from(result.is_err());
        self.compaction_error = result.err();
    }

    /// A compaction that somebody needs can't be made.
    pub(crate) fn cannot_compact(&mut self) {
        self.failures.compaction += 1;
    }

    pub(crate) fn failures(&self) -> Failures {
        self.failures
    }

    /// Why a step is not done, if it has failed since `before`: who waits for a flush is not told of a compaction.
    pub(crate) fn failed_since(&self, before: Failures, step: Step) -> Option<&Error> {
        let (failed, error) = match step {
            Step::Flush => (
                self.failures.flush > before.flush,
                self.flush_error.as_ref(),
            ),
            Step::Compaction => (
                self.failures.compaction > before.compaction,
                self.compaction_error.as_ref().or(self.damage.as_ref()),
            ),
        };
        error.filter(|_| failed)
    }

    /// What failed last and was not done since; a flush comes first, because it holds up the writers first.
    pub(crate) fn error(&self) -> Option<&Error> {
        let failed = self.flush_error.as_ref().or(self.compaction_error.as_ref());
        failed.or(self.damage.as_ref())
    }

    /// A table was set aside because of this.
    pub(crate) fn damaged(&mut self, error: Error) {
        self.damage.get_or_insert(error);
    }

    pub(crate) fn request(&mut self, manual: Arc<Manual>) {
        self.manual.push_back(manual);
    }

    /// The compaction that has been asked for first. It stays until it is answered.
    pub(crate) fn requested(&self) -> Option<&Arc<Manual>> {
        self.manual.front()
    }

    /// Answers the compaction that was asked for first.
    pub(crate) fn answer(&mut self, result: Result<()>) {
        if let Some(manual) = self.manual.pop_front() {
            manual.answer(result);
        }
    }
}

/// A compaction that somebody asked for and waits for.
pub(crate) struct Manual {
    pub(crate) begin: Option<Vec<u8>>,
    pub(crate) end: Option<Vec<u8>>,
    /// Nobody waits for it any more.
    withdrawn: AtomicBool,
    result: OnceLock<Result<()>>,
}

impl Manual {
    pub(crate) fn new(begin: Option<&[u8]>, end: Option<&[u8]>) -> Manual {
        Manual {
            begin: begin.map(<[u8]>::to_vec),
            end: end.map(<[u8]>::to_vec),
            withdrawn: AtomicBool::new(false),
            result: OnceLock::new(),
        }
    }

    /// What is under way is finished, and nothing more is begun for it.
    pub(crate) fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Relaxed)
    }

    pub(crate) fn result(&self) -> Option<Result<()>> {
        self.result.get().cloned()
    }

    fn answer(&self, result: Result<()>) {
        // There is one who answers.
        let _ = self.result.set(result);
    }
}
