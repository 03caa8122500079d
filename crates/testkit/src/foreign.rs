//! Directories as other products leave them, made here byte by byte: nothing need be installed.

use std::fs;
use std::path::Path;

use level_party_format::batch::WriteBatch;
use level_party_format::edit::{NewFile, VersionEdit};
use level_party_format::key::{ValueType, append_internal_key};
use level_party_format::log::LogWriter;
pub use level_party_format::table::Compression;
use level_party_format::table::{TableBuilder, TableOptions};

/// A Git LFS pointer.
const LFS_POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
/// The last 8 bytes of RocksDB's block-based tables.
const ROCKSDB_MAGIC: u64 = 0x88e2_41b7_85f4_cff7;
/// Tags of RocksDB's manifests: the highest column family, and the family that an edit is about.
const MAX_COLUMN_FAMILY: [u8; 3] = [0xcb, 0x01, 0];
const COLUMN_FAMILY: [u8; 3] = [0xc8, 0x01, 0];

/// Files by their names in the directory; a name may have one directory before it.
pub type Files = Vec<(String, Vec<u8>)>;

/// Entries of a table, `k0000` and on.
const TABLE_ENTRIES: u64 = 100;

/// Writes the files into a directory, which is made.
pub fn write_files(dir: &Path, files: &Files) {
    fs::create_dir_all(dir).expect("a directory");
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("it is in the directory")).expect("made");
        fs::write(path, bytes).expect("written");
    }
}

/// A world of Minecraft Bedrock: 100 entries `k0000` to `k0099` in a table whose blocks are compressed so, and the entry
/// `new` in a log.
pub fn bedrock_world(compression: Compression) -> Files {
    let (table, file) = table(5, 1, compression);
    let mut batch = WriteBatch::new();
    batch.put(b"new", b"1");
    batch.set_sequence(TABLE_ENTRIES * 2 + 1);
    let mut files = vec![
        ("000005.ldb".into(), table),
        ("000010.log".into(), log(&[batch.as_bytes().to_vec()])),
    ];
    files.extend(manifest(vec![(1, file)], &[], &[]));
    files
}

/// A sound database with a block of a compression that nobody has.
pub fn unknown_compression() -> Files {
    let (mut bytes, file) = table(5, 1, Compression::None);
    // The first block ends where its checksum fits; its number is before that.
    let end = (5..bytes.len())
        .find(|end| level_party_format::table::check_block(&bytes[..*end], 0).is_ok())
        .expect("a block");
    bytes[end - 5] = 77;
    let crc = level_party_format::crc::crc32c(&bytes[..end - 4]);
    bytes[end - 4..end].copy_from_slice(&level_party_format::crc::mask(crc).to_le_bytes());
    let mut files = vec![("000005.ldb".into(), bytes), ("000010.log".into(), vec![])];
    files.extend(manifest(vec![(1, file)], &[], &[]));
    files
}

/// A database of RocksDB.
pub fn rocksdb() -> Files {
    let (mut table, _) = table(9, 1, Compression::None);
    let magic_at = table.len() - 8;
    table[magic_at..].copy_from_slice(&ROCKSDB_MAGIC.to_le_bytes());
    let options = "[Version]\n  rocksdb_version=8.0.0\n";
    let mut files = vec![
        ("000009.sst".into(), table),
        ("000010.log".into(), vec![]),
        ("OPTIONS-000007".into(), options.into()),
        (
            "IDENTITY".into(),
            "00000000-0000-4000-8000-000000000000".into(),
        ),
        ("LOCK".into(), vec![]),
    ];
    files.extend(manifest(vec![], &MAX_COLUMN_FAMILY, &COLUMN_FAMILY));
    files
}

/// A LevelDB of Riak's: each level's tables are in a directory of their own.
pub fn riak() -> Files {
    let (young, young_file) = table(8, 101, Compression::Snappy);
    let (old, old_file) = table(5, 1, Compression::Snappy);
    let mut files = vec![
        ("sst_0/000008.sst".into(), young),
        ("sst_1/000005.sst".into(), old),
        ("000010.log".into(), vec![]),
    ];
    files.extend(manifest(vec![(0, young_file), (1, old_file)], &[], &[]));
    files
}

/// A sound database of which Git LFS has not fetched the files that `is_fetched` denies.
pub fn git_lfs(is_fetched: impl Fn(&str) -> bool) -> Files {
    let mut files = bedrock_world(Compression::Snappy);
    for (name, bytes) in &mut files {
        if !is_fetched(name) {
            *bytes = LFS_POINTER.into();
        }
    }
    files
}

/// A table, and the manifest's words for it.
fn table(number: u64, first_sequence: u64, compression: Compression) -> (Vec<u8>, NewFile) {
    let mut builder = TableBuilder::new(TableOptions {
        block_size: 400,
        compression,
        ..TableOptions::default()
    });
    let key = |at: u64| {
        let mut key = Vec::new();
        let user = format!("k{at:04}");
        let sequence = first_sequence + at;
        append_internal_key(&mut key, user.as_bytes(), sequence, ValueType::Value);
        key
    };
    for at in 0..TABLE_ENTRIES {
        builder.add(&key(at), format!("v{at}").as_bytes());
    }
    builder.finish();
    let file = NewFile {
        number,
        size: builder.file_size(),
        smallest: key(0),
        largest: key(TABLE_ENTRIES - 1),
    };
    (std::mem::take(builder.output()), file)
}

/// A log of these records.
fn log(records: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = LogWriter::new();
    let mut bytes = Vec::new();
    for record in records {
        writer.add_record(record, &mut bytes);
    }
    bytes
}

/// A manifest of two edits, with what another product adds to each, and `CURRENT`.
fn manifest(files: Vec<(usize, NewFile)>, first: &[u8], second: &[u8]) -> Files {
    let comparator = VersionEdit {
        comparator: Some("leveldb.BytewiseComparator".into()),
        ..VersionEdit::default()
    };
    let state = VersionEdit {
        log_number: Some(10),
        next_file_number: Some(11),
        last_sequence: Some(TABLE_ENTRIES * 2),
        new_files: files,
        ..VersionEdit::default()
    };
    let records = [
        [&comparator.encode(), first].concat(),
        [&state.encode(), second].concat(),
    ];
    vec![
        ("MANIFEST-000004".into(), log(&records)),
        ("CURRENT".into(), "MANIFEST-000004\n".into()),
    ]
}
