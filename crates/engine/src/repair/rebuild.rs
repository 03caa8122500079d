//! [`Rebuild`]: makes new tables of what can be read of tables and logs.
//!
//! Promises: it only adds files. What it leaves out is said in a sentence.
//! Must not know: what becomes of the old files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use level_party_format::batch::BatchRef;
use level_party_format::filename;
use level_party_format::key::{self, InternalComparator};
use level_party_format::log::{LogItem, LogReader};
use level_party_memtable::MemTableWriter;

use super::{Plan, aside_of_table};
use crate::error::{Error, Result};
use crate::files::{FileMeta, Tables};
use crate::flush::{TableFile, TableWriting, write_memtable};
use crate::fs::Fs;
use crate::health::Health;
use crate::iter::{InternalIter, LevelIter, MergingIter};
use crate::manifest::Contents;
use crate::memory;
use crate::options::Options;
use crate::recovery::first_free_number;
use crate::succession;

pub(super) struct Rebuild {
    options: Options,
    tables: Arc<Tables>,
    next_file: Arc<AtomicU64>,
    writing: TableWriting,
    lost: Vec<String>,
}

impl Rebuild {
    pub(super) fn new(fs: &Arc<dyn Fs>, options: &Options, plan: &Plan) -> Result<Rebuild> {
        let order = InternalComparator::new(options.comparator.clone());
        let bloom = options.bloom_bits_per_key.is_some();
        let tables = Arc::new(Tables::new(Arc::clone(fs), order, bloom));
        let first = match &plan.contents {
            Some(contents) => first_free_number(contents, &plan.names)?,
            None => first_free_number(&Contents::of_new_database(), &plan.names)?,
        };
        let next_file = Arc::new(AtomicU64::new(first));
        let health = Arc::new(Health::new(None));
        Ok(Rebuild {
            options: options.clone(),
            writing: TableWriting::new(options, &tables, &next_file, &health),
            tables,
            next_file,
            lost: Vec::new(),
        })
    }

    pub(super) fn next_file_number(&self) -> u64 {
        self.next_file.fetch_add(1, Ordering::SeqCst)
    }

    pub(super) fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    pub(super) fn into_lost(self) -> Vec<String> {
        self.lost
    }

    /// Replaces the damaged tables of a manifest. The order of level 0 is that of the tables' numbers, so there all
    /// tables are merged if one is damaged.
    pub(super) fn mend_levels(
        &mut self,
        contents: &mut Contents,
        bad: &BTreeSet<u64>,
        aside: &mut Vec<(String, String)>,
    ) -> Result<()> {
        let fs = Arc::clone(self.tables.fs());
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
            aside.extend(aside_of_table(fs.as_ref(), &file)?);
            let kept = match is_bad(&at) {
                true => self.salvage(&file, true)?,
                false => Some(file),
            };
            match kept {
                Some(kept) if at.0 == 0 => merge.push(kept),
                Some(kept) => {
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
        Ok(())
    }

    /// All tables and the tables made of logs, as one sorted run.
    pub(super) fn merge_all(
        &mut self,
        tables: &BTreeMap<u64, &str>,
        bad: &BTreeSet<u64>,
        from_logs: Vec<Arc<FileMeta>>,
    ) -> Result<Vec<Arc<FileMeta>>> {
        let mut inputs = from_logs;
        for (&number, &name) in tables {
            let size = match self.tables.fs().open_read(name) {
                Ok(file) => file.len(),
                Err(error) => {
                    self.lose(&Error::io("open", name, error));
                    continue;
                }
            };
            let file = Arc::new(FileMeta::new(number, size, Vec::new(), Vec::new()));
            let known = match bad.contains(&number) {
                true => self.salvage(&file, false)?,
                false => self.with_range(file)?,
            };
            inputs.extend(known);
        }
        self.merge(inputs)
    }

    /// A sound table with its first and last key; nothing for an empty one.
    fn with_range(&self, file: Arc<FileMeta>) -> Result<Option<Arc<FileMeta>>> {
        let (number, size) = (file.number, file.size);
        let mut entries = LevelIter::of_files(vec![file], Arc::clone(&self.tables));
        entries.seek_to_first()?;
        let smallest = entries.key().to_vec();
        entries.seek_to_last()?;
        let largest = entries.key().to_vec();
        let known = FileMeta::new(number, size, smallest, largest);
        Ok(entries.valid().then(|| Arc::new(known)))
    }

    /// What can be read of a damaged table, as a new one; with `in_range`, only what lies where the manifest says.
    fn salvage(&mut self, file: &FileMeta, in_range: bool) -> Result<Option<Arc<FileMeta>>> {
        let table = match self.tables.open_table(file) {
            Ok(table) => table,
            Err(error) => {
                self.lose(&error);
                return Ok(None);
            }
        };
        let order = self.tables.comparator();
        let mut output: Option<TableFile<'_>> = None;
        let mut last: Vec<u8> = Vec::new();
        let mut passed = 0u64;
        let mut bad = Vec::new();
        let entry = |_: u64, internal_key: &[u8], value: &[u8]| {
            let outside = in_range
                && (order.compare(internal_key, &file.smallest).is_lt()
                    || order.compare(internal_key, &file.largest).is_gt());
            let unordered = !last.is_empty() && order.compare(&last, internal_key).is_ge();
            if outside || unordered || key::parse(internal_key).is_err() {
                passed += 1;
                return Ok(());
            }
            last.clear();
            last.extend_from_slice(internal_key);
            let output = match &mut output {
                Some(output) => output,
                None => output.insert(self.writing.begin()?),
            };
            output.add(internal_key, value)
        };
        table.walk(entry, |error| bad.push(error))?;
        let kept = output.map(TableFile::finish).transpose()?;
        bad.iter().for_each(|error| self.lose(error));
        if passed > 0 {
            let name = filename::table(file.number);
            self.lost
                .push(format!("{passed} entries of {name} that were out of place"));
        }
        Ok(kept)
    }

    fn lose(&mut self, error: &Error) {
        self.lost.push(error.to_string());
    }

    /// Tables as new ones that don't overlap, each user key in one of them.
    fn merge(&self, files: Vec<Arc<FileMeta>>) -> Result<Vec<Arc<FileMeta>>> {
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
                let output = match &mut output {
                    Some(output) => output,
                    None => output.insert(self.writing.begin()?),
                };
                output.add(internal_key, entries.value())?;
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

    /// The good batches of logs, as tables, the older ones first.
    pub(super) fn tables_of_logs(&mut self, logs: &[u64]) -> Result<Vec<Arc<FileMeta>>> {
        let mut done = Vec::new();
        let mut mem: Option<MemTableWriter> = None;
        let mut last = 0;
        let ends = succession::ends_of_readable(self.tables.fs().as_ref(), logs);
        for (number, end) in logs.iter().zip(ends) {
            let name = filename::log(*number);
            let mut late = 0;
            let bytes = match self.tables.fs().read(&name) {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.lose(&Error::io("read", &name, error));
                    continue;
                }
            };
            for item in LogReader::new(&bytes) {
                let (payload, offset) = match item {
                    LogItem::Record {
                        payload, offset, ..
                    } => (payload, offset),
                    LogItem::Torn { offset, bytes } | LogItem::Bad { offset, bytes, .. } => {
                        self.lost
                            .push(format!("{bytes} bytes of {name} from offset {offset} on"));
                        continue;
                    }
                };
                match BatchRef::parse(&payload) {
                    Ok(batch) if batch.count() == 0 => {}
                    Ok(batch) if succession::is_late(&batch, end) => late += 1,
                    Ok(batch) if batch.sequence() > last => {
                        self.insert(&batch, &mut mem, &mut done)?;
                        last = (batch.sequence() + u64::from(batch.count())).saturating_sub(1);
                    }
                    Ok(_) => self
                        .lost
                        .push(format!("a batch out of order in {name} at offset {offset}")),
                    Err(error) => self.lost.push(format!(
                        "a batch in {name} at offset {offset}: {}",
                        error.what
                    )),
                }
            }
            if late > 0 {
                self.lost.push(succession::said(late, &name, end));
            }
        }
        self.flush(mem, &mut done)?;
        Ok(done)
    }

    fn insert(
        &self,
        batch: &BatchRef<'_>,
        mem: &mut Option<MemTableWriter>,
        done: &mut Vec<Arc<FileMeta>>,
    ) -> Result<()> {
        let needed = memory::bytes_for(batch.iter());
        if mem.as_ref().is_some_and(|mem| mem.remaining() < needed) {
            self.flush(mem.take(), done)?;
        }
        let mem = match mem {
            Some(mem) => mem,
            None => {
                let order = self.tables.comparator();
                mem.insert(memory::allocate(&self.options, order, needed, 0)?)
            }
        };
        let next = memory::insert_all(mem, batch.iter(), batch.sequence())?;
        mem.publish(next.saturating_sub(1));
        Ok(())
    }

    fn flush(&self, mem: Option<MemTableWriter>, done: &mut Vec<Arc<FileMeta>>) -> Result<()> {
        if let Some(mem) = mem {
            done.extend(write_memtable(&self.writing, &mem.reader())?);
        }
        Ok(())
    }
}
