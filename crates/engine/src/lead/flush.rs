//! Flush: the oldest frozen memtable becomes a table of level 0.
//!
//! Promises: the manifest names the table, durably, before its log may go; a flush that failed leaves the memtable frozen,
//! to be tried again. Logs that are kept for those who follow the batches stay.
//! Must not know: when a flush is due, or who waits for it.

use std::sync::Arc;
use std::time::Instant;

use level_party_memtable::MemTable;

use crate::base::error::{Error, Result};
use crate::follow::tail::past::PastLog;
use crate::lead::context::Lead;
use crate::lead::manifest::Change;
use crate::lead::table_writer::TableWriting;
use crate::read::files::FileMeta;

impl Lead {
    /// Flushes the oldest frozen memtable, and records how that went.
    pub(crate) fn flush(&mut self) {
        let result = self.flush_oldest();
        self.shared.flushed(result.as_ref().map(|_| ()));
    }

    /// Flushes what was frozen since a compaction began: the writers don't wait for its end.
    pub(crate) fn flush_meanwhile(&mut self) {
        self.shared.clear_flush_wanted();
        while self.may_flush() {
            self.flush();
        }
    }

    fn may_flush(&self) -> bool {
        let mut state = self.shared.state.lock();
        let retry = state.take_call();
        state.may_flush(retry)
    }

    fn flush_oldest(&mut self) -> Result<()> {
        let Some((frozen, next_log)) = self.shared.state.lock().oldest_frozen() else {
            return Ok(());
        };
        let since = Instant::now();
        let table = write_memtable(&self.writing, &frozen.mem)?;
        let written = table.as_ref().map_or(0, |table| table.size);
        let mut last = frozen.mem.last_sequence();
        if planted!(ManifestAheadOfLog) {
            last = self.shared.last_sequence();
        }
        let change = Change {
            added: table.into_iter().map(|table| (0, table)).collect(),
            flushed: Some((next_log, last)),
            ..Change::default()
        };
        let first = self.manifest.last_sequence() + 1;
        self.apply(change, Some(next_log))?;
        self.shared.metrics.worked(0, 0, written, since);
        let log = frozen.log_number;
        match self.shared.window.is_on() {
            true => {
                let log = PastLog::new(log, Some(first), Some(last), None);
                let not_needed = self.shared.window.keep_log(log);
                not_needed
                    .into_iter()
                    .for_each(|log| self.obsolete.add_log(log));
            }
            false => self.obsolete.add_log(log),
        }
        self.obsolete
            .sweep(self.shared.fs.as_ref(), &self.shared.health);
        Ok(())
    }
}

/// Writes all entries of a memtable into one table, dropping none; nothing for an empty memtable.
fn write_memtable(writing: &TableWriting, mem: &MemTable) -> Result<Option<Arc<FileMeta>>> {
    let mut entries = mem.iter();
    entries.seek_to_first();
    if !entries.valid() {
        return Ok(None);
    }
    let mut table = writing.begin()?;
    while entries.valid() {
        table.add(entries.key(), entries.value())?;
        entries.next();
    }
    entries
        .status()
        .map_err(|error| Error::corruption("a memtable", error))?;
    table.finish().map(Some)
}
