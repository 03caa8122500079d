//! The background thread: flush first, then compaction; it alone changes the manifest and removes files.
//!
//! Promises: a frozen memtable is flushed before any compaction begins or goes on; a step that failed is tried again when
//! somebody needs it, not before; a panic here ends writing instead of hanging the writers.
//! Must not know: who waits, or how a group is committed.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::base::control::{LeaderStep, Leading};
use crate::base::error::{Error, ErrorKind};
use crate::base::health::Health;
use crate::base::steps::step;
use crate::commit::shared::Shared;
use crate::commit::work::{Manual, State};
use crate::lead::calls::Calls;
use crate::lead::compaction;
use crate::lead::context::{Failing, Lead};
use crate::lead::opened::Base;
use crate::lead::table_writer::TableWriting;

enum Task {
    Flush,
    Manual(Arc<Manual>),
    Compact,
}

/// What the background thread begins with.
pub(crate) struct Start {
    pub(crate) shared: Arc<Shared>,
    /// Whether this leadership may go on.
    pub(crate) health: Arc<Health>,
    pub(crate) leading: Leading,
    pub(crate) base: Base,
    /// The counter of the last region in tables.
    pub(crate) flushed: u32,
    /// What the opening thread has switched on is on here too.
    #[cfg(test)]
    pub(crate) planted: crate::planted::Bug,
}

impl Start {
    /// Works until the leadership ends.
    pub(crate) fn run(self) {
        #[cfg(test)]
        crate::planted::switch_on(self.planted);
        let (shared, health) = (Arc::clone(&self.shared), Arc::clone(&self.health));
        let worked = catch_unwind(AssertUnwindSafe(|| {
            Lead::begin(self).run();
        }));
        if worked.is_err() {
            let message = "panicked in the background";
            health.poison(Error::new(ErrorKind::Io, message));
        }
        Leading::new(shared.member.control.clone()).end(shared.member.own);
        shared.end_leading(&health);
        health.tell_end();
    }
}

impl Lead {
    fn begin(start: Start) -> Lead {
        let Start {
            shared,
            health,
            leading,
            base,
            flushed,
            ..
        } = start;
        let (options, tables) = (&shared.options, &shared.tables);
        let writing = TableWriting::new(options, tables, shared.next_file(), &health);
        let Base {
            manifest,
            mut obsolete,
            kept,
        } = base;
        obsolete.watch(manifest.version());
        let log_number = manifest.record(flushed).log_number;
        leading.keep_logs_from(kept.oldest().unwrap_or(log_number));
        Lead {
            calls: Calls::new(shared.member.control.clone()),
            shared,
            health,
            leading,
            flushed,
            manifest,
            obsolete,
            kept,
            writing: Arc::new(writing),
            set_aside: BTreeSet::new(),
            failing: Failing::default(),
        }
    }

    fn run(mut self) {
        while let Some(task) = self.next_task() {
            self.perform(task);
        }
    }

    /// Waits for the next thing to do; nothing when the leadership ends.
    fn next_task(&mut self) -> Option<Task> {
        let shared = Arc::clone(&self.shared);
        let mut retry = false;
        loop {
            let heard = shared.bell().listen();
            step!(shared.member.peers, Work);
            self.obsolete.sweep(shared.fs.as_ref(), &self.health);
            // Whoever syncs one needs it, and says so.
            let _ = shared.syncs.open_logs();
            shared.syncs.complete_cut_logs();
            for number in shared.member.control.take_worn() {
                self.manifest.version().wear_out(number);
            }
            retry |= self.calls.take();
            let frozen = shared.frozen_count().unwrap_or(0);
            let state = shared.state.lock();
            if self.health.is_closing() || self.health.is_poisoned() {
                return None;
            }
            if frozen > 0 && state.may_flush(retry) {
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
                    // Tell the waiting callers that it will not come: tables that were set aside are in its way.
                    drop(state);
                    shared.report(State::cannot_compact);
                    let kind = Err(ErrorKind::Corruption);
                    self.leading.fared(LeaderStep::Compaction, kind);
                    retry = false;
                    continue;
                }
            }
            retry = false;
            drop(state);
            shared.bell().rest(heard);
        }
    }

    fn perform(&mut self, task: Task) {
        match task {
            Task::Flush => self.flush(),
            Task::Manual(manual) => {
                let result = self.compact_range(&manual);
                self.tell_compaction(&result);
                self.shared.report(|state| state.answer(result));
            }
            Task::Compact => {
                let result = self.compact_once();
                self.tell_compaction(&result);
                self.shared.compacted(&self.leading, result);
            }
        }
    }
}
