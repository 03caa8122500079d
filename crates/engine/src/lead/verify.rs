//! Verify: looks at every byte of a database that matters, and changes nothing.
//!
//! Promises: every checksum of the tables, the logs and the manifest; the order of keys in tables and of tables in
//! levels; ranges, sizes and sequences against the manifest; index and filter against the blocks; whether each log goes on
//! where the one before it ends. It goes on after a problem, needs memory for one file at a time, and tells a few examples
//! and a count for each file, however damaged it is.
//! Must not know: how to mend what it finds ([`Repair`](crate::Repair) does).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use level_party_format::batch::BatchRef;
use level_party_format::edit::LEVELS;
use level_party_format::filename::{self, FileKind};
use level_party_format::key::InternalComparator;
use level_party_format::log::{LogItem, LogReader};
use level_party_format::{Comparator, Corruption, Sequence};

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::Fs;
use crate::follow::succession;
use crate::lead::choose_manifest::{Chosen, choose};
use crate::lead::foreign;
use crate::lead::losses::Losses;
use crate::lead::recovery;
use crate::read::files::{FileMeta, Tables};
use crate::read::table::Counted;
use crate::read::version::Version;
use crate::read::view::View;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file concerned.
    pub file: String,
    /// The offset in bytes in it, where there is one.
    pub offset: Option<u64>,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            Some(offset) => write!(f, "{} at offset {offset}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// Examples that are told of one file; the others are counted.
const TOLD_OF_A_FILE: u64 = 4;

/// Findings, of which a few are told of each file.
#[derive(Default)]
struct Findings {
    told: Vec<Problem>,
    /// The file that is being looked at, and how many findings it has.
    file: String,
    count: u64,
}

impl Findings {
    fn add(&mut self, finding: Problem) {
        if finding.file != self.file {
            self.end_file();
            self.file.clone_from(&finding.file);
        }
        self.count += 1;
        if self.count <= TOLD_OF_A_FILE {
            self.told.push(finding);
        }
    }

    fn end_file(&mut self) {
        let more = self.count.saturating_sub(TOLD_OF_A_FILE);
        if more > 0 {
            let what = format!("and {more} more like these");
            self.told.push(Problem::new(&self.file, None, what));
        }
        self.count = 0;
    }

    fn into_told(mut self) -> Vec<Problem> {
        self.end_file();
        self.told
    }
}

impl Problem {
    fn of(error: &Error, file: &str) -> Problem {
        let source = std::error::Error::source(error);
        let corruption = source.and_then(|source| source.downcast_ref::<Corruption>());
        Problem {
            file: error.file().unwrap_or(file).to_owned(),
            offset: error.offset(),
            what: corruption.map_or_else(|| error.to_string(), |bad| bad.what.clone()),
        }
    }

    fn new(file: impl Into<String>, offset: Option<u64>, what: impl Into<String>) -> Problem {
        Problem {
            file: file.into(),
            offset,
            what: what.into(),
        }
    }
}

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// What is wrong; empty for a sound database.
    pub problems: Vec<Problem>,
    /// What is no damage: the torn end that a killed process leaves in a log, tables that no manifest names.
    pub remarks: Vec<Problem>,
    /// Tables that were looked at.
    pub tables: u64,
    /// Data blocks in them.
    pub blocks: u64,
    /// Entries in the blocks that could be read.
    pub entries: u64,
    /// Batches in the logs that the next opening replays.
    pub batches: u64,
    /// The last sequence in tables, logs and manifest.
    pub last_sequence: Sequence,
    /// What openings left out or set aside, and nobody has acknowledged: see
    /// [`Engine::losses`](crate::Engine::losses).
    pub losses: Vec<String>,
}

impl Verified {
    /// Whether nothing is wrong now. Losses of the past do not count.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Looks at the whole database in a directory. Nobody else may be writing to it.
///
/// # Errors
/// [`ErrorKind::DoesNotExist`] if there is no database; [`ErrorKind::ComparatorMismatch`]; [`ErrorKind::Unsupported`] for
/// another product's directory; or what keeps the directory
/// from being listed. Damage is no error but a [`Problem`].
///
/// ```
/// use std::sync::Arc;
/// use level_party_engine::{Comparator, Engine, Fs, MemFs, Options, Write, WriteBatch, verify};
///
/// let files = MemFs::new();
/// let engine = Engine::open(Arc::new(files.clone()), Options::default())?;
/// let mut batch = WriteBatch::new();
/// batch.put(b"colour", b"green");
/// engine.write(Write::new(batch))?;
/// engine.flush()?;
/// engine.close()?;
///
/// let fs: Arc<dyn Fs> = Arc::new(files.clone());
/// assert!(verify(&fs, &Comparator::default())?.is_sound());
/// files.change("000005.ldb", |bytes| bytes[0] ^= 1).unwrap();
/// let found = verify(&fs, &Comparator::default())?;
/// assert_eq!((found.problems[0].file.as_str(), found.problems[0].offset), ("000005.ldb", Some(0)));
/// # Ok::<(), level_party_engine::Error>(())
/// ```
pub fn verify(fs: &Arc<dyn Fs>, comparator: &Comparator) -> Result<Verified> {
    Ok(examine(fs, comparator)?.verified)
}

/// A database as it was found: the report, and what a repair goes by.
pub(crate) struct Examined {
    pub(crate) verified: Verified,
    /// The manifest that the files were looked at by; nothing, if none can be read or its levels are out of order.
    pub(crate) chosen: Option<Chosen>,
    /// Numbers of the tables with a problem, missing ones too: of those that the manifest names, or of all.
    pub(crate) bad_tables: BTreeSet<u64>,
    /// Something is wrong with the logs to be replayed.
    pub(crate) bad_logs: bool,
    /// Why a repair must not touch the database, though its bytes are as they were written.
    pub(crate) refusal: Option<Error>,
    pub(crate) names: Vec<String>,
}

pub(crate) fn examine(fs: &Arc<dyn Fs>, comparator: &Comparator) -> Result<Examined> {
    let names = fs
        .list()
        .map_err(|error| Error::io("list", "the directory", error))?;
    foreign::check_all(fs.as_ref(), &names)?;
    let is_ours = |name: &String| {
        let kind = filename::parse(name).map(|(kind, _)| kind);
        matches!(
            kind,
            Some(FileKind::Current | FileKind::Manifest | FileKind::Table | FileKind::Log)
        )
    };
    if !names.iter().any(is_ours) {
        let message = "there is no database in the directory";
        return Err(Error::new(ErrorKind::DoesNotExist, message));
    }
    let choice = choose(fs.as_ref(), comparator.name(), &names)?;
    let mut examiner = Examiner::new(Arc::new(Tables::new(
        Arc::clone(fs),
        InternalComparator::new(comparator.clone()),
        true,
    )));
    for (file, error) in &choice.flaws {
        examiner.bad(error, file);
    }
    let mut chosen = choice.chosen;
    if let Some(by) = &chosen
        && !examiner.check_manifest(by, &names)
    {
        chosen = None;
    }
    if chosen.is_none() {
        examiner.check_tables_without_manifest(&names);
    }
    let bad_logs = examiner.check_logs(chosen.as_ref(), &names);
    if let Some(chosen) = &mut chosen {
        examiner.check_unnamed(chosen, &names);
    }
    let bad_tables = std::mem::take(&mut examiner.bad_tables);
    let refusal = examiner.refusal.take();
    let mut verified = examiner.finish();
    verified.losses = Losses::read(fs.as_ref())?.told();
    Ok(Examined {
        verified,
        chosen,
        bad_tables,
        bad_logs,
        refusal,
        names,
    })
}

impl View {
    /// Looks at all tables of this view as [`verify`] does; also while the database is in use.
    pub fn verify(&self) -> Verified {
        self.verify_while(&|| true)
            .expect("nothing but the caller ends it early")
    }

    /// As [`View::verify`], asking before each table whether to go on. Nothing if it was told not to.
    pub fn verify_while(&self, go_on: &dyn Fn() -> bool) -> Option<Verified> {
        let mut examiner = Examiner::new(Arc::clone(self.version.tables()));
        for (level, file) in self.version.files() {
            if !go_on() {
                return None;
            }
            examiner.check_table(Some(level), file);
        }
        examiner.check_levels(&self.version);
        Some(examiner.finish())
    }
}

/// Gaps in the sequences of logs that are kept.
const MAX_GAPS: usize = 1000;

struct Examiner {
    tables: Arc<Tables>,
    /// Sequences that are missing between those of the logs, the first and the last of each gap.
    gaps: Vec<(Sequence, Sequence)>,
    /// The last sequence of the manifest and the logs.
    end: Sequence,
    verified: Verified,
    problems: Findings,
    remarks: Findings,
    bad_tables: BTreeSet<u64>,
    refusal: Option<Error>,
}

impl Examiner {
    fn new(tables: Arc<Tables>) -> Examiner {
        Examiner {
            tables,
            gaps: Vec::new(),
            end: 0,
            verified: Verified::default(),
            problems: Findings::default(),
            remarks: Findings::default(),
            bad_tables: BTreeSet::new(),
            refusal: None,
        }
    }

    fn finish(self) -> Verified {
        Verified {
            problems: self.problems.into_told(),
            remarks: self.remarks.into_told(),
            ..self.verified
        }
    }

    fn bad(&mut self, error: &Error, file: &str) {
        self.problems.add(Problem::of(error, file));
    }

    fn remark(&mut self, file: impl Into<String>, offset: Option<u64>, what: impl Into<String>) {
        self.remarks.add(Problem::new(file, offset, what));
    }

    /// Looks at all that a manifest names. False: its levels are out of order, and can't be gone by.
    fn check_manifest(&mut self, chosen: &Chosen, names: &[String]) -> bool {
        let contents = &chosen.contents;
        for what in &contents.dropped {
            self.remark("the manifest", None, what);
        }
        let mut levels: [Vec<Arc<FileMeta>>; LEVELS] = Default::default();
        for ((level, _), file) in &contents.files {
            levels[*level].push(Arc::new(FileMeta::from(file.clone())));
        }
        let version = Version::new(levels, Arc::clone(&self.tables));
        let sound = self.check_levels(&version);
        if !sound {
            return false;
        }
        self.verified.last_sequence = contents.last_sequence;
        for (level, file) in version.files() {
            let last = self.check_table(Some(level), file);
            if last > contents.last_sequence {
                let what = format!(
                    "it holds the sequence {last}, after the manifest's last, {}",
                    contents.last_sequence
                );
                self.problems
                    .add(Problem::new(filename::table(file.number), None, what));
            }
        }
        for (number, name) in numbered(names, FileKind::Table) {
            if !version.files().any(|(_, file)| file.number == number) {
                self.remark(name, None, "no manifest names this table");
            }
        }
        true
    }

    fn check_levels(&mut self, version: &Version) -> bool {
        let order = version.check_order();
        if let Err(error) = &order {
            self.problems
                .add(Problem::new("the manifest", None, &error.what));
        }
        order.is_ok()
    }

    fn check_tables_without_manifest(&mut self, names: &[String]) {
        for (number, name) in numbered(names, FileKind::Table) {
            match self.tables.fs().open_read(name) {
                Ok(file) => {
                    let meta = FileMeta::new(number, file.len(), Vec::new(), Vec::new());
                    self.check_table(None, &meta);
                }
                Err(error) => {
                    self.bad(&Error::io("open", name, error), name);
                    self.bad_tables.insert(number);
                }
            }
        }
    }

    /// Looks at one table; without a level, its range is not known. Gives its last sequence.
    fn check_table(&mut self, level: Option<usize>, file: &FileMeta) -> Sequence {
        self.verified.tables += 1;
        let name = filename::table(file.number);
        let mut is_bad = false;
        let mut last = 0;
        match self.tables.open_table(file) {
            Ok(table) => {
                let range = level.map(|_| (&file.smallest[..], &file.largest[..]));
                let problems = &mut self.problems;
                let refusal = &mut self.refusal;
                let counted = table.check(range, |error| {
                    is_bad = true;
                    if error.kind() == ErrorKind::Unsupported {
                        refusal.get_or_insert_with(|| error.clone());
                    }
                    problems.add(Problem::of(&error, &name));
                });
                self.verified.blocks += counted.blocks;
                self.verified.entries += counted.entries;
                last = counted.last_sequence;
                self.check_order(&name, &counted);
                self.verified.last_sequence = self.verified.last_sequence.max(last);
            }
            Err(error) => {
                is_bad = true;
                self.bad(&error, &name);
                if error.kind() == ErrorKind::Unsupported {
                    self.refusal.get_or_insert(error);
                }
            }
        }
        if is_bad {
            self.bad_tables.insert(file.number);
        }
        last
    }

    /// Damage does not put most keys of a table out of order and leave the checksums right: the order is another one.
    fn check_order(&mut self, name: &str, counted: &Counted) {
        if counted.unordered > counted.entries / 2 {
            let order = self.tables.comparator().user.name();
            let message = format!(
                "the keys of {name} are not in the order of {order}: the database was made with another comparator"
            );
            self.refusal
                .get_or_insert_with(|| Error::new(ErrorKind::ComparatorMismatch, message));
        }
    }

    /// Looks at the logs that are to be replayed; without a manifest, at all. Gives whether any is bad.
    fn check_logs(&mut self, chosen: Option<&Chosen>, names: &[String]) -> bool {
        let mut is_bad = false;
        let numbers = match chosen.map(|chosen| recovery::logs_to_replay(&chosen.contents, names)) {
            Some(logs) => {
                match logs.missing {
                    Some(missing) if missing.is_newest => {
                        self.remark(&missing.name, None, missing.what());
                    }
                    Some(missing) => {
                        is_bad = true;
                        let problem = Problem::new(&missing.name, None, missing.what());
                        self.problems.add(problem);
                    }
                    None => {}
                }
                logs.numbers
            }
            None => numbered(names, FileKind::Log).into_keys().collect(),
        };
        let fs = Arc::clone(self.tables.fs());
        let ends = succession::ends_of_readable(fs.as_ref(), &numbers);
        let mut last = chosen.map(|chosen| chosen.contents.last_sequence);
        for (number, end) in numbers.into_iter().zip(ends) {
            let name = filename::log(number);
            match fs.read(&name) {
                Ok(bytes) => is_bad |= self.check_log(&name, &bytes, end, &mut last),
                Err(error) => {
                    is_bad = true;
                    self.bad(&Error::io("read", &name, error), &name);
                }
            }
        }
        self.end = last.unwrap_or(0);
        is_bad
    }

    /// Looks for tables that a sound manifest would name: what a killed process was about to add to it is in the logs too,
    /// or in other tables. A table with writes that are nowhere else shows that the manifest is an older one, of which
    /// all files happen to be there.
    fn check_unnamed(&mut self, chosen: &mut Chosen, names: &[String]) {
        let last_named = chosen.contents.last_sequence;
        for (number, name) in numbered(names, FileKind::Table) {
            let is_named = chosen.contents.files.keys().any(|(_, it)| *it == number);
            if is_named || chosen.is_obsolete(number) {
                continue;
            }
            let Ok(file) = self.tables.fs().open_read(name) else {
                continue;
            };
            let meta = FileMeta::new(number, file.len(), Vec::new(), Vec::new());
            let Ok(table) = self.tables.open_table(&meta) else {
                continue;
            };
            let last = table.check(None, |_| {}).last_sequence;
            let in_gap = |(first, end): &(Sequence, Sequence)| *first <= last && last <= *end;
            if last > last_named && (last > self.end || self.gaps.iter().any(in_gap)) {
                let what = format!(
                    "it holds writes up to sequence {last}, which neither the manifest nor the logs have: the manifest is older than the table"
                );
                self.problems.add(Problem::new(name, None, what));
                self.verified.last_sequence = self.verified.last_sequence.max(last);
                chosen.is_complete = false;
            }
        }
    }

    /// Looks at a log whose records do not count from the sequence `end` on, and which goes on behind the sequence `at`, if
    /// that is known; the first one may begin anywhere. Gives whether it is bad.
    fn check_log(
        &mut self,
        name: &str,
        bytes: &[u8],
        end: Sequence,
        at: &mut Option<Sequence>,
    ) -> bool {
        let (mut late, mut is_bad) = (0, false);
        let mut bad = |problems: &mut Findings, offset: u64, what: String| {
            is_bad = true;
            problems.add(Problem::new(name, Some(offset), what));
        };
        for item in LogReader::new(bytes) {
            match item {
                LogItem::Record {
                    payload, offset, ..
                } => match BatchRef::parse(&payload) {
                    Ok(batch) if succession::is_late(&batch, end) => late += 1,
                    Ok(batch) => {
                        if offset == 0
                            && (batch.count() == 0 || self.verified.batches > 0)
                            && let Some(gap) = succession::gap(&batch, *at)
                        {
                            bad(&mut self.problems, offset, gap);
                        }
                        if batch.count() == 0 {
                            continue;
                        }
                        self.verified.batches += 1;
                        let first = batch.sequence();
                        let last = first + u64::from(batch.count()) - 1;
                        if let Some(before) = *at
                            && first > before + 1
                            && self.gaps.len() < MAX_GAPS
                        {
                            self.gaps.push((before + 1, first - 1));
                        }
                        self.verified.last_sequence = self.verified.last_sequence.max(last);
                        *at = Some(at.map_or(last, |before| before.max(last)));
                    }
                    Err(error) => bad(&mut self.problems, offset, error.what),
                },
                LogItem::Torn { offset, bytes } => {
                    let what = format!("{bytes} bytes of a torn record end it");
                    self.remark(name, Some(offset), what);
                }
                LogItem::Bad { offset, what, .. } => bad(&mut self.problems, offset, what),
            }
        }
        if late > 0 {
            let what = succession::said(late, name, end);
            self.remark(name, None, what);
        }
        is_bad
    }
}

/// The files of a kind, by number. Of several with one number it is the one that is read.
pub(crate) fn numbered(names: &[String], wanted: FileKind) -> BTreeMap<u64, &str> {
    let mut files: BTreeMap<u64, &str> = BTreeMap::new();
    for name in names {
        match filename::parse(name) {
            Some((kind, number)) if kind == wanted => {
                let known = files.entry(number).or_insert(name);
                if [filename::table(number), filename::log(number)].contains(name) {
                    *known = name;
                }
            }
            _ => {}
        }
    }
    files
}
