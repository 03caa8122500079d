//! The disk says no.

use std::io::ErrorKind as IoKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use level_party_engine::{Engine, Error, ErrorKind, Listener, MemFs, Options};
use parking_lot::Mutex;

use crate::support::{Call, SpyFs, contents, get, open, put, put_sync, tiny};

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Listener for Told {
    fn raise_drop_floor(&self, _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn poisoned(&self, error: &Error) {
        self.0.lock().push(error.to_string());
    }
}

fn is_write(call: &Call) -> bool {
    !matches!(call, Call::Note(_))
}

/// Breaks one call, and checks that writing has ended, reading has not, and nothing acknowledged is lost.
fn poisons(
    breaks: impl Fn(&Call) -> bool + Send + Sync + 'static,
    provoke: impl Fn(&Engine) -> Result<(), Error>,
) {
    let fs = SpyFs::new(MemFs::new());
    let told = Arc::new(Told::default());
    let options = Options {
        listener: Some(Arc::clone(&told) as Arc<dyn Listener>),
        ..tiny()
    };
    let engine = Engine::open(Arc::new(fs.clone()), options).unwrap();
    put(&engine, b"a", b"1").unwrap();
    put_sync(&engine, b"b", b"2").unwrap();
    let once = AtomicBool::new(true);
    fs.refuse(move |call| {
        let broken = breaks(call) && once.swap(false, Ordering::SeqCst);
        broken.then(|| IoKind::Other.into())
    });
    let error = provoke(&engine).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
    assert!(std::error::Error::source(&error).is_some());
    fs.note("poisoned");
    for _ in 0..10 {
        assert_eq!(
            put(&engine, b"a", b"3").unwrap_err().kind(),
            ErrorKind::Poisoned
        );
        assert_eq!(
            put_sync(&engine, b"a", b"3").unwrap_err().kind(),
            ErrorKind::Poisoned
        );
    }
    assert_eq!(engine.flush().unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(
        engine.compact_range(None, None).unwrap_err().kind(),
        ErrorKind::Poisoned
    );
    assert_eq!(get(&engine, b"a").unwrap(), b"1");
    assert_eq!(contents(&engine)[&b"b"[..]], b"2");
    assert_eq!(engine.last_sequence(), engine.pin().sequence());
    assert!(engine.stats().background_error.is_some());
    engine.close().unwrap();
    let after = fs.calls_since("poisoned");
    assert!(!after.iter().any(is_write), "{after:?}");
    assert_eq!(told.0.lock().len(), 1);

    let engine = open(&fs.files, &tiny());
    assert_eq!(get(&engine, b"a").unwrap(), b"1");
    assert_eq!(get(&engine, b"b").unwrap(), b"2");
    put(&engine, b"a", b"4").unwrap();
}

#[test]
fn a_failed_append_to_the_log_ends_writing_for_good() {
    poisons(
        |call| call.is_append(".log"),
        |engine| put(engine, b"c", b"3").map(drop),
    );
}

#[test]
fn a_failed_sync_of_the_log_ends_writing_for_good() {
    poisons(
        |call| call.is_sync(".log"),
        |engine| put_sync(engine, b"c", b"3").map(drop),
    );
}

#[test]
fn a_failed_append_to_the_manifest_ends_writing_for_good() {
    poisons(|call| call.is_append("MANIFEST"), Engine::flush);
}

#[test]
fn a_failed_sync_of_the_manifest_ends_writing_for_good() {
    poisons(|call| call.is_sync("MANIFEST"), Engine::flush);
}

#[test]
fn a_failed_sync_of_a_table_ends_writing_for_good() {
    poisons(|call| call.is_sync(".ldb"), Engine::flush);
}

#[test]
fn a_failed_sync_of_the_directory_ends_writing_for_good() {
    poisons(|call| *call == Call::SyncDir, Engine::flush);
}

#[test]
fn a_failed_sync_in_a_compaction_ends_writing_for_good() {
    poisons(
        |call| call.is_sync("000006.ldb"),
        |engine| {
            engine.flush()?;
            engine.compact_range(None, None)
        },
    );
}

#[test]
fn a_full_disk_while_a_table_is_written_is_no_end() {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
    fs.refuse(|call| call.is_append(".ldb").then(|| IoKind::StorageFull.into()));
    put(&engine, b"a", b"1").unwrap();
    assert_eq!(engine.flush().unwrap_err().kind(), ErrorKind::OutOfSpace);
    assert!(engine.stats().background_error.unwrap().contains(".ldb"));
    // Writes go on as long as there are memtables, and then say why not; nothing of a refused write is there.
    let mut accepted = 0u32;
    let refused = loop {
        match put(&engine, &accepted.to_be_bytes(), &[1; 500]) {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), ErrorKind::OutOfSpace);
    assert!(accepted > 50);
    assert_eq!(get(&engine, &accepted.to_be_bytes()), None);
    fs.refuse_nothing();
    put(&engine, &accepted.to_be_bytes(), &[1; 500]).unwrap();
    engine.flush().unwrap();
    assert_eq!(engine.stats().background_error, None);
    assert_eq!(contents(&engine).len(), 2 + accepted as usize);
    engine.close().unwrap();
    let engine = open(&fs.files, &tiny());
    assert_eq!(contents(&engine).len(), 2 + accepted as usize);
    engine.compact_range(None, None).unwrap();
    crate::support::sweep(&engine);
    let tables = crate::support::names(&fs.files, ".ldb").len();
    assert_eq!(
        tables,
        engine.stats().files_per_level.iter().sum::<usize>(),
        "no half table is left"
    );
}

#[test]
fn a_full_disk_when_a_log_is_to_be_made_fails_that_write_only() {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
    fs.refuse(|call| {
        let is_log = matches!(call, Call::Create(name) if name.ends_with(".log"));
        is_log.then(|| IoKind::StorageFull.into())
    });
    let mut accepted = 0u32;
    while put(&engine, &accepted.to_be_bytes(), &[1; 500]).is_ok() {
        accepted += 1;
    }
    let last = engine.last_sequence();
    let error = put(&engine, b"again", &[1; 500]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace);
    assert_eq!(engine.last_sequence(), last);
    fs.refuse_nothing();
    assert_eq!(put(&engine, b"again", &[1; 500]).unwrap(), last + 1);
    assert_eq!(contents(&engine).len(), 1 + accepted as usize);
}

#[test]
fn a_damaged_table_stops_the_compaction_but_not_the_reads_beside_it() {
    let files = MemFs::new();
    let engine = open(&files, &tiny());
    put(&engine, b"a", b"1").unwrap();
    engine.flush().unwrap();
    put(&engine, b"b", b"2").unwrap();
    engine.close().unwrap();
    let table = crate::support::names(&files, ".ldb").remove(0);
    files.change(&table, |bytes| bytes[2] ^= 1).unwrap();
    let engine = open(&files, &tiny());
    assert_eq!(
        engine.compact_range(None, None).unwrap_err().kind(),
        ErrorKind::Corruption
    );
    assert_eq!(get(&engine, b"b").unwrap(), b"2");
    assert_eq!(engine.get(b"a").unwrap_err().kind(), ErrorKind::Corruption);
    put(&engine, b"c", b"3").unwrap();
    assert!(level_party_engine::Fs::exists(&files, &table).unwrap());
}

/// A small workload with every kind of call in it. Gives how many puts were acknowledged, in order from 0.
fn workload(engine: &Engine) -> u32 {
    for number in 0..400u32 {
        let key = (number % 150).to_be_bytes();
        let value = [&number.to_be_bytes()[..], &[7; 200]].concat();
        let written = match number % 40 {
            0 => put_sync(engine, &key, &value),
            _ => put(engine, &key, &value),
        };
        if written.is_err() {
            return number;
        }
        if number % 100 == 99 {
            let _ = engine.compact_range(None, None);
        }
    }
    400
}

fn check_workload(engine: &Engine, acknowledged: u32) {
    for key in 0..150u32 {
        let last = (0..acknowledged).rev().find(|number| number % 150 == key);
        let found = get(engine, &key.to_be_bytes());
        let found = found.map(|value| u32::from_be_bytes(value[..4].try_into().unwrap()));
        // The one write that failed may be there too.
        let failed = Some(acknowledged).filter(|number| number % 150 == key);
        assert!(
            found == last || found == failed,
            "{key}: {found:?} instead of {last:?}"
        );
    }
}

#[test]
fn whichever_call_fails_nothing_acknowledged_is_lost() {
    let counted = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(counted.clone()), tiny()).unwrap();
    assert_eq!(workload(&engine), 400);
    engine.close().unwrap();
    let total = counted.calls().len();
    for for_good in [false, true] {
        for failing in (0..total + 20).step_by(if for_good { 7 } else { 3 }) {
            for kind in [IoKind::StorageFull, IoKind::Other] {
                let fs = SpyFs::new(MemFs::new());
                let counter = AtomicUsize::new(0);
                fs.refuse(move |_| {
                    let count = counter.fetch_add(1, Ordering::SeqCst);
                    let fails = count == failing || (for_good && count > failing);
                    fails.then(|| kind.into())
                });
                let acknowledged = match Engine::open(Arc::new(fs.clone()), tiny()) {
                    Err(_) => 0,
                    Ok(engine) => {
                        let acknowledged = workload(&engine);
                        check_workload(&engine, acknowledged);
                        engine.close().unwrap();
                        acknowledged
                    }
                };
                check_workload(&open(&fs.files, &tiny()), acknowledged);
            }
        }
    }
}
