//! A frozen moment of the database.

use std::ops::RangeBounds;
use std::sync::Arc;

use crate::db::values_of;
use crate::error::Result;
use crate::handle::{Handle, Pinned};
use crate::range::{Bounds, Range};

/// The database as it was at one moment; made by [`Db::snapshot`](crate::Db::snapshot).
///
/// It holds over a change of leader. While it lives, compactions keep what it shows, so drop it when done.
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
pub struct Snapshot {
    pin: Arc<Pinned>,
}

impl Snapshot {
    pub(crate) fn take(handle: Arc<Handle>) -> Result<Self> {
        Ok(Snapshot {
            pin: Arc::new(handle.pin()?),
        })
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
        self.pin.handle().get(key.as_ref(), Some(&self.pin))
    }

    /// Whether there was an entry of `key` at this moment.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.pin.handle().contains(key.as_ref(), Some(&self.pin))
    }

    /// The value each of `keys` had at this moment, in the order asked for.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn get_many<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let keys: Vec<K> = keys.into_iter().collect();
        let entries = self.pin.handle().get_many(&keys, Some(&self.pin))?;
        Ok(values_of(entries))
    }

    /// The entries of this moment whose keys lie in `bounds`.
    pub fn range<K: AsRef<[u8]>>(&self, bounds: impl RangeBounds<K>) -> Range {
        Range::new(
            self.pin.handle().clone(),
            Some(self.pin.clone()),
            Bounds::from_range(bounds),
        )
    }

    /// All entries of this moment.
    pub fn iter(&self) -> Range {
        Range::new(
            self.pin.handle().clone(),
            Some(self.pin.clone()),
            Bounds::all(),
        )
    }

    /// The entries of this moment whose keys begin with `prefix`.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range {
        Range::new(
            self.pin.handle().clone(),
            Some(self.pin.clone()),
            Bounds::prefix(prefix.as_ref()),
        )
    }
}
