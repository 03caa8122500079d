//! The control page's words in every order of their loads and stores. Run by
//! `RUSTFLAGS="--cfg loom" cargo test -p level-party-engine --lib models`.
//!
//! Each model is one promise of docs/SEGMENT.md between two threads. Each planted bug is found by the model that is there
//! for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use level_party_memtable::{HeapRegions, RegionSource};
use loom::sync::atomic::AtomicU64;
use loom::thread;

use super::*;
use crate::base::peers::LocalPeers;
use crate::planted::{Bug, switch_on};

/// The founded region and version.
const REGION: u32 = 1;
const VERSION: u32 = 1;

/// A page that was founded, with the last sequence `last`.
pub(crate) fn founded(last: Sequence) -> Control {
    let region = HeapRegions::new().allocate(CONTROL_LEN).expect("memory");
    let control = Control::over(region).expect("it is long enough");
    control.found(&Founded {
        founding: 1,
        comparator: 0,
        write_buffer: 0,
        region: REGION,
        log: 3,
        log_end: 0,
        before: last,
        horizon: 0,
        kept_logs: 0,
        version: version(VERSION),
    });
    control
}

/// A record of which each word tells the version.
fn version(counter: u32) -> VersionRecord {
    let number = u64::from(counter);
    VersionRecord {
        counter,
        manifest: number + 10,
        length: number + 20,
        log_number: number + 30,
        flushed: counter.wrapping_sub(1),
        last: number + 40,
        level_zero: number + 50,
    }
}

/// Runs a model in all orders, but for those in which threads are taken off their turn more than four times: with six words in
/// a record these are too many.
pub(crate) fn check(model: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(model);
}

/// Whether the model fails under this bug.
pub(crate) fn finds(bug: Bug, model: fn()) -> bool {
    switch_on(bug);
    let found = catch_unwind(AssertUnwindSafe(|| check(model)));
    switch_on(Bug::None);
    found.is_err()
}

/// A word of memory that the page's words are to protect.
fn memory() -> Arc<AtomicU64> {
    Arc::new(AtomicU64::new(0))
}

fn published_covers_what_was_stored() {
    let control = founded(0);
    let entry = memory();
    let (writing, inserted) = (control.clone(), Arc::clone(&entry));
    let writer = thread::spawn(move || {
        let peers = LocalPeers::default();
        let held = writing.try_lock(1, false, &peers).expect("it is free");
        held.begin(1, 10);
        inserted.store(1, Ordering::Relaxed);
        held.publish();
    });
    if control.last_sequence() == 1 {
        assert_eq!(entry.load(Ordering::Relaxed), 1, "a published entry");
    }
    writer.join().expect("the writer ends");
}

#[test]
fn published_entry_is_seen() {
    check(published_covers_what_was_stored);
}

#[test]
fn published_without_release_is_found() {
    assert!(finds(
        Bug::PublishedRelaxed,
        published_covers_what_was_stored
    ));
}

/// A reader of region 2 beside the set-up of region 6 in the same slot and memory.
fn region_read_beside_a_set_up() {
    const OLD: u32 = 2;
    const NEW: u32 = OLD + REGIONS;
    let control = founded(0);
    let memory = memory();
    control.region(OLD).set_up(20, 200);
    memory.store(OLD.into(), Ordering::Relaxed);
    let (writing, used_again) = (control.clone(), Arc::clone(&memory));
    let writer = thread::spawn(move || {
        writing.region(NEW).set_up(60, 600);
        used_again.store(NEW.into(), Ordering::Relaxed);
    });
    let region = control.region(OLD);
    let read = (
        memory.load(Ordering::Relaxed),
        region.log(),
        region.published(),
    );
    if control.are_current(OLD, 1) {
        assert_eq!(read, (OLD.into(), 20, 200), "another generation");
    }
    // As a read of the memory alone.
    let read = memory.load(Ordering::Relaxed);
    if control.are_current(OLD, 1) {
        assert_eq!(read, u64::from(OLD), "another generation");
    }
    writer.join().expect("the writer ends");
}

#[test]
fn region_set_up_again_is_not_read() {
    check(region_read_beside_a_set_up);
}

#[test]
fn set_up_without_its_fence_is_found() {
    assert!(finds(Bug::SetUpWithoutFence, region_read_beside_a_set_up));
}

#[test]
fn generation_check_without_its_fence_is_found() {
    assert!(finds(Bug::CheckWithoutFence, region_read_beside_a_set_up));
}

/// The leader publishes a version while a holder names a region.
fn both_halves_of_the_view_change() {
    let control = founded(0);
    let leader = control.clone();
    let leader = thread::spawn(move || {
        Leading::new(leader).publish(&version(VERSION + 1));
    });
    let peers = LocalPeers::default();
    let held = control.try_lock(1, false, &peers).expect("it is free");
    held.set_up_next(5);
    held.name_next();
    drop(held);
    let (view, record) = control.current_version().expect("the slot is whole");
    assert_eq!(record, version(view.version));
    leader.join().expect("the leader ends");
    let both = ViewWord {
        version: VERSION + 1,
        active: REGION + 1,
    };
    assert_eq!(control.view(), both, "one was lost");
}

#[test]
fn view_halves_changed_at_once_are_both_kept() {
    check(both_halves_of_the_view_change);
}

#[test]
fn view_half_that_overwrites_the_other_is_found() {
    assert!(finds(Bug::ViewOverwritten, both_halves_of_the_view_change));
}

/// A version's slot is read while it is filled for the version that comes next in it.
fn slot_read_beside_a_refill() {
    let control = founded(0);
    let leader = control.clone();
    let leader = thread::spawn(move || {
        leader.store_version(&version(VERSION + VERSION_SLOTS));
    });
    if let Some(record) = control.read_version(VERSION) {
        assert_eq!(record, version(VERSION), "a torn record");
    }
    leader.join().expect("the leader ends");
}

#[test]
fn version_slot_read_beside_a_refill_is_whole() {
    check(slot_read_beside_a_refill);
}

#[test]
fn version_slot_whose_number_stays_is_found() {
    assert!(finds(Bug::SlotNumberKept, slot_read_beside_a_refill));
}

/// What the lock protects: a sum that is loaded and stored in two steps.
fn add_one(held: Option<Held<'_>>, sum: &AtomicU64) -> u64 {
    let Some(_held) = held else {
        return 0;
    };
    let before = sum.load(Ordering::Relaxed);
    sum.store(before + 1, Ordering::Relaxed);
    1
}

fn two_take_the_lock() {
    let control = founded(0);
    let sum = memory();
    let (other, others) = (control.clone(), Arc::clone(&sum));
    let other = thread::spawn(move || {
        let peers = LocalPeers::default();
        let held = other.try_lock(2, false, &peers);
        let refused = held.is_none();
        let taken = add_one(held, &others);
        // A sleeper comes again, and says that others may sleep.
        match refused {
            true => taken + add_one(other.try_lock(2, true, &peers), &others),
            false => taken,
        }
    });
    let peers = LocalPeers::default();
    let own = add_one(control.try_lock(1, false, &peers), &sum);
    let taken = own + other.join().expect("it ends");
    assert!(taken > 0, "nobody got a free lock");
    assert_eq!(sum.load(Ordering::Relaxed), taken, "two held it at once");
    assert_eq!(control.holder(), 0);
}

#[test]
fn two_takers_of_a_free_lock_exclude_each_other() {
    check(two_take_the_lock);
}

#[test]
fn lock_given_back_without_release_is_found() {
    assert!(finds(Bug::UnlockedRelaxed, two_take_the_lock));
}

/// The holder died; two take the lock over, and one of them takes it again when it is free.
fn two_take_over() {
    const DEAD: u64 = 7;
    let control = founded(0);
    let peers = LocalPeers::default();
    std::mem::forget(control.try_lock(DEAD, false, &peers));
    let sum = memory();
    let (other, others) = (control.clone(), Arc::clone(&sum));
    let other = thread::spawn(move || {
        let peers = LocalPeers::default();
        add_one(other.take_over(DEAD, 2, &peers), &others)
    });
    let own = add_one(control.take_over(DEAD, 1, &peers), &sum);
    let late = add_one(control.try_lock(1, true, &peers), &sum);
    let others = other.join().expect("it ends");
    assert_eq!(own + others, 1, "one takes it over");
    let taken = own + others + late;
    assert_eq!(sum.load(Ordering::Relaxed), taken, "two held it at once");
    assert_eq!(control.holder(), 0);
}

#[test]
fn lock_of_a_dead_holder_goes_to_one_taker() {
    check(two_take_over);
}

/// Somebody sleeps for news, unless it is there, while it is stored and the bell rung.
fn sleep_beside_a_ring() {
    let control = founded(0);
    let news = memory();
    let (ringer, told) = (control.clone(), Arc::clone(&news));
    let ringer = thread::spawn(move || {
        told.store(1, Ordering::Relaxed);
        ringer.ring(BellKind::Progress).is_some()
    });
    let (_, heard) = control.announce_sleep_at(BellKind::Progress);
    let seen = news.load(Ordering::Relaxed) == 1;
    let woken = ringer.join().expect("the ringer ends");
    let (_, now) = control.bell(BellKind::Progress);
    assert!(seen || (woken && now != heard), "the news was missed");
}

#[test]
fn sleeper_sees_the_news_or_is_woken() {
    check(sleep_beside_a_ring);
}

#[test]
fn ring_without_its_fence_is_found() {
    assert!(finds(Bug::RingWithoutFence, sleep_beside_a_ring));
}

/// Somebody sleeps until something is committed, unless it is there, while another member commits.
fn sleep_beside_a_commit() {
    let control = founded(0);
    let committing = control.clone();
    let committer = thread::spawn(move || {
        let peers = LocalPeers::default();
        let held = committing.try_lock(1, false, &peers).expect("it is free");
        held.begin(1, 10);
        held.publish();
    });
    let (_, heard) = control.bell(BellKind::Published);
    control.announce_watch();
    let seen = control.last_sequence() == 1;
    committer.join().expect("the committer ends");
    let (_, now) = control.bell(BellKind::Published);
    assert!(seen || now != heard, "the commit was missed");
    assert_eq!(control.holder(), 0);
}

#[test]
fn watcher_sees_the_commit_or_is_woken() {
    check(sleep_beside_a_commit);
}

#[test]
fn watchers_forgotten_by_a_taker_are_found() {
    assert!(finds(Bug::WatchersForgotten, sleep_beside_a_commit));
}

/// The same where the holder dies when it has published, and another member takes the lock over.
fn sleep_beside_a_takeover() {
    const DEAD: u64 = 7;
    let control = founded(0);
    let peers = LocalPeers::default();
    let held = control.try_lock(DEAD, false, &peers).expect("it is free");
    held.begin(1, 10);
    std::mem::forget(held);
    let taking = control.clone();
    let taker = thread::spawn(move || {
        let peers = LocalPeers::default();
        // Whoever watches may change the word meanwhile: then it is tried again.
        let held = taking.take_over(DEAD, 1, &peers);
        let held = held.or_else(|| taking.take_over(DEAD, 1, &peers));
        held.expect("nobody else takes it").publish();
    });
    let (_, heard) = control.bell(BellKind::Published);
    control.announce_watch();
    let seen = control.last_sequence() == 1;
    taker.join().expect("the taker ends");
    let (_, now) = control.bell(BellKind::Published);
    assert!(seen || now != heard, "the commit was missed");
}

#[test]
fn watcher_is_woken_by_who_takes_the_lock_over() {
    check(sleep_beside_a_takeover);
}

/// A member leaves and another one takes its slot, while the leader clears the slots of members that are gone.
fn slot_changes_hands_beside_a_scan() {
    const LEAVES: u64 = 7;
    const COMES: u64 = 8;
    let control = founded(9);
    let slot = control.claim_slot(LEAVES).expect("it is free");
    // Whether the first one's byte is free.
    let gone = memory();
    let (members, leaves) = (control.clone(), Arc::clone(&gone));
    let members = thread::spawn(move || {
        members.give_back_slot(slot);
        leaves.store(1, Ordering::Release);
        let slot = members.claim_slot(COMES).expect("one is free");
        members.store_pin(slot, Some(5));
        (slot, members.floor_at(5))
    });
    let is_gone = |member| member == LEAVES && gone.load(Ordering::Acquire) == 1;
    let leading = Leading::new(control.clone());
    let first = leading.raise_horizon(9, is_gone);
    let (slot, floor) = members.join().expect("they end");
    let second = leading.raise_horizon(9, is_gone);
    if floor == Floor::Below {
        assert!(first <= 5 && second <= 5, "its pin was cleared");
    }
    assert_ne!(control.claim_slot(9), Some(slot), "its slot was cleared");
}

#[test]
fn slot_that_changes_hands_keeps_its_new_pin() {
    check(slot_changes_hands_beside_a_scan);
}

#[test]
fn dead_slot_cleared_without_a_claim_is_found() {
    assert!(finds(Bug::SlotNotClaimed, slot_changes_hands_beside_a_scan));
}

/// The system tells one member that a log has lost something, another opens the log, which nobody tells: it waits for the syncs
/// that it finds under way.
fn late_opener_beside_a_sync_that_fails() {
    let control = founded(0);
    let (failing, opening) = (1, 2);
    let told = memory();
    let (syncing, tells) = (control.clone(), Arc::clone(&told));
    let slot = control.claim_slot(failing).expect("it is free");
    let syncer = thread::spawn(move || {
        let region = syncing.region(REGION);
        syncing.begin_sync(slot, region.log());
        tells.store(1, Ordering::Release);
        if planted!(FailedAfterCleared) {
            syncing.end_sync(slot);
            region.set_failed();
        } else {
            region.set_failed();
            syncing.end_sync(slot);
        }
    });
    let region = control.region(REGION);
    let is_deceived = told.load(Ordering::Acquire) == 1;
    let under_way = match planted!(TrustedAtOnce) {
        true => Vec::new(),
        false => control.syncers_of(region.log(), opening),
    };
    let may_sync = under_way
        .iter()
        .all(|one| control.has_ended(one, region.log()));
    if is_deceived && may_sync {
        assert!(
            region.is_failed(),
            "it would take its own sync for a success"
        );
    }
    syncer.join().expect("the syncer ends");
    // The next one of the same log is not waited for.
    control.begin_sync(slot, region.log());
    assert!(
        under_way
            .iter()
            .all(|one| control.has_ended(one, region.log()))
    );
}

#[test]
fn late_opener_is_told_of_a_failed_sync() {
    check(late_opener_beside_a_sync_that_fails);
}

#[test]
fn late_opener_that_waits_for_nobody_is_found() {
    let model = late_opener_beside_a_sync_that_fails;
    assert!(finds(Bug::TrustedAtOnce, model));
    assert!(finds(Bug::FailedAfterCleared, model));
}
