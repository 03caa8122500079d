//! [`RangeCursor`]: a cursor that does not leave its [`KeyRange`].
//!
//! Promises: it shows one moment, as [`Cursor`] does, and nothing outside its range.
//! Must not know: views, or where a cursor comes from.

use std::fmt;
use std::ops::Bound;

use level_party_format::Sequence;

use crate::base::error::Result;
use crate::base::key_range::KeyRange;
use crate::read::cursor::Cursor;

mod owned;

pub use owned::{Keys, Pairs};

/// A cursor over the keys of a range. It lends its key and value until it moves.
///
/// ```
/// use std::sync::Arc;
/// use level_party_engine::{Engine, KeyRange, MemFs, Options, Write, WriteBatch};
///
/// let engine = Engine::open(Arc::new(MemFs::new()), Options::default())?;
/// let mut batch = WriteBatch::new();
/// for key in ["a", "b", "c"] {
///     batch.put(key.as_bytes(), b"");
/// }
/// engine.write(Write::new(batch))?;
///
/// let mut cursor = engine.range(KeyRange::new("b"..))?;
/// cursor.seek_to_last()?;
/// assert_eq!(cursor.key(), b"c");
/// cursor.seek(b"")?;
/// assert_eq!(cursor.key(), b"b");
/// cursor.prev()?;
/// assert!(!cursor.valid());
/// # Ok::<(), level_party_engine::Error>(())
/// ```
pub struct RangeCursor {
    cursor: Cursor,
    range: KeyRange,
    inside: bool,
}

impl RangeCursor {
    /// `cursor` inside `range`. It stands nowhere at first.
    pub fn new(cursor: Cursor, range: KeyRange) -> RangeCursor {
        RangeCursor {
            cursor,
            range,
            inside: false,
        }
    }

    /// The same walk without values: [`RangeCursor::value`] is empty, and no value is copied going backward.
    pub fn keys_only(self) -> RangeCursor {
        RangeCursor {
            cursor: self.cursor.keys_only(),
            inside: false,
            ..self
        }
    }

    /// The range.
    pub fn range(&self) -> &KeyRange {
        &self.range
    }

    /// The moment it shows.
    pub fn at(&self) -> Sequence {
        self.cursor.at()
    }

    /// Whether it is at a key.
    #[inline]
    pub fn valid(&self) -> bool {
        self.inside && self.cursor.valid()
    }

    /// The user key it is at; empty if not valid.
    #[inline]
    pub fn key(&self) -> &[u8] {
        if self.inside { self.cursor.key() } else { &[] }
    }

    /// The value of the key it is at; empty if not valid.
    #[inline]
    pub fn value(&self) -> &[u8] {
        if self.inside {
            self.cursor.value()
        } else {
            &[]
        }
    }

    /// The sequence of the write that put the value; 0 if not valid.
    #[inline]
    pub fn sequence(&self) -> Sequence {
        if self.inside {
            self.cursor.sequence()
        } else {
            0
        }
    }

    /// Moves to the first key of the range.
    ///
    /// # Errors
    /// What keeps a block on the way from being read; so for all moves.
    pub fn seek_to_first(&mut self) -> Result<()> {
        self.inside = false;
        match &self.range.start {
            Bound::Unbounded => self.cursor.seek_to_first()?,
            Bound::Included(start) => self.cursor.seek(start)?,
            Bound::Excluded(start) => seek_after(&mut self.cursor, start)?,
        }
        self.look_ahead()
    }

    /// Moves to the last key of the range.
    ///
    /// # Errors
    /// As [`RangeCursor::seek_to_first`].
    pub fn seek_to_last(&mut self) -> Result<()> {
        self.inside = false;
        match &self.range.end {
            Bound::Unbounded => self.cursor.seek_to_last()?,
            Bound::Excluded(end) => self.cursor.seek_before(end)?,
            Bound::Included(end) => seek_at_or_before(&mut self.cursor, end)?,
        }
        self.look_back()
    }

    /// Moves to the first key of the range at or after `user_key`.
    ///
    /// # Errors
    /// As [`RangeCursor::seek_to_first`].
    pub fn seek(&mut self, user_key: &[u8]) -> Result<()> {
        if !self.range.is_after_start(self.cursor.user(), user_key) {
            return self.seek_to_first();
        }
        self.inside = false;
        self.cursor.seek(user_key)?;
        self.look_ahead()
    }

    /// Moves to the last key of the range before `user_key`.
    ///
    /// # Errors
    /// As [`RangeCursor::seek_to_first`].
    pub fn seek_before(&mut self, user_key: &[u8]) -> Result<()> {
        if !self.range.is_before_end(self.cursor.user(), user_key) {
            return self.seek_to_last();
        }
        self.inside = false;
        self.cursor.seek_before(user_key)?;
        self.look_back()
    }

    /// Moves to the next key; a cursor that is not valid stays so.
    ///
    /// # Errors
    /// As [`RangeCursor::seek_to_first`].
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "it lends, as no Iterator can, and prev is its twin"
    )]
    pub fn next(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.inside) {
            return Ok(());
        }
        self.cursor.next()?;
        self.look_ahead()
    }

    /// Moves to the key before; a cursor that is not valid stays so.
    ///
    /// # Errors
    /// As [`RangeCursor::seek_to_first`].
    #[inline]
    pub fn prev(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.inside) {
            return Ok(());
        }
        self.cursor.prev()?;
        self.look_back()
    }

    /// The pairs of the range, owned, from both ends. Where this cursor stands plays no part.
    pub fn pairs(self) -> Pairs {
        Pairs::new(self)
    }

    /// The keys of the range, owned, from both ends.
    pub fn keys(self) -> Keys {
        Keys::new(self.keys_only())
    }

    #[inline]
    fn look_ahead(&mut self) -> Result<()> {
        let cursor = &self.cursor;
        self.inside = cursor.valid() && self.range.is_before_end(cursor.user(), cursor.key());
        Ok(())
    }

    #[inline]
    fn look_back(&mut self) -> Result<()> {
        let cursor = &self.cursor;
        self.inside = cursor.valid() && self.range.is_after_start(cursor.user(), cursor.key());
        Ok(())
    }
}

/// To the first key after `user_key`.
fn seek_after(cursor: &mut Cursor, user_key: &[u8]) -> Result<()> {
    cursor.seek(user_key)?;
    if cursor.valid() && cursor.user().compare(cursor.key(), user_key).is_eq() {
        cursor.next()?;
    }
    Ok(())
}

/// To the last key that is not after `user_key`.
fn seek_at_or_before(cursor: &mut Cursor, user_key: &[u8]) -> Result<()> {
    cursor.seek(user_key)?;
    let is_there = cursor.valid() && cursor.user().compare(cursor.key(), user_key).is_eq();
    if is_there {
        return Ok(());
    }
    cursor.seek_before(user_key)
}

impl fmt::Debug for RangeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeCursor")
            .field("range", &self.range)
            .field("cursor", &self.cursor)
            .finish()
    }
}
