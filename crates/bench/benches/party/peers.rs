//! LMDB and SQLite as stores: what is in the program only with the feature `peers`, because both are C.
//!
//! Both keep what a process wrote when that process dies, and may lose the latest writes when the machine does, as ours
//! without `sync`. Each file says by which options.

use std::path::Path;

use level_party_bench::Result;

use crate::stores::Store;

#[cfg(feature = "peers")]
mod lmdb;
#[cfg(feature = "peers")]
mod sqlite;

/// Opens a peer in `dir`, does `what` with it, and closes it.
#[cfg(feature = "peers")]
pub fn with_open(
    peer: &str,
    dir: &Path,
    what: &mut dyn FnMut(&dyn Store) -> Result<()>,
) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    match peer {
        "lmdb" => what(&lmdb::Lmdb::open(dir)?),
        "sqlite" => sqlite::with_open(dir, "NORMAL", what),
        "sqlite-full" => sqlite::with_open(dir, "FULL", what),
        _ => Err(format!("no store {peer}").into()),
    }
}

/// Opens nothing: the peers are not in this program.
#[cfg(not(feature = "peers"))]
pub fn with_open(
    peer: &str,
    _dir: &Path,
    _what: &mut dyn FnMut(&dyn Store) -> Result<()>,
) -> Result<()> {
    Err(format!("no store {peer}").into())
}

/// Their names and versions, if they are in this program.
pub fn names() -> Option<String> {
    #[cfg(feature = "peers")]
    return Some(format!("{}, {}", lmdb::name(), sqlite::name()));
    #[cfg(not(feature = "peers"))]
    None
}
