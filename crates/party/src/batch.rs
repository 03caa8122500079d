//! Several writes that take effect together.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::space::{Space, behind};
use crate::sublevel::Sublevel;
use crate::writes::{WriteBatch, WriteOptions, check_entry};

/// A chained batch, made by [`Db::batch`](crate::Db::batch): nothing happens before [`Batch::write`], then all of it or none.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path())?;
/// db.batch().put("a", "1").put("b", "2").delete("c").sync(true).write()?;
/// # Ok::<(), level_party::Error>(())
/// ```
#[must_use = "a batch does nothing before `write`"]
pub struct Batch<'a> {
    space: Space<'a>,
    batch: WriteBatch,
    options: WriteOptions,
    /// The first entry that can never be written.
    problem: Option<Error>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(space: Space<'a>) -> Self {
        Batch {
            space,
            batch: WriteBatch::new(),
            options: WriteOptions::default(),
            problem: None,
        }
    }

    /// Adds or replaces the entry of `key`.
    pub fn put(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.put_behind(self.space.prefix, key.as_ref(), value.as_ref());
        self
    }

    /// Removes the entry of `key`, if there is one.
    pub fn delete(mut self, key: impl AsRef<[u8]>) -> Self {
        self.delete_behind(self.space.prefix, key.as_ref());
        self
    }

    /// As [`Batch::put`] in a sublevel of the same database, so that one batch writes to several.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// let (users, by_year) = (db.sublevel("users")?, db.sublevel("by-year")?);
    /// db.batch().put_in(&users, "ada", "1815").put_in(&by_year, "1815", "ada").write()?;
    /// assert!(users.contains("ada")? && by_year.contains("1815")?);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn put_in(
        mut self,
        sublevel: &Sublevel,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Self {
        self.put_behind(sublevel.prefix_bytes(), key.as_ref(), value.as_ref());
        self
    }

    /// As [`Batch::delete`] in a sublevel of the same database.
    pub fn delete_in(mut self, sublevel: &Sublevel, key: impl AsRef<[u8]>) -> Self {
        self.delete_behind(sublevel.prefix_bytes(), key.as_ref());
        self
    }

    /// As [`Batch::put`], of the keys behind `prefix`.
    pub(crate) fn put_behind(&mut self, prefix: &[u8], key: &[u8], value: &[u8]) {
        self.add(&behind(prefix, key), Some(value));
    }

    /// As [`Batch::delete`], of the keys behind `prefix`.
    pub(crate) fn delete_behind(&mut self, prefix: &[u8], key: &[u8]) {
        self.add(&behind(prefix, key), None);
    }

    fn add(&mut self, key: &[u8], value: Option<&[u8]>) {
        match (check_entry(key, value.unwrap_or_default()), value) {
            (Err(error), _) => self.refuse(error),
            (Ok(()), Some(value)) => self.batch.put(key, value),
            (Ok(()), None) => self.batch.delete(key),
        }
    }

    /// The batch can never be written.
    pub(crate) fn refuse(&mut self, error: Error) {
        self.problem.get_or_insert(error);
    }

    /// Whether the batch is on stable storage before it is acknowledged.
    pub fn sync(mut self, yes: bool) -> Self {
        self.options.sync = yes;
        self
    }

    /// Applies the batch.
    ///
    /// # Errors
    /// As [`Db::write`](crate::Db::write).
    pub fn write(self) -> Result<()> {
        let (space, batch, options) = self.finish()?;
        let written = space.handle.write(Cow::Owned(batch), options.sync);
        written.map(drop)
    }

    /// What is to be written.
    ///
    /// # Errors
    /// The first entry that can never be.
    pub(crate) fn finish(self) -> Result<(Space<'a>, WriteBatch, WriteOptions)> {
        match self.problem {
            Some(error) => Err(error),
            None => Ok((self.space, self.batch, self.options)),
        }
    }
}
