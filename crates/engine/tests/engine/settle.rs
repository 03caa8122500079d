//! An opening that answers before what it recovered is in tables.

use std::io::ErrorKind as IoKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use level_party_engine::{
    Before, Engine, ErrorKind, Fs, Listener, MemFs, Options, RecoveryMode, TailItem, Write,
};

use crate::support::{
    Call, SpyFs, batch_of, contents, delete, get, names, open, put, put_sync, sweep, tiny,
};

fn in_background() -> Options {
    Options {
        recover_in_background: true,
        ..tiny()
    }
}

/// A database that a process has left with keys in its log alone.
fn left_behind() -> MemFs {
    let files = MemFs::new();
    let engine = open(&files, &tiny());
    for key in [b"a", b"b", b"c", b"d"] {
        put(&engine, key, b"old").unwrap();
    }
    delete(&engine, b"b").unwrap();
    engine.close().unwrap();
    files
}

fn refuse_tables(fs: &SpyFs) {
    fs.refuse(|call| {
        let is_table = matches!(call, Call::Create(name) if name.ends_with(".ldb"));
        is_table.then(|| IoKind::StorageFull.into())
    });
}

/// An engine that can't settle until it is allowed to.
fn unsettled(files: &MemFs) -> (SpyFs, Engine) {
    let fs = SpyFs::new(files.clone());
    refuse_tables(&fs);
    let engine = Engine::open(Arc::new(fs.clone()), in_background()).unwrap();
    (fs, engine)
}

#[test]
fn the_first_answers_need_nothing_but_a_new_log() {
    let (fs, engine) = unsettled(&left_behind());
    assert_eq!(get(&engine, b"a").unwrap(), b"old");
    assert_eq!(get(&engine, b"b"), None);
    put(&engine, b"c", b"new").unwrap();
    delete(&engine, b"d").unwrap();
    let shown: Vec<_> = contents(&engine).into_iter().collect();
    let expected = [(b"a", b"old"), (b"c", b"new")].map(|(k, v)| (k.to_vec(), v.to_vec()));
    assert_eq!(shown, expected);
    // Moments before the opening.
    assert_eq!(engine.get_at(b"b", 4).unwrap().unwrap().value, b"old");
    assert_eq!(engine.get_at(b"d", 3).unwrap(), None);
    let mut cursor = engine.cursor_at(4).unwrap();
    cursor.seek(b"aa").unwrap();
    assert_eq!((cursor.key(), cursor.sequence()), (&b"b"[..], 2));
    assert_eq!(engine.recovered().last_sequence, 5);
    assert!(engine.stats().memtable_bytes > 0);
    let changes = |call: &Call| !matches!(call, Call::Create(name) if name.ends_with(".ldb"));
    let calls: Vec<Call> = fs.calls().into_iter().filter(changes).collect();
    let log = || "000004.log".to_owned();
    let expected = [
        Call::Create(log()),
        // Its beginning, and the two writes.
        Call::Append(log()),
        Call::Append(log()),
        Call::Append(log()),
    ];
    assert_eq!(calls, expected);
    fs.refuse_nothing();
    engine.settled().unwrap();
    assert_eq!(contents(&engine).len(), 2);
    assert_eq!(engine.stats().files_per_level[0], 1);
    sweep(&engine);
    assert_eq!(names(&fs.files, ".log").len(), 1);
    assert_eq!(names(&fs.files, "000003.log").len(), 0);
}

#[test]
fn a_write_with_sync_waits_for_the_tables_and_has_no_effect_without_them() {
    let (fs, engine) = unsettled(&left_behind());
    for _ in 0..2 {
        let error = put_sync(&engine, b"a", b"synced").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfSpace);
        assert_eq!(engine.settled().unwrap_err().kind(), ErrorKind::OutOfSpace);
        assert_eq!(engine.flush().unwrap_err().kind(), ErrorKind::OutOfSpace);
    }
    let appends = |fs: &SpyFs| fs.calls().iter().filter(|c| c.is_append(".log")).count();
    assert_eq!(appends(&fs), 1, "the log's beginning");
    assert_eq!(get(&engine, b"a").unwrap(), b"old");
    // Those of the same group that don't ask for it go on.
    let write = |key: &[u8], sync| Write::new(batch_of(key, b"grouped")).sync(sync);
    let group = vec![write(b"e", false), write(b"f", true), write(b"g", false)];
    let answers = engine.write_all(group).into_iter();
    let answers: Vec<_> = answers.map(|a| a.map_err(|error| error.kind())).collect();
    assert_eq!(answers, [Ok(6), Err(ErrorKind::OutOfSpace), Ok(7)]);
    assert_eq!(get(&engine, b"f"), None);
    fs.refuse_nothing();
    put_sync(&engine, b"a", b"synced").unwrap();
    let calls = fs.calls();
    let position = |wanted: &dyn Fn(&Call) -> bool| calls.iter().rposition(wanted).unwrap();
    let named = position(&|call| matches!(call, Call::Rename(..)));
    let appended = position(&|call| call.is_append("000004.log"));
    let synced = position(&|call| call.is_sync("000004.log"));
    assert!(named < appended && appended < synced, "{calls:?}");
    assert!(!calls.iter().any(|call| call.is_sync("000003.log")));
}

#[test]
fn processes_that_die_one_after_the_other_before_they_have_settled_lose_nothing() {
    let files = left_behind();
    for opening in 0..5_u8 {
        let (_, engine) = unsettled(&files);
        assert_eq!(contents(&engine).len(), 3 + usize::from(opening));
        put(&engine, &[opening], b"new").unwrap();
        // As a kill: what is not settled stays so.
        engine.close().unwrap();
    }
    assert_eq!(names(&files, ".log").len(), 6);
    assert_eq!(names(&files, "MANIFEST-000002").len(), 1);
    for options in [in_background(), tiny()] {
        let engine = open(&files, &options);
        assert_eq!(contents(&engine).len(), 8);
        assert_eq!(engine.recovered().last_sequence, 10);
        sweep(&engine);
        assert_eq!(names(&files, ".log").len(), 1);
        engine.close().unwrap();
    }
}

#[test]
fn memtables_that_are_full_before_it_is_settled_are_flushed_after_it() {
    let (fs, engine) = unsettled(&left_behind());
    let mut number = 0_u32;
    let full = loop {
        number += 1;
        // No more than one memtable waits beside what was recovered.
        if let Err(error) = put(&engine, &number.to_be_bytes(), &[7; 500]) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::OutOfSpace);
    assert_eq!(names(&fs.files, ".log").len(), 3);
    let copy = MemFs::new();
    engine.checkpoint(&copy).unwrap();
    fs.refuse_nothing();
    put(&engine, b"e", b"new").unwrap();
    engine.flush().unwrap();
    let expected = 3 + number as usize;
    assert_eq!(contents(&engine).len(), expected);
    sweep(&engine);
    assert_eq!(names(&fs.files, ".log").len(), 1);
    engine.close().unwrap();
    assert_eq!(contents(&open(&fs.files, &tiny())).len(), expected);
    assert_eq!(contents(&open(&copy, &tiny())).len(), expected - 1);
}

#[test]
fn logs_that_are_torn_large_another_programs_or_older_than_the_boot_are_tables_first() {
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let files = left_behind();
        files.change("000003.log", |bytes| change(bytes)).unwrap();
        files
    };
    let torn = changed(&|bytes| bytes.truncate(bytes.len() - 1));
    let zeroes = changed(&|bytes| bytes.resize(bytes.len() + 100, 0));
    let after_reboot = Options {
        recovery: RecoveryMode::AfterReboot,
        ..in_background()
    };
    let foreign = Options {
        foreign_logs: true,
        ..in_background()
    };
    let small = Options {
        write_buffer_size: 16,
        ..in_background()
    };
    let cases = [
        (torn, in_background()),
        (zeroes, in_background()),
        (left_behind(), after_reboot),
        (left_behind(), foreign),
        (left_behind(), small),
    ];
    for (files, options) in cases {
        let fs = SpyFs::new(files);
        refuse_tables(&fs);
        let error = Engine::open(Arc::new(fs.clone()), options.clone()).err();
        assert_eq!(error.unwrap().kind(), ErrorKind::OutOfSpace, "{options:?}");
        fs.refuse_nothing();
        let engine = Engine::open(Arc::new(fs.clone()), options).unwrap();
        assert_eq!(get(&engine, b"d").unwrap(), b"old");
    }
}

#[test]
fn a_bad_record_is_corruption_all_the_same() {
    let files = left_behind();
    files
        .change("000003.log", |bytes| *bytes.last_mut().unwrap() ^= 1)
        .unwrap();
    let before = files.list().unwrap();
    let error = Engine::open(Arc::new(files.clone()), in_background()).err();
    assert_eq!(error.unwrap().kind(), ErrorKind::Corruption);
    assert_eq!(files.list().unwrap(), before);
}

/// Refuses one call while an engine settles: writing ends, reading does not, and nothing is lost.
fn ends_writing(is_refused: impl Fn(&Call) -> bool + Send + Sync + 'static) {
    let fs = SpyFs::new(left_behind());
    fs.refuse(move |call| is_refused(call).then(|| IoKind::Other.into()));
    let engine = Engine::open(Arc::new(fs.clone()), in_background()).unwrap();
    let error = engine.settled().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned);
    let later = put(&engine, b"e", b"new").unwrap_err();
    assert_eq!(later.kind(), ErrorKind::Poisoned);
    let asked = engine.compact_range(None, None).unwrap_err();
    assert_eq!(asked.kind(), ErrorKind::Poisoned);
    assert_eq!(contents(&engine).len(), 3);
    engine.close().unwrap();
    assert!(
        !fs.calls()
            .iter()
            .any(|call| matches!(call, Call::Remove(name) if !name.ends_with(".ldb")))
    );
    fs.refuse_nothing();
    for options in [in_background(), tiny()] {
        assert_eq!(contents(&open(&fs.files, &options)).len(), 3);
    }
}

#[test]
fn a_failure_behind_the_table_ends_writing() {
    ends_writing(|call| call.is_sync(".ldb"));
    ends_writing(|call| call.is_append("MANIFEST"));
    ends_writing(|call| call.is_sync("MANIFEST"));
    ends_writing(|call| call.is_sync(".dbtmp"));
    ends_writing(|call| matches!(call, Call::Rename(..)));
    ends_writing(|call| *call == Call::SyncDir);
}

/// An owner to whom the directory does not belong any more when a manifest is to be written.
struct Losing;

impl Listener for Losing {
    fn raise_drop_floor(&self, _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn still_owner(&self, before: Before) -> bool {
        before != Before::Manifest
    }
}

#[test]
fn an_owner_who_has_lost_the_directory_does_not_settle() {
    let fs = SpyFs::new(left_behind());
    let options = Options {
        listener: Some(Arc::new(Losing)),
        ..in_background()
    };
    let engine = Engine::open(Arc::new(fs.clone()), options).unwrap();
    assert_eq!(engine.settled().unwrap_err().kind(), ErrorKind::Poisoned);
    engine.close().unwrap();
    let renamed = |call: &Call| matches!(call, Call::Rename(..) | Call::Remove(_));
    assert!(!fs.calls().iter().any(renamed));
}

#[test]
fn a_compaction_that_is_asked_for_comes_after_it() {
    let (fs, engine) = unsettled(&left_behind());
    let error = engine.compact_range(None, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace);
    fs.refuse_nothing();
    engine.compact_range(None, None).unwrap();
    let files = engine.stats().files_per_level;
    assert_eq!((files[0], files.iter().sum::<usize>()), (0, 1));
}

#[test]
fn who_follows_the_batches_goes_on_over_openings_that_were_not_settled() {
    let files = MemFs::new();
    for opening in 0..4_u64 {
        let fs = SpyFs::new(files.clone());
        if opening > 0 {
            refuse_tables(&fs);
        }
        let options = Options {
            tail_bytes: 1 << 20,
            ..in_background()
        };
        let engine = Engine::open(Arc::new(fs), options).unwrap();
        for _ in 0..10 {
            put(&engine, b"key", b"value").unwrap();
        }
        let mut tail = engine.tail_from(1).unwrap();
        let mut next = 1;
        while let Some(item) = tail.try_next() {
            let TailItem::Batch(committed) = item else {
                panic!("{item:?}");
            };
            for (sequence, _) in committed.ops() {
                assert_eq!(sequence, next);
                next += 1;
            }
        }
        assert_eq!(next, 10 * (opening + 1) + 1);
        engine.close().unwrap();
    }
}

#[test]
fn an_opening_with_nothing_to_recover_is_settled_without_a_table() {
    let files = MemFs::new();
    open(&files, &tiny()).close().unwrap();
    let engine = open(&files, &in_background());
    engine.settled().unwrap();
    sweep(&engine);
    assert_eq!(engine.stats().files_per_level[0], 0);
    assert_eq!(names(&files, ".log"), ["000004.log"]);
    assert_eq!(names(&files, "MANIFEST-000005").len(), 1);
}

/// Whoever opens a directory and leaves it at once, a thousand times, leaves no thousand logs.
#[test]
fn openings_that_end_before_they_have_settled_leave_a_bounded_number_of_logs() {
    let files = left_behind();
    let mut most = 0;
    for _ in 0..60 {
        open(&files, &in_background()).close().unwrap();
        most = most.max(names(&files, ".log").len());
    }
    assert!((2..=17).contains(&most), "{most} logs");
    assert_eq!(contents(&open(&files, &tiny())).len(), 3);
}

/// An owner who was overtaken while he read the logs.
struct Overtaken;

impl Listener for Overtaken {
    fn raise_drop_floor(&self, _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn still_owner(&self, _: Before) -> bool {
        false
    }
}

#[test]
fn whoever_is_overtaken_while_he_recovers_makes_no_log() {
    for options in [in_background(), tiny()] {
        for files in [left_behind(), MemFs::new()] {
            let fs = SpyFs::new(files);
            let options = Options {
                listener: Some(Arc::new(Overtaken)),
                ..options.clone()
            };
            let error = Engine::open(Arc::new(fs.clone()), options).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Poisoned);
            // The overtaker's log may have the same number.
            assert_eq!(fs.calls(), []);
        }
    }
}

#[test]
fn who_waits_for_a_compaction_is_told_that_what_was_recovered_can_not_be_settled() {
    let files = left_behind();
    // Each opening makes one table, and no compaction makes any.
    for _ in 0..12 {
        let fs = SpyFs::new(files.clone());
        let made = AtomicUsize::new(0);
        fs.refuse(move |call| {
            let is_table = matches!(call, Call::Create(name) if name.ends_with(".ldb"));
            let refused = is_table && made.fetch_add(1, Ordering::SeqCst) > 0;
            refused.then(|| IoKind::StorageFull.into())
        });
        let engine = Engine::open(Arc::new(fs), tiny()).unwrap();
        put(&engine, b"a", b"new").unwrap();
        engine.close().unwrap();
    }
    let (fs, engine) = unsettled(&files);
    assert_eq!(engine.stats().files_per_level[0], 12);
    let full = (0_u32..).find_map(|number| put(&engine, &number.to_be_bytes(), &[7; 500]).err());
    assert_eq!(full.unwrap().kind(), ErrorKind::OutOfSpace);
    fs.refuse_nothing();
    put(&engine, b"e", b"new").unwrap();
}
