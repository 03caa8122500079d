//! [`State`]: what the background thread is to do, and how it fared.
//!
//! Promises: what is frozen becomes tables oldest first; a caller that waits for a step is told of failures of that step
//! alone.
//! Must not know: how a step is done, or who does it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use level_party_memtable::MemTable;

use crate::base::error::{Error, Result};
use crate::read::run::Run;
use crate::read::view;

/// A full memtable on its way to a table.
#[derive(Clone)]
pub(crate) struct Frozen {
    pub(crate) mem: MemTable,
    /// The log that has its entries.
    pub(crate) log_number: u64,
}

/// What was recovered, on its way to a table.
pub(crate) struct Recovered {
    pub(crate) run: Arc<Run>,
    /// The logs that it came from, in order.
    pub(crate) logs: Vec<u64>,
}

/// What somebody may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The oldest memtable becomes a table.
    Flush,
    /// Level 0 has fewer tables.
    Compaction,
}

/// How often each step has failed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Failures {
    flush: u64,
    compaction: u64,
}

/// What the background thread is to do, and how it fared. Guarded by one lock with the replacing of the view.
pub(crate) struct State {
    /// Older than all that is frozen.
    recovered: Option<Recovered>,
    /// Oldest first.
    frozen: VecDeque<Frozen>,
    active_log: u64,
    manual: VecDeque<Arc<Manual>>,
    flush_error: Option<Error>,
    compaction_error: Option<Error>,
    /// Why a table was set aside, for as long as the engine is open.
    damage: Option<Error>,
    /// How often each step has failed.
    failures: Failures,
    /// Somebody needs what failed.
    called: bool,
}

impl State {
    pub(crate) fn new(recovered: Option<Recovered>, active_log: u64) -> State {
        State {
            // Nobody has to wait for the settling until somebody says so.
            called: recovered.is_none(),
            recovered,
            frozen: VecDeque::new(),
            active_log,
            manual: VecDeque::new(),
            flush_error: None,
            compaction_error: None,
            damage: None,
            failures: Failures::default(),
        }
    }

    /// A memtable is full; what follows it goes to the log `active_log`.
    pub(crate) fn freeze(&mut self, frozen: Frozen, active_log: u64) {
        self.frozen.push_back(frozen);
        self.active_log = active_log;
    }

    /// The oldest of what is no table yet is one.
    pub(crate) fn unfreeze(&mut self) {
        if self.recovered.take().is_none() {
            self.frozen.pop_front();
        }
    }

    /// The logs whose entries are in no table yet, oldest first.
    pub(crate) fn log_numbers(&self) -> impl Iterator<Item = u64> {
        let recovered = self.recovered.iter().flat_map(|recovered| &recovered.logs);
        let frozen = self.frozen.iter().map(|frozen| frozen.log_number);
        recovered.copied().chain(frozen).chain([self.active_log])
    }

    pub(crate) fn frozen_count(&self) -> usize {
        usize::from(self.recovered.is_some()) + self.frozen.len()
    }

    pub(crate) fn frozen_newest_first(&self) -> Vec<view::Frozen> {
        let frozen = self.frozen.iter().rev();
        let recovered = self.recovered.iter();
        frozen
            .map(|frozen| view::Frozen::Mem(frozen.mem.clone()))
            .chain(recovered.map(|recovered| view::Frozen::Run(Arc::clone(&recovered.run))))
            .collect()
    }

    /// The oldest frozen memtable, and the log that holds what follows it.
    pub(crate) fn oldest_frozen(&self) -> Option<(Frozen, u64)> {
        let oldest = self.frozen.front()?.clone();
        let next = self.frozen.get(1);
        Some((oldest, next.map_or(self.active_log, |next| next.log_number)))
    }

    /// Whether a frozen memtable is to be flushed. After a failure it is only if somebody called: then `retry`.
    pub(crate) fn may_flush(&self, retry: bool) -> bool {
        !self.frozen.is_empty() && (retry || self.flush_error.is_none())
    }

    /// Whether a compaction may be begun that nobody has asked for.
    pub(crate) fn may_compact(&self, retry: bool) -> bool {
        retry || self.compaction_error.is_none()
    }

    /// The log that holds what follows the recovered ones.
    pub(crate) fn first_log(&self) -> u64 {
        let first = self.frozen.front();
        first.map_or(self.active_log, |first| first.log_number)
    }

    /// Whether somebody has called since this was asked last.
    pub(crate) fn take_call(&mut self) -> bool {
        std::mem::take(&mut self.called)
    }

    pub(crate) fn call(&mut self) {
        self.called = true;
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
        // No compaction begins before what was recovered is a table.
        let step = match self.recovered {
            Some(_) => Step::Flush,
            None => step,
        };
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
        self.called = true;
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

    pub(crate) fn refuse(&mut self, error: &Error) {
        for manual in self.manual.drain(..) {
            manual.answer(Err(error.clone()));
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
