//! [`Migration`]: a database becomes another one while it is used.
//!
//! A *pass* goes over the source's keys in order, a chunk at a time; meanwhile the changes are followed, as DBLog does it
//! (Andreakis and Papapanagiotou, 2020). Invariants:
//! - Let W be the position up to which changes were taken. The target has every key that the pass has made as the source had it at
//!   some moment at or after W, or as a change up to W left it; a change after W will be applied.
//! - So a change of a key that the pass has not made yet may be left out: its chunk is read later, at a moment at or after W.
//!   And a change that a chunk has seen already is applied again, with all changes of that key after it, in order. (Of those that
//!   are taken together the last of each key is enough.)
//! - Where changes are missing (a gap), a new pass is begun, which writes only what differs.
//! - [`Progress`] is kept with the target, after what it tells of, which is durable then. Whoever goes on first makes itself the
//!   owner, by a compare-and-set; every later change of a state by the former owner finds that, and ends.
//! - A former owner may have one more batch on its way. So the target is *sealed*, for its owner too, before both are compared: what
//!   was compared is what is opened.
//! - The source is moved from the state that it had when the run began, and from no other: else it was moved elsewhere meanwhile.
//!
//! The cut-over, and where a crash may fall:
//!
//! | step | state of source, target | a crash after it |
//! |---|---|---|
//! | 1. source refuses writes (its file says so, then the word that members look at) | moved, filling | whoever cuts over again goes on; `abort` makes the source live. After the file alone writes are taken until somebody copies again, or the source is opened by a first process |
//! | 2. what is left is applied, the target is sealed, both are compared | moved, filling | the same |
//! | 3. target is live | moved, live | it is done |
//!
//! A step that fails before the third makes the source live again. The third is a compare-and-set: if nobody can tell whether it was made,
//! the source stays moved, and cutting over again finds out.

mod changes;
mod progress;
mod target;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::db::Db;
use crate::epoch::random_words;
use crate::error::{Error, ErrorKind, Result};
use crate::faults;
use crate::options::Options;
use crate::read::Readable;
use crate::service::{self, SEALED, ServiceState};
use crate::snapshot::Snapshot;
use crate::watch::{Change, WatchFrom};
use crate::writes::WriteBatch;

use changes::{Came, Changes};
use progress::{Pass, Progress};
use target::{Entry, Op, apply, compare, difference};

pub use target::Contents;

/// A chunk of a pass ends with the entry that reaches one of these.
const CHUNK_ENTRIES: usize = 1000;
const CHUNK_BYTES: usize = 1 << 20;
/// How often it is kept how far the copy has come.
const BETWEEN_NOTES: Duration = Duration::from_secs(1);
/// How long a change is waited for before one looks anew whether all have come.
const LISTEN: Duration = Duration::from_millis(50);

/// The changes that are left take so long at most where no more of them come.
const CAUGHT_UP: Duration = Duration::from_millis(250);
/// How long nothing comes before what has come is compared, where it is not known to be all.
const QUIET: Duration = Duration::from_secs(1);
/// Passes after which two databases that still differ are said to.
const MOST_PASSES: u64 = 5;

/// Copies a database into another while it is used, and moves its users there.
///
/// It goes on where it, or another process, was stopped or killed. Until it ends, opening the target fails with
/// [`Busy`](ErrorKind::Busy). The source keeps as many changes for it as
/// [`Options::watch_history_bytes`](crate::Options::watch_history_bytes) says, and up to 64 MiB wait in memory; where more come than
/// the target takes, the copy begins a new pass, which writes only what differs.
///
/// ```
/// use level_party::{Db, ErrorKind, Migration, Readable};
/// # let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
/// let source = Db::open(from.path())?;
/// source.put("a", "1")?;
///
/// let report = Migration::new(&source, to.path()).cut_over()?;
/// assert_eq!(report.contents.unwrap().entries, 1);
/// assert_eq!(source.put("a", "2").unwrap_err().kind(), ErrorKind::Moved);
///
/// let target = Db::open(to.path())?;
/// target.put("a", "2")?;
/// # Ok::<(), level_party::Error>(())
/// ```
#[must_use = "nothing is copied before it is told how far to go"]
pub struct Migration<'a> {
    source: Db,
    target: PathBuf,
    options: Options,
    told: Box<dyn FnMut(&MigrationProgress) + 'a>,
}

/// What a [`Migration`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "lowercase")
)]
#[non_exhaustive]
pub enum MigrationPhase {
    /// It goes over all keys.
    Copying,
    /// It applies what changed since.
    Following,
    /// It reads both from end to end.
    Comparing,
}

/// How far this run of a [`Migration`] has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct MigrationProgress {
    /// What it does.
    pub phase: MigrationPhase,
    /// The number of this pass: 1, unless changes were missing.
    pub pass: u64,
    /// Entries of the source that were looked at.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Changes that were applied.
    pub changes: u64,
    /// Entries of both that were compared.
    pub compared: u64,
}

/// What a [`Migration`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct MigrationReport {
    /// How far it came.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub progress: MigrationProgress,
    /// What both hold, where they were compared.
    pub contents: Option<Contents>,
    /// How long nobody could write: from the source's refusal to the target's being live.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "unwritable_for_ms", with = "crate::status::milliseconds")
    )]
    pub unwritable_for: Option<Duration>,
}

impl fmt::Debug for Migration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The target may have a password.
        let mut shown = f.debug_struct("Migration");
        shown
            .field("source", &name(&self.source))
            .finish_non_exhaustive()
    }
}

impl<'a> Migration<'a> {
    /// Of `source` into what is at `target`, which is made, or is empty, or holds a part of this copy already.
    pub fn new(source: &Db, target: impl AsRef<Path>) -> Migration<'a> {
        Migration {
            source: source.clone(),
            target: target.as_ref().to_path_buf(),
            options: Options::default(),
            told: Box::new(|_| {}),
        }
    }

    /// With which options the target is opened.
    pub fn target_options(self, options: Options) -> Migration<'a> {
        Migration { options, ..self }
    }

    /// Calls `told` after each chunk and each part of the changes.
    pub fn on_progress(self, told: impl FnMut(&MigrationProgress) + 'a) -> Migration<'a> {
        Migration {
            told: Box::new(told),
            ..self
        }
    }

    /// Copies until the target has all that the source had when this was almost done. The target stays closed to others; a
    /// later call, of this or another process, goes on from there.
    ///
    /// # Errors
    /// `AlreadyExists`: the target holds something else. `Moved`: the source is elsewhere. `Conflict`: another process has taken this
    /// copy over. What reading the source and writing the target may say.
    pub fn catch_up(self) -> Result<MigrationReport> {
        let mut run = Run::begin(self)?;
        run.follow_to_now()?;
        run.note()?;
        Ok(run.report(None, None))
    }

    /// The same, then compares both at one moment, and opens the target for everyone as it was then. The source goes on
    /// by itself.
    ///
    /// # Errors
    /// As [`catch_up`](Migration::catch_up); `Corruption`: the two differ.
    pub fn finish(self) -> Result<MigrationReport> {
        let mut run = Run::begin(self)?;
        run.follow_to_now()?;
        let contents = run.reach_and_compare()?;
        match run.open_target()? {
            true => Ok(run.report(Some(contents), None)),
            false => Err(taken_over()),
        }
    }

    /// The same as [`catch_up`](Migration::catch_up), then moves all users: the source refuses writes with
    /// [`Moved`](ErrorKind::Moved), what is left is copied, both are compared, and the target is opened for everyone. Until the
    /// last of this an error leaves the source as it was before.
    ///
    /// Every write that the source acknowledged is in the target. Reads of the source go on, and show what it was.
    ///
    /// # Errors
    /// As [`catch_up`](Migration::catch_up); `Corruption`: the two differ.
    pub fn cut_over(self) -> Result<MigrationReport> {
        let Some(mut run) = Run::begin_cut_over(self)? else {
            return Ok(MigrationReport::of(MigrationProgress::begun()));
        };
        run.follow_to_now()?;
        let begun = Instant::now();
        let moved = run.moved();
        let compared = run
            .refuse_writes(&moved)
            .and_then(|()| run.reach_and_compare());
        let contents = match compared {
            Ok(contents) => contents,
            Err(error) => return Err(run.take_writes_again(&moved, error)),
        };
        match run.open_target()? {
            true => Ok(run.report(Some(contents), Some(begun.elapsed()))),
            false => Err(run.take_writes_again(&moved, taken_over())),
        }
    }

    /// Makes the source of a cut-over that was not completed live again. The target stays closed.
    ///
    /// # Errors
    /// `InvalidArgument`: the source was not moved there, or the cut-over was completed. `NotFound`: there is no target.
    pub fn abort(self) -> Result<()> {
        let Migration {
            source,
            target,
            options,
            ..
        } = self;
        let moved = source.handle().settle_service_state()?;
        let ServiceState::Moved { to: there, .. } = &moved else {
            let what = format!("{} was not moved; there is nothing to undo", name(&source));
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        };
        let target = open_target(options.create_if_missing(false), &target)?;
        let to = name(&target);
        if *there != to {
            let what = format!("{} was not moved to {to}", name(&source));
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        // Whoever still works at it finds that it is not the owner.
        let held = target.handle().settle_service_state()?;
        let mut progress = match &held {
            ServiceState::Filling { progress } => Progress::parse(progress)?,
            _ => {
                let what = format!("{to} is live: the source is not to be written to any more");
                return Err(Error::new(ErrorKind::InvalidArgument, what));
            }
        };
        progress.owner = random_word()?;
        if !target
            .handle()
            .change_service_state(&held, &filling(&progress))?
            || !source
                .handle()
                .change_service_state(&moved, &ServiceState::Live)?
        {
            return Err(taken_over());
        }
        Ok(())
    }
}

/// One run of a migration.
struct Run<'a> {
    source: Db,
    target: Db,
    told: Box<dyn FnMut(&MigrationProgress) + 'a>,
    /// What the source said when this began.
    found: ServiceState,
    /// What the target says, to the letter.
    kept: ServiceState,
    kept_at: Instant,
    progress: Progress,
    changes: Changes,
    /// Changes that came, and were not applied yet; all of them have sequences above those before.
    pending: Came,
    /// The target has what is not durable.
    is_unsynced: bool,
    /// The target has nothing behind what the pass has made.
    is_empty_behind: bool,
    counts: MigrationProgress,
}

impl<'a> Run<'a> {
    fn begin(migration: Migration<'a>) -> Result<Run<'a>> {
        match migration.source.handle().settle_service_state()? {
            ServiceState::Live => Run::with_target(migration, ServiceState::Live),
            state => Err(service::refusal(&state)),
        }
    }

    /// `None`: it was done before.
    fn begin_cut_over(migration: Migration<'a>) -> Result<Option<Run<'a>>> {
        let state = migration.source.handle().settle_service_state()?;
        let ServiceState::Moved { to, .. } = &state else {
            return Run::begin(migration).map(Some);
        };
        // One that is gone was perhaps in use.
        let migration = Migration {
            options: migration.options.create_if_missing(false),
            ..migration
        };
        let target = open_target(migration.options.clone(), &migration.target)?;
        if name(&target) != *to {
            return Err(service::refusal(&state));
        }
        match target.handle().settle_service_state()? {
            ServiceState::Live => Ok(None),
            _ => {
                drop(target);
                Run::with_target(migration, state).map(Some)
            }
        }
    }

    /// `found`: the source's state.
    fn with_target(migration: Migration<'a>, found: ServiceState) -> Result<Run<'a>> {
        let Migration {
            source,
            target,
            options,
            told,
        } = migration;
        let target = open_target(options, &target)?;
        check_order(&source, &target)?;
        let from = name(&source);
        let (kept, begun) = take(&source, &found, &target)?;
        let is_new = begun.is_none();
        let after = match &begun {
            Some(begun) => WatchFrom::After(begun.position),
            None => WatchFrom::Now,
        };
        let changes = Changes::follow(&source, after)?;
        let pending = changes.take(Duration::ZERO)?;
        let progress = Progress {
            owner: random_word()?,
            position: begun
                .as_ref()
                .map_or(pending.position, |begun| begun.position),
            pass: begun.map_or(Pass::Begun, |begun| begun.pass),
            from,
        };
        let mut run = Run {
            source,
            target,
            told,
            found,
            kept,
            kept_at: Instant::now(),
            progress,
            changes,
            pending,
            is_unsynced: false,
            is_empty_behind: is_new,
            counts: MigrationProgress::begun(),
        };
        run.note()?;
        Ok(run)
    }

    /// Keeps with the target how far the copy has come.
    fn note(&mut self) -> Result<()> {
        self.keep(filling(&self.progress))
    }

    /// Nobody writes to the target from here on, this process included.
    fn seal(&mut self) -> Result<()> {
        let progress = format!("{SEALED}{}", self.progress.to_text());
        self.keep(ServiceState::Filling { progress })
    }

    /// Keeps a state with the target, after what it tells of.
    ///
    /// # Errors
    /// `Conflict`: another process is the owner.
    fn keep(&mut self, new: ServiceState) -> Result<()> {
        // (A server's writes are durable.)
        if std::mem::take(&mut self.is_unsynced) && self.target.handle().site().is_none() {
            self.target.write(WriteBatch::new().sync(true))?;
        }
        let target = self.target.handle();
        let is_owner = match new == self.kept {
            true => target.service_state()? == new,
            false => target.change_service_state(&self.kept, &new)?,
        };
        if !is_owner {
            return Err(taken_over());
        }
        self.kept = new;
        self.kept_at = Instant::now();
        Ok(())
    }

    fn apply(&mut self, ops: Vec<Op>) -> Result<()> {
        self.is_unsynced |= !ops.is_empty();
        apply(&self.target, ops)
    }

    fn tell(&mut self, phase: MigrationPhase) -> Result<()> {
        self.counts.phase = phase;
        (self.told)(&self.counts);
        match self.kept_at.elapsed() >= BETWEEN_NOTES {
            true => self.note(),
            false => Ok(()),
        }
    }

    /// Makes the pass to its end, and takes changes until few are left, or no fewer than before: the source may have more of them than
    /// the target takes.
    fn follow_to_now(&mut self) -> Result<()> {
        let mut before = Duration::MAX;
        loop {
            let begun = Instant::now();
            let now = self.source.snapshot()?.sequence();
            self.follow(now)?;
            let took = begun.elapsed();
            if took < CAUGHT_UP || took > before / 2 {
                return Ok(());
            }
            before = took;
        }
    }

    /// Makes the pass to its end, with the changes up to `sequence`: however many more there are, the pass goes on.
    fn make_pass(&mut self, sequence: u64) -> Result<()> {
        while self.progress.pass != Pass::Done {
            self.copy_chunk()?;
            self.tell(MigrationPhase::Copying)?;
            self.take_changes(sequence, Duration::ZERO)?;
        }
        Ok(())
    }

    /// Makes the pass to its end, and takes the changes up to `sequence`, and none behind it. False: nothing came for a while, and
    /// it is not known that this was all. (Not every server tells how far it has come where nothing changes, unless it may be asked to.)
    fn follow(&mut self, sequence: u64) -> Result<bool> {
        self.take_changes(sequence, Duration::ZERO)?;
        self.make_pass(sequence)?;
        if self.progress.position.sequence() < sequence {
            // Where that is refused (no right to write, no space), what comes is waited for.
            let _ = self.source.handle().tick();
        }
        let mut heard = Instant::now();
        while self.progress.position.sequence() < sequence {
            let before = self.progress.position;
            self.take_changes(sequence, LISTEN)?;
            self.make_pass(sequence)?;
            self.tell(MigrationPhase::Following)?;
            if self.progress.position != before {
                heard = Instant::now();
            } else if heard.elapsed() >= QUIET {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Applies what came, up to `sequence`.
    fn take_changes(&mut self, sequence: u64, limit: Duration) -> Result<()> {
        if self.pending.changes.is_empty() && !self.pending.gap {
            self.pending = self.changes.take(limit)?;
        }
        if std::mem::take(&mut self.pending.gap) {
            self.begin_pass();
        }
        let changes = &mut self.pending.changes;
        let end = changes.partition_point(|change| change.sequence <= sequence);
        let due: Vec<Change> = changes.drain(..end).collect();
        let position = match changes.is_empty() {
            true => self.pending.position,
            // What is left comes after it, so all up to it has come.
            false => self.pending.position.at(sequence),
        };
        self.counts.changes += due.len() as u64;
        // Of each key the last: what was before it is nobody's concern while the target is closed.
        let made = due.into_iter().filter(|change| self.has_made(&change.key));
        let last: BTreeMap<_, _> = made.map(|change| (change.key, change.value)).collect();
        match self.apply(last.into_iter().map(Op::from).collect()) {
            // What the target cannot have may be gone from the source by now: a pass finds out.
            Err(error) if error.kind() == ErrorKind::InvalidArgument => self.begin_pass(),
            applied => applied?,
        }
        self.progress.position = position;
        Ok(())
    }

    /// Whether the pass has made a key.
    fn has_made(&self, key: &[u8]) -> bool {
        match &self.progress.pass {
            Pass::Begun => false,
            Pass::Through(last) => self.source.handle().order().compare(key, last).is_le(),
            Pass::Done => true,
        }
    }

    /// Makes the next chunk of the pass.
    fn copy_chunk(&mut self) -> Result<()> {
        let after = match &self.progress.pass {
            Pass::Through(last) => Bound::Excluded(last.clone()),
            _ => Bound::Unbounded,
        };
        let (entries, is_last) = self.chunk(&after)?;
        let bytes = entries
            .iter()
            .map(|(key, value)| (key.len() + value.len()) as u64);
        self.counts.bytes += bytes.sum::<u64>();
        self.counts.entries += entries.len() as u64;
        let last = entries
            .last()
            .map(|(key, _)| key.clone())
            .filter(|_| !is_last);
        let target = self.target.clone();
        let end = last.clone().map_or(Bound::Unbounded, Bound::Included);
        match self.is_empty_behind {
            true => difference(std::iter::empty(), entries, |ops| self.apply(ops)),
            false => difference(target.range((after, end)), entries, |ops| self.apply(ops)),
        }?;
        self.progress.pass = last.map_or(Pass::Done, Pass::Through);
        Ok(())
    }

    /// Some entries of the source, and whether they are its last.
    fn chunk(&self, after: &Bound<Vec<u8>>) -> Result<(Vec<Entry>, bool)> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        for entry in self.source.range((after.clone(), Bound::Unbounded)) {
            let (key, value) = entry?;
            bytes += key.len() + value.len();
            entries.push((key, value));
            if entries.len() >= CHUNK_ENTRIES || bytes >= CHUNK_BYTES {
                return Ok((entries, false));
            }
        }
        Ok((entries, true))
    }

    /// Brings the target to one moment of the source, and compares both there.
    fn reach_and_compare(&mut self) -> Result<Contents> {
        loop {
            let (moment, pass) = (self.source.snapshot()?, self.counts.pass);
            let has_all = self.follow(moment.sequence())?;
            if self.counts.pass != pass {
                // That pass has shown later moments.
                continue;
            }
            self.seal()?;
            let compared = self.compare(&moment);
            faults::point("copy-compared");
            let differ = |error: &Error| error.kind() == ErrorKind::Corruption;
            if !compared.as_ref().is_err_and(differ) {
                return compared;
            }
            // All of it is made again: now, or by the next run.
            self.begin_pass();
            self.note()?;
            if has_all || self.counts.pass > MOST_PASSES {
                return compared;
            }
        }
    }

    /// Begins a new pass, which writes what differs.
    fn begin_pass(&mut self) {
        self.progress.pass = Pass::Begun;
        self.is_empty_behind = false;
        self.counts.pass += 1;
    }

    fn compare(&mut self, moment: &Snapshot) -> Result<Contents> {
        let Run {
            told,
            counts,
            target,
            ..
        } = self;
        counts.phase = MigrationPhase::Comparing;
        let contents = compare(moment, target, |so_far| {
            counts.compared = so_far.entries;
            told(counts);
        })?;
        counts.compared = contents.entries;
        Ok(contents)
    }

    /// The state of a source that this run has moved: also one that was moved before.
    fn moved(&self) -> ServiceState {
        ServiceState::Moved {
            to: name(&self.target),
            by: self.progress.owner.clone(),
        }
    }

    /// The source takes no writes from here on.
    fn refuse_writes(&mut self, moved: &ServiceState) -> Result<()> {
        self.note()?;
        faults::point("copy-moves");
        match self
            .source
            .handle()
            .change_service_state(&self.found, moved)?
        {
            true => Ok(()),
            false => Err(taken_over()),
        }
    }

    /// A cut-over failed, and this run has not made the target live.
    fn take_writes_again(&self, moved: &ServiceState, error: Error) -> Error {
        let source = self.source.handle();
        let changed = source.change_service_state(moved, &ServiceState::Live);
        // The change may be in force although it failed, as where a writer was waited for.
        match (changed, source.service_state()) {
            (_, Ok(ServiceState::Live)) => {
                error.context("the cut-over was given up, and the source takes writes as before")
            }
            // Another run's.
            (Ok(false), Ok(_)) => error,
            _ => error.context("the cut-over was not completed, and the source refuses writes; cut over again, or abort it"),
        }
    }

    /// The last step. False: another process is the owner.
    fn open_target(&self) -> Result<bool> {
        let target = self.target.handle();
        target.change_service_state(&self.kept, &ServiceState::Live)
    }

    fn report(
        &self,
        contents: Option<Contents>,
        unwritable_for: Option<Duration>,
    ) -> MigrationReport {
        MigrationReport {
            contents,
            unwritable_for,
            ..MigrationReport::of(self.counts)
        }
    }
}

impl MigrationProgress {
    fn begun() -> MigrationProgress {
        MigrationProgress {
            phase: MigrationPhase::Copying,
            pass: 1,
            entries: 0,
            bytes: 0,
            changes: 0,
            compared: 0,
        }
    }
}

impl MigrationReport {
    fn of(progress: MigrationProgress) -> MigrationReport {
        MigrationReport {
            progress,
            contents: None,
            unwritable_for: None,
        }
    }
}

/// What a database is called in messages, and by the other one.
fn name(db: &Db) -> String {
    db.handle().path().display().to_string()
}

fn open_target(options: Options, path: &Path) -> Result<Db> {
    let options = Options {
        fills: true,
        ..options
    };
    options.open(path)
}

/// A copy has the order of its source.
fn check_order(source: &Db, target: &Db) -> Result<()> {
    let [ours, theirs] = [source, target].map(|db| db.handle().order().name());
    match ours == theirs {
        true => Ok(()),
        false => {
            let what = format!(
                "the keys of {} are in the order of {ours}, and those of {} would be in that of {theirs}; give the target the source's \
                 comparator",
                name(source),
                name(target)
            );
            Err(Error::new(ErrorKind::InvalidArgument, what))
        }
    }
}

/// What the target says, and how far a copy of the source has come there. An empty one that nobody fills is closed to all others.
fn take(
    source: &Db,
    found: &ServiceState,
    target: &Db,
) -> Result<(ServiceState, Option<Progress>)> {
    let state = target.handle().settle_service_state()?;
    let claimed = ServiceState::Filling {
        progress: String::new(),
    };
    let ServiceState::Filling { progress } = &state else {
        let ServiceState::Live = state else {
            return Err(service::refusal(&state));
        };
        check_empty(target)?;
        let handle = target.handle();
        if !handle.change_service_state(&ServiceState::Live, &claimed)? {
            return Err(taken_over());
        }
        check_claimed(source, found, target, &claimed)?;
        return Ok((claimed, None));
    };
    if state == claimed {
        // By a process that died before it copied anything.
        check_claimed(source, found, target, &claimed)?;
        return Ok((claimed, None));
    }
    let begun = Progress::parse(progress)?;
    if begun.from != name(source) {
        let what = format!("{} holds a part of a copy of {}", name(target), begun.from);
        return Err(Error::new(ErrorKind::AlreadyExists, what));
    }
    Ok((state, Some(begun)))
}

/// Gives a target back that somebody wrote to before it was closed, or that is the source under another name.
fn check_claimed(
    source: &Db,
    found: &ServiceState,
    target: &Db,
    claimed: &ServiceState,
) -> Result<()> {
    let check = || match source.service_state()? == *found {
        true => check_empty(target),
        false => {
            let what = format!(
                "{} is the source itself, or the source was moved or claimed just now",
                name(target)
            );
            Err(Error::new(ErrorKind::InvalidArgument, what))
        }
    };
    check().or_else(|error| {
        let handle = target.handle();
        handle.change_service_state(claimed, &ServiceState::Live)?;
        Err(error)
    })
}

fn check_empty(target: &Db) -> Result<()> {
    match target.iter().keys().next() {
        None => Ok(()),
        Some(Err(error)) => Err(error),
        Some(Ok(_)) => {
            let what = format!(
                "{} holds entries; a copy is made into an empty database",
                name(target)
            );
            Err(Error::new(ErrorKind::AlreadyExists, what))
        }
    }
}

fn filling(progress: &Progress) -> ServiceState {
    ServiceState::Filling {
        progress: progress.to_text(),
    }
}

fn random_word() -> Result<String> {
    let [word, _] =
        random_words().map_err(|error| Error::io("cannot get a random number", error))?;
    Ok(format!("{word:016x}"))
}

fn taken_over() -> Error {
    let what = "another process has gone on with this copy, or ended it";
    Error::new(ErrorKind::Conflict, what)
}
