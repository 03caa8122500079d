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

/// Logs stay for those who follow what is committed.
fn kept() -> Options {
    Options {
        tail_bytes: 1 << 20,
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

/// A founder that dies before its manifest is named: all that counts is as it was, and there is a log beside it.
fn founder_dies(files: &MemFs) {
    let fs = SpyFs::new(files.clone());
    fs.refuse(|call| matches!(call, Call::Rename(..)).then(|| IoKind::Other.into()));
    Engine::open(Arc::new(fs), tiny()).expect_err("it fails");
}

/// The log that a founder makes beside [`Former`]'s.
const FOUNDERS_LOG: &str = "000006.log";

/// A directory whose founder died before its manifest was named, and whose former process appended late.
fn unnamed() -> MemFs {
    let files = MemFs::new();
    let former = Former::of(&files);
    founder_dies(&files);
    former.goes_on();
    assert!(names(&files, ".log").contains(&FOUNDERS_LOG.to_owned()));
    files
}

/// What [`Former`] was answered.
fn answered() -> Contents {
    [b"a", b"b"].map(|key| (key.to_vec(), b"1".to_vec())).into()
}

/// A directory whose founder was killed after as many writes, and which keeps the former process's log; that one appended
/// late, while the founder lived or after that. Gives what the founder showed at last, and its last sequence.
fn left_behind(writes: usize, while_it_lives: bool) -> (MemFs, Contents, u64) {
    let files = MemFs::new();
    let former = Former::of(&files);
    let founder = open(&files, &kept());
    let make: [fn(&Engine) -> u64; 3] = [
        |engine| put(engine, b"b", b"2").unwrap(),
        |engine| delete(engine, b"x").unwrap(),
        |engine| put(engine, b"c", b"2").unwrap(),
    ];
    let (early, late) = make[..writes].split_at(writes.min(1));
    for make in early {
        make(&founder);
    }
    let mut former = Some(former);
    if while_it_lives {
        former.take().unwrap().goes_on();
    }
    for make in late {
        make(&founder);
    }
    let shown = contents(&founder);
    let last = founder.last_sequence();
    assert_eq!(last, 2 + writes as u64);
    founder.close().unwrap();
    if let Some(former) = former {
        former.goes_on();
    }
    assert_eq!(names(&files, "000003.log").len(), 1, "it is kept");
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
fn append_after_a_founder_read_the_log_never_counts() {
    for options in [kept(), tiny()] {
        each_case(|files, shown, last| {
            for round in 0..3 {
                let engine = open(&files, &options);
                assert_eq!(contents(&engine), *shown, "{round}");
                assert_eq!(engine.recovered().last_sequence, last);
                sweep(&engine);
                engine.close().unwrap();
            }
            let is_kept = options.tail_bytes > 0;
            assert_eq!(names(&files, "000003.log").len(), usize::from(is_kept));
        });
    }
}

#[test]
fn nor_does_it_where_founders_died_before_current() {
    let files = unnamed();
    for _ in 0..20 {
        founder_dies(&files);
    }
    for round in 0..3 {
        let engine = open(&files, &tiny());
        assert_eq!(contents(&engine), answered());
        let recovered = engine.recovered();
        assert_eq!(recovered.last_sequence, 2);
        let told = recovered.dropped.concat();
        assert_eq!(told.contains("1 records of 000003.log"), round == 0);
        sweep(&engine);
        engine.close().unwrap();
    }
    assert_eq!(names(&files, ".log").len(), 1);
}

#[test]
fn a_checkpoint_of_a_founder_is_without_it() {
    let files = MemFs::new();
    let former = Former::of(&files);
    let founder = open(&files, &kept());
    former.goes_on();
    // Until it has given all the sequences that were appended late to others, and more.
    for write in 0..8_u8 {
        if write > 0 {
            put(&founder, &[b'b' + write], b"2").unwrap();
        }
        let copy = MemFs::new();
        let last = founder.checkpoint(&copy).unwrap();
        let copy = open(&copy, &tiny());
        assert_eq!(contents(&copy), contents(&founder));
        assert_eq!(copy.last_sequence(), last);
        assert_eq!(copy.recovered().dropped, [] as [&str; 0]);
    }
}

/// The sequences and keys of all that is told from the first one on.
fn told_by(engine: &Engine) -> Vec<(u64, Vec<u8>)> {
    let mut tail = engine.tail_from(1).unwrap();
    let mut told = Vec::new();
    while let Some(item) = tail.try_next().unwrap() {
        let TailItem::Batch(committed) = item else {
            panic!("{item:?}");
        };
        let ops = committed.ops();
        told.extend(ops.map(|(sequence, op)| (sequence, op.key().to_vec())));
    }
    told
}

#[test]
fn who_follows_the_batches_is_not_told_of_it() {
    each_case(|files, _, last| {
        let engine = open(&files, &kept());
        let told = told_by(&engine);
        assert!(told.iter().map(|(sequence, _)| *sequence).eq(1..=last));
        assert!(told.iter().all(|(_, key)| key != b"only late"));
    });
}

/// Removes all tables and manifests and repairs: what is left is in the logs. Gives what that could not bring back.
fn repaired_by_logs(files: &MemFs) -> Vec<String> {
    let names = files.list().unwrap().into_iter();
    let others = names.filter(|name| name.starts_with("MANIFEST-") || name.ends_with(".ldb"));
    others.for_each(|name| files.remove(&name).unwrap());
    let fs: Arc<dyn Fs> = Arc::new(files.clone());
    let repaired = Repair::new(fs, tiny()).dry_run(false).run().unwrap();
    repaired.lost
}

#[test]
fn a_verification_remarks_on_it_and_a_repair_leaves_it_out() {
    let files = unnamed();
    let fs: Arc<dyn Fs> = Arc::new(files.clone());
    let verified = verify(&fs, &tiny().comparator).unwrap();
    assert_eq!(verified.problems, []);
    // The other one is of the founder's table.
    let remarks = verified.remarks.iter();
    let of_it: Vec<_> = remarks.filter(|it| it.file == "000003.log").collect();
    assert_eq!(of_it.len(), 1, "{:?}", verified.remarks);
    assert_eq!((verified.last_sequence, verified.batches), (2, 2));
    let lost = repaired_by_logs(&files).concat();
    assert!(lost.contains("1 records of 000003.log"), "{lost}");
    assert_eq!(contents(&open(&files, &tiny())), answered());
}

/// A candidate has made its log when it is succeeded, and says what it begins with when its successor has counted more.
#[test]
fn late_beginning_takes_nothing_from_a_successor() {
    for writes in 0..=2_u8 {
        let files = MemFs::new();
        let former = Former::of(&files);
        let owner = Arc::new(Owner(AtomicBool::new(true)));
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
        let options = Options {
            listener: Some(owner.clone()),
            ..tiny()
        };
        let candidate = std::thread::spawn(move || Engine::open(Arc::new(fs), options).err());
        arrives.recv().unwrap();
        former.goes_on();
        // It is killed before it could remove anything.
        let fs = SpyFs::new(files.clone());
        fs.refuse(|call| matches!(call, Call::Remove(_)).then(|| IoKind::Other.into()));
        let successor = Engine::open(Arc::new(fs), kept()).unwrap();
        assert_eq!(successor.last_sequence(), 7, "nobody was told anything yet");
        for write in 0..writes {
            put(&successor, &[b'p' + write], b"2").unwrap();
        }
        owner.0.store(false, Ordering::SeqCst);
        go.send(()).unwrap();
        let error = candidate.join().unwrap().unwrap();
        assert_eq!(error.kind(), ErrorKind::Poisoned);
        let shown = contents(&successor);
        successor.close().unwrap();
        let logs = MemFs::new();
        for name in names(&files, ".log") {
            logs.write(&name, files.read(&name).unwrap());
        }
        repaired_by_logs(&logs);
        assert_eq!(contents(&open(&logs, &tiny())), shown, "{writes}");
        let engine = open(&files, &kept());
        assert_eq!(contents(&engine), shown, "{writes}");
        let last = 7 + u64::from(writes);
        assert_eq!(engine.last_sequence(), last);
        let told = told_by(&engine).into_iter();
        assert!(told.map(|(sequence, _)| sequence).eq(1..=last));
    }
}

/// Found by random lives of leaders: a founder keeps the log for who follows the batches, and a repair that knows no manifest
/// reads it. A late record in it took the place of the founder's.
#[test]
fn repair_leaves_late_records_out_of_kept_logs() {
    each_case(|files, shown, _| {
        repaired_by_logs(&files);
        assert_eq!(contents(&open(&files, &tiny())), *shown);
    });
}

/// How many copies of the founder's log were set aside.
fn set_aside(files: &MemFs) -> usize {
    let names = files.list().unwrap().into_iter();
    let aside = format!("level-party.aside-{FOUNDERS_LOG}");
    names.filter(|name| name.starts_with(&aside)).count()
}

/// Earlier logs may hold what was synced, and the beginning of a later one may be what the medium had there before.
#[test]
fn power_loss_lets_no_log_take_from_an_earlier_one() {
    let files = unnamed();
    let engine = open(&files, &after_reboot());
    assert_eq!(engine.recovered().last_sequence, 7);
    assert_eq!(get(&engine, b"b").unwrap(), b"late");
    let dropped = engine.recovered().dropped.concat();
    assert!(dropped.contains("an earlier log has sequence 3 too"));
    assert_eq!(set_aside(&files), 1);
}

/// It was never synced; where the new log has nothing, nothing is set aside.
#[test]
fn power_loss_leaves_no_gap_at_an_empty_founders_log() {
    let files = MemFs::new();
    let engine = open(&files, &tiny());
    put(&engine, b"a", b"1").unwrap();
    let whole = files.read("000003.log").unwrap().len();
    put(&engine, b"b", b"1").unwrap();
    engine.close().unwrap();
    founder_dies(&files);
    files
        .change("000003.log", |bytes| bytes.truncate(whole))
        .unwrap();
    let engine = open(&files, &after_reboot());
    assert_eq!(contents(&engine).len(), 1);
    assert_eq!(engine.last_sequence(), 1);
    assert_eq!(set_aside(&files), 0);
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
    fs.refuse(move |call| match call {
        // The founder's numbers, too: for its manifest and its table.
        Call::Create(name) if name == "000004.log" || name == "000005.log" => {
            Some(IoKind::StorageFull.into())
        }
        Call::Create(name) if name == FOUNDERS_LOG => {
            arrived.send(()).unwrap();
            may_go.lock().unwrap().recv().unwrap();
            None
        }
        _ => None,
    });
    let writing = std::thread::spawn(move || {
        // Until a memtable is full, and no longer for want of room.
        let mut errors =
            (0..1000_u32).filter_map(|n| put(&former, &n.to_be_bytes(), &[1; 500]).err());
        let error = errors.find(|error| error.kind() != ErrorKind::OutOfSpace);
        let again = put(&former, b"again", b"1").unwrap_err();
        (error.unwrap(), again)
    });
    arrives.recv().unwrap();
    let successor = open(&files, &tiny());
    put(&successor, b"k", b"2").unwrap();
    let shown = contents(&successor);
    assert!(files.read(FOUNDERS_LOG).is_ok(), "of the same number");
    owner.0.store(false, Ordering::SeqCst);
    go.send(()).unwrap();
    let (error, again) = writing.join().unwrap();
    assert_eq!(error.kind(), ErrorKind::Poisoned);
    assert_eq!(again.kind(), ErrorKind::Poisoned);
    assert!(
        files.read("000007.log").is_err(),
        "it tries no other number"
    );
    successor.close().unwrap();
    assert_eq!(contents(&open(&files, &tiny())), shown);
}
