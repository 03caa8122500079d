//! Reads of several keys: at one moment each.

use level_party_format::Sequence;

use super::Engine;
use crate::base::entry::Entry;
use crate::base::error::Result;
use crate::base::key_range::KeyRange;
use crate::read::cursor::Cursor;
use crate::read::range_cursor::RangeCursor;

/// Keys that are read at one moment without a pin.
const MANY: usize = 64;

impl Engine {
    /// What `read` makes of the newest value of a key, or of that at a sequence that the caller has pinned. It is lent the
    /// value, at most once, when nothing can fail any more. A value in a table's block is not copied; one in a memtable is,
    /// into a buffer that the thread keeps.
    ///
    /// # Errors
    /// As [`Engine::get`], and as [`Engine::get_at`].
    ///
    /// ```
    /// use std::sync::Arc;
    /// use level_party_engine::{Engine, MemFs, Options, Write, WriteBatch};
    ///
    /// let engine = Engine::open(Arc::new(MemFs::new()), Options::default())?;
    /// let mut batch = WriteBatch::new();
    /// batch.put(b"colour", b"green");
    /// engine.write(Write::new(batch))?;
    /// assert_eq!(engine.get_with(b"colour", None, <[u8]>::len)?, Some(5));
    /// # Ok::<(), level_party_engine::Error>(())
    /// ```
    pub fn get_with<T>(
        &self,
        key: &[u8],
        at: Option<Sequence>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>> {
        self.shared.health.check_open()?;
        self.shared.views.get_with(key, at, read)
    }

    /// The newest values of these keys, in their order, all of one moment.
    ///
    /// # Errors
    /// As [`Engine::get`], for the first key that can't be read.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use level_party_engine::{Engine, MemFs, Options, Write, WriteBatch};
    ///
    /// let engine = Engine::open(Arc::new(MemFs::new()), Options::default())?;
    /// let mut batch = WriteBatch::new();
    /// batch.put(b"a", b"1");
    /// engine.write(Write::new(batch))?;
    /// let found = engine.get_many(&["a", "b"])?;
    /// assert_eq!(found[0].as_ref().unwrap().value, b"1");
    /// assert!(found[1].is_none());
    /// assert!(engine.contains(b"a")? && !engine.contains(b"b")?);
    /// # Ok::<(), level_party_engine::Error>(())
    /// ```
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Entry>>> {
        self.shared.health.check_open()?;
        if keys.len() > MANY && self.shared.views.can_age() {
            // So many that the moment could be too old again and again.
            let pin = self.pin();
            return self.get_many_at(keys, pin.sequence());
        }
        self.shared.views.get_many(keys)
    }

    /// As [`Engine::get_many`], at a sequence that the caller has pinned.
    ///
    /// # Errors
    /// As [`Engine::get_at`].
    pub fn get_many_at<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        sequence: Sequence,
    ) -> Result<Vec<Option<Entry>>> {
        let get = |key: &K| self.get_at(key.as_ref(), sequence);
        keys.iter().map(get).collect()
    }

    /// Whether a key has a value. No value is copied.
    ///
    /// # Errors
    /// As [`Engine::get`].
    pub fn contains(&self, key: &[u8]) -> Result<bool> {
        self.shared.health.check_open()?;
        self.shared.views.contains(key)
    }

    /// As [`Engine::contains`], at a sequence that the caller has pinned.
    ///
    /// # Errors
    /// As [`Engine::get_at`].
    pub fn contains_at(&self, key: &[u8], sequence: Sequence) -> Result<bool> {
        self.shared.health.check_open()?;
        self.shared.views.contains_at(key, sequence)
    }

    /// What `gather` makes of a cursor at a sequence that the caller has pinned, and keeps pinned until it is answered. It may
    /// be asked a second time, by which all that it gathered before is void. Where few entries are taken, this costs less than
    /// [`Engine::cursor_at`], whose cursor pins its moment by itself and looks at its view in each step.
    ///
    /// # Errors
    /// As [`Engine::get_at`], and those of `gather`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use level_party_engine::{Engine, MemFs, Options, Write, WriteBatch};
    ///
    /// let engine = Engine::open(Arc::new(MemFs::new()), Options::default())?;
    /// let mut batch = WriteBatch::new();
    /// batch.put(b"a", b"1");
    /// engine.write(Write::new(batch))?;
    /// let pin = engine.pin();
    /// let first = engine.scan_at(pin.sequence(), |mut cursor| {
    ///     cursor.seek_to_first()?;
    ///     Ok(cursor.key().to_vec())
    /// })?;
    /// assert_eq!(first, b"a");
    /// # Ok::<(), level_party_engine::Error>(())
    /// ```
    pub fn scan_at<T>(
        &self,
        sequence: Sequence,
        gather: impl FnMut(Cursor) -> Result<T>,
    ) -> Result<T> {
        self.shared.health.check_open()?;
        self.shared.views.scan_at(sequence, gather)
    }

    /// A cursor over a range of the database as it is now. [`RangeCursor::pairs`] makes an iterator of it.
    ///
    /// # Errors
    /// As [`Engine::cursor`].
    pub fn range(&self, range: KeyRange) -> Result<RangeCursor> {
        Ok(RangeCursor::new(self.cursor()?, range))
    }

    /// As [`Engine::range`], at a sequence that the caller has pinned.
    ///
    /// # Errors
    /// As [`Engine::cursor_at`].
    pub fn range_at(&self, range: KeyRange, sequence: Sequence) -> Result<RangeCursor> {
        Ok(RangeCursor::new(self.cursor_at(sequence)?, range))
    }
}
