//! Writes that are published and wait for their sync: until their deadline, the close, or the end of the segment; and what
//! becomes of the others of their group.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::super::Engine;
use super::deadlines::{waiting, write_of};
use super::members::{Idle, Member, Memory, Shared};
use super::syncs::{stopped_in_a_sync, syncing};
use crate::base::control::CondemnReason;
use crate::base::steps::Step;
use crate::support::{contents, get, put, put_sync, tiny};
use crate::{ErrorKind, Expect, Result, Write};

/// A write with sync whose time is over as soon as others would have to be waited for.
fn hasty(key: &[u8]) -> Write {
    write_of(key).sync(true).deadline(Instant::now())
}

/// The write is applied, and was answered so because it could not wait any longer for `whom`.
fn is_applied_in_vain(engine: &Engine, key: &[u8], result: Result<u64>, whom: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotDurable, "{error}");
    let told = error.to_string();
    let is_told = told.contains("is applied") && told.contains(whom);
    assert!(is_told && !told.contains("nothing was written"), "{told}");
    assert!(get(engine, key).is_some());
}

#[test]
fn deadline_ends_the_wait_for_a_sync_of_the_own_process() {
    let shared = Shared::new(Memory::Own, tiny());
    let member = shared.member(true);
    let stopped = member.stop_at(Step::Sync, |engine| {
        put_sync(engine, b"a", b"1").unwrap();
    });
    let answer = member.engine.write(hasty(b"b"));
    is_applied_in_vain(&member.engine, b"b", answer, "earlier writes");
    let outcome = member.engine.write_at_once(hasty(b"c"));
    let outcome = outcome.ok().expect("nobody commits");
    assert!(outcome.assigned);
    is_applied_in_vain(&member.engine, b"c", outcome.result, "earlier writes");
    stopped.go_on();
    put_sync(&member.engine, b"d", b"1").unwrap();
}

#[test]
fn deadline_ends_the_wait_for_a_sync_of_another_process() {
    let one = stopped_in_a_sync(false, false);
    let late = one.shared.member_over(false, Arc::new(one.fs.process()));
    let answer = late.engine.write(hasty(b"c"));
    is_applied_in_vain(&late.engine, b"c", answer, "the process with number");
    one.stopped.go_on();
    put_sync(&late.engine, b"d", b"1").unwrap();
}

/// A member whose log was lost, and a leader that makes no table of it.
struct Lost {
    /// Dropped first: the leader's end waits for its thread.
    frozen: Idle,
    one: Member,
    leader: Member,
}

fn lost() -> Lost {
    let one = stopped_in_a_sync(true, false);
    one.stopped.go_on();
    let frozen = one.leader.flush_nothing();
    Lost {
        frozen,
        one: one.member,
        leader: one.leader,
    }
}

#[test]
fn deadline_ends_the_wait_for_a_table() {
    let lost = lost();
    let answer = lost.one.engine.write(hasty(b"c"));
    is_applied_in_vain(&lost.one.engine, b"c", answer, "the leading process");
    drop(lost.frozen);
    put_sync(&lost.one.engine, b"d", b"1").unwrap();
}

/// Waits until the region that is written was left to its table.
fn until_it_is_left(engine: &Engine, active: u32) {
    while engine.shared.member.control.view().active == active {
        thread::yield_now();
    }
}

#[test]
fn close_ends_the_wait_for_a_table() {
    let lost = lost();
    let active = lost.one.engine.shared.member.control.view().active;
    let writing = syncing(&lost.one, b"c");
    until_it_is_left(&lost.one.engine, active);
    lost.one.engine.close().unwrap();
    let error = writing.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotDurable, "{error}");
    assert!(get(&lost.leader.engine, b"c").is_some());
}

#[test]
fn condemned_segment_ends_the_wait_for_a_table() {
    let lost = lost();
    let active = lost.one.engine.shared.member.control.view().active;
    let writing = syncing(&lost.one, b"c");
    until_it_is_left(&lost.one.engine, active);
    lost.leader.engine.condemn(CondemnReason::Asked);
    let error = writing.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Condemned, "{error}");
}

/// The head of a group is refused, the second asks for sync, the third does not.
#[test]
fn only_those_who_asked_for_sync_wait_for_it() {
    let shared = Shared::new(Memory::Own, tiny());
    let (other, holder) = shared.two_members();
    put(&other.engine, b"a", b"1").unwrap();
    let held = holder.stop_at(Step::Publish, |engine| {
        put(engine, b"holder", b"").unwrap();
    });
    let (tell, told) = channel();
    let stopped = other.stop_at(Step::Sync, move |engine| {
        let first = engine.clone();
        let first = thread::spawn(move || first.write(write_of(b"first")));
        while !engine.lifeline.queue.is_busy() {
            thread::yield_now();
        }
        let conflict = write_of(b"b").sync(true).condition(b"a", Expect::Absent);
        let head = waiting(engine, 0, conflict);
        let synced = waiting(engine, 1, write_of(b"c").sync(true));
        let unsynced = waiting(engine, 2, write_of(b"d"));
        held.go_on();
        first.join().unwrap().unwrap();
        tell.send((head, unsynced)).unwrap();
        synced.join().unwrap().unwrap();
    });
    let (head, unsynced) = told.recv().unwrap();
    let refused = head.join().unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(unsynced.join().unwrap().unwrap(), 5);
    stopped.go_on();
    assert_eq!(contents(&other.engine).len(), 5);
}

/// The time of a group's head is over while it waits for a sync: the others of the group go on by themselves.
#[test]
fn head_whose_time_is_over_leaves_the_sync_to_the_others() {
    let shared = Shared::new(Memory::Own, tiny());
    let (other, holder) = shared.two_members();
    let syncs = other.stop_at(Step::Sync, |engine| {
        put_sync(engine, b"a", b"1").unwrap();
    });
    let held = holder.stop_at(Step::Publish, |engine| {
        put(engine, b"holder", b"").unwrap();
    });
    let engine = other.engine.clone();
    let first = thread::spawn(move || engine.write(write_of(b"first")));
    while !other.engine.lifeline.queue.is_busy() {
        thread::yield_now();
    }
    let soon = Instant::now() + Duration::from_secs(1);
    let head = write_of(b"head").sync(true).deadline(soon);
    let head = waiting(&other.engine, 0, head);
    let second = waiting(&other.engine, 1, write_of(b"second").sync(true));
    let third = waiting(&other.engine, 2, write_of(b"third").sync(true));
    held.go_on();
    first.join().unwrap().unwrap();
    let answer = head.join().unwrap();
    is_applied_in_vain(&other.engine, b"head", answer, "earlier writes");
    assert!(!second.is_finished() && !third.is_finished());
    syncs.go_on();
    assert_eq!(second.join().unwrap().unwrap(), 5);
    assert_eq!(third.join().unwrap().unwrap(), 6);
}
