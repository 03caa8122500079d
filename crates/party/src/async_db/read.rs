//! The reads that a database, a sublevel, a snapshot and a transaction have in common, for tasks.

use std::future::Future;
use std::task::Poll;

use crate::async_db::AsyncRange;
use crate::bounds::{Bounds, KeyRange};
use crate::error::Result;
use crate::limits::Wait;
use crate::source::Sealed;

/// The reads of an [`AsyncDb`](crate::AsyncDb), [`AsyncSublevel`](crate::AsyncSublevel),
/// [`AsyncSnapshot`](crate::AsyncSnapshot) and [`AsyncTransaction`](crate::AsyncTransaction); bring it into scope to read:
/// `use level_party::{AsyncDb, AsyncReadable};`.
///
/// What is in memory is read in the poll; what has to come from the disk is read by another thread
/// ([`AsyncDb`](crate::AsyncDb)). At which moment each type reads is
/// told at [`Readable`](crate::Readable), and so are the errors of every read.
///
/// ```
/// use level_party::{AsyncDb, AsyncReadable};
/// # let dir = tempfile::tempdir().unwrap();
/// # pollster::block_on(async {
/// let db = AsyncDb::open(dir.path()).await?;
/// db.put("a", "1").await?;
/// assert_eq!(db.get("a").await?.as_deref(), Some(&b"1"[..]));
/// assert!(!db.contains("b").await?);
/// assert_eq!(db.first("a"..).await?.unwrap().0, b"a");
/// # Ok::<(), level_party::Error>(())
/// # }).unwrap();
/// ```
///
/// The trait is sealed: nothing else can implement it.
pub trait AsyncReadable: Sealed + Sync {
    /// The value of `key`, or `None` where there is none.
    ///
    /// # Errors
    /// [Those of every read](crate::Readable#errors).
    fn get(
        &self,
        key: impl AsRef<[u8]> + Send,
    ) -> impl Future<Output = Result<Option<Vec<u8>>>> + Send {
        async move { self.source().get_by(Wait::Task, key.as_ref()).await }
    }

    /// What `read` makes of the value of `key`, which it is lent, or `None` where there is none. It is copied as told at
    /// [`Readable::get_with`](crate::Readable::get_with), and once where another thread has to read it from the disk.
    ///
    /// # Errors
    /// [Those of every read](crate::Readable#errors).
    fn get_with<T>(
        &self,
        key: impl AsRef<[u8]> + Send,
        read: impl FnOnce(&[u8]) -> T + Send,
    ) -> impl Future<Output = Result<Option<T>>> + Send {
        async move {
            let (source, key) = (self.source(), key.as_ref());
            let mut read = Some(read);
            let lend = |value: &[u8]| read.take().map(|read| read(value));
            if let Poll::Ready(found) = source.try_get_with(key, lend) {
                return found.map(Option::flatten);
            }
            let value = source.get_by(Wait::Task, key).await?;
            Ok(value.and_then(|value| read.map(|read| read(&value))))
        }
    }

    /// Whether there is an entry of `key`. It costs less than [`get`](AsyncReadable::get) where values are large.
    ///
    /// # Errors
    /// [Those of every read](crate::Readable#errors).
    #[doc(alias = "contains_key")]
    fn contains(&self, key: impl AsRef<[u8]> + Send) -> impl Future<Output = Result<bool>> + Send {
        async move { self.source().contains_by(Wait::Task, key.as_ref()).await }
    }

    /// The value of each of `keys`, all of one moment, in the order asked for.
    ///
    /// # Errors
    /// [Those of every read](crate::Readable#errors).
    #[doc(alias = "multi_get")]
    fn get_many<K: AsRef<[u8]> + Send + Sync>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> impl Future<Output = Result<Vec<Option<Vec<u8>>>>> + Send {
        let keys: Vec<K> = keys.into_iter().collect();
        async move { self.source().get_many_by(Wait::Task, keys).await }
    }

    /// The entries whose keys lie in `bounds`, in key order (bytewise), of one moment: that of the first step. What was
    /// walked over in a transaction is read by it, as told at [`Readable::range`](crate::Readable::range).
    ///
    /// ```
    /// use level_party::{AsyncReadable, Prefix, WriteBatch};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
    /// # pollster::block_on(async {
    /// db.write(WriteBatch::new().put("a/1", "").put("a/2", "").put("b", "")).await?;
    /// let mut entries = db.range(Prefix("a/"));
    /// while let Some(entry) = entries.next().await {
    ///     let (key, value) = entry?;
    ///     println!("{key:?} = {value:?}");
    /// }
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    #[doc(alias = "scan")]
    fn range(&self, bounds: impl KeyRange) -> AsyncRange {
        // Plain keys need no encoding that could fail.
        let bounds = bounds.into_bounds().unwrap_or_else(|_| Bounds::none());
        AsyncRange::plain(self.source().walk(bounds))
    }

    /// All entries, in key order. Of a database or sublevel these include the entries of the sublevels inside it, with
    /// what their keys begin with.
    fn iter(&self) -> AsyncRange {
        self.range(..)
    }

    /// The first entry whose key lies in `bounds`, or `None` where there is none.
    ///
    /// # Errors
    /// [Those of every read](crate::Readable#errors).
    fn first(
        &self,
        bounds: impl KeyRange,
    ) -> impl Future<Output = Result<Option<(Vec<u8>, Vec<u8>)>>> + Send {
        let mut range = self.range(bounds).limit(1);
        async move { range.next().await.transpose() }
    }

    /// The last entry whose key lies in `bounds`, or `None` where there is none.
    ///
    /// # Errors
    /// [Those of every read](crate::Readable#errors).
    fn last(
        &self,
        bounds: impl KeyRange,
    ) -> impl Future<Output = Result<Option<(Vec<u8>, Vec<u8>)>>> + Send {
        let mut range = self.range(bounds).limit(1);
        async move { range.next_back().await.transpose() }
    }
}
