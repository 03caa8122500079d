//! [`Syncs`]: makes commits durable after they are published, outside of the commit lock (S of docs/COMMIT.md).
//!
//! Promises: one sync at a time in a process, shared by all whose commit was published before it began. What is called
//! durable is: the log's name, each older log that is not in tables, and the log itself, none of them failed. A sync that
//! failed, or whose member died in it, is told to all before anybody could take a later one for a success; such a log is
//! left to its table.
//! Must not know: who waits, how a region is left, or how its table is made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use level_party_format::{Sequence, filename};
use level_party_locks::{Condvar, Mutex};

use crate::base::control::{BellKind, REGIONS, RegionWords};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::events;
use crate::base::fs::Fs;
use crate::base::health::Health;
use crate::base::member::Member;
use crate::base::steps::step;
use crate::base::waiting::{Patience, WaitedFor};
use crate::commit::logs::{Logs, OpenLog, is_gone};

/// How long a member that opened a log late waits for another one's sync of it. That one may be stopped.
const LONGEST_TRUST_WAIT: Duration = Duration::from_millis(100);
/// One sleep of it: a ring may be lost with its ringer.
const SLEEP: Duration = Duration::from_millis(10);

/// A commit that is published and to be made durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owed {
    /// Its region, and its last sequence.
    pub(crate) region: u32,
    pub(crate) last: Sequence,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// It is durable.
    Durable,
    /// No sync of this region's log says anything: it is durable once the region is in tables.
    ByTable(u32),
}

/// What is known of one log.
enum Log {
    Durable,
    ByTable,
    /// Its region is in tables by now.
    InTables,
}

/// A process's syncs.
pub(crate) struct Syncs {
    fs: Arc<dyn Fs>,
    member: Arc<Member>,
    health: Arc<Health>,
    pub(crate) logs: Logs,
    /// Whoever has it syncs. Every commit up to this sequence is durable.
    turn: Mutex<Sequence>,
    open: Arc<OpenDebts>,
}

/// Commits that are published and not answered.
#[derive(Default)]
struct OpenDebts {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Syncs {
    /// Every commit up to `durable` is durable.
    pub(crate) fn new(
        fs: &Arc<dyn Fs>,
        member: &Arc<Member>,
        health: &Arc<Health>,
        durable: Sequence,
    ) -> Syncs {
        Syncs {
            fs: Arc::clone(fs),
            member: Arc::clone(member),
            health: Arc::clone(health),
            logs: Logs::default(),
            turn: Mutex::new(durable),
            open: Arc::default(),
        }
    }

    /// A commit is to be made durable: until what this gives is dropped, [`Syncs::wait`] waits.
    pub(crate) fn begin(&self, owed: Owed) -> Debt {
        Debt::new(&self.open, owed)
    }

    /// Waits until every commit that is to be made durable has its answer.
    pub(crate) fn wait(&self) {
        let mut count = self.open.count.lock();
        while *count > 0 {
            self.open.changed.wait(&mut count);
        }
    }

    /// Makes a commit durable (S2, and S4 to S8).
    ///
    /// # Errors
    /// A sync failed: whether the commit is durable is not known. [`ErrorKind::Timeout`] if others would have to be waited for
    /// longer than `patience` allows; [`ErrorKind::Condemned`].
    pub(crate) fn attempt(&self, owed: Owed, patience: Patience) -> Result<Attempt> {
        let Some(mut durable) = patience.lock(&self.turn) else {
            return Err(Error::timed_out(WaitedFor::Queue));
        };
        // Somebody whose sync began after it was published has made it durable.
        while *durable < owed.last {
            let Some(published) = self.member.control.published_in(owed.region) else {
                // So many switches later it is in tables.
                return Ok(Attempt::Durable);
            };
            match self.sync_up_to(owed.region, patience)? {
                Attempt::ByTable(region) => return Ok(Attempt::ByTable(region)),
                Attempt::Durable => {
                    let covered = match planted!(CoveredLater) {
                        true => self.member.control.last_sequence(),
                        false => published,
                    };
                    *durable = covered.max(*durable);
                }
            }
        }
        Ok(Attempt::Durable)
    }

    /// Opens the logs whose regions are in no table, where they are not open: the system keeps an error of a file that it told
    /// to nobody only while somebody has the file open. One that is gone can't be synced: its region's table has to do.
    pub(crate) fn open_logs(&self) -> Result<()> {
        for at in self.not_in_tables(self.member.control.view().active)? {
            let log = self.region(at).log();
            if self.region(at).is_current() && !planted!(LogNotKeptOpen) {
                match self.logs.open(self.fs.as_ref(), log) {
                    Err(error) if is_gone(&error) => self.region(at).set_failed(),
                    opened => drop(opened?),
                }
            }
        }
        Ok(())
    }

    /// Makes the log of a region that is not written any more durable, for [`RegionWords::is_durable`].
    ///
    /// # Errors
    /// As [`Syncs::attempt`].
    pub(crate) fn complete(&self, region: u32, patience: Patience) -> Result<Attempt> {
        let Some(_turn) = patience.lock(&self.turn) else {
            return Err(Error::timed_out(WaitedFor::Queue));
        };
        self.sync_directory(region)?;
        self.sync_region(region, patience).map(|log| match log {
            Log::Durable | Log::InTables => Attempt::Durable,
            Log::ByTable => Attempt::ByTable(region),
        })
    }

    /// The logs that were cut when their regions were left, before a second region is left after them (invariant 9).
    pub(crate) fn complete_cut_logs(&self) {
        let last = self.member.control.view().active.wrapping_sub(1);
        for at in self.not_in_tables(last).into_iter().flatten() {
            if self.region(at).needs_completion() {
                // If it fails the log says so, and its region is left to its table.
                let _ = self.complete(at, Patience::Endless);
            }
        }
    }

    /// Every commit in a region and in those before it.
    fn sync_up_to(&self, region: u32, patience: Patience) -> Result<Attempt> {
        self.sync_directory(region)?;
        for at in self.not_in_tables(region)? {
            if planted!(OwnLogAlone) && at != region {
                continue;
            }
            if let Log::ByTable = self.sync_region(at, patience)? {
                return Ok(Attempt::ByTable(at));
            }
        }
        // What another member was told meanwhile.
        let failed = self.not_in_tables(region)?.rev();
        let mut failed = failed.filter(|at| self.region(*at).is_failed());
        Ok(failed.next().map_or(Attempt::Durable, Attempt::ByTable))
    }

    fn region(&self, counter: u32) -> RegionWords<'_> {
        self.member.control.region(counter)
    }

    /// Regions up to this one that are in no table, oldest first. Counters wrap.
    fn not_in_tables(&self, region: u32) -> Result<impl DoubleEndedIterator<Item = u32> + use<>> {
        let (_, version) = self.member.current_version()?;
        let count = region.wrapping_sub(version.flushed).cast_signed();
        let count = count.clamp(0, REGIONS.cast_signed()).cast_unsigned();
        Ok((0..count).map(move |at| version.flushed.wrapping_add(1 + at)))
    }

    /// S4: the names of the logs up to this region's.
    fn sync_directory(&self, region: u32) -> Result<()> {
        let control = &self.member.control;
        let log = self.region(region).log();
        let is_known = !self.region(region).is_current() || control.dir_synced() >= log;
        if is_known || planted!(DirectoryLeftOut) {
            return Ok(());
        }
        if let Err(error) = self.fs.sync_dir() {
            // The next call might say that all is well.
            for at in self.not_in_tables(region)? {
                if self.region(at).log() > control.dir_synced() {
                    self.region(at).set_failed();
                }
            }
            events::sync_failed(&self.member.name, "the directory", &error);
            return Err(Error::io("sync the directory of", "a log", error));
        }
        control.set_dir_synced(log);
        Ok(())
    }

    /// S3 and S5 to S7 of one region.
    fn sync_region(&self, counter: u32, patience: Patience) -> Result<Log> {
        let (control, region) = (&self.member.control, self.region(counter));
        let number = region.log();
        if !control.are_current(counter, 1) {
            return Ok(Log::InTables);
        }
        if region.is_failed() {
            return Ok(Log::ByTable);
        }
        // Before the call: what is written after it began is not made durable by it.
        let complete = control.view().active != counter;
        if complete && region.is_durable() {
            return Ok(Log::Durable);
        }
        let log = match self.logs.open(self.fs.as_ref(), number) {
            Ok(log) => log,
            Err(error) if is_gone(&error) && self.is_in_tables(counter)? => {
                return Ok(Log::InTables);
            }
            Err(error) => return Err(error),
        };
        if !self.trusts(&log, region, patience)? {
            return Ok(Log::ByTable);
        }
        self.sync_log(&log, region, complete)?;
        if complete || planted!(DurableByAnySync) {
            region.set_durable();
        }
        Ok(Log::Durable)
    }

    fn is_in_tables(&self, region: u32) -> Result<bool> {
        Ok(self.not_in_tables(region)?.next().is_none())
    }

    /// S6.
    fn sync_log(&self, log: &OpenLog, region: RegionWords<'_>, complete: bool) -> Result<()> {
        step!(self.member.peers, BeginSync);
        self.member.begin_sync(log.number);
        step!(self.member.peers, Sync);
        let synced = log.sync(complete);
        if planted!(FailedAfterCleared) {
            self.member.end_sync();
        }
        step!(self.member.peers, Synced);
        if synced.is_err() {
            region.set_failed();
            step!(self.member.peers, SyncFailed);
        }
        self.member.end_sync();
        if let Err(error) = &synced {
            events::sync_failed(&self.member.name, &filename::log(log.number), error);
        }
        synced
    }

    /// Whether an error of this log that anybody was told of is told to this process, too, or marked by now: after the syncs
    /// that were under way when it was opened. False: one does not end; or its member died in it, and the mark is made here.
    fn trusts(&self, log: &OpenLog, region: RegionWords<'_>, patience: Patience) -> Result<bool> {
        if log.is_trusted() || planted!(TrustedAtOnce) {
            return Ok(true);
        }
        let Member { control, peers, .. } = self.member.as_ref();
        let mut under_way = self.member.syncers_of(log.number);
        let begun = Instant::now();
        loop {
            let (bell, rings) = control.announce_sleep_at(BellKind::Sync);
            under_way.retain(|syncer| !control.has_ended(syncer, log.number));
            if under_way.iter().any(|one| self.member.is_dead(one.member)) {
                region.set_failed();
                return Ok(false);
            }
            let Some(syncer) = under_way.first() else {
                log.set_trusted();
                return Ok(!region.is_failed());
            };
            if begun.elapsed() >= LONGEST_TRUST_WAIT {
                return Ok(false);
            }
            self.health.check_not_condemned()?;
            let Some(sleep) = patience.sleep(SLEEP) else {
                return Err(Error::timed_out(WaitedFor::Holder(syncer.member)));
            };
            peers.sleep(bell, rings, sleep);
        }
    }
}

/// A commit that is published and not answered.
pub(crate) struct Debt {
    pub(crate) owed: Owed,
    open: Arc<OpenDebts>,
}

impl Debt {
    fn new(open: &Arc<OpenDebts>, owed: Owed) -> Debt {
        *open.count.lock() += 1;
        Debt {
            owed,
            open: Arc::clone(open),
        }
    }
}

impl Clone for Debt {
    fn clone(&self) -> Debt {
        Debt::new(&self.open, self.owed)
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        *self.open.count.lock() -= 1;
        self.open.changed.notify_all();
    }
}

/// The answer of a write that is published, and whose sync failed, or was not made in time.
pub(crate) fn not_durable(error: Error) -> Error {
    let why = match error.waited_for() {
        Some(waited_for) => format!("its time was over first, waiting for {waited_for}"),
        None => error.to_string(),
    };
    let message = format!("the write is applied, but a loss of power may undo it: {why}");
    Error::with_source(ErrorKind::NotDurable, message, error)
}
