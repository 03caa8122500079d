//! One maker for each kind of directory that is damaged, incomplete, or another product's.

use level_party_format::edit::VersionEdit;
use level_party_format::filename::CURRENT;
use level_party_format::table::FOOTER_LEN;
use level_party_format::varint;

use super::bytes::numbers;
use super::{Compression, Files, Log, Manifest, TableBytes};
use crate::Op;

/// The comparator of Chrome's IndexedDB.
pub const IDB_COMPARATOR: &str = "idb_cmp1";
/// What ends a RocksDB table.
const ROCKSDB_MAGIC: u64 = 0x88e2_41b7_85f4_cff7;

fn put(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Op {
    Op::Put(key.into(), value.into())
}

/// A database with one table, number 5, and a log, number 7.
fn database(
    level: usize,
    table: &TableBytes,
    last_sequence: u64,
    log: &Log,
    comparator: &str,
) -> Files {
    let mut files = Files::new();
    files.put("000005.ldb", table.bytes());
    files.put("000007.log", log.bytes());
    let manifest = Manifest::with_comparator(comparator, [(level, table.named(5))]);
    let manifest = manifest.numbers(7, 8, last_sequence);
    files.put("MANIFEST-000006", manifest.bytes());
    files.put(CURRENT, "MANIFEST-000006\n");
    files
}

fn bytewise(level: usize, table: &TableBytes, last_sequence: u64, log: &Log) -> Files {
    let name = level_party_format::comparator::BYTEWISE_NAME;
    database(level, table, last_sequence, log, name)
}

/// A sound database: 100 entries in a table, and an empty log.
pub fn sound() -> Files {
    bytewise(1, &TableBytes::numbered("k", 100, 1), 100, &Log::new())
}

/// Log 5, which the manifest names, is missing. Log 7 holds sequences 101 to 150. 150 entries can be had.
pub fn later_log_without_the_named_one() -> Files {
    let mut files = Files::new();
    let table = TableBytes::numbered("k", 100, 1);
    files.put("000004.ldb", table.bytes());
    files.put("000007.log", Log::numbered("late", 50, 101).bytes());
    let manifest = Manifest::new([(0, table.named(4))]).numbers(5, 8, 100);
    files.put("MANIFEST-000002", manifest.bytes());
    files.put(CURRENT, "MANIFEST-000002\n");
    files
}

/// The manifest's last record, which replaces table 10 by table 12, is torn. Table 10 is gone. 100 entries can be had.
pub fn torn_manifest() -> Files {
    let table = TableBytes::numbered("k", 100, 1);
    let compaction = VersionEdit {
        deleted_files: vec![(0, 10)],
        new_files: vec![(1, table.named(12))],
        ..numbers(9, 13, 100)
    };
    let mut manifest = Manifest::new([(0, table.named(10))])
        .numbers(9, 12, 100)
        .edit(&compaction)
        .bytes();
    manifest.truncate(manifest.len() - 3);
    let mut files = Files::new();
    files.put("000012.ldb", table.bytes());
    files.put("000009.log", "");
    files.put("MANIFEST-000002", manifest);
    files.put(CURRENT, "MANIFEST-000002\n");
    files
}

/// Table 5 is empty after a loss of power. Log 3, of which it was made, is still there below the log number. 101 entries
/// can be had.
pub fn empty_table_beside_its_log() -> Files {
    let table = TableBytes::numbered("k", 100, 1);
    let log = (0..100).fold(Log::new(), |log, n| {
        log.batch(1 + n, &[put(format!("k{n:04}"), format!("v{n}"))])
    });
    let flush = VersionEdit {
        new_files: vec![(0, table.named(5))],
        ..numbers(4, 6, 100)
    };
    let manifest = Manifest::new([]).numbers(3, 4, 0).edit(&flush);
    let mut files = Files::new();
    files.put("000005.ldb", "");
    files.put("000003.log", log.bytes());
    files.put(
        "000004.log",
        Log::new().batch(101, &[put("z", "1")]).bytes(),
    );
    files.put("MANIFEST-000002", manifest.bytes());
    files.put(CURRENT, "MANIFEST-000002\n");
    files
}

/// Key and value of the batch `n` of [`log_with_a_bad_record`].
pub fn logged(n: u64) -> (String, String) {
    (format!("key{n:06}"), format!("{n}{}", "x".repeat(90)))
}

/// A log of 200 batches of one put. One byte in the value of the tenth is changed: [`BAD_RECORD`]. 199 entries can be
/// had.
pub fn log_with_a_bad_record() -> Files {
    let log = (0..200).fold(Log::new(), |log, n| {
        let (key, value) = logged(n);
        log.batch(1 + n, &[put(key, value)])
    });
    let mut bytes = log.bytes();
    bytes[1200] ^= 0x55;
    let mut files = Files::new();
    files.put("000003.log", bytes);
    let manifest = Manifest::new([]).numbers(3, 4, 0);
    files.put("MANIFEST-000002", manifest.bytes());
    files.put(CURRENT, "MANIFEST-000002\n");
    files
}

/// The file, and the offset of the bad record, of [`log_with_a_bad_record`].
pub const BAD_RECORD: (&str, u64) = ("000003.log", 1098);

/// 300 keys were put (table 9), deleted, and compacted away: table 12 alone counts, with one entry. Table 9 is still
/// there. `CURRENT` holds `current`; the manifest, number 13, is intact.
pub fn obsolete_table_and_current(current: &[u8]) -> Files {
    let table = TableBytes::new().put(b"alive", 601, b"1");
    let mut files = Files::new();
    files.put("000009.ldb", TableBytes::numbered("k", 300, 1).bytes());
    files.put("000012.ldb", table.bytes());
    files.put("000015.log", "");
    let manifest = Manifest::new([(2, table.named(12))]).numbers(15, 16, 601);
    files.put("MANIFEST-000013", manifest.bytes());
    files.put(CURRENT, current);
    files
}

/// What `CURRENT` holds after accidents, each with a name. [`obsolete_table_and_current`] has the manifest.
pub fn damaged_currents() -> Vec<(&'static str, Vec<u8>)> {
    let named = "MANIFEST-000013";
    let merge = format!("<<<<<<< HEAD\n{named}\n=======\nMANIFEST-000011\n>>>>>>> theirs\n");
    vec![
        ("nulls", vec![0; 16]),
        ("empty", Vec::new()),
        ("a carriage return", format!("{named}\r\n").into()),
        ("no newline", named.into()),
        ("twice", format!("{named}\n{named}\n").into()),
        ("marks of a merge", merge.into()),
        ("a missing manifest", "MANIFEST-000014\n".into()),
    ]
}

/// A database in another order than the bytewise one, with `CURRENT` nulled. The manifest, which names the comparator
/// ([`IDB_COMPARATOR`]), is intact.
pub fn other_comparator() -> Files {
    let table = TableBytes::numbered("k", 100, 1).reversed();
    let mut files = database(1, &table, 200, &Log::new(), IDB_COMPARATOR);
    files.put(CURRENT, [0; 16]);
    files
}

/// A sound database without `CURRENT`.
pub fn without_current() -> Files {
    let mut files = sound();
    files.take(CURRENT);
    files
}

/// A database of 100 entries in a table whose blocks are compressed so, and a log with one more (`new`). With zlib or raw
/// deflate it is a world of Minecraft Bedrock.
pub fn compressed(compression: Compression) -> Files {
    let table = TableBytes::numbered("k", 100, 1);
    let log = Log::new().batch(201, &[put("new", "1")]);
    let mut files = bytewise(1, &table, 200, &log);
    let bytes = table.compressed(compression);
    let named = table.named_with(5, bytes.len());
    let manifest = Manifest::new([(1, named)]).numbers(7, 8, 200);
    files.put("000005.ldb", bytes);
    files.put("MANIFEST-000006", manifest.bytes());
    files
}

/// A table with a sound block, its first, of a compression that nobody knows, and an empty log.
pub fn unknown_compression() -> Files {
    let table = TableBytes::numbered("k", 100, 1).with_unknown_block();
    bytewise(1, &table, 100, &Log::new())
}

/// A RocksDB directory: tables with its magic, a manifest with tags that LevelDB does not have, `OPTIONS`, `IDENTITY`.
pub fn rocksdb() -> Files {
    let mut table = TableBytes::numbered("k", 50, 1).bytes();
    let magic_at = table.len() - 8;
    table[magic_at..].copy_from_slice(&ROCKSDB_MAGIC.to_le_bytes());
    let with_tag = |edit: &VersionEdit, tag: u32| {
        let mut bytes = edit.encode();
        varint::put_u32(&mut bytes, tag);
        varint::put_u32(&mut bytes, 0);
        bytes
    };
    let comparator = VersionEdit {
        comparator: Some(level_party_format::comparator::BYTEWISE_NAME.to_owned()),
        ..VersionEdit::default()
    };
    let manifest = Manifest::default()
        .record(&with_tag(&comparator, 203))
        .record(&with_tag(&numbers(10, 11, 50), 200));
    let mut files = Files::new();
    files.put("000009.sst", table);
    files.put("000010.log", "");
    files.put("LOCK", "");
    files.put("OPTIONS-000007", "[Version]\n  rocksdb_version=8.0.0\n");
    files.put("IDENTITY", "00000000-0000-4000-8000-000000000000");
    files.put("MANIFEST-000005", manifest.bytes());
    files.put(CURRENT, "MANIFEST-000005\n");
    files
}

/// A directory of Riak's LevelDB, which keeps each level's tables in a directory of its own.
pub fn riak() -> Files {
    let young = TableBytes::numbered("k", 50, 101);
    let old = TableBytes::numbered("k", 100, 1);
    let manifest = Manifest::new([(0, young.named(8)), (1, old.named(5))]).numbers(10, 11, 200);
    let mut files = Files::new();
    files.put("sst_0/000008.sst", young.bytes());
    files.put("sst_1/000005.sst", old.bytes());
    files.put("000010.log", "");
    files.put("MANIFEST-000009", manifest.bytes());
    files.put(CURRENT, "MANIFEST-000009\n");
    files
}

/// A database in a Git repository whose contents were not fetched: Git LFS pointers in place of the files for which
/// `is_pointer` holds.
pub fn git_lfs_pointers(is_pointer: impl Fn(&str) -> bool) -> Files {
    let mut files = sound();
    files.put("000007.log", Log::numbered("new", 3, 101).bytes());
    for (name, contents) in &mut files.0 {
        if is_pointer(name) {
            let digest = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
            *contents = format!(
                "version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {}\n",
                contents.len()
            )
            .into_bytes();
        }
    }
    files
}

/// A clean database whose newest log, 7, was empty and is missing: `.gitignore` left it out. 100 entries.
pub fn without_newest_log() -> Files {
    let mut files = sound();
    files.take("000007.log");
    files
}

/// As [`without_newest_log`], but a table that nothing names has a number above the missing log's.
pub fn without_log_below_a_table() -> Files {
    let mut files = without_newest_log();
    files.put("000008.ldb", TableBytes::numbered("later", 10, 101).bytes());
    files
}

/// As [`without_newest_log`], but the last table has the very number of the missing log.
pub fn without_log_beside_its_table() -> Files {
    let mut files = without_newest_log();
    files.put("000007.ldb", TableBytes::numbered("later", 10, 101).bytes());
    files
}

/// One table of `count` entries in descending order; with `manifest`, one that says they are in bytewise order.
pub fn descending_table(count: u64, manifest: bool) -> Files {
    let table = (0..count).rev().fold(TableBytes::new(), |table, n| {
        table.put(format!("k{n:07}").as_bytes(), 1 + n, b"v")
    });
    let table = table.entries_per_block(1000);
    let mut files = bytewise(1, &table, count, &Log::new());
    if !manifest {
        files.take(CURRENT);
        files.take("MANIFEST-000006");
    }
    files
}

/// [`sound`] with a log of `count` batches of one put, in which one byte of every second one is changed.
pub fn log_of_bad_records(count: u64) -> Files {
    let mut log = Log::new();
    let mut ends = Vec::new();
    for n in 0..count {
        log = log.batch(101 + n, &[put(format!("l{n:07}"), "v")]);
        ends.push(log.len());
    }
    let mut bytes = log.bytes();
    ends.iter()
        .step_by(2)
        .for_each(|end| bytes[end - 1] ^= 0x55);
    let mut files = sound();
    files.put("000007.log", bytes);
    files
}

/// A table of 100 entries whose footer is zeroed. 100 entries can be had.
pub fn table_without_footer() -> Files {
    let mut files = sound();
    let table = files.0.get_mut("000005.ldb").expect("the table");
    let footer = table.len() - FOOTER_LEN;
    table[footer..].fill(0);
    files
}

/// Logs 3 and 4 of two histories with the same sequences 1 to 51: `old` and `new` keys, and `both`, which each of them put
/// last. `CURRENT` and the manifest are gone. 101 entries can be had.
pub fn overlapping_histories() -> Files {
    let log = |prefix: &str| {
        let log = Log::numbered(prefix, 50, 1);
        log.batch(51, &[put("both", prefix)])
    };
    let mut files = Files::new();
    files.put("000003.log", log("old").bytes());
    files.put("000004.log", log("new").bytes());
    files
}
