//! A frozen moment of the database.

use std::sync::Arc;

use crate::bounds::{Bounds, KeyRange};
use crate::codec::Codec;
use crate::error::Result;
use crate::handle::Pinned;
use crate::limits::Wait;
use crate::range::Range;
use crate::space::Space;
use crate::sublevel::{self, Sublevel};
use crate::typed::Typed;

/// The database as it was at one moment; made by [`Db::snapshot`](crate::Db::snapshot).
///
/// It holds whoever leads. While it lives, compactions keep what it shows, so drop it when done.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path())?;
/// db.put("a", "1")?;
/// let before = db.snapshot()?;
/// db.put("a", "2")?;
/// assert_eq!(before.get("a")?.as_deref(), Some(&b"1"[..]));
/// # Ok::<(), level_party::Error>(())
/// ```
///
/// One of a [`Sublevel`] shows that sublevel's keys. Clones are cheap and hold the same moment.
#[derive(Clone)]
pub struct Snapshot {
    pin: Arc<Pinned>,
    prefix: Arc<[u8]>,
}

impl Snapshot {
    pub(crate) fn take(of: Space<'_>) -> Result<Self> {
        Ok(Snapshot {
            pin: Arc::new(of.handle.pin()?),
            prefix: of.prefix.clone(),
        })
    }

    /// The same for a task.
    pub(crate) async fn take_by_task(of: Space<'_>) -> Result<Self> {
        Ok(Snapshot {
            pin: Arc::new(of.handle.pin_by(of.handle.limits_by(Wait::Task)?).await?),
            prefix: of.prefix.clone(),
        })
    }

    pub(crate) fn space(&self) -> Space<'_> {
        Space {
            handle: self.pin.handle(),
            prefix: &self.prefix,
            at: Some(&self.pin),
        }
    }

    /// The sublevel `name` at this moment; as [`Db::sublevel`](crate::Db::sublevel).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// let users = db.sublevel("users")?;
    /// users.put("ada", "1815")?;
    /// let before = db.snapshot()?;
    /// users.delete("ada")?;
    /// assert!(before.sublevel("users")?.contains("ada")?);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument`: as [`Db::sublevel`](crate::Db::sublevel).
    pub fn sublevel(&self, name: &str) -> Result<Snapshot> {
        Ok(Snapshot {
            pin: self.pin.clone(),
            prefix: sublevel::prefix(&self.prefix, name, '!')?,
        })
    }

    /// The keys of `sublevel` (of the same database) at this moment, whatever this snapshot was taken of.
    pub fn of(&self, sublevel: &Sublevel) -> Snapshot {
        self.behind(sublevel.space().prefix)
    }

    /// The keys behind `prefix` at this moment.
    pub(crate) fn behind(&self, prefix: &Arc<[u8]>) -> Snapshot {
        Snapshot {
            pin: self.pin.clone(),
            prefix: prefix.clone(),
        }
    }

    /// The same keys and values with types; as [`Db::typed`](crate::Db::typed).
    pub fn typed<K: Codec, V: Codec>(&self) -> Typed<K, V, Snapshot> {
        Typed::new(self.clone())
    }

    /// The sequence number of the newest write it shows.
    pub fn sequence(&self) -> u64 {
        self.pin.sequence()
    }

    /// The value `key` had at this moment.
    ///
    /// # Errors
    /// As [`Db::get`](crate::Db::get), and `SnapshotLost` where the moment is gone.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.space().get(key.as_ref())
    }

    /// Whether there was an entry of `key` at this moment.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.space().contains(key.as_ref())
    }

    /// The value each of `keys` had at this moment, in the order asked for.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn get_many<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        self.space().get_many(keys)
    }

    /// The entries of this moment whose keys lie in `bounds`.
    pub fn range(&self, bounds: impl KeyRange) -> Range {
        self.space().range(bounds.into_bounds())
    }

    /// All entries of this moment.
    pub fn iter(&self) -> Range {
        self.space().range(Bounds::all())
    }

    /// The entries of this moment whose keys begin with `prefix`.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range {
        self.space().range(Bounds::prefix(prefix.as_ref()))
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("sequence", &self.sequence())
            .field("prefix", &String::from_utf8_lossy(&self.prefix))
            .finish()
    }
}
