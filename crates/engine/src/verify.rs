//! Verify: looks at every byte of a database that matters, and changes nothing.
//!
//! Promises: every checksum of the tables, the logs and the manifest; the order of keys in tables and of tables in
//! levels; ranges, sizes and sequences against the manifest; index and filter against the blocks. It goes on after a
//! problem, and needs memory for one file at a time.
//! Must not know: how to mend what it finds ([`Repair`](crate::Repair) does).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use level_party_format::batch::BatchRef;
use level_party_format::edit::LEVELS;
use level_party_format::filename::{self, CURRENT, FileKind};
use level_party_format::key::InternalComparator;
use level_party_format::log::{LogItem, LogReader};
use level_party_format::{Comparator, Corruption, Sequence};

use crate::error::{Error, ErrorKind, Result};
use crate::files::{FileMeta, Tables};
use crate::foreign;
use crate::fs::Fs;
use crate::manifest::Contents;
use crate::options::RecoveryMode;
use crate::recovery;
use crate::succession;
use crate::version::Version;
use crate::view::View;

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
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn bad(&mut self, error: &Error, file: &str) {
        self.problems.push(Problem::of(error, file));
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
    /// What the manifest says, if it can be trusted.
    pub(crate) contents: Option<Contents>,
    /// Numbers of tables with a problem.
    pub(crate) bad_tables: Vec<u64>,
    /// Something is wrong with the logs to be replayed.
    pub(crate) bad_logs: bool,
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
    let mut verified = Verified::default();
    let contents = match Contents::read(fs.as_ref(), comparator.name(), RecoveryMode::SameBoot) {
        Ok(contents) => Some(contents),
        Err(error) if error.kind() == ErrorKind::ComparatorMismatch => return Err(error),
        Err(error) => {
            verified.bad(&error, CURRENT);
            None
        }
    };
    let mut examiner = Examiner {
        tables: Arc::new(Tables::new(
            Arc::clone(fs),
            InternalComparator::new(comparator.clone()),
            true,
        )),
        verified,
        bad_tables: Vec::new(),
    };
    let trusted = match &contents {
        Some(contents) => examiner.check_manifest(contents, &names),
        None => false,
    };
    if !trusted {
        examiner.check_tables_without_manifest(&names);
    }
    let bad_logs = examiner.check_logs(contents.as_ref().filter(|_| trusted), &names);
    Ok(Examined {
        contents: contents.filter(|_| trusted),
        verified: examiner.verified,
        bad_tables: examiner.bad_tables,
        bad_logs,
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
        let mut examiner = Examiner {
            tables: Arc::clone(self.version.tables()),
            verified: Verified::default(),
            bad_tables: Vec::new(),
        };
        for (level, file) in self.version.files() {
            if !go_on() {
                return None;
            }
            examiner.check_table(Some(level), file);
        }
        examiner.check_levels(&self.version);
        Some(examiner.verified)
    }
}

struct Examiner {
    tables: Arc<Tables>,
    verified: Verified,
    bad_tables: Vec<u64>,
}

impl Examiner {
    /// Looks at all that the manifest names. Gives whether its levels can be trusted.
    fn check_manifest(&mut self, contents: &Contents, names: &[String]) -> bool {
        for what in &contents.dropped {
            self.verified
                .remarks
                .push(Problem::new("the manifest", None, what));
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
                self.verified
                    .problems
                    .push(Problem::new(filename::table(file.number), None, what));
            }
        }
        for (number, name) in numbered(names, FileKind::Table) {
            if !version.files().any(|(_, file)| file.number == number) {
                self.verified.remarks.push(Problem::new(
                    name,
                    None,
                    "no manifest names this table",
                ));
            }
        }
        true
    }

    fn check_levels(&mut self, version: &Version) -> bool {
        let order = version.check_order();
        if let Err(error) = &order {
            self.verified
                .problems
                .push(Problem::new("the manifest", None, &error.what));
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
                    self.verified.bad(&Error::io("open", name, error), name);
                    self.bad_tables.push(number);
                }
            }
        }
    }

    /// Looks at one table; without a level, its range is not known. Gives its last sequence.
    fn check_table(&mut self, level: Option<usize>, file: &FileMeta) -> Sequence {
        self.verified.tables += 1;
        let name = filename::table(file.number);
        let before = self.verified.problems.len();
        let mut last = 0;
        match self.tables.open_table(file) {
            Ok(table) => {
                let range = level.map(|_| (&file.smallest[..], &file.largest[..]));
                let problems = &mut self.verified.problems;
                let counted = table.check(range, |error| problems.push(Problem::of(&error, &name)));
                self.verified.blocks += counted.blocks;
                self.verified.entries += counted.entries;
                last = counted.last_sequence;
                self.verified.last_sequence = self.verified.last_sequence.max(last);
            }
            Err(error) => self.verified.bad(&error, &name),
        }
        if self.verified.problems.len() > before {
            self.bad_tables.push(file.number);
        }
        last
    }

    /// Looks at the logs that are to be replayed; without a manifest, at all. Gives whether any is bad.
    fn check_logs(&mut self, contents: Option<&Contents>, names: &[String]) -> bool {
        let before = self.verified.problems.len();
        let numbers = match contents.map(|contents| recovery::logs_to_replay(contents, names)) {
            Some(Ok(numbers)) => numbers,
            Some(Err(error)) => {
                self.verified.bad(&error, "the logs");
                Vec::new()
            }
            None => numbered(names, FileKind::Log).into_keys().collect(),
        };
        let fs = Arc::clone(self.tables.fs());
        let ends = succession::ends_of_readable(fs.as_ref(), &numbers);
        for (number, end) in numbers.into_iter().zip(ends) {
            let name = filename::log(number);
            match fs.read(&name) {
                Ok(bytes) => self.check_log(&name, &bytes, end),
                Err(error) => self.verified.bad(&Error::io("read", &name, error), &name),
            }
        }
        self.verified.problems.len() > before
    }

    /// Looks at a log whose records do not count from the sequence `end` on.
    fn check_log(&mut self, name: &str, bytes: &[u8], end: Sequence) {
        let mut late = 0;
        for item in LogReader::new(bytes) {
            match item {
                LogItem::Record {
                    payload, offset, ..
                } => match BatchRef::parse(&payload) {
                    Ok(batch) if batch.count() == 0 => {}
                    Ok(batch) if succession::is_late(&batch, end) => late += 1,
                    Ok(batch) => {
                        self.verified.batches += 1;
                        let last = batch.sequence() + u64::from(batch.count()) - 1;
                        self.verified.last_sequence = self.verified.last_sequence.max(last);
                    }
                    Err(error) => {
                        let problem = Problem::new(name, Some(offset), error.what);
                        self.verified.problems.push(problem);
                    }
                },
                LogItem::Torn { offset, bytes } => {
                    let what = format!("{bytes} bytes of a torn record end it");
                    self.verified
                        .remarks
                        .push(Problem::new(name, Some(offset), what));
                }
                LogItem::Bad { offset, what, .. } => {
                    self.verified
                        .problems
                        .push(Problem::new(name, Some(offset), what));
                }
            }
        }
        if late > 0 {
            let what = succession::said(late, name, end);
            self.verified.remarks.push(Problem::new(name, None, what));
        }
    }
}

/// The files of a kind, by number.
pub(crate) fn numbered(names: &[String], wanted: FileKind) -> BTreeMap<u64, &str> {
    let parsed = names.iter().filter_map(|name| match filename::parse(name) {
        Some((kind, number)) if kind == wanted => Some((number, name.as_str())),
        _ => None,
    });
    parsed.collect()
}
