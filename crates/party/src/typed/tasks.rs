//! Typed views for tasks: the same calls as futures.

use std::marker::PhantomData;

use super::coding::{
    Swap, decode_all, decode_found, encode_bounds, encode_key, encode_keys, encode_prefix,
    or_problem,
};
use super::{AsyncTypedRange, Typed, TypedKeyRange, View, sealed};
use crate::async_db::{AsyncBatch, AsyncDb, AsyncRange, AsyncSnapshot};
use crate::bounds::Bounds;
use crate::codec::Codec;
use crate::error::Result;
use crate::limits::Wait;
use crate::space::Space;

/// A [`Typed`] view whose calls are futures: of a database or sublevel or, with `S`, a snapshot; made by
/// [`AsyncDb::typed`], [`AsyncSnapshot::typed`], [`AsyncTyped::at`] and [`Typed::to_async`].
///
/// Every call means what the call of the same name means on [`AsyncDb`], with the errors of [`Typed`]. A future may go to
/// another thread where the codecs' types may.
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
pub struct AsyncTyped<K, V, S = AsyncDb> {
    of: S,
    codecs: PhantomData<fn() -> (K, V)>,
}

impl View for AsyncDb {}

impl sealed::Sealed for AsyncDb {
    #[allow(private_interfaces, reason = "as in the trait")]
    fn seen(&self) -> Space<'_> {
        self.space()
    }
}

impl View for AsyncSnapshot {}

impl sealed::Sealed for AsyncSnapshot {
    #[allow(private_interfaces, reason = "as in the trait")]
    fn seen(&self) -> Space<'_> {
        self.space()
    }
}

impl<K: Codec, V: Codec, S: View> AsyncTyped<K, V, S> {
    pub(crate) fn new(of: S) -> Self {
        AsyncTyped {
            of,
            codecs: PhantomData,
        }
    }

    /// What it is a view of, with plain bytes.
    pub fn bytes(&self) -> &S {
        &self.of
    }

    /// [`Typed::get`].
    ///
    /// # Errors
    /// As [`Typed::get`].
    pub async fn get(&self, key: &K::Given) -> Result<Option<V::Item>> {
        let key = encode_key::<K>(key)?;
        let value = self.of.seen().get_by(Wait::Task, &key).await?;
        decode_found::<V>(&key, value)
    }

    /// [`Typed::contains`].
    ///
    /// # Errors
    /// As [`Typed::contains`].
    pub async fn contains(&self, key: &K::Given) -> Result<bool> {
        let key = encode_key::<K>(key)?;
        self.of.seen().contains_by(Wait::Task, &key).await
    }

    /// [`Typed::get_many`].
    ///
    /// # Errors
    /// As [`Typed::get_many`].
    pub async fn get_many<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k K::Given>,
    ) -> Result<Vec<Option<V::Item>>>
    where
        K::Given: 'k,
    {
        let keys = encode_keys::<K>(keys)?;
        let values = self.of.seen().get_many_by(Wait::Task, &keys).await?;
        decode_all::<V>(&keys, values)
    }

    /// [`Typed::range`].
    pub fn range(&self, bounds: impl TypedKeyRange<K::Given>) -> AsyncTypedRange<K, V> {
        self.walk(encode_bounds::<K>(bounds))
    }

    /// [`Typed::iter`].
    pub fn iter(&self) -> AsyncTypedRange<K, V> {
        self.walk(Ok(Bounds::all()))
    }

    /// [`Typed::prefix`].
    pub fn prefix(&self, prefix: &K::Given) -> AsyncTypedRange<K, V> {
        self.walk(encode_prefix::<K>(prefix))
    }

    fn walk(&self, bounds: Result<Bounds>) -> AsyncTypedRange<K, V> {
        let (bounds, problem) = or_problem(bounds);
        AsyncTypedRange::new(AsyncRange::new(self.of.seen().range(bounds)), problem)
    }
}

impl<K: Codec, V: Codec> AsyncTyped<K, V> {
    /// [`Typed::put`].
    ///
    /// # Errors
    /// As [`Typed::put`].
    pub async fn put(&self, key: &K::Given, value: &V::Given) -> Result<()> {
        self.batch().put_typed(self, key, value).write().await
    }

    /// [`Typed::delete`].
    ///
    /// # Errors
    /// As [`Typed::delete`].
    pub async fn delete(&self, key: &K::Given) -> Result<()> {
        self.batch().delete_typed(self, key).write().await
    }

    /// A chained batch, for [`AsyncBatch::put_typed`] in this and other views.
    pub fn batch(&self) -> AsyncBatch<'_> {
        self.of.batch()
    }

    /// [`Typed::compare_and_swap`].
    ///
    /// # Errors
    /// As [`Typed::compare_and_swap`].
    pub async fn compare_and_swap(
        &self,
        key: &K::Given,
        expected: Option<&V::Given>,
        new: Option<&V::Given>,
    ) -> Result<bool> {
        let Swap { key, expected, new } = Swap::encode::<K, V>(key, expected, new)?;
        let swapped = self
            .of
            .compare_and_swap(key, expected.as_deref(), new.as_deref());
        swapped.await
    }

    /// [`Typed::clear`].
    ///
    /// # Errors
    /// As [`Typed::clear`].
    pub async fn clear(&self, bounds: impl TypedKeyRange<K::Given>) -> Result<u64> {
        let bounds = encode_bounds::<K>(bounds)?;
        self.of.space().clear_by(Wait::Task, bounds).await
    }

    /// The same view for threads.
    pub fn to_blocking(&self) -> Typed<K, V> {
        Typed::new(self.of.part())
    }

    /// [`Typed::at`].
    ///
    /// ```
    /// use level_party::Utf8;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
    /// # pollster::block_on(async {
    /// let names = db.sublevel("names")?.typed::<Utf8, Utf8>();
    /// names.put("a", "Ada").await?;
    /// let before = names.at(&db.snapshot().await?);
    /// names.clear(..).await?;
    /// assert_eq!(before.get("a").await?.as_deref(), Some("Ada"));
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn at(&self, snapshot: &AsyncSnapshot) -> AsyncTyped<K, V, AsyncSnapshot> {
        AsyncTyped::new(snapshot.of(&self.of))
    }
}

impl AsyncBatch<'_> {
    /// As [`AsyncBatch::put`] in a typed view of the same database.
    ///
    /// ```
    /// use level_party::{BigEndian, Utf8};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
    /// # pollster::block_on(async {
    /// let names = db.sublevel("names")?.typed::<BigEndian<u32>, Utf8>();
    /// let numbers = db.sublevel("numbers")?.typed::<Utf8, BigEndian<u32>>();
    /// let both = db.batch().put_typed(&names, &7, "seven").put_typed(&numbers, "seven", &7);
    /// both.write().await?;
    /// assert_eq!(numbers.get("seven").await?, Some(7));
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn put_typed<K: Codec, V: Codec>(
        self,
        view: &AsyncTyped<K, V>,
        key: &K::Given,
        value: &V::Given,
    ) -> Self {
        self.with(|batch| batch.put_encoded::<K, V>(view.of.space().prefix, key, value))
    }

    /// As [`AsyncBatch::delete`] in a typed view of the same database.
    pub fn delete_typed<K: Codec, V: Codec>(self, view: &AsyncTyped<K, V>, key: &K::Given) -> Self {
        self.with(|batch| batch.delete_encoded::<K>(view.of.space().prefix, key))
    }
}

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
