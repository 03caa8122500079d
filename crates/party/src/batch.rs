//! Several writes that take effect together.

pub use level_party_engine::WriteBatch;

use crate::db::Db;
use crate::error::Result;

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

/// A chained batch, made by [`Db::batch`]: nothing happens before [`Batch::write`], then all of it or none.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path())?;
/// db.batch().put("a", "1").put("b", "2").delete("c").sync(true).write()?;
/// # Ok::<(), level_party::Error>(())
/// ```
#[must_use = "a batch does nothing before `write`"]
pub struct Batch<'a> {
    db: &'a Db,
    batch: WriteBatch,
    options: WriteOptions,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(db: &'a Db) -> Self {
        Batch {
            db,
            batch: WriteBatch::new(),
            options: WriteOptions::default(),
        }
    }

    /// Adds or replaces the entry of `key`.
    pub fn put(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.batch.put(key.as_ref(), value.as_ref());
        self
    }

    /// Removes the entry of `key`, if there is one.
    pub fn delete(mut self, key: impl AsRef<[u8]>) -> Self {
        self.batch.delete(key.as_ref());
        self
    }

    /// Whether the batch is on stable storage before it is acknowledged.
    pub fn sync(mut self, yes: bool) -> Self {
        self.options.sync = yes;
        self
    }

    /// Applies the batch.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub fn write(self) -> Result<()> {
        self.db.write(&self.batch, self.options)
    }
}
