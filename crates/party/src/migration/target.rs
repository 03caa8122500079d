//! What is done to the target of a migration: batches as large as it takes, and the comparison with the source.

use std::collections::BTreeMap;
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::db::Db;
use crate::error::{Error, ErrorKind, Result};
use crate::faults;
use crate::read::Readable;
use crate::snapshot::Snapshot;
use crate::writes::WriteBatch;

/// Operations and bytes of one batch.
const BATCH_OPS: usize = 1000;
const BATCH_BYTES: usize = 1 << 20;
/// Parts of so many entries or bytes are read ahead while two databases are compared.
const PART_ENTRIES: usize = 1000;
const PART_BYTES: usize = 1 << 20;
const PARTS_AHEAD: usize = 2;

pub(super) type Entry = (Vec<u8>, Vec<u8>);

/// An entry of the source, or that there is none.
pub(super) struct Op {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

impl From<(Vec<u8>, Option<Vec<u8>>)> for Op {
    fn from((key, value): (Vec<u8>, Option<Vec<u8>>)) -> Op {
        Op { key, value }
    }
}

/// Hands over what makes the `existing` entries of the target the `wanted` ones, some operations at a time.
pub(super) fn difference(
    existing: impl Iterator<Item = Result<Entry>>,
    wanted: Vec<Entry>,
    mut make: impl FnMut(Vec<Op>) -> Result<()>,
) -> Result<()> {
    let mut wanted: BTreeMap<_, _> = wanted.into_iter().collect();
    let mut ops = Vec::new();
    for entry in existing {
        let (key, old) = entry?;
        match wanted.remove(&key) {
            Some(value) if value == old => {}
            value => ops.push(Op { key, value }),
        }
        if ops.len() >= BATCH_OPS {
            make(std::mem::take(&mut ops))?;
        }
    }
    ops.extend(wanted.into_iter().map(|(key, value)| Op {
        key,
        value: Some(value),
    }));
    make(ops)
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

/// Reads both to their ends, side by side.
///
/// # Errors
/// `Corruption`: they differ; the message names the first key that does.
pub(super) fn compare(
    source: &Snapshot,
    target: &Db,
    mut told: impl FnMut(&Contents),
) -> Result<Contents> {
    std::thread::scope(|scope| {
        let (parts, theirs) = sync_channel(PARTS_AHEAD);
        std::thread::Builder::new()
            .name("level-party-compare".into())
            .spawn_scoped(scope, move || read_ahead(target, &parts))
            .map_err(|error| Error::io("cannot start a thread", error))?;
        let mut theirs = theirs.into_iter().flatten();
        let mut contents = Contents::default();
        for entry in source.iter() {
            let (key, value) = entry?;
            match theirs.next().transpose()? {
                Some((other, held)) if other == key && held == value => {}
                _ => return Err(differs(&key)),
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
    })
}

/// Gives all entries, in parts, as long as anybody takes them.
fn read_ahead(db: &Db, parts: &SyncSender<Vec<Result<Entry>>>) {
    let (mut part, mut bytes) = (Vec::new(), 0);
    for entry in db.iter() {
        bytes += entry
            .as_ref()
            .map_or(0, |(key, value)| key.len() + value.len());
        part.push(entry);
        if part.len() >= PART_ENTRIES || bytes >= PART_BYTES {
            bytes = 0;
            if parts.send(std::mem::take(&mut part)).is_err() {
                return;
            }
        }
    }
    // Nobody takes the last part where a difference was found before.
    let _ = parts.send(part);
}

fn differs(key: &[u8]) -> Error {
    let what = format!(
        "the copy differs from its source, first at the key \"{}\": somebody else wrote to it",
        key.escape_ascii()
    );
    Error::new(ErrorKind::Corruption, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: usize, value: &str) -> Entry {
        (format!("{n:05}").into_bytes(), value.into())
    }

    #[test]
    fn difference_is_handed_over_in_batches_however_much_is_to_go() {
        let existing = (0..5500).map(|n| Ok(entry(n, "old")));
        let wanted = vec![entry(7, "old"), entry(8, "new"), entry(9999, "new")];
        let mut state: BTreeMap<_, _> = (0..5500).map(|n| entry(n, "old")).collect();
        let mut most = 0;
        let make = |ops: Vec<Op>| {
            most = most.max(ops.len());
            for Op { key, value } in ops {
                match value {
                    Some(value) => state.insert(key, value),
                    None => state.remove(&key),
                };
            }
            Ok(())
        };
        difference(existing, wanted.clone(), make).expect("made");
        assert_eq!(state.into_iter().collect::<Vec<_>>(), wanted);
        assert!(most <= BATCH_OPS, "{most} at once");
    }
}
