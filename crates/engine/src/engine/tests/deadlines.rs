//! Writes whose time is over while others have the turn, the lock or the room; and writes whose lock or directory is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Engine;
use super::members::{Memory, Shared, text};
use crate::base::error::{Error, Result};
use crate::base::options::Before;
use crate::base::peers::LocalPeers;
use crate::base::steps::Step;
use crate::support::{contents, get, put, tiny};
use crate::{CommitHook, ErrorKind, Listener, WaitedFor, Write, WriteBatch};

pub(super) fn write_of(key: &[u8]) -> Write {
    let mut batch = WriteBatch::new();
    batch.put(key, b"");
    Write::new(batch)
}

/// A write that is given up soon.
fn hasty(key: &[u8]) -> Write {
    write_of(key).deadline(Instant::now() + Duration::from_millis(20))
}

fn waited_for(result: Result<u64>) -> WaitedFor {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    error.waited_for().expect("it says for whom it waited")
}

/// A writer on a thread of its own. On return it waits in the queue behind `before` others.
pub(super) fn waiting(engine: &Engine, before: usize, write: Write) -> JoinHandle<Result<u64>> {
    let own = engine.clone();
    let thread = thread::spawn(move || own.write(write));
    while engine.waiting_writers() <= before {
        thread::yield_now();
    }
    thread
}

#[test]
fn write_behind_a_stopped_holder_times_out_with_its_number() {
    for step in [Step::LockTaken, Step::Append, Step::Insert, Step::Unlock] {
        let shared = Shared::new(Memory::Recycled, tiny());
        let (other, holder) = shared.two_members();
        let stopped = holder.stop_at(step, |engine| {
            put(engine, b"holder", b"").unwrap();
        });
        let stops = WaitedFor::Holder(holder.engine.incarnation());
        assert_eq!(waited_for(other.engine.write(hasty(b"late"))), stops);
        // Several in one entry: the one without a deadline goes on.
        let engine = other.engine.clone();
        let writes = vec![hasty(b"late"), write_of(b"patient")];
        let both = thread::spawn(move || engine.write_all(writes));
        let asked = shared.asked() + 30;
        while shared.asked() < asked {
            thread::yield_now();
        }
        assert!(!both.is_finished());
        stopped.go_on();
        let mut answers = both.join().unwrap().into_iter();
        assert_eq!(waited_for(answers.next().unwrap()), stops);
        answers.next().unwrap().unwrap();
        let keys: Vec<Vec<u8>> = contents(&other.engine).into_keys().collect();
        assert_eq!(keys, [b"holder".to_vec(), b"patient".to_vec()], "{step:?}");
        put(&other.engine, b"late", b"").unwrap();
    }
}

#[test]
fn writes_behind_one_that_times_out_go_on_in_order() {
    let shared = Shared::new(Memory::Recycled, tiny());
    let (other, holder) = shared.two_members();
    let stopped = holder.stop_at(Step::Publish, |engine| {
        put(engine, b"holder", b"").unwrap();
    });
    let stops = WaitedFor::Holder(holder.engine.incarnation());
    let after = |milliseconds| Instant::now() + Duration::from_millis(milliseconds);
    let engine = other.engine.clone();
    let head = thread::spawn(move || engine.write(write_of(b"head").deadline(after(1_000))));
    while !other.engine.lifeline.queue.is_busy() {
        thread::yield_now();
    }
    // The second comes to be the one that commits, with all behind it; then the fourth.
    let second = waiting(&other.engine, 0, write_of(b"2").deadline(after(1_400)));
    let third = waiting(&other.engine, 1, write_of(b"3").deadline(after(1_200)));
    let fourth = waiting(&other.engine, 2, write_of(b"4"));
    let fifth = waiting(&other.engine, 3, write_of(b"5").deadline(after(30)));
    let sixth = waiting(&other.engine, 4, write_of(b"6"));
    assert_eq!(waited_for(fifth.join().unwrap()), stops);
    assert_eq!(waited_for(head.join().unwrap()), stops);
    assert_eq!(waited_for(third.join().unwrap()), stops);
    assert_eq!(waited_for(second.join().unwrap()), stops);
    assert!(!fourth.is_finished() && !sixth.is_finished());
    stopped.go_on();
    let (fourth, sixth) = (fourth.join().unwrap(), sixth.join().unwrap());
    assert_eq!((fourth.unwrap(), sixth.unwrap()), (2, 3));
    let keys: Vec<Vec<u8>> = contents(&other.engine).into_keys().collect();
    assert_eq!(keys, [b"4".to_vec(), b"6".to_vec(), b"holder".to_vec()]);
    assert!(!other.engine.is_committing());
}

#[test]
fn write_that_needs_room_times_out_while_nobody_leads() {
    let shared = Shared::new(Memory::Recycled, tiny());
    let (leader, other) = shared.two_members();
    leader.engine.stop_leading();
    let mut written = 0;
    let error = loop {
        let mut batch = WriteBatch::new();
        batch.put(&text(written), &[b'.'; 100]);
        let write = Write::new(batch).deadline(Instant::now() + Duration::from_millis(20));
        match other.engine.write(write) {
            Ok(_) => written += 1,
            error => break error,
        }
    };
    assert_eq!(waited_for(error), WaitedFor::Room);
    assert!(
        other
            .engine
            .write_at_once(write_of(&[b'.'; 1_000]))
            .is_err()
    );
    assert_eq!(contents(&leader.engine).len(), written);
    other.engine.lead().unwrap();
    other.engine.write(write_of(&text(written))).unwrap();
    assert_eq!(contents(&leader.engine).len(), written + 1);
}

/// Is told whether anything is asked of it.
struct Untold(Arc<AtomicBool>);

impl CommitHook for Untold {
    fn claim(&mut self) -> bool {
        self.0.store(true, Ordering::SeqCst);
        true
    }

    fn assigned(&mut self, _: u64) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn write_at_once_comes_back_while_another_process_commits() {
    let shared = Shared::new(Memory::Recycled, tiny());
    let (other, holder) = shared.two_members();
    let told = Arc::new(AtomicBool::new(false));
    let hook = Box::new(Untold(Arc::clone(&told)));
    let stopped = holder.stop_at(Step::Append, |engine| {
        put(engine, b"holder", b"").unwrap();
    });
    assert!(other.engine.is_committing());
    let back = other.engine.write_at_once(write_of(b"a").hook(hook));
    let back = back.expect_err("the lock is the other's");
    assert!(!told.load(Ordering::SeqCst));
    stopped.go_on();
    assert!(!other.engine.is_committing());
    let outcome = other.engine.write_at_once(back);
    assert_eq!(outcome.ok().expect("nobody commits").result.unwrap(), 2);
    assert!(told.load(Ordering::SeqCst));
}

#[test]
fn holder_that_lost_the_lock_publishes_nothing_and_condemns() {
    let shared = Shared::new(Memory::Recycled, tiny());
    let (other, holder) = shared.two_members();
    put(&other.engine, b"a", b"before").unwrap();
    let said = Arc::new(level_party_locks::Mutex::new(None));
    let says = Arc::clone(&said);
    let stopped = holder.stop_at(Step::Append, move |engine| {
        let outcome = engine.write_at_once(write_of(b"a")).ok().unwrap();
        *says.lock() = Some((outcome.assigned, outcome.result.unwrap_err().kind()));
    });
    // Somebody took it for dead.
    let control = other.engine.shared().member.control.clone();
    let peers = LocalPeers::default();
    let (dead, own) = (holder.engine.incarnation(), other.engine.incarnation());
    let held = control.take_over(dead, own, &peers).unwrap();
    assert_eq!(get(&other.engine, b"a").unwrap(), b"before");
    stopped.go_on();
    assert_eq!(*said.lock(), Some((true, ErrorKind::Condemned)));
    assert_eq!(control.holder(), own, "it is not given back by the other");
    assert!(other.engine.is_condemned());
    assert_eq!(control.last_sequence(), 1);
    drop(held);
}

#[test]
fn lock_that_names_its_own_member_condemns() {
    let shared = Shared::new(Memory::Recycled, tiny());
    let (one, other) = shared.two_members();
    let control = one.engine.shared().member.control.clone();
    let peers = LocalPeers::default();
    let held = control.try_lock(one.engine.incarnation(), false, &peers);
    let error = one.engine.write(write_of(b"a")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Condemned);
    assert!(other.engine.is_condemned());
    drop(held);
}

/// Loses the directory before a step of this kind.
struct Loses(Before, AtomicBool);

impl Listener for Loses {
    fn raise_drop_floor(&self, _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn still_owner(&self, before: Before) -> bool {
        before != self.0 || !self.1.load(Ordering::SeqCst)
    }

    fn poisoned(&self, error: &Error) {
        panic!("the segment is condemned instead: {error}");
    }
}

#[test]
fn member_whose_directory_is_lost_condemns_the_segment() {
    for (before, assigned) in [(Before::Append, false), (Before::Answer, true)] {
        let loses = Arc::new(Loses(before, AtomicBool::new(false)));
        let mut options = tiny();
        options.listener = Some(loses.clone());
        let shared = Shared::new(Memory::Recycled, options);
        let (one, other) = shared.two_members();
        put(&one.engine, b"a", b"before").unwrap();
        loses.1.store(true, Ordering::SeqCst);
        let outcome = one.engine.write_at_once(write_of(b"a")).ok().unwrap();
        assert_eq!(outcome.assigned, assigned, "{before:?}");
        assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::Condemned);
        assert_eq!(other.engine.last_sequence(), 1);
        let error = other.engine.get(b"a").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Condemned);
    }
}
