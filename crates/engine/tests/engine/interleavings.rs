//! Single interleavings that break a careless engine under a leader that others rely on.

use std::collections::BTreeMap;
use std::io::ErrorKind as IoKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use level_party_engine::{
    Before, CommitHook, Engine, ErrorKind, Fs, Listener, MemFs, Options, RecoveryMode, Write,
};
use level_party_format::batch::BatchRef;
use level_party_format::edit::VersionEdit;
use level_party_format::filename::{self, FileKind};
use level_party_format::log::{LogItem, LogReader};
use level_party_locks::Mutex;

use crate::harness::disk::Disk;
use crate::harness::history::{History, OPS, last_batch};
use crate::harness::record::{Files, Recorder, Step, mem_fs};
use crate::harness::states::after_power_loss;
use crate::support::{
    Call, Rng, SpyFs, batch_of, contents, get, names, open, put, put_sync, sweep, tiny,
};

fn with(recovery: RecoveryMode) -> Options {
    Options {
        write_buffer_size: 4 << 10,
        recovery,
        ..tiny()
    }
}

/// A write that its leader appended and did not sync is found by the next leader, which tells its caller that it is
/// there, synced as he had asked. The old log's own sync would not do: its error may have been told to the dead.
#[test]
fn recovered_writes_survive_power_loss() {
    let recorder = Recorder::new(&Files::new(), 0);
    let mut history = History::default();
    let engine = Engine::open(Arc::new(recorder.clone()), with(RecoveryMode::SameBoot)).unwrap();
    for tag in 0..30 {
        let batch = history.push(tag);
        engine.write(Write::new(batch)).unwrap();
    }
    // As a kill: nothing is synced by it.
    engine.close().unwrap();
    let before = recorder.steps().len();
    let engine = Engine::open(Arc::new(recorder.clone()), with(RecoveryMode::SameBoot)).unwrap();
    assert_eq!(last_batch(&engine), 30);
    let steps = recorder.steps();
    let mut disk = Disk::new(&Files::new());
    let mut logs = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        match &step.step {
            Step::Create { name, file } if name.ends_with(".log") && at < before => {
                logs.push(*file);
            }
            Step::Sync { file } if at >= before => assert!(!logs.contains(file), "an old log"),
            _ => {}
        }
        disk.apply(&step.step);
    }
    let states = after_power_loss(&disk, &mut Rng(1), 20);
    for (files, story) in states {
        let fs = Arc::new(mem_fs(&files));
        let engine = Engine::open(fs, with(RecoveryMode::AfterReboot)).unwrap();
        assert_eq!(last_batch(&engine), 30, "{story}");
        assert_eq!(engine.recovered().last_sequence, 30 * OPS, "{story}");
        assert!(contents(&engine) == history.after(30), "{story}");
    }
}

/// Notes what its write was told, beside all others.
struct Intent(Arc<Mutex<Vec<(usize, u64)>>>, usize);

impl CommitHook for Intent {
    fn claim(&mut self) -> bool {
        true
    }

    fn assigned(&mut self, last_sequence: u64) {
        self.0.lock().push((self.1, last_sequence));
    }

    fn undone(&mut self) {
        self.0.lock().push((self.1, TAKEN_BACK));
    }
}

const TAKEN_BACK: u64 = u64::MAX;

/// An intent is the leader's note of a write's sequence, from which others conclude later whether it was made.
#[test]
fn intent_is_followed_by_its_record_or_taken_back() {
    let mut not_durable = 0;
    let mut taken_back = 0;
    let mut refused_without_an_intent = 0;
    for failing in 0.. {
        let fs = SpyFs::new(MemFs::new());
        let engine = Engine::open(Arc::new(fs.clone()), with(RecoveryMode::SameBoot)).unwrap();
        let (counter, hit) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
        let was_hit = Arc::clone(&hit);
        fs.refuse(move |call| {
            let is_commits = match call {
                Call::Create(name) | Call::Append(name) | Call::Sync(name) => {
                    name.ends_with(".log")
                }
                _ => false,
            };
            let fails = is_commits && counter.fetch_add(1, Ordering::SeqCst) == failing;
            hit.fetch_or(fails, Ordering::SeqCst);
            fails.then(|| IoKind::StorageFull.into())
        });
        let intents = Arc::new(Mutex::new(Vec::new()));
        for number in 0..40usize {
            let before = intents.lock().len();
            let write =
                Write::new(batch_of(&number.to_be_bytes(), &[3; 400])).sync(number % 5 == 0);
            let batch = write.batch.clone();
            let mut write = write.hook(Box::new(Intent(Arc::clone(&intents), number)));
            let outcome = loop {
                match engine.write_at_once(write) {
                    Ok(outcome) => break outcome,
                    // A memtable has to be flushed first.
                    Err(back) => write = back,
                }
                assert_eq!(
                    intents.lock().len(),
                    before,
                    "it came back without an intent"
                );
                std::thread::yield_now();
            };
            let is_taken_back = intents.lock().last() == Some(&(number, TAKEN_BACK));
            if is_taken_back {
                let taken = intents.lock().split_off(before);
                assert_eq!(taken.len(), 2, "it was assigned before");
                let error = outcome.result.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::OutOfSpace);
                assert!(!outcome.assigned);
                taken_back += 1;
                continue;
            }
            let told = intents.lock().get(before).copied();
            assert_eq!(outcome.assigned, told.is_some());
            assert!(outcome.batch.iter().eq(batch.iter()), "it is given back");
            match outcome.result {
                Ok(sequence) => assert_eq!(told, Some((number, sequence))),
                Err(error) if error.kind() == ErrorKind::NotDurable => {
                    assert!(told.is_some(), "it is applied");
                    not_durable += 1;
                }
                Err(_) => {
                    assert_eq!(told, None, "no room was made, so there was no intent");
                    refused_without_an_intent += 1;
                }
            }
        }
        let sequences: Vec<u64> = intents
            .lock()
            .iter()
            .map(|(_, sequence)| *sequence)
            .collect();
        assert!(
            sequences.is_sorted_by(|a, b| a < b),
            "each is given once: {sequences:?}"
        );
        if !was_hit.load(Ordering::SeqCst) {
            break;
        }
    }
    assert!(not_durable > 5 && taken_back > 10 && refused_without_an_intent > 1);
}

/// What the edits of a manifest say last, of (log number, last sequence).
fn manifest_says(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut said = None;
    for item in LogReader::new(bytes) {
        if let LogItem::Record { payload, .. } = item {
            let edit = VersionEdit::decode(&payload).unwrap();
            if let (Some(log), Some(last)) = (edit.log_number, edit.last_sequence) {
                said = Some((log, last));
            }
        }
    }
    said
}

/// The last sequence in a log.
fn last_in_log(bytes: &[u8]) -> u64 {
    let mut last = 0;
    for item in LogReader::new(bytes) {
        if let LogItem::Record { payload, .. } = item {
            let batch = BatchRef::parse(&payload).unwrap();
            last = batch.sequence() + batch.iter().count() as u64 - 1;
        }
    }
    last
}

/// A manifest with a sequence that only the log has would call writes applied that the log has lost.
#[test]
fn manifest_has_the_last_sequence_that_is_in_tables() {
    let recorder = Recorder::new(&Files::new(), 0);
    let engine = Engine::open(Arc::new(recorder.clone()), with(RecoveryMode::SameBoot)).unwrap();
    for number in 0..300u64 {
        put(&engine, &(number % 50).to_be_bytes(), &[number as u8; 200]).unwrap();
        if number % 60 == 50 {
            engine.flush().unwrap();
        }
    }
    engine.compact_range(None, None).unwrap();
    engine.close().unwrap();
    let mut files: BTreeMap<usize, (String, Vec<u8>)> = BTreeMap::new();
    let mut edits = 0;
    for recorded in recorder.steps() {
        match recorded.step {
            Step::Create { name, file } => {
                files.insert(file, (name, Vec::new()));
            }
            Step::Write {
                file,
                offset,
                bytes,
            } => {
                let (name, content) = files.get_mut(&file).unwrap();
                assert_eq!(offset, content.len(), "nothing is synced");
                content.extend_from_slice(&bytes);
                if !name.starts_with("MANIFEST") {
                    continue;
                }
                let Some((log_number, last)) = manifest_says(content) else {
                    continue;
                };
                let in_tables = files.values().filter(|(name, _)| {
                    matches!(filename::parse(name), Some((FileKind::Log, n)) if n < log_number)
                });
                let in_tables = in_tables.map(|(_, bytes)| last_in_log(bytes)).max();
                assert_eq!(last, in_tables.unwrap_or(0));
                edits += 1;
            }
            _ => {}
        }
    }
    assert!(edits > 15, "{edits}");
}

/// Does not own the directory any more where a group is to be appended.
#[derive(Default)]
struct Overtaken(AtomicBool);

impl Listener for Overtaken {
    fn raise_drop_floor(&self, _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn still_owner(&self, before: Before) -> bool {
        before != Before::Append || !self.0.load(Ordering::SeqCst)
    }
}

/// A flush that is under way when writing ends must not bring its table into the manifest any more.
#[test]
fn running_flush_adds_no_edit_once_writing_has_ended() {
    let fs = SpyFs::new(MemFs::new());
    let owner = Arc::new(Overtaken::default());
    let options = Options {
        listener: Some(Arc::clone(&owner) as Arc<dyn Listener>),
        ..with(RecoveryMode::SameBoot)
    };
    let engine = Engine::open(Arc::new(fs.clone()), options).unwrap();
    let (arrived, flush_waits) = mpsc::channel::<()>();
    let (go, may_go) = mpsc::channel::<()>();
    let may_go = Mutex::new(may_go);
    fs.refuse(move |call| {
        if call.is_append(".ldb") {
            // The flush is in the middle of its table until writing has ended.
            let _ = arrived.send(());
            let _ = may_go.lock().recv();
        }
        None
    });
    let mut answered = 0u64;
    // The first memtable that is full is one to be flushed; a third would wait for it.
    while names(&fs.files, ".log").len() == 1 {
        put(&engine, &answered.to_be_bytes(), &[1; 300]).unwrap();
        answered += 1;
    }
    flush_waits.recv().unwrap();
    owner.0.store(true, Ordering::SeqCst);
    fs.note("ended");
    let error = put(&engine, b"lost", b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned);
    drop(go);
    engine.close().unwrap();
    let after = fs.calls_since("ended");
    let is_harmless = |call: &Call| call.is_append(".ldb");
    assert!(after.iter().all(is_harmless), "{after:?}");
    let engine = open(&fs.files, &tiny());
    assert_eq!(engine.recovered().last_sequence, answered);
    assert_eq!(contents(&engine).len(), answered as usize);
}

/// However a log ends, nothing is ever added to it, and what comes after is found behind it at any later opening.
#[test]
fn a_torn_tail_is_final_and_the_log_behind_it_is_read() {
    let files = MemFs::new();
    let engine = open(&files, &tiny());
    put(&engine, b"a", b"1").unwrap();
    put(&engine, b"b", b"2").unwrap();
    let whole = files.read("000003.log").unwrap().len();
    put(&engine, b"torn", &[5; 30]).unwrap();
    engine.close().unwrap();
    let len = files.read("000003.log").unwrap().len();
    for cut in whole + 1..len {
        for later in [RecoveryMode::SameBoot, RecoveryMode::AfterReboot] {
            let fs = SpyFs::new(MemFs::new());
            for name in files.list().unwrap() {
                fs.files.write(&name, files.read(&name).unwrap());
            }
            fs.files
                .change("000003.log", |bytes| bytes.truncate(cut))
                .unwrap();
            // Dead before it could remove anything: the old log stays.
            fs.refuse(|call| {
                let removes = matches!(call, Call::Remove(_));
                removes.then(|| IoKind::PermissionDenied.into())
            });
            let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
            assert_eq!(engine.recovered().dropped.len(), 1);
            put(&engine, b"c", b"3").unwrap();
            put_sync(&engine, b"d", b"4").unwrap();
            engine.close().unwrap();
            assert!(!fs.calls().iter().any(|call| call.is_append("000003.log")));
            assert!(names(&fs.files, ".log").contains(&"000003.log".to_owned()));
            for round in 0..2 {
                let engine = open(&fs.files, &with(later));
                for (key, value) in [(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"d", b"4")] {
                    assert_eq!(
                        get(&engine, key).as_deref(),
                        Some(&value[..]),
                        "{cut} {round}"
                    );
                }
                assert_eq!(get(&engine, b"torn"), None);
                assert!(engine.recovered().dropped.is_empty(), "{cut} {round}");
                sweep(&engine);
                engine.close().unwrap();
            }
        }
    }
}
