//! [`Tables`]: all that is needed to open a version's tables, and [`FileMeta`]: one table file of a version.
//!
//! Promises: a table is opened when it is first read, and stays open as long as [`OpenTables`] allows; an attempt that
//! failed is made again by the next read.
//! Must not know: levels, or when a file may be removed. A [`FileMeta`] has no `Drop`: files are removed by the write
//! half, which looks at the versions still alive, never by a reader's last drop.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use level_party_format::Comparator;
use level_party_format::edit::NewFile;
use level_party_format::filename;
use level_party_format::key::InternalComparator;

use crate::base::error::{Error, Result};
use crate::base::fs::{Fs, ReadFile};
use crate::base::limits::MAX_OPEN_FILES;
use crate::read::block_cache::BlockCache;
use crate::read::open_tables::{OpenTables, TableRef, TableSlot};
use crate::read::seek_budget::{SAMPLE_PERIOD, Seeks};
use crate::read::table::Table;

/// The directory and the rules by which its tables are read.
pub struct Tables {
    fs: Arc<dyn Fs>,
    comparator: InternalComparator,
    use_filters: bool,
    open: OpenTables,
    blocks: Option<Arc<BlockCache>>,
    samples: AtomicU64,
}

impl Tables {
    /// Tables in `fs`, ordered by `comparator`.
    ///
    /// `bloom` says whether the database's owner asked for Bloom filters. Filters found in tables are used without it
    /// under the bytewise order, but not under a custom one, whose equal keys may differ in their bytes.
    pub fn new(fs: Arc<dyn Fs>, comparator: InternalComparator, bloom: bool) -> Tables {
        let use_filters = bloom || matches!(comparator.user, Comparator::Bytewise);
        Tables {
            fs,
            comparator,
            use_filters,
            open: OpenTables::new(MAX_OPEN_FILES),
            blocks: None,
            samples: AtomicU64::new(0),
        }
    }

    /// Keeps at most this many tables open, beside those in use.
    pub fn with_max_open_files(self, max_open_files: usize) -> Tables {
        Tables {
            open: OpenTables::new(max_open_files),
            ..self
        }
    }

    /// Keeps about this many bytes of blocks in memory; without this call, none.
    pub fn with_block_cache(self, bytes: usize) -> Tables {
        Tables {
            blocks: BlockCache::new(bytes).map(Arc::new),
            ..self
        }
    }

    /// How many bytes of entries an iterator may pass until the next sample of its reads: any number up to twice
    /// [`SAMPLE_PERIOD`], so that many short scans are sampled as often as a long one.
    pub(crate) fn sample_period(&self) -> u64 {
        // The steps of a golden ratio are spread evenly over the whole range.
        let turn = self.samples.fetch_add(1, Ordering::Relaxed) + 1;
        let part = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        (part * 2 * SAMPLE_PERIOD) >> 32
    }

    /// The bytes of blocks in memory now.
    pub(crate) fn cached_bytes(&self) -> u64 {
        self.blocks.as_ref().map_or(0, |blocks| blocks.bytes())
    }

    /// The order of the tables' keys.
    pub fn comparator(&self) -> &InternalComparator {
        &self.comparator
    }

    /// The directory.
    pub fn fs(&self) -> &Arc<dyn Fs> {
        &self.fs
    }

    /// Opens the file of `meta` anew: `NNNNNN.ldb`, or `NNNNNN.sst` as LevelDB before 1.15 called it.
    ///
    /// # Errors
    /// [`Corruption`](crate::ErrorKind::Corruption) if the file is missing or damaged, or the system's error.
    pub fn open_table(&self, meta: &FileMeta) -> Result<Arc<Table>> {
        let (name, file) = self.open_file(meta.number)?;
        let table = Table::open(
            file,
            name,
            meta.size,
            self.comparator.clone(),
            self.use_filters,
        )?;
        let table = match &self.blocks {
            Some(blocks) => table.with_cache(Arc::clone(blocks), meta.number),
            None => table,
        };
        Ok(Arc::new(table))
    }

    fn open_file(&self, number: u64) -> Result<(String, Arc<dyn ReadFile>)> {
        let name = filename::table(number);
        let first = match self.fs.open_read(&name) {
            Ok(file) => return Ok((name, file)),
            Err(error) => error,
        };
        if first.kind() != io::ErrorKind::NotFound {
            return Err(Error::io("open", &name, first));
        }
        let old_name = filename::table_old(number);
        match self.fs.open_read(&old_name) {
            Ok(file) => Ok((old_name, file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::missing_table(&name, first))
            }
            Err(error) => Err(Error::io("open", &old_name, error)),
        }
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables")
            .field("comparator", &self.comparator.user.name())
            .field("use_filters", &self.use_filters)
            .finish_non_exhaustive()
    }
}

/// One table file of a version, by the manifest's words, with the table itself once it was read from.
pub struct FileMeta {
    /// The file's number, from which its name is made.
    pub number: u64,
    /// The file's length in bytes.
    pub size: u64,
    /// The first internal key.
    pub smallest: Vec<u8>,
    /// The last internal key.
    pub largest: Vec<u8>,
    slot: Arc<TableSlot>,
    seeks: Seeks,
}

impl FileMeta {
    /// A file not opened yet.
    pub fn new(number: u64, size: u64, smallest: Vec<u8>, largest: Vec<u8>) -> FileMeta {
        FileMeta {
            number,
            size,
            smallest,
            largest,
            slot: Arc::default(),
            seeks: Seeks::of(size),
        }
    }

    /// The table, opened if it is not open.
    ///
    /// # Errors
    /// As [`Tables::open_table`].
    pub fn table(&self, tables: &Tables) -> Result<TableRef> {
        if let Some(table) = self.slot.get() {
            return Ok(table);
        }
        // Outside every lock: nobody waits for another's disk.
        let table = tables.open_table(self)?;
        Ok(tables.open.keep(&self.slot, table).0)
    }

    /// The seeks it has left before it is compacted for their sake.
    #[inline]
    pub(crate) fn seeks(&self) -> &Seeks {
        &self.seeks
    }

    /// The manifest's words for this file.
    pub fn to_new_file(&self) -> NewFile {
        NewFile {
            number: self.number,
            size: self.size,
            smallest: self.smallest.clone(),
            largest: self.largest.clone(),
        }
    }
}

impl From<NewFile> for FileMeta {
    fn from(file: NewFile) -> FileMeta {
        FileMeta::new(file.number, file.size, file.smallest, file.largest)
    }
}

impl fmt::Debug for FileMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileMeta")
            .field("number", &self.number)
            .field("size", &self.size)
            .field("open", &self.slot.is_open())
            .finish_non_exhaustive()
    }
}
