//! Deleting a range, in bounded chunks.

use level_party_format::batch::WriteBatch;

use super::Engine;
use crate::base::error::Result;
use crate::base::key_range::KeyRange;
use crate::commit::write::Write;
use crate::read::range_cursor::RangeCursor;

/// Operations of one chunk: few enough that other writers hardly wait for it.
const CHUNK_KEYS: u32 = 1_000;
/// Bytes at which a chunk ends, however few its keys.
const CHUNK_BYTES: usize = 256 << 10;

impl Engine {
    /// Deletes the keys of a range, and gives their count. The range is that of the moment of the call: keys that others
    /// put into it meanwhile stay, unless they had a value before.
    ///
    /// It is done in chunks of at most 1,000 keys or 256 KiB of them, each a batch of its own: others may read between
    /// two chunks, and after an error or a crash the first chunks are gone and the others not. Calling it again finishes
    /// the work. None of the chunks is synced; sync a later (or an empty) write for that.
    ///
    /// # Errors
    /// As [`Engine::range`] and [`Engine::write`].
    ///
    /// ```
    /// use std::sync::Arc;
    /// use level_party_engine::{Engine, KeyRange, MemFs, Options, Write, WriteBatch};
    ///
    /// let engine = Engine::open(Arc::new(MemFs::new()), Options::default())?;
    /// let mut batch = WriteBatch::new();
    /// for key in ["user/1", "user/2", "version"] {
    ///     batch.put(key.as_bytes(), b"");
    /// }
    /// engine.write(Write::new(batch))?;
    /// assert_eq!(engine.clear(KeyRange::prefix(b"user/"))?, 2);
    /// assert!(engine.contains(b"version")?);
    /// # Ok::<(), level_party_engine::Error>(())
    /// ```
    pub fn clear(&self, range: KeyRange) -> Result<u64> {
        let mut keys = self.range(range)?.keys_only();
        keys.seek_to_first()?;
        let mut count = 0;
        loop {
            let chunk = next_chunk(&mut keys)?;
            if chunk.is_empty() {
                return Ok(count);
            }
            count += u64::from(chunk.count());
            self.write(Write::new(chunk))?;
        }
    }
}

/// Deletions of the next keys.
fn next_chunk(keys: &mut RangeCursor) -> Result<WriteBatch> {
    let mut chunk = WriteBatch::new();
    while keys.valid() && chunk.count() < CHUNK_KEYS && chunk.byte_size() < CHUNK_BYTES {
        chunk.delete(keys.key());
        keys.next()?;
    }
    Ok(chunk)
}
