//! Views of a database whose keys and values have types.
//!
//! A typed view adds codecs to a [`Sublevel`] or [`Snapshot`] and nothing else: each call encodes what it was given, makes
//! the plain call, and decodes the answer. What cannot be encoded is refused before anything is sent; what cannot be
//! decoded is an error that names the key.

mod bounds;
mod range;
mod transaction;

use std::borrow::Cow;
use std::marker::PhantomData;

use crate::batch::Batch;
use crate::bounds::Bounds;
use crate::codec::{Codec, CodecError};
use crate::error::{Error, ErrorKind, Result};
use crate::snapshot::Snapshot;
use crate::space::Space;
use crate::sublevel::Sublevel;

pub use bounds::TypedKeyRange;
pub use range::{TypedKeys, TypedRange, TypedValues};
pub use transaction::TypedTransaction;

/// Keys of the codec `K` and values of the codec `V`, in a database or sublevel (or, with `S`, a snapshot); made by
/// [`Db::typed`](crate::Db::typed) and its kin.
///
/// Every call means what the call of the same name means on [`Db`](crate::Db). Besides its errors there is
/// [`ErrorKind::Encoding`]: something cannot be encoded, and nothing was done; or stored bytes cannot be decoded, and the
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
        let value = self.of.seen().get(&key)?;
        value
            .map(|value| decode_value::<V>(&key, &value))
            .transpose()
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
        let keys = keys.into_iter().map(encode_key::<K>);
        let keys: Vec<Cow<'k, [u8]>> = keys.collect::<Result<_>>()?;
        let values = self.of.seen().get_many(&keys)?;
        let decoded = |(key, value): (&Cow<'k, [u8]>, Option<Vec<u8>>)| {
            value
                .map(|value| decode_value::<V>(key, &value))
                .transpose()
        };
        keys.iter().zip(values).map(decoded).collect()
    }

    /// The entries whose keys lie in `bounds`, in the order of the keys' bytes.
    ///
    /// An entry that cannot be decoded is an error in its place, and the range goes on after it.
    pub fn range(&self, bounds: impl TypedKeyRange<K::Given>) -> TypedRange<K, V> {
        let bounds = bounds.into_bounds(&mut |key| Ok(encode_key::<K>(key)?.into_owned()));
        self.walk(bounds)
    }

    /// All entries, in the order of the keys' bytes.
    pub fn iter(&self) -> TypedRange<K, V> {
        self.walk(Ok(Bounds::all()))
    }

    /// The entries whose keys begin, as bytes, with those of `prefix`.
    pub fn prefix(&self, prefix: &K::Given) -> TypedRange<K, V> {
        let bounds = encode_key::<K>(prefix).map(|prefix| Bounds::prefix(&prefix));
        self.walk(bounds)
    }

    fn walk(&self, bounds: Result<Bounds>) -> TypedRange<K, V> {
        let (bounds, problem) = match bounds {
            Ok(bounds) => (bounds, None),
            Err(problem) => (Bounds::none(), Some(problem)),
        };
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
        let key = encode_key::<K>(key)?;
        let encode = |value| encode_value::<V>(&key, value);
        let expected = expected.map(encode).transpose()?;
        let new = new.map(encode).transpose()?;
        let (expected, new) = (expected.as_deref(), new.as_deref());
        self.of.compare_and_swap(&key, expected, new)
    }

    /// Removes the entries whose keys lie in `bounds`, and says how many there were.
    ///
    /// # Errors
    /// As [`Db::clear`](crate::Db::clear); `Encoding`.
    pub fn clear(&self, bounds: impl TypedKeyRange<K::Given>) -> Result<u64> {
        let bounds = bounds.into_bounds(&mut |key| Ok(encode_key::<K>(key)?.into_owned()));
        self.of.space().clear(bounds?)
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
        let encoded = encode_key::<K>(key).and_then(|key| {
            let value = encode_value::<V>(&key, value)?;
            Ok((key, value))
        });
        match encoded {
            Ok((key, value)) => self.put_in(&view.of, key, value),
            Err(error) => {
                self.refuse(error);
                self
            }
        }
    }

    /// As [`Batch::delete`] in a typed view of the same database.
    pub fn delete_typed<K: Codec, V: Codec>(mut self, view: &Typed<K, V>, key: &K::Given) -> Self {
        match encode_key::<K>(key) {
            Ok(key) => self.delete_in(&view.of, key),
            Err(error) => {
                self.refuse(error);
                self
            }
        }
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

fn encode_key<K: Codec>(key: &K::Given) -> Result<Cow<'_, [u8]>> {
    K::encode(key).map_err(|cause| encoding("a key cannot be encoded".into(), cause))
}

fn encode_value<'v, V: Codec>(key: &[u8], value: &'v V::Given) -> Result<Cow<'v, [u8]>> {
    V::encode(value).map_err(|cause| {
        encoding(
            format!("the value for the key {} cannot be encoded", shown(key)),
            cause,
        )
    })
}

fn decode_key<K: Codec>(key: &[u8]) -> Result<K::Item> {
    K::decode(key)
        .map_err(|cause| encoding(format!("the key {} cannot be decoded", shown(key)), cause))
}

fn decode_value<V: Codec>(key: &[u8], value: &[u8]) -> Result<V::Item> {
    V::decode(value).map_err(|cause| {
        encoding(
            format!("the value of the key {} cannot be decoded", shown(key)),
            cause,
        )
    })
}

fn encoding(what: String, cause: CodecError) -> Error {
    Error::new(ErrorKind::Encoding, format!("{what}: {cause}")).with_source(cause)
}

/// A key in a message.
fn shown(key: &[u8]) -> String {
    const MOST: usize = 100;
    let text = key[..key.len().min(MOST)].escape_ascii();
    match key.len() {
        ..=MOST => format!("\"{text}\""),
        long => format!("\"{text}...\" ({long} bytes)"),
    }
}
