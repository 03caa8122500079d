//! Typed views for tasks.

use std::borrow::Borrow;
use std::marker::PhantomData;

use crate::async_db::{AsyncRange, AsyncReadable, AsyncSublevel, AsyncTransaction};
use crate::bounds::KeyRange;
use crate::codec::Codec;
use crate::coding::{
    coded_change, decode_all, decode_found, encode_key, encode_keys, encode_value,
};
use crate::error::{Error, Result};
use crate::limits::Wait;
use crate::range::or_problem;
use crate::typed::Typed;
use crate::view::typed_view;

/// Keys of the codec `K` and values of the codec `V`, for tasks: in a database or sublevel, or with `S` in an
/// [`AsyncSnapshot`](crate::AsyncSnapshot) or [`AsyncTransaction`]; made by [`AsyncDb::typed`](crate::AsyncDb::typed) and its
/// kin, by [`AsyncSnapshot::of`](crate::AsyncSnapshot::of), [`AsyncTransaction::of`] and [`Typed::to_async`].
///
/// Every call means what the call of the same name means on [`AsyncDb`](crate::AsyncDb) and [`AsyncReadable`]. Besides its
/// errors there is [`Encoding`](crate::ErrorKind::Encoding): something cannot be encoded, and nothing was done; or stored
/// bytes cannot be decoded, and the message names the key. A future may go to another thread where the codecs' types may.
///
/// ```
/// use level_party::{BigEndian, Utf8};
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
/// # pollster::block_on(async {
/// let names = db.sublevel("names")?.typed::<BigEndian<u32>, Utf8>();
/// names.put(&7, "seven").await?;
/// names.put(&300, "three hundred").await?;
/// assert_eq!(names.get(&7).await?.as_deref(), Some("seven"));
/// let mut entries = names.range(8..);
/// while let Some(entry) = entries.next().await {
///     let (number, name): (u32, String) = entry?;
///     println!("{number}: {name}");
/// }
/// # Ok::<(), level_party::Error>(())
/// # }).unwrap();
/// ```
pub struct AsyncTyped<K, V, S = AsyncSublevel> {
    of: S,
    codecs: PhantomData<fn() -> (K, V)>,
}

impl<K: Codec, V: Codec, S> AsyncTyped<K, V, S> {
    pub(crate) fn new(of: S) -> Self {
        AsyncTyped {
            of,
            codecs: PhantomData,
        }
    }
}

impl<K: Codec, V: Codec, S: AsyncReadable> AsyncTyped<K, V, S> {
    /// What it is a view of, with plain bytes.
    pub fn bytes(&self) -> &S {
        &self.of
    }

    /// The value of `key`, or `None` where there is none.
    ///
    /// # Errors
    /// [Those of every read](crate::Readable#errors); `Encoding`.
    pub async fn get(&self, key: &K::Given) -> Result<Option<V::Item>> {
        let key = encode_key::<K>(key)?;
        let value = self.of.source().get_by(Wait::Task, &key).await?;
        decode_found::<V>(&key, value)
    }

    /// Whether there is an entry of `key`, whatever its value.
    ///
    /// # Errors
    /// [Those of every read](crate::Readable#errors); `Encoding`.
    #[doc(alias = "contains_key")]
    pub async fn contains(&self, key: &K::Given) -> Result<bool> {
        let key = encode_key::<K>(key)?;
        self.of.source().contains_by(Wait::Task, &key).await
    }

    /// The value of each of `keys`, all of one moment, in the order asked for.
    ///
    /// # Errors
    /// [Those of every read](crate::Readable#errors); `Encoding`.
    pub async fn get_many<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k K::Given>,
    ) -> Result<Vec<Option<V::Item>>>
    where
        K::Given: 'k,
    {
        let keys = encode_keys::<K>(keys)?;
        let whole = keys.iter().collect();
        let values = self.of.source().get_many_by(Wait::Task, whole).await?;
        decode_all::<V>(&keys, values)
    }

    /// The entries whose keys lie in `bounds`, in the order of the keys' bytes.
    ///
    /// A bound that cannot be encoded is the range's one item, an error. An entry that cannot be decoded is an error in
    /// its place, and the range goes on after it.
    ///
    /// ```
    /// use level_party::{BigEndian, Utf8, WriteBatch};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
    /// # pollster::block_on(async {
    /// let names = db.typed::<BigEndian<i32>, Utf8>();
    /// db.write(WriteBatch::new().put_in(&names, &-1, "minus one").put_in(&names, &1, "one")).await?;
    /// let mut range = names.iter();
    /// assert_eq!(range.next().await.transpose()?, Some((-1, "minus one".to_string())));
    /// range.seek(&-5)?;
    /// assert_eq!(range.values().next_back().await.transpose()?.as_deref(), Some("one"));
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn range(&self, bounds: impl KeyRange<K>) -> AsyncRange<(K::Item, V::Item), (K, V)> {
        let (bounds, problem) = or_problem(bounds.into_bounds());
        AsyncRange::typed(self.of.source().walk(bounds), problem)
    }

    /// All entries, in the order of the keys' bytes.
    pub fn iter(&self) -> AsyncRange<(K::Item, V::Item), (K, V)> {
        self.range(..)
    }

    /// The first entry whose key lies in `bounds`, or `None` where there is none.
    ///
    /// # Errors
    /// [Those of every read](crate::Readable#errors); `Encoding`.
    pub async fn first(&self, bounds: impl KeyRange<K>) -> Result<Option<(K::Item, V::Item)>> {
        let mut range = self.range(bounds).limit(1);
        range.next().await.transpose()
    }

    /// The last entry whose key lies in `bounds`, or `None` where there is none.
    ///
    /// # Errors
    /// [Those of every read](crate::Readable#errors); `Encoding`.
    pub async fn last(&self, bounds: impl KeyRange<K>) -> Result<Option<(K::Item, V::Item)>> {
        let mut range = self.range(bounds).limit(1);
        range.next_back().await.transpose()
    }
}

impl<K: Codec, V: Codec> AsyncTyped<K, V> {
    /// Sets `key` to `value`.
    ///
    /// # Errors
    /// As [`Db::write`](crate::Db::write); `Encoding`.
    #[doc(alias = "insert")]
    pub async fn put(&self, key: &K::Given, value: &V::Given) -> Result<()> {
        let key = encode_key::<K>(key)?;
        let value = encode_value::<V>(&key, value)?;
        self.of.put(&key, value).await
    }

    /// Sets `key` to `value`, and returns once it is on stable storage.
    ///
    /// # Errors
    /// As [`Db::write`](crate::Db::write); `Encoding`.
    pub async fn put_sync(&self, key: &K::Given, value: &V::Given) -> Result<()> {
        let key = encode_key::<K>(key)?;
        let value = encode_value::<V>(&key, value)?;
        self.of.put_sync(&key, value).await
    }

    /// Removes `key`; it is no error when there is none.
    ///
    /// # Errors
    /// As [`Db::write`](crate::Db::write); `Encoding`.
    #[doc(alias = "remove")]
    pub async fn delete(&self, key: &K::Given) -> Result<()> {
        self.of.delete(encode_key::<K>(key)?).await
    }

    /// Sets `key` to `value`, and gives what it held.
    ///
    /// # Errors
    /// As [`Db::transaction`](crate::Db::transaction); `Encoding`, also where the old value cannot be decoded: then `key`
    /// is set.
    pub async fn replace(&self, key: &K::Given, value: &V::Given) -> Result<Option<V::Item>> {
        let key = encode_key::<K>(key)?;
        let value = encode_value::<V>(&key, value)?;
        let held = self.of.replace(&key, value).await?;
        decode_found::<V>(&key, held).map_err(Error::in_part)
    }

    /// Removes `key`, and gives what it held.
    ///
    /// # Errors
    /// As [`Db::transaction`](crate::Db::transaction); `Encoding`, also where the old value cannot be decoded: then `key`
    /// is removed.
    pub async fn take(&self, key: &K::Given) -> Result<Option<V::Item>> {
        let key = encode_key::<K>(key)?;
        let held = self.of.take(&key).await?;
        decode_found::<V>(&key, held).map_err(Error::in_part)
    }

    /// Changes what `key` holds: `change` is told the value (`None`: there is none) and gives the new one (`None`: the key is
    /// removed). It may run again. Gives what the key holds then.
    ///
    /// # Errors
    /// As [`Db::transaction`](crate::Db::transaction); `Encoding`.
    #[doc(alias = "update_and_fetch")]
    pub async fn update<X: Borrow<V::Given>>(
        &self,
        key: &K::Given,
        mut change: impl FnMut(Option<V::Item>) -> Option<X>,
    ) -> Result<Option<V::Item>> {
        let key = encode_key::<K>(key)?;
        let mut problem = None;
        let change = coded_change::<V, X>(&key, &mut change, &mut problem);
        let new = self.of.update(&key, change).await?;
        match problem {
            Some(problem) => Err(problem),
            None => decode_found::<V>(&key, new),
        }
    }

    /// Sets `key` to `new` (`None`: removes it) if it holds `expected` (`None`: nothing). If it holds something else, gives
    /// that as the inner `Err`. Bytes are compared: `expected` must be encoded as it was.
    ///
    /// # Errors
    /// As [`Db::transaction`](crate::Db::transaction); `Encoding`.
    #[doc(alias = "compare_exchange")]
    pub async fn compare_and_swap(
        &self,
        key: &K::Given,
        expected: Option<&V::Given>,
        new: Option<&V::Given>,
    ) -> Result<std::result::Result<(), Option<V::Item>>> {
        let key = encode_key::<K>(key)?;
        let encode = |value| encode_value::<V>(&key, value);
        let (expected, new) = (
            expected.map(encode).transpose()?,
            new.map(encode).transpose()?,
        );
        let (expected, new) = (expected.as_deref(), new.as_deref());
        match self.of.compare_and_swap(&key, expected, new).await? {
            Ok(()) => Ok(Ok(())),
            Err(held) => Ok(Err(decode_found::<V>(&key, held)?)),
        }
    }

    /// Removes the entries whose keys lie in `bounds`, and says how many there were.
    ///
    /// # Errors
    /// As [`Db::clear`](crate::Db::clear); `Encoding`.
    pub async fn clear(&self, bounds: impl KeyRange<K>) -> Result<u64> {
        let bounds = bounds.into_bounds()?;
        self.of.space().clear_by(Wait::Task, bounds).await
    }

    /// The same view for threads.
    pub fn to_blocking(&self) -> Typed<K, V> {
        Typed::new(self.of.to_blocking())
    }
}

impl<K: Codec, V: Codec> AsyncTyped<K, V, AsyncTransaction> {
    /// Sets `key` to `value` when the transaction commits.
    ///
    /// # Errors
    /// As [`AsyncTransaction::put`]; `Encoding`.
    #[doc(alias = "insert")]
    pub fn put(&self, key: &K::Given, value: &V::Given) -> Result<()> {
        let key = encode_key::<K>(key)?;
        let value = encode_value::<V>(&key, value)?;
        self.of.put(&key, value)
    }

    /// Removes `key` when the transaction commits; it is no error when there is none.
    ///
    /// # Errors
    /// As [`AsyncTransaction::delete`]; `Encoding`.
    #[doc(alias = "remove")]
    pub fn delete(&self, key: &K::Given) -> Result<()> {
        self.of.delete(encode_key::<K>(key)?)
    }
}

typed_view!(AsyncTyped of AsyncSublevel);

impl<K, V, S: Clone> Clone for AsyncTyped<K, V, S> {
    fn clone(&self) -> Self {
        AsyncTyped {
            of: self.of.clone(),
            codecs: PhantomData,
        }
    }
}

impl<K, V, S: std::fmt::Debug> std::fmt::Debug for AsyncTyped<K, V, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsyncTyped")
            .field("of", &self.of)
            .field("keys", &std::any::type_name::<K>())
            .field("values", &std::any::type_name::<V>())
            .finish()
    }
}
