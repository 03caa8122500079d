//! [`Run`]: operations of logs in the order of their internal keys, where they lie in the logs' own bytes.
//!
//! Promises: every operation is there once, its key and value taken from the log; what is built beside the logs takes
//! some 50 bytes an operation. If an operation comes twice (only another program's log could have the same key and sequence
//! again), the later one counts, as it would in a memtable. A run never changes.
//! Must not know: why it is made, or what becomes of it.
//!
//! A memtable would sort as well, but it is made to be read while it is written: filling one takes several times as long
//! as sorting positions.

use std::sync::Arc;

use bytes::Bytes;
use level_party_format::batch::{BatchRef, Op};
use level_party_format::key::{self, InternalComparator, ValueType};
use level_party_format::{Comparator, Sequence};
use level_party_memtable::Lookup;

use crate::base::error::Result;

/// Where one operation lies.
#[derive(Clone, Copy)]
struct Place {
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

impl Place {
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
    places: Vec<Place>,
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
            places: Vec::new(),
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
        self.places.reserve(batch.count() as usize);
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
            self.places.push(Place {
                tag: key::pack_tag(sequence, kind),
                at,
                key_len: len_u32(key.len()),
                value_len: len_u32(value.len()),
                buffer: len_u32(buffer),
                gap: (value_at - at - key.len()) as u8,
            });
        }
    }

    /// The run of what was added, which goes up to the sequence `last`.
    pub(crate) fn finish(self, order: &InternalComparator, last: Sequence) -> Run {
        let common = self.common.as_ref().map_or(0, Bytes::len);
        Run {
            in_order: sorted(&self.buffers, &self.places, common, &order.user),
            buffers: self.buffers,
            places: self.places,
            order: order.clone(),
            bytes: self.bytes,
            last,
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
fn sorted(buffers: &[Bytes], places: &[Place], common: usize, user: &Comparator) -> Vec<Headed> {
    let head_of = |place: &Place| match user {
        Comparator::Bytewise => head(&place.key(buffers)[common..]),
        Comparator::Custom(_) => 0,
    };
    let headed = |(at, place): (usize, &Place)| Headed {
        head: head_of(place),
        at: len_u32(at),
    };
    let mut order: Vec<Headed> = places.iter().enumerate().map(headed).collect();
    // By the heads alone first: most keys differ there, and numbers are sorted several times as fast.
    order.sort_unstable_by_key(|headed| headed.head);
    let place = |headed: &Headed| &places[headed.at as usize];
    let compare = |a: &Headed, b: &Headed| {
        let (one, other) = (place(a), place(b));
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

/// Operations in the order of their internal keys, to be read or written as tables.
pub struct Run {
    buffers: Vec<Bytes>,
    places: Vec<Place>,
    in_order: Vec<Headed>,
    order: InternalComparator,
    bytes: usize,
    last: Sequence,
}

impl Run {
    /// The sequence up to which it has every write.
    pub(crate) fn last_sequence(&self) -> Sequence {
        self.last
    }

    /// Bytes of the keys and values, and of what is kept of each.
    pub(crate) fn bytes_used(&self) -> usize {
        self.bytes + size_of_val(&*self.places) + size_of_val(&*self.in_order)
    }

    /// What it knows of a user key at `sequence`.
    pub(crate) fn get(&self, user_key: &[u8], sequence: Sequence) -> Lookup<'_> {
        let newest = key::pack_tag(sequence, ValueType::Value);
        let Some(place) = self.entry(self.first_at(user_key, newest)) else {
            return Lookup::Absent;
        };
        if self
            .order
            .user
            .compare(place.key(&self.buffers), user_key)
            .is_ne()
        {
            return Lookup::Absent;
        }
        let sequence = place.tag >> 8;
        match place.tag as u8 == ValueType::Value as u8 {
            true => Lookup::Value {
                sequence,
                value: place.value(&self.buffers),
            },
            false => Lookup::Deleted { sequence },
        }
    }

    fn entry(&self, index: usize) -> Option<&Place> {
        self.in_order.get(index).map(|headed| self.place(headed))
    }

    fn place(&self, headed: &Headed) -> &Place {
        &self.places[headed.at as usize]
    }

    /// The index of the first entry at or after an internal key.
    fn first_at(&self, user_key: &[u8], tag: u64) -> usize {
        self.in_order.partition_point(|headed| {
            let place = self.place(headed);
            let keys = self.order.user.compare(place.key(&self.buffers), user_key);
            // Higher tags come first.
            keys.then(tag.cmp(&place.tag)).is_lt()
        })
    }

    /// Bytes of the keys and values.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All its entries.
    pub(crate) fn whole(&self) -> Part<'_> {
        Part {
            run: self,
            entries: &self.in_order,
        }
    }

    /// Two parts of which neither has a key of the other.
    pub(crate) fn halves(&self) -> Option<(Part<'_>, Part<'_>)> {
        let key = |headed: &Headed| self.place(headed).key(&self.buffers);
        let middle = self.in_order.len() / 2;
        let before = key(self.in_order.get(middle)?);
        let again = self.in_order[middle..]
            .iter()
            .take_while(|headed| self.order.user.compare(key(headed), before).is_eq());
        let (first, second) = self.in_order.split_at(middle + again.count());
        let part = |entries| Part { run: self, entries };
        (!second.is_empty()).then_some((part(first), part(second)))
    }

    fn internal_key(&self, place: &Place, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(place.key(&self.buffers));
        into.extend_from_slice(&place.tag.to_le_bytes());
    }
}

/// Entries of a run that follow each other.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    run: &'a Run,
    entries: &'a [Headed],
}

impl Part<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Gives each entry's internal key and value, in order, until `take` fails.
    pub(crate) fn try_each(&self, mut take: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
        let mut internal_key = Vec::new();
        for headed in self.entries {
            let place = self.run.place(headed);
            self.run.internal_key(place, &mut internal_key);
            take(&internal_key, place.value(&self.run.buffers))?;
        }
        Ok(())
    }
}

/// An iterator over a run's entries.
pub(crate) struct RunIter {
    run: Arc<Run>,
    /// The entry's index; that of none if not valid.
    at: usize,
    /// The entry's internal key; empty if not valid.
    key: Vec<u8>,
}

impl RunIter {
    pub(crate) fn new(run: &Arc<Run>) -> RunIter {
        RunIter {
            run: Arc::clone(run),
            at: usize::MAX,
            key: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn valid(&self) -> bool {
        self.at < self.run.in_order.len()
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        let place = self.run.entry(self.at);
        place.map_or(&[], |place| place.value(&self.run.buffers))
    }

    pub(crate) fn seek_to_first(&mut self) {
        self.go_to(0);
    }

    pub(crate) fn seek_to_last(&mut self) {
        self.go_to(self.run.in_order.len().wrapping_sub(1));
    }

    pub(crate) fn seek(&mut self, internal_key: &[u8]) {
        let at = self
            .run
            .first_at(key::user_key(internal_key), key::tag(internal_key));
        self.go_to(at);
    }

    pub(crate) fn next(&mut self) {
        if self.valid() {
            self.go_to(self.at + 1);
        }
    }

    pub(crate) fn prev(&mut self) {
        if self.valid() {
            self.go_to(self.at.wrapping_sub(1));
        }
    }

    fn go_to(&mut self, at: usize) {
        self.at = at;
        match self.run.entry(at) {
            Some(place) => self.run.internal_key(place, &mut self.key),
            None => self.key.clear(),
        }
    }
}

#[cfg(test)]
mod tests;
