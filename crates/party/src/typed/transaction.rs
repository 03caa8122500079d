//! Typed keys and values inside a transaction.

use std::marker::PhantomData;

use super::{Typed, TypedKeyRange, decode_key, decode_value, encode_key, encode_value};
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
        let value = self.plain.get(&key)?;
        value
            .map(|value| decode_value::<V>(&key, &value))
            .transpose()
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
        let bounds = bounds.into_bounds(&mut |key| Ok(encode_key::<K>(key)?.into_owned()))?;
        Ok(self.walk(bounds))
    }

    /// All entries, as [`TypedTransaction::range`].
    pub fn iter(&mut self) -> impl DoubleEndedIterator<Item = Result<(K::Item, V::Item)>> {
        self.walk(Bounds::all())
    }

    fn walk(
        &mut self,
        bounds: Bounds,
    ) -> impl DoubleEndedIterator<Item = Result<(K::Item, V::Item)>> {
        self.plain.walk(bounds).map(|entry| {
            let (key, value) = entry?;
            Ok((decode_key::<K>(&key)?, decode_value::<V>(&key, &value)?))
        })
    }
}

impl<K, V> std::fmt::Debug for TypedTransaction<'_, K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.plain.fmt(f)
    }
}
