//! [`TableIter`]: the entries of one table. It remembers one block, and reads ahead when it goes from block to block.

use std::sync::Arc;

use level_party_format::Corruption;
use level_party_format::block::BlockIter;

use super::read_ahead::{ReadAhead, Step};
use crate::base::error::{Error, Result};
use crate::read::table::Table;

/// An iterator over one table's entries.
pub(crate) struct TableIter {
    table: Arc<Table>,
    /// The position in the index of the block it is in, or comes to next.
    at: usize,
    /// Kept from block to block for its memory.
    block: Option<BlockIter>,
    /// Whether `block` has the block at `at`.
    loaded: bool,
    valid: bool,
    /// Whether blocks in memory are used, and blocks read alone are put there.
    cached: bool,
    ahead: ReadAhead,
}

impl TableIter {
    /// An iterator at no entry yet, which leaves the blocks in memory alone: for reading a table as a whole.
    pub(crate) fn new(table: Arc<Table>) -> TableIter {
        TableIter::with_read_ahead(table, ReadAhead::default(), false)
    }

    /// As [`TableIter::new`], going on with the buffer of an iterator over the table before; with `cached`, by way of the
    /// blocks in memory.
    pub(crate) fn with_read_ahead(
        table: Arc<Table>,
        mut ahead: ReadAhead,
        cached: bool,
    ) -> TableIter {
        ahead.change_file();
        TableIter {
            table,
            at: 0,
            block: None,
            loaded: false,
            valid: false,
            cached,
            ahead,
        }
    }

    /// It is one of so many children of a merge, which read ahead together no more than a few may.
    pub(crate) fn share_read_ahead(&mut self, children: usize) {
        self.ahead.share_among(children);
    }

    /// Ends the iterator, giving its buffer to the next.
    pub(crate) fn into_read_ahead(self) -> ReadAhead {
        self.ahead
    }

    #[inline]
    pub(crate) fn valid(&self) -> bool {
        self.valid
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        match &self.block {
            Some(block) if self.valid => block.key(),
            _ => &[],
        }
    }

    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        match &self.block {
            Some(block) if self.valid => block.value(),
            _ => &[],
        }
    }

    pub(crate) fn seek_to_first(&mut self) -> Result<()> {
        self.first_from(0, Step::Seek)
    }

    pub(crate) fn seek_to_last(&mut self) -> Result<()> {
        self.last_before(self.table.index().len(), Step::Seek)
    }

    /// To the first entry at or after an internal key.
    pub(crate) fn seek(&mut self, internal_key: &[u8]) -> Result<()> {
        self.valid = false;
        let at = self
            .table
            .index()
            .find(self.table.comparator(), internal_key);
        if at >= self.table.index().len() {
            return Ok(());
        }
        self.load(at, Step::Seek)?;
        self.in_block(|block| block.seek(internal_key))?;
        if self.valid {
            return Ok(());
        }
        // The index key is after all of its block's keys, and may be after the one sought.
        self.first_from(at + 1, Step::Forward)
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Result<()> {
        if !self.valid {
            return Ok(());
        }
        self.in_block(BlockIter::next)?;
        if self.valid {
            return Ok(());
        }
        self.first_from(self.at + 1, Step::Forward)
    }

    #[inline]
    pub(crate) fn prev(&mut self) -> Result<()> {
        if !self.valid {
            return Ok(());
        }
        self.in_block(BlockIter::prev)?;
        if self.valid {
            return Ok(());
        }
        self.last_before(self.at, Step::Backward)
    }

    /// To the first entry in the blocks from `at` on.
    fn first_from(&mut self, at: usize, step: Step) -> Result<()> {
        self.valid = false;
        for at in at..self.table.index().len() {
            self.load(at, step)?;
            self.in_block(BlockIter::seek_to_first)?;
            if self.valid {
                break;
            }
        }
        Ok(())
    }

    /// To the last entry in the blocks before `at`.
    fn last_before(&mut self, at: usize, step: Step) -> Result<()> {
        self.valid = false;
        for at in (0..at).rev() {
            self.load(at, step)?;
            self.in_block(BlockIter::seek_to_last)?;
            if self.valid {
                break;
            }
        }
        Ok(())
    }

    /// Moves inside the block and learns whether it is at an entry; a damaged block is forgotten.
    #[inline]
    fn in_block(
        &mut self,
        step: impl FnOnce(&mut BlockIter) -> Result<(), Corruption>,
    ) -> Result<()> {
        self.valid = false;
        let Some(block) = &mut self.block else {
            return Ok(());
        };
        match step(block) {
            Ok(()) => {
                self.valid = block.valid();
                Ok(())
            }
            Err(error) => {
                self.loaded = false;
                Err(self.damaged(error))
            }
        }
    }

    /// Makes `block` the one at a position of the index.
    fn load(&mut self, at: usize, step: Step) -> Result<()> {
        if self.loaded && self.at == at {
            return Ok(());
        }
        (self.at, self.loaded) = (at, false);
        let table = &self.table;
        let Some(handle) = table.index().handle(at) else {
            return Ok(());
        };
        self.ahead.step(step);
        let cached = if self.cached {
            table.cached(handle)
        } else {
            None
        };
        let block = match cached {
            Some(block) => block,
            None => {
                let (ahead, len) = (&mut self.ahead, table.raw_len(handle)?);
                let block =
                    match ahead.block(table.file(), handle.offset, len, step, table.data_end()) {
                        Some(raw) => table.decode_block(raw, handle)?,
                        None => table.read_block(handle)?,
                    };
                // What a long scan passes is hardly read again.
                if self.cached && !self.ahead.in_row() {
                    table.keep(handle, &block);
                }
                block
            }
        };
        match &mut self.block {
            Some(iter) => iter.reset(block),
            None => self.block = Some(block.iter(table.comparator().clone())),
        }
        self.loaded = true;
        Ok(())
    }

    /// The error for bad bytes in the block it is in.
    #[cold]
    pub(crate) fn damaged(&self, error: Corruption) -> Error {
        let handle = self.table.index().handle(self.at);
        match handle {
            Some(handle) => self.table.damaged(error.at(handle.offset)),
            None => self.table.damaged(error),
        }
    }
}
