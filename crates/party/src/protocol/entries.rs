//! A chunk of entries: packed bytes and an index into them.
//!
//! Packed form, for each entry in the order of the scan: key length and value length (u32 little-endian), key, value.

use crate::error::{Error, Result};

const HEADER: usize = 8;

/// Entries of one chunk, taken from either end.
#[derive(Debug)]
pub(crate) struct Entries {
    packed: Vec<u8>,
    /// For each entry where its key begins, its value begins, its value ends.
    index: Vec<[u32; 3]>,
    front: usize,
    back: usize,
    more: bool,
    reached: Option<Vec<u8>>,
}

impl Entries {
    /// Checks `packed` whole; every later access is then within it.
    pub fn from_packed(packed: Vec<u8>, more: bool, reached: Option<Vec<u8>>) -> Result<Self> {
        let mut index = Vec::new();
        let mut at = 0usize;
        let malformed = || Error::protocol("the leader sent a malformed chunk of entries");
        if packed.len() > u32::MAX as usize {
            return Err(malformed());
        }
        while at < packed.len() {
            let header = packed.get(at..at + HEADER).ok_or_else(malformed)?;
            let word = |i: usize| {
                u32::from_le_bytes(header[i..i + 4].try_into().expect("four bytes")) as usize
            };
            let key = at + HEADER;
            let value = key + word(0);
            let end = value + word(4);
            if end > packed.len() {
                return Err(malformed());
            }
            index.push([key as u32, value as u32, end as u32]);
            at = end;
        }
        Ok(Entries {
            packed,
            back: index.len(),
            index,
            front: 0,
            more,
            reached,
        })
    }

    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// Whether all entries were taken.
    pub fn is_empty(&self) -> bool {
        self.front == self.back
    }

    /// Whether the range goes on after the last entry.
    pub fn more(&self) -> bool {
        self.more
    }

    /// Where the range goes on, that key included, if not after the last entry: there were too many removed keys on the
    /// way to the next.
    pub fn reached(&self) -> Option<&[u8]> {
        self.reached.as_deref()
    }

    /// The key of the last entry in the order of the scan.
    pub fn last_key(&self) -> Option<&[u8]> {
        let [key, value, _] = *self.index.last()?;
        Some(&self.packed[key as usize..value as usize])
    }

    /// The entry at `at`, as [`Entries::pop`] named it.
    pub fn entry(&self, at: usize) -> (&[u8], &[u8]) {
        let [key, value, end] = self.index[at].map(|n| n as usize);
        (&self.packed[key..value], &self.packed[value..end])
    }

    fn key(&self, at: usize) -> &[u8] {
        self.entry(at).0
    }

    /// Takes the first entry that is left, in the order of the scan.
    pub fn pop(&mut self) -> Option<usize> {
        (self.front < self.back).then(|| {
            self.front += 1;
            self.front - 1
        })
    }

    /// Takes the last entry that is left, in the order of the scan.
    pub fn pop_last(&mut self) -> Option<usize> {
        (self.front < self.back).then(|| {
            self.back -= 1;
            self.back
        })
    }

    /// Undoes every [`Entries::pop_last`].
    pub fn put_back_last(&mut self) {
        self.back = self.index.len();
    }

    /// Whether `key` lies between its first and last key, taken or not.
    pub fn covers(&self, key: &[u8]) -> bool {
        let Some(last) = self.index.len().checked_sub(1) else {
            return false;
        };
        let (a, b) = (self.key(0), self.key(last));
        a.min(b) <= key && key <= a.max(b)
    }

    /// Of the keys not below `target` none is taken at the lower end, and all others are. Ends that have passed each
    /// other leave nothing between them.
    pub fn seek_low(&mut self, target: &[u8], descending: bool) {
        match descending {
            false => self.front = self.split(|key| key < target),
            true => self.back = self.split(|key| key >= target),
        }
    }

    /// Of the keys not above `target` none is taken at the upper end, and all others are.
    pub fn seek_high(&mut self, target: &[u8], descending: bool) {
        match descending {
            false => self.back = self.split(|key| key <= target),
            true => self.front = self.split(|key| key > target),
        }
    }

    fn split(&self, before: impl Fn(&[u8]) -> bool) -> usize {
        let key = |&[key, value, _]: &[u32; 3]| &self.packed[key as usize..value as usize];
        self.index.partition_point(|at| before(key(at)))
    }
}

/// Collects a chunk up to a size or number of entries.
pub(crate) struct EntriesBuilder {
    packed: Vec<u8>,
    index: Vec<[u32; 3]>,
    limit: usize,
    limit_entries: usize,
}

impl EntriesBuilder {
    pub fn new(limit_bytes: u32, limit_entries: u32) -> Self {
        EntriesBuilder {
            packed: Vec::new(),
            index: Vec::new(),
            limit: limit_bytes as usize,
            limit_entries: (limit_entries as usize).max(1),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Whether the chunk has reached its size.
    pub fn is_full(&self) -> bool {
        let full = self.packed.len() >= self.limit || self.index.len() >= self.limit_entries;
        full && !self.index.is_empty()
    }

    /// Whether one more entry can be named by the chunk's 32-bit offsets and still fits a reply.
    pub fn fits(&self, key: &[u8], value: &[u8]) -> bool {
        self.packed.len() + HEADER + key.len() + value.len() <= super::max_reply_content()
    }

    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        self.packed
            .extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.packed
            .extend_from_slice(&(value.len() as u32).to_le_bytes());
        let start = self.packed.len();
        self.packed.extend_from_slice(key);
        self.packed.extend_from_slice(value);
        let value_at = start + key.len();
        self.index.push([
            start as u32,
            value_at as u32,
            (value_at + value.len()) as u32,
        ]);
    }

    /// `reached`: where the range goes on, if not after the last entry.
    pub fn finish(self, more: bool, reached: Option<Vec<u8>>) -> Entries {
        Entries {
            packed: self.packed,
            back: self.index.len(),
            index: self.index,
            front: 0,
            more,
            reached,
        }
    }
}
