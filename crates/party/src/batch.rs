//! Several writes that take effect together.

use std::borrow::Cow;

pub use level_party_engine::{Op, WriteBatch};

use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{Conditions, MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, MAX_KEY_BYTES};
use crate::space::{Space, behind};
use crate::sublevel::Sublevel;

/// How a write is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// Whether the write is on stable storage before it is acknowledged (LevelDB's `WriteOptions::sync`).
    pub sync: bool,
}

impl WriteOptions {
    /// Sets [`WriteOptions::sync`].
    pub fn sync(mut self, yes: bool) -> Self {
        self.sync = yes;
        self
    }
}

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

/// Refuses a key over its limit, alike in both roles.
pub(crate) fn check_key(key: &[u8]) -> Result<()> {
    if key.len() <= MAX_KEY_BYTES {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "a key of {} bytes is over the limit of {MAX_KEY_BYTES}",
            key.len()
        ),
    ))
}

/// Refuses an entry that no batch can hold.
pub(crate) fn check_entry(key: &[u8], value: &[u8]) -> Result<()> {
    check_key(key)?;
    if value.len() <= MAX_BATCH_BYTES {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "a value of {} bytes is over the limit of {MAX_BATCH_BYTES}",
            value.len()
        ),
    ))
}

/// Refuses a batch that cannot travel.
pub(crate) fn check_batch(batch: &WriteBatch, conditions: &Conditions) -> Result<()> {
    let bytes = batch.byte_size() + conditions.packed().len();
    if bytes > MAX_BATCH_BYTES {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("a write of {bytes} bytes is over the limit of {MAX_BATCH_BYTES}; split it"),
        ));
    }
    conditions.check_count()?;
    check_entries(batch.as_bytes())?;
    // No key is longer than the whole.
    match batch.byte_size() <= MAX_KEY_BYTES {
        true => Ok(()),
        false => batch.iter().try_for_each(|op| check_key(op.key())),
    }
}

/// Refuses a batch (in LevelDB's form: sequence u64, count u32, entries) that says it has too many entries.
pub(crate) fn check_entries(batch: &[u8]) -> Result<()> {
    let count = batch
        .get(8..12)
        .map_or(0, |n| u32::from_le_bytes(n.try_into().expect("four")));
    if count <= MAX_BATCH_ENTRIES {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!("a write of {count} entries is over the limit of {MAX_BATCH_ENTRIES}; split it"),
    ))
}
