//! Waits while a compaction is under way; and reads of tables that nobody has compacted.

use std::io::{Error as IoError, ErrorKind as IoKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, Scope, ScopedJoinHandle};

use super::Engine;
use crate::MemFs;
use crate::base::error::Result;
use crate::base::waiting::Patience;
use crate::support::{Call, Rng, SpyFs, get, put, sweep, tiny};

mod deadlines;
pub(crate) mod fronts;
mod log_checks;
mod manifests;
pub(crate) mod members;
mod membership;
pub(crate) mod recycled;
mod sync_waits;
pub(crate) mod syncs;
pub(crate) mod tails;

/// An engine whose compaction stands still where a table is created, until it is told how to go on.
struct Held {
    fs: SpyFs,
    engine: Engine,
    reached: Receiver<()>,
    go_on: Sender<Result<(), IoError>>,
}

/// Tables of the same keys on level 0, one fewer than a compaction needs; then a fault that counts the tables created.
/// Those with the numbers in `at` (1 is that of the next flush, 2 the compaction's) are held at their creation; the
/// creations with the numbers in `refused` fail.
fn held(at: &'static [usize], refused: &'static [usize]) -> Held {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
    let mut random = Rng(1);
    let mut fill = || {
        // More than one table of the next level holds.
        for key in 0..150u32 {
            let value: Vec<u8> = (0..50).map(|_| random.next() as u8).collect();
            put(&engine, &key.to_be_bytes(), &value).unwrap();
        }
    };
    for _ in 0..3 {
        fill();
        engine.flush().unwrap();
    }
    fill();
    let (arrive, reached) = channel();
    let (go_on, told) = channel::<Result<(), IoError>>();
    let (created, told) = (AtomicUsize::new(0), level_party_locks::Mutex::new(told));
    fs.refuse(move |call| {
        if !matches!(call, Call::Create(name) if name.ends_with(".ldb")) {
            return None;
        }
        let number = 1 + created.fetch_add(1, Ordering::SeqCst);
        if at.contains(&number) {
            arrive.send(()).expect("the test waits");
            return told.lock().recv().expect("the test goes on").err();
        }
        refused
            .contains(&number)
            .then(|| IoKind::StorageFull.into())
    });
    engine.flush().unwrap();
    Held {
        fs,
        engine,
        reached,
        go_on,
    }
}

impl Held {
    /// Freezes the memtable, if it has entries, and waits for its flush on another thread. On return that thread is
    /// waiting. Only while the background thread is held.
    fn wait_for_flush<'s>(&'s self, scope: &'s Scope<'s, '_>) -> ScopedJoinHandle<'s, Result<()>> {
        let log = self.engine.freeze(Patience::Endless).unwrap();
        let shared = &self.engine.shared;
        let before = shared.member.control.calls();
        let failures = shared.failures();
        let waiting =
            scope.spawn(move || shared.wait_until_flushed(log, failures, Patience::Endless));
        // It calls before it waits.
        while shared.member.control.calls() == before {
            thread::yield_now();
        }
        waiting
    }
}

#[test]
fn who_waits_for_a_flush_is_not_told_of_a_compactions_failure() {
    let held = held(&[2], &[]);
    held.reached.recv().unwrap();
    put(&held.engine, b"key", b"value").unwrap();
    thread::scope(|scope| {
        let flush = held.wait_for_flush(scope);
        held.go_on.send(Err(IoKind::StorageFull.into())).unwrap();
        flush.join().unwrap().unwrap();
    });
}

#[test]
fn a_flush_that_failed_is_tried_again_while_a_compaction_runs() {
    // The third creation is that of the flush in the middle of the compaction, the fourth the compaction's next output.
    let held = held(&[2, 4], &[3]);
    held.reached.recv().unwrap();
    put(&held.engine, b"key", b"value").unwrap();
    thread::scope(|scope| {
        let flush = held.wait_for_flush(scope);
        held.go_on.send(Ok(())).unwrap();
        flush.join().unwrap().unwrap_err();
        held.reached.recv().unwrap();
        held.fs.note("again");
        // Nothing is new: it waits for the one that failed.
        let flush = held.wait_for_flush(scope);
        held.go_on.send(Ok(())).unwrap();
        flush.join().unwrap().unwrap();
    });
    sweep(&held.engine);
    let calls = held.fs.calls_since("again");
    let is_done = |call: &Call| matches!(call, Call::Remove(name) if name.ends_with(".log"));
    let done = calls.iter().position(is_done).expect("the log goes");
    let edits = calls[..done].iter();
    let edits = edits.filter(|call| call.is_append("MANIFEST")).count();
    assert_eq!(edits, 1, "the flush's, before the compaction's: {calls:#?}");
}

#[test]
fn newer_of_two_flushed_values_is_read_before_any_compaction() {
    let engine = Engine::open(Arc::new(MemFs::new()), tiny()).unwrap();
    for value in [b"old", b"new"] {
        put(&engine, b"key", value).unwrap();
        engine.flush().unwrap();
    }
    assert_eq!(
        engine.stats().files_per_level[0],
        2,
        "nothing was compacted"
    );
    assert_eq!(get(&engine, b"key").as_deref(), Some(&b"new"[..]));
    engine.compact_range(None, None).unwrap();
    assert_eq!(get(&engine, b"key").as_deref(), Some(&b"new"[..]));
}
