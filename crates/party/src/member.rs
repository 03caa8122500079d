//! A member: this process's stay in the segment of one epoch. It reads and commits by itself.
//!
//! Promises: an answer is given only if, once it was found, the directory still belonged to this member's epoch: the epoch
//! word is looked at between. When a stay can't go on ([`Member::is_over`]), the elector is told, and no later call of it is
//! answered. What belongs to the directory is given back in the end: the slot, the byte, the locks, in this order.
//! Must not know: who leads, how it came to be a member (`found`, `join`), or who calls.

mod found;
mod join;
mod owner;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use level_party_engine::{
    CommitHook, Engine, Entry, ErrorKind as EngineErrorKind, Fs, Incarnation, Outcome, Sequence,
    WaitedFor, Write, WriteBatch, current_manifest,
};
use level_party_os::{ByteLock, DataDir, DirLock, MemberLock};

use crate::alarm::Alarm;
use crate::entries::Entries;
use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{Limits, Line, Stay};
use crate::options::EngineOptions;
use crate::process::describe_process;
use crate::reads::{Scan, collect};
use crate::segment::Memory;
use crate::service::{self, ServiceState, ServiceWord};
use crate::state_file::{LeadershipRecord, RecoveredThrough, StateFile, leader_byte};
use crate::status::{Opening, first_of};
use crate::stop::Stop;

pub(crate) use found::{Founder, found};
pub(crate) use join::{Invitation, join};

/// This process's stay in one segment.
pub(crate) struct Member {
    engine: Engine,
    state: Arc<StateFile>,
    /// What is shared with the other members. `None`: nobody can join.
    memory: Option<Arc<Memory>>,
    files: Arc<dyn Fs>,
    epoch: Epoch,
    stay: Stay,
    options: EngineOptions,
    /// What recovery left out when the segment was founded, a sentence each.
    dropped: Vec<String>,
    /// This process made the segment.
    founder: bool,
    created: bool,
    ending: Arc<Ending>,
    /// By which the others know that this process lives. `None` where nobody can join.
    _byte: Option<ByteLock>,
    /// The last field: given back after all else.
    lock: Arc<Lock>,
}

/// What keeps other programs out of the directory.
pub(crate) enum Lock {
    /// With the other members.
    Shared(MemberLock),
    /// Alone, as nothing can be shared here.
    Alone(DirLock),
}

impl Lock {
    fn is_intact(&self) -> bool {
        let intact = match self {
            Lock::Shared(lock) => lock.is_intact(),
            Lock::Alone(lock) => lock.is_intact(),
        };
        intact.unwrap_or(false)
    }
}

/// Says that a stay, or this process's leading in it, can't go on.
pub(crate) struct Ending {
    over: AtomicBool,
    /// What ended it.
    cause: OnceLock<Error>,
    /// What ended this process's leading.
    leading: level_party_locks::Mutex<Option<Error>>,
    elector: Arc<Alarm>,
}

impl Ending {
    fn new(elector: &Arc<Alarm>) -> Arc<Ending> {
        Arc::new(Ending {
            over: AtomicBool::new(false),
            cause: OnceLock::new(),
            leading: level_party_locks::Mutex::new(None),
            elector: Arc::clone(elector),
        })
    }

    fn begin(&self) {
        if !self.over.swap(true, Ordering::AcqRel) {
            self.elector.ring();
        }
    }
}

impl Member {
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub fn state(&self) -> &Arc<StateFile> {
        &self.state
    }

    pub fn memory(&self) -> Option<&Arc<Memory>> {
        self.memory.as_ref()
    }

    /// The founding that made the segment.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub fn stay(&self) -> Stay {
        self.stay
    }

    /// What the segment's engine options are, for all its members.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Whether this process made the database.
    pub fn created(&self) -> bool {
        self.created
    }

    /// What recovery left out when the segment was founded.
    pub fn dropped(&self) -> &[String] {
        &self.dropped
    }

    /// Which leadership goes on, or was the last, as the state file says.
    ///
    /// # Errors
    /// The system's.
    pub fn leadership(&self) -> Result<LeadershipRecord> {
        self.state.leadership()
    }

    /// What somebody should know of the database.
    pub fn opening(&self) -> Opening {
        let losses = self.engine.losses();
        let mut left_out = match self.founder {
            true => first_of(&self.dropped),
            false => Vec::new(),
        };
        left_out.retain(|sentence| !losses.contains(sentence));
        Opening {
            losses,
            left_out,
            warnings: Vec::new(),
        }
    }

    /// Whether this stay can't go on.
    pub fn is_over(&self) -> bool {
        self.ending.over.load(Ordering::Acquire) || self.engine.is_condemned()
    }

    /// Why it can't.
    pub fn failure(&self) -> Option<&Error> {
        self.ending.cause.get()
    }

    /// Why this process's leading ended by itself, once.
    pub fn take_end_of_leading(&self) -> Option<Error> {
        self.ending.leading.lock().take()
    }

    /// The stay can't go on: the elector is told.
    pub fn end(&self) {
        self.ending.begin();
    }

    /// Whether what was found out before this was asked may be answered: the directory is still this epoch's. If not, the
    /// stay ends.
    pub fn may_answer(&self) -> bool {
        self.or_end(self.state.is_ours())
    }

    /// The same for what was only read, and is on record nowhere.
    #[inline]
    pub fn may_answer_read(&self) -> bool {
        self.or_end(self.state.is_ours_so_far())
    }

    #[inline]
    fn or_end(&self, ours: bool) -> bool {
        if !ours {
            self.end();
        }
        ours
    }

    /// What was read, if it may be answered.
    #[inline]
    fn checked<T>(&self, read: level_party_engine::Result<T>) -> std::result::Result<T, Stop> {
        match self.may_answer_read() {
            true => read.map_err(Stop::from),
            false => Err(Stop::Over),
        }
    }

    /// The newest value of a key, or that at a moment that this process has pinned.
    #[inline]
    pub fn get(
        &self,
        key: &[u8],
        at: Option<Sequence>,
    ) -> std::result::Result<Option<Entry>, Stop> {
        self.checked(match at {
            None => self.engine.get(key),
            Some(at) => self.engine.get_at(key, at),
        })
    }

    /// What `read` makes of that value. It is lent it once nothing can keep the answer from being given.
    #[inline]
    pub fn get_with<T>(
        &self,
        key: &[u8],
        at: Option<Sequence>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> std::result::Result<Option<T>, Stop> {
        let lend = |value: &[u8]| self.may_answer_read().then(|| read(value));
        match self.engine.get_with(key, at, lend) {
            Ok(Some(lent)) => lent.map(Some).ok_or(Stop::Over),
            Ok(None) => self.checked(Ok(None)),
            Err(error) => self.checked(Err(error)),
        }
    }

    pub fn contains(&self, key: &[u8], at: Option<Sequence>) -> std::result::Result<bool, Stop> {
        self.checked(match at {
            None => self.engine.contains(key),
            Some(at) => self.engine.contains_at(key, at),
        })
    }

    pub fn get_many(
        &self,
        keys: &[impl AsRef<[u8]>],
        at: Option<Sequence>,
    ) -> std::result::Result<Vec<Option<Entry>>, Stop> {
        self.checked(match at {
            None => self.engine.get_many(keys),
            Some(at) => self.engine.get_many_at(keys, at),
        })
    }

    /// One chunk of a range at a moment that this process has pinned.
    pub fn scan(&self, scan: &Scan<'_>, at: Sequence) -> std::result::Result<Entries, Stop> {
        self.checked(self.engine.scan_at(at, |cursor| collect(scan, cursor)))
    }

    /// Makes a write if nobody is writing. Otherwise it comes back: it had no effect; so it does where the stay is over.
    pub fn write_at_once(
        &self,
        write: Write,
    ) -> std::result::Result<std::result::Result<Sequence, Stop>, Write> {
        let sync = write.sync;
        let outcome: Outcome = self.engine.write_at_once(write)?;
        let again = |batch: WriteBatch| Write::new(batch).sync(sync);
        let assigned = outcome.assigned;
        match outcome
            .result
            .map_err(|error| self.stop_of_write(error, assigned))
        {
            Err(Stop::Over) => {
                self.end();
                Err(again(outcome.batch))
            }
            made => Ok(made),
        }
    }

    /// Makes a write, waiting for its turn.
    pub fn write(&self, write: Write, limits: &Limits) -> std::result::Result<Sequence, Stop> {
        let assigned = Arc::new(AtomicBool::new(false));
        let hook = Assigned(Arc::clone(&assigned));
        let write = write.deadline(limits.deadline).hook(Box::new(hook));
        match self.engine.write(write) {
            Ok(sequence) => Ok(sequence),
            Err(error) if error.kind() == EngineErrorKind::Timeout => {
                Err(Stop::Failed(self.explain(error, limits)))
            }
            Err(error) => Err(self.stop_of_write(error, assigned.load(Ordering::Relaxed))),
        }
    }

    /// Why a write has no answer; as [`Stop::of_write`].
    pub fn stop_of_write(&self, error: level_party_engine::Error, assigned: bool) -> Stop {
        match error.kind() {
            EngineErrorKind::Refused => Stop::Failed(match self.service_state() {
                Ok(state) => service::refusal(&state),
                Err(error) => error,
            }),
            _ => Stop::of_write(error, assigned),
        }
    }

    /// Whether the database is in use, being filled, or moved.
    ///
    /// # Errors
    /// The system's; `Corruption`.
    pub fn service_state(&self) -> Result<ServiceState> {
        match self.state.service() {
            ServiceWord::Live => Ok(ServiceState::Live),
            _ => service::read(self.files.as_ref()),
        }
    }

    /// What the file says, which every member does by then: a process may have died, or failed, between file and word.
    ///
    /// # Errors
    /// As [`Member::change_service_state`].
    pub fn settle_service_state(&self, limits: &Limits) -> std::result::Result<ServiceState, Stop> {
        let changing = self.state.lock_service().map_err(Stop::Failed)?;
        let state = service::read(self.files.as_ref()).map_err(Stop::Failed)?;
        let word = ServiceWord::from(&state);
        if self.state.service() != word {
            self.state.set_service(word);
            drop(changing);
            self.drain(limits)?;
        }
        Ok(state)
    }

    /// Changes that from `expected` to `new`, durably. When this returns, every write is judged by the new state. False: it was
    /// another state than these, and is so still.
    ///
    /// # Errors
    /// `Busy`: another process changes it just now. The system's: then either state may be in force, in all processes alike.
    pub fn change_service_state(
        &self,
        expected: &ServiceState,
        new: &ServiceState,
        limits: &Limits,
    ) -> std::result::Result<bool, Stop> {
        let changing = self.state.lock_service().map_err(Stop::Failed)?;
        let current = service::read(self.files.as_ref()).map_err(Stop::Failed)?;
        // Where it is the new one, this call may have made it so in an earlier stay.
        if current != *new {
            if current != *expected {
                return Ok(false);
            }
            // The file first: whoever is refused finds why.
            service::write(self.files.as_ref(), new).map_err(Stop::Failed)?;
            crate::faults::point("service-file");
        }
        self.state.set_service(ServiceWord::from(new));
        crate::faults::point("service-word");
        drop(changing);
        self.drain(limits).map(|()| true)
    }

    /// Waits until the commit lock was free once.
    fn drain(&self, limits: &Limits) -> std::result::Result<(), Stop> {
        let nothing = Write::new(WriteBatch::new()).deadline(limits.deadline);
        match self.engine.write(nothing) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == EngineErrorKind::Refused => Ok(()),
            Err(error) if error.kind() == EngineErrorKind::Timeout => {
                Err(Stop::Failed(self.explain(error, limits)))
            }
            Err(error) => Err(Stop::from(error)),
        }
    }

    /// A write that ended at its deadline, with whom it waited for.
    pub fn explain(&self, error: level_party_engine::Error, limits: &Limits) -> Error {
        let limit = limits.timeout;
        let whom = |incarnation| match self.pid_of(incarnation) {
            Some(pid) => describe_process(pid),
            None => "a process that has gone".to_string(),
        };
        let what = match error.waited_for() {
            Some(WaitedFor::Holder(holder)) => format!(
                "another process is in the middle of a write and does not go on ({})",
                whom(holder)
            ),
            Some(WaitedFor::Room) => match self.engine.leader() {
                Some(leader) => format!(
                    "the memory for writes is full until the leader writes it to a table ({})",
                    whom(leader)
                ),
                None => "the memory for writes is full, and no process leads that would write it to a table".into(),
            },
            _ => "its turn did not come behind the writes before it".to_string(),
        };
        let message = format!("this write was not made within {limit:?}: {what}; it had no effect");
        Error::new(ErrorKind::Timeout, message).with_source(error)
    }

    /// The process of a member.
    pub fn pid_of(&self, incarnation: Incarnation) -> Option<u32> {
        let members = self.engine.members();
        let found = members.iter().find(|m| m.incarnation == incarnation);
        found.map(|member| member.pid)
    }

    /// How far the epoch `past` was recovered. `None`: it is this one, which goes on.
    pub fn recovered(&self, past: Epoch) -> Option<RecoveredThrough> {
        if past == self.epoch {
            return None;
        }
        let recovered = self.state.recovered(past);
        Some(recovered.unwrap_or(RecoveredThrough::Unknown))
    }

    /// Whether only members had the directory since the epoch `past`.
    pub fn follows_unbroken(&self, past: Epoch) -> bool {
        past == self.epoch || self.state.is_unbroken_since(past).unwrap_or(false)
    }

    /// Tries to get the leader's byte. `None`: somebody has it.
    ///
    /// # Errors
    /// The system's.
    pub fn try_leaders_byte(&self) -> std::io::Result<Option<ByteLock>> {
        ByteLock::try_lock(self.state.file(), leader_byte(self.epoch))
    }

    /// Takes leading over in the living segment; the caller has the leader's byte. Gives the leadership's number.
    ///
    /// # Errors
    /// What keeps it from leading; the stay goes on.
    pub fn succeed(&self) -> Result<u64> {
        if !self.may_answer() || self.engine.is_condemned() {
            self.end();
            return Err(lost());
        }
        if !self.lock.is_intact() {
            self.end();
            return Err(lost());
        }
        let manifest = current_manifest(self.files.as_ref())
            .map_err(|error| Error::io("cannot look at CURRENT", error))?;
        let number = self.state.succeed(manifest)?;
        crate::faults::point("succeeded");
        self.engine.lead().map_err(Error::engine)?;
        Ok(number)
    }

    /// The lock that shows a listener that this process is a member.
    pub fn member_lock(&self) -> Option<&MemberLock> {
        match &*self.lock {
            Lock::Shared(lock) => Some(lock),
            Lock::Alone(_) => None,
        }
    }

    /// Ends the stay: when this returns no file is written any more, and no call of it is answered.
    pub fn leave(self: Arc<Self>) {
        self.ending.over.store(true, Ordering::Release);
        // Closing joins the background work; what it may report was reported to whom it concerned.
        let _ = self.engine.close();
        crate::faults::point("engine-closed");
    }
}

/// Notes whether a write got its sequence.
struct Assigned(Arc<AtomicBool>);

impl CommitHook for Assigned {
    fn claim(&mut self) -> bool {
        true
    }

    fn assigned(&mut self, _last_sequence: Sequence) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn undone(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Io, "the directory is another epoch's by now")
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

/// Whether only members had the directory between two stays of this process.
pub(crate) fn is_unbroken(before: Option<Epoch>, member: &Member) -> bool {
    before.is_none_or(|epoch| member.follows_unbroken(epoch))
}

/// The line that goes on with `member`.
pub(crate) fn line_after(line: Line, before: Option<Epoch>, member: &Member) -> Line {
    match is_unbroken(before, member) {
        true => line,
        false => Line(line.0 + 1),
    }
}
