//! Compaction: from one level to the next (LevelDB `doc/impl.md`, Compactions).
//!
//! Promises: no entry is dropped that a moment at or above the horizon needs; the horizon is the drop floor that the
//! listener has recorded before. All versions of one user key in a level go together, and come out in one table: tables
//! of other programs that split them are taken along (`AddBoundaryInputs`), and an output ends only between user keys.
//! A table that turns out to be damaged is set aside: it stays where it is for the reads that can be served from it, no
//! compaction takes it until the next opening, nothing of it is dropped, and the other compactions go on.
//! Must not know: who waits for it, or where pins come from.

use std::sync::Arc;
use std::time::Instant;

use level_party_format::Sequence;
use level_party_format::edit::LEVELS;
use level_party_format::filename::{self, FileKind};
use level_party_format::key;

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::events;
use crate::commit::work::Manual;
use crate::lead::context::Lead;
use crate::lead::manifest::Change;
use crate::lead::table_writer::TableFile;
use crate::read::files::FileMeta;
use crate::read::iter::{InternalIter, LevelIter, MergingIter, TableIter};

mod pick;
mod rules;

pub(crate) use pick::is_needed;
use pick::{Compaction, Picker};
use rules::{DropRules, StopRules};

/// Files of level 0 at which it is compacted.
pub(crate) const LEVEL_ZERO_TRIGGER: usize = 4;
impl Lead {
    /// The one compaction that is needed most.
    pub(crate) fn compact_once(&mut self) -> Result<()> {
        match self.pick() {
            Some(compaction) if compaction.is_trivial_move() => self.move_down(&compaction),
            Some(compaction) => {
                let done = self.compact(&compaction);
                done.or_else(|error| self.put_aside(&compaction, error))
            }
            None => Ok(()),
        }
    }

    /// Whether any compaction that is needed, or that reads have made worth while, can be done without the tables set
    /// aside.
    pub(crate) fn can_compact(&self) -> bool {
        self.pick().is_some()
    }

    fn pick(&self) -> Option<Compaction> {
        let picker = Picker::new(self.manifest.version(), &self.shared.options);
        picker.without(&self.set_aside).pick(&self.manifest)
    }

    /// If the compaction failed because one of its inputs is damaged, or can't be read for another reason that stays, that table is set aside, and the error kept in
    /// sight; the compaction counts as dealt with. Any other error comes back.
    fn put_aside(&mut self, compaction: &Compaction, error: Error) -> Result<()> {
        let named = error.file().and_then(filename::parse);
        let stays = matches!(error.kind(), ErrorKind::Corruption | ErrorKind::Unsupported);
        let number = match named {
            Some((FileKind::Table, number)) if stays => number,
            _ => return Err(error),
        };
        let mut inputs = compaction.inputs.iter().flatten();
        if !inputs.any(|file| file.number == number) {
            return Err(error);
        }
        self.set_aside.insert(number);
        events::table_set_aside(&self.shared.options.name, number, &error);
        self.shared.report(|state| state.damaged(error));
        Ok(())
    }

    /// What [`Engine::compact_range`](crate::Engine::compact_range) asks for.
    pub(crate) fn compact_range(&mut self, manual: &Manual) -> Result<()> {
        let (begin, end) = (manual.begin.as_deref(), manual.end.as_deref());
        let version = self.manifest.version();
        let deepest = (1..LEVELS)
            .rev()
            .find(|level| version.overlaps(*level, begin, end));
        for level in 0..deepest.unwrap_or(1) {
            let mut begin = manual.begin.clone();
            loop {
                self.check_going()?;
                if manual.is_withdrawn() {
                    return Ok(());
                }
                let picker = Picker::new(self.manifest.version(), &self.shared.options);
                let Some(compaction) = picker.range(level, begin.as_deref(), end) else {
                    break;
                };
                self.compact(&compaction)?;
                if level == 0 {
                    break;
                }
                begin = Some(key::user_key(&compaction.pointer).to_vec());
            }
        }
        Ok(())
    }

    fn check_going(&self) -> Result<()> {
        self.health.check_open()?;
        self.health.check()
    }

    /// One table goes a level deeper as it is.
    fn move_down(&mut self, compaction: &Compaction) -> Result<()> {
        let file = &compaction.inputs[0][0];
        file.seeks().renew(file.size);
        let change = Change {
            removed: vec![(compaction.level, file.number)],
            added: vec![(compaction.level + 1, Arc::clone(file))],
            compact_pointer: Some((compaction.level, compaction.pointer.clone())),
            ..Change::default()
        };
        self.apply(change)?;
        events::table_moved(&self.shared.options.name, compaction.level, file.number);
        Ok(())
    }

    /// Tells of a compaction that failed, unless the one before it failed too.
    pub(crate) fn tell_compaction(&mut self, result: &Result<()>) {
        let failed_before = std::mem::replace(&mut self.failing.compaction, result.is_err());
        if let (Err(error), false) = (result, failed_before)
            && self.check_going().is_ok()
        {
            events::compaction_failed(&self.shared.options.name, error);
        }
    }

    fn compact(&mut self, compaction: &Compaction) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let horizon = shared
            .snapshots
            .raise_horizon(&self.leading, || shared.last_sequence())?;
        let since = Instant::now();
        let inputs = || compaction.inputs.iter().flatten();
        let read = inputs().map(|file| file.size).sum();
        let name = &shared.options.name;
        events::compaction_begun(name, compaction.level, inputs().count(), read);
        let mut outputs = Vec::new();
        let merged = self.merge(compaction, horizon, &mut outputs);
        if let Err(error) = merged {
            outputs
                .iter()
                .for_each(|file| self.obsolete.add_table(file.number));
            return Err(error);
        }
        let (tables, written) = (outputs.len(), outputs.iter().map(|file| file.size).sum());
        let removed = compaction
            .inputs
            .iter()
            .enumerate()
            .flat_map(|(at, files)| {
                let level = compaction.level + at;
                files.iter().map(move |file| (level, file.number))
            });
        let change = Change {
            removed: removed.collect(),
            added: outputs
                .into_iter()
                .map(|file| (compaction.level + 1, file))
                .collect(),
            compact_pointer: Some((compaction.level, compaction.pointer.clone())),
            ..Change::default()
        };
        self.apply(change)?;
        let level = compaction.level + 1;
        shared.metrics.worked(level, read, written, since);
        events::compaction_ended(name, level, tables, written, since.elapsed());
        Ok(())
    }

    /// Merges the inputs into `outputs`, without what nobody needs.
    fn merge(
        &mut self,
        compaction: &Compaction,
        horizon: Sequence,
        outputs: &mut Vec<Arc<FileMeta>>,
    ) -> Result<()> {
        let writing = Arc::clone(&self.writing);
        let max_file_size = self.shared.options.max_file_size;
        let mut drops = DropRules::new(compaction, horizon);
        let mut stops = StopRules::new(compaction);
        let mut entries = merged_inputs(compaction)?;
        entries.seek_to_first()?;
        let mut output: Option<TableFile<'_>> = None;
        while entries.valid() {
            if self.calls.are_new() {
                self.flush_meanwhile();
            }
            self.check_going()?;
            let internal_key = entries.key();
            let parsed = key::parse(internal_key).map_err(|error| entries.damaged(error))?;
            let judged = drops.judge(&parsed);
            if judged.first_of_key || planted!(VersionsSplit) {
                let stop = stops.stop_before(internal_key);
                let is_full = |table: &TableFile<'_>| stop || table.size() >= max_file_size;
                if let Some(full) = output.take_if(|table| is_full(table)) {
                    outputs.push(full.finish()?);
                }
            }
            if judged.keep {
                let table = match &mut output {
                    Some(table) => table,
                    None => output.insert(writing.begin()?),
                };
                table.add(internal_key, entries.value())?;
            }
            entries.next()?;
        }
        if let Some(last) = output {
            outputs.push(last.finish()?);
        }
        Ok(())
    }
}

/// The entries of all inputs in order. Files of level 0 overlap, so each is a child; deeper levels are one child each.
fn merged_inputs(compaction: &Compaction) -> Result<MergingIter> {
    let tables = compaction.version.tables();
    let level = |files: &Vec<Arc<FileMeta>>| {
        InternalIter::Level(LevelIter::of_files(files.clone(), Arc::clone(tables)))
    };
    let [upper, lower] = &compaction.inputs;
    let mut children = Vec::new();
    if compaction.level == 0 {
        for file in upper {
            let table = file.table(tables)?.to_arc();
            children.push(InternalIter::Table(TableIter::new(table)));
        }
    } else {
        children.push(level(upper));
    }
    children.push(level(lower));
    Ok(MergingIter::new(children, tables.comparator().clone()))
}
