//! `Db`: the handle.

use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;

use crate::batch::{Batch, WriteBatch, WriteOptions};
use crate::error::{Error, Result};
use crate::handle::{Found, Handle};
use crate::options::Options;
use crate::range::{Bounds, Range};
use crate::snapshot::Snapshot;
use crate::status::{Role, Status};
use crate::transaction::{self, Transaction};

/// One LevelDB directory, shared with every other process that opens it.
///
/// A handle behaves the same whether this process leads or follows. Clones are cheap and share one connection; the
/// database is left when the last clone is dropped or [`closed`](Db::close). All calls block; all may be made from
/// any thread.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// let db = level_party::Db::open(dir.path())?;
/// db.put("a", "1")?;
/// assert_eq!(db.get("a")?.as_deref(), Some(&b"1"[..]));
/// db.delete("a")?;
/// assert_eq!(db.get("a")?, None);
/// # Ok::<(), level_party::Error>(())
/// ```
#[derive(Clone)]
pub struct Db {
    handle: Arc<Handle>,
}

impl Db {
    /// Opens the database in `path` with the default [`Options`], creating it if there is none.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Db> {
        Options::default().open(path)
    }

    /// Settings to open a database with.
    pub fn options() -> Options {
        Options::default()
    }

    pub(crate) fn open_with(path: &Path, options: Options) -> Result<Db> {
        Ok(Db {
            handle: Arc::new(Handle::open(path, options)?),
        })
    }

    /// The value of `key`, or `None` where there is none.
    ///
    /// Linearizable: every write acknowledged in any process before this call is seen.
    ///
    /// # Errors
    /// `Timeout`, `ConnectionLost` (only with `retry(false)`), `Corruption`, `Closed`, `Io`.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.handle.get(key.as_ref(), None)
    }

    /// Whether there is an entry of `key`. It costs less than a `get` where values are large.
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.handle.contains(key.as_ref(), None)
    }

    /// The value of each of `keys`, all of one moment, in the order asked for.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// db.batch().put("a", "1").put("c", "3").write()?;
    /// let values = db.get_many(["a", "b", "c"])?;
    /// assert_eq!(values, [Some(b"1".to_vec()), None, Some(b"3".to_vec())]);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn get_many<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let keys: Vec<K> = keys.into_iter().collect();
        Ok(values_of(self.handle.get_many(&keys, None)?))
    }

    /// Sets `key` to `value`.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.batch().put(key, value).write()
    }

    /// Removes `key`; it is no error when there is none.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        self.batch().delete(key).write()
    }

    /// A chained batch.
    pub fn batch(&self) -> Batch<'_> {
        Batch::new(self)
    }

    /// Applies `batch`: all of it or none, in the order it was built.
    ///
    /// # Errors
    /// - `Timeout`: not applied, and it never will be.
    /// - `OutcomeUnknown`: it may have been applied once; it is never applied later than this answer's cause.
    /// - `ConnectionLost` (only with `retry(false)`): the leader went; it may have been applied once.
    /// - `InvalidArgument`: over [`MAX_BATCH_BYTES`](crate::MAX_BATCH_BYTES), or a key over
    ///   [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES).
    pub fn write(&self, batch: &WriteBatch, options: WriteOptions) -> Result<()> {
        self.handle.write(batch, options.sync).map(drop)
    }

    /// Runs `body` as a transaction: what it reads is of one moment, and what it writes takes effect at one moment, for
    /// every process, if nobody changed meanwhile what it read. Else `body` runs again.
    ///
    /// So `body` may run more than once: it must do nothing beyond the transaction that can't be done twice. Where it
    /// returns an error nothing is written. Only keys that were read are watched for changes.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// let visits: u64 = db.transaction(|tx| {
    ///     let before = tx.get("visits")?.map_or(0, |v| u64::from_be_bytes(v.try_into().unwrap()));
    ///     tx.put("visits", (before + 1).to_be_bytes())?;
    ///     Ok::<_, level_party::Error>(before + 1)
    /// })?;
    /// assert_eq!(visits, 1);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// What `body` returns; as [`Db::write`]; `Conflict` if others changed the same keys until the deadline.
    pub fn transaction<T, E: From<Error>>(
        &self,
        body: impl FnMut(&mut Transaction) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        transaction::run(&self.handle, body)
    }

    /// Sets `key` to `new` (`None`: removes it) if it holds `expected` (`None`: nothing), atomically over all
    /// processes. Says whether it did.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// assert!(db.compare_and_swap("owner", None, Some(b"me"))?);
    /// assert!(!db.compare_and_swap("owner", None, Some(b"you"))?);
    /// assert!(db.compare_and_swap("owner", Some(b"me"), None)?);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Db::transaction`].
    pub fn compare_and_swap(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool> {
        transaction::compare_and_swap(&self.handle, key.as_ref(), expected, new)
    }

    /// The entries whose keys lie in `bounds`, in key order (bytewise), of one moment: that of the first step.
    ///
    /// The iterator is double-ended. It goes on at the same moment when the leader dies; where that moment is gone
    /// it ends with `SnapshotLost`.
    pub fn range<K: AsRef<[u8]>>(&self, bounds: impl RangeBounds<K>) -> Range {
        Range::new(self.handle.clone(), None, Bounds::from_range(bounds))
    }

    /// All entries, in key order.
    pub fn iter(&self) -> Range {
        Range::new(self.handle.clone(), None, Bounds::all())
    }

    /// The entries whose keys begin with `prefix`, in key order.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range {
        Range::new(self.handle.clone(), None, Bounds::prefix(prefix.as_ref()))
    }

    /// A frozen moment of the whole database, which later writes do not touch.
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::take(self.handle.clone())
    }

    /// What this process is for the directory at the moment.
    pub fn role(&self) -> Role {
        self.handle.role()
    }

    /// Who leads, who follows, and how the database is.
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn status(&self) -> Result<Status> {
        self.handle.status()
    }

    /// About how many bytes the tables hold of the keys in `bounds`, compressed as they are
    /// (LevelDB's `GetApproximateSizes`). What is only in memory yet is not counted.
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn approximate_size<K: AsRef<[u8]>>(&self, bounds: impl RangeBounds<K>) -> Result<u64> {
        self.handle.approximate_size(&Bounds::from_range(bounds))
    }

    /// A property of the leader's engine by LevelDB's name: `leveldb.stats`, `leveldb.sstables`,
    /// `leveldb.num-files-at-level<N>`, `leveldb.approximate-memory-usage`. `None`: there is none of this name.
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn property(&self, name: &str) -> Result<Option<String>> {
        self.handle.property(name)
    }

    /// Leaves the directory. A leader finishes what is queued and hands over first.
    ///
    /// Later calls on any clone of this handle answer `Closed`. Handles opened separately go on. Dropping the last
    /// clone does the same.
    ///
    /// # Errors
    /// None today; the result leaves room for what closing may have to report.
    pub fn close(&self) -> Result<()> {
        self.handle.close();
        Ok(())
    }
}

/// The values alone of entries that were read.
pub(crate) fn values_of(entries: Vec<Found>) -> Vec<Option<Vec<u8>>> {
    let value = |entry: Found| entry.map(|(_, value)| value);
    entries.into_iter().map(value).collect()
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db")
            .field("path", &self.handle.path())
            .field("role", &self.role())
            .finish()
    }
}
