//! [`Shared`]: what the engine's handles, the committing caller and the background thread share, and how they wait for each
//! other.
//!
//! Promises: reads share no lock with writers; a version is published and the list of work changed under one lock; each step
//! that was done or failed, and the close, wake all who wait.
//! Must not know: how groups are committed, or how tables are written or compacted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use level_party_format::Sequence;
use level_party_locks::Mutex;

use crate::base::bell::Bell;
use crate::base::control::{BellKind, CondemnReason, LeaderStep as Step, Leading, VersionRecord};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::Fs;
use crate::base::health::{Health, condemned, not_leading};
use crate::base::member::Member;
use crate::base::metrics::Metrics;
use crate::base::next_file::NextFile;
use crate::base::options::Options;
use crate::base::steps::step;
use crate::base::waiting::{Patience, WaitedFor};
use crate::commit::sync::{Attempt, Owed, Syncs, not_durable};
use crate::commit::work::{Failures, Manual, State};
use crate::follow::tail::Tails;
use crate::follow::views::{OpenVersion, Views};
use crate::read::files::Tables;
use crate::read::snapshots::Snapshots;
use crate::read::version::Version;

/// The longest that one group waits for the compaction when level 0 grows. As long as LevelDB sleeps; but the wait ends
/// with the first progress.
const SLOWDOWN: Duration = Duration::from_millis(1);
/// The longest sleep of one who waits for progress: a ring may have been lost with a member that died.
const LONGEST_WAIT: Duration = Duration::from_millis(10);
/// How often a caller that waits for a compaction is asked whether to go on.
const GO_ON_PAUSE: Duration = Duration::from_millis(50);

/// What the engine's handles, the committing caller and the background thread share.
pub(crate) struct Shared {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) options: Options,
    pub(crate) tables: Arc<Tables>,
    pub(crate) health: Arc<Health>,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) member: Arc<Member>,
    pub(crate) syncs: Syncs,
    /// What reads read from.
    pub(crate) views: Arc<Views>,
    pub(crate) state: Mutex<State>,
    /// Wakes the background thread.
    pub(crate) bell: Arc<Bell>,
    pub(crate) metrics: Metrics,
    /// For those who follow what is committed.
    pub(crate) tails: Arc<Tails>,
}

/// How often the leader had failed when somebody began to wait for it.
#[derive(Clone, Copy)]
pub(crate) struct Before {
    here: Failures,
    anywhere: u64,
}

impl Shared {
    pub(crate) fn last_sequence(&self) -> Sequence {
        self.member.control.last_sequence()
    }

    /// The numbers of files.
    pub(crate) fn next_file(&self) -> NextFile {
        self.member.control.next_file()
    }

    /// What was published with the version that is read now.
    ///
    /// # Errors
    /// As [`Member::current_version`].
    pub(crate) fn version_record(&self) -> Result<VersionRecord> {
        self.member.current_version().map(|(_, record)| record)
    }

    /// Logs below this number are in synced tables.
    pub(crate) fn log_number(&self) -> Result<u64> {
        self.version_record().map(|record| record.log_number)
    }

    pub(crate) fn level_zero_files(&self) -> usize {
        self.member.control.level_zero()
    }

    /// Memtables that wait for their flush.
    pub(crate) fn frozen_count(&self) -> Result<usize> {
        self.member.frozen_count().map(|count| count as usize)
    }

    /// Ends the use of this segment by all members: they are to open the directory anew (X1).
    pub(crate) fn condemn(&self, reason: CondemnReason) -> Error {
        self.member.control.condemn(reason);
        self.bell.ring();
        self.tell_progress();
        condemned(reason)
    }

    /// Makes `version` what reads read from. The record's counter is set here.
    pub(crate) fn install(&self, leading: &Leading, version: &Arc<Version>, record: VersionRecord) {
        let state = self.state.lock();
        let counter = leading.next_counter();
        self.views.expect(OpenVersion {
            counter,
            version: Arc::clone(version),
        });
        leading.publish(&VersionRecord { counter, ..record });
        let renewed = self.views.renew();
        drop(state);
        self.syncs.logs.forget_below(record.log_number);
        if renewed.is_err() {
            // It has all files of its own version open.
            self.condemn(CondemnReason::Damaged);
        }
        self.tell_progress();
    }

    /// Tells the leader that there is something to do, or to try again.
    pub(crate) fn call_background(&self) {
        self.member.control.call();
        self.bell.ring();
    }

    /// What wakes the background thread.
    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Records how the leader's thread fared, and wakes those who wait for it.
    pub(crate) fn report(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.tell_progress();
    }

    /// Records how the flush of the oldest memtable went.
    pub(crate) fn flushed(&self, leading: &Leading, result: Result<(), &Error>) {
        self.report(|state| {
            state.flushed(result);
            leading.fared(Step::Flush, result.map_err(Error::kind));
        });
    }

    /// Records how a compaction went that was needed.
    pub(crate) fn compacted(&self, leading: &Leading, result: Result<()>) {
        self.report(|state| {
            let kind = result.as_ref().map(|_| ()).map_err(|error| error.kind());
            leading.fared(Step::Compaction, kind);
            state.compacted(result);
        });
    }

    /// The leader's thread does no more, for the reason that `health`, that of its leadership, has.
    pub(crate) fn end_leading(&self, health: &Health) {
        self.state.lock().end_leading(&health.why_ended());
        self.tell_progress();
    }

    /// Wakes those who wait for the background thread to get on, in all members.
    pub(crate) fn tell_progress(&self) {
        let Member { control, peers, .. } = self.member.as_ref();
        if let Some(word) = control.ring(BellKind::Progress) {
            step!(peers, Wake);
            peers.wake_all(word);
        }
    }

    /// Before one looks whether what one waits for is there: progress from now on ends the wait that gets the answer.
    fn listen(&self) -> u32 {
        self.member.control.announce_sleep_at(BellKind::Progress).1
    }

    fn rest(&self, heard: u32, at_most: Duration) {
        let (word, _) = self.member.control.bell(BellKind::Progress);
        self.member.peers.sleep(word, heard, at_most);
    }

    /// Fails if nothing can be written any more.
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.health.check_open()?;
        self.health.check()
    }

    /// Waits for one step of the background's progress, for a short time at most.
    pub(crate) fn slow_down(&self) {
        let heard = self.listen();
        let failed = self.state.lock().error().is_some();
        if self.check_writable().is_ok() && !failed {
            let since = Instant::now();
            self.rest(heard, SLOWDOWN);
            self.metrics.stalled(since);
        }
    }

    /// Waits until nothing is missing any more for another memtable to be frozen: `missing` is given how many are frozen,
    /// and the tables on level 0.
    ///
    /// # Errors
    /// What keeps the leader from what is missing, after it was asked to try once more; `Timeout`.
    pub(crate) fn wait_for_room(
        &self,
        patience: Patience,
        missing: impl Fn(usize, usize) -> Option<Step>,
    ) -> Result<()> {
        let before = self.failures();
        let mut since = None;
        loop {
            let heard = self.listen();
            self.check_writable()?;
            if let Some(since) = since.take() {
                self.metrics.stalled(since);
            }
            let Some(step) = missing(self.frozen_count()?, self.level_zero_files()) else {
                return Ok(());
            };
            since = Some(Instant::now());
            self.wait_for_progress(heard, before, step, patience)?;
        }
    }

    /// How often the leader has failed.
    pub(crate) fn failures(&self) -> Before {
        Before {
            here: self.state.lock().failures(),
            anywhere: self.member.control.failures(),
        }
    }

    /// Makes a commit durable that is published: by syncs, or where one failed by its table, for which `leave` has the region
    /// written no more.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`]; [`ErrorKind::Condemned`]; [`ErrorKind::NotDurable`]: it is not known to be durable.
    pub(crate) fn make_durable(
        &self,
        owed: Owed,
        patience: Patience,
        leave: &dyn Fn(u32) -> Result<()>,
    ) -> Result<()> {
        let by_table = |region| {
            // It may fail before it is waited for.
            let before = self.failures();
            leave(region)?;
            self.wait_until_in_tables(region, before, patience)
        };
        loop {
            let done = match self.syncs.attempt(owed, patience) {
                Ok(Attempt::Durable) => return Ok(()),
                Ok(Attempt::ByTable(region)) => by_table(region),
                Err(error) => Err(error),
            };
            done.map_err(|error| match error.kind() {
                ErrorKind::Timeout | ErrorKind::Condemned => error,
                _ => not_durable(error),
            })?;
        }
    }

    /// Makes the log of a region durable that was cut when the region was left.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`]; what keeps it from being synced, or its region from being flushed.
    pub(crate) fn complete_log(&self, region: u32, patience: Patience) -> Result<()> {
        if matches!(patience, Patience::None) {
            return Err(Error::timed_out(WaitedFor::Room));
        }
        let before = self.failures();
        match self.syncs.complete(region, patience) {
            Ok(Attempt::Durable) => Ok(()),
            Err(error) if !self.member.control.region(region).is_failed() => Err(error),
            Ok(Attempt::ByTable(_)) | Err(_) => self.wait_until_in_tables(region, before, patience),
        }
    }

    /// Waits until this region is in synced tables, or the leader failed since `before`.
    fn wait_until_in_tables(&self, region: u32, before: Before, patience: Patience) -> Result<()> {
        let is_flushed =
            |version: &VersionRecord| version.flushed.wrapping_sub(region).cast_signed() >= 0;
        self.wait_until(is_flushed, before, patience)
    }

    /// Waits until logs below this number are in synced tables, or the leader failed since `before`.
    pub(crate) fn wait_until_flushed(
        &self,
        log_number: u64,
        before: Before,
        patience: Patience,
    ) -> Result<()> {
        let is_flushed = |version: &VersionRecord| version.log_number >= log_number;
        self.wait_until(is_flushed, before, patience)
    }

    fn wait_until(
        &self,
        is_flushed: impl Fn(&VersionRecord) -> bool,
        before: Before,
        patience: Patience,
    ) -> Result<()> {
        loop {
            let heard = self.listen();
            if is_flushed(&self.version_record()?) {
                return Ok(());
            }
            self.check_writable()?;
            self.wait_for_progress(heard, before, Step::Flush, patience)?;
        }
    }

    /// Asks the leader to go on, also while it compacts, and waits for it; fails if this step has failed since.
    fn wait_for_progress(
        &self,
        heard: u32,
        before: Before,
        step: Step,
        patience: Patience,
    ) -> Result<()> {
        let state = self.state.lock();
        if let Some(error) = state.failed_since(before.here, step) {
            return Err(error.clone());
        }
        drop(state);
        let control = &self.member.control;
        if let Some(kind) = control.failed_since(before.anywhere, step) {
            let message = "the leading process can't make room: its tables can't be written";
            return Err(Error::new(kind, message));
        }
        control.call();
        self.bell.ring_surely();
        let Some(wait) = patience.sleep(LONGEST_WAIT) else {
            return Err(Error::timed_out(WaitedFor::Room));
        };
        self.rest(heard, wait);
        Ok(())
    }

    pub(crate) fn compact(&self, manual: Arc<Manual>, go_on: &dyn Fn() -> bool) -> Result<()> {
        {
            // Whoever ends the work of the leader's thread refuses what is requested before, under this lock.
            let mut state = self.state.lock();
            self.check_writable()?;
            if !state.leads() {
                return Err(not_leading());
            }
            state.request(Arc::clone(&manual));
        }
        self.call_background();
        loop {
            let heard = self.listen();
            if let Some(result) = manual.result() {
                return result;
            }
            if !go_on() {
                manual.withdraw();
                return Err(withdrawn());
            }
            self.rest(heard, GO_ON_PAUSE);
        }
    }

    pub(crate) fn background_error(&self) -> Option<Error> {
        let poisoned = self.health.poisoned();
        poisoned.or_else(|| self.state.lock().error().cloned())
    }
}

/// The answer of a compaction whose caller does not want it any more.
pub(crate) fn withdrawn() -> Error {
    let message = "the compaction was withdrawn by its caller";
    Error::new(ErrorKind::Cancelled, message)
}
