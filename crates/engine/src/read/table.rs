//! [`Table`]: one open table file (LevelDB's doc/table_format.md), read block by block.
//!
//! Promises: the index and the filter are decoded once, when the file is opened; every block's checksum is verified
//! when it is loaded, from the file or into the cache; a damaged block fails the reads that need it and no others, with an error that names the file
//! and the block's offset. A damaged filter block costs speed only.
//! Must not know: levels, versions, or which other tables there are.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use level_party_format::Corruption;
use level_party_format::block::{Block, BlockRef};
use level_party_format::filter::FilterBlock;
use level_party_format::key::{self, InternalComparator, ValueType};
use level_party_format::table::{self, BlockHandle, FOOTER_LEN, Footer};

use crate::base::entry::{Entry, Lookup};
use crate::base::error::{Error, Result};
use crate::base::fs::ReadFile;
use crate::base::seek_key::SeekKey;
use crate::read::block_cache::BlockCache;
use crate::read::foreign_file;

mod check;
mod index;

pub(crate) use check::Counted;
pub(crate) use index::Index;

/// Largest buffer that a thread keeps for its next read of a block. Larger blocks are rare and get their own.
const KEPT_BUFFER: usize = 1 << 20;

thread_local! {
    /// A thread's buffers while it does not use them.
    static BUFFERS: Cell<Option<Box<Buffers>>> = const { Cell::new(None) };
}

/// Where a thread reads blocks into: saves allocations and their zeroing for every read.
#[derive(Default)]
struct Buffers {
    raw: Vec<u8>,
    contents: Vec<u8>,
    key: Vec<u8>,
}

impl Buffers {
    /// Lends the thread's buffers. They are out of their place meanwhile: a comparator of the caller's own may read a
    /// table itself, and then gets others.
    fn lend<T>(work: impl FnOnce(&mut Buffers) -> T) -> T {
        let mut buffers = BUFFERS.take().unwrap_or_default();
        let done = work(&mut buffers);
        let largest = buffers.raw.len().max(buffers.contents.len());
        if largest.max(buffers.key.capacity()) <= KEPT_BUFFER {
            BUFFERS.set(Some(buffers));
        }
        done
    }
}

/// An open table file.
pub struct Table {
    file: Arc<dyn ReadFile>,
    name: String,
    size: u64,
    comparator: InternalComparator,
    index: Index,
    filter: Option<FilterBlock>,
    cache: Option<(Arc<BlockCache>, u64)>,
}

impl Table {
    /// Opens a table of `size` bytes; `use_filter` says whether a Bloom filter found in it may be believed.
    ///
    /// # Errors
    /// [`Corruption`](crate::ErrorKind::Corruption) if footer or index are damaged,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if it is another product's, or the system's error.
    pub fn open(
        file: Arc<dyn ReadFile>,
        name: String,
        size: u64,
        comparator: InternalComparator,
        use_filter: bool,
    ) -> Result<Table> {
        if file.len() < size {
            foreign_file::check_table(file.as_ref(), &name)?;
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
            cache: None,
        };
        let footer = table.read_footer().map_err(|error| {
            let other = foreign_file::check_table(table.file(), &table.name);
            other.err().unwrap_or(error)
        })?;
        let contents = table.read_contents(footer.index)?;
        table.index = Index::decode(contents, &table.comparator)
            .map_err(|error| table.damaged(error.at(footer.index.offset)))?;
        if use_filter {
            table.filter = table.read_filter(footer.metaindex).unwrap_or_default();
        }
        Ok(table)
    }

    /// With blocks kept in memory under the file's number.
    pub(crate) fn with_cache(self, cache: Arc<BlockCache>, number: u64) -> Table {
        Table {
            cache: Some((cache, number)),
            ..self
        }
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

    /// What this table knows of a user key at a sequence, with what `take` makes of the value. It is lent the value once
    /// nothing can fail any more.
    ///
    /// # Errors
    /// What keeps the one block from being read that may hold the key.
    pub(crate) fn get<V>(
        &self,
        seek_key: &SeekKey,
        take: impl FnOnce(&[u8]) -> V,
    ) -> Result<Lookup<V>> {
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
        Buffers::lend(|buffers| {
            let Buffers { raw, contents, key } = buffers;
            if let Some(block) = self.cached(handle) {
                return self.find(block.lend(), handle, seek_key, take, key);
            }
            let contents = self.read_in(handle, raw, contents)?;
            let block = self.checked(BlockRef::new(contents), handle)?;
            if let Some((cache, number)) = &self.cache
                && cache.wants(*number, handle.offset, contents.len())
            {
                let block = self.to_block(contents.to_vec(), handle)?;
                cache.put(*number, handle.offset, block);
            }
            self.find(block, handle, seek_key, take, key)
        })
    }

    /// What the one block says that may hold the key.
    fn find<V>(
        &self,
        block: BlockRef<'_>,
        handle: BlockHandle,
        seek_key: &SeekKey,
        take: impl FnOnce(&[u8]) -> V,
        key: &mut Vec<u8>,
    ) -> Result<Lookup<V>> {
        let sought = block.seek(&self.comparator, seek_key.as_bytes(), key);
        let Some(value) = self.checked(sought, handle)? else {
            return Ok(Lookup::Absent);
        };
        let found = self.checked(key::parse(key), handle)?;
        let user = &self.comparator.user;
        if user.compare(found.user_key, seek_key.user_key()).is_ne() {
            return Ok(Lookup::Absent);
        }
        let sequence = found.sequence;
        Ok(match found.kind {
            ValueType::Deletion => Lookup::Deleted { sequence },
            ValueType::Value => {
                let value = take(value);
                Lookup::Found(Entry { value, sequence })
            }
        })
    }

    /// The block from memory, if it is there.
    #[inline]
    pub(crate) fn cached(&self, handle: BlockHandle) -> Option<Block> {
        let (cache, number) = self.cache.as_ref()?;
        cache.get(*number, handle.offset)
    }

    /// Keeps a block that was just read in memory, if that is worth while.
    pub(crate) fn keep(&self, handle: BlockHandle, block: &Block) {
        if let Some((cache, number)) = &self.cache
            && cache.wants(*number, handle.offset, block.byte_size())
        {
            cache.put(*number, handle.offset, block.clone());
        }
    }

    /// Reads, verifies and decompresses a block.
    pub(crate) fn read_block(&self, handle: BlockHandle) -> Result<Block> {
        self.to_block(self.read_contents(handle)?, handle)
    }

    fn read_contents(&self, handle: BlockHandle) -> Result<Vec<u8>> {
        Buffers::lend(|buffers| {
            let raw = self.read_raw(handle, &mut buffers.raw)?;
            self.decode(raw, handle)
        })
    }

    /// The contents of a block, verified and decompressed, in these buffers.
    fn read_in<'a>(
        &'a self,
        handle: BlockHandle,
        raw: &'a mut Vec<u8>,
        contents: &'a mut Vec<u8>,
    ) -> Result<&'a [u8]> {
        let raw = self.read_raw(handle, raw)?;
        let contents = table::decode_block_in(raw, handle.offset, contents);
        self.checked(contents, handle)
    }

    /// The bytes of a block as they are in the file, with its trailer.
    fn read_raw<'a>(&'a self, handle: BlockHandle, buffer: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        let len = self.raw_len(handle)?;
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        let raw = &mut buffer[..len];
        let read = self.file.read_at(raw, handle.offset);
        read.map_err(|error| Error::read(&self.name, handle.offset, len, error))?;
        Ok(raw)
    }

    /// The block's length in the file with its trailer, checked against the file before anything is allocated for it.
    pub(crate) fn raw_len(&self, handle: BlockHandle) -> Result<usize> {
        let checked = handle.check(self.size);
        checked.map_err(|error| self.damaged(error.at(handle.offset)))?;
        Ok(handle.len_with_trailer() as usize)
    }

    fn decode(&self, raw: &[u8], handle: BlockHandle) -> Result<Vec<u8>> {
        self.checked(table::decode_block(raw, handle.offset), handle)
    }

    /// Verifies and decompresses a block whose raw bytes were read before.
    pub(crate) fn decode_block(&self, raw: &[u8], handle: BlockHandle) -> Result<Block> {
        self.to_block(self.decode(raw, handle)?, handle)
    }

    fn to_block(&self, contents: Vec<u8>, handle: BlockHandle) -> Result<Block> {
        self.checked(Block::new(Bytes::from(contents)), handle)
    }

    /// The error for bad bytes in a block names it.
    #[inline]
    fn checked<T>(&self, found: Result<T, Corruption>, handle: BlockHandle) -> Result<T> {
        found.map_err(|error| self.damaged(error.at(handle.offset)))
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
