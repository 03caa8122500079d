//! Tails of members: each sees what all commit, from the logs alone, once and in order, and nothing that is not published.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use level_party_locks::Mutex;

use super::members::{COMMIT, EACH_MEMORY, Memory, SWITCH, Shared, fill};
use super::members::{Contents, Member};
use crate::base::control::BellKind;
use crate::base::member::{Membership, first_incarnation, next_incarnation};
use crate::base::peers::LocalPeers;
use crate::base::segment::HeapSegment;
use crate::base::steps::Step;
use crate::engine::Engine;
use crate::planted;
use crate::support::{contents, put, sweep, tiny};
use crate::{Fs, MemFs, Op, Options, Sequence, Tail, TailItem};

/// Members that keep so many bytes of logs.
fn shared(memory: Memory, tail_bytes: usize) -> Shared {
    let options = Options {
        tail_bytes,
        ..tiny()
    };
    Shared::new(memory, options)
}

/// Room for all that is written here.
const ALL: usize = 1 << 30;

/// Applies what a tail has to a map, in order. Gives the gaps.
fn apply(tail: &mut Tail, map: &mut Contents) -> Vec<(Sequence, Sequence)> {
    let mut gaps = Vec::new();
    while let Some(item) = tail.try_next().unwrap() {
        apply_one(&item, map, &mut gaps);
    }
    gaps
}

fn apply_one(item: &TailItem, map: &mut Contents, gaps: &mut Vec<(Sequence, Sequence)>) {
    match item {
        TailItem::Gap(gap) => gaps.push((gap.from, gap.resume)),
        TailItem::Batch(committed) => {
            for (_, op) in committed.ops() {
                match op {
                    Op::Put { key, value } => drop(map.insert(key.to_vec(), value.to_vec())),
                    Op::Delete { key } => drop(map.remove(key)),
                }
            }
        }
    }
}

/// A tail shows what a member reads.
fn shows(tail: &mut Tail, map: &mut Contents, member: &Member, what: &str) {
    assert_eq!(apply(tail, map), [], "{what}");
    assert_eq!(*map, contents(&member.engine), "{what}");
    assert_eq!(tail.position(), member.engine.last_sequence() + 1, "{what}");
}

/// One member dies in a commit, at each step. Those who follow see its last write if it was published; else what another one
/// commits in its place, after the log was cut.
pub(crate) fn tails_see_what_is_published(memory: Memory) {
    for (step, is_published) in COMMIT {
        let shared = shared(memory, ALL);
        let (living, dying) = shared.two_members();
        let watcher = shared.member(false);
        let mut noted = Contents::new();
        fill(&dying.engine, "a", 20, &mut noted);
        let mut tails = [&living, &watcher].map(|member| member.engine.tail_from(1).unwrap());
        let mut maps = [Contents::new(), Contents::new()];
        for (tail, map) in tails.iter_mut().zip(&mut maps) {
            shows(tail, map, &watcher, "before");
        }
        let stopped = dying.die_at(step, |engine| {
            let _ = put(engine, b"a0003", b"last words");
        });
        for (tail, map) in tails.iter_mut().zip(&mut maps) {
            shows(
                tail,
                map,
                &watcher,
                &format!("{step:?}, published: {is_published}"),
            );
        }
        // One begins now, and looks at all of the log.
        let late = &mut watcher.engine.tail_from(1).unwrap();
        shows(
            late,
            &mut Contents::new(),
            &watcher,
            &format!("{step:?}, late"),
        );
        fill(&living.engine, "c", 200, &mut noted);
        for (tail, map) in tails.iter_mut().zip(&mut maps) {
            shows(tail, map, &watcher, &format!("{step:?}, afterwards"));
        }
        drop(stopped);
    }
}

#[test]
fn watch_delivers_nothing_beyond_published() {
    EACH_MEMORY
        .into_iter()
        .for_each(tails_see_what_is_published);
}

#[test]
fn watch_goes_on_over_a_death_in_a_switch() {
    for memory in EACH_MEMORY {
        for step in SWITCH {
            let shared = shared(memory, ALL);
            let (living, dying) = shared.two_members();
            let mut tail = living.engine.tail_from(1).unwrap();
            let mut map = Contents::new();
            let stopped = dying.die_at(step, |engine| {
                for number in 0..u64::MAX {
                    put(engine, &number.to_be_bytes(), &[b'.'; 100]).unwrap();
                }
            });
            shows(&mut tail, &mut map, &living, &format!("{step:?}"));
            fill(&living.engine, "c", 600, &mut Contents::new());
            shows(
                &mut tail,
                &mut map,
                &living,
                &format!("{step:?}, afterwards"),
            );
            drop(stopped);
        }
    }
}

/// Members write in turns through many switches. One who follows comes again and again, another one when all regions were
/// used many times over, and one begins in the middle.
#[test]
fn watch_sees_all_over_switches_and_recycled_regions() {
    for memory in EACH_MEMORY {
        let shared = shared(memory, ALL);
        let members = [true, false, false].map(|founds| shared.member(founds));
        let [_, _, watcher] = &members;
        let mut often = watcher.engine.tail_from(1).unwrap();
        let mut late = watcher.engine.tail_from(1).unwrap();
        let (mut seen, mut noted) = (Contents::new(), Contents::new());
        for round in 0..30 {
            let writer = &members[round % 2].engine;
            fill(writer, &format!("{round:02}-"), 100, &mut noted);
            shows(&mut often, &mut seen, watcher, &format!("round {round}"));
            if round == 0 {
                assert!(late.try_next().unwrap().is_some());
            }
        }
        // It has the first write already.
        let mut map: Contents = noted.clone().into_iter().take(1).collect();
        shows(&mut late, &mut map, watcher, "late");
        let mut middle = watcher.engine.tail_from(1_500).unwrap();
        assert_eq!(apply(&mut middle, &mut Contents::new()), []);
        assert_eq!(middle.position(), watcher.engine.last_sequence() + 1);
    }
}

#[test]
fn watch_that_comes_too_late_has_one_gap_up_to_the_oldest_log() {
    for memory in EACH_MEMORY {
        let shared = shared(memory, 30 << 10);
        let (leader, watcher) = shared.two_members();
        let mut tail = watcher.engine.tail_from(1).unwrap();
        let mut noted = Contents::new();
        for round in 0..10 {
            fill(&watcher.engine, &format!("{round}-"), 100, &mut noted);
        }
        leader.engine.flush().unwrap();
        sweep(&leader.engine);
        let mut map = Contents::new();
        let gaps = apply(&mut tail, &mut map);
        let [(1, resume)] = gaps[..] else {
            panic!("{gaps:?}");
        };
        assert_eq!(tail.position(), 1_001);
        assert_eq!(map.len() as u64, 1_001 - resume);
        // An entry takes about 130 bytes of a log; a log has up to a hundred of them.
        assert!((200..400).contains(&map.len()), "{}", map.len());
        assert!(map.iter().all(|(key, value)| noted.get(key) == Some(value)));
    }
}

/// The leader dies while it publishes, at each step, and another one leads: what it kept is kept, and nobody misses anything.
#[test]
fn watch_goes_on_over_leader_changes() {
    for memory in EACH_MEMORY {
        for step in [
            Step::Flush,
            Step::AppendEdit,
            Step::PublishVersion,
            Step::Remove,
        ] {
            let shared = shared(memory, ALL);
            let (leader, next) = shared.two_members();
            let watcher = shared.member(false);
            let mut tail = watcher.engine.tail_from(1).unwrap();
            let (mut map, mut noted) = (Contents::new(), Contents::new());
            fill(&leader.engine, "a", 300, &mut noted);
            leader.engine.flush().unwrap();
            fill(&next.engine, "b", 20, &mut noted);
            let stopped = leader.die_at(step, |engine| {
                let _ = engine.flush();
            });
            fill(&next.engine, "c", 20, &mut noted);
            next.engine.lead().unwrap();
            fill(&watcher.engine, "d", 900, &mut noted);
            next.engine.compact_range(None, None).unwrap();
            shows(&mut tail, &mut map, &watcher, &format!("{step:?}"));
            let late = &mut next.engine.tail_from(1).unwrap();
            shows(
                late,
                &mut Contents::new(),
                &watcher,
                &format!("{step:?}, late"),
            );
            drop(stopped);
        }
    }
}

/// Members write at once, through switches and flushes, while one waits in each for what comes. What is kept decides whether
/// there may be gaps.
#[test]
fn watch_beside_members_that_write_at_once_sees_each_write_once() {
    const EACH: u64 = 1_500;
    for (memory, tail_bytes) in [
        (Memory::Own, ALL),
        (Memory::Recycled, ALL),
        (Memory::Recycled, 1),
    ] {
        let shared = shared(memory, tail_bytes);
        let members = [true, false, false].map(|founds| shared.member(founds));
        let writes = Mutex::new(BTreeMap::new());
        let followed = thread::scope(|threads| {
            let following = members.each_ref().map(|member| {
                let mut tail = member.engine.tail_from(1).unwrap();
                threads.spawn(move || follow(&mut tail, 3 * EACH))
            });
            for (of, member) in members.iter().enumerate() {
                let writes = &writes;
                threads.spawn(move || {
                    for number in 0..EACH {
                        let key = format!("{of}-{number}").into_bytes();
                        let sequence = put(&member.engine, &key, &[b'.'; 60]).unwrap();
                        writes.lock().insert(sequence, key);
                    }
                });
            }
            following.map(|thread| thread.join().unwrap())
        });
        let writes = writes.into_inner();
        for (seen, missing) in followed {
            assert!(missing == 0 || tail_bytes < ALL, "{missing} are missing");
            assert_eq!(seen.len() as u64 + missing, 3 * EACH);
            for (sequence, key) in seen {
                assert_eq!(writes[&sequence], key);
            }
        }
    }
}

/// The keys that a tail tells by their sequences, up to `last`; and how many are missing.
fn follow(tail: &mut Tail, last: Sequence) -> (BTreeMap<Sequence, Vec<u8>>, u64) {
    let (mut seen, mut missing, mut next) = (BTreeMap::new(), 0, 1);
    while next <= last {
        match tail.wait_next().unwrap().unwrap() {
            TailItem::Gap(gap) => {
                assert_eq!(gap.from, next);
                missing += gap.resume - next;
                next = gap.resume;
            }
            TailItem::Batch(committed) => {
                for (sequence, op) in committed.ops() {
                    assert_eq!(sequence, next);
                    seen.insert(sequence, op.key().to_vec());
                    next += 1;
                }
            }
        }
        assert_eq!(tail.position(), next);
    }
    (seen, missing)
}

/// Engines that share a segment, and whose sleeps do not end by themselves. Each would keep so many bytes of logs.
fn members_of_one_process(tail_bytes: [usize; 2]) -> [Engine; 2] {
    let fs = MemFs::new();
    let segment = Arc::new(HeapSegment::new().unwrap());
    let peers = Arc::new(LocalPeers::default());
    [true, false].map(|founds| {
        let tail_bytes = tail_bytes[usize::from(!founds)];
        let fs: Arc<dyn Fs> = Arc::new(fs.clone());
        let place = Membership {
            segment: Arc::clone(&segment) as _,
            peers: Arc::clone(&peers) as _,
            incarnation: match founds {
                true => first_incarnation(7),
                false => next_incarnation(&*segment).unwrap(),
            },
        };
        let options = Options {
            tail_bytes,
            ..tiny()
        };
        let engine = match founds {
            true => Engine::found(fs, options, place),
            false => Engine::join(fs, options, place),
        };
        engine.unwrap()
    })
}

/// Whoever waits in one member is woken by commits of the other, by its waker and by its engine's close, each alone.
#[test]
fn sleeping_watch_is_woken_by_every_member() {
    let [one, other] = members_of_one_process([ALL; 2]);
    let mut tail = other.tail_from(1).unwrap();
    let waker = tail.waker();
    let bug = planted::on_this_thread();
    let (told, tells) = std::sync::mpsc::channel();
    let waiting = thread::spawn(move || {
        planted::switch_on(bug);
        loop {
            let item = tail.wait_next();
            let is_over = item.is_err();
            told.send(item).unwrap();
            if is_over {
                return;
            }
        }
    });
    for number in 0..200_u64 {
        let writer = [&one, &other][number as usize % 2];
        put(writer, &number.to_be_bytes(), b"").unwrap();
        let item = tells.recv().unwrap().unwrap();
        let Some(TailItem::Batch(batch)) = item else {
            panic!("{item:?}");
        };
        assert_eq!(batch.from(), number + 1);
    }
    waker.wake();
    assert!(tells.recv().unwrap().unwrap().is_none());
    other.close().unwrap();
    let error = tells.recv().unwrap().unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Closed);
    waiting.join().unwrap();
    put(&one, b"later", b"").unwrap();
}

#[test]
fn commits_that_nobody_waits_for_ring_nothing() {
    let [one, other] = members_of_one_process([ALL; 2]);
    let mut tail = other.tail_from(1).unwrap();
    let rings = || one.shared().member.control.bell(BellKind::Published).1;
    let before = rings();
    for number in 0..100_u64 {
        put(&one, &number.to_be_bytes(), &[0; 1_000]).unwrap();
        assert!(tail.try_next().unwrap().is_some());
    }
    assert_eq!(rings(), before);
}

#[test]
fn member_that_keeps_no_logs_has_no_tail_and_harms_none() {
    let [leader, other] = members_of_one_process([ALL, 0]);
    assert!(other.tail_from(1).is_err());
    let mut noted = Contents::new();
    fill(&other, "a", 300, &mut noted);
    leader.flush().unwrap();
    let mut map = Contents::new();
    let mut tail = leader.tail_from(1).unwrap();
    assert_eq!(apply(&mut tail, &mut map), []);
    assert_eq!(map, noted);
}
