//! What compactions keep, drop and remove.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use level_party_engine::{Engine, ErrorKind, Listener, MemFs, Options};
use level_party_format::edit::{NewFile, VersionEdit};
use level_party_format::filename;
use level_party_format::key::{ValueType, append_internal_key};
use level_party_format::log::LogWriter;
use level_party_format::table::{TableBuilder, TableOptions};

use crate::support::{
    Call, Rng, SpyFs, contents, delete, get, names, open, put, settle, sweep, tiny,
};

#[derive(Default)]
struct Floor {
    raised: AtomicU64,
    refuses: AtomicBool,
}

impl Listener for Floor {
    fn raise_drop_floor(&self, to: u64) -> io::Result<()> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.raised.fetch_max(to, Ordering::SeqCst);
        Ok(())
    }
}

fn with_listener(fs: &MemFs) -> (Arc<Floor>, Engine) {
    let floor = Arc::new(Floor::default());
    let options = Options {
        listener: Some(Arc::clone(&floor) as Arc<dyn Listener>),
        ..tiny()
    };
    (floor, open(fs, &options))
}

fn value_at(engine: &Engine, key: &[u8], sequence: u64) -> Option<Vec<u8>> {
    engine
        .get_at(key, sequence)
        .unwrap()
        .map(|entry| entry.value)
}

/// Entries in all tables of a version, dropped or not for a reader.
fn table_bytes(engine: &Engine) -> u64 {
    engine.stats().bytes_per_level.iter().sum()
}

#[test]
fn pinned_moments_keep_their_entries_and_others_go() {
    let engine = open(&MemFs::new(), &tiny());
    let mut pins = Vec::new();
    for number in 1..=20u8 {
        put(&engine, b"key", &[number]).unwrap();
        if number % 5 == 0 {
            pins.push(engine.pin());
        }
        if number % 3 == 0 {
            engine.flush().unwrap();
        }
    }
    delete(&engine, b"key").unwrap();
    engine.compact_range(None, None).unwrap();
    engine.compact_range(None, None).unwrap();
    for (at, pin) in pins.iter().enumerate() {
        assert_eq!(pin.sequence(), 5 * (at as u64 + 1));
        assert_eq!(
            value_at(&engine, b"key", pin.sequence()).unwrap(),
            [5 * (at as u8 + 1)]
        );
    }
    assert_eq!(get(&engine, b"key"), None);
    assert_eq!(engine.drop_floor(), 5);
    let second = pins[1].clone();
    pins.clear();
    put(&engine, b"other", b"").unwrap();
    engine.compact_range(None, None).unwrap();
    engine.flush().unwrap();
    assert_eq!(value_at(&engine, b"key", 10).unwrap(), [10]);
    assert_eq!(
        engine.pin_at(9).unwrap_err().kind(),
        ErrorKind::SnapshotLost
    );
    assert_eq!(
        engine.get_at(b"key", 9).unwrap_err().kind(),
        ErrorKind::SnapshotLost
    );
    assert_eq!(
        engine.cursor_at(9).err().unwrap().kind(),
        ErrorKind::SnapshotLost
    );
    assert_eq!(engine.pin_at(10).unwrap().sequence(), 10);
    assert_eq!(
        engine.pin_at(23).unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
    drop(second);
    assert_eq!(engine.stats().pins, 0);
}

#[test]
fn a_deleted_range_leaves_no_bytes_behind() {
    let engine = open(&MemFs::new(), &tiny());
    for number in 0..3_000u32 {
        put(&engine, &number.to_be_bytes(), &[3; 50]).unwrap();
    }
    engine.compact_range(None, None).unwrap();
    for number in 0..3_000u32 {
        delete(&engine, &number.to_be_bytes()).unwrap();
    }
    engine.compact_range(None, None).unwrap();
    assert_eq!(table_bytes(&engine), 0, "{:?}", engine.stats());
    assert_eq!(get(&engine, &7u32.to_be_bytes()), None);
}

#[test]
fn floor_is_recorded_before_anything_is_dropped() {
    let (floor, engine) = with_listener(&MemFs::new());
    put(&engine, b"a", b"1").unwrap();
    engine.flush().unwrap();
    put(&engine, b"a", b"2").unwrap();
    engine.flush().unwrap();
    floor.refuses.store(true, Ordering::SeqCst);
    let files = engine.stats().files_per_level;
    let error = engine.compact_range(None, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(engine.stats().files_per_level, files);
    assert_eq!(floor.raised.load(Ordering::SeqCst), 0);
    // The engine is well: writes and flushes go on.
    put(&engine, b"b", b"3").unwrap();
    engine.flush().unwrap();
    floor.refuses.store(false, Ordering::SeqCst);
    engine.compact_range(None, None).unwrap();
    assert_eq!(floor.raised.load(Ordering::SeqCst), 3);
    assert_eq!(engine.drop_floor(), 3);
    assert_eq!(get(&engine, b"a").unwrap(), b"2");
}

#[test]
fn the_floor_of_an_earlier_opening_holds() {
    let fs = MemFs::new();
    let engine = open(&fs, &tiny());
    for number in 0..10u8 {
        put(&engine, &[number], b"").unwrap();
    }
    engine.close().unwrap();
    let options = Options {
        drop_floor: 7,
        ..tiny()
    };
    let engine = open(&fs, &options);
    assert_eq!(engine.drop_floor(), 7);
    assert_eq!(
        engine.pin_at(6).unwrap_err().kind(),
        ErrorKind::SnapshotLost
    );
    assert_eq!(engine.pin_at(7).unwrap().sequence(), 7);
}

#[test]
fn files_of_an_old_view_stay_until_its_last_reader_is_gone() {
    let fs = MemFs::new();
    let engine = open(&fs, &tiny());
    for number in 0..500u32 {
        put(&engine, &number.to_be_bytes(), &[9; 40]).unwrap();
    }
    engine.flush().unwrap();
    engine.compact_range(None, None).unwrap();
    sweep(&engine);
    let before = names(&fs, ".ldb");
    let view = engine.view().unwrap();
    let mut cursor = engine.cursor().unwrap();
    for number in 0..500u32 {
        put(&engine, &number.to_be_bytes(), &[8; 40]).unwrap();
    }
    engine.compact_range(None, None).unwrap();
    engine.compact_range(None, None).unwrap();
    let there = names(&fs, ".ldb");
    assert!(
        before.iter().all(|name| there.contains(name)),
        "{before:?} {there:?}"
    );
    cursor.seek(&3u32.to_be_bytes()).unwrap();
    assert_eq!(cursor.value(), [9; 40]);
    drop(view);
    sweep(&engine);
    assert!(names(&fs, ".ldb").contains(&before[0]));
    drop(cursor);
    sweep(&engine);
    let there = names(&fs, ".ldb");
    assert!(
        before.iter().all(|name| !there.contains(name)),
        "{before:?} {there:?}"
    );
    assert_eq!(
        there.len(),
        engine.stats().files_per_level.iter().sum::<usize>()
    );
}

#[test]
fn the_last_readers_drop_alone_is_enough_to_remove_its_files() {
    let fs = MemFs::new();
    let engine = open(&fs, &tiny());
    put(&engine, b"a", b"1").unwrap();
    engine.flush().unwrap();
    let old = names(&fs, ".ldb").remove(0);
    let view = engine.view().unwrap();
    put(&engine, b"a", b"2").unwrap();
    engine.compact_range(None, None).unwrap();
    assert!(names(&fs, ".ldb").contains(&old));
    drop(view);
    while names(&fs, ".ldb").contains(&old) {
        std::thread::yield_now();
    }
}

#[test]
fn versions_of_one_key_are_never_split_over_two_tables() {
    let engine = open(&MemFs::new(), &tiny());
    let mut pins = Vec::new();
    for number in 0..400u32 {
        put(&engine, b"the key", &[number as u8; 200]).unwrap();
        put(&engine, &number.to_be_bytes(), &[1; 100]).unwrap();
        pins.push(engine.pin());
    }
    engine.compact_range(None, None).unwrap();
    let view = engine.view().unwrap();
    for level in 1..7 {
        let files = view.version.level(level);
        for pair in files.windows(2) {
            let (last, first) = (&pair[0].largest, &pair[1].smallest);
            assert_ne!(&last[..last.len() - 8], &first[..first.len() - 8]);
        }
    }
    for (number, pin) in pins.iter().enumerate() {
        assert_eq!(
            value_at(&engine, b"the key", pin.sequence()).unwrap(),
            [number as u8; 200]
        );
    }
}

#[test]
fn level_zero_never_grows_beyond_its_limit() {
    let engine = open(&MemFs::new(), &tiny());
    for number in 0..20_000u32 {
        put(
            &engine,
            &number.wrapping_mul(2_654_435_761).to_be_bytes(),
            &[5; 100],
        )
        .unwrap();
        // The stop is at 12; memtables already frozen then still come.
        assert!(engine.stats().files_per_level[0] <= 12 + 2);
    }
}

/// A user key, a sequence, and a value's length.
type Made<'a> = (&'a str, u64, usize);

/// A directory whose tables are made by hand: for each its level and its entries.
fn made_by_hand(tables: &[(usize, &[Made<'_>])]) -> MemFs {
    let fs = MemFs::new();
    let mut edit = VersionEdit {
        comparator: Some("leveldb.BytewiseComparator".to_owned()),
        log_number: Some(0),
        next_file_number: Some(100),
        last_sequence: Some(1000),
        ..VersionEdit::default()
    };
    for (at, (level, entries)) in tables.iter().enumerate() {
        let mut builder = TableBuilder::new(TableOptions::default());
        let mut keys = Vec::new();
        for (user_key, sequence, len) in *entries {
            let mut key = Vec::new();
            append_internal_key(&mut key, user_key.as_bytes(), *sequence, ValueType::Value);
            // Compression can't shorten it.
            let mut rng = Rng(*sequence);
            let value: Vec<u8> = (0..*len).map(|_| rng.next() as u8).collect();
            builder.add(&key, &value);
            keys.push(key);
        }
        builder.finish();
        let number = 10 + at as u64;
        fs.write(&filename::table(number), std::mem::take(builder.output()));
        let file = NewFile {
            number,
            size: builder.file_size(),
            smallest: keys[0].clone(),
            largest: keys[keys.len() - 1].clone(),
        };
        edit.new_files.push((*level, file));
    }
    let mut manifest = Vec::new();
    LogWriter::new().add_record(&edit.encode(), &mut manifest);
    fs.write("MANIFEST-000001", manifest);
    fs.write("CURRENT", &b"MANIFEST-000001\n"[..]);
    fs
}

#[test]
fn versions_in_two_tables_are_compacted_together() {
    // LevelDB up to 1.20 could split the versions of one key over two tables of a level, as here those of "m".
    let fs = made_by_hand(&[
        (1, &[("a", 1, 3000), ("m", 9, 3000)]),
        (1, &[("m", 5, 300), ("z", 2, 300)]),
        (2, &[("zz", 1, 10)]),
    ]);
    let options = Options {
        max_file_size: 1 << 10,
        ..tiny()
    };
    let engine = open(&fs, &options);
    settle(&engine, options.max_file_size);
    assert_eq!(engine.get(b"m").unwrap().unwrap().sequence, 9);
    engine.compact_range(None, None).unwrap();
    assert_eq!(engine.get(b"m").unwrap().unwrap().sequence, 9);
    assert_eq!(contents(&engine).len(), 4);
}

#[test]
fn a_compacted_range_ends_with_all_versions_of_its_last_key() {
    let fs = made_by_hand(&[
        (1, &[("a", 1, 3000), ("m", 9, 3000)]),
        (1, &[("m", 5, 300), ("z", 2, 300)]),
        (2, &[("a", 1, 3000), ("m", 4, 3000)]),
        (2, &[("m", 3, 300), ("z", 1, 300)]),
        (3, &[("y", 1, 10)]),
    ]);
    let engine = open(&fs, &tiny());
    let pin = engine.pin();
    engine.compact_range(Some(b"a"), Some(b"b")).unwrap();
    assert_eq!(engine.get(b"m").unwrap().unwrap().sequence, 9);
    assert_eq!(
        engine
            .get_at(b"m", pin.sequence())
            .unwrap()
            .unwrap()
            .sequence,
        9
    );
    engine.view().unwrap().version.check_order().unwrap();
    engine.compact_range(None, None).unwrap();
    assert_eq!(engine.get(b"m").unwrap().unwrap().sequence, 9);
    assert_eq!(contents(&engine).len(), 4);
}

#[test]
fn compaction_given_up_by_its_caller_frees_the_next() {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
    for number in 0..2_000u32 {
        put(&engine, &number.to_be_bytes(), &[7; 100]).unwrap();
    }
    engine.compact_range(None, None).unwrap();
    for number in [0, 1_999u32] {
        put(&engine, &number.to_be_bytes(), &[8; 100]).unwrap();
    }
    engine.flush().unwrap();
    // It is not done before its caller gives up.
    let is_given_up = Arc::new(AtomicBool::new(false));
    let gives_up = Arc::clone(&is_given_up);
    fs.refuse(move |call| {
        let is_table = matches!(call, Call::Create(name) if name.ends_with(".ldb"));
        while is_table && !is_given_up.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        None
    });
    let go_on = || {
        gives_up.store(true, Ordering::SeqCst);
        false
    };
    let given_up = engine.compact_range_while(None, None, &go_on);
    assert_eq!(given_up.unwrap_err().kind(), ErrorKind::Cancelled);
    engine.compact_range(None, None).unwrap();
    assert_eq!(contents(&engine).len(), 2_000);
    let view = engine.view().unwrap();
    assert_eq!(view.verify_while(&|| false), None);
    assert!(view.verify_while(&|| true).unwrap().is_sound());
}
