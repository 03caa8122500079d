//! The words of the control page, used by one thread.

use level_party_memtable::{HeapRegions, RegionSource};

use super::members::{INCARNATION, MEMBER_SLOTS};
use super::*;
use crate::base::error::ErrorKind;
use crate::base::peers::LocalPeers;

/// An empty page.
fn page() -> Control {
    let region = HeapRegions::new().allocate(CONTROL_LEN).unwrap();
    Control::over(region).unwrap()
}

/// A page founded with these counters.
fn founded(region: u32, version: u32) -> Control {
    let control = page();
    control.found(&Founded {
        founding: 3,
        comparator: 5,
        write_buffer: 6,
        region,
        log: 7,
        log_end: 70,
        before: 100,
        horizon: 50,
        kept_logs: 0,
        version: record(version),
    });
    control
}

/// A record in which no two words are the same.
fn record(counter: u32) -> VersionRecord {
    let number = u64::from(counter);
    VersionRecord {
        counter,
        manifest: number + 1,
        length: number + 2,
        log_number: number + 3,
        flushed: counter.wrapping_sub(4),
        last: number + 5,
        level_zero: number + 6,
    }
}

fn lock<'a>(control: &'a Control, peers: &'a LocalPeers) -> Held<'a> {
    control.try_lock(1, false, peers).expect("it is free")
}

#[test]
fn watched_lock_is_free_and_its_next_holder_rings() {
    let control = founded(1, 1);
    let peers = LocalPeers::default();
    let rings = || control.bell(BellKind::Published).1;
    drop(lock(&control, &peers));
    assert_eq!(rings(), 0, "nobody watches");
    control.announce_watch();
    assert_eq!(control.holder(), 0);
    assert_eq!(control.announce_sleep(), 0, "it is free");
    let held = lock(&control, &peers);
    assert_eq!(control.holder(), 1);
    assert!(control.try_lock(2, true, &peers).is_none());
    drop(held);
    assert_eq!(rings(), 1);
    drop(lock(&control, &peers));
    assert_eq!(rings(), 1, "who was woken says again that it watches");
}

#[test]
fn page_of_another_layout_is_not_founded() {
    let control = page();
    assert!(!control.is_founded(), "nothing is in it");
    let control = founded(1, 1);
    assert!(control.is_founded());
    control.word(LAYOUT_AT).store(LAYOUT + 1, Ordering::Relaxed);
    assert!(!control.is_founded(), "another layout");
    control.word(LAYOUT_AT).store(LAYOUT, Ordering::Relaxed);
    control.word(MAGIC_AT).store(MAGIC + 1, Ordering::Relaxed);
    assert!(!control.is_founded(), "something else");
}

#[test]
fn page_that_is_too_short_is_refused() {
    let region = HeapRegions::new().allocate(CONTROL_LEN - 8).unwrap();
    assert!(Control::over(region).is_none());
}

#[test]
fn founded_page_says_what_it_was_founded_with() {
    let control = founded(9, 21);
    let (view, version) = control.current_version().unwrap();
    assert_eq!((view.version, view.active), (21, 9));
    assert_eq!(version, record(21));
    assert_eq!(control.level_zero(), 27);
    assert_eq!((control.last_sequence(), control.horizon()), (100, 50));
    let region = control.region(9);
    assert!(region.is_current());
    assert_eq!((region.log(), region.committed_end()), (7, 70));
    // The founding is in the high half, so that no other founding gives the same number.
    assert!(
        !control.has_given((3 << 32) + 2),
        "the founder's is the first"
    );
    assert_eq!(control.next_incarnation(), Some((3 << 32) + 2));
    assert_eq!(control.next_incarnation(), Some((3 << 32) + 3));
    assert!(control.has_given((3 << 32) + 1) && control.has_given((3 << 32) + 3));
    assert!(!control.has_given((2 << 32) + 1) && !control.has_given(3 << 32));
}

#[test]
fn incarnations_end_with_the_low_half() {
    let control = founded(1, 1);
    let last = u64::from(u32::MAX);
    control
        .word(NEXT_INCARNATION)
        .store(last - 1, Ordering::Relaxed);
    assert_eq!(control.next_incarnation(), Some(3 << 32 | last));
    assert_eq!(control.next_incarnation(), None);
    assert_eq!(control.next_incarnation(), None);
    assert!(control.has_given(3 << 32 | last));
}

#[test]
fn leader_and_its_failures_are_told_to_all() {
    let control = founded(1, 1);
    let leading = Leading::new(control.clone());
    assert_eq!((control.leader(), control.term()), (0, 0));
    leading.begin(11);
    assert_eq!((control.leader(), control.term()), (11, 1));

    let before = control.failures();
    let told = |step| control.failed_since(before, step);
    leading.fared(LeaderStep::Flush, Err(ErrorKind::OutOfSpace));
    assert_eq!(told(LeaderStep::Flush), Some(ErrorKind::OutOfSpace));
    assert_eq!(told(LeaderStep::Compaction), None);
    // Of what failed before one began to wait nobody is told.
    assert_eq!(
        control.failed_since(control.failures(), LeaderStep::Flush),
        None
    );
    leading.fared(LeaderStep::Compaction, Ok(()));
    assert_eq!(told(LeaderStep::Flush), Some(ErrorKind::OutOfSpace));
    leading.fared(LeaderStep::Flush, Ok(()));
    assert_eq!(told(LeaderStep::Flush), None);
    // Failed as before, and once more.
    let before = control.failures();
    leading.fared(LeaderStep::Compaction, Err(ErrorKind::NotADirectory));
    let seen = control.failed_since(before, LeaderStep::Compaction);
    assert_eq!(seen, Some(ErrorKind::Io));

    // One that was taken for dead does not end its successor's leadership.
    leading.begin(12);
    leading.end(11);
    assert_eq!((control.leader(), control.term()), (12, 2));
    leading.end(12);
    assert_eq!(control.leader(), 0);
}

#[test]
fn members_are_listed_with_pins_without_slots_being_cleared() {
    let control = founded(1, 1);
    let slots = [11, 12].map(|member| control.claim_slot(member).unwrap());
    control.introduce(slots[1], 777, 5);
    control.store_pin(slots[1], Some(0));
    control.store_pinned_since(slots[1], 5);
    let [one, other] = control.members()[..] else {
        panic!("two have joined");
    };
    assert_eq!((one.incarnation, one.pid), (11, 0));
    assert_eq!((one.pinned, one.pinned_since), (None, None));
    assert_eq!((other.incarnation, other.pid), (12, 777));
    assert_eq!((other.pinned, other.pinned_since), (Some(0), Some(5)));
    assert_eq!((one.joined, other.joined), (None, Some(5)));
    control.give_back_slot(slots[1]);
    let again = control.claim_slot(13).unwrap();
    assert_eq!(again, slots[1]);
    let newest = control.members()[1];
    assert_eq!((newest.pid, newest.pinned_since), (0, None));
}

#[test]
fn region_counter_wraps() {
    let control = founded(u32::MAX - 1, 1);
    let peers = LocalPeers::default();
    let mut last = 100;
    for (step, counter) in [u32::MAX, 0, 1, 2, 3].into_iter().enumerate() {
        let before = counter.wrapping_sub(1);
        let held = lock(&control, &peers);
        last += 1;
        held.begin(last, 10);
        held.publish();
        held.set_up_next(8 + step as u64);
        assert_eq!(held.active_counter(), before, "it is not named yet");
        held.name_next();
        drop(held);
        assert_eq!(control.view().active, counter);
        assert_eq!(control.last_sequence(), last);
        let region = control.region(counter);
        let begins = (region.log(), region.published());
        assert_eq!(begins, (8 + step as u64, last));
        assert!(control.are_current(counter, 2));
        let gone = counter.wrapping_sub(REGIONS);
        assert_eq!(control.published_in(gone), None, "its slot is used again");
    }
}

#[test]
fn version_counter_wraps() {
    let control = founded(1, u32::MAX - 1);
    let leading = Leading::new(control.clone());
    for counter in [u32::MAX, 0, 1] {
        assert_eq!(leading.next_counter(), counter);
        leading.publish(&record(counter));
        let (view, version) = control.current_version().unwrap();
        assert_eq!((view.version, view.active), (counter, 1));
        assert_eq!(version, record(counter));
        let level_zero = u64::from(counter) + 6;
        assert_eq!(control.level_zero() as u64, level_zero);
    }
}

#[test]
fn version_stays_readable_until_its_slot_is_filled_again() {
    let control = founded(1, u32::MAX - 3);
    let leading = Leading::new(control.clone());
    let first = leading.next_counter();
    for later in 0..2 * VERSION_SLOTS {
        leading.publish(&record(first.wrapping_add(later)));
        for back in 0..2 * VERSION_SLOTS {
            let counter = first.wrapping_add(later).wrapping_sub(back);
            let is_there = back < VERSION_SLOTS && back <= later + 1;
            let expected = is_there.then(|| record(counter));
            assert_eq!(control.read_version(counter), expected, "{later} {back}");
        }
    }
}

#[test]
fn version_slot_that_contradicts_the_view_is_damage() {
    let control = founded(1, 1);
    assert!(control.current_version().is_some());
    control.change_view(|view| view.version = 9);
    assert_eq!(control.current_version(), None);
}

#[test]
fn record_in_flight_says_where_the_log_ends() {
    let control = founded(1, 1);
    let peers = LocalPeers::default();
    let region = control.region(1);
    {
        let held = lock(&control, &peers);
        held.begin(105, 30);
    }
    assert!(region.has_record(), "its holder gave up");
    assert_eq!(region.committed_end(), 70);
    assert_eq!(control.last_sequence(), 100);
    let held = lock(&control, &peers);
    held.publish();
    assert!(!region.has_record());
    assert_eq!(region.committed_end(), 100);
    assert_eq!(control.last_sequence(), 105);
    // The next record begins where this one ended.
    held.begin(106, 1);
    assert_eq!(region.committed_end(), 100);
    assert!(region.has_record(), "it stays");
}

#[test]
fn lock_is_free_only_when_its_holder_gives_it_back() {
    let control = founded(1, 1);
    let peers = LocalPeers::default();
    let held = control.try_lock(11, false, &peers).unwrap();
    assert_eq!(control.holder(), 11);
    assert!(control.try_lock(12, false, &peers).is_none());
    assert!(control.take_over(13, 12, &peers).is_none());
    assert_eq!(control.holder(), 11, "a refused taker changes nothing");
    let (_, rings) = control.bell(BellKind::Lock);
    drop(held);
    assert_eq!(control.holder(), 0);
    assert_eq!(control.bell(BellKind::Lock).1, rings, "nobody sleeps");
}

#[test]
fn lock_given_back_rings_for_a_sleeper() {
    let control = founded(1, 1);
    let peers = LocalPeers::default();
    assert_eq!(control.announce_sleep(), 0, "nobody has it");
    let held = control.try_lock(11, false, &peers).unwrap();
    let (_, rings) = control.bell(BellKind::Lock);
    assert_eq!(
        (control.announce_sleep(), control.announce_sleep()),
        (11, 11)
    );
    drop(held);
    assert_eq!(control.bell(BellKind::Lock).1, rings.wrapping_add(1));
    // A member that slept does not know whether others do.
    drop(control.try_lock(12, true, &peers).unwrap());
    assert_eq!(control.bell(BellKind::Lock).1, rings.wrapping_add(2));
}

#[test]
fn dead_holder_is_taken_over_once() {
    let control = founded(1, 1);
    let peers = LocalPeers::default();
    std::mem::forget(control.try_lock(11, false, &peers).unwrap());
    control.announce_sleep();
    let held = control.take_over(11, 12, &peers).unwrap();
    assert_eq!(control.holder(), 12);
    assert!(control.take_over(11, 13, &peers).is_none());
    assert_eq!(control.holder(), 12);
    drop(held);
    assert_eq!(control.holder(), 0);
}

#[test]
fn ring_reaches_those_who_announced_their_sleep() {
    let control = founded(1, 1);
    assert!(control.ring(BellKind::Work).is_none(), "nobody sleeps");
    let (_, heard) = control.announce_sleep_at(BellKind::Work);
    assert!(control.ring(BellKind::Progress).is_none(), "another bell");
    assert!(control.ring(BellKind::Work).is_some());
    assert_ne!(control.bell(BellKind::Work).1, heard);
    assert!(control.ring(BellKind::Work).is_none(), "all are woken");
    // The count of rings wraps within its half.
    let (word, _) = control.bell(BellKind::Work);
    word.store(u64::from(u32::MAX), Ordering::SeqCst);
    assert_eq!(control.announce_sleep_at(BellKind::Work).1, u32::MAX);
    control.ring(BellKind::Work).unwrap();
    assert_eq!(word.load(Ordering::SeqCst), 0);
}

#[test]
fn slots_are_claimed_once_and_given_back() {
    let control = founded(1, 1);
    for member in 0..MEMBER_SLOTS {
        assert_eq!(control.claim_slot(member as u64 + 1), Some(member));
    }
    assert_eq!(control.claim_slot(5_000), None, "all are taken");
    control.store_pin(17, Some(60));
    control.give_back_slot(17);
    assert_eq!(control.claim_slot(5_000), Some(17));
    assert_eq!(control.scan_pins(|_| false), None, "the pin went with it");
}

#[test]
fn scan_clears_slots_of_the_dead_and_no_others() {
    let control = founded(1, 1);
    let slots = [11, 12, 13].map(|member| control.claim_slot(member).unwrap());
    for (slot, pin) in slots.into_iter().zip([70, 60, 80]) {
        control.store_pin(slot, Some(pin));
    }
    assert_eq!(control.scan_pins(|_| false), Some(60));
    assert_eq!(control.scan_pins(|member| member == 12), Some(70));
    assert_eq!(control.claim_slot(14), Some(slots[1]), "it is free");
    assert_eq!(control.claim_slot(15), Some(3), "the others are not");
    control.store_pin(slots[0], None);
    assert_eq!(control.scan_pins(|_| false), Some(80));
}

#[test]
fn slot_half_cleared_by_a_dead_leader_is_cleared() {
    let control = founded(1, 1);
    let slot = control.claim_slot(11).unwrap();
    control.store_pin(slot, Some(60));
    // It died between its claim and the clearing.
    let word = control.slot_word(slot, INCARNATION);
    word.store(0xb | FLAG, Ordering::Release);
    assert_eq!(control.claim_slot(12), Some(slot + 1), "it is not free");
    assert_eq!(control.scan_pins(|_| false), None);
    assert_eq!(control.claim_slot(13), Some(slot));
}

#[test]
fn pin_below_the_horizon_is_refused_and_does_not_lower_it() {
    let control = founded(1, 1);
    let leading = Leading::new(control.clone());
    let slot = control.claim_slot(11).unwrap();
    control.store_pin(slot, Some(60));
    assert_eq!(control.floor_at(60), Floor::Below);
    assert_eq!(leading.raise_horizon(100, |_| false), 60);
    control.store_pin(slot, Some(55));
    assert_eq!(control.floor_at(55), Floor::Above);
    // Nobody confirmed it.
    assert_eq!(leading.raise_horizon(100, |_| false), 60);
    control.store_pin(slot, None);
    assert_eq!(leading.raise_horizon(100, |_| false), 100);
    assert_eq!(control.floor_at(100), Floor::Below);
}

#[test]
fn pin_during_a_scan_is_undecided() {
    let control = founded(1, 1);
    let slot = control.claim_slot(11).unwrap();
    control.begin_scan(100);
    control.store_pin(slot, Some(60));
    assert_eq!(control.floor_at(60), Floor::Undecided);
    assert_eq!(control.floor_at(100), Floor::Below);
    let least = control.scan_pins(|_| false).unwrap();
    assert_eq!(control.end_scan(least), 60);
    assert_eq!(control.floor_at(60), Floor::Below);
}

#[test]
fn pin_of_sequence_zero_is_a_pin() {
    let control = founded(1, 1);
    let slot = control.claim_slot(11).unwrap();
    control.store_pin(slot, Some(0));
    assert_eq!(control.scan_pins(|_| false), Some(0));
}

#[test]
fn numbers_of_files_are_shared_by_all_members() {
    let control = page();
    control.next_file().set(40);
    let other = control.clone();
    assert_eq!(
        (control.next_file().next(), other.next_file().next()),
        (40, 41)
    );
    control.set_dir_synced(9);
    control.set_dir_synced(7);
    assert_eq!(other.dir_synced(), 9, "it never falls");
}
