//! What a leader does for a request: the one place where calls of this process and of all others meet the engine.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use level_party_engine::{
    CommitHook, Compression, Cursor, Engine, ErrorKind as EngineErrorKind,
    Options as EngineOptions, Pin, Write, WriteBatch,
};

use super::Ending;
use super::grants::{Grants, MAX_GRANTS};
use crate::batch::check_entries;
use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind};
use crate::options::Options;
use crate::page::Page;
use crate::protocol::{
    Answer, Entries, EntriesBuilder, MAX_CHUNK_BYTES, RecoveredThrough, Request, Scan,
};
use crate::state::StateFile;
use crate::status::LeaderStatus;

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

/// The engine of one leadership, and how requests are put to it.
pub(crate) struct Service {
    engine: Engine,
    epoch: Epoch,
    options: crate::options::EngineOptions,
    since: Instant,
    ending: Arc<Ending>,
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
        }
    }

    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub fn since(&self) -> Instant {
        self.since
    }

    pub fn options(&self) -> &crate::options::EngineOptions {
        &self.options
    }

    /// Answers anything but a write.
    /// `followers` names the pids that are attached, for a status.
    pub fn execute(
        &self,
        request: &Request<'_>,
        grants: &Grants,
        followers: &dyn Fn() -> Vec<u32>,
    ) -> Served {
        match *request {
            Request::Get { key, at: None } => Ok(Answer::Value(
                self.engine.get(key)?.map(|entry| entry.value),
            )),
            Request::Get {
                key,
                at: Some(sequence),
            } => {
                let _pin = held(grants, sequence)?;
                let entry = self.engine.get_at(key, sequence)?;
                Ok(Answer::Value(entry.map(|entry| entry.value)))
            }
            Request::Write { .. } => Err(Stop::Failed(Error::protocol("a write is not a read"))),
            Request::Scan(scan) => self.scan(&scan, grants),
            Request::Pin => {
                let pin = self.engine.pin();
                let sequence = pin.sequence();
                grant(grants, pin)?;
                Ok(Answer::Pinned { sequence })
            }
            Request::Status => Ok(self.status(followers())),
        }
    }

    /// A write of this process's own; not made if its turn comes after `deadline`.
    pub fn write(&self, batch: &[u8], sync: bool, deadline: Instant) -> Served {
        let assigned = Arc::new(AtomicBool::new(false));
        let hook = OwnHook {
            deadline,
            assigned: assigned.clone(),
        };
        let write = Write::new(checked_batch(batch)?)
            .sync(sync)
            .hook(Box::new(hook));
        match self.engine.write(write) {
            Ok(sequence) => Ok(Answer::Written { sequence }),
            Err(error) => match (Stop::from(error), assigned.load(Ordering::Relaxed)) {
                // The engine had stopped writing before this write's turn came.
                (Stop::Unknown(_), false) => Err(Stop::Over),
                (stop, _) => Err(stop),
            },
        }
    }

    /// A write whose outcome a session page keeps.
    pub fn write_for_page(
        &self,
        page: &Arc<Page>,
        number: u64,
        sync: bool,
        batch: &[u8],
    ) -> Served {
        let write = self.page_write(page, number, sync, batch)?;
        Ok(Answer::Written {
            sequence: self.engine.write(write)?,
        })
    }

    /// Writes that came together over one connection, committed together and in their order.
    pub fn write_group(&self, writes: Vec<Write>) -> Vec<Served> {
        let results = self.engine.write_all(writes);
        let served = |result: Result<u64, level_party_engine::Error>| match result {
            Ok(sequence) => Ok(Answer::Written { sequence }),
            Err(error) => Err(Stop::from(error)),
        };
        results.into_iter().map(served).collect()
    }

    /// A write that tells `page` what becomes of it.
    pub fn page_write(
        &self,
        page: &Arc<Page>,
        number: u64,
        sync: bool,
        batch: &[u8],
    ) -> Result<Write, Stop> {
        let hook = PageHook {
            page: page.clone(),
            number,
            epoch: self.epoch,
        };
        Ok(Write::new(checked_batch(batch)?)
            .sync(sync)
            .hook(Box::new(hook)))
    }

    /// Pins a moment that a session held under another leader. False: it is gone.
    pub fn adopt(&self, sequence: u64, grants: &Grants) -> bool {
        self.engine
            .pin_at(sequence)
            .is_ok_and(|pin| grants.add(pin))
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

    fn status(&self, followers: Vec<u32>) -> Answer {
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
            files_per_level: stats.files_per_level.iter().map(|&n| n as u64).collect(),
            bytes_per_level: stats.bytes_per_level.to_vec(),
            memtable_bytes: stats.memtable_bytes,
            dropped: self.engine.recovered().dropped.clone(),
            background_error: stats.background_error,
        }))
    }

    /// Says that this leadership cannot go on.
    pub fn end(&self) {
        self.ending.begin();
    }

    pub fn close(&self) -> Result<(), level_party_engine::Error> {
        self.engine.close()
    }

    fn scan(&self, scan: &Scan<'_>, grants: &Grants) -> Served {
        match scan.at {
            Some(sequence) => {
                let _pin = held(grants, sequence)?;
                let entries = collect(self.engine.cursor_at(sequence)?, scan)?;
                Ok(Answer::Entries {
                    sequence,
                    pinned: false,
                    entries,
                })
            }
            None => {
                let pin = self.engine.pin();
                let sequence = pin.sequence();
                let entries = collect(self.engine.cursor_at(sequence)?, scan)?;
                let pinned = entries.more();
                if pinned {
                    grant(grants, pin)?;
                }
                Ok(Answer::Entries {
                    sequence,
                    pinned,
                    entries,
                })
            }
        }
    }
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
    if grants.add(pin) {
        return Ok(());
    }
    Err(Stop::Failed(Error::new(
        ErrorKind::InvalidArgument,
        format!("this process holds {MAX_GRANTS} snapshots and iterators; drop some"),
    )))
}

fn checked_batch(bytes: &[u8]) -> Result<WriteBatch, Stop> {
    check_entries(bytes).map_err(Stop::Failed)?;
    WriteBatch::from_bytes(bytes.to_vec()).map_err(|error| {
        Stop::Failed(
            Error::new(ErrorKind::InvalidArgument, "the batch is malformed").with_source(error),
        )
    })
}

/// One chunk: from the bound that the scan begins at until the chunk is full or the range ends.
fn collect(mut cursor: Cursor, scan: &Scan<'_>) -> Result<Entries, Stop> {
    let mut chunk = EntriesBuilder::new(scan.limit_bytes.min(MAX_CHUNK_BYTES));
    position(&mut cursor, scan)?;
    while cursor.valid() && within(cursor.key(), scan) {
        if !chunk.fits(cursor.key(), cursor.value()) && chunk.is_empty() {
            return Err(Stop::Failed(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "an entry of {} bytes is too large to travel",
                    cursor.value().len()
                ),
            )));
        }
        if chunk.is_full() || !chunk.fits(cursor.key(), cursor.value()) {
            return Ok(chunk.finish(true));
        }
        chunk.push(cursor.key(), cursor.value());
        match scan.reverse {
            false => cursor.next()?,
            true => cursor.prev()?,
        }
    }
    Ok(chunk.finish(false))
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
        (true, _, Bound::Included(key)) => {
            cursor.seek(key)?;
            match cursor.valid() && cursor.key() == key.as_ref() {
                true => Ok(()),
                false => cursor.seek_before(key),
            }
        }
    }
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
        self.page.claim(self.number)
    }

    fn assigned(&mut self, last_sequence: u64) {
        self.page.assign(self.number, self.epoch, last_sequence);
    }

    fn decided(&mut self, _last_sequence: u64) {
        self.page.applied(self.number);
    }
}

pub(super) fn into_engine_options(options: &Options) -> EngineOptions {
    EngineOptions {
        create_if_missing: options.create_if_missing,
        write_buffer_size: options.engine.write_buffer_size as usize,
        block_size: options.engine.block_size as usize,
        max_file_size: options.engine.max_file_size,
        compression: match options.engine.compression {
            true => Compression::Snappy,
            false => Compression::None,
        },
        bloom_bits_per_key: options.engine.bloom_bits_per_key.map(|bits| bits as usize),
        ..EngineOptions::default()
    }
}
