//! [`NextFile`]: gives out the numbers of files.
//!
//! Promises: no number is given out twice, whichever member of a segment asks.
//! Must not know: what files are for.

use std::sync::atomic::Ordering;

use level_party_memtable::{HeapRegions, RegionSource, Words};

use crate::base::error::{Error, ErrorKind, Result};

/// The number that the next file gets: a word of the control page, or of memory of its own where there is none. Clones
/// are the same word.
#[derive(Clone)]
pub(crate) struct NextFile {
    words: Words,
    at: usize,
}

impl NextFile {
    /// The word at this index, which is there.
    pub(crate) fn new(words: Words, at: usize) -> NextFile {
        debug_assert!(at < words.all().len());
        NextFile { words, at }
    }

    /// A word of its own.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn alone(first: u64) -> Result<NextFile> {
        let region = HeapRegions::new().allocate(64);
        let region = region.map_err(|e| Error::io("allocate", "a word", e))?;
        let words = Words::of(region)
            .ok_or_else(|| Error::new(ErrorKind::Io, "memory of the heap is not aligned"))?;
        let next = NextFile { words, at: 0 };
        next.set(first);
        Ok(next)
    }

    /// A number that no file had.
    pub(crate) fn next(&self) -> u64 {
        self.words.all()[self.at].fetch_add(1, Ordering::Relaxed)
    }

    /// The number that [`NextFile::next`] will give.
    pub(crate) fn peek(&self) -> u64 {
        self.words.all()[self.at].load(Ordering::Relaxed)
    }

    /// Begins with this number.
    pub(crate) fn set(&self, first: u64) {
        self.words.all()[self.at].store(first, Ordering::Relaxed);
    }
}
