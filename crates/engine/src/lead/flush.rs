//! Flush: the oldest frozen memtable becomes a table of level 0.
//!
//! Promises: the manifest names the table, durably, before its log may go; a flush that failed leaves the memtable frozen,
//! to be tried again.
//! Must not know: when a flush is due, or who waits for it.

use std::sync::Arc;
use std::time::Instant;

use level_party_format::Sequence;
use level_party_memtable::MemTable;

use crate::base::control::CondemnReason;
use crate::base::error::{Error, Result};
use crate::base::events;
use crate::base::steps::step;
use crate::lead::context::Lead;
use crate::lead::log_check::{Entries, entries_of_log};
use crate::lead::manifest::Change;
use crate::lead::table_writer::TableWriting;
use crate::read::files::FileMeta;

/// A region that is full.
struct FrozenRegion {
    counter: u32,
    mem: MemTable,
    /// The sequences published in it: those behind the first of these, up to the second.
    before: Sequence,
    last: Sequence,
    /// The log that has its entries, the bytes of it that count, and the one that has what follows.
    log: u64,
    log_bytes: u64,
    next_log: u64,
}

impl Lead {
    /// Flushes the oldest frozen memtable, and records how that went.
    pub(crate) fn flush(&mut self) {
        let result = self.flush_oldest();
        let failed_before = std::mem::replace(&mut self.failing.flush, result.is_err());
        if let (Err(error), false) = (&result, failed_before) {
            events::flush_failed(&self.shared.options.name, error);
        }
        self.shared
            .flushed(&self.leading, result.as_ref().map(|_| ()));
    }

    /// Flushes what was frozen since a compaction began: the writers don't wait for its end.
    pub(crate) fn flush_meanwhile(&mut self) {
        while self.may_flush() {
            self.flush();
        }
    }

    fn may_flush(&mut self) -> bool {
        let retry = self.calls.take();
        let frozen = self.shared.frozen_count().unwrap_or(0);
        let state = self.shared.state.lock();
        frozen > 0 && state.may_flush(retry)
    }

    fn oldest_frozen(&self) -> Result<Option<FrozenRegion>> {
        let view = self.shared.views.load_full()?;
        let counter = self.flushed.wrapping_add(1);
        if counter == view.word().active {
            return Ok(None);
        }
        let mem = view.memtables().find(|(its, _)| *its == counter);
        let control = &self.shared.member.control;
        let region = control.region(counter);
        Ok(mem.map(|(_, mem)| FrozenRegion {
            counter,
            mem: mem.clone(),
            before: region.before(),
            last: region.published(),
            log: region.log(),
            log_bytes: region.committed_end(),
            next_log: control.region(counter.wrapping_add(1)).log(),
        }))
    }

    /// F2: what is in memory must be what the log says, if the log can say it. Otherwise a member's program has stored into the
    /// memory by mistake, and all members found anew, from the log.
    fn check_against_log(
        &mut self,
        region: &FrozenRegion,
        written: Entries,
        table: Option<&FileMeta>,
    ) -> Result<()> {
        let fs = self.shared.fs.as_ref();
        let logged = entries_of_log(fs, region.log, region.before, region.last);
        if logged.is_none_or(|logged| logged == written) || planted!(UnpublishedFlushed) {
            return Ok(());
        }
        events::memtable_differs(&self.shared.options.name, region.log);
        if let Some(table) = table {
            self.obsolete.add_table(table.number);
        }
        Err(self.shared.condemn(CondemnReason::Damaged))
    }

    fn flush_oldest(&mut self) -> Result<()> {
        let Some(region) = self.oldest_frozen()? else {
            return Ok(());
        };
        step!(self.shared.member.peers, Flush);
        let since = Instant::now();
        events::flush_begun(&self.shared.options.name, region.log);
        let up_to = match planted!(UnpublishedFlushed) {
            true => Sequence::MAX,
            false => region.last,
        };
        let (table, entries) = write_memtable(&self.writing, &region.mem, up_to)?;
        self.check_against_log(&region, entries, table.as_deref())?;
        let written = table.as_ref().map_or(0, |table| table.size);
        let mut last = region.last;
        if planted!(ManifestAheadOfLog) {
            last = self.shared.last_sequence();
        }
        let change = Change {
            added: table.into_iter().map(|table| (0, table)).collect(),
            flushed: Some((region.next_log, last)),
            ..Change::default()
        };
        self.flushed = region.counter;
        if let Err(error) = self.apply(change) {
            self.flushed = region.counter.wrapping_sub(1);
            return Err(error);
        }
        self.shared.member.segment.retire(region.counter);
        self.shared.metrics.worked(0, 0, written, since);
        let not_kept = self.kept.add(region.log, region.log_bytes);
        let oldest = self.kept.oldest();
        self.leading
            .keep_logs_from(oldest.unwrap_or(region.next_log));
        for log in not_kept {
            self.obsolete.add_log(log);
        }
        self.obsolete.sweep(self.shared.fs.as_ref(), &self.health);
        events::flush_ended(
            &self.shared.options.name,
            region.log,
            written,
            since.elapsed(),
        );
        Ok(())
    }
}

/// Writes the entries of a memtable up to `last` into one table, dropping none; none for an empty memtable. Gives what it
/// wrote, too.
fn write_memtable(
    writing: &TableWriting,
    mem: &MemTable,
    last: Sequence,
) -> Result<(Option<Arc<FileMeta>>, Entries)> {
    let mut written = Entries::default();
    let mut entries = mem.iter_up_to(last);
    entries.seek_to_first();
    if !entries.valid() {
        return Ok((None, written));
    }
    let mut table = writing.begin()?;
    while entries.valid() {
        entries.load_value();
        table.add(entries.key(), entries.value())?;
        written.add(entries.key(), entries.value());
        entries.next();
    }
    entries
        .status()
        .map_err(|error| Error::corruption("a memtable", error))?;
    Ok((Some(table.finish()?), written))
}
