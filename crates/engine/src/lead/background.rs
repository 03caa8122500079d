//! The background thread: flush first, then compaction; it alone changes the manifest and removes files.
//!
//! Promises: what the opening left to be settled comes before anything else; a frozen memtable is flushed before any compaction begins or goes on; a step that failed is tried again when
//! somebody needs it, not before; a panic here ends writing instead of hanging the writers.
//! Must not know: who waits, or how a group is committed.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::base::error::{Error, ErrorKind};
use crate::commit::shared::Shared;
use crate::commit::work::{Manual, State};
use crate::lead::compaction;
use crate::lead::context::Lead;
use crate::lead::opened::Base;
use crate::lead::table_writer::TableWriting;

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
            if let Some(background) = Lead::begin(&shared, base) {
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

impl Lead {
    /// Settles what the opening left to be settled. `None`: the engine was closed before.
    fn begin(shared: &Arc<Shared>, base: Base) -> Option<Lead> {
        let (options, tables, health) = (&shared.options, &shared.tables, &shared.health);
        let writing = TableWriting::new(options, tables, shared.next_file(), health);
        let (manifest, mut obsolete) = match base {
            Base::Settled(manifest, obsolete) => (manifest, obsolete),
            Base::Unsettled(unsettled) => unsettled.settle(shared, &writing)?,
        };
        obsolete.watch(manifest.version());
        Some(Lead {
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
                    // Tell the waiting callers that it will not come: tables that were set aside are in its way.
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
}
