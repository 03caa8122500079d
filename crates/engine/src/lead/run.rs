//! [`Run`]: operations of logs in the order of their internal keys, where they lie in the logs' own bytes, to be written as
//! tables.
//!
//! Promises: every operation is there once, its key and value taken from the log; what is built beside the logs takes
//! some 50 bytes an operation. If an operation comes twice (only another program's log could have the same key and sequence
//! again), the later one counts, as it would in a memtable. It becomes one table, or two that have no key in
//! common, and not synced.
//! Must not know: why it is made, or who names the tables.
//!
//! A memtable would sort as well, but it is made to be read while it is written: filling one takes several times as long
//! as sorting positions.

use std::thread;

use bytes::Bytes;
use level_party_format::Comparator;
use level_party_format::batch::{BatchRef, Op};
use level_party_format::key::{self, InternalComparator, ValueType};

use crate::base::error::{Error, ErrorKind, Result};
use crate::lead::table_writer::{TableWriting, Unsynced};

/// Bytes of keys and values from which on they are written by two threads, as two tables that have no key in common.
const SPLIT_FROM: usize = 1 << 20;

/// Where one operation lies.
#[derive(Clone, Copy)]
struct OpPosition {
    tag: u64,
    /// Where its key begins.
    at: usize,
    key_len: u32,
    value_len: u32,
    /// In which of the run's buffers.
    buffer: u32,
    /// Bytes between its key and its value.
    gap: u8,
}

impl OpPosition {
    fn key<'a>(&self, buffers: &'a [Bytes]) -> &'a [u8] {
        &buffers[self.buffer as usize][self.at..][..self.key_len as usize]
    }

    fn value<'a>(&self, buffers: &'a [Bytes]) -> &'a [u8] {
        let at = self.at + self.key_len as usize + usize::from(self.gap);
        &buffers[self.buffer as usize][at..][..self.value_len as usize]
    }
}

/// Operations that are being gathered.
pub(crate) struct RunBuilder {
    buffers: Vec<Bytes>,
    /// The buffer of the log that was begun last.
    log: usize,
    positions: Vec<OpPosition>,
    /// A key, and how many bytes all keys begin with alike.
    common: Option<Bytes>,
    /// Bytes of keys and values.
    bytes: usize,
}

impl RunBuilder {
    pub(crate) fn new() -> RunBuilder {
        RunBuilder {
            buffers: Vec::new(),
            log: 0,
            positions: Vec::new(),
            common: None,
            bytes: 0,
        }
    }

    /// Batches come from this log from now on.
    pub(crate) fn begin_log(&mut self, log: &Bytes) {
        self.log = self.buffers.len();
        self.buffers.push(log.clone());
    }

    /// Adds the operations of a batch, which lies in the log, or in bytes of its own.
    pub(crate) fn add(&mut self, batch: BatchRef<'_>, own: Option<Bytes>) {
        let buffer = match own {
            None => self.log,
            Some(own) => {
                self.buffers.push(own);
                self.buffers.len() - 1
            }
        };
        let home = &self.buffers[buffer];
        let base = home.as_ptr() as usize;
        self.positions.reserve(batch.count() as usize);
        for (sequence, op) in (batch.sequence()..).zip(batch.iter()) {
            let (key, value, kind) = match op {
                Op::Put { key, value } => (key, value, ValueType::Value),
                Op::Delete { key } => (key, &key[key.len()..], ValueType::Deletion),
            };
            let at = key.as_ptr() as usize - base;
            let value_at = value.as_ptr() as usize - base;
            match &mut self.common {
                None => self.common = Some(home.slice(at..at + key.len())),
                Some(common) if key.starts_with(common) => {}
                Some(common) => {
                    let alike = common.iter().zip(key).take_while(|(a, b)| a == b).count();
                    common.truncate(alike);
                }
            }
            self.bytes += key.len() + value.len();
            self.positions.push(OpPosition {
                tag: key::pack_tag(sequence, kind),
                at,
                key_len: len_u32(key.len()),
                value_len: len_u32(value.len()),
                buffer: len_u32(buffer),
                gap: (value_at - at - key.len()) as u8,
            });
        }
    }

    /// The run of what was added.
    pub(crate) fn finish(self, order: &InternalComparator) -> Run {
        let common = self.common.as_ref().map_or(0, Bytes::len);
        Run {
            in_order: sorted(&self.buffers, &self.positions, common, &order.user),
            buffers: self.buffers,
            positions: self.positions,
            user: order.user.clone(),
            bytes: self.bytes,
        }
    }
}

fn len_u32(len: usize) -> u32 {
    u32::try_from(len)
        .expect("a batch and its parts are below 4 GiB, and no log has as many batches")
}

/// A place by its index, and the beginning of its key behind what all keys have in common, as a number.
struct Headed {
    head: u64,
    at: u32,
}

/// The places in the order of their internal keys, each internal key once. They are not moved: to write memory for the
/// first time costs more than to read it in any order.
fn sorted(
    buffers: &[Bytes],
    positions: &[OpPosition],
    common: usize,
    user: &Comparator,
) -> Vec<Headed> {
    let head_of = |position: &OpPosition| match user {
        Comparator::Bytewise => head(&position.key(buffers)[common..]),
        Comparator::Custom(_) => 0,
    };
    let headed = |(at, position): (usize, &OpPosition)| Headed {
        head: head_of(position),
        at: len_u32(at),
    };
    let mut order: Vec<Headed> = positions.iter().enumerate().map(headed).collect();
    // By the heads alone first: most keys differ there, and numbers are sorted several times as fast.
    order.sort_unstable_by_key(|headed| headed.head);
    let position = |headed: &Headed| &positions[headed.at as usize];
    let compare = |a: &Headed, b: &Headed| {
        let (one, other) = (position(a), position(b));
        let keys = user.compare(one.key(buffers), other.key(buffers));
        keys.then(other.tag.cmp(&one.tag))
    };
    for alike in order.chunk_by_mut(|a, b| a.head == b.head) {
        if alike.len() > 1 {
            // Of the same internal key the later one comes first.
            alike.sort_unstable_by(|a, b| compare(a, b).then(b.at.cmp(&a.at)));
        }
    }
    order.dedup_by(|again, first| again.head == first.head && compare(again, first).is_eq());
    order
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

/// Operations in the order of their internal keys.
pub(crate) struct Run {
    buffers: Vec<Bytes>,
    positions: Vec<OpPosition>,
    in_order: Vec<Headed>,
    user: Comparator,
    bytes: usize,
}

impl Run {
    /// Writes its entries as one table; none if there are none. It is not synced.
    pub(crate) fn write(&self, writing: &TableWriting) -> Result<Vec<Unsynced>> {
        Ok(self.whole().write(writing)?.into_iter().collect())
    }

    /// As [`Run::write`], but many entries as two tables, written at the same time.
    pub(crate) fn write_fast(&self, writing: &TableWriting) -> Result<Vec<Unsynced>> {
        let Some((first, second)) = self.halves().filter(|_| self.bytes >= SPLIT_FROM) else {
            return self.write(writing);
        };
        let tables = thread::scope(|scope| {
            let builder = thread::Builder::new().name("level-party-recovery".to_owned());
            let second = builder.spawn_scoped(scope, || second.write(writing));
            let second = second.map_err(|error| {
                Error::with_source(ErrorKind::Io, "can't start a thread", error)
            })?;
            let first = first.write(writing);
            let panicked = |_| {
                Err(Error::new(
                    ErrorKind::Io,
                    "panicked while a table was written",
                ))
            };
            let second = second.join().unwrap_or_else(panicked);
            Ok([first?, second?])
        })?;
        Ok(tables.into_iter().flatten().collect())
    }

    fn position(&self, headed: &Headed) -> &OpPosition {
        &self.positions[headed.at as usize]
    }

    /// All its entries.
    fn whole(&self) -> Part<'_> {
        Part {
            run: self,
            entries: &self.in_order,
        }
    }

    /// Two parts of which neither has a key of the other.
    fn halves(&self) -> Option<(Part<'_>, Part<'_>)> {
        let key = |headed: &Headed| self.position(headed).key(&self.buffers);
        let middle = self.in_order.len() / 2;
        let before = key(self.in_order.get(middle)?);
        let again = self.in_order[middle..]
            .iter()
            .take_while(|headed| self.user.compare(key(headed), before).is_eq());
        let (first, second) = self.in_order.split_at(middle + again.count());
        let part = |entries| Part { run: self, entries };
        (!second.is_empty()).then_some((part(first), part(second)))
    }

    fn internal_key(&self, position: &OpPosition, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(position.key(&self.buffers));
        into.extend_from_slice(&position.tag.to_le_bytes());
    }
}

/// Entries of a run that follow each other.
#[derive(Clone, Copy)]
struct Part<'a> {
    run: &'a Run,
    entries: &'a [Headed],
}

impl Part<'_> {
    /// Gives each entry's internal key and value, in order, until `take` fails.
    fn try_each(&self, mut take: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
        let mut internal_key = Vec::new();
        for headed in self.entries {
            let position = self.run.position(headed);
            self.run.internal_key(position, &mut internal_key);
            take(&internal_key, position.value(&self.run.buffers))?;
        }
        Ok(())
    }

    fn write(&self, writing: &TableWriting) -> Result<Option<Unsynced>> {
        if self.entries.is_empty() {
            return Ok(None);
        }
        let mut table = writing.begin()?;
        self.try_each(|internal_key, value| table.add(internal_key, value))?;
        table.end().map(Some)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
