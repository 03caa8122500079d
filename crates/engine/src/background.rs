//! The background thread: flush first, then compaction; it alone changes the manifest and removes files.
//!
//! Promises: what the opening left to be settled comes before anything else; a frozen memtable is flushed before any compaction begins or goes on; a step that failed is tried again when
//! somebody needs it, not before; a panic here ends writing instead of hanging the writers.
//! Must not know: who waits, or how a group is committed.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crate::compaction;
use crate::error::{Error, ErrorKind, Result};
use crate::flush::{TableWriting, write_memtable};
use crate::manifest::{Change, Manifest};
use crate::obsolete::Obsolete;
use crate::settle::Base;
use crate::shared::Shared;
use crate::tail::past::PastLog;
use crate::version::Version;
use crate::work::{Manual, State};

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
            if state.may_flush(retry) {
                return Some(Task::Flush);
            }
            // It stays in the queue until it is answered: whatever happens here, somebody answers it.
            if let Some(manual) = state.requested() {
                return Some(Task::Manual(Arc::clone(manual)));
            }
            if state.may_compact(retry) {
                if self.can_compact() {
                    return Some(Task::Compact);
                }
                if retry && compaction::is_needed(self.manifest.version(), &shared.options) {
                    // Who waits for it must hear that it will not come: tables set aside are in its way.
                    drop(state);
                    shared.report(State::cannot_compact);
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
                self.shared.report(|state| state.answer(result));
            }
            Task::Compact => {
                let result = self.compact_once();
                self.shared.report(|state| state.compacted(result));
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
        state.may_flush(retry)
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
