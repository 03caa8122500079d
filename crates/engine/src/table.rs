//! [`Table`]: one open table file (LevelDB's doc/table_format.md), read block by block.
//!
//! Promises: the index and the filter are decoded once, when the file is opened; every block's checksum is verified
//! each time it is read; a damaged block fails the reads that need it and no others, with an error that names the file
//! and the block's offset. A damaged filter block costs speed only.
//! Must not know: levels, versions, or which other tables there are.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use level_party_format::Corruption;
use level_party_format::block::Block;
use level_party_format::filter::FilterBlock;
use level_party_format::key::{self, InternalComparator, ValueType};
use level_party_format::table::{self, BlockHandle, FOOTER_LEN, Footer};

use crate::entry::{Entry, Lookup, Want};
use crate::error::{Error, Result};
use crate::fs::ReadFile;
use crate::seek_key::SeekKey;

mod check;
mod index;

pub(crate) use index::Index;

/// Largest buffer that a thread keeps for its next read of a block. Larger blocks are rare and get their own.
const KEPT_BUFFER: usize = 1 << 20;

thread_local! {
    /// Where a thread reads raw blocks into: saves an allocation and its zeroing for every read.
    static RAW: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// An open table file.
pub struct Table {
    file: Arc<dyn ReadFile>,
    name: String,
    size: u64,
    comparator: InternalComparator,
    index: Index,
    filter: Option<FilterBlock>,
}

impl Table {
    /// Opens a table of `size` bytes; `use_filter` says whether a Bloom filter found in it may be believed.
    ///
    /// # Errors
    /// [`Corruption`](crate::ErrorKind::Corruption) if footer or index are damaged, or the system's error.
    pub fn open(
        file: Arc<dyn ReadFile>,
        name: String,
        size: u64,
        comparator: InternalComparator,
        use_filter: bool,
    ) -> Result<Table> {
        if file.len() < size {
            let what = format!("it has {} bytes but the manifest says {size}", file.len());
            return Err(Error::corruption(&name, Corruption::new(what)));
        }
        let mut table = Table {
            file,
            name,
            size,
            comparator,
            index: Index::default(),
            filter: None,
        };
        let footer = table.read_footer()?;
        let contents = table.read_contents(footer.index)?;
        table.index = Index::decode(contents, &table.comparator)
            .map_err(|error| table.damaged(error.at(footer.index.offset)))?;
        if use_filter {
            table.filter = table.read_filter(footer.metaindex).unwrap_or_default();
        }
        Ok(table)
    }

    fn read_footer(&self) -> Result<Footer> {
        let at = self.size.checked_sub(FOOTER_LEN as u64).ok_or_else(|| {
            self.damaged(Corruption::new("it is too short to be a table").at(self.size))
        })?;
        let mut bytes = [0; FOOTER_LEN];
        let read = self.file.read_at(&mut bytes, at);
        read.map_err(|error| Error::read(&self.name, at, FOOTER_LEN, error))?;
        Footer::decode(&bytes, self.size).map_err(|error| {
            self.damaged(Corruption {
                offset: error.offset.or(Some(at)),
                ..error
            })
        })
    }

    /// The filter block, if the table has one of LevelDB's own kind.
    fn read_filter(&self, metaindex: BlockHandle) -> Result<Option<FilterBlock>> {
        let block = self.read_block(metaindex)?;
        let found = table::find_filter(&block);
        match found.map_err(|error| self.damaged(error.at(metaindex.offset)))? {
            Some(handle) => Ok(FilterBlock::new(Bytes::from(self.read_contents(handle)?))),
            None => Ok(None),
        }
    }

    /// The file's name inside the database's directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether reads of single keys use a Bloom filter.
    pub fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    /// The order of the keys.
    pub(crate) fn comparator(&self) -> &InternalComparator {
        &self.comparator
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// The offset after the last data block, which reading ahead does not pass.
    pub(crate) fn data_end(&self) -> u64 {
        let last = self.index.handle(self.index.len().wrapping_sub(1));
        let end = last.and_then(|last| last.offset.checked_add(last.len_with_trailer()));
        end.unwrap_or(0).min(self.size)
    }

    /// About where in the file a key is.
    pub(crate) fn approximate_offset(&self, seek_key: &SeekKey) -> u64 {
        let at = self.index.find(&self.comparator, seek_key.as_bytes());
        let handle = self.index.handle(at);
        handle.map_or_else(|| self.data_end(), |handle| handle.offset)
    }

    pub(crate) fn file(&self) -> &dyn ReadFile {
        self.file.as_ref()
    }

    /// What this table knows of a user key at a sequence.
    ///
    /// # Errors
    /// What keeps the one block from being read that may hold the key.
    pub(crate) fn get(&self, seek_key: &SeekKey, want: Want) -> Result<Lookup> {
        // Index keys are separators: if the block has nothing at or after the key, neither have later ones for this
        // user key.
        let at = self.index.find(&self.comparator, seek_key.as_bytes());
        let Some(handle) = self.index.handle(at) else {
            return Ok(Lookup::Absent);
        };
        let user_key = seek_key.user_key();
        if let Some(filter) = &self.filter
            && !filter.may_match(handle.offset, user_key)
        {
            return Ok(Lookup::Absent);
        }
        let mut iter = self.read_block(handle)?.iter(self.comparator.clone());
        let sought = iter.seek(seek_key.as_bytes());
        sought.map_err(|error| self.damaged(error.at(handle.offset)))?;
        if !iter.valid() {
            return Ok(Lookup::Absent);
        }
        let found = key::parse(iter.key());
        let found = found.map_err(|error| self.damaged(error.at(handle.offset)))?;
        if self
            .comparator
            .user
            .compare(found.user_key, user_key)
            .is_ne()
        {
            return Ok(Lookup::Absent);
        }
        let sequence = found.sequence;
        Ok(match found.kind {
            ValueType::Deletion => Lookup::Deleted { sequence },
            ValueType::Value => {
                let value = want.take(iter.value());
                Lookup::Found(Entry { value, sequence })
            }
        })
    }

    /// Reads, verifies and decompresses a block.
    pub(crate) fn read_block(&self, handle: BlockHandle) -> Result<Block> {
        self.to_block(self.read_contents(handle)?, handle)
    }

    fn read_contents(&self, handle: BlockHandle) -> Result<Vec<u8>> {
        let len = self.raw_len(handle)?;
        if let Some(bytes) = self.file.map() {
            let raw = usize::try_from(handle.offset).ok();
            let raw = raw.and_then(|start| bytes.get(start..start.checked_add(len)?));
            let short = || Corruption::new("the block is beyond the file's end").at(handle.offset);
            return self.decode(raw.ok_or_else(|| self.damaged(short()))?, handle);
        }
        RAW.with_borrow_mut(|buffer| {
            if buffer.len() < len {
                buffer.resize(len, 0);
            }
            let raw = &mut buffer[..len];
            let read = self.file.read_at(raw, handle.offset);
            read.map_err(|error| Error::read(&self.name, handle.offset, len, error))?;
            let contents = self.decode(raw, handle);
            if buffer.len() > KEPT_BUFFER {
                *buffer = Vec::new();
            }
            contents
        })
    }

    /// The block's length in the file with its trailer, checked against the file before anything is allocated for it.
    pub(crate) fn raw_len(&self, handle: BlockHandle) -> Result<usize> {
        let checked = handle.check(self.size);
        checked.map_err(|error| self.damaged(error.at(handle.offset)))?;
        Ok(handle.len_with_trailer() as usize)
    }

    fn decode(&self, raw: &[u8], handle: BlockHandle) -> Result<Vec<u8>> {
        let contents = table::decode_block(raw, handle.offset);
        contents.map_err(|error| self.damaged(error.at(handle.offset)))
    }

    /// Verifies and decompresses a block whose raw bytes were read before.
    pub(crate) fn decode_block(&self, raw: &[u8], handle: BlockHandle) -> Result<Block> {
        self.to_block(self.decode(raw, handle)?, handle)
    }

    fn to_block(&self, contents: Vec<u8>, handle: BlockHandle) -> Result<Block> {
        let block = Block::new(Bytes::from(contents));
        block.map_err(|error| self.damaged(error.at(handle.offset)))
    }

    /// The error for bad bytes in this file.
    pub(crate) fn damaged(&self, error: Corruption) -> Error {
        Error::corruption(&self.name, error)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("name", &self.name)
            .field("size", &self.size)
            .field("blocks", &self.index.len())
            .field("filter", &self.has_filter())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
