//! Write batches: the payload of a WAL record, applied whole or not at all (`db/write_batch.cc`).
//!
//! ```text
//! sequence u64 little-endian | count u32 little-endian | count operations
//! operation = 1, key, value  (put)  |  0, key  (delete);  key and value are length-prefixed
//! ```
//! The i-th operation has sequence `sequence + i`. A count of 0 is legal. Bytes from outside are validated whole before
//! any operation is handed out, so iteration cannot fail.

use crate::key::ValueType;
use crate::varint;
use crate::{Corruption, MAX_SEQUENCE, Sequence};

/// Length of the sequence and the count, in bytes. A shorter batch is corruption.
pub const HEADER_LEN: usize = 12;
/// What a new batch has memory for: one small entry.
const FIRST_CAPACITY: usize = 192;

/// One operation of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// The key gets the value.
    Put {
        /// The user key.
        key: &'a [u8],
        /// Its new value.
        value: &'a [u8],
    },
    /// The key goes.
    Delete {
        /// The user key.
        key: &'a [u8],
    },
}

impl<'a> Op<'a> {
    /// The user key the operation is about.
    pub fn key(&self) -> &'a [u8] {
        match self {
            Op::Put { key, .. } | Op::Delete { key } => key,
        }
    }
}

/// Puts and deletes to be applied together, kept in LevelDB's own encoding.
///
/// ```
/// use level_party_format::batch::{Op, WriteBatch};
///
/// let mut batch = WriteBatch::new();
/// batch.put(b"k", b"v");
/// batch.delete(b"old");
/// batch.set_sequence(100);
/// assert_eq!(batch.count(), 2);
///
/// let read = WriteBatch::from_bytes(batch.as_bytes().to_vec())?;
/// let ops: Vec<Op> = read.iter().collect();
/// assert_eq!(ops, [Op::Put { key: b"k", value: b"v" }, Op::Delete { key: b"old" }]);
/// # Ok::<(), level_party_format::Corruption>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteBatch {
    /// Invariant: always a whole, valid batch.
    rep: Vec<u8>,
}

impl Default for WriteBatch {
    fn default() -> Self {
        WriteBatch::new()
    }
}

impl WriteBatch {
    /// A batch without operations, sequence 0.
    pub fn new() -> Self {
        let mut rep = Vec::with_capacity(FIRST_CAPACITY);
        rep.resize(HEADER_LEN, 0);
        WriteBatch { rep }
    }

    /// A batch from its bytes, all of them checked: header, every operation, the count, the range of sequences.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Corruption> {
        BatchRef::parse(&bytes)?;
        Ok(WriteBatch { rep: bytes })
    }

    /// Adds a put.
    ///
    /// # Panics
    /// If key or value is longer than `u32::MAX` bytes, or the batch would hold more than `u32::MAX` operations:
    /// the format cannot say it.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.raise_count(1);
        // At once: byte by byte the first entry would have the memory grow four times.
        self.rep
            .reserve(1 + 2 * varint::MAX_LEN_U32 + key.len() + value.len());
        self.rep.push(ValueType::Value as u8);
        varint::put_length_prefixed(&mut self.rep, key);
        varint::put_length_prefixed(&mut self.rep, value);
    }

    /// Adds a delete.
    ///
    /// # Panics
    /// As [`put`](Self::put).
    pub fn delete(&mut self, key: &[u8]) {
        self.raise_count(1);
        self.rep.push(ValueType::Deletion as u8);
        varint::put_length_prefixed(&mut self.rep, key);
    }

    /// Adds all operations of `other` behind those of this batch. The sequence stays this batch's.
    ///
    /// # Panics
    /// If the batch would hold more than `u32::MAX` operations.
    pub fn append(&mut self, other: &WriteBatch) {
        self.raise_count(other.count());
        self.rep.extend_from_slice(&other.rep[HEADER_LEN..]);
    }

    /// Removes all operations and sets the sequence to 0; keeps the memory.
    pub fn clear(&mut self) {
        self.rep.clear();
        self.rep.resize(HEADER_LEN, 0);
    }

    /// The number of operations.
    pub fn count(&self) -> u32 {
        self.as_ref().count()
    }

    /// Whether there is no operation.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The length of the encoding in bytes, header included.
    pub fn byte_size(&self) -> usize {
        self.rep.len()
    }

    /// The sequence of the first operation.
    pub fn sequence(&self) -> Sequence {
        self.as_ref().sequence()
    }

    /// Sets the sequence of the first operation. The last operation's must be at most [`MAX_SEQUENCE`].
    pub fn set_sequence(&mut self, sequence: Sequence) {
        self.rep[..8].copy_from_slice(&sequence.to_le_bytes());
    }

    /// The encoding: what goes into one log record.
    pub fn as_bytes(&self) -> &[u8] {
        &self.rep
    }

    /// The encoding, given away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.rep
    }

    /// The operations in order.
    pub fn iter(&self) -> OpIter<'_> {
        self.as_ref().iter()
    }

    fn as_ref(&self) -> BatchRef<'_> {
        BatchRef { bytes: &self.rep }
    }

    fn raise_count(&mut self, by: u32) {
        let count = self
            .count()
            .checked_add(by)
            .expect("a batch holds at most u32::MAX operations");
        self.rep[8..HEADER_LEN].copy_from_slice(&count.to_le_bytes());
    }
}

impl<'a> IntoIterator for &'a WriteBatch {
    type Item = Op<'a>;
    type IntoIter = OpIter<'a>;

    fn into_iter(self) -> OpIter<'a> {
        self.iter()
    }
}

/// A validated batch in somebody else's bytes: for replaying a log without copying it.
#[derive(Debug, Clone, Copy)]
pub struct BatchRef<'a> {
    /// Invariant: a whole, valid batch.
    bytes: &'a [u8],
}

impl<'a> BatchRef<'a> {
    /// Checks all of `bytes`. The offset in an error is relative to the start of the batch.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Corruption> {
        if bytes.len() < HEADER_LEN {
            return Err(Corruption::new(format!(
                "a write batch of {} bytes is shorter than its header",
                bytes.len()
            )));
        }
        let batch = BatchRef { bytes };
        let mut rest = &bytes[HEADER_LEN..];
        let mut found = 0u64;
        while !rest.is_empty() {
            let offset = (bytes.len() - rest.len()) as u64;
            let (_, after) = split_op(rest).ok_or_else(|| {
                Corruption::new("a write batch holds a malformed operation").at(offset)
            })?;
            rest = after;
            found += 1;
        }
        let count = u64::from(batch.count());
        if found != count {
            return Err(Corruption::new(format!(
                "a write batch says it has {count} operations but holds {found}"
            )));
        }
        let last = batch.sequence().checked_add(count.saturating_sub(1));
        if last.is_none_or(|last| last > MAX_SEQUENCE) {
            return Err(Corruption::new("a write batch's sequence is out of range"));
        }
        Ok(batch)
    }

    /// The sequence of the first operation.
    pub fn sequence(&self) -> Sequence {
        let bytes = self.bytes.first_chunk().expect("a batch holds its header");
        u64::from_le_bytes(*bytes)
    }

    /// The number of operations.
    pub fn count(&self) -> u32 {
        let bytes = self.bytes[8..]
            .first_chunk()
            .expect("a batch holds its header");
        u32::from_le_bytes(*bytes)
    }

    /// The operations in order.
    pub fn iter(&self) -> OpIter<'a> {
        OpIter {
            rest: &self.bytes[HEADER_LEN..],
        }
    }
}

/// The operations of a batch in order.
#[derive(Debug, Clone)]
pub struct OpIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for OpIter<'a> {
    type Item = Op<'a>;

    #[inline]
    fn next(&mut self) -> Option<Op<'a>> {
        let (op, rest) = split_op(self.rest)?;
        self.rest = rest;
        Some(op)
    }
}

/// The first operation in `input` and what follows; `None` at the end and where an operation is malformed.
#[inline]
fn split_op(input: &[u8]) -> Option<(Op<'_>, &[u8])> {
    let (&kind, rest) = input.split_first()?;
    let (key, rest) = varint::get_length_prefixed(rest)?;
    if kind == ValueType::Value as u8 {
        let (value, rest) = varint::get_length_prefixed(rest)?;
        Some((Op::Put { key, value }, rest))
    } else if kind == ValueType::Deletion as u8 {
        Some((Op::Delete { key }, rest))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
