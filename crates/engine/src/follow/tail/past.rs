//! [`PastLog`]: a log whose entries are in tables, for readers of batches that the window does not hold.
//!
//! Promises: what it gives was recovered or committed, under these sequences, and has no gap up to the log's last
//! sequence; a log that does not hold that, or can't be read, gives nothing. It is read when somebody asks, once for all
//! who ask at the same time, and stays in memory only while one of them reads it.
//! Must not know: which logs are kept, and for how long.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use level_party_format::Sequence;
use level_party_format::batch::{BatchRef, WriteBatch};
use level_party_format::filename;
use level_party_format::log::{LogItem, LogReader};
use parking_lot::Mutex;

use crate::base::fs::Fs;

/// A log whose entries are in tables.
pub(crate) struct PastLog {
    pub(crate) number: u64,
    /// The sequence of its first operation, if that is known without reading it.
    pub(crate) first: Option<Sequence>,
    /// The sequence of its last operation; if it is not known, the one before the next log's first.
    pub(crate) last: Option<Sequence>,
    /// Its bytes, if they are in memory.
    pub(crate) bytes: Option<Bytes>,
    /// It is on disk, and needed there.
    pub(crate) on_disk: bool,
    records: Mutex<Weak<Records>>,
}

impl PastLog {
    pub(crate) fn new(
        number: u64,
        first: Option<Sequence>,
        last: Option<Sequence>,
        bytes: Option<Bytes>,
    ) -> PastLog {
        PastLog {
            number,
            first,
            last,
            bytes,
            on_disk: true,
            records: Mutex::default(),
        }
    }

    /// The same without its bytes in memory.
    pub(crate) fn without_bytes(&self) -> PastLog {
        PastLog {
            bytes: None,
            records: Mutex::new(self.records.lock().clone()),
            ..*self
        }
    }

    /// The same, and not on disk.
    pub(crate) fn without_file(&self) -> PastLog {
        PastLog {
            bytes: self.bytes.clone(),
            on_disk: false,
            records: Mutex::new(self.records.lock().clone()),
            ..*self
        }
    }

    pub(crate) fn bytes_in_memory(&self) -> usize {
        self.bytes.as_ref().map_or(0, Bytes::len)
    }

    /// Its records up to the sequence `last`. A file that is gone, or can't be read, is a gap to whoever asks.
    pub(super) fn records(&self, fs: &dyn Fs, last: Sequence) -> Option<Arc<Records>> {
        let mut known = self.records.lock();
        if let Some(records) = known.upgrade() {
            return Some(records);
        }
        let bytes = match &self.bytes {
            Some(bytes) => bytes.clone(),
            None => Bytes::from(fs.read(&filename::log(self.number)).ok()?),
        };
        let records = Arc::new(Records::read(&bytes, last)?);
        *known = Arc::downgrade(&records);
        Some(records)
    }
}

/// Records without gaps between them.
pub(super) struct Records {
    records: Vec<Record>,
}

struct Record {
    first: Sequence,
    last: Sequence,
    payload: Bytes,
}

impl Records {
    /// The records that lead to the sequence `last` without a gap. What follows it was never committed, or is elsewhere.
    fn read(log: &Bytes, last: Sequence) -> Option<Records> {
        let mut records: Vec<Record> = Vec::new();
        for item in LogReader::new(log) {
            let LogItem::Record { payload, .. } = item else {
                return None;
            };
            let batch = BatchRef::parse(&payload).ok()?;
            if batch.count() == 0 {
                continue;
            }
            let first = batch.sequence();
            let record = Record {
                first,
                last: first + u64::from(batch.count()) - 1,
                payload: match payload {
                    std::borrow::Cow::Borrowed(payload) => log.slice_ref(payload),
                    std::borrow::Cow::Owned(payload) => Bytes::from(payload),
                },
            };
            if records
                .last()
                .is_some_and(|before| before.last + 1 != first)
            {
                records.clear();
            }
            let ends = record.last;
            records.push(record);
            if ends == last {
                return Some(Records { records });
            }
        }
        None
    }

    pub(super) fn first(&self) -> Option<Sequence> {
        self.records.first().map(|record| record.first)
    }

    /// The record with this sequence, as one batch.
    pub(super) fn find(&self, sequence: Sequence) -> Option<WriteBatch> {
        let at = self
            .records
            .partition_point(|record| record.last < sequence);
        let record = self.records.get(at)?;
        if sequence < record.first {
            return None;
        }
        // It was checked when it was read.
        WriteBatch::from_bytes(record.payload.to_vec()).ok()
    }
}
