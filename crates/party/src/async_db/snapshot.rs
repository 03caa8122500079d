//! A frozen moment of the database, for tasks.

use crate::async_db::{AsyncReadable, AsyncTyped};
use crate::codec::Codec;
use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::source::{Sealed, Source};
use crate::view::View;

/// The database as it was at one moment, for tasks; made by [`AsyncDb::snapshot`](crate::AsyncDb::snapshot).
///
/// Its reads are those of [`AsyncReadable`]. It holds whoever leads. While it lives, compactions keep what it shows, so drop
/// it when done; it keeps the database open. One of an [`AsyncSublevel`](crate::AsyncSublevel) shows that sublevel's keys.
/// Clones are cheap and hold the same moment.
///
/// ```
/// use level_party::AsyncReadable;
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

    /// The sublevel `name` at this moment; as [`AsyncDb::sublevel`](crate::AsyncDb::sublevel).
    ///
    /// # Errors
    /// `InvalidArgument`: as [`AsyncDb::sublevel`](crate::AsyncDb::sublevel).
    pub fn sublevel(&self, name: &str) -> Result<AsyncSnapshot> {
        self.snapshot.sublevel(name).map(AsyncSnapshot::new)
    }

    /// The keys of `view` (of the same database) at this moment, whatever this snapshot was taken of.
    ///
    /// ```
    /// use level_party::AsyncReadable;
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
    pub fn of<V: View>(&self, view: &V) -> V::Of<AsyncSnapshot> {
        V::over(AsyncSnapshot::new(self.snapshot.behind(view.prefix())))
    }

    /// The same keys and values with types; as [`AsyncDb::typed`](crate::AsyncDb::typed).
    pub fn typed<K: Codec, V: Codec>(&self) -> AsyncTyped<K, V, AsyncSnapshot> {
        AsyncTyped::new(self.clone())
    }

    /// The sequence number of the newest write it shows.
    pub fn sequence(&self) -> u64 {
        self.snapshot.sequence()
    }
}

impl AsyncReadable for AsyncSnapshot {}

impl Sealed for AsyncSnapshot {
    #[allow(private_interfaces, reason = "as in the trait")]
    fn source(&self) -> Source<'_> {
        Source::Space(self.snapshot.space())
    }
}
