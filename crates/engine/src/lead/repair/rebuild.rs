//! [`Rebuild`]: makes new tables of what can be read of tables and logs.
//!
//! Promises: it only adds files, and says in a sentence what it leaves out.
//! Must not know: which files are to be read, or what becomes of them.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use level_party_format::batch::BatchRef;
use level_party_format::filename::{self, FileKind};
use level_party_format::key::{self, InternalComparator};
use level_party_format::log::{LogItem, LogReader};
use level_party_format::{MAX_SEQUENCE, Sequence};

use super::Repaired;
use super::aside::{self, AsideLog};
use super::lost::{KEPT_OF_A_FILE, KeyRanges, Lost};
use super::overlay::Levels;
use super::pieces::{Pieces, Sifted};
use super::plan::Plan;
use super::raw::raw_entries;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::Fs;
use crate::base::health::Health;
use crate::base::next_file::NextFile;
use crate::base::options::Options;
use crate::follow::manifest_contents::Contents;
use crate::follow::succession;
use crate::lead::file_numbers::first_free_number;
use crate::lead::table_writer::{TableFile, TableWriting};
use crate::lead::verify::numbered;
use crate::read::files::{FileMeta, Tables};
use crate::read::iter::{InternalIter, LevelIter, MergingIter};
use crate::read::table::Table;

/// What is wrong with a table that is salvaged.
#[derive(Default)]
struct Damage {
    errors: Vec<Error>,
    /// Errors beyond those that are kept.
    more_errors: u64,
    /// Internal keys between which entries are lost.
    ranges: Vec<(Vec<u8>, Vec<u8>)>,
    /// Blocks that were found without an index.
    found: u64,
}

impl Damage {
    fn lose(&mut self, first: &[u8], last: &[u8]) {
        match self.ranges.last_mut() {
            // Blocks that follow each other.
            Some((_, end)) if end == first => *end = last.to_vec(),
            _ => self.ranges.push((first.to_vec(), last.to_vec())),
        }
    }

    fn add_error(&mut self, error: Error) {
        match self.errors.len() < KEPT_OF_A_FILE {
            true => self.errors.push(error),
            false => self.more_errors += 1,
        }
    }

    /// Takes what can be read by the table's index.
    fn walk(&mut self, table: &Table, file: &FileMeta, sifted: &mut Sifted<'_>) -> Result<()> {
        let mut failed = None;
        table.walk(
            |_, internal_key, value| sifted.add(internal_key, value),
            |block, error| {
                let is_sound = error.kind() == ErrorKind::Unsupported;
                if is_sound || !is_damage(&error) {
                    failed.get_or_insert(error);
                    return;
                }
                let first = match block.checked_sub(1) {
                    Some(before) => table.index().key(before),
                    None => &file.smallest,
                };
                self.lose(first, table.index().key(block));
                self.add_error(error);
            },
        )?;
        failed.map_or(Ok(()), Err)
    }

    /// Takes the blocks that can be found in the bytes of a table that can't be opened.
    fn walk_raw(
        &mut self,
        error: Error,
        bytes: &[u8],
        file: &FileMeta,
        sifted: &mut Sifted<'_>,
    ) -> Result<()> {
        let order = sifted.order();
        let walk = raw_entries(bytes, order, |internal_key, value| {
            sifted.add(internal_key, value)
        })?;
        self.found = walk.blocks;
        self.add_error(error);
        self.lose(&file.smallest, &file.largest);
        Ok(())
    }
}

fn is_set_aside(set_aside: &HashSet<(Sequence, Vec<u8>)>, internal_key: &[u8]) -> bool {
    let operation = || {
        let sequence = key::tag(internal_key) >> 8;
        (sequence, key::user_key(internal_key).to_vec())
    };
    !set_aside.is_empty() && set_aside.contains(&operation())
}

/// Whether an error that [`Patient`](super::patient::Patient) reads end with is the file's own: bytes that are wrong, or that
/// the device does not give. After any other the file may be sound.
fn is_damage(error: &Error) -> bool {
    let is_devices = error.kind() == ErrorKind::Io && !error.is_out_of_descriptors();
    is_devices || error.kind() == ErrorKind::Corruption
}

pub(super) struct Rebuild {
    options: Options,
    tables: Arc<Tables>,
    next_file: NextFile,
    writing: TableWriting,
    lost: Lost,
    /// What is worth telling beside, a sentence each.
    notes: Vec<String>,
    /// Tables that were made to be merged, and are not part of the result.
    on_the_way: BTreeSet<u64>,
    /// Tables of entries that were out of their place in damaged ones.
    strays: Vec<Arc<FileMeta>>,
    /// Operations that do not count until [`Rebuild::tables_of_aside`] is asked for them.
    set_aside: HashSet<(Sequence, Vec<u8>)>,
    last_sequence: Sequence,
}

impl Rebuild {
    pub(super) fn new(fs: &Arc<dyn Fs>, options: &Options, plan: &Plan) -> Result<Rebuild> {
        let order = InternalComparator::new(options.comparator.clone());
        let bloom = options.bloom_bits_per_key.is_some();
        let tables = Arc::new(Tables::new(Arc::clone(fs), order, bloom));
        let new = Contents::of_new_database();
        let first = first_free_number(plan.contents().unwrap_or(&new), plan.names())?;
        let next_file = NextFile::alone(first)?;
        let health = Arc::new(Health::new(None));
        Ok(Rebuild {
            options: options.clone(),
            writing: TableWriting::new(options, &tables, next_file.clone(), &health),
            tables,
            next_file,
            lost: Lost::default(),
            notes: Vec::new(),
            on_the_way: BTreeSet::new(),
            strays: Vec::new(),
            set_aside: aside::operations(fs.as_ref(), &plan.aside)?,
            last_sequence: 0,
        })
    }

    pub(super) fn next_file_number(&self) -> u64 {
        self.next_file.next()
    }

    pub(super) fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// The last sequence of all that was kept.
    pub(super) fn last_sequence(&self) -> Sequence {
        self.last_sequence
    }

    /// Tables that were made and are not needed.
    pub(super) fn made_on_the_way(&self) -> impl Iterator<Item = u64> + '_ {
        self.on_the_way.iter().copied()
    }

    pub(super) fn tell(self, report: &mut Repaired) {
        report.actions.extend(self.notes);
        report.lost = self.lost.into_sentences();
    }

    fn lose(&mut self, file: &str, error: &Error) {
        self.lost.add(file, || error.to_string());
    }

    /// Replaces the damaged tables of a manifest, and gives the ranges of keys of which something is lost. The order of
    /// level 0 is that of the tables' numbers, so there all tables are merged if one is damaged.
    pub(super) fn mend_levels(
        &mut self,
        contents: &mut Contents,
        bad: &BTreeSet<u64>,
    ) -> Result<KeyRanges> {
        let mut lost = KeyRanges::new(self.tables.comparator().user.clone());
        let is_bad = |(_, number): &(usize, u64)| bad.contains(number);
        let level_zero = contents.files.keys().any(|at| at.0 == 0 && is_bad(at));
        let places: Vec<(usize, u64)> = contents.files.keys().copied().collect();
        let mut merge = Vec::new();
        for at in places {
            if !(is_bad(&at) || (level_zero && at.0 == 0)) {
                continue;
            }
            let Some(file) = contents.files.remove(&at) else {
                continue;
            };
            let file = Arc::new(FileMeta::from(file));
            let kept = match is_bad(&at) {
                true => self.salvage(&file, Some(&mut lost))?,
                false => Some(file),
            };
            match kept {
                Some(kept) if at.0 == 0 => merge.push(kept),
                Some(kept) => {
                    self.on_the_way.remove(&kept.number);
                    contents
                        .files
                        .insert((at.0, kept.number), kept.to_new_file());
                }
                None => {}
            }
        }
        for file in self.merge(merge)? {
            contents.files.insert((0, file.number), file.to_new_file());
        }
        Ok(lost)
    }

    /// All tables and the tables made of logs, as one sorted run.
    pub(super) fn merge_all(
        &mut self,
        plan: &Plan,
        from_logs: Vec<Arc<FileMeta>>,
    ) -> Result<Vec<Arc<FileMeta>>> {
        // Of the same entry twice that of the newest file counts.
        let mut inputs: Vec<_> = from_logs.into_iter().rev().collect();
        for number in plan.unnamed.iter().rev() {
            let name = numbered(plan.names(), FileKind::Table)[number].to_owned();
            let Some(file) = self.file_of(*number, &name)? else {
                continue;
            };
            let known = match plan.bad_tables.contains(number) {
                true => self.salvage(&file, None)?,
                false => self.with_range(&file)?,
            };
            inputs.extend(known);
        }
        inputs.append(&mut self.strays);
        let set_aside = std::mem::take(&mut self.set_aside);
        let merged = self.merge_if(inputs, |key| Ok(!is_set_aside(&set_aside, key)));
        self.set_aside = set_aside;
        merged
    }

    /// The entries that were out of their place in damaged tables, as tables.
    pub(super) fn take_strays(&mut self) -> Vec<Arc<FileMeta>> {
        std::mem::take(&mut self.strays)
    }

    /// A table of which the length alone is known; nothing where it is not there.
    fn file_of(&mut self, number: u64, name: &str) -> Result<Option<Arc<FileMeta>>> {
        match self.tables.fs().open_read(name) {
            Ok(file) => {
                let meta = FileMeta::new(number, file.len(), Vec::new(), Vec::new());
                Ok(Some(Arc::new(meta)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.lose(name, &Error::io("open", name, error));
                Ok(None)
            }
            Err(error) => Err(Error::io("open", name, error)),
        }
    }

    /// Tables of which nothing is known yet, or what can be read of them.
    pub(super) fn sound_tables(&mut self, numbers: &[u64]) -> Result<Vec<Arc<FileMeta>>> {
        let mut sound = Vec::new();
        for number in numbers {
            let name = self.name_of(*number)?;
            let Some(file) = self.file_of(*number, &name)? else {
                continue;
            };
            let mut is_bad = false;
            match self.tables.open_table(&file) {
                Ok(table) => {
                    let counted = table.check(None, |_| is_bad = true);
                    self.last_sequence = self.last_sequence.max(counted.last_sequence);
                }
                Err(_) => is_bad = true,
            }
            sound.extend(match is_bad {
                true => self.salvage(&file, None)?,
                false => self.with_range(&file)?,
            });
        }
        Ok(sound)
    }

    /// The name of a table's file: an old database's tables end in `.sst`.
    fn name_of(&self, number: u64) -> Result<String> {
        let name = filename::table(number);
        let exists = self.tables.fs().exists(&name);
        match exists.map_err(|error| Error::io("look for", &name, error))? {
            true => Ok(name),
            false => Ok(filename::table_old(number)),
        }
    }

    /// A sound table with its first and last key; nothing for an empty one.
    fn with_range(&self, file: &FileMeta) -> Result<Option<Arc<FileMeta>>> {
        let (number, size) = (file.number, file.size);
        let file = Arc::new(FileMeta::new(number, size, Vec::new(), Vec::new()));
        let mut entries = LevelIter::of_files(vec![file], Arc::clone(&self.tables));
        entries.seek_to_first()?;
        let smallest = entries.key().to_vec();
        entries.seek_to_last()?;
        let largest = entries.key().to_vec();
        let known = FileMeta::new(number, size, smallest, largest);
        Ok(entries.valid().then(|| Arc::new(known)))
    }

    /// What can be read of a damaged table, as a new one. With `lost`, only what lies where the manifest says; and the
    /// ranges of keys that are lost are added there.
    fn salvage(
        &mut self,
        file: &FileMeta,
        lost: Option<&mut KeyRanges>,
    ) -> Result<Option<Arc<FileMeta>>> {
        let name = self.name_of(file.number)?;
        let order = self.tables.comparator().clone();
        let mut sifted = Sifted::new(&self.writing, &order, lost.is_some().then_some(file));
        let mut damage = Damage::default();
        match self.tables.open_table(file) {
            Ok(table) => damage.walk(&table, file, &mut sifted)?,
            Err(error) if is_damage(&error) => {
                let bytes = match self.tables.fs().read(&name) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(Error::io("read", &name, error));
                    }
                    read => read.unwrap_or_default(),
                };
                damage.walk_raw(error, &bytes, file, &mut sifted)?;
            }
            // The table may be sound.
            Err(error) => return Err(error),
        }
        let kept = sifted.finish()?;
        let (passed, strayed, last_sequence) =
            (sifted.passed, sifted.strayed, sifted.last_sequence);
        let strays = sifted.stray_tables;
        let made = kept.iter().chain(&strays).map(|made| made.number);
        self.on_the_way.extend(made);
        self.strays.extend(strays);
        self.last_sequence = self.last_sequence.max(last_sequence);
        for error in &damage.errors {
            self.lost.add(&name, || error.to_string());
        }
        self.lost.count(&name, damage.more_errors);
        if damage.found > 0 {
            self.notes.push(format!(
                "the index of {name} cannot be read; blocks found by their checksums: {}",
                damage.found
            ));
        }
        if strayed > 0 {
            self.notes.push(format!(
                "{strayed} entries of {name} are outside its key range; each is kept unless its key has a newer entry"
            ));
        }
        if passed > 0 {
            self.lost.add(&name, || {
                format!("{passed} entries of {name} without a key")
            });
            damage.lose(&file.smallest, &file.largest);
        }
        if let Some(lost) = lost {
            for (first, last) in &damage.ranges {
                lost.add(key::user_key(first), key::user_key(last));
            }
        }
        Ok(kept)
    }

    /// Lays the newest entry of each key over the levels, as tables of level 0, if `is_wanted` says so of the key, the
    /// entry's sequence, and that of the newest one that the levels have.
    pub(super) fn lay_over(
        &mut self,
        contents: &mut Contents,
        files: Vec<Arc<FileMeta>>,
        is_wanted: impl Fn(&[u8], Sequence, Option<Sequence>) -> bool,
    ) -> Result<()> {
        let levels = Levels::of(contents, &self.tables);
        let order = self.tables.comparator().user.clone();
        let mut last: Option<Vec<u8>> = None;
        let set_aside = std::mem::take(&mut self.set_aside);
        let laid = self.merge_if(files, |internal_key| {
            let user_key = key::user_key(internal_key);
            if is_set_aside(&set_aside, internal_key) {
                return Ok(false);
            }
            let is_older = last
                .as_ref()
                .is_some_and(|last| order.compare(last, user_key).is_eq());
            if is_older {
                return Ok(false);
            }
            last = Some(user_key.to_vec());
            let sequence = key::tag(internal_key) >> 8;
            Ok(is_wanted(user_key, sequence, levels.newest(user_key)?))
        })?;
        self.set_aside = set_aside;
        for file in laid {
            contents.files.insert((0, file.number), file.to_new_file());
        }
        Ok(())
    }

    /// Tables as new ones that don't overlap, each user key in one of them.
    fn merge(&mut self, files: Vec<Arc<FileMeta>>) -> Result<Vec<Arc<FileMeta>>> {
        self.merge_if(files, |_| Ok(true))
    }

    /// The same of the wanted entries alone. Of an entry that comes twice that of the earlier file counts.
    fn merge_if(
        &mut self,
        files: Vec<Arc<FileMeta>>,
        mut is_wanted: impl FnMut(&[u8]) -> Result<bool>,
    ) -> Result<Vec<Arc<FileMeta>>> {
        let order = self.tables.comparator();
        let runs = self
            .runs(files)
            .into_iter()
            .map(|run| InternalIter::Level(LevelIter::of_files(run, Arc::clone(&self.tables))));
        let mut entries = MergingIter::new(runs.collect(), order.clone());
        let mut done = Vec::new();
        let mut output: Option<TableFile<'_>> = None;
        let mut last: Vec<u8> = Vec::new();
        entries.seek_to_first()?;
        while entries.valid() {
            let internal_key = entries.key();
            let same = !last.is_empty() && order.compare(&last, internal_key).is_eq();
            let user = |bytes| key::user_key(bytes);
            let new_user_key =
                last.is_empty() || order.user.compare(user(&last), user(internal_key)).is_ne();
            if new_user_key
                && let Some(full) = output.take_if(|o| o.size() >= self.options.max_file_size)
            {
                done.push(full.finish()?);
            }
            // The same entry twice comes from a log that is in a table too.
            if !same {
                if is_wanted(internal_key)? {
                    let output = match &mut output {
                        Some(output) => output,
                        None => output.insert(self.writing.begin()?),
                    };
                    output.add(internal_key, entries.value())?;
                }
                last.clear();
                last.extend_from_slice(internal_key);
            }
            entries.next()?;
        }
        if let Some(output) = output {
            done.push(output.finish()?);
        }
        Ok(done)
    }

    /// As few rows of tables as it takes for none to overlap another of its row: each row has one table open.
    fn runs(&self, mut files: Vec<Arc<FileMeta>>) -> Vec<Vec<Arc<FileMeta>>> {
        let order = self.tables.comparator();
        files.sort_by(|a, b| order.compare(&a.smallest, &b.smallest));
        let mut runs: Vec<Vec<Arc<FileMeta>>> = Vec::new();
        for file in files {
            let fits = |run: &&mut Vec<Arc<FileMeta>>| {
                run.last()
                    .is_some_and(|last| order.compare(&last.largest, &file.smallest).is_lt())
            };
            match runs.iter_mut().find(fits) {
                Some(run) => run.push(file),
                None => runs.push(vec![file]),
            }
        }
        runs
    }

    /// The sound batches of logs, as tables, the older ones first.
    pub(super) fn tables_of_logs(&mut self, logs: &[u64]) -> Result<Vec<Arc<FileMeta>>> {
        let mut done = Vec::new();
        let ends = succession::ends_of_readable(self.tables.fs().as_ref(), logs);
        for (number, end) in logs.iter().zip(ends) {
            let name = filename::log(*number);
            match self.tables.fs().read(&name) {
                Ok(bytes) => self.tables_of_log(&name, bytes.into(), end, &mut done)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.lose(&name, &Error::io("read", &name, error));
                }
                // The log may be sound, and nothing would read it again once it is set aside.
                Err(error) => return Err(Error::io("read", &name, error)),
            }
        }
        Ok(done)
    }

    fn tables_of_log(
        &mut self,
        name: &str,
        bytes: Bytes,
        end: Sequence,
        done: &mut Vec<Arc<FileMeta>>,
    ) -> Result<()> {
        let mut late = 0;
        let mut again = 0;
        let mut last = 0;
        let mut pieces = Pieces::new(&bytes, 2 * self.options.write_buffer_size);
        for item in LogReader::new(&bytes) {
            let (payload, offset) = match item {
                LogItem::Record {
                    payload, offset, ..
                } => (payload, offset),
                LogItem::Torn { offset, bytes } | LogItem::Bad { offset, bytes, .. } => {
                    self.lost.add(name, || {
                        format!("{bytes} bytes of {name} from offset {offset} on")
                    });
                    continue;
                }
            };
            match BatchRef::parse(&payload) {
                Ok(batch) if batch.count() == 0 => {}
                Ok(batch) if succession::is_late(&batch, end) => late += 1,
                Ok(batch) => {
                    again += u64::from(batch.sequence() <= last);
                    last = (batch.sequence() + u64::from(batch.count()) - 1).max(last);
                    pieces.add(payload)?;
                    self.write_full(&mut pieces, done)?;
                }
                Err(error) => self.lost.add(name, || {
                    format!("a batch in {name} at offset {offset}: {}", error.what)
                }),
            }
        }
        self.write_piece(&mut pieces, done)?;
        self.last_sequence = self.last_sequence.max(last.min(MAX_SEQUENCE));
        if late > 0 {
            self.lost.add(name, || succession::said(late, name, end));
        }
        if again > 0 {
            self.notes.push(format!(
                "{again} batches of {name} repeat sequences of earlier batches; for each key the entry with the highest sequence counts"
            ));
        }
        Ok(())
    }

    /// What can be brought back of logs that were set aside, as tables.
    pub(super) fn tables_of_aside(&mut self, logs: &[&AsideLog]) -> Result<Vec<Arc<FileMeta>>> {
        self.set_aside.clear();
        let mut done = Vec::new();
        for log in logs {
            let read = self.tables.fs().read(&log.name);
            let bytes = Bytes::from(read.map_err(|e| Error::io("read", &log.name, e))?);
            let mut pieces = Pieces::new(&bytes, 2 * self.options.write_buffer_size);
            for payload in log.unrecovered(&bytes) {
                if let Ok(batch) = BatchRef::parse(&payload) {
                    let last = batch.sequence() + u64::from(batch.count()) - 1;
                    self.last_sequence = self.last_sequence.max(last.min(MAX_SEQUENCE));
                }
                pieces.add(payload)?;
                self.write_full(&mut pieces, &mut done)?;
            }
            self.write_piece(&mut pieces, &mut done)?;
        }
        Ok(done)
    }

    fn write_full(&mut self, pieces: &mut Pieces<'_>, done: &mut Vec<Arc<FileMeta>>) -> Result<()> {
        match pieces.is_full() {
            true => self.write_piece(pieces, done),
            false => Ok(()),
        }
    }

    fn write_piece(
        &mut self,
        pieces: &mut Pieces<'_>,
        done: &mut Vec<Arc<FileMeta>>,
    ) -> Result<()> {
        let run = pieces.take().finish(self.tables.comparator());
        for mut table in run.write(&self.writing)? {
            let name = filename::table(table.meta.number);
            let synced = table.file.sync();
            synced.map_err(|error| Error::io("sync", &name, error))?;
            self.on_the_way.insert(table.meta.number);
            done.push(table.meta);
        }
        Ok(())
    }
}
