//! A frozen moment of the database, for tasks.

use crate::async_db::{AsyncDb, AsyncRange};
use crate::bounds::KeyRange;
use crate::codec::Codec;
use crate::error::Result;
use crate::limits::Wait;
use crate::snapshot::Snapshot;
use crate::space::Space;
use crate::typed::AsyncTyped;

/// A [`Snapshot`] whose calls are futures; made by [`AsyncDb::snapshot`](crate::AsyncDb::snapshot).
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
/// # pollster::block_on(async {
/// db.put("a", "1").await?;
/// let before = db.snapshot().await?;
/// db.put("a", "2").await?;
/// assert_eq!(before.get("a").await?.as_deref(), Some(&b"1"[..]));
/// # Ok::<(), level_party::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct AsyncSnapshot {
    snapshot: Snapshot,
}

impl AsyncSnapshot {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        AsyncSnapshot { snapshot }
    }

    pub(crate) fn space(&self) -> Space<'_> {
        self.snapshot.space()
    }

    /// [`Snapshot::sublevel`].
    ///
    /// # Errors
    /// `InvalidArgument`: as [`Db::sublevel`](crate::Db::sublevel).
    pub fn sublevel(&self, name: &str) -> Result<AsyncSnapshot> {
        self.snapshot.sublevel(name).map(AsyncSnapshot::new)
    }

    /// [`Snapshot::of`]: the keys of `part`, a sublevel or the whole of the same database, at this moment, whatever this
    /// snapshot was taken of.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
    /// # pollster::block_on(async {
    /// let users = db.sublevel("users")?;
    /// users.put("ada", "1815").await?;
    /// let before = db.snapshot().await?;
    /// users.delete("ada").await?;
    /// assert!(before.of(&users).contains("ada").await?);
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn of(&self, part: &AsyncDb) -> AsyncSnapshot {
        AsyncSnapshot::new(self.snapshot.behind(part.space().prefix))
    }

    /// The same keys and values with types; as [`Db::typed`](crate::Db::typed).
    pub fn typed<K: Codec, V: Codec>(&self) -> AsyncTyped<K, V, AsyncSnapshot> {
        AsyncTyped::new(self.clone())
    }

    /// The sequence number of the newest write it shows.
    pub fn sequence(&self) -> u64 {
        self.snapshot.sequence()
    }

    /// [`Snapshot::get`].
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.space().get_by(Wait::Task, key.as_ref()).await
    }

    /// [`Snapshot::contains`].
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub async fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.space().contains_by(Wait::Task, key.as_ref()).await
    }

    /// [`Snapshot::get_many`].
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub async fn get_many<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        self.space().get_many_by(Wait::Task, keys).await
    }

    /// [`Snapshot::range`].
    pub fn range(&self, bounds: impl KeyRange) -> AsyncRange {
        AsyncRange::new(self.snapshot.range(bounds))
    }

    /// [`Snapshot::iter`].
    pub fn iter(&self) -> AsyncRange {
        AsyncRange::new(self.snapshot.iter())
    }

    /// [`Snapshot::prefix`].
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> AsyncRange {
        AsyncRange::new(self.snapshot.prefix(prefix))
    }
}
