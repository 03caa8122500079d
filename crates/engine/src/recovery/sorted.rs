//! [`write_sorted`]: batches of a log as one table.
//!
//! Promises: every operation is in the table once, its key and value taken from the log's own bytes; what is built
//! beside them takes some 70 bytes an operation. If an operation comes twice (only another program's log could have the
//! same key and sequence again), the later one counts, as it would in a memtable.
//! Must not know: logs, or what was recovered before.
//!
//! A memtable would sort as well, but it is made to be read while it is written: filling one takes several times as long
//! as sorting positions, and nobody reads while an engine is opened.

use std::thread;

use level_party_format::Comparator;
use level_party_format::batch::{BatchRef, Op};
use level_party_format::key::{self, ValueType};

use crate::error::{Error, ErrorKind, Result};
use crate::flush::{TableWriting, Unsynced};

/// One operation, with its tag.
struct Tagged<'a> {
    key: &'a [u8],
    value: &'a [u8],
    tag: u64,
}

/// The place of an operation, and the beginning of its key behind what all keys have in common, as a number: most
/// comparisons look no further.
struct Place {
    head: u64,
    at: usize,
}

/// Bytes of keys and values from which on they are written by two threads, as two tables that have no key in common.
const SPLIT_FROM: usize = 1 << 20;

/// Writes a table of all operations; two of many, one behind the other; none if there are no operations.
pub(super) fn write_sorted<'a>(
    writing: &TableWriting,
    batches: impl Iterator<Item = BatchRef<'a>>,
) -> Result<Vec<Unsynced>> {
    let ops = tagged(batches);
    let order = sorted(&ops, &writing.options.comparator.user);
    let sorted = Sorted {
        ops: &ops,
        order: &order,
        writing,
    };
    let bytes: usize = ops.iter().map(|op| op.key.len() + op.value.len()).sum();
    let tables = match sorted.halves().filter(|_| bytes >= SPLIT_FROM) {
        None => vec![sorted.write()?],
        Some((first, second)) => thread::scope(|scope| {
            let builder = thread::Builder::new().name("level-party-recovery".to_owned());
            let second = builder.spawn_scoped(scope, || second.write());
            let second = second.map_err(|error| {
                Error::with_source(ErrorKind::Io, "can't start a thread", error)
            })?;
            let first = first.write();
            let panicked = |_| {
                Err(Error::new(
                    ErrorKind::Io,
                    "panicked while a table was written",
                ))
            };
            let second = second.join().unwrap_or_else(panicked);
            Ok(vec![first?, second?])
        })?,
    };
    Ok(tables.into_iter().flatten().collect())
}

/// Operations in order.
#[derive(Clone, Copy)]
struct Sorted<'a> {
    ops: &'a [Tagged<'a>],
    order: &'a [Place],
    writing: &'a TableWriting,
}

impl<'a> Sorted<'a> {
    /// Two parts of which neither has a key of the other.
    fn halves(self) -> Option<(Sorted<'a>, Sorted<'a>)> {
        let key = |place: &Place| self.ops[place.at].key;
        let user = &self.writing.options.comparator.user;
        let middle = self.order.len() / 2;
        let before = key(self.order.get(middle)?);
        let again = self.order[middle..]
            .iter()
            .take_while(|place| user.compare(key(place), before).is_eq());
        let (first, second) = self.order.split_at(middle + again.count());
        let part = |order| Sorted { order, ..self };
        (!second.is_empty()).then(|| (part(first), part(second)))
    }

    fn write(self) -> Result<Option<Unsynced>> {
        if self.order.is_empty() {
            return Ok(None);
        }
        let user = &self.writing.options.comparator.user;
        let mut table = self.writing.begin()?;
        let mut internal_key = Vec::new();
        let mut places = self.order.iter().peekable();
        while let Some(place) = places.next() {
            let op = &self.ops[place.at];
            if places
                .peek()
                .is_some_and(|next| comes_again(op, &self.ops[next.at], user))
            {
                continue;
            }
            internal_key.clear();
            internal_key.extend_from_slice(op.key);
            internal_key.extend_from_slice(&op.tag.to_le_bytes());
            table.add(&internal_key, op.value)?;
        }
        table.end().map(Some)
    }
}

fn tagged<'a>(batches: impl Iterator<Item = BatchRef<'a>>) -> Vec<Tagged<'a>> {
    let mut ops = Vec::new();
    for batch in batches {
        for (sequence, op) in (batch.sequence()..).zip(batch.iter()) {
            let (key, value, kind) = match op {
                Op::Put { key, value } => (key, value, ValueType::Value),
                Op::Delete { key } => (key, &b""[..], ValueType::Deletion),
            };
            let tag = key::pack_tag(sequence, kind);
            ops.push(Tagged { key, value, tag });
        }
    }
    ops
}

/// The places in the order of their internal keys; of the same internal key, in the order in which they came.
fn sorted(ops: &[Tagged<'_>], user: &Comparator) -> Vec<Place> {
    let common = match user {
        Comparator::Bytewise => Some(common_prefix(ops)),
        Comparator::Custom(_) => None,
    };
    let place = |(at, op): (usize, &Tagged<'_>)| Place {
        head: common.map_or(0, |common| head(&op.key[common..])),
        at,
    };
    let mut order: Vec<Place> = ops.iter().enumerate().map(place).collect();
    order.sort_by(|a, b| {
        a.head.cmp(&b.head).then_with(|| {
            let (a, b) = (&ops[a.at], &ops[b.at]);
            let keys = match common {
                Some(common) => a.key[common..].cmp(&b.key[common..]),
                None => user.compare(a.key, b.key),
            };
            keys.then(b.tag.cmp(&a.tag))
        })
    });
    order
}

/// How many bytes all keys begin with alike.
fn common_prefix(ops: &[Tagged<'_>]) -> usize {
    let first = ops.first().map_or(&b""[..], |op| op.key);
    ops.iter().fold(first.len(), |common, op| {
        if op.key.starts_with(&first[..common]) {
            return common;
        }
        let alike = first.iter().zip(op.key).take_while(|(a, b)| a == b);
        alike.count()
    })
}

/// The first eight bytes as a number that is ordered as they are. Two keys of which one ends there have the same number
/// or are in their order.
fn head(key: &[u8]) -> u64 {
    match key.first_chunk() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => {
            let mut bytes = [0; 8];
            bytes[..key.len()].copy_from_slice(key);
            u64::from_be_bytes(bytes)
        }
    }
}

fn comes_again(op: &Tagged<'_>, next: &Tagged<'_>, user: &Comparator) -> bool {
    op.tag == next.tag && user.compare(op.key, next.key).is_eq()
}

#[cfg(test)]
mod tests;
