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
        read: impl Fn(&Arc<View>) -> Result<R>,
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
