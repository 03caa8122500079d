//! Where blocks are, and the end of a table that says where the first ones are.

use super::{BLOCK_TRAILER_LEN, FOOTER_LEN};
use crate::{Corruption, varint};

const MAGIC: u64 = 0xdb47_7524_8b80_fb57;
const MAGIC_AT: usize = FOOTER_LEN - 8;

/// Where a block lies in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BlockHandle {
    /// Where its contents start in the file.
    pub offset: u64,
    /// Length of its contents in bytes, without the trailer.
    pub size: u64,
}

impl BlockHandle {
    /// Appends the handle's encoding to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        varint::put_u64(out, self.offset);
        varint::put_u64(out, self.size);
    }

    /// The handle at the start of `input`. What follows is left for additions to come, as in LevelDB.
    pub fn decode(input: &[u8]) -> Result<Self, Corruption> {
        let (handle, _) = Self::split(input).ok_or_else(|| Corruption::new("bad block handle"))?;
        Ok(handle)
    }

    /// The handle at the start of `input`, and what follows it.
    pub fn split(input: &[u8]) -> Option<(Self, &[u8])> {
        let (offset, rest) = varint::get_u64(input)?;
        let (size, rest) = varint::get_u64(rest)?;
        Some((BlockHandle { offset, size }, rest))
    }

    /// Length of contents and trailer together: what must be read. Saturates for a handle that fits in no file.
    pub fn len_with_trailer(&self) -> u64 {
        self.size.saturating_add(BLOCK_TRAILER_LEN as u64)
    }

    /// Fails unless contents and trailer lie before the footer of a file of `file_len` bytes. To be asked before
    /// memory is taken for the block: the footer has no checksum of its own.
    pub fn check(&self, file_len: u64) -> Result<(), Corruption> {
        let end = self.offset.checked_add(self.len_with_trailer());
        let limit = file_len.saturating_sub(FOOTER_LEN as u64);
        if end.is_some_and(|end| end <= limit) {
            Ok(())
        } else {
            Err(Corruption::new(format!(
                "a block handle (offset {}, size {}) that points outside its table of {file_len} bytes",
                self.offset, self.size
            )))
        }
    }
}

/// The last 48 bytes of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    /// The block that names the filter block.
    pub metaindex: BlockHandle,
    /// The block that names the data blocks.
    pub index: BlockHandle,
}

impl Footer {
    /// The footer's bytes.
    pub fn encode(&self) -> [u8; FOOTER_LEN] {
        let mut handles = Vec::with_capacity(FOOTER_LEN);
        self.metaindex.encode(&mut handles);
        self.index.encode(&mut handles);
        let mut out = [0; FOOTER_LEN];
        out[..handles.len()].copy_from_slice(&handles);
        out[MAGIC_AT..].copy_from_slice(&MAGIC.to_le_bytes());
        out
    }

    /// The footer in the last bytes of a file of `file_len` bytes. Both blocks must lie inside the file.
    pub fn decode(bytes: &[u8; FOOTER_LEN], file_len: u64) -> Result<Self, Corruption> {
        let at = file_len.saturating_sub(FOOTER_LEN as u64);
        let (handles, magic) = bytes.split_at(MAGIC_AT);
        if magic != MAGIC.to_le_bytes() {
            return Err(Corruption::new("not a table (bad magic number)").at(at));
        }
        let bad_handle = || Corruption::new("bad block handle in a table's footer").at(at);
        let (metaindex, rest) = BlockHandle::split(handles).ok_or_else(bad_handle)?;
        let (index, _) = BlockHandle::split(rest).ok_or_else(bad_handle)?;
        metaindex.check(file_len).map_err(|error| error.at(at))?;
        index.check(file_len).map_err(|error| error.at(at))?;
        Ok(Footer { metaindex, index })
    }
}
