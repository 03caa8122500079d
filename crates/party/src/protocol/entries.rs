//! A chunk of entries: packed bytes and an index into them.
//!
//! Packed form, for each entry in the order of the scan: key length and value length (u32 little-endian), key, value.
//! An entry that is too large to travel has a value length of all ones and, in place of the value, its true lengths
//! (u64 little-endian: key, value). A key over [`MAX_KEY_BYTES`] is cut off there: so no bound is ever over the limit.

use std::cmp::Ordering;

use super::MAX_KEY_BYTES;
use crate::error::{Error, ErrorKind, Result};

const HEADER: usize = 8;
/// The value length that says that the entry is too large to travel.
const TOO_LARGE: u32 = u32::MAX;
/// The true lengths of such an entry.
const LENGTHS: usize = 16;
/// How much of such an entry's key an error shows, in bytes.
const SHOWN: usize = 32;

/// An entry of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChunkEntry<'a> {
    Whole(&'a [u8], &'a [u8]),
    TooLarge(TooLarge<'a>),
}

/// An entry that another program wrote and that is too large to travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge<'a> {
    /// Its key, or the first [`MAX_KEY_BYTES`] of it.
    pub key: &'a [u8],
    pub key_bytes: u64,
    pub value_bytes: u64,
}

impl TooLarge<'_> {
    /// Whether there is more of the key.
    pub fn is_cut(&self) -> bool {
        self.key.len() as u64 != self.key_bytes
    }

    /// What a caller is told in its place. `hidden`: bytes of the key that the caller does not see.
    pub fn error(&self, hidden: usize) -> Error {
        let key_bytes = self.key_bytes.saturating_sub(hidden as u64);
        let shown = self.key.get(hidden..).unwrap_or_default();
        let begins = shown[..shown.len().min(SHOWN)].escape_ascii();
        let message = match self.is_cut() {
            false => format!(
                "the entry whose key has {key_bytes} bytes and begins with \"{begins}\" has {} bytes, which is larger than \
                 a message between processes may be ({}): another program wrote it; read it with that one, or delete it",
                self.key_bytes.saturating_add(self.value_bytes),
                super::max_reply_content()
            ),
            true => format!(
                "the key of {key_bytes} bytes that begins with \"{begins}\" is over the limit of {MAX_KEY_BYTES}: another \
                 program wrote it; read or delete it with that one (a scan goes on behind all keys that share its first \
                 {MAX_KEY_BYTES} bytes)"
            ),
        };
        Error::new(ErrorKind::InvalidArgument, message).of_one_entry()
    }
}

/// Entries of one chunk, taken from either end.
#[derive(Debug)]
pub(crate) struct Entries {
    packed: Vec<u8>,
    /// For each entry where its key begins, its value begins, its value ends.
    index: Vec<[u32; 3]>,
    /// The places of those that are too large to travel, in order.
    too_large: Vec<usize>,
    front: usize,
    back: usize,
    more: bool,
    reached: Option<Vec<u8>>,
}

impl Entries {
    /// Checks `packed` whole; every later access is then within it.
    pub fn from_packed(packed: Vec<u8>, more: bool, reached: Option<Vec<u8>>) -> Result<Self> {
        let mut index = Vec::new();
        let mut too_large = Vec::new();
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
            let is_too_large = word(4) == TOO_LARGE as usize;
            let end = match is_too_large {
                true => value + LENGTHS,
                false => value + word(4),
            };
            if end > packed.len() {
                return Err(malformed());
            }
            if is_too_large {
                too_large.push(index.len());
            }
            index.push([key as u32, value as u32, end as u32]);
            at = end;
        }
        Ok(Entries {
            packed,
            back: index.len(),
            index,
            too_large,
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

    /// The last entry in the order of the scan.
    pub fn last(&self) -> Option<ChunkEntry<'_>> {
        Some(self.entry(self.index.len().checked_sub(1)?))
    }

    /// The entry at `at`, as [`Entries::pop`] named it.
    pub fn entry(&self, at: usize) -> ChunkEntry<'_> {
        let [key, value, end] = self.index[at].map(|n| n as usize);
        let (key, value) = (&self.packed[key..value], &self.packed[value..end]);
        if self.too_large.binary_search(&at).is_err() {
            return ChunkEntry::Whole(key, value);
        }
        let word = |at: usize| {
            u64::from_le_bytes(
                value[at..at + 8]
                    .try_into()
                    .expect("eight of sixteen bytes"),
            )
        };
        ChunkEntry::TooLarge(TooLarge {
            key,
            key_bytes: word(0),
            value_bytes: word(8),
        })
    }

    /// How the key at `at` compares to `target`, which is not over the limit: so a key that was cut off is above what is
    /// left of it, and compares as a whole.
    fn compare(&self, at: usize, target: &[u8]) -> Ordering {
        match self.entry(at) {
            ChunkEntry::Whole(key, _) => key.cmp(target),
            ChunkEntry::TooLarge(entry) => entry.key.cmp(target).then(match entry.is_cut() {
                true => Ordering::Greater,
                false => Ordering::Equal,
            }),
        }
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
        let (first, last) = (self.compare(0, key), self.compare(last, key));
        first.min(last).is_le() && first.max(last).is_ge()
    }

    /// Of the keys not below `target` none is taken at the lower end, and all others are. Ends that have passed each
    /// other leave nothing between them.
    pub fn seek_low(&mut self, target: &[u8], descending: bool) {
        match descending {
            false => self.front = self.split(|at| self.compare(at, target).is_lt()),
            true => self.back = self.split(|at| self.compare(at, target).is_ge()),
        }
    }

    /// Of the keys not above `target` none is taken at the upper end, and all others are.
    pub fn seek_high(&mut self, target: &[u8], descending: bool) {
        match descending {
            false => self.back = self.split(|at| self.compare(at, target).is_le()),
            true => self.front = self.split(|at| self.compare(at, target).is_gt()),
        }
    }

    /// The first place at which `before` is false.
    fn split(&self, before: impl Fn(usize) -> bool) -> usize {
        let (mut low, mut high) = (0, self.index.len());
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

/// Collects a chunk up to a size or number of entries.
pub(crate) struct EntriesBuilder {
    packed: Vec<u8>,
    index: Vec<[u32; 3]>,
    too_large: Vec<usize>,
    limit: usize,
    limit_entries: usize,
}

impl EntriesBuilder {
    pub fn new(limit_bytes: u32, limit_entries: u32) -> Self {
        EntriesBuilder {
            packed: Vec::new(),
            index: Vec::new(),
            too_large: Vec::new(),
            limit: limit_bytes as usize,
            limit_entries: (limit_entries as usize).max(1),
        }
    }

    /// Whether the chunk has reached its size.
    pub fn is_full(&self) -> bool {
        let full = self.packed.len() >= self.limit || self.index.len() >= self.limit_entries;
        full && !self.index.is_empty()
    }

    /// Adds an entry, or that there is one which is too large to travel. False: the chunk has no room for it.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> bool {
        let is_too_large = key.len() > MAX_KEY_BYTES || !travels(key.len() + value.len());
        let mut lengths = [0; LENGTHS];
        let (packed_key, packed_value, value_length) = match is_too_large {
            false => (key, value, value.len() as u32),
            true => {
                lengths[..8].copy_from_slice(&(key.len() as u64).to_le_bytes());
                lengths[8..].copy_from_slice(&(value.len() as u64).to_le_bytes());
                let cut = &key[..key.len().min(MAX_KEY_BYTES)];
                (cut, &lengths[..], TOO_LARGE)
            }
        };
        let bytes = HEADER + packed_key.len() + packed_value.len();
        if !self.index.is_empty() && !travels(self.packed.len() + bytes) {
            return false;
        }
        self.packed
            .extend_from_slice(&(packed_key.len() as u32).to_le_bytes());
        self.packed.extend_from_slice(&value_length.to_le_bytes());
        let start = self.packed.len();
        self.packed.extend_from_slice(packed_key);
        let value_at = self.packed.len();
        self.packed.extend_from_slice(packed_value);
        if is_too_large {
            self.too_large.push(self.index.len());
        }
        self.index
            .push([start, value_at, self.packed.len()].map(|at| at as u32));
        true
    }

    /// `reached`: where the range goes on, if not after the last entry.
    pub fn finish(self, more: bool, reached: Option<Vec<u8>>) -> Entries {
        Entries {
            packed: self.packed,
            back: self.index.len(),
            index: self.index,
            too_large: self.too_large,
            front: 0,
            more,
            reached,
        }
    }
}

/// Whether so many packed bytes fit a reply, and can be named by the chunk's 32-bit offsets.
fn travels(bytes: usize) -> bool {
    bytes <= super::max_reply_content()
}
