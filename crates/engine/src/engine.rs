//! [`Engine`]: the public face, and what its halves and threads share.
//!
//! Promises: reads share no lock with writers; every call ends in an answer, also while another thread closes the engine
//! or after writing has ended; the last handle dropped closes the engine.
//! Must not know: how groups are committed, or when tables are compacted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use level_party_format::Sequence;
use level_party_format::key::InternalComparator;
use level_party_format::table::Compression;
use parking_lot::{Condvar, Mutex};

use crate::background::Start;
use crate::bell::Bell;
use crate::cursor::Cursor;
use crate::entry::Entry;
use crate::error::{Error, ErrorKind, Result};
use crate::files::Tables;
use crate::foreign;
use crate::fs::Fs;
use crate::health::{Health, closed};
use crate::losses::{self, Losses};
use crate::metrics::Metrics;
use crate::options::{Before, Options};
use crate::recovery::{self, Recovered};
use crate::snapshots::{Pin, Snapshots, check_readable};
use crate::stats::Stats;
use crate::tail::Window;
use crate::view::{Frozen, View};
use crate::work::{Failures, Manual, State, Step};
use crate::write::{Committer, Job, Outcome, Write, WriteQueue};

mod checkpoint;
mod clear;
mod properties;
mod reads;
mod tail;

/// The longest that one group waits for the compaction when level 0 grows. As long as LevelDB sleeps; but the wait ends
/// with the first progress.
const SLOWDOWN: Duration = Duration::from_millis(1);
/// How often a caller that waits for a compaction is asked whether to go on.
const GO_ON_PAUSE: Duration = Duration::from_millis(50);

/// A LevelDB database, open for reading and writing. Clones are handles of the same engine; the last one dropped closes
/// it. See the crate's page for an example.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    lifeline: Arc<Lifeline>,
}

/// What the engine's handles, the committing caller and the background thread share.
pub(crate) struct Shared {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) options: Options,
    pub(crate) tables: Arc<Tables>,
    pub(crate) health: Arc<Health>,
    pub(crate) snapshots: Arc<Snapshots>,
    /// The pin of the drop floor, until the owner takes it.
    hold: Mutex<Option<Pin>>,
    /// What reads read from. Replaced only under `state`.
    pub(crate) view: ArcSwap<View>,
    pub(crate) state: Mutex<State>,
    /// Wakes the background thread.
    bell: Arc<Bell>,
    /// Signalled when the background thread got on, or failed to.
    progress: Condvar,
    queue: WriteQueue,
    pub(crate) metrics: Metrics,
    /// The newest committed batches, for those who follow.
    pub(crate) window: Arc<Window>,
    recovered: Recovered,
    /// What was lost and not acknowledged yet.
    losses: Mutex<Losses>,
    /// What is in logs below this one was recovered.
    first_log: u64,
    next_file: Arc<AtomicU64>,
    log_number: AtomicU64,
    level_zero: AtomicUsize,
    flush_wanted: AtomicBool,
}

/// Dropped with the last handle; the background thread has none.
struct Lifeline {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    /// Opens the database in a directory, or makes one, after recovering what the last opening left. The caller holds
    /// the directory's `LOCK` until the engine is closed.
    ///
    /// # Errors
    /// [`ErrorKind::DoesNotExist`], [`ErrorKind::AlreadyExists`] as the options ask;
    /// [`ErrorKind::ComparatorMismatch`]; [`ErrorKind::Corruption`] where data is missing or damaged beyond what
    /// [`RecoveryMode`](crate::RecoveryMode) allows; [`ErrorKind::InvalidArgument`] if `compression` is zstd, which has an
    /// [option of its own](Options::zstd_that_leveldb_1_23_cannot_read); [`ErrorKind::Unsupported`] for
    /// [another product's directory](crate::refuse_foreign), in which nothing was changed; or the system's error.
    pub fn open(fs: Arc<dyn Fs>, options: Options) -> Result<Engine> {
        options.check()?;
        let options = foreign::fitted(fs.as_ref(), options)?;
        let health = Arc::new(Health::new(options.listener.clone()));
        let order = InternalComparator {
            user: options.comparator.clone(),
        };
        let bloom = options.bloom_bits_per_key.is_some();
        fs.keep_open_at_most(options.max_open_files);
        let tables = Tables::new(Arc::clone(&fs), order, bloom)
            .with_max_open_files(options.max_open_files)
            .with_block_cache(options.block_cache_bytes);
        let tables = Arc::new(tables);
        let next_file = Arc::new(AtomicU64::new(0));
        let bell = Arc::new(Bell::default());
        let mut losses = Losses::read(fs.as_ref())?;
        let opened = recovery::open(&options, &tables, &next_file, &health, &bell, &mut losses)?;

        let last = opened.recovered.last_sequence;
        // After a loss of power less may be there than was promised; no pin of that time is left.
        let floor = options.drop_floor.min(last);
        let snapshots = Snapshots::new(floor, options.listener.clone());
        let hold = options.hold_drop_floor.then(|| snapshots.pin(|| floor));
        let wal_number = opened.wal.number();
        let log_number = opened.base.log_number(wal_number);
        let state = State::new(opened.base.recovered(), wal_number);
        let version = Arc::clone(opened.base.version());
        let level_zero = version.level(0).len();
        let view = View::new(opened.mem.reader(), state.frozen_newest_first(), version);
        let committer = Committer::new(opened.wal, opened.mem, last);
        let window = Window::new(&fs, options.tail_bytes, last, opened.past);
        let shared = Arc::new(Shared {
            fs,
            tables,
            health,
            snapshots,
            hold: Mutex::new(hold),
            view: ArcSwap::from_pointee(view),
            state: Mutex::new(state),
            bell,
            progress: Condvar::new(),
            queue: WriteQueue::new(committer),
            metrics: Metrics::default(),
            window,
            recovered: opened.recovered,
            losses: Mutex::new(losses),
            first_log: wal_number,
            next_file,
            log_number: AtomicU64::new(log_number),
            level_zero: AtomicUsize::new(level_zero),
            flush_wanted: AtomicBool::new(false),
            options,
        });
        let background = Start::new(Arc::clone(&shared), opened.base);
        let thread = thread::Builder::new()
            .name("level-party-bg".to_owned())
            .spawn(move || background.run())
            .map_err(|error| Error::with_source(ErrorKind::Io, "can't start a thread", error))?;
        let lifeline = Arc::new(Lifeline {
            shared: Arc::clone(&shared),
            thread: Mutex::new(Some(thread)),
        });
        Ok(Engine { shared, lifeline })
    }

    /// How the blocks of new tables are compressed: as the options said, or as a Bedrock world needs it.
    pub fn compression(&self) -> Compression {
        self.shared.options.block_compression()
    }

    /// What the opening found.
    pub fn recovered(&self) -> &Recovered {
        &self.shared.recovered
    }

    /// What this opening and earlier ones left out or set aside, a sentence each, until it is
    /// [acknowledged](Engine::acknowledge_losses) or a repair was made.
    pub fn losses(&self) -> Vec<String> {
        self.shared.losses.lock().told()
    }

    /// Forgets the [losses](Engine::losses), durably, and gives what they were. The files that were set aside stay.
    ///
    /// # Errors
    /// [`ErrorKind::Poisoned`] where the directory is no longer this engine's, [`ErrorKind::Closed`], or the system's error.
    pub fn acknowledge_losses(&self) -> Result<Vec<String>> {
        self.shared.health.check()?;
        self.shared.health.check_owner(Before::Removal)?;
        let mut kept = self.shared.losses.lock();
        losses::clear(self.shared.fs.as_ref())?;
        Ok(std::mem::take(&mut *kept).told())
    }

    /// Has what the opening recovered written to tables, if it is not and nobody has asked for it yet. It is when a write
    /// with `sync` comes, a memtable is full, or anybody waits for a flush; an owner who let the engine be opened with
    /// [`Options::recover_in_background`] asks for it as soon as other work has had its turn.
    pub fn begin_settling(&self) {
        if !self.shared.is_settled() {
            self.shared.call_background();
        }
    }

    /// Waits until what the opening recovered survives a loss of power. It does at once, unless the engine was opened with
    /// [`Options::recover_in_background`].
    ///
    /// # Errors
    /// What keeps it from being written to tables: it may be tried again, unless it is [`ErrorKind::Poisoned`];
    /// [`ErrorKind::Closed`].
    pub fn settled(&self) -> Result<()> {
        self.shared.settled()
    }

    /// The pin of the drop floor that [`Options::hold_drop_floor`] asked for, once. Dropping it lets compactions go on.
    pub fn take_hold(&self) -> Option<Pin> {
        self.shared.hold.lock().take()
    }

    /// All that a read needs, as of now. Its last sequence goes on until the next view; its files are kept while it lives.
    pub fn view(&self) -> Arc<View> {
        self.shared.view.load_full()
    }

    /// The last published sequence: every write up to it is seen by every read that begins now.
    pub fn last_sequence(&self) -> Sequence {
        self.shared.last_sequence()
    }

    /// The newest value of a key.
    ///
    /// # Errors
    /// What keeps a table from being read that may hold the key; [`ErrorKind::Closed`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Entry>> {
        self.shared.health.check_open()?;
        let view = self.shared.view.load();
        view.get(key, view.last_sequence())
    }

    /// The value of a key as it was at a sequence that the caller has pinned.
    ///
    /// # Errors
    /// As [`Engine::get`]; [`ErrorKind::SnapshotLost`] below the drop floor, [`ErrorKind::InvalidArgument`] above the
    /// last sequence.
    pub fn get_at(&self, key: &[u8], sequence: Sequence) -> Result<Option<Entry>> {
        let view = self.view_for(sequence)?;
        view.get(key, sequence)
    }

    /// A cursor over the database as it is now. It stands nowhere at first.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub fn cursor(&self) -> Result<Cursor> {
        self.shared.health.check_open()?;
        let view = self.view();
        let sequence = view.last_sequence();
        Ok(view.cursor(sequence))
    }

    /// A cursor over the database as it was at a sequence that the caller has pinned. The cursor keeps that moment by
    /// itself: the pin may go.
    ///
    /// # Errors
    /// As [`Engine::get_at`].
    pub fn cursor_at(&self, sequence: Sequence) -> Result<Cursor> {
        Ok(self.view_for(sequence)?.cursor(sequence))
    }

    /// A view that shows the moment `sequence`. The floor is asked after the view is loaded: what a compaction dropped
    /// below a later floor is still in this view.
    fn view_for(&self, sequence: Sequence) -> Result<Arc<View>> {
        self.shared.health.check_open()?;
        let view = self.view();
        let floor = self.shared.snapshots.floor();
        check_readable(sequence, floor, view.last_sequence())?;
        Ok(view)
    }

    /// Pins the present moment.
    pub fn pin(&self) -> Pin {
        self.shared.snapshots.pin(|| self.shared.last_sequence())
    }

    /// Pins an earlier moment.
    ///
    /// # Errors
    /// [`ErrorKind::SnapshotLost`] below the drop floor, [`ErrorKind::InvalidArgument`] above the last sequence.
    pub fn pin_at(&self, sequence: Sequence) -> Result<Pin> {
        let now = || self.shared.last_sequence();
        self.shared.snapshots.pin_at(sequence, now)
    }

    /// The lowest sequence that can be pinned; it never sinks.
    pub fn drop_floor(&self) -> Sequence {
        self.shared.snapshots.floor()
    }

    /// Commits one write, and gives the sequence of its last operation.
    ///
    /// # Errors
    /// - [`ErrorKind::Cancelled`] if the hook withdrew it; [`ErrorKind::Conflict`] if a condition did not hold;
    ///   [`ErrorKind::InvalidArgument`] beyond [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES),
    ///   [`MAX_VALUE_BYTES`](crate::MAX_VALUE_BYTES) or what a memtable can hold;
    ///   [`ErrorKind::OutOfSpace`], [`ErrorKind::Io`] if no room could be made: it has no effect, and may be tried again.
    /// - [`ErrorKind::Poisoned`] once writing has ended for good. If this very write's append or sync failed, it may be
    ///   there after the next opening; its hook was told of its sequence then.
    /// - [`ErrorKind::Closed`].
    pub fn write(&self, write: Write) -> Result<Sequence> {
        let mut job = Job::write(write);
        self.submit(&mut job);
        job.into_answer()
    }

    /// As [`Engine::write`] if nobody is committing at this moment. Otherwise it gives the write back, with no effect: it
    /// would have to wait for its turn.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use level_party_engine::{Engine, MemFs, Options, Write, WriteBatch};
    ///
    /// let engine = Engine::open(Arc::new(MemFs::new()), Options::default())?;
    /// let mut batch = WriteBatch::new();
    /// batch.put(b"colour", b"blue");
    /// let Ok(outcome) = engine.write_at_once(Write::new(batch)) else {
    ///     panic!("nobody else writes here");
    /// };
    /// assert_eq!(outcome.result?, 1);
    /// assert_eq!(outcome.batch.count(), 1);
    /// # Ok::<(), level_party_engine::Error>(())
    /// ```
    pub fn write_at_once(&self, write: Write) -> Result<Outcome, Write> {
        let mut job = Job::write(write);
        let taken = self.shared.queue.submit_at_once(&self.shared, &mut job);
        let Job::Write(pending) = job else {
            unreachable!("a job keeps its kind");
        };
        match taken {
            true => Ok(pending.into_outcome()),
            false => Err(pending.write),
        }
    }

    /// Whether somebody is committing at this moment, so that [`Engine::write_at_once`] would give its write back: for a
    /// caller that had to copy it first.
    pub fn is_committing(&self) -> bool {
        self.shared.queue.is_busy()
    }

    #[cfg(test)]
    pub(crate) fn waiting_writers(&self) -> usize {
        self.shared.queue.waiting()
    }

    /// Commits writes in this order, as one entry of the queue: in one group, with one record in the log. Each has its
    /// own answer, but if the log fails, it fails for all.
    pub fn write_all(&self, writes: Vec<Write>) -> Vec<Result<Sequence>> {
        if writes.is_empty() {
            return Vec::new();
        }
        let mut job = Job::writes(writes);
        self.submit(&mut job);
        job.into_answers()
    }

    fn submit(&self, job: &mut Job) {
        self.shared.queue.submit(&self.shared, job);
    }

    /// Freezes the memtable, if it has entries. Gives the number of the log then in use.
    fn freeze(&self) -> Result<u64> {
        let mut job = Job::Freeze(None);
        self.submit(&mut job);
        job.into_answer()
    }

    /// Writes the memtable to a table of level 0. On return everything written before the call is in synced tables.
    ///
    /// # Errors
    /// What keeps the table from being written: it may be tried again, unless it is [`ErrorKind::Poisoned`].
    pub fn flush(&self) -> Result<()> {
        let log_number = self.freeze()?;
        self.shared.wait_until_flushed(log_number)
    }

    /// Flushes, and compacts the tables that have keys in `begin..=end` (`None` is unbounded) level by level down to the
    /// deepest that has any.
    ///
    /// # Errors
    /// What kept a compaction from being done.
    pub fn compact_range(&self, begin: Option<&[u8]>, end: Option<&[u8]>) -> Result<()> {
        self.compact_range_while(begin, end, &|| true)
    }

    /// As [`Engine::compact_range`], asking now and then whether to go on. If not, what is under way is finished in the
    /// background, and no more is begun.
    ///
    /// # Errors
    /// As [`Engine::compact_range`]; [`ErrorKind::Cancelled`] if it was told not to go on.
    pub fn compact_range_while(
        &self,
        begin: Option<&[u8]>,
        end: Option<&[u8]>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<()> {
        self.flush()?;
        self.shared
            .compact(Arc::new(Manual::new(begin, end)), go_on)
    }

    /// The engine's figures at this moment.
    pub fn stats(&self) -> Stats {
        let view = self.view();
        let (pins, oldest_pin) = self.shared.snapshots.count();
        let frozen = view.frozen.iter().map(Frozen::bytes_used);
        let in_memory = view.mem.bytes_used() + frozen.sum::<usize>();
        let (stalls, stall_time) = self.shared.metrics.stalls();
        Stats {
            files_per_level: std::array::from_fn(|level| view.version.level(level).len()),
            bytes_per_level: std::array::from_fn(|level| view.version.level_bytes(level)),
            memtable_bytes: in_memory as u64,
            block_cache_bytes: self.shared.tables.cached_bytes(),
            pins,
            oldest_pin,
            last_sequence: view.last_sequence(),
            work_per_level: self.shared.metrics.levels(),
            stalls,
            stall_time,
            background_error: self
                .shared
                .background_error()
                .map(|error| error.to_string()),
        }
    }

    /// Ends all work: on return no thread of the engine runs, and no file is written or removed any more. Calls that
    /// wait are answered with [`ErrorKind::Closed`], later calls too. Views, cursors and pins stay usable. The memtable
    /// is not flushed: it is in the log.
    ///
    /// # Errors
    /// None at present; a close after a failure is a close.
    pub fn close(&self) -> Result<()> {
        self.lifeline.close();
        Ok(())
    }
}

impl Lifeline {
    fn close(&self) {
        if self.shared.health.begin_close() {
            // Under the lock, so that nobody looks just before and sleeps just after.
            let _state = self.shared.state.lock();
            self.shared.bell.ring();
            self.shared.progress.notify_all();
        }
        // Whoever closes, first or not, waits in the queue behind the commit under way.
        let mut last = Job::Close(None);
        self.shared.queue.submit(&self.shared, &mut last);
        self.shared.window.close();
        let mut thread = self.thread.lock();
        // The last handle may be dropped by a listener, on the background thread itself; it ends right after.
        if thread
            .as_ref()
            .is_some_and(|t| t.thread().id() == thread::current().id())
        {
            return;
        }
        if let Some(thread) = thread.take() {
            // A panic there has poisoned the engine already.
            let _ = thread.join();
        }
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        self.close();
    }
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
    pub(crate) fn install(&self, version: &Arc<crate::Version>, log_number: Option<u64>) {
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

    fn is_settled(&self) -> bool {
        self.log_number() >= self.first_log
    }

    /// Waits until nothing is left to be settled: what was recovered is in synced tables.
    pub(crate) fn settled(&self) -> Result<()> {
        if self.is_settled() {
            return Ok(());
        }
        self.wait_until_flushed(self.first_log)
    }

    fn wait_until_flushed(&self, log_number: u64) -> Result<()> {
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

    fn compact(&self, manual: Arc<Manual>, go_on: &dyn Fn() -> bool) -> Result<()> {
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

    fn background_error(&self) -> Option<Error> {
        let poisoned = self.health.poisoned();
        poisoned.or_else(|| self.state.lock().error().cloned())
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("stats", &self.stats())
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
