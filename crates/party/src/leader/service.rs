//! What a leader does for a request: the one place where calls of this process and of all others meet the engine.

use std::borrow::Cow;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use level_party_engine::{
    CommitHook, Cursor, Engine, Entry, ErrorKind as EngineErrorKind, KeyRange,
    Options as EngineOptions, Pin, Write, WriteBatch,
};

use serde_bytes::Bytes;

use super::Ending;
use super::grants::Grants;
use crate::batch::check_entries;
use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind};
use crate::faults;
use crate::options::Options;
use crate::page::Page;
use crate::protocol::{
    Answer, Condition, Conditions, Entries, EntriesBuilder, GetMany, Keys, MAX_CHUNK_BYTES,
    MAX_KEY_BYTES, RecoveredThrough, Request, Scan, Values, Write as WriteRequest, check_travels,
    max_reply_frame,
};
use crate::state::StateFile;
use crate::status::{LeaderStatus, MemberStatus, Opening, first_of};

/// Removed keys that one chunk of a scan passes at most: tens of milliseconds of work, after which whoever asked says
/// whether it still wants the rest.
const MAX_PASSED: u64 = 1 << 16;

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The leadership is over, and the request had no effect: ask the next leader.
    Over,
    /// The request failed for good.
    Failed(Error),
    /// A write was under way when the engine stopped writing.
    Unknown(Error),
}

impl From<level_party_engine::Error> for Stop {
    fn from(error: level_party_engine::Error) -> Self {
        match error.kind() {
            EngineErrorKind::Closed => Stop::Over,
            EngineErrorKind::Poisoned => Stop::Unknown(error.into()),
            _ => Stop::Failed(error.into()),
        }
    }
}

pub(crate) type Served = Result<Answer, Stop>;

/// Whether what a leadership recovered survives a loss of power.
#[derive(Debug)]
pub(crate) enum Lasting {
    Yes,
    /// It goes on without that: what keeps it from lasting may pass (a full disk).
    No(Error),
}

/// The engine of one leadership, and how requests are put to it.
pub(crate) struct Service {
    engine: Engine,
    epoch: Epoch,
    options: crate::options::EngineOptions,
    since: Instant,
    ending: Arc<Ending>,
    /// Long-lived work is to end.
    leaving: AtomicBool,
}

impl Service {
    pub fn new(
        engine: Engine,
        epoch: Epoch,
        options: crate::options::EngineOptions,
        ending: Arc<Ending>,
    ) -> Self {
        Service {
            engine,
            epoch,
            options,
            since: Instant::now(),
            ending,
            leaving: AtomicBool::new(false),
        }
    }

    /// When this leadership began.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Has long-lived work end: the leadership does.
    pub fn begin_leaving(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub fn options(&self) -> &crate::options::EngineOptions {
        &self.options
    }

    /// Answers anything but a write, if the directory is still this leadership's once the answer is there.
    /// `members` names who is attached, for a status.
    pub fn execute(
        &self,
        request: &Request<'_>,
        grants: &Grants,
        members: &dyn Fn() -> Vec<MemberStatus>,
    ) -> Served {
        let served = self.answer(request, grants, members);
        let may_answer = match request {
            Request::Get { .. } | Request::Contains { .. } => self.ending.may_answer_read(),
            _ => self.ending.may_answer(),
        };
        match may_answer {
            true => served,
            false => Err(Stop::Over),
        }
    }

    /// As [`Service::execute`] for the value of a key at this moment.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Stop> {
        let value = self.engine.get(key).map_err(Stop::from).and_then(found);
        match self.ending.may_answer_read() {
            true => value,
            false => Err(Stop::Over),
        }
    }

    fn answer(
        &self,
        request: &Request<'_>,
        grants: &Grants,
        members: &dyn Fn() -> Vec<MemberStatus>,
    ) -> Served {
        match *request {
            Request::Get { key, at: None } => value(self.engine.get(key)?),
            Request::Get {
                key,
                at: Some(sequence),
            } => {
                let _pin = held(grants, sequence)?;
                value(self.engine.get_at(key, sequence)?)
            }
            Request::Contains { key, at: None } => {
                Ok(Answer::Contained(self.engine.contains(key)?))
            }
            Request::Contains {
                key,
                at: Some(sequence),
            } => {
                let _pin = held(grants, sequence)?;
                Ok(Answer::Contained(self.engine.contains_at(key, sequence)?))
            }
            Request::GetMany(many) => self.get_many(&many, grants),
            Request::Write(_) => Err(Stop::Failed(Error::protocol("a write is not a read"))),
            Request::Scan(scan) => self.scan(&scan, grants),
            Request::Pin => {
                let pin = self.engine.pin();
                let sequence = pin.sequence();
                grant(grants, pin)?;
                Ok(Answer::Pinned { sequence })
            }
            Request::Status => Ok(self.status(members())),
            Request::ApproximateSize { lower, upper } => {
                let own = |bound: Bound<&Bytes>| bound.map(|key| key.to_vec());
                let range = KeyRange {
                    start: own(lower),
                    end: own(upper),
                };
                Ok(Answer::Size(self.engine.approximate_size(&range)?))
            }
            Request::Property { name } => Ok(Answer::Property(self.engine.property(name))),
        }
    }

    /// A write of this process's own, if nobody is committing: so it is taken up in the moment in which it comes. Otherwise
    /// its batch comes back, and also where this leadership is over: then it had no effect.
    pub fn write_at_once<'b>(
        &self,
        batch: Cow<'b, WriteBatch>,
        sync: bool,
    ) -> Result<Result<u64, Stop>, Cow<'b, WriteBatch>> {
        if matches!(batch, Cow::Borrowed(_)) && self.engine.is_committing() {
            return Err(batch);
        }
        let write = Write::new(batch.into_owned()).sync(sync);
        let outcome = match self.engine.write_at_once(write) {
            Ok(outcome) => outcome,
            Err(write) => return Err(Cow::Owned(write.batch)),
        };
        match outcome.result.map_err(Stop::from) {
            Err(Stop::Over) => Err(Cow::Owned(outcome.batch)),
            // The engine had stopped writing before.
            Err(Stop::Unknown(_)) if !outcome.assigned => Err(Cow::Owned(outcome.batch)),
            made => Ok(made),
        }
    }

    /// A write of this process's own; not made if its turn comes after `deadline`.
    pub fn write(&self, write: &WriteRequest<'_>, deadline: Instant) -> Served {
        let assigned = Arc::new(AtomicBool::new(false));
        let hook = OwnHook {
            deadline,
            assigned: assigned.clone(),
        };
        let write = checked_write(write)?.hook(Box::new(hook));
        match written(self.engine.write(write)) {
            // The engine had stopped writing before this write's turn came.
            Err(Stop::Unknown(_)) if !assigned.load(Ordering::Relaxed) => Err(Stop::Over),
            served => served,
        }
    }

    /// Writes whose outcomes a session page keeps, made in their order; the answers, in it too.
    pub fn write_together(&self, page: &Arc<Page>, writes: &[WriteRequest<'_>]) -> Vec<Served> {
        let mut refused = Vec::with_capacity(writes.len());
        let mut ready = Vec::with_capacity(writes.len());
        for write in writes {
            let write = self.page_write(page, write);
            refused.push(write.map(|write| ready.push(write)).err());
        }
        let mut made = self.write_group(ready).into_iter();
        let answer = |refused: Option<Stop>| match refused {
            Some(stop) => Some(Err(stop)),
            None => made.next(),
        };
        refused.into_iter().map_while(answer).collect()
    }

    /// Writes that came together over one connection, committed together and in their order.
    pub fn write_group(&self, writes: Vec<Write>) -> Vec<Served> {
        let results = self.engine.write_all(writes);
        results.into_iter().map(written).collect()
    }

    /// A write that tells `page` what becomes of it.
    pub fn page_write(&self, page: &Arc<Page>, write: &WriteRequest<'_>) -> Result<Write, Stop> {
        let hook = PageHook {
            page: page.clone(),
            number: write.number,
            epoch: self.epoch,
        };
        Ok(checked_write(write)?.hook(Box::new(hook)))
    }

    /// Pins a moment that a session held under another leader. False: it is gone.
    pub fn adopt(&self, sequence: u64, grants: &Grants) -> bool {
        if faults::planted("snapshot-dropped-on-failover") {
            return true;
        }
        self.engine
            .pin_at(sequence)
            .is_ok_and(|pin| grants.add(pin).is_ok())
    }

    /// As [`Leadership::begin_settling`](super::Leadership::begin_settling).
    pub fn begin_settling(&self) {
        self.engine.begin_settling();
    }

    /// As [`Leadership::settled`](super::Leadership::settled).
    pub fn settled(&self) -> crate::error::Result<Lasting> {
        match self.engine.settled().map_err(Stop::from) {
            Ok(()) => Ok(Lasting::Yes),
            Err(Stop::Failed(error)) => Ok(Lasting::No(error)),
            Err(Stop::Unknown(error)) => Err(error),
            Err(Stop::Over) => Err(Error::new(ErrorKind::Io, "the leadership is ending")),
        }
    }

    pub fn recovered(&self, state: &StateFile, epoch: Epoch) -> RecoveredThrough {
        if epoch == self.epoch {
            return RecoveredThrough::Current;
        }
        state.recovered(epoch).unwrap_or(RecoveredThrough::Unknown)
    }

    pub fn follows_unbroken(&self, state: &StateFile, epoch: Epoch) -> bool {
        epoch == self.epoch || state.is_unbroken_since(epoch).unwrap_or(false)
    }

    /// What the opening of the database by this leadership found that somebody should know.
    pub fn opening(&self) -> Opening {
        let losses = self.engine.losses();
        let mut left_out = first_of(&self.engine.recovered().dropped);
        left_out.retain(|sentence| !losses.contains(sentence));
        Opening { losses, left_out }
    }

    fn status(&self, members: Vec<MemberStatus>) -> Answer {
        let followers = members.iter().skip(1).map(|member| member.pid).collect();
        let oldest = members
            .iter()
            .filter_map(|member| Some((member.oldest_pin?, member.oldest_pin_held_for)))
            .min_by_key(|(sequence, held_for)| (*sequence, std::cmp::Reverse(*held_for)));
        let stats = self.engine.stats();
        let pid = std::process::id();
        Answer::Status(Box::new(LeaderStatus {
            leader_pid: pid,
            leader_program: level_party_os::process::describe(pid).program,
            epoch: self.epoch.number,
            leading_for: self.since.elapsed(),
            last_sequence: stats.last_sequence,
            followers,
            pins: stats.pins as u64,
            oldest_pin: stats.oldest_pin,
            oldest_pin_held_for: oldest.and_then(|(_, held_for)| held_for),
            members,
            files_per_level: stats.files_per_level.iter().map(|&n| n as u64).collect(),
            bytes_per_level: stats.bytes_per_level.to_vec(),
            memtable_bytes: stats.memtable_bytes,
            dropped: first_of(&self.engine.recovered().dropped),
            losses: self.engine.losses(),
            background_error: stats.background_error,
        }))
    }

    /// Whether the directory is still this leadership's; if not, the leadership ends.
    pub fn may_answer(&self) -> bool {
        self.ending.may_answer()
    }

    /// Has this leadership end for another process's.
    pub fn give_way(&self) {
        self.ending.begin_yielding();
    }

    /// Says that this leadership cannot go on.
    pub fn end(&self) {
        self.ending.begin();
    }

    pub fn close(&self) -> Result<(), level_party_engine::Error> {
        self.engine.close()
    }

    fn scan(&self, scan: &Scan<'_>, grants: &Grants) -> Served {
        let moment = self.moment(scan.at, grants)?;
        let sequence = moment.sequence();
        let entries = collect(scan, |passes| {
            let cursor = self.engine.cursor_at(sequence)?;
            let cursor = cursor.passing_at_most(passes);
            Ok(match scan.keys_only {
                true => cursor.keys_only(),
                false => cursor,
            })
        })?;
        Ok(Answer::Entries {
            sequence,
            pinned: moment.grant_if(entries.more() || scan.hold, grants)?,
            entries,
        })
    }

    fn get_many(&self, many: &GetMany<'_>, grants: &Grants) -> Served {
        let keys = Keys::unpack(many.keys).map_err(Stop::Failed)?;
        let moment = self.moment(many.at, grants)?;
        let sequence = moment.sequence();
        let limit = many.limit_bytes.min(MAX_CHUNK_BYTES) as usize;
        let mut values = Values::default();
        let mut answered = 0;
        for key in &keys {
            let entry = self.engine.get_at(key, sequence)?;
            let value: &[u8] = entry.as_ref().map_or(b"", |entry| &entry.value);
            check_travels(value.len()).map_err(Stop::Failed)?;
            // A reply holds the largest value, but not a second one beside it.
            let room = max_reply_frame() / 2;
            if answered > 0 && values.packed().len() + value.len() > room {
                break;
            }
            values.push(entry.as_ref().map(|entry| (entry.sequence, value)));
            answered += 1;
            if values.packed().len() >= limit {
                break;
            }
        }
        Ok(Answer::Values {
            sequence,
            pinned: moment.grant_if(answered < keys.len(), grants)?,
            values,
        })
    }

    /// The moment that a call reads at: one that its session holds, or the newest.
    fn moment(&self, at: Option<u64>, grants: &Grants) -> Result<Moment, Stop> {
        Ok(match at {
            Some(sequence) => match held(grants, sequence) {
                Err(_) if faults::planted("snapshot-dropped-on-failover") => {
                    Moment::New(self.engine.pin())
                }
                pin => Moment::Held(pin?),
            },
            None => Moment::New(self.engine.pin()),
        })
    }
}

/// A pinned moment for the time of a call.
enum Moment {
    Held(Pin),
    New(Pin),
}

impl Moment {
    fn sequence(&self) -> u64 {
        match self {
            Moment::Held(pin) | Moment::New(pin) => pin.sequence(),
        }
    }

    /// Grants a new moment to the session where there is `more` to be asked for at it. Says whether it did.
    fn grant_if(self, more: bool, grants: &Grants) -> Result<bool, Stop> {
        match self {
            Moment::New(pin) if more => grant(grants, pin).map(|()| true),
            _ => Ok(false),
        }
    }
}

/// The answer to a read of one key.
fn value(entry: Option<Entry>) -> Served {
    found(entry).map(Answer::Value)
}

/// The value of an entry, if it could be told to a follower.
fn found(entry: Option<Entry>) -> Result<Option<Vec<u8>>, Stop> {
    let value = entry.map(|entry| entry.value);
    check_travels(value.as_ref().map_or(0, Vec::len)).map_err(Stop::Failed)?;
    Ok(value)
}

/// The answer to a write.
fn written(result: Result<u64, level_party_engine::Error>) -> Served {
    match result {
        Ok(sequence) => Ok(Answer::Written { sequence }),
        Err(error) if error.kind() == EngineErrorKind::Conflict => Ok(Answer::Conflict),
        Err(error) => Err(Stop::from(error)),
    }
}

fn checked_write(write: &WriteRequest<'_>) -> Result<Write, Stop> {
    let mut ready = Write::new(checked_batch(write.batch)?).sync(write.sync);
    for condition in Conditions::unpack(write.conditions).map_err(Stop::Failed)? {
        ready = match condition {
            Condition::Key(key, expect) => ready.condition(key, expect),
            Condition::Untouched(range, since) => ready.untouched(range, since),
        };
    }
    Ok(ready)
}

fn held(grants: &Grants, sequence: u64) -> Result<Pin, Stop> {
    grants.pin(sequence).ok_or_else(|| {
        Stop::Failed(Error::new(
            ErrorKind::SnapshotLost,
            "the moment of this snapshot or iterator can no longer be read; take a new one",
        ))
    })
}

fn grant(grants: &Grants, pin: Pin) -> Result<(), Stop> {
    grants.add(pin).map_err(Stop::Failed)
}

fn checked_batch(bytes: &[u8]) -> Result<WriteBatch, Stop> {
    check_entries(bytes).map_err(Stop::Failed)?;
    WriteBatch::from_bytes(bytes.to_vec()).map_err(|error| {
        Stop::Failed(
            Error::new(ErrorKind::InvalidArgument, "the batch is malformed").with_source(error),
        )
    })
}

/// One chunk: from the bound that the scan begins at until the chunk is full or the range ends. `cursor` makes a new
/// cursor at the scan's moment, which passes so many removed keys.
fn collect(scan: &Scan<'_>, cursor: impl Fn(u64) -> Result<Cursor, Stop>) -> Result<Entries, Stop> {
    let limit_bytes = scan.limit_bytes.min(MAX_CHUNK_BYTES);
    let mut chunk = EntriesBuilder::new(limit_bytes, scan.limit_entries);
    let mut walk = cursor(faults::chunk_passes(MAX_PASSED))?;
    position(&mut walk, scan)?;
    loop {
        if !gather(&mut chunk, &mut walk, scan)? {
            return Ok(chunk.finish(true, None));
        }
        // Whoever asked has gone, or has no time left: then it does not ask on.
        let Some(reached) = walk.stopped().filter(|key| within(key, scan)) else {
            return Ok(chunk.finish(false, None));
        };
        let reached = reached.to_vec();
        if reached.len() <= MAX_KEY_BYTES {
            return Ok(chunk.finish(true, Some(reached)));
        }
        // No bound of a request can name it: go on behind it here.
        walk = cursor(MAX_PASSED)?;
        match scan.reverse {
            false => walk.seek(&reached)?,
            true => walk.seek_before(&just_after(&reached))?,
        }
    }
}

/// Takes entries as long as the chunk has room. False: it has no more, and there are more entries.
fn gather(
    chunk: &mut EntriesBuilder,
    cursor: &mut Cursor,
    scan: &Scan<'_>,
) -> level_party_engine::Result<bool> {
    let mut stamped = Vec::new();
    while cursor.valid() && within(cursor.key(), scan) {
        let mut value: &[u8] = match scan.keys_only {
            true => b"",
            false => cursor.value(),
        };
        if scan.sequences {
            stamped.clear();
            stamped.extend_from_slice(&cursor.sequence().to_le_bytes());
            stamped.extend_from_slice(value);
            value = &stamped;
        }
        if chunk.is_full() || !chunk.push(cursor.key(), value) {
            return Ok(false);
        }
        match scan.reverse {
            false => cursor.next()?,
            true => cursor.prev()?,
        }
    }
    Ok(true)
}

fn position(cursor: &mut Cursor, scan: &Scan<'_>) -> level_party_engine::Result<()> {
    match (scan.reverse, scan.lower, scan.upper) {
        (false, Bound::Unbounded, _) => cursor.seek_to_first(),
        (false, Bound::Included(key), _) => cursor.seek(key),
        (false, Bound::Excluded(key), _) => {
            cursor.seek(key)?;
            match cursor.valid() && cursor.key() == key.as_ref() {
                true => cursor.next(),
                false => Ok(()),
            }
        }
        (true, _, Bound::Unbounded) => cursor.seek_to_last(),
        (true, _, Bound::Excluded(key)) => cursor.seek_before(key),
        (true, _, Bound::Included(key)) => cursor.seek_before(&just_after(key)),
    }
}

/// The first key after `key`, in the order of bytes.
fn just_after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// Whether `key` has not passed the bound at which the scan ends.
fn within(key: &[u8], scan: &Scan<'_>) -> bool {
    match (scan.reverse, scan.lower, scan.upper) {
        (false, _, Bound::Included(upper)) => key <= upper.as_ref(),
        (false, _, Bound::Excluded(upper)) => key < upper.as_ref(),
        (true, Bound::Included(lower), _) => key >= lower.as_ref(),
        (true, Bound::Excluded(lower), _) => key > lower.as_ref(),
        (false, _, Bound::Unbounded) | (true, Bound::Unbounded, _) => true,
    }
}

/// What a write of this process's own is told.
struct OwnHook {
    deadline: Instant,
    assigned: Arc<AtomicBool>,
}

impl CommitHook for OwnHook {
    fn claim(&mut self) -> bool {
        Instant::now() < self.deadline
    }

    fn assigned(&mut self, _last_sequence: u64) {
        self.assigned.store(true, Ordering::Relaxed);
    }
}

/// Keeps a session page's entry of one write true.
struct PageHook {
    page: Arc<Page>,
    number: u64,
    epoch: Epoch,
}

impl CommitHook for PageHook {
    fn claim(&mut self) -> bool {
        let claimed = self.page.claim(self.number, self.epoch);
        faults::point("claimed");
        claimed
    }

    fn assigned(&mut self, last_sequence: u64) {
        // False: this leadership is over; the engine asks whether it is before it appends.
        self.page.assign(self.number, self.epoch, last_sequence);
        faults::point("intent-written");
    }

    fn decided(&mut self, last_sequence: u64) {
        self.page.applied(self.number, last_sequence);
        faults::point("applied");
    }

    fn refused(&mut self, _error: &level_party_engine::Error, _at: u64) {
        self.page.refuse(self.number, self.epoch);
    }
}

pub(crate) fn into_engine_options(options: &Options) -> EngineOptions {
    EngineOptions {
        create_if_missing: options.create_if_missing,
        only_reads: options.read_only,
        write_buffer_size: options.engine.write_buffer_size as usize,
        block_size: options.engine.block_size as usize,
        max_file_size: options.engine.max_file_size,
        compression: options.compression.engine(),
        block_cache_bytes: options.block_cache_bytes,
        bloom_bits_per_key: options.engine.bloom_bits_per_key.map(|bits| bits as usize),
        tail_bytes: options.engine.watch_history_bytes as usize,
        ..EngineOptions::default()
    }
}
