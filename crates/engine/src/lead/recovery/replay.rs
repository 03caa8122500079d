//! [`Replay`]: logs, one after the other, into tables of level 0.
//!
//! Promises: of a log the longest good beginning is taken, and what ends it is said, as is what does not count of it
//! ([`succession`]); a log that is corrupt ends the opening before anything of it is written. A log larger than a memtable becomes several tables, so that no more than
//! one memtable's worth of its operations is being sorted at a time.
//! Must not know: manifests, or what becomes of the tables.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use level_party_format::batch::BatchRef;
use level_party_format::filename;
use level_party_format::log::{LogItem, LogReader};
use level_party_format::{Corruption, Sequence};

use super::Aside;
use crate::base::error::{Error, Result};
use crate::base::fs::WriteFile;
use crate::base::options::{Before, Options, RecoveryMode};
use crate::commit::memory;
use crate::follow::manifest_contents::Contents;
use crate::follow::succession;
use crate::lead::run::RunBuilder;
use crate::lead::table_writer::TableWriting;
use crate::read::files::FileMeta;

/// Why a log's replay ended before its end.
enum End {
    /// The file ends inside a record.
    Torn { offset: u64, bytes: u64 },
    /// A record that is whole but wrong, or missing.
    Bad { offset: u64, what: String },
}

/// Logs being replayed.
pub(super) struct Replay<'a> {
    writing: &'a TableWriting,
    options: &'a Options,
    /// The tables written, older ones first. Later ones get higher numbers, which on level 0 means newer. All but the
    /// last ones are synced.
    pub(super) written: Vec<Arc<FileMeta>>,
    /// The files of the last ones.
    pub(super) unsynced: Vec<Box<dyn WriteFile>>,
    pub(super) last: Sequence,
    pub(super) dropped: Vec<String>,
    /// Those of them by which something may be lost that was answered.
    pub(super) lost: Vec<String>,
    /// The logs to be set aside.
    pub(super) aside: Aside,
    /// From this sequence on the records of the log that is read do not count.
    end: Sequence,
    /// How many of them there were.
    late: u64,
    /// The last sequence that a log had.
    in_logs: Sequence,
    /// The last one that an earlier log had than the one that is read.
    behind: Sequence,
}

/// Records of a log that go into one table.
#[derive(Default)]
struct Piece<'a> {
    /// Each is a good batch.
    payloads: Vec<Cow<'a, [u8]>>,
    /// Bytes that their operations would need in a memtable.
    demand: usize,
}

impl<'a> Replay<'a> {
    pub(super) fn new(
        writing: &'a TableWriting,
        options: &'a Options,
        contents: &Contents,
    ) -> Replay<'a> {
        Replay {
            writing,
            options,
            written: Vec::new(),
            unsynced: Vec::new(),
            last: contents.last_sequence,
            dropped: Vec::new(),
            lost: Vec::new(),
            aside: Aside::default(),
            end: Sequence::MAX,
            late: 0,
            in_logs: 0,
            behind: 0,
        }
    }

    /// For each log, from which sequence on its records do not count. After a loss of power, and where another program may
    /// have written the logs, they all do.
    fn ends(&self, logs: &[u64]) -> Result<Vec<Sequence>> {
        match self.options.recovery {
            RecoveryMode::SameBoot if !self.options.foreign_logs => {
                succession::ends_of(self.writing.fs.as_ref(), logs)
            }
            _ => Ok(vec![Sequence::MAX; logs.len()]),
        }
    }

    /// A log is read from here on.
    fn begin_log(&mut self, end: Sequence) {
        (self.end, self.late, self.behind) = (end, 0, self.in_logs);
    }

    /// The log was read: what was left out of it is said.
    fn end_log(&mut self, name: &str) {
        if self.late > 0 {
            self.dropped
                .push(succession::said(self.late, name, self.end));
        }
    }

    pub(super) fn run(&mut self, logs: &[u64]) -> Result<()> {
        let after_reboot = self.options.recovery == RecoveryMode::AfterReboot;
        let ends = self.ends(logs)?;
        for (at, (&number, end)) in logs.iter().zip(ends).enumerate() {
            self.begin_log(end);
            let name = filename::log(number);
            let read = self.writing.fs.read(&name);
            let bytes = Bytes::from(read.map_err(|error| Error::io("read", &name, error))?);
            let end = self.replay(&name, &bytes)?;
            self.end_log(&name);
            match end {
                None => continue,
                Some(End::Torn { offset, bytes }) => {
                    let what = format!(
                        "{bytes} bytes of a torn record at the end of {name}, offset {offset}"
                    );
                    match after_reboot {
                        // It may have been whole, and answered, before the power failed.
                        true => self.lose(what),
                        // Its process died before it could answer.
                        false => self.dropped.push(what),
                    }
                }
                Some(End::Bad { offset, what }) => {
                    let lost = bytes.len() as u64 - offset;
                    self.lose(format!(
                        "{lost} bytes of {name} from offset {offset} on: {what}"
                    ));
                    self.aside.damaged = Some((number, offset));
                }
            }
            if after_reboot {
                self.aside.later = logs[at + 1..].to_vec();
                break;
            }
        }
        Ok(())
    }

    /// Removes the tables that were written, because the opening fails. What can't be removed the next opening removes.
    pub(super) fn take_back(&mut self) {
        self.unsynced.clear();
        let health = &self.writing.health;
        for table in self.written.drain(..) {
            if health.check_owner(Before::Removal).is_ok() {
                let _ = self.writing.fs.remove(&filename::table(table.number));
            }
        }
    }

    fn lose(&mut self, sentence: String) {
        self.lost.push(sentence.clone());
        self.dropped.push(sentence);
    }

    /// Writes what is good of a log, and says what ended it before its end.
    fn replay(&mut self, name: &str, bytes: &Bytes) -> Result<Option<End>> {
        let mut reader = LogReader::new(bytes);
        let mut piece = Piece::default();
        let end = loop {
            let (payload, offset) = match reader.next() {
                None => break None,
                Some(LogItem::Record {
                    payload, offset, ..
                }) => (payload, offset),
                Some(LogItem::Torn { offset, bytes }) => break Some(End::Torn { offset, bytes }),
                Some(LogItem::Bad { offset, what, .. }) => break Some(End::Bad { offset, what }),
            };
            let demand = match self.follow(name, &payload, offset) {
                Ok(Some(demand)) => demand,
                Ok(None) => continue,
                Err(what) => break Some(End::Bad { offset, what }),
            };
            if demand > memory::MAX_DEMAND {
                let what = "a batch larger than any that is written";
                return Err(Error::corruption(name, Corruption::new(what).at(offset)));
            }
            if piece.demand > 0 && piece.demand + demand > 2 * self.options.write_buffer_size {
                self.write(std::mem::take(&mut piece), bytes)?;
            }
            piece.demand += demand;
            piece.payloads.push(payload);
        };
        if let Some(End::Bad { offset, what }) = &end
            && self.options.recovery == RecoveryMode::SameBoot
        {
            let error = Corruption::new(what.as_str()).at(*offset);
            return Err(Error::corruption(name, error));
        }
        self.write(piece, bytes)?;
        Ok(end)
    }

    /// Goes on to a record's last sequence, and gives what it would need in a memtable; `None` if it does not count; or says
    /// why it is bad.
    fn follow(
        &mut self,
        name: &str,
        payload: &[u8],
        offset: u64,
    ) -> std::result::Result<Option<usize>, String> {
        let batch = BatchRef::parse(payload).map_err(|error| error.what)?;
        if let Some(gap) = self.gap_before(&batch, offset) {
            match self.options.recovery {
                RecoveryMode::SameBoot => return Err(gap),
                // The first write behind it ends recovery; where there is none, nothing of this log is lost.
                RecoveryMode::AfterReboot => self.lose(format!("{name}: {gap}")),
            }
        }
        if self.options.recovery == RecoveryMode::AfterReboot && !self.options.foreign_logs {
            let (next, last) = (batch.sequence(), self.last);
            if batch.count() > 0 && next > last + 1 {
                return Err(format!(
                    "the writes between sequence {last} and {next} are missing"
                ));
            }
            if next <= self.behind {
                return Err(format!("an earlier log has sequence {next} too"));
            }
        }
        let counts = self.go_on_to_end_of(&batch);
        Ok(counts.then(|| memory::bytes_for(batch.iter())))
    }

    /// What is missing before a log that begins with this batch. A log that begins with an empty one is ours, whoever may
    /// have written the others. In the boot in which they were written, a log of ours that was begun while the engine ran
    /// goes on where the one before it ended.
    fn gap_before(&self, batch: &BatchRef<'_>, offset: u64) -> Option<String> {
        let goes_on = self.behind > 0
            && self.options.recovery == RecoveryMode::SameBoot
            && !self.options.foreign_logs
            && !succession::is_late(batch, self.end);
        let says_so = offset == 0 && (batch.count() == 0 || goes_on);
        says_so.then(|| succession::gap(batch, Some(self.last)))?
    }

    /// Goes on to a batch's last sequence. False: it does not count.
    fn go_on_to_end_of(&mut self, batch: &BatchRef<'_>) -> bool {
        if batch.count() == 0 {
            return false;
        }
        if succession::is_late(batch, self.end) {
            self.late += 1;
            return false;
        }
        let last = batch.sequence() + u64::from(batch.count()) - 1;
        self.in_logs = self.in_logs.max(last);
        self.last = self.last.max(last);
        true
    }

    /// Writes a piece of `log`.
    fn write(&mut self, piece: Piece<'_>, log: &Bytes) -> Result<()> {
        let mut builder = RunBuilder::new();
        builder.begin_log(log);
        for payload in piece.payloads {
            let (payload, own) = match payload {
                Cow::Borrowed(payload) => (payload, None),
                Cow::Owned(payload) => (&[][..], Some(Bytes::from(payload))),
            };
            let batch = BatchRef::parse(own.as_deref().unwrap_or(payload))
                .expect("a payload was parsed before it came into a piece");
            builder.add(batch, own.clone());
        }
        let run = builder.finish(self.writing.tables.comparator());
        for mut file in self.unsynced.drain(..) {
            let synced = file.sync();
            synced.map_err(|error| Error::io("sync", "a recovered table", error))?;
        }
        for table in run.write_fast(self.writing)? {
            self.written.push(table.meta);
            self.unsynced.push(table.file);
        }
        Ok(())
    }
}
