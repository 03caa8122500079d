use std::sync::Arc;

use level_party_format::Comparator;
use level_party_format::log::LogWriter;
use level_party_format::table::Compression;
use level_party_testkit::damage::{Files, cases};

use super::*;
use crate::testing::WatchedFs;
use crate::{Engine, MemFs, Repair, Write, WriteBatch, verify};

/// A directory of these files. Of a directory in it only the name is there, as `list` gives it.
fn directory(files: &Files) -> MemFs {
    let fs = MemFs::new();
    for (name, bytes) in &files.0 {
        match name.split_once('/') {
            Some((directory, _)) => fs.write(directory, Vec::new()),
            None => fs.write(name, bytes.clone()),
        }
    }
    fs
}

/// Every file's name and bytes.
fn contents(fs: &MemFs) -> Vec<(String, Vec<u8>)> {
    let mut names = fs.list().unwrap();
    names.sort();
    let read = names.into_iter().map(|name| {
        let bytes = fs.read(&name).unwrap();
        (name, bytes)
    });
    read.collect()
}

/// Every way into the directory refuses it in these words, and changes nothing.
fn is_refused(files: &Files, words: &str) {
    let files = directory(files);
    let before = contents(&files);
    let fs: Arc<dyn Fs> = Arc::new(files.clone());
    let options = Options::default;
    let readers = Options {
        only_reads: true,
        ..options()
    };
    let errors = [
        Engine::open(Arc::clone(&fs), options()).err(),
        Engine::open(Arc::clone(&fs), readers).err(),
        verify(&fs, &Comparator::default()).err(),
        Repair::new(Arc::clone(&fs), options()).run().err(),
        Repair::new(Arc::clone(&fs), options())
            .dry_run(false)
            .run()
            .err(),
        refuse_foreign(fs.as_ref(), &options()).err(),
    ];
    for error in errors {
        let error = error.expect("a refusal");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(contents(&files) == before, "something was changed");
}

fn without(mut files: Files, name: &str) -> Files {
    files.take(name);
    files
}

fn read_only() -> Options {
    Options {
        only_reads: true,
        ..Options::default()
    }
}

fn zlib_raw() -> Options {
    Options {
        compression: Compression::ZlibRaw,
        ..Options::default()
    }
}

fn put(engine: &Engine, key: &[u8], value: &[u8]) {
    let mut batch = WriteBatch::new();
    batch.put(key, value);
    engine.write(Write::new(batch)).unwrap();
}

/// The compressions of the indexes and first blocks of all tables, as numbers.
fn numbers_on_disk(fs: &MemFs) -> BTreeSet<u8> {
    let names = fs.list().unwrap();
    let mut numbers = BTreeSet::new();
    for name in tables(&names) {
        let bytes = fs.read(name).unwrap();
        let mut at = 0;
        // Blocks follow one another; what is no block any more is the footer.
        while let Some(len) = (level_party_format::table::BLOCK_TRAILER_LEN..bytes.len() - at)
            .find(|len| is_block(&bytes[at..at + len]))
        {
            at += len;
            numbers.insert(bytes[at - level_party_format::table::BLOCK_TRAILER_LEN]);
        }
    }
    numbers
}

/// Whether the checksum is right.
fn is_block(raw: &[u8]) -> bool {
    let checked = level_party_format::table::check_block(raw, 0);
    checked.is_ok() || checked.is_err_and(|error| error.unknown_compression.is_some())
}

fn count(engine: &Engine) -> usize {
    let mut cursor = engine.cursor().unwrap();
    let mut count = 0;
    cursor.seek_to_first().unwrap();
    while cursor.valid() {
        count += 1;
        cursor.next().unwrap();
    }
    count
}

#[test]
fn rocksdb_is_named_by_each_of_its_marks() {
    let whole = cases::rocksdb();
    is_refused(&whole, "a RocksDB database");
    let no_options = without(whole, "OPTIONS-000007");
    is_refused(&no_options, "the manifest says so");
    let no_current = without(no_options.clone(), "CURRENT");
    is_refused(&no_current, "the manifest says so");
    let table_alone = without(no_current, "MANIFEST-000005");
    is_refused(&table_alone, "000009.sst says so");
}

#[test]
fn riak_is_named_while_its_tables_are_not_here() {
    is_refused(&cases::riak(), "sst_0 to sst_6");
    is_refused(&without(cases::riak(), "CURRENT"), "sst_0 to sst_6");
    // One table of two was moved up.
    let mut half = cases::riak();
    let table = half.take("sst_0/000008.sst");
    half.put("000008.sst", table);
    half.put("sst_0/other", "");
    is_refused(&half, "sst_0 to sst_6");
}

#[test]
fn riak_with_all_tables_moved_up_opens() {
    let mut moved = cases::riak();
    for name in ["sst_0/000008.sst", "sst_1/000005.sst"] {
        let table = moved.take(name);
        moved.put(name.split_once('/').unwrap().1, table);
    }
    moved.put("sst_0/none", "");
    let engine = Engine::open(Arc::new(directory(&moved)), Options::default()).unwrap();
    assert_eq!(count(&engine), 100);
    engine.close().unwrap();
}

#[test]
fn riak_with_entries_of_its_own_in_the_manifest_is_named() {
    let edit = VersionEdit {
        log_number: Some(3),
        ..VersionEdit::default()
    };
    let mut manifest = Vec::new();
    let record = [&edit.encode()[..], &[RIAK_TAG as u8, 0, 8]].concat();
    level_party_format::log::LogWriter::new().add_record(&record, &mut manifest);
    let mut files = cases::riak();
    files.put("MANIFEST-000009", manifest);
    is_refused(&files, "open it with Riak");
}

#[test]
fn git_lfs_pointers_are_named_wherever_they_are() {
    for missing in ["CURRENT", "MANIFEST-000006", "000007.log", "000005.ldb"] {
        let files = cases::git_lfs_pointers(|name| name == missing);
        is_refused(&files, &format!("{missing} is a Git LFS pointer"));
    }
    is_refused(&cases::git_lfs_pointers(|_| true), "git lfs pull");
}

#[test]
fn an_lfs_pointer_beyond_the_sample_fails_its_table_alone() {
    let files = MemFs::new();
    let options = Options {
        max_file_size: 1 << 12,
        compression: Compression::None,
        ..Options::default()
    };
    let engine = Engine::open(Arc::new(files.clone()), options.clone()).unwrap();
    for at in 0..400 {
        put(&engine, format!("{at:06}").as_bytes(), &[7; 200]);
    }
    engine.flush().unwrap();
    engine.compact_range(None, None).unwrap();
    engine.close().unwrap();
    let names = files.list().unwrap();
    let (all, sampled) = (tables(&names), sample(&tables(&names)));
    assert_eq!(sampled.len(), SAMPLE);
    let hidden = all.iter().find(|name| !sampled.contains(name)).unwrap();
    let pointers = cases::git_lfs_pointers(|_| true);
    files.write(hidden, pointers.get("CURRENT").to_vec());
    let engine = Engine::open(Arc::new(files.clone()), options).unwrap();
    let errors: Vec<_> = (0..400)
        .filter_map(|at| engine.get(format!("{at:06}").as_bytes()).err())
        .collect();
    assert!(!errors.is_empty() && errors.len() < 400);
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
    engine.close().unwrap();
    let fs: Arc<dyn Fs> = Arc::new(files);
    let error = verify(&fs, &Comparator::default()).unwrap_err();
    assert!(error.to_string().contains("git lfs pull"), "{error}");
}

#[test]
fn log_under_a_manifests_name_is_not_taken_for_rocksdb() {
    let mut batch = WriteBatch::new();
    batch.put(b"key", b"value");
    // As a tag this sequence is RocksDB's `kNewFile4`.
    batch.set_sequence(103);
    let mut log = Vec::new();
    LogWriter::new().add_record(batch.as_bytes(), &mut log);
    let mut files = cases::compressed(Compression::Snappy);
    files.put("MANIFEST-000006", log);
    refuse_foreign(&directory(&files), &Options::default()).unwrap();
}

#[test]
fn ordinary_directories_are_not_taken_for_foreign() {
    let ordinary = cases::compressed(Compression::Snappy);
    let with = |name: &str, bytes: &str| {
        let mut files = ordinary.clone();
        files.put(name, bytes);
        files
    };
    for files in [
        ordinary.clone(),
        cases::compressed(Compression::Zstd),
        cases::compressed(Compression::None),
        with("OPTIONS-000007", "mine"),
        with("OPTIONS-", "rocksdb_version"),
        with("OPTIONS-mine", "rocksdb_version"),
        with("IDENTITY", "00000000-0000-4000-8000-000000000000"),
        with("sst_7", ""),
        with("sst_0", ""),
        Files::new(),
    ] {
        let fs = directory(&files);
        refuse_foreign(&fs, &Options::default()).unwrap();
    }
}

#[test]
fn an_opening_looks_into_few_of_many_tables() {
    let watched = WatchedFs::default();
    let table = cases::compressed(Compression::Snappy).take("000005.ldb");
    for number in 1..1000 {
        watched.files.write(&filename::table(number), table.clone());
    }
    let names = watched.list().unwrap();
    let sampled = sample(&tables(&names));
    assert_eq!(sampled.first(), Some(&"000001.ldb"));
    assert_eq!(sampled.last(), Some(&"000999.ldb"));
    refuse_foreign(&watched, &Options::default()).unwrap();
    let few = (
        watched.opens() <= 2 * SAMPLE as u64,
        watched.reads() <= 10 * SAMPLE as u64,
    );
    assert_eq!(few, (true, true));
}

#[test]
fn a_bedrock_world_is_read_whichever_of_its_types() {
    for compression in [Compression::Zlib, Compression::ZlibRaw] {
        let files = directory(&cases::compressed(compression));
        let fs: Arc<dyn Fs> = Arc::new(files.clone());
        assert!(verify(&fs, &Comparator::default()).unwrap().is_sound());
        let engine = Engine::open(fs, read_only()).unwrap();
        assert_eq!(engine.compression(), Compression::ZlibRaw);
        assert_eq!(count(&engine), 101);
        engine.close().unwrap();
    }
}

#[test]
fn writing_to_a_bedrock_world_needs_zlib_raw() {
    let zstd = Options {
        zstd_that_leveldb_1_23_cannot_read: true,
        ..zlib_raw()
    };
    for compression in [Compression::Zlib, Compression::ZlibRaw] {
        let files = directory(&cases::compressed(compression));
        let before = contents(&files);
        for options in [Options::default(), zstd.clone()] {
            let error = Engine::open(Arc::new(files.clone()), options)
                .err()
                .unwrap();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains("Minecraft Bedrock"), "{error}");
        }
        assert!(contents(&files) == before, "nothing was changed");
        Engine::open(Arc::new(files), zlib_raw())
            .unwrap()
            .close()
            .unwrap();
    }
}

#[test]
fn what_is_written_to_a_bedrock_world_is_raw_deflate_or_plain() {
    for options in [read_only(), zlib_raw()] {
        let files = directory(&cases::compressed(Compression::ZlibRaw));
        // The log becomes a table, and a compaction rewrites the other.
        let engine = Engine::open(Arc::new(files.clone()), options).unwrap();
        for at in 0..100 {
            put(&engine, format!("k{at:04}").as_bytes(), &[7; 100]);
        }
        engine.compact_range(None, None).unwrap();
        assert_eq!(count(&engine), 101);
        engine.close().unwrap();
        let numbers: Vec<u8> = numbers_on_disk(&files).into_iter().collect();
        assert_eq!(numbers, [0, 4], "plain and raw deflate");
    }
}

#[test]
fn a_repair_of_a_bedrock_world_writes_raw_deflate() {
    let files = directory(&cases::compressed(Compression::ZlibRaw));
    files.remove("CURRENT").unwrap();
    let fs: Arc<dyn Fs> = Arc::new(files.clone());
    let repair = Repair::new(Arc::clone(&fs), Options::default()).dry_run(false);
    assert!(repair.run().unwrap().done);
    assert!(!numbers_on_disk(&files).contains(&1), "no snappy");
    let engine = Engine::open(fs, read_only()).unwrap();
    assert_eq!(count(&engine), 101);
    engine.close().unwrap();
}

#[test]
fn repair_refuses_to_drop_a_block_of_unknown_compression() {
    let files = directory(&cases::unknown_compression());
    files.remove("CURRENT").unwrap();
    let before = contents(&files);
    let repair = || Repair::new(Arc::new(files.clone()), Options::default());
    let plan = repair().run().unwrap();
    assert!(plan.refusal.unwrap().contains("number 77"));
    let error = repair().dry_run(false).run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert_eq!(error.unknown_compression(), Some(77));
    assert!(contents(&files) == before, "nothing was changed");
}

#[test]
fn a_block_of_unknown_compression_fails_its_reads_alone() {
    let files = directory(&cases::unknown_compression());
    let engine = Engine::open(Arc::new(files.clone()), Options::default()).unwrap();
    let error = engine.get(b"k0000").unwrap_err();
    assert_eq!(error.unknown_compression(), Some(77), "{error}");
    assert_eq!(engine.get(b"k0099").unwrap().unwrap().value, b"v99");
    put(&engine, b"k0000", b"new");
    let error = engine.compact_range(None, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert_eq!(engine.get(b"k0099").unwrap().unwrap().value, b"v99");
    engine.close().unwrap();
    // The table is still there, with the block.
    assert!(numbers_on_disk(&files).contains(&77));
}

#[test]
fn zlib_is_never_written() {
    let options = Options {
        compression: Compression::Zlib,
        ..Options::default()
    };
    let error = Engine::open(Arc::new(MemFs::new()), options).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}
