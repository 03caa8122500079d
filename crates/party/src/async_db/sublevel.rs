//! Sublevels for tasks.

use crate::async_db::elsewhere::Elsewhere;
use crate::async_db::store::async_store_methods;
use crate::async_db::transaction::{self, AsyncTransaction};
use crate::async_db::{AsyncDb, AsyncSnapshot, AsyncTyped, AsyncWatch};
use crate::bounds::KeyRange;
use crate::changes;
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::limits::Wait;
use crate::snapshot::Snapshot;
use crate::space::Space;
use crate::sublevel::Sublevel;
use crate::watch::{Watch, WatchFrom};
use crate::writes::WriteBatch;

/// A part of a database with keys of its own, for tasks; made by [`AsyncDb::sublevel`].
///
/// Every call is about the keys of this sublevel alone, seen without their prefix, and means what the call of the same name
/// means on [`AsyncDb`]. Its parent sees its entries too, with the prefix. Clones are cheap; it keeps the database open.
///
/// ```
/// use level_party::AsyncReadable;
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
/// # pollster::block_on(async {
/// let users = db.sublevel("users")?;
/// users.put("ada", "Lovelace").await?;
/// assert_eq!(users.to_blocking().prefix_bytes(), b"!users!");
/// assert_eq!(db.first(..).await?.unwrap().0, b"!users!ada");
/// # Ok::<(), level_party::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct AsyncSublevel {
    blocking: Sublevel,
}

impl AsyncSublevel {
    pub(crate) fn new(blocking: Sublevel) -> Self {
        AsyncSublevel { blocking }
    }

    /// The same sublevel for threads.
    pub fn to_blocking(&self) -> Sublevel {
        self.blocking.clone()
    }

    /// The database it is a part of.
    pub fn db(&self) -> AsyncDb {
        AsyncDb::new(self.blocking.db().clone())
    }

    /// What its keys begin with in the database.
    pub fn prefix_bytes(&self) -> &[u8] {
        self.blocking.prefix_bytes()
    }
}

async_store_methods!(AsyncSublevel);
