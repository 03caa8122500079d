//! The background thread: flush first, then compaction; it alone changes the manifest and removes files.
//!
//! Promises: what the opening left to be settled comes before anything else; a frozen memtable is flushed before any compaction begins or goes on; a step that failed is tried again when
//! somebody needs it, not before; a panic here ends writing instead of hanging the writers.
//! Must not know: who waits, or how a group is committed.

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use level_party_memtable::MemTable;

use crate::compaction;
use crate::engine::Shared;
use crate::error::{Error, ErrorKind, Result};
use crate::flush::{TableWriting, write_memtable};
use crate::manifest::{Change, Manifest};
use crate::obsolete::Obsolete;
use crate::run::Run;
use crate::settle::Base;
use crate::tail::past::PastLog;
use crate::version::Version;
use crate::view;

/// Memtables that wait for their flush, beside the active one. Two, so that a burst can go on during one flush.
pub(crate) const MAX_FROZEN: usize = 2;

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
    fn oldest_frozen(&self) -> Option<(Frozen, u64)> {
        let oldest = self.frozen.front()?.clone();
        let next = self.frozen.get(1);
        Some((oldest, next.map_or(self.active_log, |next| next.log_number)))
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

enum Task {
    Flush,
    Manual(Arc<Manual>),
    Compact,
}

/// What the background thread begins with.
pub(crate) struct Start {
    shared: Arc<Shared>,
    base: Base,
    /// What the opening thread has switched on is on here too.
    #[cfg(test)]
    planted: crate::planted::Bug,
}

impl Start {
    pub(crate) fn new(shared: Arc<Shared>, base: Base) -> Start {
        Start {
            shared,
            base,
            #[cfg(test)]
            planted: crate::planted::on_this_thread(),
        }
    }

    /// Works until the engine is closed.
    pub(crate) fn run(self) {
        #[cfg(test)]
        crate::planted::switch_on(self.planted);
        let Start { shared, base, .. } = self;
        shared.bell().answer_here();
        let worked = catch_unwind(AssertUnwindSafe(|| {
            if let Some(background) = Background::begin(&shared, base) {
                background.run();
            }
        }));
        if worked.is_err() {
            let message = "panicked in the background";
            shared.health.poison(Error::new(ErrorKind::Io, message));
        }
        shared.refuse_manual(&mut shared.state.lock());
    }
}

/// The background thread's own things.
pub(crate) struct Background {
    pub(crate) shared: Arc<Shared>,
    pub(crate) manifest: Manifest,
    pub(crate) obsolete: Obsolete,
    pub(crate) writing: Arc<TableWriting>,
    /// Numbers of tables that are damaged, and not compacted.
    pub(crate) set_aside: BTreeSet<u64>,
}

impl Background {
    /// Settles what the opening left to be settled. `None`: the engine was closed before.
    fn begin(shared: &Arc<Shared>, base: Base) -> Option<Background> {
        let (options, tables, health) = (&shared.options, &shared.tables, &shared.health);
        let writing = TableWriting::new(options, tables, shared.next_file(), health);
        let (manifest, mut obsolete) = match base {
            Base::Settled(manifest, obsolete) => (manifest, obsolete),
            Base::Unsettled(unsettled) => unsettled.settle(shared, &writing)?,
        };
        obsolete.watch(manifest.version());
        Some(Background {
            shared: Arc::clone(shared),
            manifest,
            obsolete,
            writing: Arc::new(writing),
            set_aside: BTreeSet::new(),
        })
    }

    fn run(mut self) {
        while let Some(task) = self.next_task() {
            self.perform(task);
        }
    }

    /// Waits for the next thing to do; nothing when the engine is being closed.
    fn next_task(&mut self) -> Option<Task> {
        let shared = Arc::clone(&self.shared);
        let mut retry = false;
        loop {
            self.obsolete.sweep(shared.fs.as_ref(), &shared.health);
            let mut state = shared.state.lock();
            retry |= state.take_call();
            if shared.health.is_closing() {
                return None;
            }
            if shared.health.is_poisoned() {
                shared.refuse_manual(&mut state);
                drop(state);
                shared.bell().rest();
                continue;
            }
            if !state.frozen.is_empty() && (retry || state.flush_error.is_none()) {
                return Some(Task::Flush);
            }
            // It stays in the queue until it is answered: whatever happens here, somebody answers it.
            if let Some(manual) = state.manual.front() {
                return Some(Task::Manual(Arc::clone(manual)));
            }
            let may_compact = retry || state.compaction_error.is_none();
            if may_compact {
                if self.can_compact() {
                    return Some(Task::Compact);
                }
                if retry && compaction::is_needed(self.manifest.version(), &shared.options) {
                    // Who waits for it must hear that it will not come: tables set aside are in its way.
                    drop(state);
                    shared.report(|state| state.failures.compaction += 1);
                    retry = false;
                    continue;
                }
            }
            retry = false;
            drop(state);
            shared.bell().rest();
        }
    }

    fn perform(&mut self, task: Task) {
        match task {
            Task::Flush => self.flush(),
            Task::Manual(manual) => {
                let result = self.compact_range(&manual);
                self.shared.report(|state| {
                    state.manual.pop_front();
                    manual.answer(result);
                });
            }
            Task::Compact => {
                let result = self.compact_once();
                self.shared.report(|state| {
                    state.failures.compaction += u64::from(result.is_err());
                    state.compaction_error = result.err();
                });
            }
        }
    }

    /// Flushes the oldest frozen memtable, and records how that went.
    fn flush(&mut self) {
        let result = self.flush_oldest();
        self.shared.flushed(result.as_ref().map(|_| ()));
    }

    /// Flushes what was frozen since a compaction began: the writers don't wait for its end.
    pub(crate) fn flush_meanwhile(&mut self) {
        self.shared.clear_flush_wanted();
        while self.may_flush() {
            self.flush();
        }
    }

    fn may_flush(&self) -> bool {
        let mut state = self.shared.state.lock();
        let retry = state.take_call();
        !state.frozen.is_empty() && (retry || state.flush_error.is_none())
    }

    fn flush_oldest(&mut self) -> Result<()> {
        let Some((frozen, next_log)) = self.shared.state.lock().oldest_frozen() else {
            return Ok(());
        };
        let since = Instant::now();
        let table = write_memtable(&self.writing, &frozen.mem)?;
        let written = table.as_ref().map_or(0, |table| table.size);
        let mut last = frozen.mem.last_sequence();
        if planted!(ManifestAheadOfLog) {
            last = self.shared.last_sequence();
        }
        let change = Change {
            added: table.into_iter().map(|table| (0, table)).collect(),
            flushed: Some((next_log, last)),
            ..Change::default()
        };
        let first = self.manifest.last_sequence() + 1;
        self.apply(change, Some(next_log))?;
        self.shared.metrics.worked(0, 0, written, since);
        let log = frozen.log_number;
        match self.shared.window.is_on() {
            true => {
                let log = PastLog::new(log, Some(first), Some(last), None);
                let not_needed = self.shared.window.keep_log(log);
                not_needed
                    .into_iter()
                    .for_each(|log| self.obsolete.add_log(log));
            }
            false => self.obsolete.add_log(log),
        }
        self.obsolete
            .sweep(self.shared.fs.as_ref(), &self.shared.health);
        Ok(())
    }

    /// Puts a change into the manifest, and then its version before the readers. Tables that go are removed as soon as
    /// nobody reads them; tables that came in vain too.
    pub(crate) fn apply(&mut self, change: Change, log_number: Option<u64>) -> Result<()> {
        let added: Vec<u64> = change.added.iter().map(|(_, file)| file.number).collect();
        let removed: Vec<u64> = change.removed.iter().map(|(_, number)| *number).collect();
        let applied = self
            .manifest
            .apply(change, self.shared.next_file(), &self.shared.health);
        let version: Arc<Version> = match applied {
            Ok(version) => version,
            Err(error) => {
                added
                    .iter()
                    .for_each(|number| self.obsolete.add_table(*number));
                return Err(error);
            }
        };
        self.obsolete.watch(&version);
        self.shared.install(&version, log_number);
        for number in removed {
            if !added.contains(&number) {
                self.obsolete.add_table(number);
            }
        }
        Ok(())
    }
}
