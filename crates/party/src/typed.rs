//! Views of a database whose keys and values have types.
//!
//! A typed view adds codecs to a [`Sublevel`], [`Snapshot`](crate::Snapshot) or [`Transaction`] and nothing else: each call
//! encodes what it was given, makes the plain call, and decodes the answer. It refuses what cannot be encoded before anything
//! is done; what cannot be decoded is an error that names the key.

use std::borrow::Borrow;
use std::marker::PhantomData;

use crate::async_db::AsyncTyped;
use crate::bounds::KeyRange;
use crate::codec::Codec;
use crate::coding::{
    coded_change, decode_all, decode_found, encode_key, encode_keys, encode_value,
};
use crate::error::{Error, Result};
use crate::limits::{Wait, now};
use crate::range::{Range, or_problem};
use crate::read::Readable;
use crate::sublevel::Sublevel;
use crate::transaction::Transaction;
use crate::view::typed_view;

/// Keys of the codec `K` and values of the codec `V`, in a database or sublevel, or with `S` in a
/// [`Snapshot`](crate::Snapshot) or [`Transaction`]; made by [`Db::typed`](crate::Db::typed) and its kin, and by
/// [`Snapshot::of`](crate::Snapshot::of) and [`Transaction::of`].
///
/// Every call means what the call of the same name means on [`Db`](crate::Db) and [`Readable`]. Besides its errors there is
/// [`Encoding`](crate::ErrorKind::Encoding): something cannot be encoded, and nothing was done; or stored bytes cannot be
/// decoded, and the message names the key.
///
/// ```
/// use level_party::{BigEndian, Utf8};
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path())?;
/// let names = db.sublevel("names")?.typed::<BigEndian<u32>, Utf8>();
/// names.put(&7, "seven")?;
/// names.put(&300, "three hundred")?;
/// assert_eq!(names.get(&7)?.as_deref(), Some("seven"));
/// for entry in names.range(8..) {
///     let (number, name): (u32, String) = entry?;
///     println!("{number}: {name}");
/// }
/// # Ok::<(), level_party::Error>(())
/// ```
pub struct Typed<K, V, S = Sublevel> {
    of: S,
    codecs: PhantomData<fn() -> (K, V)>,
}

impl<K: Codec, V: Codec, S> Typed<K, V, S> {
    pub(crate) fn new(of: S) -> Self {
        Typed {
            of,
            codecs: PhantomData,
        }
    }
}

impl<K: Codec, V: Codec, S: Readable> Typed<K, V, S> {
    /// What it is a view of, with plain bytes.
    pub fn bytes(&self) -> &S {
        &self.of
    }

    /// The value of `key`, or `None` where there is none.
    ///
    /// # Errors
    /// [Those of every read](Readable#errors); `Encoding`.
    pub fn get(&self, key: &K::Given) -> Result<Option<V::Item>> {
        let key = encode_key::<K>(key)?;
        decode_found::<V>(&key, self.of.source().get(&key)?)
    }

    /// Whether there is an entry of `key`, whatever its value.
    ///
    /// # Errors
    /// [Those of every read](Readable#errors); `Encoding`.
    #[doc(alias = "contains_key")]
    pub fn contains(&self, key: &K::Given) -> Result<bool> {
        let key = encode_key::<K>(key)?;
        now(self.of.source().contains_by(Wait::Thread, &key))
    }

    /// The value of each of `keys`, all of one moment, in the order asked for.
    ///
    /// # Errors
    /// [Those of every read](Readable#errors); `Encoding`.
    pub fn get_many<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k K::Given>,
    ) -> Result<Vec<Option<V::Item>>>
    where
        K::Given: 'k,
    {
        let keys = encode_keys::<K>(keys)?;
        let whole = keys.iter().collect();
        let values = now(self.of.source().get_many_by(Wait::Thread, whole))?;
        decode_all::<V>(&keys, values)
    }

    /// The entries whose keys lie in `bounds`, in the order of the keys' bytes.
    ///
    /// A bound that cannot be encoded is the range's one item, an error. An entry that cannot be decoded is an error in
    /// its place, and the range goes on after it.
    pub fn range(&self, bounds: impl KeyRange<K>) -> Range<(K::Item, V::Item), (K, V)> {
        let (bounds, problem) = or_problem(bounds.into_bounds());
        Range::typed(self.of.source().walk(bounds), problem)
    }

    /// All entries, in the order of the keys' bytes.
    pub fn iter(&self) -> Range<(K::Item, V::Item), (K, V)> {
        self.range(..)
    }

    /// The first entry whose key lies in `bounds`, or `None` where there is none.
    ///
    /// # Errors
    /// [Those of every read](Readable#errors); `Encoding`.
    pub fn first(&self, bounds: impl KeyRange<K>) -> Result<Option<(K::Item, V::Item)>> {
        self.range(bounds).limit(1).next().transpose()
    }

    /// The last entry whose key lies in `bounds`, or `None` where there is none.
    ///
    /// # Errors
    /// [Those of every read](Readable#errors); `Encoding`.
    pub fn last(&self, bounds: impl KeyRange<K>) -> Result<Option<(K::Item, V::Item)>> {
        self.range(bounds).limit(1).next_back().transpose()
    }
}

impl<K: Codec, V: Codec> Typed<K, V> {
    /// Sets `key` to `value`.
    ///
    /// # Errors
    /// As [`Db::write`](crate::Db::write); `Encoding`.
    #[doc(alias = "insert")]
    pub fn put(&self, key: &K::Given, value: &V::Given) -> Result<()> {
        let key = encode_key::<K>(key)?;
        let value = encode_value::<V>(&key, value)?;
        self.of.put(&key, value)
    }

    /// Sets `key` to `value`, and returns once it is on stable storage.
    ///
    /// # Errors
    /// As [`Db::write`](crate::Db::write); `Encoding`.
    pub fn put_sync(&self, key: &K::Given, value: &V::Given) -> Result<()> {
        let key = encode_key::<K>(key)?;
        let value = encode_value::<V>(&key, value)?;
        self.of.put_sync(&key, value)
    }

    /// Removes `key`; it is no error when there is none.
    ///
    /// # Errors
    /// As [`Db::write`](crate::Db::write); `Encoding`.
    #[doc(alias = "remove")]
    pub fn delete(&self, key: &K::Given) -> Result<()> {
        self.of.delete(encode_key::<K>(key)?)
    }

    /// Sets `key` to `value`, and gives what it held.
    ///
    /// # Errors
    /// As [`Db::transaction`](crate::Db::transaction); `Encoding`, also where the old value cannot be decoded: then `key`
    /// is set.
    pub fn replace(&self, key: &K::Given, value: &V::Given) -> Result<Option<V::Item>> {
        let key = encode_key::<K>(key)?;
        let value = encode_value::<V>(&key, value)?;
        decode_found::<V>(&key, self.of.replace(&key, value)?).map_err(Error::in_part)
    }

    /// Removes `key`, and gives what it held.
    ///
    /// # Errors
    /// As [`Db::transaction`](crate::Db::transaction); `Encoding`, also where the old value cannot be decoded: then `key`
    /// is removed.
    pub fn take(&self, key: &K::Given) -> Result<Option<V::Item>> {
        let key = encode_key::<K>(key)?;
        decode_found::<V>(&key, self.of.take(&key)?).map_err(Error::in_part)
    }

    /// Changes what `key` holds: `change` is told the value (`None`: there is none) and gives the new one (`None`: the key is
    /// removed). It may run again. Gives what the key holds then; as [`Db::update`](crate::Db::update).
    ///
    /// ```
    /// use level_party::{BigEndian, Utf8};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// let counts = db.typed::<Utf8, BigEndian<u64>>();
    /// let visits = counts.update("visits", |before| Some(before.unwrap_or(0) + 1))?;
    /// assert_eq!(visits, Some(1));
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Db::transaction`](crate::Db::transaction); `Encoding`.
    #[doc(alias = "update_and_fetch")]
    pub fn update<X: Borrow<V::Given>>(
        &self,
        key: &K::Given,
        mut change: impl FnMut(Option<V::Item>) -> Option<X>,
    ) -> Result<Option<V::Item>> {
        let key = encode_key::<K>(key)?;
        let mut problem = None;
        let new = self
            .of
            .update(&key, coded_change::<V, X>(&key, &mut change, &mut problem))?;
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
    pub fn compare_and_swap(
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
        match self.of.compare_and_swap(&key, expected, new)? {
            Ok(()) => Ok(Ok(())),
            Err(held) => Ok(Err(decode_found::<V>(&key, held)?)),
        }
    }

    /// Removes the entries whose keys lie in `bounds`, and says how many there were.
    ///
    /// # Errors
    /// As [`Db::clear`](crate::Db::clear); `Encoding`.
    pub fn clear(&self, bounds: impl KeyRange<K>) -> Result<u64> {
        let bounds = bounds.into_bounds()?;
        now(self.of.space().clear_by(Wait::Thread, bounds))
    }

    /// The same view for tasks; as [`Db::to_async`](crate::Db::to_async).
    pub fn to_async(&self) -> AsyncTyped<K, V> {
        AsyncTyped::new(self.of.to_async())
    }
}

impl<K: Codec, V: Codec> Typed<K, V, Transaction> {
    /// Sets `key` to `value` when the transaction commits.
    ///
    /// # Errors
    /// As [`Transaction::put`]; `Encoding`.
    #[doc(alias = "insert")]
    pub fn put(&self, key: &K::Given, value: &V::Given) -> Result<()> {
        let key = encode_key::<K>(key)?;
        let value = encode_value::<V>(&key, value)?;
        self.of.put(&key, value)
    }

    /// Removes `key` when the transaction commits; it is no error when there is none.
    ///
    /// # Errors
    /// As [`Transaction::delete`]; `Encoding`.
    #[doc(alias = "remove")]
    pub fn delete(&self, key: &K::Given) -> Result<()> {
        self.of.delete(encode_key::<K>(key)?)
    }
}

typed_view!(Typed of Sublevel);

impl<K, V, S: Clone> Clone for Typed<K, V, S> {
    fn clone(&self) -> Self {
        Typed {
            of: self.of.clone(),
            codecs: PhantomData,
        }
    }
}

impl<K, V, S: std::fmt::Debug> std::fmt::Debug for Typed<K, V, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Typed")
            .field("of", &self.of)
            .field("keys", &std::any::type_name::<K>())
            .field("values", &std::any::type_name::<V>())
            .finish()
    }
}
