//! `level-party.state`: what each founding and each leadership leaves for the next, and the bytes by which members know of
//! each other.
//!
//! Invariants:
//! - Created once, never renamed, unlinked or shrunk; written in place, by a founder (who has the directory alone) or by the
//!   leader (who has the leader's byte locked).
//! - A slot is believed only if its checksum is right; of two the one written later counts. A kill in the middle of
//!   a slot's write leaves the other.
//! - An epoch stands in both slots before it is raised. A founder that looked whether the directory was its own, and stood
//!   still while every lock failed and another one came, writes at most one slot when it goes on, and counts it no higher
//!   than its successor counted its first: the other slot is the later one.
//! - The row of a past epoch (how far it was recovered) is written before the epoch after it is raised.
//! - Once a row says that another program came in between, it says so for good.
//! - **The epoch word is the fence.** A founder puts a random word of its own there before it recovers, and moves it
//!   to its epoch's number (by compare-and-swap) before its first answer. Every member of its segment looks for that number;
//!   whoever finds another word has lost the directory: it answers nothing more and writes nothing more. A member appends,
//!   *then* looks, then answers; a founder stores, *then* reads the log: so what a member acknowledged, the next founder
//!   recovers, even where every lock failed (`LOCK` was removed, say, and the directory made anew with links to its files).
//! - What `CURRENT` may name is written here before it names it. So where it names something else in the same boot,
//!   another program wrote there, tripwire or not. That this was found is written before recovery hides it.
//!
//! An epoch is one founding. Leaderships are counted beside it: a succession goes on in the same epoch.
//!
//! Layout (little-endian; page 0 holds what changes, rows follow):
//!
//! | offset | bytes | is |
//! |---|---|---|
//! | 0, 2,000 | 2,000 each | slots: magic 8, layout version u32, length u32, crc32c u32, then [`Body`] in postcard |
//! | 4,000 | 80 | zeros |
//! | 4,080 | 8 | the service word (`service.rs`): whether writes are taken. A founder sets it from its file before it recovers |
//! | 4,088 | 8 | the epoch word: the number of the current epoch, written last; a founder's random word, highest bit set, while it recovers |
//! | 4,096 | 48 x 1,024 | rows: epoch number, two random words, last recovered sequence, flags, crc32c of the five |
//! | 2^31 | lock | held while the service state is changed |
//! | 2^32 + n | lock | held by the member with incarnation n |
//! | 2^61 + 2^40 + 2 e | lock | held by the leader in the epoch numbered e |
//! | 2^61 + 2^40 + 2 e + 1 | lock | held by the member that answers joins while only members are left that never lead |
//!
//! Bytes that are locked need not be in the file. It holds nothing that survives a reboot but numbers and the drop floor:
//! members die with the boot.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

use level_party_engine::with_descriptors;
use level_party_locks::Mutex;
use level_party_os::{ByteLock, FileWord, GuardedFile, positioned};
use serde::{Deserialize, Serialize};

use crate::epoch::Epoch;
use crate::error::{Error, ErrorKind, Result};
use crate::faults;
use crate::service::ServiceWord;

/// The file's name in the data directory.
pub(crate) const STATE_NAME: &str = "level-party.state";

const MAGIC: [u8; 8] = *b"lvlpstat";
const LAYOUT_VERSION: u32 = 3;
const SLOT_BYTES: usize = 2000;
const SLOT_HEADER: usize = 20;
/// Zeros, in the same block as the epoch word whatever the size of a disk's blocks.
const UNUSED_AT: u64 = 4000;
const UNUSED_BYTES: usize = 88;
const SERVICE_WORD_AT: u64 = 4080;
const EPOCH_WORD_AT: u64 = 4088;
const ROWS_AT: u64 = 4096;
const ROW_BYTES: usize = 48;
/// Past epochs remembered: of an older one nobody knows how far it was recovered.
const ROWS: u64 = 1024;
const FILE_BYTES: u64 = ROWS_AT + ROWS * ROW_BYTES as u64;
const FLAG_FOREIGN: u64 = 1;
/// Where the bytes of leaders begin, two for each epoch. Behind those of members, whose incarnations are below 2^61; and all are
/// below 2^62, so that a lock can be taken on every system.
const LEADERS_AT: u64 = 1 << 61 | 1 << 40;
/// Held while the service state is changed.
const SERVICE_BYTE: u64 = 1 << 31;
/// Where the bytes of members begin, by their incarnations.
pub(crate) const MEMBERS_AT: u64 = 1 << 32;

/// The byte that the leader of an epoch has locked.
pub(crate) fn leader_byte(epoch: Epoch) -> u64 {
    LEADERS_AT + 2 * epoch.number
}

/// The byte of the member that answers joins while nobody may lead.
pub(crate) fn door_byte(epoch: Epoch) -> u64 {
    leader_byte(epoch) + 1
}

/// Set in the epoch word of a founder.
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
    /// Counts leaderships, of all epochs.
    leaderships: u64,
    /// Why nobody can join the current epoch, if nobody can.
    alone: Option<String>,
    /// Who began to found an epoch last.
    founder_pid: u32,
}

/// How much of a past epoch's writes the next founder found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecoveredThrough {
    /// Nobody knows that epoch any more.
    Unknown,
    /// Sequences up to this one were recovered, and none above.
    Sequence(u64),
    /// The same, but another program had the directory in between.
    SequenceBeforeForeign(u64),
}

/// Who leads, or led last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeadershipRecord {
    /// Counted over all epochs; it never restarts.
    pub number: u64,
    pub pid: u32,
    pub program: Option<String>,
    pub since: std::time::SystemTime,
}

/// What the epoch before this one left.
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

/// The open state file of a member.
pub(crate) struct StateFile {
    file: Arc<GuardedFile>,
    inner: Mutex<Inner>,
    word: FileWord,
    service: FileWord,
    changing_service: Mutex<()>,
    /// The epoch word from a founder's opening of the file on,
    candidate: u64,
    /// and from the raising of our epoch on; 0 before that.
    raised: AtomicU64,
    identity: FileIdentity,
}

/// The right to change the service state. The threads of a process share the file that the lock belongs to, so they take turns
/// by themselves; the lock is given back first.
pub(crate) struct ChangingService<'a> {
    _lock: ByteLock,
    _threads: level_party_locks::MutexGuard<'a, ()>,
}

/// Which file it is, by device and inode; `None` where the system does not tell.
pub(crate) type FileIdentity = Option<(u64, u64)>;

struct Inner {
    file: Arc<GuardedFile>,
    body: Body,
    /// The slot that `body` does not stand in.
    next_slot: usize,
}

#[cfg(unix)]
fn identity(meta: &std::fs::Metadata) -> FileIdentity {
    use std::os::unix::fs::MetadataExt;
    Some((meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
fn identity(_meta: &std::fs::Metadata) -> FileIdentity {
    None
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
        let file =
            Arc::new(with_descriptors(|| GuardedFile::open(&options, &path)).map_err(context)?);
        if file.metadata().map_err(context)?.len() < FILE_BYTES {
            file.set_len(FILE_BYTES).map_err(context)?;
        }
        // The page gets its place on the disk by a call: where there is none, a store through the mapping is SIGBUS.
        write_at(&file, UNUSED_AT, &[0; UNUSED_BYTES]).map_err(context)?;
        let word = FileWord::map(&file, EPOCH_WORD_AT).map_err(context)?;
        let service = FileWord::map(&file, SERVICE_WORD_AT).map_err(context)?;
        let identity = identity(&file.metadata().map_err(context)?);
        let [random, _] = crate::epoch::random_words().map_err(context)?;
        let candidate = random | CANDIDATE;
        word.get().store(candidate.to_le(), Ordering::SeqCst);
        // Nothing that is read from here on was read before the store could be seen.
        fence(Ordering::SeqCst);
        let (newest, body) = newest_slot(&file)?;
        let body = match body {
            Some(body) => body,
            None => Body {
                database: crate::epoch::random_words().map_err(context)?,
                ..Body::default()
            },
        };
        Ok(StateFile {
            inner: Mutex::new(Inner::new(&file, newest, body)),
            file,
            word,
            service,
            changing_service: Mutex::default(),
            candidate,
            raised: AtomicU64::new(0),
            identity,
        })
    }

    /// Opens the file of a living epoch, as one more member of it. `known` is the file that the epoch's members have.
    ///
    /// # Errors
    /// `InvalidArgument`: it is another file, or names another epoch; the system's.
    pub fn join(dir: &Path, known: FileIdentity, epoch: Epoch) -> Result<Self> {
        let context = |error| Error::io(format_args!("cannot use {STATE_NAME}"), error);
        let replaced = || {
            Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "{STATE_NAME} is not the file that the processes have open which use this database: it was \
                     replaced; close the database in all of them"
                ),
            )
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = with_descriptors(|| GuardedFile::open(&options, &dir.join(STATE_NAME)));
        let file = Arc::new(file.map_err(context)?);
        let identity = identity(&file.metadata().map_err(context)?);
        if identity != known {
            return Err(replaced());
        }
        let word = FileWord::map(&file, EPOCH_WORD_AT).map_err(context)?;
        let service = FileWord::map(&file, SERVICE_WORD_AT).map_err(context)?;
        let (newest, body) = newest_slot(&file)?;
        let body = body.filter(|body| body.epoch == Some(epoch));
        let body = body.ok_or_else(replaced)?;
        Ok(StateFile {
            inner: Mutex::new(Inner::new(&file, newest, body)),
            file,
            word,
            service,
            changing_service: Mutex::default(),
            candidate: epoch.number,
            raised: AtomicU64::new(epoch.number),
            identity,
        })
    }

    /// The file, through the one description that this member's byte locks belong to.
    pub fn file(&self) -> &Arc<GuardedFile> {
        &self.file
    }

    /// Which file it is.
    pub fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// Whether writes are taken, as [`ServiceWord`] has it.
    #[inline]
    pub fn service(&self) -> ServiceWord {
        ServiceWord::of(u64::from_le(self.service.get().load(Ordering::Acquire)))
    }

    /// The right to change the service state.
    ///
    /// # Errors
    /// `Busy`: another process has it; the system's.
    pub fn lock_service(&self) -> Result<ChangingService<'_>> {
        let threads = self.changing_service.lock();
        let lock = ByteLock::try_lock(&self.file, SERVICE_BYTE);
        let lock =
            lock.map_err(|error| Error::io("cannot lock a byte of level-party.state", error))?;
        let busy = || {
            let what = "another process is changing whether the database is in use; try again";
            Error::new(ErrorKind::Busy, what)
        };
        Ok(ChangingService {
            _lock: lock.ok_or_else(busy)?,
            _threads: threads,
        })
    }

    /// Every member sees it from here on.
    pub fn set_service(&self, word: ServiceWord) {
        let number = (word as u64).to_le();
        self.service.get().store(number, Ordering::SeqCst);
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

    /// This process has taken leading over in the living epoch; `manifest` is what `CURRENT` names. Nobody else writes the
    /// file: the caller has the leader's byte locked.
    ///
    /// # Errors
    /// The directory is another founder's; the system's.
    pub fn succeed(&self, manifest: Option<u64>) -> Result<u64> {
        let context = |error| Error::io(format_args!("cannot use {STATE_NAME}"), error);
        let mut inner = self.inner.lock();
        self.check_ours().map_err(context)?;
        let (newest, body) = newest_slot(&self.file)?;
        let epoch = inner.body.epoch;
        let before = body.filter(|body| body.epoch == epoch).ok_or_else(|| {
            Error::new(
                ErrorKind::Corruption,
                format!("{STATE_NAME} names another epoch than its word"),
            )
        })?;
        inner.next_slot = 1 - newest;
        inner.body = before.clone();
        let body = Body {
            manifest: manifest.or(before.manifest),
            // A leader that meant to name another one died before or after it; this tells which.
            next_manifest: None,
            ..led_by_this_process(before)
        };
        inner.write_body(body).map_err(context)?;
        Ok(inner.body.leaderships)
    }

    /// Who leads, or led last, as the file says now. It may be read while it is written.
    ///
    /// # Errors
    /// The system's; a newer layout.
    pub fn leadership(&self) -> Result<LeadershipRecord> {
        let (_, body) = newest_slot(&self.file)?;
        let body = match body {
            Some(body) => body,
            None => self.inner.lock().body.clone(),
        };
        let since = Duration::from_millis(body.leader_since_unix_ms);
        Ok(LeadershipRecord {
            number: body.leaderships,
            pid: body.leader_pid,
            program: body.leader_program,
            since: std::time::UNIX_EPOCH + since,
        })
    }

    /// Writes that this process has begun to found an epoch, so that whoever waits for the lock is told of it.
    pub fn record_founder(&self) -> io::Result<()> {
        self.change(|body| body.founder_pid = std::process::id())
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
            // A leader that meant to name another one died before or after it; this tells which.
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
        let _inner = self.inner.lock();
        self.check_ours()?;
        let before = read_row(&self.file, epoch)?;
        let foreign = foreign || matches!(before, RecoveredThrough::SequenceBeforeForeign(_));
        let words = [
            epoch.number,
            epoch.random[0],
            epoch.random[1],
            through,
            u64::from(foreign),
        ];
        let mut row = Vec::with_capacity(ROW_BYTES);
        for word in words {
            row.extend_from_slice(&word.to_le_bytes());
        }
        let crc = u64::from(crc32c::crc32c(&row));
        row.extend_from_slice(&crc.to_le_bytes());
        write_at(&self.file, row_offset(epoch.number), &row)
    }

    /// How far `epoch` was recovered by its successor.
    pub fn recovered(&self, epoch: Epoch) -> io::Result<RecoveredThrough> {
        read_row(&self.file, epoch)
    }

    /// Whether each leadership from `epoch` on was recovered by the next with no other program in between.
    pub fn is_unbroken_since(&self, epoch: Epoch) -> io::Result<bool> {
        let inner = self.inner.lock();
        let Some(current) = inner.body.epoch else {
            return Ok(false);
        };
        let first = read_row(&self.file, epoch)?;
        if !matches!(first, RecoveredThrough::Sequence(_))
            || current.number.saturating_sub(epoch.number) > ROWS
        {
            return Ok(false);
        }
        for number in epoch.number + 1..current.number {
            let row = read_raw_row(&self.file, number)?;
            if !row.is_some_and(|row| row[0] == number && row[4] & FLAG_FOREIGN == 0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes `epoch` the current one, led by this process, and gives the leadership's number. From here on no older epoch
    /// may answer. The drop floor stays
    /// what it is (the engine may have raised it by now), or becomes `new_floor`. `alone` says why nobody can join, if nobody can.
    ///
    /// # Errors
    /// Somebody else has taken the directory over; the system's.
    pub fn raise(
        &self,
        epoch: Epoch,
        boot_id: Option<[u8; 16]>,
        new_floor: Option<u64>,
        alone: Option<&str>,
    ) -> io::Result<u64> {
        let mut inner = self.inner.lock();
        self.check_ours()?;
        let body = Body {
            epoch: Some(epoch),
            boot_id,
            drop_floor: new_floor.unwrap_or(inner.body.drop_floor),
            tripwire: true,
            manifest: inner.body.next_manifest.or(inner.body.manifest),
            next_manifest: None,
            foreign: false,
            alone: alone.map(|why| why.chars().take(PROGRAM_BYTES).collect()),
            ..led_by_this_process(inner.body.clone())
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
        Ok(inner.body.leaderships)
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

/// `before`, with one leadership more.
fn led_by_this_process(before: Body) -> Body {
    let program = level_party_os::process::describe(std::process::id()).program;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Body {
        leader_pid: std::process::id(),
        leader_program: program.map(|p| p.chars().take(PROGRAM_BYTES / 4).collect()),
        leader_since_unix_ms: since.map_or(0, |d| d.as_millis() as u64),
        leaderships: before.leaderships + 1,
        ..before
    }
}

impl Inner {
    /// `body` stands in the slot `newest`, or is to be written behind it.
    fn new(file: &Arc<GuardedFile>, newest: usize, body: Body) -> Self {
        Inner {
            file: Arc::clone(file),
            body,
            next_slot: 1 - newest,
        }
    }

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
        write_at(&self.file, (self.next_slot * SLOT_BYTES) as u64, &slot)?;
        self.body = body;
        self.next_slot = 1 - self.next_slot;
        Ok(())
    }
}

fn taken_over() -> io::Error {
    io::Error::other("another process has taken the directory over")
}

fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    positioned::write_all_at(file, bytes, offset)
}

fn read_at(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
    positioned::read_exact_at(file, bytes, offset)
}

fn row_offset(number: u64) -> u64 {
    ROWS_AT + number % ROWS * ROW_BYTES as u64
}

/// The words of the row where epoch `number` stands or stood; `None` where it is not whole.
fn read_raw_row(file: &File, number: u64) -> io::Result<Option<[u64; 5]>> {
    let mut row = [0; ROW_BYTES];
    read_at(file, row_offset(number), &mut row)?;
    let word =
        |i: usize| u64::from_le_bytes(row[i * 8..i * 8 + 8].try_into().expect("eight bytes"));
    let intact = word(5) == u64::from(crc32c::crc32c(&row[..ROW_BYTES - 8]));
    Ok(intact.then(|| std::array::from_fn(word)))
}

fn read_row(file: &File, epoch: Epoch) -> io::Result<RecoveredThrough> {
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

/// What the state file in `dir` says of who may have the directory: for messages to people only.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Who leads, or led last.
    pub leader_pid: u32,
    /// Who founds the next epoch, or founded the last.
    pub founder_pid: u32,
    /// Why nobody can join, if nobody can.
    pub alone: Option<String>,
}

pub(crate) fn known(dir: &Path) -> Option<Known> {
    let file = File::open(dir.join(STATE_NAME)).ok()?;
    let body = newest_slot(&file).ok()?.1?;
    Some(Known {
        leader_pid: body.leader_pid,
        founder_pid: body.founder_pid,
        alone: body.alone,
    })
}

/// The slot that was written last, and what stands there, if either is whole.
fn newest_slot(file: &File) -> Result<(usize, Option<Body>)> {
    let mut slots = [read_slot(file, 0)?, read_slot(file, 1)?];
    let count = |slot: &Option<Body>| slot.as_ref().map_or(0, |body| body.written + 1);
    let newest = usize::from(count(&slots[1]) >= count(&slots[0]));
    Ok((newest, slots[newest].take()))
}

/// The slot's body; `None` where it was never written or not written whole.
fn read_slot(file: &File, slot: usize) -> Result<Option<Body>> {
    let mut bytes = [0; SLOT_BYTES];
    read_at(file, (slot * SLOT_BYTES) as u64, &mut bytes)
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
