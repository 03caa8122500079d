//! A frozen moment of the database.

use std::sync::Arc;

use crate::codec::Codec;
use crate::error::Result;
use crate::handle::Pinned;
use crate::layout;
use crate::limits::Wait;
use crate::read::Readable;
use crate::source::{Sealed, Source};
use crate::space::Space;
use crate::typed::Typed;
use crate::view::View;

/// The database as it was at one moment; made by [`Db::snapshot`](crate::Db::snapshot).
///
/// Its reads are those of [`Readable`]. It holds whoever leads. While it lives, compactions keep what it shows, so drop it
/// when done; it keeps the database open. One of a [`Sublevel`](crate::Sublevel) shows that sublevel's keys. Clones are cheap
/// and hold the same moment.
///
/// ```
/// use level_party::Readable;
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path())?;
/// db.put("a", "1")?;
/// let before = db.snapshot()?;
/// db.put("a", "2")?;
/// assert_eq!(before.get("a")?.as_deref(), Some(&b"1"[..]));
/// # Ok::<(), level_party::Error>(())
/// ```
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
    /// use level_party::Readable;
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
        self.pin.handle().order().check_bytewise("sublevels")?;
        let prefix = layout::prefix(&self.prefix, name, '!')?;
        Ok(self.behind(&prefix))
    }

    /// The keys of `view` (of the same database) at this moment, whatever this snapshot was taken of.
    ///
    /// ```
    /// use level_party::{Readable, Utf8};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// let names = db.sublevel("names")?.typed::<Utf8, Utf8>();
    /// names.put("a", "Ada")?;
    /// let before = db.snapshot()?.of(&names);
    /// names.clear(..)?;
    /// assert_eq!(before.get("a")?.as_deref(), Some("Ada"));
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn of<V: View>(&self, view: &V) -> V::Of<Snapshot> {
        V::over(self.behind(view.prefix()))
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
}

impl Readable for Snapshot {}

impl Sealed for Snapshot {
    #[allow(private_interfaces, reason = "as in the trait")]
    fn source(&self) -> Source<'_> {
        Source::Space(self.space())
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
