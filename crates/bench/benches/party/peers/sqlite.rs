//! SQLite through `rusqlite`, which brings it along.
//!
//! `journal_mode=WAL`; `synchronous=FULL` where each put is synced, elsewhere `NORMAL`, with which a commit syncs nothing and a checkpoint of the log (every 1,000
//! pages) does, as ours syncs a table when a memtable is full; `mmap_size` larger than the database; one table `WITHOUT
//! ROWID` with a blob as its key, so that it is one tree; statements prepared once. Each get and each scan is a read
//! transaction of its own; each put is a write transaction that waits for others as long as it must.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use level_party_bench::{Data, Result, VALUE_BYTES};
use rusqlite::{Connection, Statement};

use crate::stores::Store;

/// Addresses to map the database at; SQLite cuts it to its own limit (2 GiB by default).
const MMAP_BYTES: i64 = 8 << 30;
/// A put that finds another process writing tries again for so long.
const BUSY: Duration = Duration::from_secs(60);

const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID";

/// As it names itself, with its version.
pub fn name() -> String {
    format!("SQLite {}", rusqlite::version())
}

/// Opens the database in `dir`, does `what` with it, and closes it.
pub fn with_open(
    dir: &Path,
    synchronous: &str,
    what: &mut dyn FnMut(&dyn Store) -> Result<()>,
) -> Result<()> {
    let connection = Connection::open(dir.join("entries.sqlite"))?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "mmap_size", MMAP_BYTES)?;
    connection.execute_batch(SCHEMA)?;
    let statement = |sql: &str| connection.prepare(sql).map(RefCell::new);
    what(&Sqlite {
        connection: &connection,
        get: statement("SELECT value FROM entries WHERE key = ?1")?,
        put: statement("REPLACE INTO entries (key, value) VALUES (?1, ?2)")?,
        forward: statement("SELECT key, value FROM entries ORDER BY key")?,
        reverse: statement("SELECT key, value FROM entries ORDER BY key DESC")?,
    })
}

/// An open database with its statements, which borrow it.
struct Sqlite<'a> {
    connection: &'a Connection,
    get: RefCell<Statement<'a>>,
    put: RefCell<Statement<'a>>,
    forward: RefCell<Statement<'a>>,
    reverse: RefCell<Statement<'a>>,
}

impl Store for Sqlite<'_> {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.put.borrow_mut().execute((key, value))?;
        Ok(())
    }

    fn put_all(&self, data: &Data, indexes: &[u32]) -> Result<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        for index in indexes {
            let index = *index as usize;
            self.put(&data.key(index), data.value(index))?;
        }
        Ok(self.connection.execute_batch("COMMIT")?)
    }

    fn has(&self, key: &[u8]) -> Result<bool> {
        let mut get = self.get.borrow_mut();
        let mut rows = get.query([key])?;
        match rows.next()? {
            Some(row) => Ok(row.get_ref(0)?.as_blob()?.len() == VALUE_BYTES),
            None => Ok(false),
        }
    }

    fn walk(&self, reverse: bool) -> Result<(usize, usize)> {
        let statement = match reverse {
            false => &self.forward,
            true => &self.reverse,
        };
        let mut statement = statement.borrow_mut();
        let mut rows = statement.query(())?;
        let (mut count, mut bytes) = (0, 0);
        while let Some(row) = rows.next()? {
            count += 1;
            bytes += row.get_ref(0)?.as_blob()?.len() + row.get_ref(1)?.as_blob()?.len();
        }
        Ok((count, bytes))
    }

    /// Fills the pages in the order of keys, and empties the log into them.
    fn compact(&self) -> Result<()> {
        self.connection.execute_batch("VACUUM")?;
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        Ok(self.connection.query_row(checkpoint, (), |_| Ok(()))?)
    }
}
