//! Sublevels: parts of a database with keys of their own. How they are laid out is told in `layout.rs`.

use std::sync::Arc;

use crate::async_db::AsyncSublevel;
use crate::bounds::KeyRange;
use crate::changes;
use crate::codec::Codec;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::layout;
use crate::limits::{Wait, now};
use crate::read::Readable;
use crate::snapshot::Snapshot;
use crate::space::Space;
use crate::store::store_methods;
use crate::transaction::{self, Transaction};
use crate::typed::Typed;
use crate::watch::{Watch, WatchFrom};
use crate::writes::WriteBatch;

/// A part of a database with keys of its own; made by [`Db::sublevel`].
///
/// Every call is about the keys of this sublevel alone, seen without their prefix, and means what the call of the same name
/// means on [`Db`]. Its parent sees its entries too, with the prefix. Clones are cheap; it keeps the database open.
///
/// ```
/// use level_party::Readable;
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path())?;
/// let users = db.sublevel("users")?;
/// let ada = users.sublevel("ada")?; // they nest
/// users.put("ada", "Lovelace")?;
/// ada.put("born", "1815")?;
/// assert_eq!(users.get("ada")?.as_deref(), Some(&b"Lovelace"[..]));
/// assert_eq!(ada.iter().keys().collect::<level_party::Result<Vec<_>>>()?, [b"born"]);
/// assert_eq!(ada.prefix_bytes(), b"!users!!ada!");
/// # Ok::<(), level_party::Error>(())
/// ```
#[derive(Clone)]
pub struct Sublevel {
    db: Db,
    prefix: Arc<[u8]>,
}

impl Sublevel {
    /// All keys that begin with `prefix`.
    pub(crate) fn behind(db: Db, prefix: Arc<[u8]>) -> Self {
        Sublevel { db, prefix }
    }

    pub(crate) fn space(&self) -> Space<'_> {
        Space {
            handle: self.db.handle(),
            prefix: &self.prefix,
            at: None,
        }
    }

    /// The same sublevel for tasks; as [`Db::to_async`].
    pub fn to_async(&self) -> AsyncSublevel {
        AsyncSublevel::new(self.clone())
    }

    /// The database it is a part of.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// What its keys begin with in the database.
    pub fn prefix_bytes(&self) -> &[u8] {
        &self.prefix
    }
}

store_methods!(Sublevel);

impl std::fmt::Debug for Sublevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sublevel")
            .field("prefix", &String::from_utf8_lossy(&self.prefix))
            .field("db", &self.db)
            .finish()
    }
}
