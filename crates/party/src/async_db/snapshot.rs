//! A frozen moment of the database, for tasks.

use crate::async_db::AsyncRange;
use crate::bounds::KeyRange;
use crate::error::Result;
use crate::snapshot::Snapshot;

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

    /// The sequence number of the newest write it shows.
    pub fn sequence(&self) -> u64 {
        self.snapshot.sequence()
    }

    /// [`Snapshot::get`].
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        super::read_one(self.snapshot.space(), key.as_ref()).await
    }

    /// [`Snapshot::contains`].
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub async fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        super::read_whether(self.snapshot.space(), key.as_ref()).await
    }

    /// [`Snapshot::get_many`].
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub async fn get_many<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        super::read_many(self.snapshot.space(), keys).await
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
