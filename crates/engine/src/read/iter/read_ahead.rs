//! [`ReadAhead`]: the raw bytes an iterator read beyond the block it needed, once it has moved on from block to block.
//!
//! Promises: a block is served from here only if it is here whole; a larger read that fails is forgotten, and the block
//! itself is read alone, so that bad places on the disk fail only the reads that need them.
//! Must not know: what is in a block.

use crate::base::fs::ReadFile;

/// Blocks in a row before more than the block needed is read.
const ROW: u32 = 2;
/// The first larger read, in bytes; each further one is twice as large up to [`MAX_WINDOW`].
const MIN_WINDOW: usize = 16 << 10;
/// The largest read. The cost of the call itself hardly shows any more, and a cursor over the files of many levels, each
/// with such a buffer, stays near a MiB.
const MAX_WINDOW: usize = 64 << 10;
/// What all children of one merge read ahead together, at most: hundreds of tables of level 0 would take a buffer each.
const MERGE_BYTES: usize = 16 << 20;

/// Which way an iterator goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It was positioned by a seek.
    Seek,
    /// It goes to the block after.
    Forward,
    /// It goes to the block before.
    Backward,
}

/// The raw bytes of a part of a file.
pub(crate) struct ReadAhead {
    buffer: Vec<u8>,
    start: u64,
    filled: usize,
    row: u32,
    window: usize,
    max_window: usize,
}

impl Default for ReadAhead {
    fn default() -> ReadAhead {
        ReadAhead {
            buffer: Vec::new(),
            start: 0,
            filled: 0,
            row: 0,
            window: 0,
            max_window: MAX_WINDOW,
        }
    }
}

impl ReadAhead {
    /// Forgets the bytes, which are another file's, and keeps the buffer and the habit.
    pub(crate) fn change_file(&mut self) {
        self.filled = 0;
    }

    /// From now on it reads no more at once than one of so many children of a merge may.
    pub(crate) fn share_among(&mut self, children: usize) {
        self.max_window = (MERGE_BYTES / children.max(1)).min(MAX_WINDOW);
    }

    /// The next block is reached by this step, wherever it is read from.
    pub(crate) fn step(&mut self, step: Step) {
        self.row = match step {
            Step::Seek => 0,
            Step::Forward | Step::Backward => self.row.saturating_add(1),
        };
    }

    /// Bytes of memory that it takes.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Whether it goes from block to block, by now for so long that it may well go on.
    pub(crate) fn in_row(&self) -> bool {
        self.row >= ROW
    }

    /// The raw block at `offset`, if it is here or worth reading with its neighbours (up to `data_end`).
    pub(crate) fn block(
        &mut self,
        file: &dyn ReadFile,
        offset: u64,
        len: usize,
        step: Step,
        data_end: u64,
    ) -> Option<&[u8]> {
        if !self.holds(offset, len) {
            if self.row == 0 {
                self.window = 0;
            }
            if !self.in_row() {
                return None;
            }
            self.window = (self.window * 2).max(MIN_WINDOW).min(self.max_window);
            self.fill(file, offset, len, step, data_end)?;
        }
        let at = (offset - self.start) as usize;
        self.buffer.get(at..at + len)
    }

    fn holds(&self, offset: u64, len: usize) -> bool {
        let end = self.start + self.filled as u64;
        self.start <= offset && offset < end && len as u64 <= end - offset
    }

    /// Reads a window that begins (or, going backward, ends) with the block.
    fn fill(
        &mut self,
        file: &dyn ReadFile,
        offset: u64,
        len: usize,
        step: Step,
        data_end: u64,
    ) -> Option<()> {
        self.filled = 0;
        let block_end = offset.checked_add(len as u64)?;
        let window = self.window as u64;
        let (start, end) = match step {
            Step::Backward => (block_end.saturating_sub(window).min(offset), block_end),
            _ => (
                offset,
                offset.saturating_add(window).min(data_end).max(block_end),
            ),
        };
        let size = usize::try_from(end - start).ok()?;
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        }
        file.read_at(&mut self.buffer[..size], start).ok()?;
        (self.start, self.filled) = (start, size);
        Some(())
    }
}
