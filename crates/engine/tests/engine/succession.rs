//! A process whose every lock has failed appends to its log when its successor has read it.

use std::collections::BTreeMap;
use std::io::ErrorKind as IoKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use level_party_engine::{
    Before, Engine, ErrorKind, Fs, Listener, MemFs, Options, RecoveryMode, Repair, Result,
    TailItem, Write, verify,
};
use level_party_format::batch::WriteBatch;

use crate::support::{Call, SpyFs, contents, delete, get, names, open, put, sweep, tiny};

type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

fn in_background() -> Options {
    Options {
        recover_in_background: true,
        ..tiny()
    }
}

fn after_reboot() -> Options {
    Options {
        recovery: RecoveryMode::AfterReboot,
        ..tiny()
    }
}

/// Whose directory it is.
struct Owner(AtomicBool);

impl Listener for Owner {
    fn raise_drop_floor(&self, _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn still_owner(&self, _: Before) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// An engine that has looked whether the directory was its own, and stands still before it appends.
struct Former {
    owner: Arc<Owner>,
    go: Sender<()>,
    writing: JoinHandle<Result<u64>>,
}

impl Former {
    /// Its log has two writes, at the sequences 1 and 2. The one that it is about to append removes the first and overwrites
    /// the second, among others, with the sequences from 3 to 7.
    fn of(files: &MemFs) -> Former {
        let owner = Arc::new(Owner(AtomicBool::new(true)));
        let fs = SpyFs::new(files.clone());
        let options = Options {
            listener: Some(owner.clone()),
            ..tiny()
        };
        let engine = Engine::open(Arc::new(fs.clone()), options).unwrap();
        put(&engine, b"a", b"1").unwrap();
        put(&engine, b"b", b"1").unwrap();
        let (arrived, arrives) = channel();
        let (go, may_go) = channel();
        let may_go = Mutex::new(may_go);
        fs.refuse(move |call| {
            if call.is_append(".log") {
                arrived.send(()).unwrap();
                may_go.lock().unwrap().recv().unwrap();
            }
            None
        });
        let mut late = WriteBatch::new();
        late.put(b"only late", b"late");
        late.put(b"x", b"late");
        late.put(b"y", b"late");
        late.delete(b"a");
        late.put(b"b", b"late");
        let writing = std::thread::spawn(move || engine.write(Write::new(late)));
        arrives.recv().unwrap();
        Former { owner, go, writing }
    }

    /// It goes on, and finds out that it has been succeeded when it has appended.
    fn goes_on(self) {
        self.owner.0.store(false, Ordering::SeqCst);
        self.go.send(()).unwrap();
        let error = self.writing.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Poisoned);
    }
}

/// An engine that can't settle.
fn unsettled(files: &MemFs) -> Engine {
    let fs = SpyFs::new(files.clone());
    fs.refuse(|call| {
        let is_table = matches!(call, Call::Create(name) if name.ends_with(".ldb"));
        is_table.then(|| IoKind::StorageFull.into())
    });
    Engine::open(Arc::new(fs), in_background()).unwrap()
}

/// A directory whose second process died before it had settled, after as many writes; the first appended late, while the
/// second lived or after that. Gives what the second showed at last, and its last sequence.
fn left_behind(writes: usize, while_it_lives: bool) -> (MemFs, Contents, u64) {
    let files = MemFs::new();
    let former = Former::of(&files);
    let successor = unsettled(&files);
    let make: [fn(&Engine) -> u64; 3] = [
        |engine| put(engine, b"b", b"2").unwrap(),
        |engine| delete(engine, b"x").unwrap(),
        |engine| put(engine, b"c", b"2").unwrap(),
    ];
    let (early, late) = make[..writes].split_at(writes.min(1));
    for make in early {
        make(&successor);
    }
    let mut former = Some(former);
    if while_it_lives {
        former.take().unwrap().goes_on();
    }
    for make in late {
        make(&successor);
    }
    let shown = contents(&successor);
    let last = successor.last_sequence();
    assert_eq!(last, 2 + writes as u64);
    // As a kill: what is not settled stays so.
    successor.close().unwrap();
    if let Some(former) = former {
        former.goes_on();
    }
    (files, shown, last)
}

fn each_case(check: impl Fn(MemFs, &Contents, u64)) {
    for writes in 0..=3 {
        for while_it_lives in [true, false] {
            let (files, shown, last) = left_behind(writes, while_it_lives);
            check(files, &shown, last);
        }
    }
}

#[test]
fn what_was_appended_after_a_successor_had_read_the_log_never_counts() {
    for options in [in_background(), tiny()] {
        each_case(|files, shown, last| {
            for round in 0..3 {
                let engine = open(&files, &options);
                assert_eq!(contents(&engine), *shown, "{round}");
                let recovered = engine.recovered();
                assert_eq!(recovered.last_sequence, last);
                // Once it is settled the old log is gone.
                let told = recovered.dropped.concat();
                assert_eq!(told.contains("1 records of 000003.log"), round == 0);
                engine.settled().unwrap();
                sweep(&engine);
                engine.close().unwrap();
            }
            assert_eq!(names(&files, "000003.log").len(), 0);
        });
    }
}

#[test]
fn nor_does_it_behind_several_successors_that_never_settled() {
    each_case(|files, shown, last| {
        for opening in 0..20_u64 {
            let engine = unsettled_or_settled(&files);
            assert_eq!(contents(&engine), *shown, "{opening}");
            assert_eq!(engine.recovered().last_sequence, last, "{opening}");
            engine.close().unwrap();
        }
    });
}

/// Too many logs are in tables before the first answer.
fn unsettled_or_settled(files: &MemFs) -> Engine {
    match names(files, ".log").len() {
        0..=16 => unsettled(files),
        _ => open(files, &in_background()),
    }
}

#[test]
fn a_checkpoint_of_a_successor_that_has_not_settled_is_without_it() {
    let files = MemFs::new();
    let former = Former::of(&files);
    let successor = unsettled(&files);
    former.goes_on();
    // Until it has given all the sequences that were appended late to others, and more.
    for write in 0..8_u8 {
        if write > 0 {
            put(&successor, &[b'b' + write], b"2").unwrap();
        }
        let copy = MemFs::new();
        let last = successor.checkpoint(&copy).unwrap();
        let copy = open(&copy, &tiny());
        assert_eq!(contents(&copy), contents(&successor));
        assert_eq!(copy.last_sequence(), last);
        assert_eq!(copy.recovered().dropped, [] as [&str; 0]);
    }
}

#[test]
fn who_follows_the_batches_is_not_told_of_it() {
    each_case(|files, _, last| {
        let options = Options {
            tail_bytes: 1 << 20,
            ..in_background()
        };
        let engine = open(&files, &options);
        let mut tail = engine.tail_from(1).unwrap();
        let mut sequences = Vec::new();
        while let Some(item) = tail.try_next() {
            let TailItem::Batch(committed) = item else {
                panic!("{item:?}");
            };
            for (sequence, op) in committed.ops() {
                assert!(op.key() != b"only late");
                sequences.push(sequence);
            }
        }
        assert!(sequences.into_iter().eq(1..=last));
    });
}

#[test]
fn a_verification_remarks_on_it_and_a_repair_leaves_it_out() {
    each_case(|files, shown, last| {
        let fs: Arc<dyn Fs> = Arc::new(files.clone());
        let verified = verify(&fs, &tiny().comparator).unwrap();
        assert_eq!(verified.problems, []);
        assert_eq!(verified.remarks.len(), 1, "{:?}", verified.remarks);
        assert_eq!(verified.last_sequence, last);
        assert_eq!(verified.batches, last);
        // Without a manifest everything is in the logs.
        files.remove("MANIFEST-000002").unwrap();
        let repaired = Repair::new(fs, tiny()).dry_run(false).run().unwrap();
        assert!(
            repaired.lost.concat().contains("1 records of 000003.log"),
            "{:?}",
            repaired.lost
        );
        assert_eq!(contents(&open(&files, &tiny())), *shown);
    });
}

/// A candidate has made its log when it is succeeded, and says what it begins with when its successor has counted more.
#[test]
fn a_beginning_that_comes_late_takes_nothing_from_what_a_successor_counted() {
    for writes in 0..=2_u8 {
        let files = MemFs::new();
        let former = Former::of(&files);
        let fs = SpyFs::new(files.clone());
        let (arrived, arrives) = channel();
        let (go, may_go) = channel::<()>();
        let may_go = Mutex::new(may_go);
        fs.refuse(move |call| {
            if call.is_append(".log") {
                arrived.send(()).unwrap();
                may_go.lock().unwrap().recv().unwrap();
            }
            None
        });
        let candidate = std::thread::spawn(move || Engine::open(Arc::new(fs), in_background()));
        arrives.recv().unwrap();
        former.goes_on();
        let successor = unsettled(&files);
        assert_eq!(successor.last_sequence(), 7, "nobody was told anything yet");
        for write in 0..writes {
            put(&successor, &[b'p' + write], b"2").unwrap();
        }
        go.send(()).unwrap();
        candidate.join().unwrap().unwrap().close().unwrap();
        let shown = contents(&successor);
        successor.close().unwrap();
        let engine = open(&files, &in_background());
        assert_eq!(contents(&engine), shown, "{writes}");
        assert_eq!(engine.last_sequence(), 7 + u64::from(writes));
    }
}

/// Found by random lives of leaders: a successor that had tables before its first answer keeps the log for who follows the
/// batches, and a repair that knows no manifest reads it. What was appended late to it took the place of what the successor
/// was answered.
#[test]
fn a_repair_leaves_it_out_of_a_log_that_is_kept_for_followers_too() {
    for writes in 0..=3_u8 {
        let files = MemFs::new();
        let former = Former::of(&files);
        let options = Options {
            tail_bytes: 1 << 20,
            ..tiny()
        };
        let successor = open(&files, &options);
        former.goes_on();
        for write in 0..writes {
            put(&successor, &[b'b' + write], b"2").unwrap();
        }
        let shown = contents(&successor);
        successor.close().unwrap();
        assert_eq!(names(&files, "000003.log").len(), 1, "it is kept");
        for manifest in files.list().unwrap() {
            if manifest.starts_with("MANIFEST-") {
                files.remove(&manifest).unwrap();
            }
        }
        let fs: Arc<dyn Fs> = Arc::new(files.clone());
        Repair::new(fs, tiny()).dry_run(false).run().unwrap();
        assert_eq!(contents(&open(&files, &tiny())), shown, "{writes}");
    }
}

/// How many copies of log 4 were set aside.
fn set_aside(files: &MemFs) -> usize {
    let names = files.list().unwrap().into_iter();
    let is_it = |name: &String| name.starts_with("level-party.aside-000004.log");
    names.filter(is_it).count()
}

/// Earlier logs may hold what was synced, and the beginning of a later one may be what the medium had there before.
#[test]
fn after_a_loss_of_power_no_log_takes_anything_from_an_earlier_one() {
    each_case(|files, _, _| {
        let engine = open(&files, &after_reboot());
        assert_eq!(engine.recovered().last_sequence, 7);
        assert_eq!(get(&engine, b"b").unwrap(), b"late");
        let dropped = engine.recovered().dropped.concat();
        assert!(dropped.contains("an earlier log has sequence 3 too"));
        assert_eq!(set_aside(&files), 1);
    });
}

/// What is lost was never synced, and where nothing was in the new log nothing is set aside.
#[test]
fn after_a_loss_of_power_a_successors_log_without_writes_is_no_gap() {
    let files = MemFs::new();
    let engine = open(&files, &tiny());
    put(&engine, b"a", b"1").unwrap();
    let whole = files.read("000003.log").unwrap().len();
    put(&engine, b"b", b"1").unwrap();
    engine.close().unwrap();
    let successor = unsettled(&files);
    let copies = [false, true].map(|with_a_write| {
        if with_a_write {
            put(&successor, b"c", b"2").unwrap();
        }
        let copy = MemFs::new();
        for name in files.list().unwrap() {
            copy.write(&name, files.read(&name).unwrap());
        }
        copy.change("000003.log", |bytes| bytes.truncate(whole))
            .unwrap();
        copy
    });
    for (copy, expected) in copies.into_iter().zip([0, 1]) {
        let engine = open(&copy, &after_reboot());
        assert_eq!(contents(&engine).len(), 1);
        assert_eq!(engine.last_sequence(), 1);
        assert_eq!(set_aside(&copy), expected);
    }
}

#[test]
fn on_a_full_disk_a_successor_answers_reads_and_its_first_write_ends_writing() {
    let files = MemFs::new();
    let engine = open(&files, &tiny());
    put(&engine, b"a", b"1").unwrap();
    engine.close().unwrap();
    let fs = SpyFs::new(files.clone());
    fs.refuse(|call| matches!(call, Call::Append(_)).then(|| IoKind::StorageFull.into()));
    let engine = Engine::open(Arc::new(fs.clone()), in_background()).unwrap();
    assert_eq!(get(&engine, b"a").unwrap(), b"1");
    fs.refuse_nothing();
    let error = put(&engine, b"b", b"1").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned);
    assert!(
        error.to_string().contains("append to 000004.log"),
        "{error}"
    );
    let appended = fs.calls().into_iter().filter(|call| call.is_append(".log"));
    assert_eq!(appended.count(), 1, "nothing comes behind a torn beginning");
    assert_eq!(get(&engine, b"a").unwrap(), b"1");
    engine.close().unwrap();
    assert_eq!(contents(&open(&files, &in_background())).len(), 1);
}

/// Found by thinking of what else comes late: its number is that of its successor's log.
#[test]
fn a_log_that_is_made_late_touches_none_that_is_there() {
    let files = MemFs::new();
    let owner = Arc::new(Owner(AtomicBool::new(true)));
    let fs = SpyFs::new(files.clone());
    let options = Options {
        listener: Some(owner.clone()),
        ..tiny()
    };
    let former = Engine::open(Arc::new(fs.clone()), options).unwrap();
    let (arrived, arrives) = channel();
    let (go, may_go) = channel();
    let may_go = Mutex::new(may_go);
    fs.refuse(move |call| {
        if *call == Call::Create("000004.log".into()) {
            arrived.send(()).unwrap();
            may_go.lock().unwrap().recv().unwrap();
        }
        None
    });
    let writing = std::thread::spawn(move || {
        // Until a memtable is full.
        let error = (0..1000_u32).find_map(|n| put(&former, &n.to_be_bytes(), &[1; 500]).err());
        let again = put(&former, b"again", b"1").unwrap_err();
        (error.unwrap(), again)
    });
    arrives.recv().unwrap();
    let successor = unsettled(&files);
    put(&successor, b"k", b"2").unwrap();
    let shown = contents(&successor);
    assert!(files.read("000004.log").is_ok(), "of the same number");
    owner.0.store(false, Ordering::SeqCst);
    go.send(()).unwrap();
    let (error, again) = writing.join().unwrap();
    assert!(error.to_string().contains("create 000004.log"), "{error}");
    assert_eq!(again.kind(), ErrorKind::Poisoned);
    successor.close().unwrap();
    assert_eq!(contents(&open(&files, &in_background())), shown);
}
