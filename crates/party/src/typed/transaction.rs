//! Typed keys and values inside a transaction.

use std::marker::PhantomData;

use super::coding::{
    decode_all, decode_entry, decode_found, encode_bounds, encode_key, encode_keys, encode_prefix,
    encode_value,
};
use super::{AsyncTyped, Typed, TypedKeyRange};
use crate::async_db::{AsyncTransaction, AsyncTransactionRange};
use crate::bounds::Bounds;
use crate::codec::Codec;
use crate::error::Result;
use crate::transaction::Transaction;

/// A transaction's keys and values of a typed view; made by [`Transaction::typed`].
pub struct TypedTransaction<'a, K, V> {
    plain: Transaction<'a>,
    codecs: PhantomData<fn() -> (K, V)>,
}

impl Transaction<'_> {
    /// This transaction, its keys and values being those of `view`.
    ///
    /// ```
    /// use level_party::{BigEndian, Utf8};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// let counts = db.sublevel("counts")?.typed::<Utf8, BigEndian<u64>>();
    /// db.transaction(|tx| {
    ///     let mut counts = tx.typed(&counts);
    ///     let before = counts.get("visits")?.unwrap_or(0);
    ///     counts.put("visits", &(before + 1))
    /// })?;
    /// assert_eq!(counts.get("visits")?, Some(1));
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn typed<K: Codec, V: Codec>(&mut self, view: &Typed<K, V>) -> TypedTransaction<'_, K, V> {
        TypedTransaction {
            plain: self.of(view.bytes()),
            codecs: PhantomData,
        }
    }
}

impl<K: Codec, V: Codec> TypedTransaction<'_, K, V> {
    /// As [`Transaction::get`].
    ///
    /// # Errors
    /// As [`Transaction::get`]; `Encoding`.
    pub fn get(&mut self, key: &K::Given) -> Result<Option<V::Item>> {
        let key = encode_key::<K>(key)?;
        decode_found::<V>(&key, self.plain.get(&key)?)
    }

    /// As [`Transaction::get_many`].
    ///
    /// # Errors
    /// As [`Transaction::get`]; `Encoding`.
    pub fn get_many<'k>(
        &mut self,
        keys: impl IntoIterator<Item = &'k K::Given>,
    ) -> Result<Vec<Option<V::Item>>>
    where
        K::Given: 'k,
    {
        let keys = encode_keys::<K>(keys)?;
        decode_all::<V>(&keys, self.plain.get_many(&keys)?)
    }

    /// As [`Transaction::contains`].
    ///
    /// # Errors
    /// As [`Transaction::get`]; `Encoding`.
    pub fn contains(&mut self, key: &K::Given) -> Result<bool> {
        self.plain.contains(encode_key::<K>(key)?)
    }

    /// As [`Transaction::put`].
    ///
    /// # Errors
    /// As [`Transaction::put`]; `Encoding`.
    pub fn put(&mut self, key: &K::Given, value: &V::Given) -> Result<()> {
        let key = encode_key::<K>(key)?;
        let value = encode_value::<V>(&key, value)?;
        self.plain.put(&key, value)
    }

    /// As [`Transaction::delete`].
    ///
    /// # Errors
    /// As [`Transaction::delete`]; `Encoding`.
    pub fn delete(&mut self, key: &K::Given) -> Result<()> {
        self.plain.delete(encode_key::<K>(key)?)
    }

    /// As [`Transaction::range`].
    ///
    /// # Errors
    /// `Encoding`: a bound cannot be encoded.
    pub fn range(
        &mut self,
        bounds: impl TypedKeyRange<K::Given>,
    ) -> Result<impl DoubleEndedIterator<Item = Result<(K::Item, V::Item)>>> {
        Ok(self.walk(encode_bounds::<K>(bounds)?))
    }

    /// The entries whose keys begin, as bytes, with those of `prefix`, as [`TypedTransaction::range`].
    ///
    /// # Errors
    /// `Encoding`: `prefix` cannot be encoded.
    pub fn prefix(
        &mut self,
        prefix: &K::Given,
    ) -> Result<impl DoubleEndedIterator<Item = Result<(K::Item, V::Item)>>> {
        Ok(self.walk(encode_prefix::<K>(prefix)?))
    }

    /// All entries, as [`TypedTransaction::range`].
    pub fn iter(&mut self) -> impl DoubleEndedIterator<Item = Result<(K::Item, V::Item)>> {
        self.walk(Bounds::all())
    }

    fn walk(
        &mut self,
        bounds: Bounds,
    ) -> impl DoubleEndedIterator<Item = Result<(K::Item, V::Item)>> {
        let entries = self.plain.walk(bounds);
        entries.map(|entry| entry.and_then(decode_entry::<K, V>))
    }
}

impl<K, V> std::fmt::Debug for TypedTransaction<'_, K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.plain.fmt(f)
    }
}

/// A [`TypedTransaction`] whose reads are futures; made by [`AsyncTransaction::typed`].
pub struct AsyncTypedTransaction<'a, K, V> {
    plain: AsyncTransaction<'a>,
    codecs: PhantomData<fn() -> (K, V)>,
}

impl AsyncTransaction<'_> {
    /// [`Transaction::typed`].
    ///
    /// ```
    /// use level_party::{BigEndian, Utf8};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
    /// # pollster::block_on(async {
    /// let counts = db.sublevel("counts")?.typed::<Utf8, BigEndian<u64>>();
    /// db.transaction(async |tx| {
    ///     let mut counts = tx.typed(&counts);
    ///     let before = counts.get("visits").await?.unwrap_or(0);
    ///     counts.put("visits", &(before + 1))
    /// })
    /// .await?;
    /// assert_eq!(counts.get("visits").await?, Some(1));
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn typed<K: Codec, V: Codec>(
        &mut self,
        view: &AsyncTyped<K, V>,
    ) -> AsyncTypedTransaction<'_, K, V> {
        AsyncTypedTransaction {
            plain: self.of(view.bytes()),
            codecs: PhantomData,
        }
    }
}

impl<K: Codec, V: Codec> AsyncTypedTransaction<'_, K, V> {
    /// [`TypedTransaction::get`].
    ///
    /// # Errors
    /// As there.
    pub async fn get(&mut self, key: &K::Given) -> Result<Option<V::Item>> {
        let key = encode_key::<K>(key)?;
        decode_found::<V>(&key, self.plain.get(&key).await?)
    }

    /// [`TypedTransaction::get_many`].
    ///
    /// # Errors
    /// As there.
    pub async fn get_many<'k>(
        &mut self,
        keys: impl IntoIterator<Item = &'k K::Given>,
    ) -> Result<Vec<Option<V::Item>>>
    where
        K::Given: 'k,
    {
        let keys = encode_keys::<K>(keys)?;
        decode_all::<V>(&keys, self.plain.get_many(&keys).await?)
    }

    /// [`TypedTransaction::contains`].
    ///
    /// # Errors
    /// As there.
    pub async fn contains(&mut self, key: &K::Given) -> Result<bool> {
        self.plain.contains(encode_key::<K>(key)?).await
    }

    /// [`TypedTransaction::put`].
    ///
    /// # Errors
    /// As there.
    pub fn put(&mut self, key: &K::Given, value: &V::Given) -> Result<()> {
        let key = encode_key::<K>(key)?;
        let value = encode_value::<V>(&key, value)?;
        self.plain.put(&key, value)
    }

    /// [`TypedTransaction::delete`].
    ///
    /// # Errors
    /// As there.
    pub fn delete(&mut self, key: &K::Given) -> Result<()> {
        self.plain.delete(encode_key::<K>(key)?)
    }

    /// [`TypedTransaction::range`].
    ///
    /// # Errors
    /// `Encoding`: a bound cannot be encoded.
    pub fn range(
        &mut self,
        bounds: impl TypedKeyRange<K::Given>,
    ) -> Result<AsyncTypedTransactionRange<'_, K, V>> {
        Ok(self.walk(encode_bounds::<K>(bounds)?))
    }

    /// [`TypedTransaction::prefix`].
    ///
    /// # Errors
    /// `Encoding`: `prefix` cannot be encoded.
    pub fn prefix(&mut self, prefix: &K::Given) -> Result<AsyncTypedTransactionRange<'_, K, V>> {
        Ok(self.walk(encode_prefix::<K>(prefix)?))
    }

    /// [`TypedTransaction::iter`].
    pub fn iter(&mut self) -> AsyncTypedTransactionRange<'_, K, V> {
        self.walk(Bounds::all())
    }

    fn walk(&mut self, bounds: Bounds) -> AsyncTypedTransactionRange<'_, K, V> {
        AsyncTypedTransactionRange {
            plain: self.plain.walk(bounds),
            codecs: PhantomData,
        }
    }
}

/// The entries of a typed range in a task's transaction; made by [`AsyncTypedTransaction::range`]. As
/// [`AsyncTransactionRange`]; an entry that cannot be decoded is an error in its place, and the range goes on after it.
pub struct AsyncTypedTransactionRange<'a, K, V> {
    plain: AsyncTransactionRange<'a>,
    codecs: PhantomData<fn() -> (K, V)>,
}

impl<K: Codec, V: Codec> AsyncTypedTransactionRange<'_, K, V> {
    /// The next entry from the front.
    ///
    /// # Errors
    /// As [`AsyncTransactionRange::next`]; `Encoding`.
    pub async fn next(&mut self) -> Option<Result<(K::Item, V::Item)>> {
        Some(self.plain.next().await?.and_then(decode_entry::<K, V>))
    }

    /// The next entry from the back.
    ///
    /// # Errors
    /// As [`AsyncTransactionRange::next`]; `Encoding`.
    pub async fn next_back(&mut self) -> Option<Result<(K::Item, V::Item)>> {
        Some(self.plain.next_back().await?.and_then(decode_entry::<K, V>))
    }
}

impl<K, V> std::fmt::Debug for AsyncTypedTransactionRange<'_, K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.plain.fmt(f)
    }
}
