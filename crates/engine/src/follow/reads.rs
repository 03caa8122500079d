//! Reads of the newest view, or of a moment that somebody has pinned.
//!
//! Promises: a read whose view becomes too old meanwhile is made again; what is answered is one moment.
//! Must not know: who pinned the moment, or whether the engine is open.

use std::sync::Arc;

use level_party_format::Sequence;

use crate::base::entry::Entry;
use crate::base::error::{Error, Result};
use crate::follow::views::Views;
use crate::read::cursor::Cursor;
use crate::read::snapshots::{Pin, check_readable};
use crate::read::view::View;
use crate::read::view_source::ViewSource;

impl Views {
    /// The newest value of a key.
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Entry>> {
        self.read(|view| view.get(key, Sequence::MAX))
    }

    /// The newest value of a key at a pinned moment.
    pub(crate) fn get_at(&self, key: &[u8], sequence: Sequence) -> Result<Option<Entry>> {
        self.read_at(sequence, |view| view.get(key, sequence))
    }

    /// What `read` makes of the newest value of a key, or of that at a pinned moment.
    #[inline]
    pub(crate) fn get_with<T>(
        &self,
        key: &[u8],
        at: Option<Sequence>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>> {
        // A view that is read again has lent no value.
        let mut read = Some(read);
        let mut once = |value: &[u8]| read.take().map(|read| read(value));
        let found = match at {
            None => self.read(|view| view.get_with(key, Sequence::MAX, &mut once)),
            Some(at) => self.read_at(at, |view| view.get_with(key, at, &mut once)),
        };
        found.map(Option::flatten)
    }

    /// The newest values of keys, all of one moment.
    pub(crate) fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Entry>>> {
        self.read(|view| {
            let now = view.last_sequence();
            let get = |key: &K| view.get(key.as_ref(), now);
            keys.iter().map(get).collect()
        })
    }

    /// Whether a key has a value. None is copied.
    pub(crate) fn contains(&self, key: &[u8]) -> Result<bool> {
        let found = self.read(|view| view.value_sequence(key, Sequence::MAX))?;
        Ok(found.is_some())
    }

    /// The same at a pinned moment.
    pub(crate) fn contains_at(&self, key: &[u8], sequence: Sequence) -> Result<bool> {
        let found = self.read_at(sequence, |view| view.value_sequence(key, sequence))?;
        Ok(found.is_some())
    }

    /// Reads a pinned moment.
    pub(crate) fn read_at<R>(
        &self,
        sequence: Sequence,
        mut read: impl FnMut(&Arc<View>) -> Result<R>,
    ) -> Result<R> {
        self.read(|view| {
            self.check_readable(view, sequence)?;
            read(view)
        })
    }

    /// The floor is asked after the view is loaded: what a compaction dropped below a later floor is still in this view.
    fn check_readable(&self, view: &View, sequence: Sequence) -> Result<()> {
        // What a view had published when it was made may be less than the moment that was pinned then.
        let last = view.last_published().ok_or_else(Error::stale)?;
        check_readable(sequence, self.horizon(), last)
    }

    /// What `gather` makes of a cursor at a moment that somebody has pinned, and keeps pinned meanwhile. Where the view that it
    /// walked became too old, it is asked once more, with a cursor that goes on in newer ones by itself.
    pub(crate) fn scan_at<T>(
        self: &Arc<Self>,
        sequence: Sequence,
        mut gather: impl FnMut(Cursor) -> Result<T>,
    ) -> Result<T> {
        let view = self.newest_at(sequence)?;
        let gathered = gather(view.cursor(sequence));
        let is_outdated = |error: &Error| self.has_newer(&view, error);
        match view.is_current() && !gathered.as_ref().is_err_and(is_outdated) {
            true => gathered,
            false => gather(self.cursor_at(sequence, None)?),
        }
    }

    /// A cursor at a pinned moment. Where its view may become too old it goes on in newer ones; `pin` keeps the moment for
    /// as long as the cursor lives, if nobody else does.
    pub(crate) fn cursor_at(
        self: &Arc<Self>,
        sequence: Sequence,
        pin: Option<Pin>,
    ) -> Result<Cursor> {
        let cursor = self.read_at(sequence, |view| Ok(view.cursor(sequence)))?;
        Ok(match self.can_age() {
            true => cursor.renewing(Arc::clone(self) as _, pin),
            false => cursor,
        })
    }
}
