//! LMDB through `heed`.
//!
//! Opened with `MDB_WRITEMAP | MDB_MAPASYNC`: a commit syncs nothing, and its pages are written where they are mapped.
//! LMDB's documentation: when the machine crashes, this may corrupt the database, or lose the latest transactions; it
//! prefers `MDB_MAPASYNC` to `MDB_NOSYNC` beside `MDB_WRITEMAP`. So LMDB promises less here than ours without `sync`, whose
//! tables are synced. `MDB_NOSYNC` alone promises more where the file system keeps the order of writes, and its puts take
//! four times as long.
//!
//! Each get and each scan is a read transaction of its own, so that it sees what others committed; each put is a write
//! transaction.

use std::path::Path;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions};
use level_party_bench::{Data, Result, VALUE_BYTES};

use crate::stores::Store;

/// Bytes of the map, which the database never outgrows. The file is as long, but takes only what was written.
const MAP_BYTES: usize = 8 << 30;
/// Readers at once: more than processes here.
const READERS: u32 = 1_024;

/// As it names itself, with its version.
pub fn name() -> String {
    let version = heed::lmdb_version();
    format!("LMDB {}.{}.{}", version.major, version.minor, version.patch)
}

/// A database in a directory of its own.
pub struct Lmdb {
    env: Env,
    entries: Database<'static, Bytes, Bytes>,
}

impl Lmdb {
    pub fn open(dir: &Path) -> Result<Lmdb> {
        let env = open_env(dir)?;
        let created =
            env.create_databases_and_commit(env.write_txn()?, |opener, transaction| {
                let entries = opener.create_database::<Bytes, Bytes>(transaction, None)?;
                Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(entries))
            })?;
        let entries = created.unwrap_commit();
        Ok(Lmdb { env, entries })
    }
}

#[allow(unsafe_code)]
fn open_env(dir: &Path) -> Result<Env> {
    let mut options = EnvOpenOptions::new();
    options.map_size(MAP_BYTES).max_readers(READERS);
    let flags = EnvFlags::WRITE_MAP | EnvFlags::MAP_ASYNC;
    // SAFETY: the run made the directory for these processes alone, nobody changes its files but LMDB, no process opens
    // it twice, and all give the same flags.
    Ok(unsafe { options.flags(flags).open(dir)? })
}

impl Store for Lmdb {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        self.entries.put(&mut transaction, key, value)?;
        Ok(transaction.commit()?)
    }

    fn put_all(&self, data: &Data, indexes: &[u32]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        for index in indexes {
            let index = *index as usize;
            let (key, value) = (data.key(index), data.value(index));
            self.entries.put(&mut transaction, &key, value)?;
        }
        Ok(transaction.commit()?)
    }

    fn has(&self, key: &[u8]) -> Result<bool> {
        let transaction = self.env.read_txn()?;
        let value = self.entries.get(&transaction, key)?;
        Ok(value.is_some_and(|value| value.len() == VALUE_BYTES))
    }

    fn walk(&self, reverse: bool) -> Result<(usize, usize)> {
        let transaction = self.env.read_txn()?;
        match reverse {
            false => count(self.entries.iter(&transaction)?),
            true => count(self.entries.rev_iter(&transaction)?),
        }
    }

    /// It keeps its pages in the shape in which they are read.
    fn compact(&self) -> Result<()> {
        Ok(())
    }
}

fn count<'a>(
    entries: impl Iterator<Item = heed::Result<(&'a [u8], &'a [u8])>>,
) -> Result<(usize, usize)> {
    let (mut count, mut bytes) = (0, 0);
    for entry in entries {
        let (key, value) = entry?;
        count += 1;
        bytes += key.len() + value.len();
    }
    Ok((count, bytes))
}
