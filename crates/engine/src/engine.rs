//! [`Engine`]: the public face.
//!
//! Promises: reads share no lock with writers; every call ends in an answer, also while another thread closes the engine
//! or after writing has ended; the last handle dropped closes the engine.
//! Must not know: how groups are committed, or when tables are compacted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::thread::{self, JoinHandle};

use arc_swap::ArcSwap;
use level_party_format::Sequence;
use level_party_format::key::InternalComparator;
use level_party_format::table::Compression;
use parking_lot::{Condvar, Mutex};

use crate::base::bell::Bell;
use crate::base::entry::Entry;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::Fs;
use crate::base::health::Health;
use crate::base::metrics::Metrics;
use crate::base::options::{Before, Options};
use crate::base::stats::Stats;
use crate::commit::shared::Shared;
use crate::commit::work::{Manual, State};
use crate::commit::write::{Committer, Job, Outcome, Write, WriteQueue};
use crate::follow::tail::Window;
use crate::lead::background::Start;
use crate::lead::foreign;
use crate::lead::losses::{self, Losses};
use crate::lead::opened::Recovered;
use crate::lead::recovery;
use crate::read::cursor::Cursor;
use crate::read::files::Tables;
use crate::read::snapshots::{Pin, Snapshots, check_readable};
use crate::read::view::{Frozen, View};

mod checkpoint;
mod clear;
mod properties;
mod reads;
mod tail;

/// A LevelDB database, open for reading and writing. Clones are handles of the same engine; the last one dropped closes
/// it. See the crate's page for an example.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    lifeline: Arc<Lifeline>,
}

/// What the handles have and the background thread has not. Dropped with the last handle.
struct Lifeline {
    shared: Arc<Shared>,
    queue: WriteQueue,
    /// The pin of the drop floor, until the owner takes it.
    hold: Mutex<Option<Pin>>,
    recovered: Recovered,
    /// What was lost and not acknowledged yet.
    losses: Mutex<Losses>,
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
            view: ArcSwap::from_pointee(view),
            state: Mutex::new(state),
            bell,
            progress: Condvar::new(),
            metrics: Metrics::default(),
            window,
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
            queue: WriteQueue::new(committer),
            hold: Mutex::new(hold),
            recovered: opened.recovered,
            losses: Mutex::new(losses),
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
        &self.lifeline.recovered
    }

    /// What this opening and earlier ones left out or set aside, a sentence each, until it is
    /// [acknowledged](Engine::acknowledge_losses) or a repair was made.
    pub fn losses(&self) -> Vec<String> {
        self.lifeline.losses.lock().told()
    }

    /// Forgets the [losses](Engine::losses), durably, and gives what they were. The files that were set aside stay.
    ///
    /// # Errors
    /// [`ErrorKind::Poisoned`] where the directory is no longer this engine's, [`ErrorKind::Closed`], or the system's error.
    pub fn acknowledge_losses(&self) -> Result<Vec<String>> {
        self.shared.health.check()?;
        self.shared.health.check_owner(Before::Removal)?;
        let mut kept = self.lifeline.losses.lock();
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
        self.lifeline.hold.lock().take()
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
        let taken = self.lifeline.queue.submit_at_once(&self.shared, &mut job);
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
        self.lifeline.queue.is_busy()
    }

    #[cfg(test)]
    pub(crate) fn waiting_writers(&self) -> usize {
        self.lifeline.queue.waiting()
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
        self.lifeline.queue.submit(&self.shared, job);
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
        self.queue.submit(&self.shared, &mut last);
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

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("stats", &self.stats())
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
