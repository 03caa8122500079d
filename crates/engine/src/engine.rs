//! [`Engine`]: the public face.
//!
//! Promises: reads share no lock with writers; every call ends in an answer, also while another thread closes the engine
//! or after writing has ended; the last handle dropped closes the engine.
//! Must not know: how groups are committed, or when tables are compacted.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use level_party_format::Sequence;
use level_party_format::key::InternalComparator;
use level_party_format::table::Compression;
use level_party_locks::Mutex;

use crate::base::control::Leading;
use crate::base::entry::Entry;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::Fs;
use crate::base::health::{Health, not_leading};
use crate::base::metrics::Metrics;
use crate::base::options::{Before, Options};
use crate::base::stats::Stats;
use crate::base::waiting::Patience;
use crate::commit::shared::{Shared, withdrawn};
use crate::commit::sync::Syncs;
use crate::commit::work::{Manual, State};
use crate::commit::write::{Committer, Job, Outcome, Write, WriteQueue};
use crate::follow::tail::Tails;
use crate::lead::background::Start;
use crate::lead::foreign;
use crate::lead::founding::{Empty, NOTHING_FLUSHED};
use crate::lead::losses::{self, Losses};
use crate::lead::opened::Recovered;
use crate::lead::recovery;
use crate::read::cursor::Cursor;
use crate::read::files::Tables;
use crate::read::snapshots::{Pin, Snapshots};
use crate::read::view::View;

mod checkpoint;
mod clear;
mod members;
mod properties;
mod reads;
mod tail;

/// How long work waits for others before it asks whether to go on.
const SLICE: Duration = Duration::from_millis(200);

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
    recovered: Recovered,
    /// While this member leads.
    leader: Mutex<Option<Leader>>,
}

/// The thread that does what only a leader does.
struct Leader {
    health: Arc<Health>,
    thread: JoinHandle<()>,
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
        Engine::found_in(fs, options, Empty::on_the_heap()?)
    }

    /// As [`Engine::open`], in this segment.
    fn found_in(fs: Arc<dyn Fs>, options: Options, segment: Empty) -> Result<Engine> {
        options.check()?;
        let options = foreign::fitted(fs.as_ref(), options)?;
        let listener = options.listener.clone();
        let health = Arc::new(Health::in_segment(
            &segment.control,
            segment.is_alone,
            listener,
        ));
        let tables = open_tables(&fs, &options);
        let next_file = segment.control.next_file();
        let bell = segment.bell();
        let opened = recovery::open(&options, &tables, &next_file, &health, &bell)?;

        let last = opened.recovered.last_sequence;
        // After a loss of power less may be there than was promised; no pin of that time is left.
        let floor = options.drop_floor.min(last);
        let founding = segment.found(&options, &tables, &opened.base, opened.wal, last, floor)?;
        let snapshots = Snapshots::new(&founding.member, options.listener.clone());
        let tails = Tails::new(&fs, &founding.member);
        // Everything recovered is in tables before anybody asks.
        let syncs = Syncs::new(&fs, &founding.member, &health, last);
        syncs.logs.keep(founding.active.log.log());
        let shared = Arc::new(Shared {
            fs,
            tables,
            health,
            snapshots,
            member: founding.member,
            syncs,
            views: Arc::new(founding.views),
            state: Mutex::new(State::new()),
            bell,
            metrics: Metrics::default(),
            tails,
            options,
        });
        let leader = start(Start {
            health: Arc::new(Health::of_leadership(&shared.health)),
            shared: Arc::clone(&shared),
            leading: founding.leading,
            base: opened.base,
            flushed: NOTHING_FLUSHED,
            #[cfg(test)]
            planted: crate::planted::on_this_thread(),
        })?;
        let lifeline = Arc::new(Lifeline {
            shared: Arc::clone(&shared),
            queue: WriteQueue::new(Committer::new(founding.active)),
            recovered: opened.recovered,
            leader: Mutex::new(Some(leader)),
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
    /// [acknowledged](Engine::acknowledge_losses) or a repair was made. Where that can't be read, a sentence says so.
    pub fn losses(&self) -> Vec<String> {
        // Another member may have acknowledged some since.
        match Losses::read(self.shared.fs.as_ref()) {
            Ok(losses) => losses.told(),
            Err(error) => vec![format!("what was lost is not known: {error}")],
        }
    }

    /// Forgets the [losses](Engine::losses), durably, and gives what they were. The files that were set aside stay.
    ///
    /// # Errors
    /// [`ErrorKind::Poisoned`] where the directory is no longer this engine's, [`ErrorKind::Closed`], or the system's error.
    pub fn acknowledge_losses(&self) -> Result<Vec<String>> {
        self.shared.health.check()?;
        self.shared.health.check_owner(Before::Removal)?;
        let losses = Losses::read(self.shared.fs.as_ref())?;
        losses::clear(self.shared.fs.as_ref())?;
        Ok(losses.told())
    }

    /// All that a read needs, as of now. Its last sequence goes on until the next view; its files are kept while it lives.
    ///
    /// # Errors
    /// What keeps it from being made.
    pub fn view(&self) -> Result<Arc<View>> {
        self.shared.views.load_full()
    }

    /// Closes tables and logs that the newest version does not need, as reads and writes do that come by: for a member that does
    /// nothing. What a view or a cursor reads stays open.
    pub fn let_go_of_files(&self) {
        // Where that fails the next read says so.
        if self.shared.views.renew().is_ok()
            && let Ok(number) = self.shared.log_number()
        {
            self.shared.syncs.logs.forget_below(number);
        }
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
        self.shared.views.get(key)
    }

    /// The value of a key as it was at a sequence that the caller has pinned.
    ///
    /// # Errors
    /// As [`Engine::get`]; [`ErrorKind::SnapshotLost`] below the drop floor, [`ErrorKind::InvalidArgument`] above the
    /// last sequence.
    pub fn get_at(&self, key: &[u8], sequence: Sequence) -> Result<Option<Entry>> {
        self.shared.health.check_open()?;
        self.shared.views.get_at(key, sequence)
    }

    /// A cursor over the database as it is now. It stands nowhere at first.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub fn cursor(&self) -> Result<Cursor> {
        self.shared.health.check_open()?;
        // A view that stays readable needs no pin.
        let pin = self.shared.views.can_age().then(|| self.pin());
        match pin {
            Some(pin) => self.shared.views.cursor_at(pin.sequence(), Some(pin)),
            None => {
                let view = self.view()?;
                Ok(view.cursor(view.last_sequence()))
            }
        }
    }

    /// A cursor over the database as it was at a sequence that the caller has pinned. The cursor keeps that moment by
    /// itself: the pin may go.
    ///
    /// # Errors
    /// As [`Engine::get_at`].
    pub fn cursor_at(&self, sequence: Sequence) -> Result<Cursor> {
        self.shared.health.check_open()?;
        let views = &self.shared.views;
        let pin = views.can_age().then(|| self.pin_at(sequence)).transpose()?;
        views.cursor_at(sequence, pin)
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
    ///   [`ErrorKind::OutOfSpace`], [`ErrorKind::PermissionDenied`], [`ErrorKind::Io`] if no room could be made, or the log
    ///   did not take it: it has no effect, and may be tried again.
    /// - [`ErrorKind::OutcomeUnknown`] if the log did not take it, and what it took could not be cut off.
    /// - [`ErrorKind::NotDurable`] if it is applied, and a sync of it failed, or was not made before [`Write::deadline`]. After
    ///   a failure later writes with sync wait until it is in a table.
    /// - [`ErrorKind::Poisoned`] once writing has ended for good. If its hook was told of its sequence, it may be there after the
    ///   next opening.
    /// - [`ErrorKind::Timeout`] if [`Write::deadline`] passed before its turn came: it has no effect.
    /// - [`ErrorKind::Condemned`]: it may be there after the next founding if its hook was told of its sequence.
    /// - [`ErrorKind::Closed`].
    pub fn write(&self, write: Write) -> Result<Sequence> {
        let mut job = Job::write(write);
        self.submit(&mut job);
        job.into_answer()
    }

    /// As [`Engine::write`] if that waits for nobody: no other write of this process is being committed, no other member
    /// has the commit lock, and nothing has to be flushed first. Otherwise it gives the write back, with no effect, and its
    /// hook was told nothing. A write that is taken and asks for sync waits for that, also behind the syncs of others.
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

    /// Whether anybody is committing at this moment, in any process, so that [`Engine::write_at_once`] would give its write back: for a
    /// caller that had to copy it first.
    pub fn is_committing(&self) -> bool {
        self.lifeline.queue.is_busy() || self.shared.member.control.holder() != 0
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
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
    fn freeze(&self, patience: Patience) -> Result<u64> {
        let mut job = Job::Leave {
            region: None,
            deadline: patience.deadline(),
            answer: None,
        };
        self.submit(&mut job);
        job.into_answer()
    }

    /// Writes the memtable to a table of level 0. On return everything written before the call is in synced tables. A member
    /// that does not lead waits for the one that does.
    ///
    /// # Errors
    /// What keeps the table from being written: it may be tried again, unless it is [`ErrorKind::Poisoned`].
    pub fn flush(&self) -> Result<()> {
        // It may fail before it is waited for.
        let before = self.shared.failures();
        let log_number = self.freeze(Patience::Endless)?;
        self.shared
            .wait_until_flushed(log_number, before, Patience::Endless)
    }

    /// As [`Engine::flush`], asking now and then whether to go on.
    fn flush_while(&self, go_on: &dyn Fn() -> bool) -> Result<()> {
        let before = self.shared.failures();
        let log_number = in_slices(go_on, |patience| self.freeze(patience))?;
        in_slices(go_on, |patience| {
            self.shared.wait_until_flushed(log_number, before, patience)
        })
    }

    /// Flushes, and compacts the tables that have keys in `begin..=end` (`None` is unbounded) level by level down to the
    /// deepest that has any.
    ///
    /// # Errors
    /// What kept a compaction from being done; [`ErrorKind::NotLeading`] for a member that does not lead.
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
        // Another leader would be waited for in vain.
        self.check_leading()?;
        self.flush_while(go_on)?;
        self.shared
            .compact(Arc::new(Manual::new(begin, end)), go_on)
    }

    /// Fails if this member does not lead.
    fn check_leading(&self) -> Result<()> {
        self.shared.check_writable()?;
        match self.is_leading() {
            true => Ok(()),
            false => Err(not_leading()),
        }
    }

    /// The engine's figures at this moment.
    pub fn stats(&self) -> Stats {
        // Nothing may have been read since another member made the tables there are.
        let views = &self.shared.views;
        let view = views.load_full().unwrap_or_else(|_| views.made_last());
        let (pins, oldest_pin) = self.shared.snapshots.count();
        let (stalls, stall_time) = self.shared.metrics.stalls();
        Stats {
            files_per_level: std::array::from_fn(|level| view.version.level(level).len()),
            bytes_per_level: std::array::from_fn(|level| view.version.level_bytes(level)),
            memtable_bytes: view.bytes_in_memory() as u64,
            block_cache_bytes: self.shared.tables.cached_bytes(),
            pins,
            oldest_pin,
            last_sequence: self.last_sequence(),
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

/// Does what waits for others, in slices between which it is asked whether to go on.
fn in_slices<T>(go_on: &dyn Fn() -> bool, work: impl Fn(Patience) -> Result<T>) -> Result<T> {
    loop {
        match work(Patience::Until(Instant::now() + SLICE)) {
            Err(error) if error.waited_for().is_some() && go_on() => {}
            Err(error) if error.waited_for().is_some() => return Err(withdrawn()),
            done => return done,
        }
    }
}

/// Starts the thread that does what only a leader does.
fn start(begun: Start) -> Result<Leader> {
    let (shared, health) = (Arc::clone(&begun.shared), Arc::clone(&begun.health));
    shared.state.lock().begin_leading();
    let spawned = thread::Builder::new()
        .name("level-party-bg".to_owned())
        .spawn(move || begun.run());
    let thread = spawned.map_err(|error| {
        let error = Error::with_source(ErrorKind::Io, "can't start a thread", error);
        shared.state.lock().end_leading(&error);
        Leading::new(shared.member.control.clone()).end(shared.member.own);
        error
    })?;
    Ok(Leader { health, thread })
}

/// The tables of the directory, none of them open yet.
fn open_tables(fs: &Arc<dyn Fs>, options: &Options) -> Arc<Tables> {
    let order = InternalComparator {
        user: options.comparator.clone(),
    };
    let bloom = options.bloom_bits_per_key.is_some();
    fs.keep_open_at_most(options.max_open_files);
    let tables = Tables::new(Arc::clone(fs), order, bloom)
        .with_max_open_files(options.max_open_files)
        .with_block_cache(options.block_cache_bytes);
    Arc::new(tables)
}

impl Lifeline {
    fn close(&self) {
        if self.shared.health.begin_close() {
            // Under the lock, so that nobody looks just before and sleeps just after.
            let _state = self.shared.state.lock();
            self.shared.bell.ring();
            self.shared.tell_progress();
        }
        // Whoever closes, first or not, waits in the queue behind the commit under way.
        let mut last = Job::Close(None);
        self.queue.submit(&self.shared, &mut last);
        self.shared.syncs.wait();
        self.shared.tails.close();
        self.stop_leading();
        self.shared.snapshots.leave();
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
pub(crate) mod tests;
