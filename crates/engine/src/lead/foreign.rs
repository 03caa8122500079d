//! Other products' directories: RocksDB, Riak, files that Git LFS has not fetched, Minecraft Bedrock.
//!
//! Promises: what is recognised is named before anything is changed, and never called damage. Nothing is refused for what
//! could not be read: the opening itself tells that. A healthy directory costs the heads of a few files, however many
//! tables it has.
//! Must not know: how damage is found or mended.
//!
//! | product | recognised by | source |
//! |---|---|---|
//! | Git LFS | a file under 1,024 bytes that begins as a pointer does | `docs/spec.md` of git-lfs |
//! | RocksDB | `OPTIONS-n` that names its version; a tag of a manifest; a table's magic number | `file/filename.cc`, `db/version_edit.h`, `table/*/*_builder.cc` of facebook/rocksdb |
//! | Riak | `sst_0` to `sst_6`, while tables are missing; a tag of a manifest | `db/filename.cc`, `db/version_edit.h` of basho/leveldb |
//! | Minecraft Bedrock | blocks of zlib or raw deflate: read, and written on request ([`bedrock`]) | `db/zlib_compressor.cc` of Mojang/leveldb-mcpe |

use std::collections::BTreeSet;

use level_party_format::batch::BatchRef;
use level_party_format::edit::{self, VersionEdit};
use level_party_format::filename::{self, CURRENT, FileKind};
use level_party_format::log::{LogItem, LogReader};

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::Fs;
use crate::base::options::Options;
use crate::read::foreign_file::{
    LFS_MAX_LEN, check_table, is_lfs_pointer, is_rocksdb, lfs_pointer,
};

mod bedrock;

/// Tables that an opening looks into, evenly chosen from oldest to newest.
const SAMPLE: usize = 4;
/// Bytes of a manifest that an opening looks at: the first block of its log.
const MANIFEST_HEAD: usize = 32 << 10;
/// Bytes of a RocksDB options file in which its version stands.
const OPTIONS_HEAD: usize = 4 << 10;

/// Tags in a manifest that LevelDB does not have: `kNewFile2` of basho/leveldb; `kMinLogNumberToKeep` of RocksDB and, from
/// 100 on, all its others.
const RIAK_TAG: u32 = 11;
const ROCKSDB_LOW_TAG: u32 = 10;
const ROCKSDB_TAGS_FROM: u32 = 100;

/// Refuses a directory that an engine with these options would refuse because it is another product's. It changes
/// nothing, and needs no lock. [`Engine::open`](crate::Engine::open) asks the same by itself.
///
/// # Errors
/// [`ErrorKind::Unsupported`].
///
/// ```
/// use level_party_engine::{ErrorKind, MemFs, Options, refuse_foreign};
///
/// let files = MemFs::new();
/// refuse_foreign(&files, &Options::default())?;
/// files.write("OPTIONS-000007", "[Version]\n  rocksdb_version=8.0.0\n");
/// let error = refuse_foreign(&files, &Options::default()).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Unsupported);
/// # Ok::<(), level_party_engine::Error>(())
/// ```
pub fn refuse_foreign(fs: &dyn Fs, options: &Options) -> Result<()> {
    fitted(fs, options.clone()).map(drop)
}

/// The options with which an engine may be opened on this directory: those given, but that an opener who only reads goes
/// on in the compression of a Bedrock world.
pub(crate) fn fitted(fs: &dyn Fs, mut options: Options) -> Result<Options> {
    // If it can't be listed, the opening says so.
    let names = fs.list().unwrap_or_default();
    check(fs, &names)?;
    if bedrock::is_kept(&options) || !bedrock::is_world(fs, sample(&tables(&names))) {
        return Ok(options);
    }
    if !options.only_reads {
        return Err(Error::needs_zlib_raw());
    }
    bedrock::keep(&mut options);
    Ok(options)
}

/// Has a repair go on in the compression of a Bedrock world.
pub(crate) fn keep_compression(fs: &dyn Fs, names: &[String], options: &mut Options) {
    if bedrock::is_world(fs, tables(names)) {
        bedrock::keep(options);
    }
}

/// Refuses another product's directory, having looked at a few files.
pub(crate) fn check(fs: &dyn Fs, names: &[String]) -> Result<()> {
    check_tables(fs, names, &sample(&tables(names)))
}

/// As [`check`], having looked at the ends of every file: for a reader of all of them.
pub(crate) fn check_all(fs: &dyn Fs, names: &[String]) -> Result<()> {
    check_tables(fs, names, &tables(names))
}

fn check_tables(fs: &dyn Fs, names: &[String], tables: &[&str]) -> Result<()> {
    let is_other = |name: &&str| {
        let kind = filename::parse(name).map(|(kind, _)| kind);
        matches!(
            kind,
            Some(FileKind::Current | FileKind::Manifest | FileKind::Log)
        )
    };
    let mut others: Vec<&str> = names.iter().map(String::as_str).filter(is_other).collect();
    // A directory lists its files in any order; the same one is named each time.
    others.sort_unstable_by_key(|name| (*name != CURRENT, *name));
    for name in others {
        let file = fs.open_read(name).ok();
        if file.is_some_and(|file| is_lfs_pointer(file.as_ref())) {
            return Err(lfs_pointer(name));
        }
    }
    let tag = Manifest::current(fs, names).and_then(|manifest| manifest.foreign_tag());
    if let Some(evidence) = rocksdb(fs, names, tag) {
        return Err(is_rocksdb(&evidence));
    }
    for name in tables {
        if let Ok(file) = fs.open_read(name) {
            check_table(file.as_ref(), name)?;
        }
    }
    riak(fs, names, tag)
}

/// The names of the tables, by number.
fn tables(names: &[String]) -> Vec<&str> {
    let mut numbered: Vec<(u64, &str)> = names
        .iter()
        .filter_map(|name| match filename::parse(name) {
            Some((FileKind::Table, number)) => Some((number, name.as_str())),
            _ => None,
        })
        .collect();
    numbered.sort_unstable();
    numbered.into_iter().map(|(_, name)| name).collect()
}

/// At most [`SAMPLE`] of the tables, the first and the last among them.
fn sample<'a>(tables: &[&'a str]) -> Vec<&'a str> {
    let last = tables.len().saturating_sub(1);
    let at: BTreeSet<usize> = (0..SAMPLE).map(|part| part * last / (SAMPLE - 1)).collect();
    at.into_iter()
        .filter_map(|at| tables.get(at).copied())
        .collect()
}

/// Up to `limit` bytes of a file from its beginning; nothing if it can't be read.
fn head(fs: &dyn Fs, name: &str, limit: usize) -> Option<Vec<u8>> {
    let file = fs.open_read(name).ok()?;
    let mut bytes = vec![0; file.len().min(limit as u64) as usize];
    file.read_at(&mut bytes, 0).ok()?;
    Some(bytes)
}

/// What shows that it is RocksDB's, beside its tables.
fn rocksdb(fs: &dyn Fs, names: &[String], tag: Option<u32>) -> Option<String> {
    let names_version = |name: &&String| {
        let number = name.strip_prefix("OPTIONS-").unwrap_or_default();
        let is_named_so = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let says_so = |head: Vec<u8>| contains(&head, b"rocksdb_version");
        is_named_so && head(fs, name, OPTIONS_HEAD).is_some_and(says_so)
    };
    if let Some(name) = names.iter().find(names_version) {
        return Some(name.clone());
    }
    let is_its = |tag: u32| tag == ROCKSDB_LOW_TAG || tag >= ROCKSDB_TAGS_FROM;
    tag.is_some_and(is_its).then(|| "the manifest".to_owned())
}

fn contains(bytes: &[u8], sought: &[u8]) -> bool {
    bytes.windows(sought.len()).any(|window| window == sought)
}

/// Where somebody has moved all tables up, the directories that are left say nothing.
fn riak(fs: &dyn Fs, names: &[String], tag: Option<u32>) -> Result<()> {
    if tag == Some(RIAK_TAG) {
        let message = "this is a LevelDB of Riak's: its manifest has entries that LevelDB does not have, and its tables lie in sst_0 to sst_6; open it with Riak";
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let is_level = |name: &String| {
        let level = name.strip_prefix("sst_").unwrap_or_default();
        matches!(level.as_bytes(), [b'0'..=b'6'])
    };
    if !names.iter().any(is_level) || has_all_tables(fs, names) {
        return Ok(());
    }
    let message = "this is a LevelDB of Riak's: its tables lie in directories sst_0 to sst_6; to open a copy of it here, move the tables up into the directory itself";
    Err(Error::new(ErrorKind::Unsupported, message))
}

/// Whether there are tables, all those that the manifest names among them.
fn has_all_tables(fs: &dyn Fs, names: &[String]) -> bool {
    let there: BTreeSet<u64> = tables(names)
        .into_iter()
        .filter_map(|name| filename::parse(name).map(|(_, number)| number))
        .collect();
    let named = Manifest::current(fs, names).and_then(|manifest| manifest.tables(fs));
    !there.is_empty() && named.is_none_or(|named| named.is_subset(&there))
}

/// The manifest in use, or without `CURRENT` the newest.
struct Manifest {
    name: String,
    head: Vec<u8>,
}

impl Manifest {
    fn current(fs: &dyn Fs, names: &[String]) -> Option<Manifest> {
        let named = head(fs, CURRENT, LFS_MAX_LEN as usize)
            .and_then(|current| filename::parse_current(&current).ok());
        let newest = || {
            let numbered = names.iter().filter_map(|name| match filename::parse(name) {
                Some((FileKind::Manifest, number)) => Some((number, name)),
                _ => None,
            });
            numbered.max().map(|(_, name)| name.clone())
        };
        let name = named.filter(|name| names.contains(name)).or_else(newest)?;
        let head = head(fs, &name, MANIFEST_HEAD)?;
        Some(Manifest { name, head })
    }

    /// The first tag in the first records that LevelDB does not have. Write batches show that a log lies under the
    /// manifest's name, which is damage.
    fn foreign_tag(&self) -> Option<u32> {
        records(&self.head)
            .take_while(|record| BatchRef::parse(record).is_err())
            .find_map(|record| edit::unknown_tag(&record))
    }

    /// The numbers of the tables in use, if every record can be read.
    fn tables(&self, fs: &dyn Fs) -> Option<BTreeSet<u64>> {
        let bytes = fs.read(&self.name).ok()?;
        let mut numbers = BTreeSet::new();
        for record in records(&bytes) {
            let edit = VersionEdit::decode(&record).ok()?;
            // A table that is moved to another level is in both lists.
            for (_, number) in edit.deleted_files {
                numbers.remove(&number);
            }
            numbers.extend(edit.new_files.into_iter().map(|(_, file)| file.number));
        }
        Some(numbers)
    }
}

/// The good records of a log.
fn records(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    LogReader::new(bytes).filter_map(|item| match item {
        LogItem::Record { payload, .. } => Some(payload.to_vec()),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
