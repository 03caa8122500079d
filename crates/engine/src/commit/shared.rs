//! [`Shared`]: what the engine's handles, the committing caller and the background thread share, and how they wait for each
//! other.
//!
//! Promises: reads share no lock with writers; the view and the list of work change together, under one lock; each step
//! that was done or failed, and the close, wake all who wait.
//! Must not know: how groups are committed, or how tables are written or compacted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use level_party_format::Sequence;
use parking_lot::{Condvar, Mutex};

use crate::base::bell::Bell;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::Fs;
use crate::base::health::{Health, closed};
use crate::base::metrics::Metrics;
use crate::base::options::Options;
use crate::commit::work::{Failures, Manual, State, Step};
use crate::follow::tail::Window;
use crate::read::files::Tables;
use crate::read::snapshots::Snapshots;
use crate::read::version::Version;
use crate::read::view::View;

/// The longest that one group waits for the compaction when level 0 grows. As long as LevelDB sleeps; but the wait ends
/// with the first progress.
const SLOWDOWN: Duration = Duration::from_millis(1);
/// How often a caller that waits for a compaction is asked whether to go on.
const GO_ON_PAUSE: Duration = Duration::from_millis(50);

/// What the engine's handles, the committing caller and the background thread share.
pub(crate) struct Shared {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) options: Options,
    pub(crate) tables: Arc<Tables>,
    pub(crate) health: Arc<Health>,
    pub(crate) snapshots: Arc<Snapshots>,
    /// What reads read from. Replaced only under `state`.
    pub(crate) view: ArcSwap<View>,
    pub(crate) state: Mutex<State>,
    /// Wakes the background thread.
    pub(crate) bell: Arc<Bell>,
    /// Signalled when the background thread got on, or failed to.
    pub(crate) progress: Condvar,
    pub(crate) metrics: Metrics,
    /// The newest committed batches, for those who follow.
    pub(crate) window: Arc<Window>,
    /// What is in logs below this one was recovered.
    pub(crate) first_log: u64,
    pub(crate) next_file: Arc<AtomicU64>,
    pub(crate) log_number: AtomicU64,
    pub(crate) level_zero: AtomicUsize,
    pub(crate) flush_wanted: AtomicBool,
}

impl Shared {
    pub(crate) fn last_sequence(&self) -> Sequence {
        self.view.load().last_sequence()
    }

    /// A file number that no file had.
    pub(crate) fn next_file_number(&self) -> u64 {
        self.next_file.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn next_file(&self) -> &Arc<AtomicU64> {
        &self.next_file
    }

    /// Logs below this number are in synced tables.
    pub(crate) fn log_number(&self) -> u64 {
        self.log_number.load(Ordering::SeqCst)
    }

    pub(crate) fn level_zero_files(&self) -> usize {
        self.level_zero.load(Ordering::Relaxed)
    }

    /// Whether a memtable was frozen since the background thread last looked.
    pub(crate) fn flush_wanted(&self) -> bool {
        self.flush_wanted.load(Ordering::Relaxed)
    }

    pub(crate) fn clear_flush_wanted(&self) {
        self.flush_wanted.store(false, Ordering::Relaxed);
    }

    /// Makes `version` what reads read from, without the memtables that it has as tables now.
    pub(crate) fn install(&self, version: &Arc<Version>, log_number: Option<u64>) {
        let mut state = self.state.lock();
        if let Some(log_number) = log_number {
            state.unfreeze();
            self.log_number.store(log_number, Ordering::SeqCst);
        }
        let mem = self.view.load().mem.clone();
        let view = View::new(mem, state.frozen_newest_first(), Arc::clone(version));
        self.level_zero
            .store(version.level(0).len(), Ordering::Relaxed);
        let old = self.view.swap(Arc::new(view));
        drop(state);
        drop(old);
        self.progress.notify_all();
    }

    /// Tells the background thread that there is something to do, or to try again.
    pub(crate) fn call_background(&self) {
        self.flush_wanted.store(true, Ordering::Relaxed);
        self.state.lock().call();
        self.bell.ring();
    }

    /// What wakes the background thread.
    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Records how the background thread fared, and wakes those who wait for it.
    pub(crate) fn report(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.progress.notify_all();
    }

    /// Records how the flush of the oldest memtable went, or of what was recovered.
    pub(crate) fn flushed(&self, result: Result<(), &Error>) {
        self.report(|state| state.flushed(result));
    }

    fn check_writable(&self) -> Result<()> {
        self.health.check_open()?;
        self.health.check()
    }

    /// Waits for one step of the background's progress, for a short time at most.
    pub(crate) fn slow_down(&self) {
        let mut state = self.state.lock();
        if self.check_writable().is_ok() && state.error().is_none() {
            let since = Instant::now();
            self.progress.wait_for(&mut state, SLOWDOWN);
            self.metrics.stalled(since);
        }
    }

    /// Waits until nothing is missing any more for another memtable to be frozen: `missing` is given how many are frozen,
    /// and the tables on level 0.
    ///
    /// # Errors
    /// What keeps the background thread from what is missing, after it was asked to try once more.
    pub(crate) fn wait_for_room(
        &self,
        missing: impl Fn(usize, usize) -> Option<Step>,
    ) -> Result<()> {
        let mut state = self.state.lock();
        let failures = state.failures();
        let mut since = None;
        loop {
            self.check_writable()?;
            if let Some(since) = since.take() {
                self.metrics.stalled(since);
            }
            let Some(step) = missing(state.frozen_count(), self.level_zero_files()) else {
                return Ok(());
            };
            since = Some(Instant::now());
            self.wait_for_progress(&mut state, failures, step)?;
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.log_number() >= self.first_log
    }

    /// Waits until nothing is left to be settled: what was recovered is in synced tables.
    pub(crate) fn settled(&self) -> Result<()> {
        if self.is_settled() {
            return Ok(());
        }
        self.wait_until_flushed(self.first_log)
    }

    pub(crate) fn wait_until_flushed(&self, log_number: u64) -> Result<()> {
        let mut state = self.state.lock();
        let failures = state.failures();
        loop {
            if self.log_number() >= log_number {
                return Ok(());
            }
            self.check_writable()?;
            self.wait_for_progress(&mut state, failures, Step::Flush)?;
        }
    }

    /// Asks the background thread to go on, also while it compacts, and waits for it; fails if this step has failed since
    /// `failures` were counted.
    fn wait_for_progress(
        &self,
        state: &mut parking_lot::MutexGuard<'_, State>,
        failures: Failures,
        step: Step,
    ) -> Result<()> {
        if let Some(error) = state.failed_since(failures, step) {
            return Err(error.clone());
        }
        state.call();
        if step == Step::Flush {
            self.flush_wanted.store(true, Ordering::Relaxed);
        }
        self.bell.ring();
        self.progress.wait(state);
        Ok(())
    }

    pub(crate) fn compact(&self, manual: Arc<Manual>, go_on: &dyn Fn() -> bool) -> Result<()> {
        let mut state = self.state.lock();
        self.check_writable()?;
        state.request(Arc::clone(&manual));
        self.bell.ring();
        loop {
            if let Some(result) = manual.result() {
                return result;
            }
            if !go_on() {
                manual.withdraw();
                let message = "the compaction was withdrawn by its caller";
                return Err(Error::new(ErrorKind::Cancelled, message));
            }
            self.progress.wait_for(&mut state, GO_ON_PAUSE);
        }
    }

    /// Answers everyone who waits for a compaction that will not come.
    pub(crate) fn refuse_manual(&self, state: &mut State) {
        let error = self.health.poisoned().unwrap_or_else(closed);
        state.refuse(&error);
        self.progress.notify_all();
    }

    pub(crate) fn background_error(&self) -> Option<Error> {
        let poisoned = self.health.poisoned();
        poisoned.or_else(|| self.state.lock().error().cloned())
    }
}
