//! Keys and values to a block.

use crate::varint;

/// Builds the contents of one block after another, reusing its memory.
///
/// ```
/// use level_party_format::block::BlockBuilder;
///
/// let mut builder = BlockBuilder::new(16);
/// builder.add(b"abc", b"1");
/// builder.add(b"abd", b"2");
/// assert_eq!(
///     builder.finish(),
///     b"\x00\x03\x01abc1\x02\x01\x01d2\x00\x00\x00\x00\x01\x00\x00\x00"
/// );
/// ```
#[derive(Debug)]
pub struct BlockBuilder {
    buffer: Vec<u8>,
    restarts: Vec<u32>,
    restart_interval: usize,
    /// Entries since the last restart.
    counter: usize,
    last_key: Vec<u8>,
    finished: bool,
}

impl BlockBuilder {
    /// A builder with a restart every `restart_interval` entries (at least 1): 16 for data, 1 for an index.
    pub fn new(restart_interval: usize) -> Self {
        BlockBuilder {
            buffer: Vec::new(),
            restarts: vec![0],
            restart_interval: restart_interval.max(1),
            counter: 0,
            last_key: Vec::new(),
            finished: false,
        }
    }

    /// Adds an entry. Keys must come in ascending order; this is the caller's to see to.
    ///
    /// # Panics
    /// If the block is finished and was not [`reset`](Self::reset), or it, or the key or the value, exceeds 4 GiB.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        assert!(
            !self.finished,
            "no entries may be added to a finished block"
        );
        let mut shared = 0;
        if self.counter < self.restart_interval {
            shared = shared_prefix(&self.last_key, key);
        } else {
            self.restarts.push(len_u32(self.buffer.len()));
            self.counter = 0;
        }
        let unshared = &key[shared..];
        varint::put_u32(&mut self.buffer, len_u32(shared));
        varint::put_u32(&mut self.buffer, len_u32(unshared.len()));
        varint::put_u32(&mut self.buffer, len_u32(value.len()));
        self.buffer.extend_from_slice(unshared);
        self.buffer.extend_from_slice(value);
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(unshared);
        self.counter += 1;
    }

    /// Adds the restart array and gives the block's contents. Again, until [`reset`](Self::reset), gives them again.
    pub fn finish(&mut self) -> &[u8] {
        if !self.finished {
            for restart in &self.restarts {
                self.buffer.extend_from_slice(&restart.to_le_bytes());
            }
            let count = len_u32(self.restarts.len());
            self.buffer.extend_from_slice(&count.to_le_bytes());
            self.finished = true;
        }
        &self.buffer
    }

    /// Starts a new block.
    pub fn reset(&mut self) {
        self.buffer.clear();
        self.restarts.clear();
        self.restarts.push(0);
        self.counter = 0;
        self.last_key.clear();
        self.finished = false;
    }

    /// How long the contents would be if finished now, in bytes.
    pub fn size_estimate(&self) -> usize {
        if self.finished {
            self.buffer.len()
        } else {
            self.buffer.len() + self.restarts.len() * 4 + 4
        }
    }

    /// Whether no entry was added.
    pub fn is_empty(&self) -> bool {
        self.restarts.len() == 1 && self.counter == 0
    }

    /// The key added last; empty if none was.
    pub fn last_key(&self) -> &[u8] {
        &self.last_key
    }
}

fn len_u32(len: usize) -> u32 {
    u32::try_from(len).expect("a block and its parts are below 4 GiB")
}

#[inline]
fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
