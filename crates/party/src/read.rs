//! The reads that a database, a sublevel, a snapshot and a transaction have in common.

use std::task::Poll;

use crate::bounds::{Bounds, KeyRange};
use crate::error::Result;
use crate::limits::{Wait, now};
use crate::range::Range;
use crate::source::Sealed;

/// The reads of a [`Db`](crate::Db), [`Sublevel`](crate::Sublevel), [`Snapshot`](crate::Snapshot) and
/// [`Transaction`](crate::Transaction); bring it into scope to read: `use level_party::{Db, Readable};`.
///
/// What is read is
/// - of a database or sublevel, each call's own moment: linearizable, so that every write acknowledged in any process before
///   the call is seen;
/// - of a snapshot, its moment;
/// - of a transaction, what it wrote, else the moment at which it began; and it commits only if nobody has changed
///   meanwhile what it read.
///
/// ```
/// use level_party::{Db, Readable};
///
/// /// Works on a database, a sublevel, a snapshot, and inside a transaction.
/// fn count_users(source: &impl Readable) -> level_party::Result<usize> {
///     source.range("user/".."user0").keys().try_fold(0, |count, key| key.map(|_| count + 1))
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// let db = Db::open(dir.path())?;
/// db.put("user/ada", "1815")?;
/// let before = db.snapshot()?;
/// db.put("user/alan", "1912")?;
/// assert_eq!((count_users(&db)?, count_users(&before)?), (2, 1));
/// # Ok::<(), level_party::Error>(())
/// ```
///
/// The trait is sealed: nothing else can implement it.
///
/// # Errors
/// Of every read: `Timeout`; `SnapshotLost`, of a snapshot and in a transaction; `ConnectionLost`, only with
/// [`retry(false)`](crate::Options::retry); `Corruption`, `InvalidArgument` (a key over
/// [`WriteBatch::MAX_KEY_BYTES`](crate::WriteBatch::MAX_KEY_BYTES)), `Closed`, `Forked`, `Io`.
pub trait Readable: Sealed {
    /// The value of `key`, or `None` where there is none.
    ///
    /// ```
    /// use level_party::Readable;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// db.put("a", "1")?;
    /// assert_eq!(db.get("a")?.as_deref(), Some(&b"1"[..]));
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// [Those of every read](Readable#errors).
    #[inline]
    fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.source().get(key.as_ref())
    }

    /// What `read` makes of the value of `key`, which it is lent, or `None` where there is none.
    ///
    /// The value is not copied where it lies in a table's block. Out of the memory that all processes share it is copied into a
    /// buffer of the thread's, as the others may use that memory again meanwhile. A transaction keeps a copy of what it reads.
    ///
    /// ```
    /// use level_party::Readable;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// db.put("greeting", "hello")?;
    /// assert_eq!(db.get_with("greeting", |value| value.len())?, Some(5));
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// [Those of every read](Readable#errors).
    #[inline]
    fn get_with<T>(
        &self,
        key: impl AsRef<[u8]>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>> {
        self.source().get_with(key.as_ref(), read)
    }

    /// As [`get_with`](Readable::get_with), if that waits for nothing: the value is in memory (this process's or the system's),
    /// and this process needs not open the database anew. `Pending`: it would have to wait; nothing was begun, `read` was not
    /// called, and nobody is woken: `get_with` makes the read. So it is for a thread that holds something which others want
    /// meanwhile, such as an interpreter's lock.
    ///
    /// In a transaction it is always `Pending`.
    ///
    /// ```
    /// use std::task::Poll;
    /// use level_party::Readable;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// db.put("greeting", "hello")?;
    /// let length = match db.try_get_with("greeting", |value| value.len()) {
    ///     Poll::Ready(found) => found?,
    ///     Poll::Pending => db.get_with("greeting", |value| value.len())?,
    /// };
    /// assert_eq!(length, Some(5));
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// [Those of every read](Readable#errors).
    #[inline]
    fn try_get_with<T>(
        &self,
        key: impl AsRef<[u8]>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Poll<Result<Option<T>>> {
        self.source().try_get_with(key.as_ref(), read)
    }

    /// Whether there is an entry of `key`. It costs less than [`get`](Readable::get) where values are large.
    ///
    /// # Errors
    /// [Those of every read](Readable#errors).
    #[doc(alias = "contains_key")]
    fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        now(self.source().contains_by(Wait::Thread, key.as_ref()))
    }

    /// The value of each of `keys`, all of one moment, in the order asked for.
    ///
    /// ```
    /// use level_party::{Readable, WriteBatch};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// db.write(WriteBatch::new().put("a", "1").put("c", "3"))?;
    /// let values = db.get_many(["a", "b", "c"])?;
    /// assert_eq!(values, [Some(b"1".to_vec()), None, Some(b"3".to_vec())]);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// [Those of every read](Readable#errors).
    #[doc(alias = "multi_get")]
    fn get_many<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let keys: Vec<K> = keys.into_iter().collect();
        now(self.source().get_many_by(Wait::Thread, keys))
    }

    /// The entries whose keys lie in `bounds`, in key order (bytewise), of one moment: that of the first step. A
    /// [`KeyRange`] is `"a".."m"`, `"a"..`, [`Prefix("a")`](crate::Prefix) and the like.
    ///
    /// In a transaction, what was walked over is read: it commits only if nobody meanwhile changed or removed an entry
    /// that the range gave, or added one there. A range that was walked to its end is read as a whole; one that was left
    /// after some entries, as far as to the last of them. On commit it is read once more while other writers wait, so let
    /// it be small; where it has more than a million entries, removed ones counted, the transaction can't commit.
    ///
    /// ```
    /// use level_party::{Readable, WriteBatch};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// db.write(WriteBatch::new().put("a", "1").put("b", "2").put("c", "3"))?;
    /// for entry in db.range("a"..="b") {
    ///     let (key, value) = entry?;
    ///     println!("{key:?} = {value:?}");
    /// }
    /// # Ok::<(), level_party::Error>(())
    /// ```
    #[doc(alias = "scan")]
    fn range(&self, bounds: impl KeyRange) -> Range {
        // Plain keys need no encoding that could fail.
        let bounds = bounds.into_bounds().unwrap_or_else(|_| Bounds::none());
        Range::plain(self.source().walk(bounds))
    }

    /// All entries, in key order. Of a database or sublevel these include the entries of the sublevels inside it, with
    /// what their keys begin with.
    fn iter(&self) -> Range {
        self.range(..)
    }

    /// The first entry whose key lies in `bounds`, or `None` where there is none.
    ///
    /// ```
    /// use level_party::{Prefix, Readable, WriteBatch};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// db.write(WriteBatch::new().put("job/1", "").put("job/2", ""))?;
    /// // Takes the first job: of several processes each gets another one.
    /// let job = db.transaction(|tx| {
    ///     let first = tx.first(Prefix("job/"))?;
    ///     if let Some((key, _)) = &first {
    ///         tx.delete(key)?;
    ///     }
    ///     Ok(first)
    /// })?;
    /// assert_eq!(job.unwrap().0, b"job/1");
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// [Those of every read](Readable#errors).
    fn first(&self, bounds: impl KeyRange) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        self.range(bounds).limit(1).next().transpose()
    }

    /// The last entry whose key lies in `bounds`, or `None` where there is none.
    ///
    /// # Errors
    /// [Those of every read](Readable#errors).
    fn last(&self, bounds: impl KeyRange) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        self.range(bounds).limit(1).next_back().transpose()
    }
}
