//! [`LogRecords`]: the records of one log, read while others write it.
//!
//! Promises: nothing is given beyond the sequence that the caller knows to be committed; what is given was read after that
//! was known. Behind it the log may hold a part of a record, or a record that is cut off and overwritten by another one: such
//! bytes are read again before anything of them counts. A record that is missing or bad is said to be missing, and those
//! behind it are given.
//! Must not know: how far a log is committed, which log comes next, or who writes it.

use std::io;

use level_party_format::batch::{BatchRef, WriteBatch};
use level_party_format::log::{LogItem, LogReader};
use level_party_format::{Sequence, filename};

use crate::base::error::{Error, Result};
use crate::base::fs::{Fs, LogFile};

/// Bytes that are read at a time: at first, and at most where more and more are there.
const LEAST_READ: usize = 4 << 10;
const MOST_READ: usize = 256 << 10;
/// Bytes of memory that are kept from one record to the next.
const KEPT_BYTES: usize = 1 << 20;

/// The records of a log, in order.
pub(crate) struct LogRecords {
    name: String,
    file: Box<dyn LogFile>,
    /// Where `bytes` begin in the log.
    start: u64,
    bytes: Vec<u8>,
    /// How many of them were passed.
    passed: usize,
    /// The log ends with them.
    reach_end: bool,
    /// What was known to be committed before they were read.
    committed: Sequence,
    /// Bytes that are read next.
    read: usize,
}

/// What a log has for a sequence that is committed.
pub(crate) enum Found {
    /// The record that has it.
    Record(WriteBatch),
    /// It is not there; the first that may be.
    Missing { resume: Sequence },
}

/// How a log begins.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    /// The sequence of its first record.
    pub(crate) first: Sequence,
    /// That is the empty record of a beginning, and nothing follows it.
    pub(crate) is_alone: bool,
}

/// What comes next in the bytes that are in memory.
enum Item {
    Record {
        first: Sequence,
        last: Sequence,
        /// Where it ends in the log.
        end: u64,
        /// What it is, if it was asked for.
        batch: Option<WriteBatch>,
    },
    /// Bytes that are no record, up to here.
    Bad { end: u64 },
    /// No whole record.
    End,
}

impl LogRecords {
    /// Those of the log with this number, from its beginning; `None` if it is not there.
    pub(crate) fn open(fs: &dyn Fs, number: u64) -> Result<Option<LogRecords>> {
        let name = filename::log(number);
        let file = match fs.open_log(&name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", &name, error)),
        };
        Ok(Some(LogRecords {
            name,
            file,
            start: 0,
            bytes: Vec::new(),
            passed: 0,
            reach_end: false,
            committed: 0,
            read: LEAST_READ,
        }))
    }

    /// The record that has `sequence`, which is at or below `committed`: what is known to be committed in this log. Each call
    /// asks for a later sequence than the one before.
    pub(crate) fn find(&mut self, sequence: Sequence, committed: Sequence) -> Result<Found> {
        if sequence > self.committed && !planted!(UnpublishedBytesKept) {
            self.forget();
            self.committed = committed;
        }
        let behind = committed.saturating_add(1);
        loop {
            match self.next(sequence)? {
                Item::Record { last, end, .. } if last < sequence => self.pass_to(end),
                Item::Record { first, .. } if first > sequence => {
                    let resume = first.min(behind);
                    return Ok(Found::Missing { resume });
                }
                Item::Record {
                    last,
                    end,
                    batch: Some(batch),
                    ..
                } if last <= committed => {
                    self.pass_to(end);
                    return Ok(Found::Record(batch));
                }
                Item::Bad { end } => self.pass_to(end),
                Item::Record { .. } | Item::End => return Ok(Found::Missing { resume: behind }),
            }
        }
    }

    /// How the log begins; `None` if it has no record. Reading begins anew.
    pub(crate) fn head(&mut self) -> Result<Option<Head>> {
        let head = loop {
            match self.next(Sequence::MAX)? {
                Item::Bad { end } => self.pass_to(end),
                Item::End => break None,
                Item::Record {
                    first, last, end, ..
                } => {
                    self.pass_to(end);
                    let is_empty = last < first;
                    let is_alone = is_empty && matches!(self.next(Sequence::MAX)?, Item::End);
                    break Some(Head { first, is_alone });
                }
            }
        };
        self.start = 0;
        self.passed = 0;
        self.forget();
        self.committed = 0;
        Ok(head)
    }

    /// What comes next, with as much of the log in memory as it takes.
    fn next(&mut self, wanted: Sequence) -> Result<Item> {
        loop {
            let item = item_at(
                self.start + self.passed as u64,
                &self.bytes[self.passed..],
                wanted,
            );
            // The end of the bytes may have cut anything else off.
            if self.reach_end || matches!(item, Item::Record { .. }) {
                return Ok(item);
            }
            self.read_more()?;
        }
    }

    fn read_more(&mut self) -> Result<()> {
        self.start += self.passed as u64;
        self.bytes.drain(..self.passed);
        self.passed = 0;
        let had = self.bytes.len();
        // A long record is looked at again each time.
        let wanted = self.read.max(had);
        self.bytes.resize(had + wanted, 0);
        let offset = self.start + had as u64;
        let read = self.file.read_some(&mut self.bytes[had..], offset);
        self.bytes
            .truncate(had + read.as_ref().map_or(0, |read| *read));
        let read = read.map_err(|error| Error::read(&self.name, offset, wanted, error))?;
        self.reach_end = read == 0;
        self.read = match read == wanted {
            true => (2 * self.read).min(MOST_READ),
            false => LEAST_READ,
        };
        Ok(())
    }

    fn pass_to(&mut self, end: u64) {
        self.passed = end.saturating_sub(self.start) as usize;
    }

    /// Forgets the bytes that were not passed.
    fn forget(&mut self) {
        self.start += self.passed as u64;
        self.passed = 0;
        self.bytes.clear();
        self.reach_end = false;
        if self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
    }
}

/// What bytes begin with that begin at the offset `start` of a log. A record is copied only if it reaches `wanted`.
fn item_at(start: u64, bytes: &[u8], wanted: Sequence) -> Item {
    let (payload, end) = match LogReader::new_at(start, bytes).next() {
        Some(LogItem::Record { payload, end, .. }) => (payload, end),
        Some(LogItem::Bad { offset, bytes, .. }) => {
            return Item::Bad {
                end: offset + bytes,
            };
        }
        Some(LogItem::Torn { .. }) | None => return Item::End,
    };
    let Ok(batch) = BatchRef::parse(&payload) else {
        return Item::Bad { end };
    };
    let first = batch.sequence();
    let last = (first + u64::from(batch.count())).saturating_sub(1);
    let batch = match last >= wanted {
        true => WriteBatch::from_bytes(payload.into_owned()).ok(),
        false => None,
    };
    Item::Record {
        first,
        last,
        end,
        batch,
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
