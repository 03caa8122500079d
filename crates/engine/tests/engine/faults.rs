//! The disk says no.

use std::io::ErrorKind as IoKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use level_party_engine::{
    Engine, Error, ErrorKind, Fs, Listener, MemFs, Options, RecoveryMode, Write, WriteBatch,
};
use level_party_locks::Mutex;

use crate::harness::refuse::{Counts, Fault, Refusal, Scope, each_call_fails};
use crate::support::{Call, SpyFs, contents, get, names, open, put, put_sync, tiny};

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

/// Fails the next call of this kind once, behind which all is as before.
fn fail_once(fs: &SpyFs, breaks: impl Fn(&Call) -> bool + Send + Sync + 'static) {
    let once = AtomicBool::new(true);
    fs.refuse(move |call| {
        let broken = breaks(call) && once.swap(false, Ordering::SeqCst);
        broken.then(|| IoKind::StorageFull.into())
    });
}

#[test]
fn failed_append_leaves_no_hole_in_the_log() {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
    put(&engine, b"a", b"1").unwrap();
    let len = fs.files.read("000003.log").unwrap().len();
    for round in 0..3 {
        fail_once(&fs, |call| call.is_append(".log"));
        fs.note(format!("round {round}"));
        let error = put(&engine, b"never", &[7; 300]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
        let log = "000003.log".to_owned();
        let calls = fs.calls_since(&format!("round {round}"));
        assert_eq!(calls, [Call::Append(log.clone()), Call::Cut(log)]);
        assert_eq!(fs.files.read("000003.log").unwrap().len(), len);
    }
    assert_eq!(get(&engine, b"never"), None);
    assert_eq!(put(&engine, b"b", b"2").unwrap(), 2, "no sequence is lost");
    assert_eq!(engine.stats().background_error, None);
    let shown = contents(&engine);
    engine.close().unwrap();
    for recovery in [RecoveryMode::SameBoot, RecoveryMode::AfterReboot] {
        let files = MemFs::new();
        for name in fs.files.list().unwrap() {
            files.write(&name, fs.files.read(&name).unwrap());
        }
        let options = Options { recovery, ..tiny() };
        let engine = open(&files, &options);
        assert_eq!(engine.recovered().dropped, Vec::<String>::new());
        assert_eq!(contents(&engine), shown);
    }
}

#[test]
fn failed_append_that_cannot_be_cut_is_cut_by_the_next_write() {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
    put(&engine, b"a", b"1").unwrap();
    let len = fs.files.read("000003.log").unwrap().len();
    let refused = |call: &Call| call.is_append("000003.log") || matches!(call, Call::Cut(_));
    fs.refuse(move |call| refused(call).then(|| IoKind::Other.into()));
    let error = put(&engine, b"never", &[7; 300]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    // Nor can the next one, and has no effect by that.
    let error = put(&engine, b"never", b"1").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(fs.files.read("000003.log").unwrap().len() > len);
    fs.refuse_nothing();
    assert_eq!(put(&engine, b"b", b"2").unwrap(), 2);
    assert_eq!(fs.files.read("000003.log").unwrap().len(), len);
    let shown = contents(&engine);
    assert_eq!(shown.len(), 2);
    engine.close().unwrap();
    assert_eq!(contents(&open(&fs.files, &tiny())), shown);
}

/// Beyond that length a write would end the process.
#[test]
fn log_is_never_written_beyond_what_a_file_may_be_long() {
    const LONGEST: u64 = 3_000;
    let fs = SpyFs::new(MemFs::new());
    fs.limit_files(LONGEST);
    let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
    let mut written = 0_u32;
    for number in 0..200_u32 {
        let len = (number as usize * 37) % 900;
        put(&engine, &number.to_be_bytes(), &vec![7; len]).unwrap();
        written += 1;
        for name in names(&fs.files, ".log") {
            // It may be gone by now.
            let len = fs.files.read(&name).map_or(0, |log| log.len() as u64);
            assert!(len <= LONGEST, "{name}");
        }
    }
    // No log holds this one. It has no effect, and makes no more than one log.
    let logs = names(&fs.files, ".log").len();
    for _ in 0..3 {
        let error = put(&engine, b"too long", &[7; 4_000]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
    }
    assert!(names(&fs.files, ".log").len() <= logs + 1);
    put(&engine, b"last", b"1").unwrap();
    let shown = contents(&engine);
    assert_eq!(shown.len(), written as usize + 1);
    engine.close().unwrap();
    assert_eq!(contents(&open(&fs.files, &tiny())), shown);
}

/// A failed sync of a log, or of its name: the write is there and not durable; later ones wait for the table.
fn leaves_it_to_the_table(log_number: u64, breaks: impl Fn(&Call) -> bool + Send + Sync + 'static) {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
    put(&engine, b"a", b"1").unwrap();
    if log_number == 4 {
        engine.flush().unwrap();
        put(&engine, b"a", b"1").unwrap();
    }
    fail_once(&fs, breaks);
    fs.note("fails");
    let error = put_sync(&engine, b"b", b"2").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotDurable, "{error}");
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(get(&engine, b"b").unwrap(), b"2", "it is applied");
    put(&engine, b"c", b"3").unwrap();
    assert!(
        !fs.calls_since("fails")
            .iter()
            .any(|call| call.is_sync(".ldb"))
    );
    let log = format!("{log_number:06}.log");
    fs.note("again");
    put_sync(&engine, b"d", b"4").unwrap();
    let calls = fs.calls_since("again");
    assert!(!calls.iter().any(|call| call.is_sync(&log)), "{calls:?}");
    let table = calls.iter().position(|call| call.is_sync(".ldb"));
    let manifest = calls.iter().position(|call| call.is_sync("MANIFEST"));
    assert!(table.is_some() && table < manifest, "{calls:?}");
    // The next log is as good as any.
    fs.note("next");
    put_sync(&engine, b"e", b"5").unwrap();
    let calls = fs.calls_since("next");
    assert!(!calls.iter().any(|call| call.is_sync(".ldb")), "{calls:?}");
    assert_eq!(engine.stats().background_error, None);
    let shown = contents(&engine);
    engine.close().unwrap();
    assert_eq!(contents(&open(&fs.files, &tiny())), shown);
}

#[test]
fn failed_sync_of_the_log_leaves_it_to_the_table() {
    leaves_it_to_the_table(3, |call| call.is_sync(".log"));
}

#[test]
fn failed_sync_of_the_logs_name_leaves_it_to_the_table() {
    leaves_it_to_the_table(4, |call| *call == Call::SyncDir);
}

/// A barrier in a log without a record: there is nothing to be left to a table.
#[test]
fn failed_sync_of_an_empty_log_holds_nobody_up() {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
    put(&engine, b"a", b"1").unwrap();
    engine.flush().unwrap();
    fs.refuse(|call| call.is_sync(".log").then(|| IoKind::Other.into()));
    fs.note("fails");
    let barrier = || engine.write(Write::new(WriteBatch::new()).sync(true));
    let barriers = [barrier(), barrier()].map(|answer| answer.map_err(|error| error.kind()));
    // All that was written is in tables; whether a sync is made is not said.
    assert!(
        barriers
            .iter()
            .all(|answer| *answer == Ok(1) || *answer == Err(ErrorKind::NotDurable))
    );
    assert_eq!(barriers[1], Ok(1));
    // The manifest names the next log then.
    let calls = fs.calls_since("fails");
    let named = calls.iter().position(|call| *call == Call::SyncDir);
    let edit = calls.iter().position(|call| call.is_append("MANIFEST"));
    assert!(
        edit.is_none() || named.is_some_and(|named| Some(named) < edit),
        "{calls:?}"
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
fn damaged_table_stops_its_compaction_but_no_other_read() {
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

/// Options under which a short workload makes every kind of call.
fn busy() -> Options {
    Options {
        write_buffer_size: 3 << 10,
        ..tiny()
    }
}

/// Every fault in turn.
fn try_all(scope: Scope, for_good: bool) -> Counts {
    let mut sum = Counts::default();
    for fault in [Fault::Io, Fault::NoSpace, Fault::Short] {
        let refusal = Refusal {
            scope,
            fault,
            for_good,
        };
        let counts = each_call_fails(refusal, &busy());
        println!("{refusal:?}: {counts:?}");
        assert!(counts.runs > 80 && counts.unopened > 4, "{counts:?}");
        sum.runs += counts.runs;
        sum.unopened += counts.unopened;
        sum.poisoned += counts.poisoned;
    }
    sum
}

#[test]
fn any_change_failing_once_loses_nothing_acknowledged() {
    let counts = try_all(Scope::Changes, false);
    assert!(counts.poisoned > 100, "{counts:?}");
}

#[test]
fn any_change_succeeding_last_loses_nothing_acknowledged() {
    let counts = try_all(Scope::Changes, true);
    assert!(counts.poisoned > 100, "{counts:?}");
}

#[test]
fn whichever_read_fails_nothing_acknowledged_is_lost() {
    try_all(Scope::Reads, false);
    try_all(Scope::Reads, true);
}

/// Files and calls that a full disk can meet, and what becomes of writing then.
const FULL: [(&str, &str, bool); 9] = [
    ("create", ".log", false),
    ("append", ".log", false),
    ("sync", ".log", false),
    ("create", ".ldb", false),
    ("append", ".ldb", false),
    ("sync", ".ldb", true),
    ("append", "MANIFEST", true),
    ("sync", "MANIFEST", true),
    ("sync_dir", "", true),
];

fn meets(call: &Call, what: &str, part: &str) -> bool {
    match call {
        Call::Create(name) => what == "create" && name.contains(part),
        Call::Append(name) => what == "append" && name.contains(part),
        Call::Cut(name) => what == "cut" && name.contains(part),
        Call::Sync(name) => what == "sync" && name.contains(part),
        Call::Rename(from, _) => what == "rename" && from.contains(part),
        Call::SyncDir => what == "sync_dir",
        Call::Remove(_) | Call::Note(_) => false,
    }
}

/// The kind of an error, or of its cause.
fn cause(error: &Error) -> ErrorKind {
    let source = std::error::Error::source(error).and_then(|e| e.downcast_ref::<Error>());
    match (error.kind(), source) {
        (ErrorKind::Poisoned | ErrorKind::NotDurable, Some(source)) => source.kind(),
        (kind, _) => kind,
    }
}

#[test]
fn full_disk_is_told_and_new_space_is_used() {
    for (what, part, ends_writing) in FULL {
        let fs = SpyFs::new(MemFs::new());
        let engine = Engine::open(Arc::new(fs.clone()), busy()).unwrap();
        fs.refuse(move |call| meets(call, what, part).then(|| IoKind::StorageFull.into()));
        let mut accepted = 0u32;
        let told = loop {
            let key = accepted.to_be_bytes();
            let written = match accepted % 8 {
                7 => put_sync(&engine, &key, &[1; 300]),
                _ => put(&engine, &key, &[1; 300]),
            };
            match written {
                Ok(_) => accepted += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(cause(&told), ErrorKind::OutOfSpace, "{what} {part}: {told}");
        // A write may meet it before the leader does.
        let meets_the_leader = || engine.flush().map_err(|error| error.kind());
        let is_poisoned = told.kind() == ErrorKind::Poisoned
            || (what == "sync_dir" && meets_the_leader() == Err(ErrorKind::Poisoned));
        assert_eq!(is_poisoned, ends_writing, "{what} {part}: {told}");
        let is_applied = told.kind() == ErrorKind::NotDurable;
        let shown = contents(&engine).len();
        assert_eq!(
            shown,
            accepted as usize + usize::from(is_applied),
            "{what} {part}"
        );
        fs.refuse_nothing();
        let again = put(&engine, &accepted.to_be_bytes(), &[1; 300]);
        assert_eq!(again.is_ok(), !ends_writing, "{what} {part}");
        engine.close().unwrap();
        let engine = open(&fs.files, &busy());
        let shown = contents(&engine).len();
        let (least, most) = (accepted as usize, accepted as usize + 1);
        assert!(
            (least..=most).contains(&shown),
            "{what} {part}: {shown} of {least}"
        );
        engine.compact_range(None, None).unwrap();
        assert_eq!(contents(&engine).len(), shown);
    }
}

#[test]
fn full_disk_in_an_opening_changes_nothing() {
    let opening = [
        ("create", "MANIFEST"),
        ("create", ".dbtmp"),
        ("append", ".dbtmp"),
    ];
    let opening = opening
        .into_iter()
        .chain([("sync", ".dbtmp"), ("rename", ".dbtmp")]);
    let running = FULL.into_iter().map(|(what, part, _)| (what, part));
    for (what, part) in running.chain(opening) {
        let fs = SpyFs::new(MemFs::new());
        let engine = open(&fs.files, &busy());
        for number in 0..40u32 {
            put(&engine, &number.to_be_bytes(), &[1; 300]).unwrap();
        }
        engine.close().unwrap();
        fs.refuse(move |call| meets(call, what, part).then(|| IoKind::StorageFull.into()));
        match Engine::open(Arc::new(fs.clone()), busy()) {
            Err(error) => assert_eq!(
                cause(&error),
                ErrorKind::OutOfSpace,
                "{what} {part}: {error}"
            ),
            // An opening appends to no log and syncs none.
            Ok(engine) => {
                assert!(part == ".log" && what != "create", "{what} {part}");
                engine.close().unwrap();
            }
        }
        fs.refuse_nothing();
        let engine = open(&fs.files, &busy());
        assert_eq!(contents(&engine).len(), 40, "{what} {part}");
    }
}
