//! A chunk of a range: its entries packed behind each other, and an index into them.
//!
//! A chunk is one allocation for any number of entries, and may be taken from both ends.

use std::cell::Cell;
use std::cmp::Ordering;

use crate::order::Order;

/// The most bytes of entries, and the same for the index, for which a thread keeps memory from one chunk to another: large
/// allocations are given back to the system at once, and each of their pages is asked of it anew.
const KEPT: usize = 256 << 10;

thread_local! {
    /// A thread's memory for its next chunk.
    static SPARE: Cell<Packed> = const { Cell::new(Packed { bytes: Vec::new(), index: Vec::new() }) };
}

/// What a chunk is packed in.
#[derive(Debug, Default)]
struct Packed {
    bytes: Vec<u8>,
    /// Where each entry's value begins, and where it ends.
    index: Vec<[usize; 2]>,
}

impl Packed {
    /// Empty, with room for so much.
    fn with_capacity(bytes: usize, entries: usize) -> Packed {
        let mut packed = SPARE.try_with(Cell::take).unwrap_or_default();
        packed.bytes.reserve(bytes);
        packed.index.reserve(entries);
        packed
    }

    /// Leaves its memory to the thread's next chunk, if there is not more for that already.
    fn give_back(mut self) {
        let index = self.index.capacity() * size_of::<[usize; 2]>();
        if self.bytes.capacity() > KEPT || index > KEPT {
            return;
        }
        self.bytes.clear();
        self.index.clear();
        // A thread that ends keeps nothing.
        let _ = SPARE.try_with(|spare| {
            let kept = spare.take();
            let is_larger = kept.bytes.capacity() > self.bytes.capacity();
            spare.set(if is_larger { kept } else { self });
        });
    }
}

/// One chunk of a range, in the order of its scan.
#[derive(Debug)]
pub(crate) struct Entries {
    packed: Packed,
    /// What was taken from the front,
    front: usize,
    /// and where the part begins that was taken from the back.
    back: usize,
    more: bool,
    reached: Option<Vec<u8>>,
}

impl Entries {
    /// Whether all was taken.
    pub fn is_empty(&self) -> bool {
        self.front == self.back
    }

    /// Whether the range goes on behind this chunk.
    pub fn more(&self) -> bool {
        self.more
    }

    /// Where the range goes on, if not after the last entry: the scan passed only removed keys up to there.
    pub fn reached(&self) -> Option<&[u8]> {
        self.reached.as_deref()
    }

    /// The last key, in the order of the scan.
    pub fn last_key(&self) -> Option<&[u8]> {
        Some(self.entry(self.packed.index.len().checked_sub(1)?).0)
    }

    /// The key and the value of an entry.
    pub fn entry(&self, at: usize) -> (&[u8], &[u8]) {
        let begin = at
            .checked_sub(1)
            .map_or(0, |before| self.packed.index[before][1]);
        let [value, end] = self.packed.index[at];
        (
            &self.packed.bytes[begin..value],
            &self.packed.bytes[value..end],
        )
    }

    fn compare(&self, order: &Order, at: usize, target: &[u8]) -> Ordering {
        order.compare(self.entry(at).0, target)
    }

    /// Takes the next entry, in the order of the scan.
    pub fn pop(&mut self) -> Option<usize> {
        (self.front < self.back).then(|| {
            self.front += 1;
            self.front - 1
        })
    }

    /// Takes the last entry, in the order of the scan.
    pub fn pop_last(&mut self) -> Option<usize> {
        (self.front < self.back).then(|| {
            self.back -= 1;
            self.back
        })
    }

    /// What was taken from the back is there again.
    pub fn put_back_last(&mut self) {
        self.back = self.packed.index.len();
    }

    /// Whether `key` lies between the first and the last entry, taken or not.
    pub fn covers(&self, order: &Order, key: &[u8]) -> bool {
        let Some(last) = self.packed.index.len().checked_sub(1) else {
            return false;
        };
        let (first, last) = (self.compare(order, 0, key), self.compare(order, last, key));
        first.min(last).is_le() && first.max(last).is_ge()
    }

    /// Moves the low end, so that the lowest entry left is the first one at or above `target`.
    pub fn seek_low(&mut self, order: &Order, target: &[u8], descending: bool) {
        match descending {
            false => self.front = self.split(|at| self.compare(order, at, target).is_lt()),
            true => self.back = self.split(|at| self.compare(order, at, target).is_ge()),
        }
    }

    /// Moves the high end, so that the highest entry left is the last one at or below `target`.
    pub fn seek_high(&mut self, order: &Order, target: &[u8], descending: bool) {
        match descending {
            false => self.back = self.split(|at| self.compare(order, at, target).is_le()),
            true => self.front = self.split(|at| self.compare(order, at, target).is_gt()),
        }
    }

    /// The first entry that is not `before`.
    fn split(&self, before: impl Fn(usize) -> bool) -> usize {
        let (mut low, mut high) = (0, self.packed.index.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match before(middle) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        std::mem::take(&mut self.packed).give_back();
    }
}

/// A chunk that is being gathered.
pub(crate) struct EntriesBuilder {
    packed: Packed,
    limit: usize,
    limit_entries: usize,
}

impl EntriesBuilder {
    /// A chunk that ends with the entry that reaches `limit_bytes`, or has so many entries (one at least).
    pub fn new(limit_bytes: usize, limit_entries: usize) -> Self {
        // Enough where entries are of about a hundred bytes, which most are.
        let entries = limit_entries.min(limit_bytes / 64);
        let bytes = (128 * entries).min(limit_bytes + limit_bytes / 8);
        EntriesBuilder {
            packed: Packed::with_capacity(bytes, entries),
            limit: limit_bytes,
            limit_entries: limit_entries.max(1),
        }
    }

    pub fn is_full(&self) -> bool {
        let entries = self.packed.index.len();
        let bytes = self.packed.bytes.len() + entries * size_of::<[usize; 2]>();
        (bytes >= self.limit || entries >= self.limit_entries) && entries > 0
    }

    /// Adds an entry, whose value `append` appends.
    pub fn push(&mut self, key: &[u8], append: impl FnOnce(&mut Vec<u8>)) {
        self.packed.bytes.extend_from_slice(key);
        let value_at = self.packed.bytes.len();
        append(&mut self.packed.bytes);
        self.packed.index.push([value_at, self.packed.bytes.len()]);
    }

    pub fn finish(self, more: bool, reached: Option<Vec<u8>>) -> Entries {
        Entries {
            back: self.packed.index.len(),
            packed: self.packed,
            front: 0,
            more,
            reached,
        }
    }
}
