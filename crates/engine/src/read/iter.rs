//! Iterators over internal entries (internal key, value), one kind for each place they come from.
//!
//! Promises: all kinds move alike. After an operation that gave an error the iterator is not valid, and may be
//! positioned anew; an entry is never passed over in silence because its block can't be read.
//! Must not know: which entries a reader may see; tombstones and old versions are entries like others.

use level_party_format::Corruption;
use level_party_memtable::MemIter;

use crate::base::error::{Error, ErrorKind, Result};

mod level;
mod merge;
mod read_ahead;
mod table;

pub(crate) use level::LevelIter;
pub(crate) use merge::MergingIter;
pub(crate) use table::TableIter;

/// An iterator over one place's entries. An enum, so that the merge's hot loop calls no function through a pointer.
pub(crate) enum InternalIter {
    /// A memtable.
    Mem(MemIter),
    /// One table.
    Table(TableIter),
    /// Tables that follow each other in key order.
    Level(LevelIter),
}

/// Calls the same method on whichever kind it is.
macro_rules! on {
    ($self:ident, $iter:ident => $mem:expr, $other:expr) => {
        match $self {
            InternalIter::Mem($iter) => $mem,
            InternalIter::Table($iter) => $other,
            InternalIter::Level($iter) => $other,
        }
    };
}

impl InternalIter {
    /// It is one of so many children of a merge, which read ahead together no more than a few may.
    pub(crate) fn share_read_ahead(&mut self, children: usize) {
        match self {
            InternalIter::Mem(_) => {}
            InternalIter::Table(iter) => iter.share_read_ahead(children),
            InternalIter::Level(iter) => iter.share_read_ahead(children),
        }
    }

    /// Whether it is at an entry.
    #[inline]
    pub(crate) fn valid(&self) -> bool {
        on!(self, iter => iter.valid(), iter.valid())
    }

    /// The internal key of the entry; empty if not valid.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        on!(self, iter => iter.key(), iter.key())
    }

    /// The internal key of the entry and the length of its value; both empty if not valid.
    #[inline]
    pub(crate) fn entry(&self) -> (&[u8], usize) {
        on!(self, iter => (iter.key(), iter.value_len()), (iter.key(), iter.value().len()))
    }

    /// Has the entry's value at hand for [`InternalIter::value`].
    #[inline]
    pub(crate) fn load_value(&mut self) {
        if let InternalIter::Mem(iter) = self {
            iter.load_value();
        }
    }

    /// Appends the value of the entry, loaded or not.
    #[inline]
    pub(crate) fn append_value(&self, out: &mut Vec<u8>) {
        on!(self, iter => iter.append_value(out), out.extend_from_slice(iter.value()));
    }

    /// The value of the entry, once it was loaded; empty if not valid.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        on!(self, iter => iter.value(), iter.value())
    }

    /// Moves to the first entry.
    pub(crate) fn seek_to_first(&mut self) -> Result<()> {
        on!(self, iter => { iter.seek_to_first(); whole(iter) }, iter.seek_to_first())
    }

    /// Moves to the last entry.
    pub(crate) fn seek_to_last(&mut self) -> Result<()> {
        on!(self, iter => { iter.seek_to_last(); whole(iter) }, iter.seek_to_last())
    }

    /// Moves to the first entry at or after an internal key.
    pub(crate) fn seek(&mut self, internal_key: &[u8]) -> Result<()> {
        on!(self, iter => { iter.seek(internal_key); whole(iter) }, iter.seek(internal_key))
    }

    /// Moves to the next entry; does nothing if not valid.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<()> {
        on!(self, iter => { iter.next(); whole(iter) }, iter.next())
    }

    /// Moves to the entry before; does nothing if not valid.
    #[inline]
    pub(crate) fn prev(&mut self) -> Result<()> {
        on!(self, iter => { iter.prev(); whole(iter) }, iter.prev())
    }

    /// The error for an entry here that makes no sense, naming its place.
    #[cold]
    pub(crate) fn damaged(&self, error: Corruption) -> Error {
        match self {
            InternalIter::Mem(_) => damaged_memtable(error),
            InternalIter::Table(iter) => iter.damaged(error),
            InternalIter::Level(iter) => iter.damaged(error),
        }
    }
}

/// A memtable's iterator that ends tells whether that is the end of the list, or of what made sense in it.
#[inline]
fn whole(iter: &MemIter) -> Result<()> {
    if iter.valid() {
        return Ok(());
    }
    iter.status().map_err(damaged_memtable)
}

#[cold]
fn damaged_memtable(error: Corruption) -> Error {
    let message = format!("a memtable is damaged: {}", error.what);
    Error::with_source(ErrorKind::Corruption, message, error)
}

#[cfg(test)]
mod tests;
