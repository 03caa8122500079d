//! Members of one segment over the same files, each with an engine of its own; one dies, or stops, at a named step.
//!
//! A member that died is a thread that goes no further: nothing is cleaned up. What must hold after each death: what was
//! answered is there, what was published is there though nobody was answered, what was not published is nowhere, neither in
//! this segment nor in what an opening finds in the files; and everybody else goes on.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use level_party_locks::{Condvar, Mutex};

use super::super::Engine;
use crate::base::member::{Membership, first_incarnation, next_incarnation};
use crate::base::peers::{Incarnation, LocalPeers, Peers};
use crate::base::segment::{HeapSegment, Segment};
use crate::base::steps::Step;
use crate::base::sync::AtomicU64;
use crate::planted;
use crate::support::{SpyFs, contents, delete, get, names, put, tiny};
use crate::testing::recycling::RecyclingSegment;
use crate::{ErrorKind, Expect, Fs, KeyRange, MemFs, Options, Write, WriteBatch};

pub(super) type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

/// Where a member is stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stop {
    /// Nowhere.
    Nowhere,
    /// When it reaches this step.
    At(Step),
    /// It is there.
    Stopped,
    /// It goes on.
    GoesOn,
    /// It ends.
    Ends,
}

/// The other members as one of them knows them, with a place where it is stopped.
struct Scripted {
    all: Arc<LocalPeers>,
    stop: Mutex<Stop>,
    changed: Condvar,
}

impl Peers for Scripted {
    fn is_dead(&self, member: Incarnation) -> bool {
        self.all.is_dead(member)
    }

    fn sleep(&self, bell: &AtomicU64, seen: u32, at_most: Duration) {
        self.all.sleep(bell, seen, at_most);
    }

    fn wake_one(&self, bell: &AtomicU64) {
        self.all.wake_one(bell);
    }

    fn wake_all(&self, bell: &AtomicU64) {
        self.all.wake_all(bell);
    }

    fn reach(&self, step: Step) {
        let mut stop = self.stop.lock();
        if *stop != Stop::At(step) {
            return;
        }
        *stop = Stop::Stopped;
        self.changed.notify_all();
        while *stop == Stop::Stopped {
            self.changed.wait(&mut stop);
        }
        let ends = *stop == Stop::Ends;
        drop(stop);
        if ends {
            resume_unwind(Box::new("the end of the test"));
        }
    }
}

/// What memory the memtables have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Memory {
    /// Each its own.
    Own,
    /// That of earlier ones.
    Recycled,
    /// The same, and so much that they have filters.
    RecycledLarge,
}

pub(super) const EACH_MEMORY: [Memory; 2] = [Memory::Own, Memory::Recycled];

/// Files and a segment that members share.
pub(super) struct Shared {
    pub(super) fs: MemFs,
    pub(super) segment: Arc<dyn Segment>,
    all: Arc<LocalPeers>,
    options: Options,
}

/// A member, on whose threads the test writes.
pub(super) struct Member {
    pub(super) engine: Engine,
    peers: Arc<Scripted>,
}

impl Shared {
    pub(super) fn new(memory: Memory, options: Options) -> Shared {
        let len = options.write_buffer_size;
        let segment: Arc<dyn Segment> = match memory {
            Memory::Own => Arc::new(HeapSegment::new().unwrap()),
            Memory::Recycled => Arc::new(RecyclingSegment::new(len)),
            Memory::RecycledLarge => Arc::new(RecyclingSegment::new(1 << 20)),
        };
        Shared {
            fs: MemFs::new(),
            segment,
            all: Arc::default(),
            options,
        }
    }

    /// The first member founds the segment and leads, the others join.
    pub(super) fn member(&self, founds: bool) -> Member {
        self.member_over(founds, Arc::new(self.fs.clone()))
    }

    /// The same, which reaches the files in its own way.
    pub(super) fn member_over(&self, founds: bool, fs: Arc<dyn Fs>) -> Member {
        let peers = Arc::new(Scripted {
            all: Arc::clone(&self.all),
            stop: Mutex::new(Stop::Nowhere),
            changed: Condvar::new(),
        });
        let incarnation = match founds {
            true => first_incarnation(7),
            false => next_incarnation(self.segment.as_ref()).unwrap(),
        };
        let membership = Membership {
            segment: Arc::clone(&self.segment),
            peers: Arc::clone(&peers) as _,
            incarnation,
        };
        let options = self.options.clone();
        let engine = match founds {
            true => Engine::found(fs, options, membership),
            false => Engine::join(fs, options, membership),
        };
        Member {
            engine: engine.unwrap(),
            peers,
        }
    }

    /// A founder and another member.
    pub(super) fn two_members(&self) -> (Member, Member) {
        (self.member(true), self.member(false))
    }

    /// How often anybody's death was asked for.
    pub(super) fn asked(&self) -> usize {
        self.all.asked()
    }

    /// What an opening finds in the files as they are now: as if all members died.
    pub(super) fn reopened(&self) -> Contents {
        let copy = || -> BTreeMap<String, Vec<u8>> {
            let names = self.fs.list().unwrap().into_iter();
            // The leader may remove some meanwhile.
            names
                .filter_map(|name| Some((name.clone(), self.fs.read(&name).ok()?)))
                .collect()
        };
        let files = MemFs::new();
        let mut copied = copy();
        // If nothing changes between two copies, both are of one moment.
        loop {
            let again = copy();
            if again == copied {
                break;
            }
            copied = again;
        }
        for (name, bytes) in copied {
            files.write(&name, bytes);
        }
        let engine = Engine::open(Arc::new(files), self.options.clone()).unwrap();
        assert_eq!(engine.recovered().dropped, Vec::<String>::new());
        contents(&engine)
    }
}

/// A thread that writes for a member until it is stopped.
pub(super) struct Stopped {
    peers: Arc<Scripted>,
    thread: Option<JoinHandle<()>>,
}

impl Member {
    /// Lets `act` run until it reaches a step, on a thread of its own.
    pub(super) fn stop_at(
        &self,
        step: Step,
        act: impl FnOnce(&Engine) + Send + 'static,
    ) -> Stopped {
        let stopped = self.try_to_stop_at(step, act);
        stopped.unwrap_or_else(|| panic!("{step:?} was not reached"))
    }

    /// The same; nothing if it ended before.
    fn try_to_stop_at(
        &self,
        step: Step,
        act: impl FnOnce(&Engine) + Send + 'static,
    ) -> Option<Stopped> {
        *self.peers.stop.lock() = Stop::At(step);
        let engine = self.engine.clone();
        let bug = planted::on_this_thread();
        let act = move || {
            planted::switch_on(bug);
            act(&engine);
        };
        let thread = Builder::new().spawn(act).unwrap();
        let mut stop = self.peers.stop.lock();
        while *stop != Stop::Stopped {
            if thread.is_finished() {
                *stop = Stop::Nowhere;
                return None;
            }
            self.peers
                .changed
                .wait_for(&mut stop, Duration::from_millis(50));
        }
        drop(stop);
        Some(Stopped {
            peers: Arc::clone(&self.peers),
            thread: Some(thread),
        })
    }

    /// Keeps this leader from flushing what is frozen from now on.
    pub(super) fn flush_nothing(&self) -> Idle {
        self.idle_at(Step::Flush)
    }

    /// Keeps this leader's thread from doing anything from now on.
    pub(super) fn do_nothing(&self) -> Idle {
        self.idle_at(Step::Work)
    }

    fn idle_at(&self, step: Step) -> Idle {
        *self.peers.stop.lock() = Stop::At(step);
        Idle(Arc::clone(&self.peers))
    }

    /// As [`Member::stop_at`], and what was stopped never goes on.
    pub(super) fn die_at(&self, step: Step, act: impl FnOnce(&Engine) + Send + 'static) -> Stopped {
        let stopped = self.try_to_die_at(step, act);
        stopped.unwrap_or_else(|| panic!("{step:?} was not reached"))
    }

    /// The same; nothing if it ended before.
    pub(super) fn try_to_die_at(
        &self,
        step: Step,
        act: impl FnOnce(&Engine) + Send + 'static,
    ) -> Option<Stopped> {
        let stopped = self.try_to_stop_at(step, act)?;
        self.peers.all.declare_dead(self.engine.shared.member.own);
        Some(stopped)
    }
}

/// The leader's thread goes no further than to a step as long as this lives.
pub(super) struct Idle(Arc<Scripted>);

impl Drop for Idle {
    fn drop(&mut self) {
        *self.0.stop.lock() = Stop::GoesOn;
        self.0.changed.notify_all();
    }
}

impl Stopped {
    pub(super) fn go_on(mut self) {
        *self.peers.stop.lock() = Stop::GoesOn;
        self.peers.changed.notify_all();
        let thread = self.thread.take();
        if let Some(thread) = thread {
            thread.join().unwrap();
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        *self.peers.stop.lock() = Stop::Ends;
        self.peers.changed.notify_all();
        let thread = self.thread.take();
        // It ends in a panic.
        thread.map(JoinHandle::join);
    }
}

/// The steps of a commit, and whether what is committed is published when one is reached.
pub(super) const COMMIT: [(Step, bool); 9] = [
    (Step::LockTaken, false),
    (Step::RecordStart, false),
    (Step::RecordLast, false),
    (Step::RecordEnd, false),
    (Step::Append, false),
    (Step::Insert, false),
    (Step::Publish, false),
    (Step::Unlock, true),
    (Step::Answer, true),
];

/// The steps of a switch.
pub(super) const SWITCH: [Step; 4] = [Step::SetUp, Step::Install, Step::Name, Step::Named];

pub(super) fn text(number: usize) -> Vec<u8> {
    format!("{number:06}").into_bytes()
}

/// Puts entries of 100 bytes, whose keys begin so, and notes them.
pub(super) fn fill(engine: &Engine, prefix: &str, count: usize, noted: &mut Contents) {
    for number in 0..count {
        let key = format!("{prefix}{number:04}").into_bytes();
        let value = [text(number), vec![b'.'; 94]].concat();
        put(engine, &key, &value).unwrap();
        noted.insert(key, value);
    }
}

/// One member dies in a commit, at each step, once the founder and once one that joined.
pub(crate) fn deaths_in_commits_lose_nothing(memory: Memory) {
    for (step, is_published) in COMMIT {
        for founder_dies in [false, true] {
            let shared = Shared::new(memory, tiny());
            let (one, other) = shared.two_members();
            let (dying, living) = match founder_dies {
                true => (one, other),
                false => (other, one),
            };
            let mut noted = Contents::new();
            fill(&dying.engine, "a", 20, &mut noted);
            fill(&living.engine, "b", 20, &mut noted);
            assert_eq!(contents(&dying.engine), noted);
            let stopped = dying.die_at(step, |engine| {
                let _ = put(engine, b"a0003", b"last words");
            });
            if is_published {
                noted.insert(b"a0003".to_vec(), b"last words".to_vec());
            }
            assert_eq!(contents(&living.engine), noted, "{step:?}");
            let found = shared.reopened();
            // Its record is whole, and nobody was there to cut it off.
            let is_in_log = [Step::Insert, Step::Publish].contains(&step);
            if !is_in_log {
                assert_eq!(found, noted, "{step:?}, all dead");
            }
            // Unpublished entries stay in a frozen memtable for a while.
            let frozen = (!founder_dies).then(|| living.flush_nothing());
            fill(&living.engine, "c", 20, &mut noted);
            assert_eq!(contents(&living.engine), noted, "{step:?}, afterwards");
            assert_eq!(
                get(&living.engine, b"a0003"),
                noted.get(&b"a0003"[..]).cloned()
            );
            drop(frozen);
            assert_eq!(shared.reopened(), noted, "{step:?}, in the files");
            if !founder_dies {
                living.engine.compact_range(None, None).unwrap();
                assert_eq!(contents(&living.engine), noted, "{step:?}, in tables");
                assert_eq!(shared.reopened(), noted, "{step:?}, in tables");
            }
            drop(stopped);
        }
    }
}

/// An append fails in one member, which dies while it undoes that, or goes on; the other goes on where the log ends.
pub(crate) fn failed_appends_leave_nothing(memory: Memory) {
    let steps = [Step::CutFailed, Step::RestoreEnd, Step::RestoreLast];
    for dies_at in steps.map(Some).into_iter().chain([None]) {
        let shared = Shared::new(memory, tiny());
        let living = shared.member(true);
        let fs = SpyFs::new(shared.fs.clone());
        let failing = shared.member_over(false, Arc::new(fs.clone()));
        let mut noted = Contents::new();
        fill(&failing.engine, "a", 20, &mut noted);
        fs.refuse(|call| {
            call.is_append(".log")
                .then(|| std::io::ErrorKind::StorageFull.into())
        });
        let long = |engine: &Engine| put(engine, b"never", &[7; 3_000]);
        let dead = match dies_at {
            Some(step) => Some(failing.die_at(step, move |engine| {
                let _ = long(engine);
            })),
            None => {
                let error = long(&failing.engine).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
                None
            }
        };
        if dies_at != Some(Step::CutFailed) {
            // Else the end of the log is torn.
            assert_eq!(shared.reopened(), noted, "{dies_at:?}, all dead");
        }
        fill(&living.engine, "b", 20, &mut noted);
        assert_eq!(contents(&living.engine), noted, "{dies_at:?}");
        assert_eq!(shared.reopened(), noted, "{dies_at:?}, in the files");
        if dies_at.is_none() {
            fs.refuse_nothing();
            fill(&failing.engine, "c", 20, &mut noted);
            assert_eq!(contents(&living.engine), noted, "both go on");
            assert_eq!(shared.reopened(), noted, "both, in the files");
        }
        drop(dead);
    }
}

/// One member dies in a switch, at each step.
fn deaths_in_switches_lose_nothing(memory: Memory) {
    for step in SWITCH {
        let shared = Shared::new(memory, tiny());
        let (living, dying) = shared.two_members();
        let mut noted = Contents::new();
        fill(&living.engine, "a", 20, &mut noted);
        let written = Arc::new(Mutex::new(Contents::new()));
        let writes = Arc::clone(&written);
        let stopped = dying.die_at(step, move |engine| {
            for number in 0.. {
                let (key, value) = (format!("b{number:04}").into_bytes(), vec![b'.'; 100]);
                put(engine, &key, &value).unwrap();
                writes.lock().insert(key, value);
            }
        });
        noted.append(&mut written.lock().clone());
        assert_eq!(contents(&living.engine), noted, "{step:?}");
        assert_eq!(shared.reopened(), noted, "{step:?}, all dead");
        let frozen = living.flush_nothing();
        fill(&living.engine, "b", 1, &mut noted);
        assert_eq!(shared.reopened(), noted, "{step:?}, in logs");
        drop(frozen);
        fill(&living.engine, "c", 600, &mut noted);
        assert_eq!(contents(&living.engine), noted, "{step:?}, afterwards");
        assert_eq!(shared.reopened(), noted, "{step:?}, in the files");
        drop(stopped);
    }
}

/// One member dies in a commit or a switch, and the one that takes the lock over dies while it repairs; the third finds
/// what both left.
pub(crate) fn deaths_in_repairs_lose_nothing(memory: Memory) {
    let repair = [Step::LockTaken, Step::Cut];
    for first in [Step::Append, Step::Publish, Step::SetUp, Step::Name] {
        // A member that died in a switch left nothing to cut: another switch takes a write that needs room.
        let switches = [Step::SetUp, Step::Name].contains(&first);
        let steps = repair.into_iter().chain(SWITCH);
        for second in steps.filter(|step| !switches || *step != Step::Cut) {
            let shared = Shared::new(memory, tiny());
            let living = shared.member(true);
            let (one, other) = (shared.member(false), shared.member(false));
            let mut noted = Contents::new();
            fill(&other.engine, "a", 20, &mut noted);
            let written = Arc::new(Mutex::new(Contents::new()));
            let writes = Arc::clone(&written);
            let first_dead = one.die_at(first, move |engine| {
                for number in 0.. {
                    let (key, value) = (format!("b{number:04}").into_bytes(), vec![b'.'; 100]);
                    put(engine, &key, &value).unwrap();
                    writes.lock().insert(key, value);
                }
            });
            noted.append(&mut written.lock().clone());
            let second_dead = other.die_at(second, move |engine| {
                let len = if switches { 1 << 10 } else { 0 };
                let _ = put(engine, b"never", &vec![b'.'; len]);
            });
            assert_eq!(contents(&living.engine), noted, "{first:?}, {second:?}");
            if !repair.contains(&second) {
                // The first one's bytes in the log are cut off, and nothing follows them.
                assert_eq!(shared.reopened(), noted, "{first:?}, {second:?}, cut");
            }
            fill(&living.engine, "c", 20, &mut noted);
            let now = contents(&living.engine);
            assert_eq!(now, noted, "{first:?}, {second:?}, afterwards");
            assert_eq!(shared.reopened(), noted, "{first:?}, {second:?}, files");
            drop((first_dead, second_dead));
        }
    }
}

/// The leader dies while it publishes a flush or a compaction, at each step; another member goes on in its place, from the
/// same segment.
pub(crate) fn deaths_of_leaders_change_nothing(memory: Memory) {
    let steps = [
        Step::Flush,
        Step::AppendEdit,
        Step::PublishVersion,
        Step::Remove,
    ];
    for step in steps {
        let shared = Shared::new(memory, tiny());
        let (leader, next) = (shared.member(true), shared.member(false));
        let mut noted = Contents::new();
        fill(&leader.engine, "a", 300, &mut noted);
        leader.engine.flush().unwrap();
        fill(&next.engine, "b", 20, &mut noted);
        let stopped = leader.die_at(step, |engine| {
            // It waits for the leader's thread.
            let _ = engine.flush();
        });
        assert_eq!(contents(&next.engine), noted, "{step:?}");
        assert_eq!(shared.reopened(), noted, "{step:?}, all dead");
        fill(&next.engine, "c", 20, &mut noted);
        next.engine.lead().unwrap();
        assert_eq!(contents(&next.engine), noted, "{step:?}, succeeded");
        assert_eq!(shared.reopened(), noted, "{step:?}, in the files");
        fill(&next.engine, "d", 900, &mut noted);
        next.engine.compact_range(None, None).unwrap();
        assert_eq!(contents(&next.engine), noted, "{step:?}, in tables");
        assert_eq!(shared.reopened(), noted, "{step:?}, in tables");
        drop(stopped);
    }
}

/// A successor dies at each of its steps; the one after it goes on, while a third member writes.
pub(crate) fn deaths_of_successors_change_nothing(memory: Memory) {
    for step in [Step::WriteManifest, Step::PublishVersion, Step::Remove] {
        let shared = Shared::new(memory, tiny());
        let (leader, next) = (shared.member(true), shared.member(false));
        let last = shared.member(false);
        let mut noted = Contents::new();
        fill(&leader.engine, "a", 300, &mut noted);
        let first_dead = leader.die_at(Step::Flush, |engine| {
            let _ = engine.flush();
        });
        let second_dead = next.die_at(step, |engine| {
            engine.lead().unwrap();
            let _ = engine.flush();
        });
        fill(&last.engine, "b", 20, &mut noted);
        assert_eq!(contents(&last.engine), noted, "{step:?}");
        assert_eq!(shared.reopened(), noted, "{step:?}, all dead");
        last.engine.lead().unwrap();
        fill(&last.engine, "c", 900, &mut noted);
        last.engine.compact_range(None, None).unwrap();
        assert_eq!(contents(&last.engine), noted, "{step:?}, in tables");
        assert_eq!(shared.reopened(), noted, "{step:?}, in tables");
        drop((first_dead, second_dead));
    }
}

/// A member that stands still with the lock keeps it: nobody else commits, everybody reads, and it goes on where it was.
pub(crate) fn stopped_holder_keeps_the_lock(memory: Memory) {
    for (step, _) in &COMMIT[..7] {
        let shared = Shared::new(memory, tiny());
        let (other, holder) = shared.two_members();
        put(&other.engine, b"a", b"before").unwrap();
        let stopped = holder.stop_at(*step, |engine| {
            put(engine, b"a", b"the holder's").unwrap();
        });
        let engine = other.engine.clone();
        let bug = planted::on_this_thread();
        let waiting = std::thread::spawn(move || {
            planted::switch_on(bug);
            put(&engine, b"b", b"the other's").unwrap();
        });
        // It has asked for the holder's death some times.
        while shared.all.asked() < 5 && !waiting.is_finished() {
            std::thread::yield_now();
        }
        assert_eq!(get(&other.engine, b"a").unwrap(), b"before", "{step:?}");
        assert_eq!(get(&other.engine, b"b"), None, "{step:?}");
        stopped.go_on();
        waiting.join().unwrap();
        for engine in [&other.engine, &holder.engine] {
            assert_eq!(get(engine, b"a").unwrap(), b"the holder's");
            assert_eq!(get(engine, b"b").unwrap(), b"the other's");
        }
    }
}

/// Members write at once, through switches and flushes; each write has its own sequence, and the last one to a key stays.
pub(crate) fn members_write_at_once(memory: Memory) {
    const EACH: usize = 1_500;
    let shared = Shared::new(memory, tiny());
    let members: Vec<Member> = [true, false, false].map(|f| shared.member(f)).into();
    for number in 0..600 {
        // Each goes on where another one wrote.
        let key = text(number * 7 % 400);
        let engine = &members[number % members.len()].engine;
        put(engine, &key, b"in turns").unwrap();
        assert_eq!(get(engine, &key).as_deref(), Some(&b"in turns"[..]));
    }
    let writes = Mutex::new(BTreeMap::new());
    let bug = planted::on_this_thread();
    std::thread::scope(|threads| {
        for (of, member) in members.iter().enumerate() {
            let writes = &writes;
            threads.spawn(move || {
                planted::switch_on(bug);
                for number in 0..EACH {
                    let key = text(number * 7 % 400);
                    let value = format!("{of} {number} ..........................").into_bytes();
                    let sequence = put(&member.engine, &key, &value).unwrap();
                    let before = writes.lock().insert(sequence, (key.clone(), value));
                    assert_eq!(before, None, "a sequence was given twice");
                    assert!(get(&member.engine, &key).is_some());
                }
            });
        }
    });
    let writes = writes.into_inner();
    assert_eq!(writes.len(), members.len() * EACH);
    let noted: Contents = writes.into_values().collect();
    for member in &members {
        assert_eq!(contents(&member.engine), noted);
    }
    assert_eq!(shared.reopened(), noted);
}

/// Members count by writes under conditions, through switches and flushes; no step is lost, and none done twice.
pub(crate) fn conditional_counts_are_exact(memory: Memory) {
    const EACH: usize = 500;
    const COUNTERS: usize = 2;
    let shared = Shared::new(memory, tiny());
    let members: Vec<Member> = [true, false, false].map(|f| shared.member(f)).into();
    let bug = planted::on_this_thread();
    std::thread::scope(|threads| {
        for member in &members {
            threads.spawn(move || {
                planted::switch_on(bug);
                for number in 0..EACH {
                    count_one(&member.engine, &text(number % COUNTERS), number % 3 == 0);
                }
            });
        }
    });
    let each = members.len() * EACH / COUNTERS;
    for member in &members {
        for counter in 0..COUNTERS {
            assert_eq!(count_of(&member.engine, &text(counter)).0, each);
        }
    }
    let found = shared.reopened();
    let counted = found.values().map(|value| parse_count(value));
    assert_eq!(counted.collect::<Vec<_>>(), [each; COUNTERS]);
}

/// Adds one to a counter, by a condition on its key or on a range with nothing else.
fn count_one(engine: &Engine, key: &[u8], by_range: bool) {
    loop {
        let (count, sequence) = count_of(engine, key);
        let mut batch = WriteBatch::new();
        batch.put(key, format!("{:<200}", count + 1).as_bytes());
        let write = Write::new(batch);
        let write = match (sequence, by_range) {
            (None, _) => write.condition(key, Expect::Absent),
            (Some(sequence), false) => write.condition(key, Expect::Sequence(sequence)),
            (Some(sequence), true) => write.untouched(KeyRange::prefix(key), sequence),
        };
        match engine.write(write) {
            Ok(_) => return,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
        }
    }
}

fn count_of(engine: &Engine, key: &[u8]) -> (usize, Option<u64>) {
    let found = engine.get(key).unwrap();
    found.map_or((0, None), |entry| {
        (parse_count(&entry.value), Some(entry.sequence))
    })
}

fn parse_count(value: &[u8]) -> usize {
    let text = std::str::from_utf8(value).unwrap();
    text.trim_end().parse().unwrap()
}

#[test]
fn member_death_at_each_commit_step_loses_nothing() {
    EACH_MEMORY
        .into_iter()
        .for_each(deaths_in_commits_lose_nothing);
}

/// Two members prepare a log for the next region; one of them makes it.
#[test]
fn prepared_log_that_is_not_used_is_given_up() {
    let shared = Shared::new(Memory::Own, tiny());
    let (one, other) = shared.two_members();
    let logs = || names(&shared.fs, ".log");
    put(&other.engine, b"b", b"1").unwrap();
    let stopped = one.stop_at(Step::SetUp, |engine| {
        fill(engine, "a", 150, &mut Contents::new());
    });
    let prepared = logs().len();
    let engine = other.engine.clone();
    let waiting = std::thread::spawn(move || put(&engine, b"b", &[7; 16 << 10]).unwrap());
    while logs().len() == prepared {
        std::thread::yield_now();
    }
    let unused = logs().pop().unwrap();
    stopped.go_on();
    waiting.join().unwrap();
    assert!(!logs().contains(&unused), "{unused} is given up");
    let shown = contents(&one.engine);
    assert_eq!(shown.len(), 150 + 1);
    assert_eq!(shared.reopened(), shown);
}

#[test]
fn append_that_fails_in_one_member_stops_no_other() {
    EACH_MEMORY
        .into_iter()
        .for_each(failed_appends_leave_nothing);
}

#[test]
fn member_death_at_each_switch_step_loses_nothing() {
    EACH_MEMORY
        .into_iter()
        .for_each(deaths_in_switches_lose_nothing);
}

#[test]
fn taker_death_inside_repair_is_repaired() {
    EACH_MEMORY
        .into_iter()
        .for_each(deaths_in_repairs_lose_nothing);
}

#[test]
fn leader_death_at_each_publication_step_changes_nothing() {
    EACH_MEMORY
        .into_iter()
        .for_each(deaths_of_leaders_change_nothing);
}

#[test]
fn successor_death_at_each_step_loses_nothing() {
    EACH_MEMORY
        .into_iter()
        .for_each(deaths_of_successors_change_nothing);
}

#[test]
fn stopped_holder_is_never_taken_over() {
    EACH_MEMORY
        .into_iter()
        .for_each(stopped_holder_keeps_the_lock);
}

#[test]
fn members_that_write_at_once_lose_nothing() {
    EACH_MEMORY.into_iter().for_each(members_write_at_once);
}

/// A write whose condition did not hold when it was judged first, and does under the lock, was not counted when room was
/// made: more than the memory of the region holds.
#[test]
fn write_that_holds_at_the_second_look_has_room() {
    let shared = Shared::new(Memory::Own, tiny());
    let (one, other) = shared.two_members();
    put(&one.engine, b"key", b"").unwrap();
    let stopped = one.stop_at(Step::Publish, |engine| {
        delete(engine, b"key").unwrap();
    });
    let engine = other.engine.clone();
    let large = std::thread::spawn(move || {
        let mut batch = WriteBatch::new();
        batch.put(b"key", &[b'.'; 200 << 10]);
        engine.write(Write::new(batch).condition(b"key", Expect::Absent))
    });
    // It was judged, and waits for the lock.
    while shared.all.asked() < 2 && !large.is_finished() {
        std::thread::yield_now();
    }
    stopped.go_on();
    large.join().unwrap().unwrap();
    assert_eq!(get(&one.engine, b"key").unwrap().len(), 200 << 10);
}

#[test]
fn conditional_counts_of_members_are_exact() {
    EACH_MEMORY
        .into_iter()
        .for_each(conditional_counts_are_exact);
}
