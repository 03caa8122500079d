//! Views of a database whose keys and values have types.
//!
//! A typed view adds codecs to a [`Sublevel`] or [`Snapshot`] and nothing else: each call encodes what it was given, makes
//! the plain call, and decodes the answer. What cannot be encoded is refused before anything is sent; what cannot be
//! decoded is an error that names the key. The views of tasks ([`AsyncTyped`]) differ in the plain call alone: the rest is
//! `coding.rs` for both.

mod bounds;
mod coding;
mod range;
mod tasks;
mod transaction;

use std::marker::PhantomData;

use crate::batch::Batch;
use crate::bounds::Bounds;
use crate::codec::Codec;
use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::space::Space;
use crate::sublevel::Sublevel;

use coding::{
    Swap, decode_all, decode_found, encode_bounds, encode_key, encode_keys, encode_prefix,
    or_problem,
};

pub use bounds::TypedKeyRange;
pub use range::{
    AsyncTypedKeys, AsyncTypedRange, AsyncTypedValues, TypedKeys, TypedRange, TypedValues,
};
pub use tasks::AsyncTyped;
pub use transaction::{AsyncTypedTransaction, AsyncTypedTransactionRange, TypedTransaction};

/// Keys of the codec `K` and values of the codec `V`, in a database or sublevel (or, with `S`, a snapshot); made by
/// [`Db::typed`](crate::Db::typed) and its kin.
///
/// Every call means what the call of the same name means on [`Db`](crate::Db). Besides its errors there is
/// [`ErrorKind::Encoding`](crate::ErrorKind::Encoding): something cannot be encoded, and nothing was done; or stored bytes cannot be decoded, and the
/// message names the key.
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

/// What a typed view can be of.
pub trait View: sealed::Sealed {}

mod sealed {
    use crate::space::Space;

    pub trait Sealed {
        #[doc(hidden)]
        #[allow(private_interfaces, reason = "nobody outside can name the trait")]
        fn seen(&self) -> Space<'_>;
    }
}

impl View for Sublevel {}

impl sealed::Sealed for Sublevel {
    #[allow(private_interfaces, reason = "as in the trait")]
    fn seen(&self) -> Space<'_> {
        self.space()
    }
}

impl View for Snapshot {}

impl sealed::Sealed for Snapshot {
    #[allow(private_interfaces, reason = "as in the trait")]
    fn seen(&self) -> Space<'_> {
        self.space()
    }
}

impl<K: Codec, V: Codec, S: View> Typed<K, V, S> {
    pub(crate) fn new(of: S) -> Self {
        Typed {
            of,
            codecs: PhantomData,
        }
    }

    /// What it is a view of, with plain bytes.
    pub fn bytes(&self) -> &S {
        &self.of
    }

    /// The value of `key`, or `None` where there is none.
    ///
    /// # Errors
    /// As [`Db::get`](crate::Db::get); `Encoding`.
    pub fn get(&self, key: &K::Given) -> Result<Option<V::Item>> {
        let key = encode_key::<K>(key)?;
        decode_found::<V>(&key, self.of.seen().get(&key)?)
    }

    /// Whether there is an entry of `key`, whatever its value.
    ///
    /// # Errors
    /// As [`Db::get`](crate::Db::get); `Encoding`.
    pub fn contains(&self, key: &K::Given) -> Result<bool> {
        self.of.seen().contains(&encode_key::<K>(key)?)
    }

    /// The value of each of `keys`, all of one moment, in the order asked for.
    ///
    /// # Errors
    /// As [`Db::get`](crate::Db::get); `Encoding`.
    pub fn get_many<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k K::Given>,
    ) -> Result<Vec<Option<V::Item>>>
    where
        K::Given: 'k,
    {
        let keys = encode_keys::<K>(keys)?;
        decode_all::<V>(&keys, self.of.seen().get_many(&keys)?)
    }

    /// The entries whose keys lie in `bounds`, in the order of the keys' bytes.
    ///
    /// An entry that cannot be decoded is an error in its place, and the range goes on after it.
    pub fn range(&self, bounds: impl TypedKeyRange<K::Given>) -> TypedRange<K, V> {
        self.walk(encode_bounds::<K>(bounds))
    }

    /// All entries, in the order of the keys' bytes.
    pub fn iter(&self) -> TypedRange<K, V> {
        self.walk(Ok(Bounds::all()))
    }

    /// The entries whose keys begin, as bytes, with those of `prefix`.
    pub fn prefix(&self, prefix: &K::Given) -> TypedRange<K, V> {
        self.walk(encode_prefix::<K>(prefix))
    }

    fn walk(&self, bounds: Result<Bounds>) -> TypedRange<K, V> {
        let (bounds, problem) = or_problem(bounds);
        TypedRange::new(self.of.seen().range(bounds), problem)
    }
}

impl<K: Codec, V: Codec> Typed<K, V> {
    /// Sets `key` to `value`.
    ///
    /// # Errors
    /// As [`Db::write`](crate::Db::write); `Encoding`.
    pub fn put(&self, key: &K::Given, value: &V::Given) -> Result<()> {
        self.batch().put_typed(self, key, value).write()
    }

    /// Removes `key`; it is no error when there is none.
    ///
    /// # Errors
    /// As [`Db::write`](crate::Db::write); `Encoding`.
    pub fn delete(&self, key: &K::Given) -> Result<()> {
        self.batch().delete_typed(self, key).write()
    }

    /// A chained batch, for [`Batch::put_typed`] in this and other views.
    pub fn batch(&self) -> Batch<'_> {
        self.of.batch()
    }

    /// Sets `key` to `new` (`None`: removes it) if it holds `expected` (`None`: nothing). Says whether it did. Bytes are
    /// compared: `expected` must be encoded as it was.
    ///
    /// # Errors
    /// As [`Db::transaction`](crate::Db::transaction); `Encoding`.
    pub fn compare_and_swap(
        &self,
        key: &K::Given,
        expected: Option<&V::Given>,
        new: Option<&V::Given>,
    ) -> Result<bool> {
        let Swap { key, expected, new } = Swap::encode::<K, V>(key, expected, new)?;
        self.of
            .compare_and_swap(key, expected.as_deref(), new.as_deref())
    }

    /// Removes the entries whose keys lie in `bounds`, and says how many there were.
    ///
    /// # Errors
    /// As [`Db::clear`](crate::Db::clear); `Encoding`.
    pub fn clear(&self, bounds: impl TypedKeyRange<K::Given>) -> Result<u64> {
        self.of.space().clear(encode_bounds::<K>(bounds)?)
    }

    /// The same view for tasks; as [`Db::to_async`](crate::Db::to_async).
    pub fn to_async(&self) -> AsyncTyped<K, V> {
        AsyncTyped::new(self.of.to_async())
    }

    /// The same keys and values at a moment of the same database.
    ///
    /// ```
    /// use level_party::Utf8;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// let names = db.sublevel("names")?.typed::<Utf8, Utf8>();
    /// names.put("a", "Ada")?;
    /// let before = names.at(&db.snapshot()?);
    /// names.clear(..)?;
    /// assert_eq!(before.get("a")?.as_deref(), Some("Ada"));
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn at(&self, snapshot: &Snapshot) -> Typed<K, V, Snapshot> {
        Typed::new(snapshot.of(&self.of))
    }
}

impl Batch<'_> {
    /// As [`Batch::put`] in a typed view of the same database.
    ///
    /// ```
    /// use level_party::{BigEndian, Utf8};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// let names = db.sublevel("names")?.typed::<BigEndian<u32>, Utf8>();
    /// let numbers = db.sublevel("numbers")?.typed::<Utf8, BigEndian<u32>>();
    /// db.batch().put_typed(&names, &7, "seven").put_typed(&numbers, "seven", &7).write()?;
    /// assert_eq!(numbers.get("seven")?, Some(7));
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn put_typed<K: Codec, V: Codec>(
        mut self,
        view: &Typed<K, V>,
        key: &K::Given,
        value: &V::Given,
    ) -> Self {
        self.put_encoded::<K, V>(view.of.prefix_bytes(), key, value);
        self
    }

    /// As [`Batch::delete`] in a typed view of the same database.
    pub fn delete_typed<K: Codec, V: Codec>(mut self, view: &Typed<K, V>, key: &K::Given) -> Self {
        self.delete_encoded::<K>(view.of.prefix_bytes(), key);
        self
    }
}

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
