//! What is done to the target of a migration: batches as large as it takes, and the comparison with the source.

use std::collections::HashMap;

use crate::db::Db;
use crate::error::{Error, ErrorKind, Result};
use crate::faults;
use crate::read::Readable;
use crate::snapshot::Snapshot;
use crate::watch::Change;
use crate::writes::WriteBatch;

/// Operations and bytes of one batch.
const BATCH_OPS: usize = 1000;
const BATCH_BYTES: usize = 1 << 20;

/// An entry of the source, or that there is none.
pub(super) struct Op {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

impl From<Change> for Op {
    fn from(change: Change) -> Op {
        Op {
            key: change.key,
            value: change.value,
        }
    }
}

/// What makes `existing` entries of the target the `wanted` ones.
pub(super) fn difference(
    existing: Vec<(Vec<u8>, Vec<u8>)>,
    wanted: Vec<(Vec<u8>, Vec<u8>)>,
) -> Vec<Op> {
    let mut existing: HashMap<_, _> = existing.into_iter().collect();
    let mut ops = Vec::new();
    for (key, value) in wanted {
        if existing.remove(&key).is_none_or(|old| old != value) {
            ops.push(Op {
                key,
                value: Some(value),
            });
        }
    }
    ops.extend(existing.into_keys().map(|key| Op { key, value: None }));
    ops
}

/// Makes these in their order.
pub(super) fn apply(target: &Db, ops: Vec<Op>) -> Result<()> {
    let limits = target.limits();
    let (most_ops, most_bytes) = (
        limits.batch_len.min(BATCH_OPS),
        limits.batch_bytes.min(BATCH_BYTES),
    );
    let mut batch = WriteBatch::new();
    let mut bytes = 0;
    for Op { key, value } in ops {
        let len = key.len() + value.as_ref().map_or(0, Vec::len);
        if batch.len() >= most_ops || (bytes + len > most_bytes && !batch.is_empty()) {
            write(target, &batch)?;
            batch.clear();
            bytes = 0;
        }
        bytes += len;
        match value {
            Some(value) => batch.put(key, value),
            None => batch.delete(key),
        };
    }
    match batch.is_empty() {
        true => Ok(()),
        false => write(target, &batch),
    }
}

fn write(target: &Db, batch: &WriteBatch) -> Result<()> {
    faults::point("copy-writes");
    target.write(batch)
}

/// What all entries of a database are, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Contents {
    /// How many there are.
    pub entries: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// CRC-32C of each entry's length of the key (u64, little-endian), key, length of the value, value.
    pub crc32c: u32,
}

impl Contents {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.entries += 1;
        self.bytes += (key.len() + value.len()) as u64;
        for part in [key, value] {
            self.crc32c = crc32c::crc32c_append(self.crc32c, &(part.len() as u64).to_le_bytes());
            self.crc32c = crc32c::crc32c_append(self.crc32c, part);
        }
    }
}

/// Reads both to their ends.
///
/// # Errors
/// `Corruption`: they differ; the message names the first key that does.
pub(super) fn compare(
    source: &Snapshot,
    target: &Db,
    mut told: impl FnMut(&Contents),
) -> Result<Contents> {
    let mut theirs = target.iter();
    let mut contents = Contents::default();
    for entry in source.iter() {
        let (key, value) = entry?;
        let other = theirs.next().transpose()?;
        if other.is_none_or(|other| other != (key.clone(), value.clone())) {
            return Err(differs(&key));
        }
        contents.add(&key, &value);
        if contents.entries.is_multiple_of(10_000) {
            told(&contents);
        }
    }
    match theirs.next().transpose()? {
        Some((key, _)) => Err(differs(&key)),
        None => Ok(contents),
    }
}

fn differs(key: &[u8]) -> Error {
    let what = format!(
        "the copy differs from its source, first at the key \"{}\": somebody else wrote to it",
        key.escape_ascii()
    );
    Error::new(ErrorKind::Corruption, what)
}
