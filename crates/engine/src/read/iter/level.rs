//! [`LevelIter`]: the entries of tables that follow each other in key order. A table is opened when it is reached.

use std::ops::Range;
use std::sync::Arc;

use level_party_format::Corruption;

use super::read_ahead::ReadAhead;
use super::table::TableIter;
use crate::base::error::{Error, Result};
use crate::read::files::{FileMeta, Tables};
use crate::read::level_files::{Levels, first_file_reaching};

/// An iterator over the entries of tables in key order: a level, a part of one, or a single file of level 0.
pub(crate) struct LevelIter {
    files: Files,
    /// The position of the file that `table` iterates over.
    at: usize,
    table: Option<TableIter>,
    /// Children of the merge that it is in.
    children: usize,
}

enum Files {
    Of {
        levels: Arc<dyn Levels>,
        level: usize,
        range: Range<usize>,
    },
    List {
        files: Vec<Arc<FileMeta>>,
        tables: Arc<Tables>,
    },
}

impl Files {
    fn list(&self) -> &[Arc<FileMeta>] {
        match self {
            Files::Of {
                levels,
                level,
                range,
            } => levels
                .files_of(*level)
                .get(range.clone())
                .unwrap_or_default(),
            Files::List { files, .. } => files,
        }
    }

    /// Readers' files are read again; files that are listed one by one are read as a whole, to be rewritten.
    fn are_read_again(&self) -> bool {
        matches!(self, Files::Of { .. })
    }

    fn tables(&self) -> &Tables {
        match self {
            Files::Of { levels, .. } => levels.tables(),
            Files::List { tables, .. } => tables,
        }
    }
}

impl LevelIter {
    /// Over the files at `range` of one level, whose owner is kept alive.
    pub(crate) fn of_level(
        levels: Arc<dyn Levels>,
        level: usize,
        range: Range<usize>,
    ) -> LevelIter {
        LevelIter::new(Files::Of {
            levels,
            level,
            range,
        })
    }

    /// Over files that must be in key order and not overlap. Whoever asks must keep them from being removed.
    pub(crate) fn of_files(files: Vec<Arc<FileMeta>>, tables: Arc<Tables>) -> LevelIter {
        LevelIter::new(Files::List { files, tables })
    }

    fn new(files: Files) -> LevelIter {
        LevelIter {
            files,
            at: 0,
            table: None,
            children: 1,
        }
    }

    /// As [`TableIter::share_read_ahead`].
    pub(crate) fn share_read_ahead(&mut self, children: usize) {
        self.children = children;
    }

    #[inline]
    pub(crate) fn valid(&self) -> bool {
        self.table.as_ref().is_some_and(TableIter::valid)
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.table.as_ref().map_or(&[], TableIter::key)
    }

    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        self.table.as_ref().map_or(&[], TableIter::value)
    }

    pub(crate) fn seek_to_first(&mut self) -> Result<()> {
        self.first_from(0)
    }

    pub(crate) fn seek_to_last(&mut self) -> Result<()> {
        self.last_before(self.files.list().len())
    }

    /// To the first entry at or after an internal key.
    pub(crate) fn seek(&mut self, internal_key: &[u8]) -> Result<()> {
        let comparator = self.files.tables().comparator();
        let at = first_file_reaching(comparator, self.files.list(), internal_key);
        if let Some(table) = self.open(at)? {
            table.seek(internal_key)?;
            if table.valid() {
                return Ok(());
            }
        }
        self.first_from(at + 1)
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Result<()> {
        match &mut self.table {
            Some(table) if table.valid() => table.next()?,
            _ => return Ok(()),
        }
        if self.valid() {
            return Ok(());
        }
        self.first_from(self.at + 1)
    }

    #[inline]
    pub(crate) fn prev(&mut self) -> Result<()> {
        match &mut self.table {
            Some(table) if table.valid() => table.prev()?,
            _ => return Ok(()),
        }
        if self.valid() {
            return Ok(());
        }
        self.last_before(self.at)
    }

    /// To the first entry in the files from `at` on; to none if there is none.
    fn first_from(&mut self, at: usize) -> Result<()> {
        for at in at..self.files.list().len() {
            if let Some(table) = self.open(at)? {
                table.seek_to_first()?;
                if table.valid() {
                    return Ok(());
                }
            }
        }
        self.table = None;
        Ok(())
    }

    /// To the last entry in the files before `at`; to none if there is none.
    fn last_before(&mut self, at: usize) -> Result<()> {
        for at in (0..at).rev() {
            if let Some(table) = self.open(at)? {
                table.seek_to_last()?;
                if table.valid() {
                    return Ok(());
                }
            }
        }
        self.table = None;
        Ok(())
    }

    /// Makes `table` the one at a position; `None` beyond the last.
    fn open(&mut self, at: usize) -> Result<Option<&mut TableIter>> {
        if self.table.is_none() || self.at != at {
            let before = self.table.take();
            let mut ahead = before.map_or_else(ReadAhead::default, TableIter::into_read_ahead);
            ahead.share_among(self.children);
            self.at = at;
            let Some(file) = self.files.list().get(at) else {
                return Ok(None);
            };
            let table = file.table(self.files.tables())?.to_arc();
            let cached = self.files.are_read_again();
            self.table = Some(TableIter::with_read_ahead(table, ahead, cached));
        }
        Ok(self.table.as_mut())
    }

    /// The error for bad bytes at the entry it is at.
    #[cold]
    pub(crate) fn damaged(&self, error: Corruption) -> Error {
        match &self.table {
            Some(table) => table.damaged(error),
            None => Error::corruption("a table", error),
        }
    }
}
