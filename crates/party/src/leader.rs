//! Leading: this process holds `LOCK`, owns the engine, and answers everybody.
//!
//! Order of a takeover (each step is safe to die after):
//! 1. `LOCK` is held (the caller's [`DirLock`]).
//! 2. Take the epoch word: a leader that lives on, whatever became of its locks, answers and writes nothing more.
//! 3. Bind the endpoint; whoever connects is told "recovering". (Second, because it takes a place in the state file.)
//! 4. Look at the tripwire and at `CURRENT`: a missing one, or another name than was written down, means that another
//!    program had the directory since the last epoch. Write that down.
//! 5. Recover. What was recovered is in memory, and in logs that the next leader finds; it is on stable storage when the
//!    engine has settled, in the background. No write with `sync` is answered before, neither a new one nor one of an
//!    earlier leader's that is found to have been made ([`Leadership::settled`]).
//! 6. Write how far the last epoch was recovered. 7. Set the tripwire. 8. Raise the epoch. 9. Answer.
//!
//! A leadership looks at the epoch word before each append to the log and each answer, and before it makes, removes or
//! renames a file or writes to the manifest also whether `LOCK` is still the file that it locked (somebody removed it
//! otherwise, and any other program may come in). If not, it ends for good; this process may lead again after that.
//!
//! Order of a leave: no new call reaches the engine (the session has stepped down); connections finish what came and
//! end; their threads are joined; the endpoint is unlinked; the engine closes; `LOCK` is released last.

mod absent;
mod allowance;
mod connection;
mod feed;
mod files;
mod grants;
mod server;
mod service;
mod side;
pub(crate) mod tripwire;
mod work;

use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use level_party_engine::{
    Before, Engine, Listener as EngineListener, RecoveryMode, WriteBatch, current_manifest,
};
use level_party_os::{DataDir, DirLock, Listener, process};

use crate::alarm::Alarm;
use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind, Result};
use crate::faults;
use crate::options::Options;
use crate::page::Page;
use crate::protocol::{Answer, RecoveredThrough, Request, Write};
use crate::sign_of_life::Member;
use crate::state::{Known, StateFile};
use crate::status::{LastTrouble, Opening};
use absent::Absent;
use allowance::Allowance;
pub(crate) use feed::{Feed, Told};
use grants::Grants;
use server::{Server, Serving};
pub(crate) use service::{Lasting, Service, Stop, into_engine_options};

/// How long after a takeover the followers of the last leader may take to come, before it is said that nobody is here.
const GATHERING: Duration = Duration::from_millis(500);

/// One leadership of this process.
pub(crate) struct Leadership {
    service: Arc<Service>,
    state: Arc<StateFile>,
    server: Server,
    /// The moments that this process's own handles hold.
    own: Arc<Grants>,
    /// What is kept for sessions that are not attached.
    absent: Arc<Absent>,
    created: bool,
    ending: Arc<Ending>,
    /// The last field: it is released after all else is gone.
    _lock: Arc<DirLock>,
}

/// Says that a leadership cannot go on.
pub(crate) struct Ending {
    over: AtomicBool,
    /// What ended writing, if that was it.
    cause: OnceLock<Error>,
    yielding: AtomicBool,
    elector: Arc<Alarm>,
    state: Arc<StateFile>,
}

impl Ending {
    /// Whether what was found out before this was asked may be answered: the directory is still this leadership's.
    /// If not, the leadership ends.
    fn may_answer(&self) -> bool {
        self.or_begin(self.state.is_ours())
    }

    /// The same for what was only read, and is on record nowhere.
    fn may_answer_read(&self) -> bool {
        self.or_begin(self.state.is_ours_so_far())
    }

    fn or_begin(&self, ours: bool) -> bool {
        if !ours {
            self.begin();
        }
        ours
    }

    /// Has the leadership end for another process's.
    fn begin_yielding(&self) {
        self.yielding.store(true, Ordering::Release);
        self.elector.ring();
    }

    fn begin(&self) {
        self.over.store(true, Ordering::Release);
        self.elector.ring();
    }
}

/// The engine's owner, as the engine sees it.
struct Owner {
    state: Arc<StateFile>,
    ending: Arc<Ending>,
    /// Not held by the engine, which can outlive the leadership in a reader's hands.
    lock: Weak<DirLock>,
}

impl EngineListener for Owner {
    fn still_owner(&self, before: Before) -> bool {
        let has_lock = || {
            let lock = self.lock.upgrade();
            lock.is_some_and(|lock| lock.is_intact().unwrap_or(false))
        };
        match before {
            // So that what is over appends no more than it must; nothing rests on it: the look that counts comes after
            // the append.
            Before::Append => self.state.is_ours_so_far(),
            Before::Answer => self.state.is_ours(),
            _ => self.state.is_ours() && has_lock(),
        }
    }

    fn names_manifest(&self, number: u64) -> std::io::Result<()> {
        self.state.record_manifest(number)?;
        faults::point("manifest-noted");
        Ok(())
    }

    fn raise_drop_floor(&self, to: u64) -> std::io::Result<()> {
        self.state.raise_drop_floor(to)
    }

    fn poisoned(&self, error: &level_party_engine::Error) {
        // The engine's own error says that writing has ended; what ended it is its source.
        let source = std::error::Error::source(error);
        let cause = source.and_then(|source| source.downcast_ref());
        // It is told once.
        let _ = self
            .ending
            .cause
            .set(Error::from(cause.unwrap_or(error).clone()));
        self.ending.begin();
    }
}

impl Leadership {
    /// Takes the directory over. On failure the endpoint is gone and `lock` released again.
    ///
    /// # Errors
    /// What keeps this process from serving: the endpoint, the state file, recovery.
    pub fn take_over(
        dir: &DataDir,
        path: &Path,
        lock: DirLock,
        options: &Options,
        elector: Arc<Alarm>,
        own: &dyn Fn() -> Member,
    ) -> Result<Arc<Self>> {
        let lock = Arc::new(lock);
        faults::point("lock-taken");
        let context = |error: Error| error.cannot_lead(path);
        still_there(dir, path).map_err(context)?;
        // Before anybody can connect: a session's sign of life is in this file.
        let state = Arc::new(StateFile::open(&dir.anchored_path()).map_err(context)?);
        faults::point("word-taken");
        let listener = Listener::bind(dir, &lock)
            .map_err(|error| Error::io("cannot serve the directory's endpoint", error))?;
        faults::point("bound");
        let server = Server::start(listener, dir.identity())?;
        let files = dir.anchored_path();
        match Self::recover(&files, &state, options, elector, Arc::downgrade(&lock)) {
            Ok(recovered) => {
                let own = Arc::new(Grants::new(state.clone(), own(), None));
                let leadership = Arc::new(Leadership {
                    service: recovered.service.clone(),
                    state: state.clone(),
                    server,
                    own: own.clone(),
                    absent: recovered.absent.clone(),
                    created: recovered.created,
                    ending: recovered.ending,
                    _lock: lock,
                });
                leadership.server.serve(Serving {
                    service: recovered.service,
                    state,
                    absent: recovered.absent,
                    own,
                });
                faults::point("serving");
                Ok(leadership)
            }
            Err(error) => {
                server.stop();
                drop(lock);
                Err(context(error))
            }
        }
    }

    /// `path` is the directory's [`DataDir::anchored_path`], so that no file is ever looked for in a directory that has
    /// taken the name of the one whose `LOCK` is held.
    fn recover(
        path: &Path,
        state: &Arc<StateFile>,
        options: &Options,
        elector: Arc<Alarm>,
        lock: Weak<DirLock>,
    ) -> Result<Recovered> {
        let context = |error| Error::io("cannot use what the last leader left", error);
        let fs = faults::files(files::open(path, options));
        let boot_id = process::boot_id();
        let prior = state.prior(boot_id);
        let manifest = current_manifest(fs.as_ref()).map_err(context)?;
        let foreign = prior.foreign
            || prior.is_foreign_manifest(manifest)
            || (prior.tripwire && !tripwire::is_set(path)?);
        state.record_found(foreign, manifest).map_err(context)?;
        let ending = Arc::new(Ending {
            over: AtomicBool::new(false),
            cause: OnceLock::new(),
            yielding: AtomicBool::new(false),
            elector: elector.clone(),
            state: state.clone(),
        });
        let owner = Owner {
            state: state.clone(),
            ending: ending.clone(),
            lock,
        };
        let mut engine_options = into_engine_options(options);
        engine_options.recovery = match prior.same_boot {
            true => RecoveryMode::SameBoot,
            false => RecoveryMode::AfterReboot,
        };
        engine_options.foreign_logs = foreign || prior.epoch.is_none();
        engine_options.recover_in_background = true;
        engine_options.drop_floor = if foreign { 0 } else { prior.drop_floor };
        // Sessions that hold moments live only as long as the boot, and lose them to another program. The hold begins
        // before the engine's own compactions do.
        let (known, mut unlisted) = state.sessions().map_err(context)?;
        let holds = prior.epoch.is_some() && prior.same_boot && !foreign;
        unlisted &= holds;
        let is_expected = |known: &Known| holds && state.is_alive(known.place);
        let (expected, gone): (Vec<Known>, Vec<Known>) = known.into_iter().partition(is_expected);
        for known in gone {
            let struck = state.record_session(known.session, known.place, None);
            struck.map_err(context)?;
        }
        engine_options.hold_drop_floor = unlisted || !expected.is_empty();
        engine_options.listener = Some(Arc::new(owner));
        let engine = Engine::open(fs.clone(), engine_options)?;
        let context = |error| Error::io("cannot write what the next leader must know", error);
        faults::point("recovered");
        let through = engine.recovered().last_sequence;
        if let Some(epoch) = prior.epoch {
            state
                .record_recovered(epoch, through, foreign)
                .map_err(context)?;
        }
        faults::point("row-written");
        tripwire::set(path)?;
        faults::point("tripwire-set");
        let epoch = Epoch::after(prior.epoch.map_or(0, |epoch| epoch.number)).map_err(context)?;
        let new_floor = foreign.then_some(through);
        state.raise(epoch, boot_id, new_floor).map_err(context)?;
        faults::point("epoch-raised");
        if foreign || !prior.tripwire || !prior.same_boot {
            // The tripwire and the word that it was set last from here on, also through a loss of power. Later epochs of
            // this boot change neither.
            state.sync().and_then(|()| fs.sync_dir()).map_err(context)?;
        }
        let inherited = engine.take_hold();
        let absent = Absent::new(
            state.clone(),
            elector,
            inherited,
            expected,
            unlisted,
            Allowance::default(),
        );
        let created = engine.recovered().created;
        let mut in_force = options.engine.clone();
        in_force.compression = engine.compression().number();
        let service = Service::new(engine, epoch, in_force, ending.clone());
        Ok(Recovered {
            service: Arc::new(service),
            absent: Arc::new(absent),
            created,
            ending,
        })
    }

    pub fn epoch(&self) -> Epoch {
        self.service.epoch()
    }

    /// What had gone wrong last in this process's own part when it began to lead.
    pub fn tell_trouble(&self, trouble: Option<LastTrouble>) {
        self.server.tell_own_trouble(trouble);
    }

    /// How new tables are compressed, as a number.
    pub fn compression(&self) -> u8 {
        self.service.options().compression
    }

    /// Whether this leadership created the database.
    pub fn created(&self) -> bool {
        self.created
    }

    /// Whether it has to end: its engine writes no more.
    pub fn is_over(&self) -> bool {
        self.ending.over.load(Ordering::Acquire)
    }

    /// What ended its writing, if that was why it has to end.
    pub fn failure(&self) -> Option<&Error> {
        self.ending.cause.get()
    }

    /// As [`Service::opening`].
    pub fn opening(&self) -> Opening {
        self.service.opening()
    }

    /// Lets go of what need not be kept any longer for absent sessions. Gives when to do so again; `None`: nobody is
    /// waited for.
    pub fn tend(&self, now: Instant) -> Option<Duration> {
        self.absent.tend(now)
    }

    /// Makes a call of this process's own; a write that its turn reaches only after `deadline` is not made.
    pub fn execute(
        &self,
        request: &Request<'_>,
        deadline: Instant,
    ) -> std::result::Result<Answer, Stop> {
        match request {
            Request::Write(write) => self.service.write(write, deadline),
            _ => {
                let members = || self.server.members();
                self.service.execute(request, &self.own, &members)
            }
        }
    }

    /// As [`Service::write_at_once`].
    pub fn write_at_once<'b>(
        &self,
        batch: Cow<'b, WriteBatch>,
        sync: bool,
    ) -> std::result::Result<std::result::Result<u64, Stop>, Cow<'b, WriteBatch>> {
        self.service.write_at_once(batch, sync)
    }

    /// As [`Service::get`].
    pub fn get(&self, key: &[u8]) -> std::result::Result<Option<Vec<u8>>, Stop> {
        self.service.get(key)
    }

    /// Makes writes of this process's own session that its page keeps the outcomes of, together and in order.
    pub fn write_together(
        &self,
        page: &Arc<Page>,
        writes: &[Write<'_>],
    ) -> Vec<std::result::Result<Answer, Stop>> {
        self.service.write_together(page, writes)
    }

    /// Pins a moment that this process held under another leader. False: it is gone.
    pub fn adopt_pin(&self, sequence: u64) -> bool {
        self.service.adopt(sequence, &self.own)
    }

    /// All moments that this process held under another leader are pinned again, or lost.
    pub fn own_returned(&self) {
        self.own.settle();
        self.absent.returned(self.own.owner());
    }

    /// Gives one grant of this process's own back.
    pub fn unpin(&self, sequence: u64) {
        self.own.release(sequence);
    }

    /// Has what was recovered written to tables.
    pub fn begin_settling(&self) {
        self.service.begin_settling();
    }

    /// Waits until what was recovered survives a loss of power, or it is known what keeps it from that now.
    ///
    /// # Errors
    /// The leadership is ending.
    pub fn settled(&self) -> Result<Lasting> {
        self.service.settled()
    }

    /// How far a past epoch was recovered.
    pub fn recovered(&self, epoch: Epoch) -> RecoveredThrough {
        self.service.recovered(&self.state, epoch)
    }

    /// Whether only party members had the directory since `epoch`.
    pub fn follows_unbroken(&self, epoch: Epoch) -> bool {
        self.service.follows_unbroken(&self.state, epoch)
    }

    /// Has this leadership end so that another process takes over. False: there is none that would.
    pub fn give_way(&self) -> bool {
        let followed = self.server.has_successor(self.service.since() + GATHERING);
        if followed {
            self.ending.begin_yielding();
        }
        followed
    }

    /// Whether it ends because it gives way.
    pub fn is_yielding(&self) -> bool {
        self.ending.yielding.load(Ordering::Acquire)
    }

    /// What long-lived work of this process goes through: it must not hold the leadership itself, whose lock is released
    /// with its last holder.
    pub fn desk(&self) -> (Arc<Service>, Arc<StateFile>) {
        (self.service.clone(), self.state.clone())
    }

    /// Ends the leadership. The session has stepped down, so no call of this process is on its way.
    pub fn leave(self: Arc<Self>) {
        self.service.begin_leaving();
        self.server.stop();
        faults::point("endpoint-unlinked");
        // Closing joins the background work; what it may report was reported to whom it concerned.
        let _ = self.service.close();
        faults::point("engine-closed");
        // With the last holder (a late call may still look at it: its engine is closed) the lock goes, after all else.
        drop(self);
    }
}

/// Where a directory can only be reached by its name, the name must still mean it.
fn still_there(dir: &DataDir, path: &Path) -> Result<()> {
    if dir.anchored_path() != path {
        return Ok(());
    }
    match dir.is_at_path() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::new(
            ErrorKind::NotFound,
            "the directory was moved or removed since it was opened; open it where it is now",
        )),
        Err(error) => Err(Error::io("cannot look at the directory", error)),
    }
}

struct Recovered {
    service: Arc<Service>,
    absent: Arc<Absent>,
    created: bool,
    ending: Arc<Ending>,
}

#[cfg(test)]
mod tests;
