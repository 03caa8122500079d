//! Compares a frozen memtable with its log, before its table takes the log's place (docs/COMMIT.md, F2).
//!
//! Promises: a memtable that differs from a log which is whole is found; a log that is missing, damaged or short says nothing,
//! and then the memtable is the better copy.
//! Why: every member has the memtables mapped for writing. What a faulty program stores into them by mistake would get a
//! valid checksum with its table, and the log that could tell would be removed.
//! Must not know: what becomes of a memtable that differs.
//!
//! The sum is 64 bits over all entries, in any order. It finds accidents, not attackers: whoever may write the memory may
//! write the log too.

use level_party_format::Sequence;
use level_party_format::batch::Op;
use level_party_format::crc::{crc32c, extend};
use level_party_format::key::{ValueType, append_internal_key};

use crate::base::fs::Fs;
use crate::follow::log_reader::{Found, LogRecords};

/// The number of entries, and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    count: u64,
    sum: u64,
}

impl Entries {
    /// Adds an entry.
    pub(crate) fn add(&mut self, internal_key: &[u8], value: &[u8]) {
        let key = crc32c(internal_key);
        let whole = extend(key, value);
        self.count += 1;
        self.sum = self
            .sum
            .wrapping_add(u64::from(key) << 32 | u64::from(whole));
    }
}

/// The entries of a log with the sequences behind `before` up to `last`; `None` if one of them can't be read.
pub(crate) fn entries_of_log(
    fs: &dyn Fs,
    log: u64,
    before: Sequence,
    last: Sequence,
) -> Option<Entries> {
    let mut records = LogRecords::open(fs, log).ok()??;
    let mut entries = Entries::default();
    let mut internal_key = Vec::new();
    let mut next = before + 1;
    while next <= last {
        let Ok(Found::Record(batch)) = records.find(next, last) else {
            return None;
        };
        // A record that begins before would be another one.
        if batch.sequence() != next {
            return None;
        }
        for op in &batch {
            let (kind, value) = match op {
                Op::Put { value, .. } => (ValueType::Value, value),
                Op::Delete { .. } => (ValueType::Deletion, &[][..]),
            };
            internal_key.clear();
            append_internal_key(&mut internal_key, op.key(), next, kind);
            entries.add(&internal_key, value);
            next += 1;
        }
    }
    Some(entries)
}
