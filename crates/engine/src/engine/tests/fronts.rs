//! The first and the last key, again and again, of members that remember where removed keys lie (`read/dead_ranges.rs`).
//!
//! What must hold: each answer is that of a model which knows nothing of removed keys, at every moment that is pinned; and
//! what is remembered is used, else nothing is tested.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::scope;

use super::super::Engine;
use super::members::{EACH_MEMORY, Member, Memory, Shared, text};
use crate::base::steps::Step;
use crate::support::{Rng, backward, delete, get, put, tiny};
use crate::{Cursor, Expect, Options, Pin, Write, WriteBatch};

/// Keys that are put and removed.
const KEYS: u64 = 400;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn options(write_buffer_size: usize) -> Options {
    Options {
        write_buffer_size,
        ..tiny()
    }
}

/// How often a member's scans used what was remembered.
fn uses(engine: &Engine) -> u64 {
    engine.view().unwrap().dead_ranges().uses()
}

fn shown(cursor: &Cursor) -> Option<Vec<u8>> {
    cursor.valid().then(|| cursor.key().to_vec())
}

/// The first key at or after a bound, and the last before it, as a scan finds them.
fn around(mut cursor: Cursor, bound: Option<&[u8]>) -> [Option<Vec<u8>>; 2] {
    match bound {
        Some(bound) => cursor.seek(bound).unwrap(),
        None => cursor.seek_to_first().unwrap(),
    }
    let first = shown(&cursor);
    match bound {
        Some(bound) => cursor.seek_before(bound).unwrap(),
        None => cursor.seek_to_last().unwrap(),
    }
    [first, shown(&cursor)]
}

/// The same of a model. `ascending`: the order of the keys' bytes is that of the database.
fn expected(model: &Model, bound: Option<&[u8]>, ascending: bool) -> [Option<Vec<u8>>; 2] {
    let key = |(key, _): (&Vec<u8>, &Vec<u8>)| key.clone();
    let (mut first, mut last) = match (bound, ascending) {
        (None, _) => (model.range::<[u8], _>(..), model.range::<[u8], _>(..)),
        (Some(bound), true) => (
            model.range::<[u8], _>((Included(bound), Unbounded)),
            model.range::<[u8], _>((Unbounded, Excluded(bound))),
        ),
        (Some(bound), false) => (
            model.range::<[u8], _>((Unbounded, Included(bound))),
            model.range::<[u8], _>((Excluded(bound), Unbounded)),
        ),
    };
    match ascending {
        true => [first.next().map(key), last.next_back().map(key)],
        false => [first.next_back().map(key), last.next().map(key)],
    }
}

/// Members over one model.
struct World {
    members: Vec<Member>,
    model: Model,
    pinned: Vec<(usize, Pin, Model)>,
    random: Rng,
    ascending: bool,
}

impl World {
    fn engine(&mut self) -> Engine {
        let at = self.random.below(self.members.len() as u64) as usize;
        self.members[at].engine.clone()
    }

    fn bound(&mut self) -> Option<Vec<u8>> {
        // Mostly the same few, as of queues.
        match self.random.below(8) {
            0..4 => None,
            4..6 => Some(text(100)),
            6 => Some(text(300)),
            _ => Some(text(self.random.below(KEYS) as usize)),
        }
    }

    fn check(&mut self) -> [Option<Vec<u8>>; 2] {
        let (engine, bound) = (self.engine(), self.bound());
        let bound = bound.as_deref();
        let found = around(engine.cursor().unwrap(), bound);
        assert_eq!(found, expected(&self.model, bound, self.ascending));
        found
    }

    fn remove(&mut self, key: &[u8]) {
        self.model.remove(key);
        delete(&self.engine(), key).unwrap();
    }

    fn put(&mut self, key: usize) {
        let value = vec![b'v'; self.random.below(40) as usize];
        put(&self.engine(), &text(key), &value).unwrap();
        self.model.insert(text(key), value);
    }

    fn fill(&mut self) {
        // Small regions hold few entries.
        for keys in (0..KEYS as usize).collect::<Vec<_>>().chunks(20) {
            let mut batch = WriteBatch::new();
            for key in keys.iter().copied().map(text) {
                batch.put(&key, b"");
                self.model.insert(key, Vec::new());
            }
            self.engine().write(Write::new(batch)).unwrap();
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..50 => {
                let [first, last] = self.check();
                let key = if self.random.one_in(3) { last } else { first };
                if let Some(key) = key {
                    self.remove(&key);
                }
            }
            50..62 => {
                let key = self.random.below(KEYS) as usize;
                self.put(key);
            }
            62..66 => {
                let key = self.random.below(KEYS) as usize;
                self.remove(&text(key));
            }
            66..80 => {
                self.check();
            }
            80..84 => {
                let at = self.random.below(self.members.len() as u64) as usize;
                let pin = self.members[at].engine.pin();
                self.pinned.push((at, pin, self.model.clone()));
                if self.pinned.len() > 6 {
                    let at = self.random.below(6) as usize;
                    self.pinned.remove(at);
                }
            }
            84..96 if !self.pinned.is_empty() => {
                let at = self.random.below(self.pinned.len() as u64) as usize;
                let bound = self.bound();
                let (of, pin, model) = &self.pinned[at];
                let cursor = self.members[*of].engine.cursor_at(pin.sequence()).unwrap();
                let found = around(cursor, bound.as_deref());
                let expected = expected(model, bound.as_deref(), self.ascending);
                assert_eq!(found, expected, "at {}", pin.sequence());
            }
            96 if self.random.one_in(4) => self.engine().flush().unwrap(),
            97 if self.random.one_in(8) => {
                self.members[0].engine.compact_range(None, None).unwrap();
            }
            98 if self.model.len() < 60 => self.fill(),
            _ => {}
        }
    }
}

/// Two members take from both ends and from the middle, put keys between what was removed, pin moments, and flush.
pub(crate) fn fronts_agree_with_a_model(memory: Memory) {
    let mut all_uses = 0;
    for (seed, write_buffer_size) in (0..).zip([2 << 10, 8 << 10, 32 << 10, 256 << 10]) {
        for ascending in [true, false] {
            let mut options = options(write_buffer_size);
            if !ascending {
                options.comparator = backward();
            }
            let shared = Shared::new(memory, options);
            let (one, other) = shared.two_members();
            let mut world = World {
                members: vec![one, other],
                model: Model::new(),
                pinned: Vec::new(),
                random: Rng(seed),
                ascending,
            };
            world.fill();
            (0..2_500).for_each(|_| world.step());
            all_uses += world.members.iter().map(|m| uses(&m.engine)).sum::<u64>();
        }
    }
    assert!(
        all_uses > 1_000,
        "removed keys were passed {all_uses} times"
    );
}

#[test]
fn first_and_last_agree_with_a_model() {
    for memory in EACH_MEMORY {
        fronts_agree_with_a_model(memory);
    }
}

/// Puts `count` keys and takes the first of them until `left` are left.
fn drained(engine: &Engine, count: usize, left: usize) {
    for key in 0..count {
        put(engine, &text(key), b"").unwrap();
    }
    for key in 0..count - left {
        let [first, _] = around(engine.cursor().unwrap(), None);
        assert_eq!(first, Some(text(key)));
        delete(engine, &text(key)).unwrap();
    }
}

fn first(engine: &Engine) -> Option<Vec<u8>> {
    around(engine.cursor().unwrap(), None)[0].clone()
}

/// A writer dies with a key in memory that is not published; its sequence is given again in the next region.
#[test]
fn key_of_a_dead_writer_is_not_taken_for_written() {
    for memory in EACH_MEMORY {
        let shared = Shared::new(memory, options(64 << 10));
        let (one, other) = shared.two_members();
        drained(&one.engine, 200, 50);
        assert_eq!(first(&other.engine), Some(text(150)));
        for key in [5, 9] {
            let dead = shared.member(false);
            let _dead = dead.die_at(Step::Publish, move |engine| {
                drop(put(engine, &text(key), b"unpublished"));
            });
            for member in [&one, &other] {
                assert_eq!(first(&member.engine), Some(text(150)), "{memory:?}");
            }
            put(&one.engine, &text(key + 1), b"published").unwrap();
            for member in [&one, &other] {
                assert_eq!(first(&member.engine), Some(text(key + 1)), "{memory:?}");
            }
            delete(&other.engine, &text(key + 1)).unwrap();
            for member in [&one, &other] {
                assert_eq!(first(&member.engine), Some(text(150)), "{memory:?}");
            }
        }
        assert!(uses(&one.engine) > 100 && uses(&other.engine) > 5);
    }
}

/// Many threads of two members claim what others put, in any place.
#[test]
fn each_job_is_claimed_once_though_members_remember() {
    const JOBS: usize = 3_000;
    for memory in EACH_MEMORY {
        let shared = Shared::new(memory, options(32 << 10));
        let (one, other) = shared.two_members();
        let claimed: Vec<AtomicUsize> = (0..JOBS).map(|_| AtomicUsize::new(0)).collect();
        let left = AtomicUsize::new(JOBS);
        let claim = |engine: &Engine| {
            let mut cursor = engine.cursor().unwrap();
            cursor.seek_to_first().unwrap();
            let Some(key) = shown(&cursor) else { return };
            let mut batch = WriteBatch::new();
            batch.delete(&key);
            let write = Write::new(batch).condition(&key, Expect::Sequence(cursor.sequence()));
            if engine.write(write).is_ok() {
                let number: usize = String::from_utf8(key).unwrap().parse().unwrap();
                claimed[number].fetch_add(1, Ordering::SeqCst);
                left.fetch_sub(1, Ordering::SeqCst);
            }
        };
        scope(|threads| {
            for (of, member) in [&one, &other].into_iter().enumerate() {
                threads.spawn(move || {
                    // Every second job, from the middle outward.
                    let own = (0..JOBS).filter(|job| job % 2 == of);
                    let mut own: Vec<usize> = own.collect();
                    own.sort_by_key(|job| job.abs_diff(JOBS / 2));
                    for job in own {
                        put(&member.engine, &text(job), b"").unwrap();
                    }
                });
                for _ in 0..2 {
                    let (claim, left) = (&claim, &left);
                    threads.spawn(move || {
                        while left.load(Ordering::SeqCst) > 0 {
                            claim(&member.engine);
                        }
                    });
                }
            }
        });
        assert!(
            claimed
                .iter()
                .all(|count| count.load(Ordering::SeqCst) == 1)
        );
        let fresh = shared.member(false);
        assert!((0..JOBS).all(|job| get(&fresh.engine, &text(job)).is_none()));
        assert!(uses(&one.engine) + uses(&other.engine) > 100);
    }
}

/// Where others write much elsewhere, what is remembered is worth a walk only now and then, and still never wrong.
#[test]
fn first_is_right_beside_many_writes_elsewhere() {
    for memory in EACH_MEMORY {
        let shared = Shared::new(memory, options(256 << 10));
        let (one, other) = shared.two_members();
        drained(&one.engine, 300, 200);
        for round in 0..60 {
            for key in 0..100 {
                put(&other.engine, format!("z{key}").as_bytes(), b"").unwrap();
            }
            if round % 7 == 3 {
                put(&other.engine, &text(round), b"").unwrap();
                assert_eq!(first(&one.engine), Some(text(round)));
                delete(&other.engine, &text(round)).unwrap();
            }
            assert_eq!(first(&one.engine), Some(text(100)));
        }
        assert!(uses(&one.engine) > 0);
    }
}
