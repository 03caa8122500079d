//! Compactions for the sake of reads: a table that many reads look into in vain goes down.

use level_party_engine::{Engine, Fs as _, MemFs, Options};
use level_party_format::edit::VersionEdit;
use level_party_format::key;
use level_party_format::log::{LogItem, LogReader};

use crate::support::{contents, delete, get, names, open, put, sweep};

/// A table with `m`, and a newer one that spans it without having it: both on level 0, which is not over its limit.
fn overlapping(fs: &MemFs, value: &[u8]) -> Engine {
    let engine = open(fs, &Options::default());
    for number in 0..40 {
        put(&engine, format!("m{number:02}").as_bytes(), value).unwrap();
    }
    engine.flush().unwrap();
    put(&engine, b"a", b"first").unwrap();
    delete(&engine, b"m07").unwrap();
    put(&engine, b"z", b"last").unwrap();
    engine.flush().unwrap();
    assert_eq!(files(&engine), (2, 0));
    engine
}

/// Tables on level 0 and on level 1.
fn files(engine: &Engine) -> (usize, usize) {
    let files = engine.stats().files_per_level;
    (files[0], files[1])
}

/// Until the background thread has compacted what was asked of it.
fn wait_until_compacted(engine: &Engine) {
    while files(engine).0 > 0 {
        assert_eq!(engine.stats().background_error, None);
        std::thread::yield_now();
    }
}

/// Where the manifest says that a level's next compaction begins.
fn compact_pointer(fs: &MemFs, level: usize) -> Option<Vec<u8>> {
    let manifest = fs.list().unwrap().into_iter().find_map(|name| {
        let is_manifest = name.starts_with("MANIFEST");
        is_manifest.then_some(name)
    });
    let bytes = fs.read(&manifest.unwrap()).unwrap();
    let mut pointer = None;
    for item in LogReader::new(&bytes) {
        let LogItem::Record { payload, .. } = item else {
            panic!("a whole manifest: {item:?}");
        };
        let edit = VersionEdit::decode(&payload).unwrap();
        let pointers = edit.compact_pointers.into_iter();
        pointer = pointers
            .filter(|(at, _)| *at == level)
            .map(|(_, key)| key)
            .next_back()
            .or(pointer);
    }
    pointer
}

#[test]
fn a_table_is_compacted_when_gets_have_used_up_its_seeks() {
    let fs = MemFs::new();
    let engine = overlapping(&fs, b"value");
    let before = contents(&engine);
    for _ in 0..90 {
        assert_eq!(get(&engine, b"m01").unwrap(), b"value");
        assert_eq!(get(&engine, b"a").unwrap(), b"first");
    }
    sweep(&engine);
    assert_eq!(files(&engine), (2, 0), "its seeks are not used up");
    let view = engine.view().unwrap();
    for _ in 0..10 {
        assert_eq!(get(&engine, b"m01").unwrap(), b"value");
    }
    wait_until_compacted(&engine);
    assert_eq!(files(&engine), (0, 1));
    assert_eq!(contents(&engine), before);
    assert_eq!(get(&engine, b"m07"), None);
    // An old view charges its own tables, to no effect.
    for _ in 0..1000 {
        let old = view.get(b"m01", view.last_sequence()).unwrap();
        assert_eq!(old.unwrap().value, b"value");
    }
    drop(view);
    sweep(&engine);
    assert_eq!(files(&engine), (0, 1));
    assert_eq!(names(&fs, ".ldb").len(), 1);
    let pointer = compact_pointer(&fs, 0).expect("as after any compaction of level 0");
    assert_eq!(key::user_key(&pointer), b"z");
    engine.close().unwrap();
    drop(engine);
    let again = open(&fs, &Options::default());
    assert_eq!(contents(&again), before);
}

#[test]
fn a_table_is_compacted_when_scans_have_used_up_its_seeks() {
    let fs = MemFs::new();
    let engine = overlapping(&fs, &[7; 64 << 10]);
    // 40 keys of 64 KiB: two or three samples a scan.
    let mut scans = 0;
    while files(&engine).0 > 0 {
        assert_eq!(contents(&engine).len(), 41);
        scans += 1;
        assert!(scans < 10_000, "{:?}", engine.stats());
    }
    assert!(scans > 10, "{scans}");
}

#[test]
fn a_damaged_table_whose_seeks_are_used_up_is_set_aside_once() {
    let fs = MemFs::new();
    let engine = overlapping(&fs, b"value");
    let older = names(&fs, ".ldb").remove(0);
    // The keys read are in memory; what a compaction reads is not.
    assert_eq!(get(&engine, b"m01").unwrap(), b"value");
    fs.change(&older, |bytes| bytes[5] ^= 1).unwrap();
    for _ in 0..1000 {
        assert_eq!(get(&engine, b"m01").unwrap(), b"value");
    }
    while engine.stats().background_error.is_none() {
        std::thread::yield_now();
    }
    let told = engine.stats().background_error.unwrap();
    assert!(told.contains(&older), "{told}");
    for _ in 0..1000 {
        assert_eq!(get(&engine, b"a").unwrap(), b"first");
        assert_eq!(get(&engine, b"m01").unwrap(), b"value");
    }
    put(&engine, b"more", b"1").unwrap();
    engine.flush().unwrap();
    assert_eq!(files(&engine), (3, 0), "it stays, and writing goes on");
}
