//! Writing tables: [`TableWriting`], what it takes, and [`TableFile`], one table being written.
//!
//! Promises: a finished table is synced; a failure to append leaves the engine healthy, so that the table can be tried
//! again under another number; a failed sync ends writing for good, because the disk's state is unknown after it.
//! Must not know: levels, versions, or where the entries come from.

use std::sync::Arc;

use level_party_format::filename;
use level_party_format::filter::BloomPolicy;
use level_party_format::table::{TableBuilder, TableOptions};

use crate::base::error::{Error, Result};
use crate::base::fs::{Fs, WriteFile};
use crate::base::health::Health;
use crate::base::next_file::NextFile;
use crate::base::options::{Before, Options};
use crate::read::files::{FileMeta, Tables};

/// Bytes gathered for one write to a table.
const WRITE_SIZE: usize = 256 << 10;

/// All that is needed to write tables.
pub(crate) struct TableWriting {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) tables: Arc<Tables>,
    pub(crate) options: TableOptions,
    pub(crate) next_file: NextFile,
    pub(crate) health: Arc<Health>,
}

impl TableWriting {
    pub(crate) fn new(
        options: &Options,
        tables: &Arc<Tables>,
        next_file: NextFile,
        health: &Arc<Health>,
    ) -> TableWriting {
        TableWriting {
            fs: Arc::clone(tables.fs()),
            tables: Arc::clone(tables),
            options: TableOptions {
                comparator: tables.comparator().clone(),
                block_size: options.block_size,
                block_restart_interval: options.block_restart_interval,
                compression: options.block_compression(),
                filter: options.bloom_bits_per_key.map(BloomPolicy::new),
            },
            next_file,
            health: Arc::clone(health),
        }
    }

    /// Begins a table under a number no file had.
    pub(crate) fn begin(&self) -> Result<TableFile<'_>> {
        self.health.check_owner(Before::Create)?;
        let number = self.next_file.next();
        let name = filename::table(number);
        let file = self
            .fs
            .create_new(&name)
            .map_err(|error| Error::io("create", &name, error))?;
        Ok(TableFile {
            writing: self,
            number,
            file,
            builder: TableBuilder::new(self.options.clone()),
            smallest: Vec::new(),
            largest: Vec::new(),
            guard: Guard {
                writing: self,
                name,
                is_whole: false,
            },
        })
    }
}

/// A table being written. Dropped before it is whole, it removes its file.
pub(crate) struct TableFile<'a> {
    writing: &'a TableWriting,
    number: u64,
    file: Box<dyn WriteFile>,
    builder: TableBuilder,
    smallest: Vec<u8>,
    largest: Vec<u8>,
    guard: Guard<'a>,
}

/// A table that is whole, and can be read; but it is not synced.
pub(crate) struct Unsynced {
    pub(crate) meta: Arc<FileMeta>,
    pub(crate) file: Box<dyn WriteFile>,
}

impl TableFile<'_> {
    /// Adds an entry; internal keys ascend.
    pub(crate) fn add(&mut self, internal_key: &[u8], value: &[u8]) -> Result<()> {
        if self.builder.entries() == 0 {
            self.smallest.extend_from_slice(internal_key);
        }
        self.largest.clear();
        self.largest.extend_from_slice(internal_key);
        self.builder.add(internal_key, value);
        if self.builder.output().len() >= WRITE_SIZE {
            self.write_out()?;
        }
        Ok(())
    }

    /// Bytes of the table so far.
    pub(crate) fn size(&self) -> u64 {
        self.builder.file_size()
    }

    fn write_out(&mut self) -> Result<()> {
        let bytes = self.builder.output();
        let appended = self.file.append(bytes);
        bytes.clear();
        appended.map_err(|error| Error::io("append to", &self.guard.name, error))
    }

    /// Ends the table, and opens it to see that it can be read.
    pub(crate) fn end(mut self) -> Result<Unsynced> {
        self.builder.finish();
        self.write_out()?;
        let size = self.builder.file_size();
        let meta = FileMeta::new(self.number, size, self.smallest, self.largest);
        meta.table(&self.writing.tables)?;
        self.guard.is_whole = true;
        Ok(Unsynced {
            meta: Arc::new(meta),
            file: self.file,
        })
    }

    /// Ends the table and syncs it.
    pub(crate) fn finish(self) -> Result<Arc<FileMeta>> {
        let writing = self.writing;
        let name = self.guard.name.clone();
        let Unsynced { meta, mut file } = self.end()?;
        writing.health.check()?;
        if !planted!(TableNotSynced) {
            let health = &writing.health;
            file.sync()
                .map_err(|error| health.poison(Error::io("sync", &name, error)))?;
        }
        Ok(meta)
    }
}

/// The file of a table that is not whole.
struct Guard<'a> {
    writing: &'a TableWriting,
    name: String,
    is_whole: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // No manifest names it: what can't be removed now is removed by the next opening.
        let health = &self.writing.health;
        if !self.is_whole && !health.is_poisoned() && health.check_owner(Before::Removal).is_ok() {
            let _ = self.writing.fs.remove(&self.name);
        }
    }
}
