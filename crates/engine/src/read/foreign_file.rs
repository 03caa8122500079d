//! Files that are not LevelDB's, known by their own bytes: pointers of Git LFS, tables of RocksDB.
//!
//! Promises: what is recognised is named, and never called damage. What can't be read is nobody's.
//! Must not know: directories, or what else shows whose they are.

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::ReadFile;

/// What a Git LFS pointer begins with, and the length below which it is.
const LFS_HEAD: &[u8] = b"version https://git-lfs.github.com/spec/v1";
pub(crate) const LFS_MAX_LEN: u64 = 1024;

/// The last 8 bytes of RocksDB's tables: block-based, plain, older plain, cuckoo. (Its older block-based tables have
/// LevelDB's own.)
const ROCKSDB_MAGICS: [u64; 4] = [
    0x88e2_41b7_85f4_cff7,
    0x8242_2296_63bf_9564,
    0x4f34_18eb_7a8f_13b8,
    0x9267_89d0_c5f1_7873,
];

/// Refuses a table, met while it is read, that is not LevelDB's. Called where it would be damage otherwise.
pub(crate) fn check_table(file: &dyn ReadFile, name: &str) -> Result<()> {
    if is_lfs_pointer(file) {
        return Err(lfs_pointer(name));
    }
    match has_rocksdb_magic(file) {
        true => Err(is_rocksdb(name)),
        false => Ok(()),
    }
}

pub(crate) fn is_lfs_pointer(file: &dyn ReadFile) -> bool {
    let mut head = [0; LFS_HEAD.len()];
    (LFS_HEAD.len() as u64..LFS_MAX_LEN).contains(&file.len())
        && file.read_at(&mut head, 0).is_ok()
        && head == LFS_HEAD
}

fn has_rocksdb_magic(file: &dyn ReadFile) -> bool {
    let mut last = [0; 8];
    let at = file.len().checked_sub(last.len() as u64);
    at.is_some_and(|at| file.read_at(&mut last, at).is_ok())
        && ROCKSDB_MAGICS.contains(&u64::from_le_bytes(last))
}

pub(crate) fn lfs_pointer(name: &str) -> Error {
    let message = format!(
        "{name} is a Git LFS pointer, and not the file itself: run `git lfs pull` where the files come from, and try again"
    );
    Error::new(ErrorKind::Unsupported, message)
}

pub(crate) fn is_rocksdb(evidence: &str) -> Error {
    let message = format!(
        "this is a RocksDB database, not LevelDB ({evidence} says so): open it with RocksDB"
    );
    Error::new(ErrorKind::Unsupported, message)
}
