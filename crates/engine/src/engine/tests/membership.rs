//! Members by the engine's public API: founding, joining, leading and its end, leaving, a segment that is condemned.

use std::io::ErrorKind as IoKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use level_party_format::{Comparator, CustomComparator};

use super::Engine;
use crate::base::control::{Control, Leading, MEMBER_SLOTS, REGIONS};
use crate::base::error::Result;
use crate::base::peers::LocalPeers;
use crate::support::{Call, SpyFs, contents, get, put, tiny};
use crate::testing::recycling::RecyclingSegment;
use crate::{
    CondemnReason, Error, ErrorKind, Expect, Fs, Incarnation, KeyRange, Listener, MemFs,
    Membership, Options, Segment, Write, WriteBatch, first_incarnation, next_incarnation,
};

/// The number of the founding.
const FOUNDING: u32 = 9;

/// Files, memory and peers of members.
struct Party {
    fs: Arc<dyn Fs>,
    segment: Arc<dyn Segment>,
    peers: Arc<LocalPeers>,
    options: Options,
}

impl Party {
    fn new(fs: Arc<dyn Fs>) -> Party {
        let options = tiny();
        Party {
            fs,
            segment: Arc::new(RecyclingSegment::new(options.write_buffer_size)),
            peers: Arc::default(),
            options,
        }
    }

    fn membership(&self, incarnation: Incarnation) -> Membership {
        Membership {
            segment: Arc::clone(&self.segment),
            peers: Arc::clone(&self.peers) as _,
            incarnation,
        }
    }

    fn found(&self, options: Options) -> Result<Engine> {
        let membership = self.membership(first_incarnation(FOUNDING));
        Engine::found(Arc::clone(&self.fs), options, membership)
    }

    fn join(&self) -> Result<Engine> {
        let incarnation = next_incarnation(self.segment.as_ref())?;
        let membership = self.membership(incarnation);
        Engine::join(Arc::clone(&self.fs), self.options.clone(), membership)
    }

    /// A founder and two others.
    fn three(&self) -> [Engine; 3] {
        let founder = self.found(self.options.clone()).unwrap();
        [founder, self.join().unwrap(), self.join().unwrap()]
    }

    fn control(&self) -> Control {
        Control::over(self.segment.control()).unwrap()
    }
}

fn party() -> Party {
    Party::new(Arc::new(MemFs::new()))
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

/// Writes more than some memtables hold, each member in its turn.
fn fill(members: &[&Engine], prefix: &str) {
    for number in 0..1_500 {
        let key = format!("{prefix}{number:05}");
        put(members[number % members.len()], key.as_bytes(), &[b'.'; 60]).unwrap();
    }
}

fn keys(engine: &Engine) -> usize {
    contents(engine).len()
}

#[test]
fn members_write_and_another_leads_after_the_founder_left() {
    let party = party();
    let [founder, one, other] = party.three();
    let numbers = [&founder, &one, &other].map(Engine::incarnation);
    assert_eq!(numbers, [1, 2, 3].map(|n| u64::from(FOUNDING) << 32 | n));
    assert!(founder.is_leading() && !one.is_leading());
    for engine in [&founder, &one, &other] {
        assert_eq!((engine.leader(), engine.term()), (Some(numbers[0]), 1));
    }
    fill(&[&founder, &one, &other], "a");
    assert_eq!(keys(&other), 1_500);

    founder.stop_leading();
    assert!(!founder.is_leading());
    assert_eq!(one.leader(), None);
    // Reads and commits go on while nobody leads.
    put(&founder, b"b", b"nobody leads").unwrap();
    one.lead().unwrap();
    assert_eq!((other.leader(), other.term()), (Some(numbers[1]), 2));
    assert_eq!(kind(one.lead()), ErrorKind::InvalidArgument);
    fill(&[&founder, &one, &other], "c");
    assert_eq!(get(&other, b"b").unwrap(), b"nobody leads");

    founder.close().unwrap();
    drop(one);
    assert_eq!(other.leader(), None);
    other.lead().unwrap();
    fill(&[&other], "d");
    other.compact_range(None, None).unwrap();
    assert_eq!(keys(&other), 4_501);
    drop(other);
    let reopened = Engine::open(Arc::clone(&party.fs), tiny()).unwrap();
    assert_eq!(keys(&reopened), 4_501);
}

#[test]
fn only_the_leader_compacts_copies_and_clears() {
    let party = party();
    let [founder, one, _other] = party.three();
    put(&one, b"a", b"1").unwrap();
    // The leader does it.
    one.flush().unwrap();
    assert_eq!(founder.stats().files_per_level.iter().sum::<usize>(), 1);
    assert_eq!(kind(one.compact_range(None, None)), ErrorKind::NotLeading);
    assert_eq!(kind(one.checkpoint(&MemFs::new())), ErrorKind::NotLeading);
    assert_eq!(kind(one.clear_dead_members()), ErrorKind::NotLeading);
    // Deletes of a range are writes.
    assert_eq!(one.clear(KeyRange::all()).unwrap(), 1);
    assert_eq!(founder.checkpoint(&MemFs::new()).unwrap(), 2);
    founder.stop_leading();
    assert_eq!(
        kind(founder.compact_range(None, None)),
        ErrorKind::NotLeading
    );
}

#[test]
fn slot_of_a_member_that_left_or_died_is_used_again() {
    let party = party();
    let [founder, one, other] = party.three();
    let there = || -> Vec<Incarnation> {
        let members = founder.members().into_iter();
        members.map(|member| member.incarnation & 0xff).collect()
    };
    let pid = std::process::id();
    assert!(founder.members().iter().all(|member| member.pid == pid));
    assert_eq!(there(), [1, 2, 3]);
    // A clone is the same member.
    let clone = one.clone();
    let pin = one.pin();
    drop(one);
    let pinned: Vec<_> = founder.members().iter().map(|m| m.pinned).collect();
    assert_eq!(pinned, [None, Some(0), None]);
    drop(clone);
    assert_eq!(there(), [1, 3]);
    let fourth = party.join().unwrap();
    assert_eq!(there(), [1, 4, 3]);
    // What the member that left had pinned is nothing to whoever has its slot.
    let pin_of_the_fourth = fourth.pin();
    drop(pin);
    assert_eq!(founder.members()[1].pinned, Some(0));
    drop(pin_of_the_fourth);

    party.peers.declare_dead(other.incarnation());
    std::mem::forget(other);
    founder.clear_dead_members().unwrap();
    assert_eq!(there(), [1, 4]);
    let fifth = party.join().unwrap();
    assert_eq!(there(), [1, 4, 5]);
    drop(fifth);
}

#[test]
fn more_members_than_slots_are_busy() {
    let party = party();
    let [founder, one, other] = party.three();
    let control = party.control();
    let mut last = 0;
    for _ in 3..MEMBER_SLOTS {
        last = next_incarnation(party.segment.as_ref()).unwrap();
        control.claim_slot(last).unwrap();
    }
    assert_eq!(kind(party.join()), ErrorKind::Busy);
    party.peers.declare_dead(last);
    founder.clear_dead_members().unwrap();
    party.join().unwrap();
    drop((one, other));
}

/// The bytewise order under another name.
struct Other;

impl CustomComparator for Other {
    fn name(&self) -> &'static str {
        "other"
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> std::cmp::Ordering {
        a.cmp(b)
    }
}

#[test]
fn segment_is_founded_once_and_joined_as_it_was_founded() {
    let party = party();
    assert_eq!(kind(party.join()), ErrorKind::InvalidArgument);
    for wrong in [0, 5, 1 << 32, (1 << 61) | 1, first_incarnation(2) + 1] {
        let membership = party.membership(wrong);
        let found = Engine::found(Arc::clone(&party.fs), tiny(), membership);
        assert_eq!(kind(found), ErrorKind::InvalidArgument, "{wrong}");
    }
    let _founder = party.found(tiny()).unwrap();
    assert_eq!(kind(party.found(tiny())), ErrorKind::InvalidArgument);
    // Not given out here.
    for wrong in [first_incarnation(FOUNDING) + 1, first_incarnation(2)] {
        let membership = party.membership(wrong);
        let joined = Engine::join(Arc::clone(&party.fs), tiny(), membership);
        assert_eq!(kind(joined), ErrorKind::InvalidArgument, "{wrong}");
    }
    let mut options = tiny();
    options.comparator = Comparator::Custom(Arc::new(Other));
    let membership = party.membership(next_incarnation(party.segment.as_ref()).unwrap());
    let joined = Engine::join(Arc::clone(&party.fs), options, membership);
    assert_eq!(kind(joined), ErrorKind::ComparatorMismatch);
}

#[test]
fn condemned_segment_is_used_by_nobody() {
    let party = party();
    let [founder, one, other] = party.three();
    put(&one, b"a", b"1").unwrap();
    assert!(!one.is_condemned());
    other.condemn(CondemnReason::Asked);
    for engine in [&founder, &one, &other] {
        assert!(engine.is_condemned());
        assert_eq!(kind(put(engine, b"b", b"2")), ErrorKind::Condemned);
        assert_eq!(kind(engine.get(b"a")), ErrorKind::Condemned);
        assert_eq!(kind(engine.cursor()), ErrorKind::Condemned);
        assert_eq!(kind(engine.flush()), ErrorKind::Condemned);
        assert_eq!(kind(engine.compact_range(None, None)), ErrorKind::Condemned);
        assert_eq!(kind(engine.lead()), ErrorKind::Condemned);
    }
    assert_eq!(
        kind(next_incarnation(party.segment.as_ref())),
        ErrorKind::Condemned
    );
    founder.close().unwrap();
    assert_eq!(kind(founder.get(b"a")), ErrorKind::Closed);
    drop((founder, one, other));
    assert!(party.control().members().is_empty(), "they have left");
    let reopened = Engine::open(Arc::clone(&party.fs), tiny()).unwrap();
    assert_eq!(contents(&reopened), [(b"a".to_vec(), b"1".to_vec())].into());
}

/// Waits for the leader's end, and is told of no other.
#[derive(Default)]
struct Ended(level_party_locks::Mutex<Vec<ErrorKind>>);

impl Listener for Ended {
    fn raise_drop_floor(&self, _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn poisoned(&self, error: &Error) {
        panic!("writing goes on: {error}");
    }

    fn leadership_ended(&self, error: &Error) {
        self.0.lock().push(error.kind());
    }
}

#[test]
fn failed_manifest_ends_the_leadership_and_nothing_else() {
    let fs = SpyFs::new(MemFs::new());
    let party = Party::new(Arc::new(fs.clone()));
    let ended = Arc::new(Ended::default());
    let founder = party.found(Options {
        listener: Some(ended.clone()),
        ..tiny()
    });
    let (founder, other) = (founder.unwrap(), party.join().unwrap());
    put(&founder, b"a", b"1").unwrap();
    let fails = Arc::new(AtomicBool::new(true));
    let refused = Arc::clone(&fails);
    fs.refuse(move |call| {
        let refuses = refused.load(Ordering::SeqCst) && call.is_sync("MANIFEST");
        refuses.then(|| IoKind::Other.into())
    });
    founder.flush().unwrap_err();
    // Its thread's end.
    founder.stop_leading();
    assert_eq!(*ended.0.lock(), [ErrorKind::NotLeading]);
    assert!(!founder.is_leading());
    assert_eq!(
        kind(founder.compact_range(None, None)),
        ErrorKind::NotLeading
    );
    put(&founder, b"b", b"2").unwrap();
    put(&other, b"c", b"3").unwrap();
    let names = || party.fs.list().unwrap().len();
    let before = names();
    for _ in 0..3 {
        assert_eq!(kind(other.lead()), ErrorKind::Io);
    }
    assert_eq!(names(), before, "what came to nothing is removed");
    assert_eq!((other.is_leading(), other.leader()), (false, None));
    fails.store(false, Ordering::SeqCst);
    other.lead().unwrap();
    fill(&[&founder, &other], "d");
    founder.flush().unwrap();
    assert_eq!(keys(&founder), 1_503);
    other.stop_leading();
    founder.lead().unwrap();
    founder.compact_range(None, None).unwrap();
    assert_eq!(keys(&other), 1_503);
    drop((founder, other));
    assert_eq!(keys(&Engine::open(party.fs, tiny()).unwrap()), 1_503);
}

#[test]
fn writer_beside_a_leader_without_room_is_told_of_it() {
    let fs = SpyFs::new(MemFs::new());
    let party = Party::new(Arc::new(fs.clone()));
    let [founder, one, _other] = party.three();
    let is_full = Arc::new(AtomicBool::new(true));
    let tries = Arc::new(AtomicUsize::new(0));
    let (full, tried) = (Arc::clone(&is_full), Arc::clone(&tries));
    fs.refuse(move |call| {
        let is_table = matches!(call, Call::Create(name) if name.ends_with(".ldb"));
        if !is_table || !full.load(Ordering::SeqCst) {
            return None;
        }
        tried.fetch_add(1, Ordering::SeqCst);
        Some(IoKind::StorageFull.into())
    });
    let mut written = 0;
    let error = loop {
        match put(&one, format!("{written:05}").as_bytes(), &[b'.'; 100]) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::OutOfSpace);
    assert!(tries.load(Ordering::SeqCst) > 0);
    assert_eq!(keys(&founder), written);
    is_full.store(false, Ordering::SeqCst);
    put(&one, b"there is room", b"").unwrap();
    assert_eq!(keys(&founder), written + 1);
}

#[test]
fn waiting_writer_is_told_that_the_segment_is_condemned() {
    let party = party();
    let [founder, one, other] = party.three();
    founder.stop_leading();
    let waiting = thread::spawn(move || {
        // Nobody leads, so it comes to wait for room.
        let mut number = 0u32;
        loop {
            number += 1;
            if let Err(error) = put(&one, &number.to_be_bytes(), &[b'.'; 100]) {
                return error.kind();
            }
        }
    });
    let control = party.control();
    let calls = control.calls();
    while control.calls() < calls + 10 {
        thread::yield_now();
    }
    other.condemn(CondemnReason::Damaged);
    assert_eq!(waiting.join().unwrap(), ErrorKind::Condemned);
}

#[test]
fn log_that_is_gone_keeps_nobody_from_leading() {
    let party = party();
    let founder = party.found(party.options.clone()).unwrap();
    let other = party.join().unwrap();
    founder.stop_leading();
    let logs = || {
        let names = party.fs.list().unwrap();
        let logs = names.into_iter().filter(|name| name.ends_with(".log"));
        logs.collect::<Vec<_>>()
    };
    let before = logs();
    let mut count = 0;
    while logs().len() == before.len() {
        put(&founder, format!("{count:05}").as_bytes(), &[b'.'; 60]).unwrap();
        count += 1;
    }
    put(&founder, b"last", b"1").unwrap();
    // The founder alone has it open.
    let newest = logs().into_iter().find(|name| !before.contains(name));
    party.fs.remove(&newest.unwrap()).unwrap();
    other.lead().unwrap();
    founder.flush().unwrap();
    put(&other, b"after", b"2").unwrap();
    assert_eq!(keys(&other), count + 2);
    drop((founder, other));
    let reopened = Engine::open(Arc::clone(&party.fs), tiny()).unwrap();
    assert_eq!(keys(&reopened), count + 2);
}

/// Told of drop floors, some of which it does not take.
#[derive(Default)]
struct Floors {
    fails: bool,
    recorded: level_party_locks::Mutex<Vec<u64>>,
}

impl Listener for Floors {
    fn raise_drop_floor(&self, to: u64) -> std::io::Result<()> {
        if self.fails {
            return Err(IoKind::Other.into());
        }
        self.recorded.lock().push(to);
        Ok(())
    }
}

#[test]
fn unrecorded_drop_floor_is_recorded_by_the_next_leader() {
    let party = party();
    let founder = party.found(Options {
        listener: Some(Arc::new(Floors {
            fails: true,
            ..Floors::default()
        })),
        ..tiny()
    });
    let founder = founder.unwrap();
    fill(&[&founder], "a");
    founder.compact_range(None, None).unwrap_err();
    let floor = party.control().horizon();
    assert!(floor > 0);
    // It joins when the floor is in the shared memory, and no file has it.
    let floors = Arc::new(Floors::default());
    let membership = party.membership(next_incarnation(party.segment.as_ref()).unwrap());
    let options = Options {
        listener: Some(floors.clone()),
        ..tiny()
    };
    let other = Engine::join(Arc::clone(&party.fs), options, membership).unwrap();
    founder.stop_leading();
    other.lead().unwrap();
    assert_eq!(floors.recorded.lock().first(), Some(&floor));
}

#[test]
fn idle_member_lets_go_of_files_that_no_version_needs() {
    let party = party();
    let [founder, other, _] = party.three();
    fill(&[&founder], "a");
    assert_eq!(keys(&other), 1_500);
    let old = Arc::downgrade(&other.view().unwrap().version);
    founder.compact_range(None, None).unwrap();
    assert!(old.upgrade().is_some(), "nobody has looked since");
    other.let_go_of_files();
    assert!(old.upgrade().is_none());
    assert_eq!(keys(&other), 1_500);
}

#[test]
fn pinned_moment_is_pinned_again_beside_an_unended_scan() {
    let party = party();
    let [founder, other, _] = party.three();
    for key in [b"a", b"b", b"c", b"d"] {
        put(&founder, key, b"1").unwrap();
    }
    let held = other.pin_at(2).unwrap();
    let leading = Leading::new(party.control());
    let looked = AtomicBool::new(false);
    leading.raise_horizon(4, |_| {
        if !looked.swap(true, Ordering::SeqCst) {
            // In the middle of the scan, as if its leader were stopped there.
            assert_eq!(
                other.pin_at(3).unwrap().sequence(),
                3,
                "an older one is pinned"
            );
            assert!(other.cursor_at(2).is_ok());
            assert_eq!(kind(founder.pin_at(1)), ErrorKind::Busy);
        }
        false
    });
    assert!(looked.load(Ordering::SeqCst));
    drop(held);
}

#[test]
fn name_of_the_next_log_that_somebody_has_taken_is_passed_over() {
    let party = party();
    let [founder, other, _] = party.three();
    let next = party.control().next_file().peek();
    for number in next..next + 3 {
        let name = level_party_format::filename::log(number);
        let mut file = party.fs.create(&name).unwrap();
        file.append(b"somebody else's").unwrap();
    }
    fill(&[&founder, &other], "a");
    assert_eq!(keys(&other), 1_500);
}

#[test]
fn view_of_a_region_that_its_slot_does_not_hold_ends_every_call() {
    type Act = fn(&Engine) -> Result<()>;
    let acts: [(&str, Act); 6] = [
        ("get", |engine| engine.get(b"a").map(drop)),
        ("get at", |engine| engine.get_at(b"a", 1).map(drop)),
        ("scan", |engine| engine.cursor()?.seek_to_first()),
        ("put", |engine| put(engine, b"b", b"2").map(drop)),
        ("conditional put", |engine| {
            let mut batch = WriteBatch::new();
            batch.put(b"a", b"3");
            let write = Write::new(batch).condition(b"c", Expect::Absent);
            engine.write(write).map(drop)
        }),
        ("flush", Engine::flush),
    ];
    for (name, act) in acts {
        let party = party();
        let [founder, other, _] = party.three();
        put(&founder, b"a", b"1").unwrap();
        let control = party.control();
        // A slot is set up again long before its turn.
        let view = control.view();
        control
            .region(view.active.wrapping_add(REGIONS))
            .set_up(99, 0);
        for engine in [&other, &founder] {
            // An answer that needs no look at the view is true.
            if let Err(error) = act(engine) {
                assert!(engine.is_condemned(), "{name}: {error}");
            }
        }
        assert_eq!(
            kind(put(&other, b"b", b"2")),
            ErrorKind::Condemned,
            "{name}"
        );
    }
}

#[test]
fn reads_of_a_follower_have_the_leader_compact() {
    let party = party();
    let [leader, reader, _] = party.three();
    put(&leader, b"m", b"value").unwrap();
    leader.flush().unwrap();
    put(&leader, b"a", b"first").unwrap();
    put(&leader, b"z", b"last").unwrap();
    leader.flush().unwrap();
    assert_eq!(leader.stats().files_per_level[0], 2);
    // The newer table spans the key and does not have it. So small a table is worth 100 seeks.
    for _ in 0..100 {
        assert_eq!(get(&reader, b"m").unwrap(), b"value");
    }
    while leader.stats().files_per_level[0] > 0 {
        assert_eq!(leader.stats().background_error, None);
        thread::yield_now();
    }
    assert_eq!(leader.stats().files_per_level[1], 1);
    assert_eq!(keys(&reader), 3);
}
