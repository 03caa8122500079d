//! [`Wal`]: one write-ahead log, open for writing at the offsets that the region's header says.
//!
//! Promises: one plain write for each record, and none beyond what a file may be long.
//! Must not know: batches, sequences, other logs, who else writes this one, or who syncs it.

use std::io;

use std::sync::Arc;

#[cfg(test)]
use level_party_format::filename;
use level_party_format::log::{self, LogWriter};

use crate::base::error::{Error, Result};
use crate::base::fs::Fs;
use crate::commit::logs::OpenLog;

/// Bytes that the system takes of a write at a time: one that is killed may have written some of them, each whole (Linux
/// looks for signals between pages).
const PAGE: u64 = 4096;
/// Longer records have no zeroes written behind them: most of the records behind would need them cut off.
const LONGEST_AHEAD: u64 = 1024;
/// Bytes of the record buffer that are kept from one record to the next.
const KEPT_BUFFER: usize = 1 << 20;

/// One write-ahead log (LevelDB `doc/log_format.md`), open for writing.
pub(crate) struct Wal {
    log: Arc<OpenLog>,
    /// Up to here the file had bytes when this process looked last.
    length: u64,
    /// What was appended by [`Wal::append`].
    end: u64,
    /// The record that is written next, as it lies in the file.
    record: Vec<u8>,
    /// A record that was answered and not written.
    #[cfg(test)]
    late: Option<(u64, Vec<u8>)>,
}

impl Wal {
    /// Creates the log with this number, which no file had before.
    pub(crate) fn create(fs: &dyn Fs, number: u64) -> Result<Wal> {
        Ok(Wal::over(OpenLog::create(fs, number)?))
    }

    /// Writes a log that is open.
    pub(crate) fn over(log: Arc<OpenLog>) -> Wal {
        Wal {
            log,
            length: 0,
            end: 0,
            record: Vec::new(),
            #[cfg(test)]
            late: None,
        }
    }

    /// What must never be done: goes on in the last log there is, behind whatever is its tail.
    #[cfg(test)]
    pub(crate) fn go_on_in_last(fs: &dyn Fs, names: &[String]) -> Result<Option<Wal>> {
        let numbers = names.iter().filter_map(|name| match filename::parse(name) {
            Some((filename::FileKind::Log, number)) => Some(number),
            _ => None,
        });
        let Some(last) = numbers.max() else {
            return Ok(None);
        };
        let log = OpenLog::open(fs, last)?;
        let end = log.file.len();
        let end = end.map_err(|error| Error::io("read", &log.name, error))?;
        Ok(Some(Wal {
            end,
            ..Wal::over(log)
        }))
    }

    /// The number in its name.
    pub(crate) fn number(&self) -> u64 {
        self.log.number
    }

    /// The file, which others may sync meanwhile.
    pub(crate) fn log(&self) -> &Arc<OpenLog> {
        &self.log
    }

    /// Behind what an opening appended.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Appends one record, before any member has the log.
    pub(crate) fn append(&mut self, payload: &[u8]) -> Result<()> {
        let start = self.end;
        let len = self.frame(payload, start);
        self.write(start)?;
        self.end += len;
        Ok(())
    }

    /// Whether it may become as long as there is room for.
    pub(crate) fn is_unlimited(&self) -> bool {
        self.log.longest == u64::MAX
    }

    /// Whether a batch of this many bytes may come behind `end`. Into an empty log any may: no other has more room.
    pub(crate) fn has_room(&self, end: u64, batch: usize) -> bool {
        let headers = (batch / log::BLOCK_LEN + 2).saturating_mul(log::HEADER_LEN);
        // A log's last bytes in a block are left out where no header fits.
        let record = batch.saturating_add(headers + log::HEADER_LEN);
        end == 0 || end.saturating_add(record as u64) <= self.log.longest
    }

    /// Makes a record of a payload as it will lie at this offset. Gives its length.
    pub(crate) fn frame(&mut self, payload: &[u8], start: u64) -> u64 {
        self.record.clear();
        LogWriter::new_at(start).add_record(payload, &mut self.record);
        self.record.len() as u64
    }

    /// Writes the record at the offset that it was made for, with one write. After an error a part of it may be there.
    pub(crate) fn write(&mut self, start: u64) -> Result<()> {
        #[cfg(test)]
        if planted!(AnswerBeforeAppend) {
            let record = (start, std::mem::take(&mut self.record));
            let late = self.late.replace(record);
            return late.map_or(Ok(()), |(start, bytes)| self.write_at(&bytes, start));
        }
        let last = start + (self.record.len() as u64).saturating_sub(1);
        if start / PAGE != last / PAGE {
            self.cut_zeroes(start)?;
        }
        let record = std::mem::take(&mut self.record);
        let written = self.write_at(&record, start);
        if record.capacity() <= KEPT_BUFFER {
            self.record = record;
        }
        written
    }

    fn write_at(&self, bytes: &[u8], start: u64) -> Result<()> {
        // The system would end the process for a write beyond (SIGXFSZ).
        let fits = start.saturating_add(bytes.len() as u64) <= self.log.longest;
        let written = match fits {
            true => self.log.file.write_at(bytes, start),
            false => Err(io::ErrorKind::FileTooLarge.into()),
        };
        written.map_err(|error| Error::io("append to", &self.log.name, error))
    }

    /// Before a sync: writes zeroes ahead of the next records, if the file ends with the one that ends here. A sync of a file
    /// that has become longer writes its length too, which takes about half as long again (ext4).
    ///
    /// LevelDB's reader passes over zeroes up to the end of their block, so they reach a block's end: whoever appends there
    /// (LevelDB with `reuse_logs`) is read.
    ///
    /// If it fails, what came of them is cut off; an error is that of the cut.
    pub(crate) fn write_ahead(&mut self, start: u64, end: u64) -> Result<()> {
        if end < self.length || end - start > LONGEST_AHEAD {
            return Ok(());
        }
        // Without zeroes the file is as it would be without this call: what keeps them from being written is told by the
        // next append.
        let Ok(length) = self.log.file.len() else {
            return Ok(());
        };
        self.length = length;
        let ahead = (end + log::BLOCK_LEN as u64).next_multiple_of(log::BLOCK_LEN as u64);
        if length > end || ahead > self.log.longest {
            return Ok(());
        }
        let zeroes = vec![0; (ahead - end) as usize];
        if self.log.file.write_at(&zeroes, end).is_err() {
            return self.cut(end);
        }
        self.length = ahead;
        Ok(())
    }

    /// Cuts off zeroes that were written ahead, before a record that takes several pages. A part of such a record, if all
    /// processes are killed in its midst, then ends the file, where LevelDB expects a torn record; before zeroes it would be
    /// a wrong checksum, with which LevelDB does not open the database if it has `paranoid_checks`.
    fn cut_zeroes(&mut self, end: u64) -> Result<()> {
        let length = self.log.file.len();
        let length = length.map_err(|error| Error::io("look at", &self.log.name, error))?;
        match length > end {
            true => self.cut(end),
            false => Ok(()),
        }
    }

    /// Cuts off what lies behind this offset.
    pub(crate) fn cut(&mut self, end: u64) -> Result<()> {
        self.length = 0;
        let cut = self.log.file.set_len(end);
        cut.map_err(|error| Error::io("cut", &self.log.name, error))
    }

    /// Removes the file.
    pub(crate) fn remove(self, fs: &dyn Fs) -> Result<()> {
        let name = self.log.name.clone();
        // Closed first.
        drop(self);
        fs.remove(&name)
            .map_err(|error| Error::io("remove", &name, error))
    }
}
