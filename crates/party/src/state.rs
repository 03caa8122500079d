//! `level-party.state`: what each leadership leaves for the next.
//!
//! Invariants:
//! - Created once, never renamed, unlinked or shrunk; written in place, by the holder of `LOCK` only.
//! - A slot is believed only if its checksum is right; of two the one written later counts. A kill in the middle of
//!   a slot's write leaves the other.
//! - An epoch stands in both slots before it is raised. A leader that looked whether the directory was its own, and stood
//!   still while every lock failed and a successor came, writes at most one slot when it goes on, and counts it no higher
//!   than its successor counted its first: the other slot is the later one.
//! - The row of a past epoch (how far it was recovered) is written before the epoch after it is raised.
//! - Once a row says that another program came in between, it says so for good.
//! - **The epoch word is the fence.** A candidate puts a random word of its own there before it recovers, and moves it
//!   to its epoch's number (by compare-and-swap) before its first answer. Whoever finds another word than its own has
//!   lost the directory: it answers nothing more and writes nothing more. A leader appends, *then* looks, then answers;
//!   a candidate stores, *then* reads the log: so what a leader acknowledged, its successor recovers, even where every
//!   lock failed (`LOCK` was removed, say, and the directory made anew with links to its files).
//! - What `CURRENT` may name is written here before it names it. So where it names something else in the same boot,
//!   another program wrote there, tripwire or not. That this was found is written before recovery hides it.
//!
//! Layout (little-endian; page 0 holds what changes, rows follow):
//!
//! | offset | bytes | is |
//! |---|---|---|
//! | 0, 2,000 | 2,000 each | slots: magic 8, layout version u32, length u32, crc32c u32, then [`Body`] in postcard |
//! | 4,088 | 8 | the epoch word: the number of the current epoch, written last; a candidate's random word, highest bit set, while it recovers |
//! | 4,000 | 80 | zeros |
//! | 4,080 | 8 | not 0: sessions that the table does not know may hold moments |
//! | 4,096 | 48 x 1,024 | rows: epoch number, two random words, last recovered sequence, flags, crc32c of the five |
//! | 53,248 | 32 x 4,096 | sessions that hold moments ([`sessions`]): id, oldest moment, crc32c of the three; zeros where there is none |
//!
//! It holds nothing that survives a reboot but the epoch's number and the drop floor: sessions die with the boot.

mod sessions;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use level_party_engine::with_descriptors;
use level_party_os::FileWord;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind, Result};
use crate::faults;
use crate::protocol::RecoveredThrough;
pub(crate) use sessions::{Known, PLACES, byte_of};

/// The file's name in the data directory.
pub(crate) const STATE_NAME: &str = "level-party.state";

const MAGIC: [u8; 8] = *b"lvlpstat";
const LAYOUT_VERSION: u32 = 2;
const SLOT_BYTES: usize = 2000;
const SLOT_HEADER: usize = 20;
/// Zeros, in the same block as the epoch word whatever the size of a disk's blocks.
const UNUSED_AT: u64 = 4000;
const UNUSED_BYTES: usize = 80;
const EPOCH_WORD_AT: u64 = 4088;
const ROWS_AT: u64 = 4096;
const ROW_BYTES: usize = 48;
/// Past leaderships remembered: a follower that missed more than these gets `OutcomeUnknown`.
const ROWS: u64 = 1024;
const FILE_BYTES: u64 = sessions::END_OF_TABLE;
const FLAG_FOREIGN: u64 = 1;
/// Set in the epoch word of a candidate.
const CANDIDATE: u64 = 1 << 63;
const PROGRAM_BYTES: usize = 255;

/// What a slot holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Body {
    /// Counts slot writes: the higher one is the later.
    written: u64,
    /// 128 random bits, drawn when the file is created.
    database: [u64; 2],
    epoch: Option<Epoch>,
    boot_id: Option<[u8; 16]>,
    leader_pid: u32,
    leader_program: Option<String>,
    leader_since_unix_ms: u64,
    /// Moments below this one may be gone.
    drop_floor: u64,
    /// The tripwire was set by the current epoch.
    tripwire: bool,
    /// The manifest that `CURRENT` named when the epoch was raised, or when a candidate looked since.
    manifest: Option<u64>,
    /// The manifest that a candidate or leader was about to let `CURRENT` name since.
    next_manifest: Option<u64>,
    /// A candidate found since that another program had been here.
    foreign: bool,
}

/// What the leadership before this one left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prior {
    pub epoch: Option<Epoch>,
    pub drop_floor: u64,
    pub tripwire: bool,
    /// Whether it was written since the machine came up.
    pub same_boot: bool,
    /// What `CURRENT` may name if no other program wrote it.
    manifests: [Option<u64>; 2],
    /// A candidate that died found that another program had been here.
    pub foreign: bool,
}

impl Prior {
    /// Whether another program made `CURRENT` name `manifest`. After a reboot nobody can tell: of two files that were
    /// written in turn a loss of power may have kept the older state of either.
    pub fn is_foreign_manifest(&self, manifest: Option<u64>) -> bool {
        self.epoch.is_some()
            && self.same_boot
            && (manifest.is_none() || !self.manifests.contains(&manifest))
    }
}

/// The open state file of a leader.
pub(crate) struct StateFile {
    inner: Mutex<Inner>,
    word: FileWord,
    /// The epoch word from our opening of the file on,
    candidate: u64,
    /// and from the raising of our epoch on; 0 before that.
    raised: AtomicU64,
    /// Sessions without a place were granted moments since.
    unlisted: AtomicBool,
}

struct Inner {
    file: File,
    body: Body,
    /// The slot that `body` does not stand in.
    next_slot: usize,
}

impl StateFile {
    /// Opens the file in `dir`, creating it if there is none, and takes the epoch word: whoever led until now answers
    /// nothing more. The caller holds `LOCK`, and has not read what the last leader wrote.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(STATE_NAME);
        let context = |error| Error::io(format_args!("cannot use {STATE_NAME}"), error);
        let meta = std::fs::symlink_metadata(&path);
        if meta.as_ref().is_ok_and(|m| !m.file_type().is_file()) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("{STATE_NAME} is not a regular file; remove it"),
            ));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = with_descriptors(|| options.open(&path)).map_err(context)?;
        if file.metadata().map_err(context)?.len() < FILE_BYTES {
            file.set_len(FILE_BYTES).map_err(context)?;
        }
        // The page gets its place on the disk by a call: where there is none, a store through the mapping is SIGBUS.
        write_at(&mut file, UNUSED_AT, &[0; UNUSED_BYTES]).map_err(context)?;
        let word = FileWord::map(&file, EPOCH_WORD_AT).map_err(context)?;
        let [random, _] = crate::epoch::random_words().map_err(context)?;
        let candidate = random | CANDIDATE;
        word.get().store(candidate.to_le(), Ordering::SeqCst);
        // Nothing that is read from here on was read before the store could be seen.
        fence(Ordering::SeqCst);
        let mut slots = [read_slot(&mut file, 0)?, read_slot(&mut file, 1)?];
        let newest = (0..2).max_by_key(|&i| slots[i].as_ref().map_or(0, |b| b.written + 1));
        let newest = newest.expect("two slots");
        let body = match slots[newest].take() {
            Some(body) => body,
            None => Body {
                database: crate::epoch::random_words().map_err(context)?,
                ..Body::default()
            },
        };
        Ok(StateFile {
            inner: Mutex::new(Inner {
                file,
                body,
                next_slot: 1 - newest,
            }),
            word,
            candidate,
            raised: AtomicU64::new(0),
            unlisted: AtomicBool::new(false),
        })
    }

    /// Whether nobody else has taken the directory over. What was written before this was asked is there for whoever
    /// takes it over later.
    pub fn is_ours(&self) -> bool {
        // The store before the load: it waits until all that this processor has stored is there for others.
        fence(Ordering::SeqCst);
        self.looks_ours()
    }

    /// The same for a caller that has written nothing since which a successor must find: that has only read, or is about
    /// to write. What it has read was read before.
    pub fn is_ours_so_far(&self) -> bool {
        fence(Ordering::Acquire);
        self.looks_ours()
    }

    fn looks_ours(&self) -> bool {
        if faults::planted("no-epoch-check") {
            return true;
        }
        let word = u64::from_le(self.word.get().load(Ordering::SeqCst));
        // Either: the engine's threads ask while the epoch is being raised.
        word == self.candidate || (word != 0 && word == self.raised.load(Ordering::Relaxed))
    }

    fn check_ours(&self) -> io::Result<()> {
        match self.is_ours() {
            true => Ok(()),
            false => Err(taken_over()),
        }
    }

    /// What the leadership before this one left; `boot_id` is that of the running system.
    pub fn prior(&self, boot_id: Option<[u8; 16]>) -> Prior {
        let inner = self.inner.lock();
        Prior {
            epoch: inner.body.epoch,
            drop_floor: inner.body.drop_floor,
            tripwire: inner.body.tripwire,
            same_boot: boot_id.is_some() && inner.body.boot_id == boot_id,
            manifests: [inner.body.manifest, inner.body.next_manifest],
            foreign: inner.body.foreign,
        }
    }

    /// Writes what a candidate found, before its recovery hides it: whether another program had the directory, and which
    /// manifest `CURRENT` names, by whomever.
    pub fn record_found(&self, foreign: bool, manifest: Option<u64>) -> io::Result<()> {
        let before = self.inner.lock().body.clone();
        let known = (before.manifest, before.next_manifest) == (manifest, None);
        if (before.foreign || !foreign) && known {
            return Ok(());
        }
        self.change(|body| {
            body.foreign |= foreign;
            body.manifest = manifest;
            // Who meant to name another one has died before or after it; this tells which.
            body.next_manifest = None;
        })
    }

    /// `CURRENT` is about to name the manifest `number`.
    pub fn record_manifest(&self, number: u64) -> io::Result<()> {
        self.change(|body| body.next_manifest = Some(number))
    }

    fn change(&self, change: impl FnOnce(&mut Body)) -> io::Result<()> {
        let mut inner = self.inner.lock();
        self.check_ours()?;
        let mut body = inner.body.clone();
        change(&mut body);
        inner.write_body(body)
    }

    /// Writes how far `epoch` was recovered, and whether another program had the directory since.
    pub fn record_recovered(&self, epoch: Epoch, through: u64, foreign: bool) -> io::Result<()> {
        let mut inner = self.inner.lock();
        self.check_ours()?;
        let before = read_row(&mut inner.file, epoch)?;
        let foreign = foreign || matches!(before, RecoveredThrough::SequenceBeforeForeign(_));
        let words = [
            epoch.number,
            epoch.random[0],
            epoch.random[1],
            through,
            foreign as u64,
        ];
        let mut row = Vec::with_capacity(ROW_BYTES);
        for word in words {
            row.extend_from_slice(&word.to_le_bytes());
        }
        let crc = u64::from(crc32c::crc32c(&row));
        row.extend_from_slice(&crc.to_le_bytes());
        write_at(&mut inner.file, row_offset(epoch.number), &row)
    }

    /// How far `epoch` was recovered by its successor.
    pub fn recovered(&self, epoch: Epoch) -> io::Result<RecoveredThrough> {
        read_row(&mut self.inner.lock().file, epoch)
    }

    /// Whether each leadership from `epoch` on was recovered by the next with no other program in between.
    pub fn is_unbroken_since(&self, epoch: Epoch) -> io::Result<bool> {
        let mut inner = self.inner.lock();
        let Some(current) = inner.body.epoch else {
            return Ok(false);
        };
        let first = read_row(&mut inner.file, epoch)?;
        if !matches!(first, RecoveredThrough::Sequence(_))
            || current.number.saturating_sub(epoch.number) > ROWS
        {
            return Ok(false);
        }
        for number in epoch.number + 1..current.number {
            let row = read_raw_row(&mut inner.file, number)?;
            if !row.is_some_and(|row| row[0] == number && row[4] & FLAG_FOREIGN == 0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes `epoch` the current one, led by this process. From here on no older epoch may answer. The drop floor stays
    /// what it is (the engine may have raised it by now), or becomes `new_floor`.
    ///
    /// # Errors
    /// Somebody else has taken the directory over; the system's.
    pub fn raise(
        &self,
        epoch: Epoch,
        boot_id: Option<[u8; 16]>,
        new_floor: Option<u64>,
    ) -> io::Result<()> {
        let program = level_party_os::process::describe(std::process::id()).program;
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let mut inner = self.inner.lock();
        self.check_ours()?;
        let body = Body {
            epoch: Some(epoch),
            boot_id,
            leader_pid: std::process::id(),
            leader_program: program.map(|p| p.chars().take(PROGRAM_BYTES / 4).collect()),
            leader_since_unix_ms: since.map_or(0, |d| d.as_millis() as u64),
            drop_floor: new_floor.unwrap_or(inner.body.drop_floor),
            tripwire: true,
            manifest: inner.body.next_manifest.or(inner.body.manifest),
            next_manifest: None,
            foreign: false,
            ..inner.body.clone()
        };
        // Into both slots: one of them a former leader that stood still while it wrote may yet write over.
        inner.write_body(body.clone())?;
        inner.write_body(body)?;
        self.raised.store(epoch.number, Ordering::SeqCst);
        let raised = self.word.get().compare_exchange(
            self.candidate.to_le(),
            epoch.number.to_le(),
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        if raised.is_err() {
            self.raised.store(0, Ordering::SeqCst);
            return Err(taken_over());
        }
        Ok(())
    }

    /// Makes what was written last through a loss of power.
    pub fn sync(&self) -> io::Result<()> {
        self.inner.lock().file.sync_all()
    }

    /// Says that moments below `floor` may be gone from now on.
    pub fn raise_drop_floor(&self, floor: u64) -> io::Result<()> {
        if floor <= self.inner.lock().body.drop_floor {
            return Ok(());
        }
        self.change(|body| body.drop_floor = body.drop_floor.max(floor))
    }
}

impl Inner {
    fn write_body(&mut self, mut body: Body) -> io::Result<()> {
        body.written = self.body.written + 1;
        let bytes = postcard::to_allocvec(&body).map_err(io::Error::other)?;
        let mut slot = Vec::with_capacity(SLOT_HEADER + bytes.len());
        slot.extend_from_slice(&MAGIC);
        slot.extend_from_slice(&LAYOUT_VERSION.to_le_bytes());
        slot.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        slot.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        slot.extend_from_slice(&bytes);
        debug_assert!(slot.len() <= SLOT_BYTES);
        write_at(&mut self.file, (self.next_slot * SLOT_BYTES) as u64, &slot)?;
        self.body = body;
        self.next_slot = 1 - self.next_slot;
        Ok(())
    }
}

fn taken_over() -> io::Error {
    io::Error::other("another process has taken the directory over")
}

fn write_at(file: &mut File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

fn row_offset(number: u64) -> u64 {
    ROWS_AT + number % ROWS * ROW_BYTES as u64
}

/// The words of the row where epoch `number` stands or stood; `None` where it is not whole.
fn read_raw_row(file: &mut File, number: u64) -> io::Result<Option<[u64; 5]>> {
    let mut row = [0; ROW_BYTES];
    file.seek(SeekFrom::Start(row_offset(number)))?;
    file.read_exact(&mut row)?;
    let word =
        |i: usize| u64::from_le_bytes(row[i * 8..i * 8 + 8].try_into().expect("eight bytes"));
    let intact = word(5) == u64::from(crc32c::crc32c(&row[..ROW_BYTES - 8]));
    Ok(intact.then(|| std::array::from_fn(word)))
}

fn read_row(file: &mut File, epoch: Epoch) -> io::Result<RecoveredThrough> {
    let [number, low, high] = [epoch.number, epoch.random[0], epoch.random[1]];
    Ok(match read_raw_row(file, number)? {
        Some([n, l, h, through, flags]) if [n, l, h] == [number, low, high] => {
            match flags & FLAG_FOREIGN {
                0 => RecoveredThrough::Sequence(through),
                _ => RecoveredThrough::SequenceBeforeForeign(through),
            }
        }
        _ => RecoveredThrough::Unknown,
    })
}

/// The process that leads the database in `dir`, or led it last, as its state file says: for messages to people only.
pub(crate) fn leader_pid(dir: &Path) -> Option<u32> {
    let mut file = File::open(dir.join(STATE_NAME)).ok()?;
    let slots = [read_slot(&mut file, 0).ok()?, read_slot(&mut file, 1).ok()?];
    let newest = slots
        .into_iter()
        .flatten()
        .max_by_key(|body| body.written)?;
    Some(newest.leader_pid)
}

/// The slot's body; `None` where it was never written or not written whole.
fn read_slot(file: &mut File, slot: usize) -> Result<Option<Body>> {
    let mut bytes = [0; SLOT_BYTES];
    file.seek(SeekFrom::Start((slot * SLOT_BYTES) as u64))
        .and_then(|_| file.read_exact(&mut bytes))
        .map_err(|error| Error::io(format_args!("cannot read {STATE_NAME}"), error))?;
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    if bytes[..8] != MAGIC {
        return Ok(None);
    }
    if word(8) > LAYOUT_VERSION {
        return Err(Error::new(
            ErrorKind::IncompatibleVersion,
            format!(
                "{STATE_NAME} has layout {}, this level-party knows {LAYOUT_VERSION}; use the newer release",
                word(8)
            ),
        ));
    }
    let length = word(12) as usize;
    let Some(body) = bytes.get(SLOT_HEADER..SLOT_HEADER + length) else {
        return Ok(None);
    };
    if crc32c::crc32c(body) != word(16) {
        return Ok(None);
    }
    Ok(postcard::from_bytes(body).ok())
}

#[cfg(test)]
mod tests;
