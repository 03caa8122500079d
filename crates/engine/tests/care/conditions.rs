//! Conditional batches: against the published state, inside one group, between threads, and what the hooks hear.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use level_party_engine::{
    CommitHook, Conflict, Engine, Error, ErrorKind, Expect, MemFs, Write, WriteBatch,
};
use level_party_locks::Mutex;

use crate::support::{Call, Rng, SpyFs, batch_of, contents, delete, get, open, put, tiny};

fn write(key: &[u8], value: &[u8]) -> Write {
    Write::new(batch_of(key, value))
}

#[test]
fn a_batch_is_applied_only_if_every_condition_holds() {
    let engine = open(&MemFs::new(), &tiny());
    put(&engine, b"a", b"1").unwrap();
    put(&engine, b"b", b"1").unwrap();
    let both = |a, b| {
        write(b"c", b"new")
            .condition(b"a", Expect::Sequence(a))
            .condition(b"b", b)
            .condition(b"none", Expect::Absent)
    };
    let error = engine.write(both(1, Expect::Sequence(9))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let conflict = error.conflict().unwrap();
    assert_eq!((&conflict.key[..], conflict.found), (&b"b"[..], Some(2)));
    assert_eq!(conflict.expected, Expect::Sequence(9));
    let error = engine.write(both(1, Expect::Absent)).unwrap_err();
    assert_eq!(error.conflict().unwrap().found, Some(2));
    assert_eq!(engine.last_sequence(), 2, "a refusal uses no sequence");
    assert_eq!(get(&engine, b"c"), None);
    assert_eq!(engine.write(both(1, Expect::Sequence(2))).unwrap(), 3);
}

#[test]
fn deleted_key_is_absent_and_rewritten_key_is_newer() {
    let engine = open(&MemFs::new(), &tiny());
    put(&engine, b"a", b"same").unwrap();
    put(&engine, b"a", b"same").unwrap();
    let stale = engine.write(write(b"a", b"x").condition(b"a", Expect::Sequence(1)));
    assert_eq!(stale.unwrap_err().conflict().unwrap().found, Some(2));
    delete(&engine, b"a").unwrap();
    // The same on level 0, and where a tombstone was compacted away.
    for step in 0..3 {
        let gone = engine.write(write(b"b", b"x").condition(b"a", Expect::Sequence(2)));
        assert_eq!(gone.unwrap_err().conflict().unwrap().found, None);
        let absent = Write::new(WriteBatch::new()).condition(b"a", Expect::Absent);
        assert_eq!(engine.write(absent).unwrap(), 3);
        match step {
            0 => engine.flush().unwrap(),
            _ => engine.compact_range(None, None).unwrap(),
        }
    }
}

#[test]
fn second_of_two_equal_expectations_is_refused() {
    let engine = open(&MemFs::new(), &tiny());
    put(&engine, b"k", b"0").unwrap();
    let swap = |value: &[u8]| write(b"k", value).condition(b"k", Expect::Sequence(1));
    let mut gone = WriteBatch::new();
    gone.delete(b"k");
    let answers = engine.write_all(vec![
        swap(b"first"),
        swap(b"second"),
        write(b"other", b"x"),
        write(b"k", b"third").condition(b"k", Expect::Sequence(2)),
        Write::new(gone),
        write(b"k", b"fourth").condition(b"k", Expect::Absent),
        write(b"k", b"fifth").condition(b"k", Expect::Absent),
    ]);
    let found = |at: usize| answers[at].as_ref().unwrap_err().conflict().unwrap().found;
    assert_eq!(found(1), Some(2));
    assert_eq!(found(6), Some(6));
    let sequences: Vec<u64> = answers
        .iter()
        .filter_map(|a| a.as_ref().ok().copied())
        .collect();
    assert_eq!(sequences, [2, 3, 4, 5, 6]);
    assert_eq!(get(&engine, b"k").unwrap(), b"fourth");
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

struct Hook(&'static str, Heard);

impl CommitHook for Hook {
    fn claim(&mut self) -> bool {
        true
    }
    fn assigned(&mut self, last: u64) {
        self.1.0.lock().push(format!("{} assigned {last}", self.0));
    }
    fn decided(&mut self, last: u64) {
        self.1.0.lock().push(format!("{} decided {last}", self.0));
    }
    fn undone(&mut self) {
        self.1.0.lock().push(format!("{} undone", self.0));
    }
}

#[test]
fn refusal_is_told_before_the_next_writes_intent() {
    let heard = Heard::default();
    let engine = open(&MemFs::new(), &tiny());
    put(&engine, b"k", b"0").unwrap();
    let hooked = |name, write: Write| write.hook(Box::new(Hook(name, heard.clone())));
    engine.write_all(vec![
        hooked("early", write(b"x", b"1").condition(b"k", Expect::Absent)),
        hooked("put", write(b"k", b"1")),
        hooked(
            "late",
            write(b"x", b"1").condition(b"k", Expect::Sequence(1)),
        ),
        hooked("next", write(b"k", b"2")),
    ]);
    let expected = [
        "early decided 1",
        "put assigned 2",
        "late decided 2",
        "next assigned 3",
        "put decided 2",
        "next decided 3",
    ];
    assert_eq!(*heard.0.lock(), expected);
}

#[test]
fn refusal_by_the_own_group_falls_with_its_append() {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
    put(&engine, b"k", b"0").unwrap();
    fs.refuse(|call| call.is_append(".log").then(|| io::Error::other("no")));
    let heard = Heard::default();
    let hooked = |name, write: Write| write.hook(Box::new(Hook(name, heard.clone())));
    let answers = engine.write_all(vec![
        hooked("early", write(b"x", b"1").condition(b"k", Expect::Absent)),
        hooked("put", write(b"k", b"1")),
        hooked(
            "late",
            write(b"x", b"1").condition(b"k", Expect::Sequence(1)),
        ),
    ]);
    let kinds = answers.iter().map(|a| a.as_ref().unwrap_err().kind());
    assert!(kinds.eq([ErrorKind::Conflict, ErrorKind::Io, ErrorKind::Io]));
    let expected = [
        "early decided 1",
        "put assigned 2",
        "late decided 2",
        "put undone",
        "late undone",
    ];
    assert_eq!(*heard.0.lock(), expected);
}

#[test]
fn a_refused_write_appends_and_syncs_nothing() {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
    put(&engine, b"k", b"0").unwrap();
    fs.note("start");
    let refused = write(b"k", b"1").condition(b"k", Expect::Absent).sync(true);
    engine.write(refused).unwrap_err();
    assert_eq!(fs.calls_since("start"), [] as [Call; 0]);
}

#[test]
fn a_condition_that_cannot_be_read_fails_its_own_write_only() {
    let fs = MemFs::new();
    let engine = open(&fs, &tiny());
    put(&engine, b"k", b"0").unwrap();
    engine.flush().unwrap();
    let table = crate::support::names(&fs, ".ldb").pop().unwrap();
    fs.change(&table, |bytes| bytes[0] ^= 1).unwrap();
    let answers = engine.write_all(vec![
        write(b"x", b"1").condition(b"k", Expect::Absent),
        write(b"y", b"1"),
    ]);
    let error: &Error = answers[0].as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert_eq!(*answers[1].as_ref().unwrap(), 2);
}

#[test]
fn many_threads_that_compare_and_swap_one_key_lose_no_step() {
    const THREADS: u64 = 4;
    const STEPS: u64 = 200;
    let engine = open(&MemFs::new(), &tiny());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut done = 0;
                while done < STEPS {
                    let now = engine.get(b"counter").unwrap();
                    let count = now.as_ref().map_or(0, |entry| {
                        u64::from_le_bytes(entry.value[..].try_into().unwrap())
                    });
                    let expect =
                        now.map_or(Expect::Absent, |entry| Expect::Sequence(entry.sequence));
                    let next = write(b"counter", &(count + 1).to_le_bytes());
                    match engine.write(next.condition(b"counter", expect)) {
                        Ok(_) => done += 1,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict),
                    }
                }
            });
        }
    });
    let count = get(&engine, b"counter").unwrap();
    assert_eq!(count, (THREADS * STEPS).to_le_bytes());
}

#[test]
fn random_conditional_groups_match_a_model() {
    let mut rng = Rng(15);
    let engine = open(&MemFs::new(), &tiny());
    let mut model: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    let mut last = 0;
    for round in 0..1_500 {
        let mut writes = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..=rng.below(6) {
            let mut batch = WriteBatch::new();
            let mut next = model.clone();
            for at in 0..rng.below(4) {
                let key = vec![b'a' + rng.below(12) as u8; rng.below(3) as usize];
                if rng.one_in(3) {
                    batch.delete(&key);
                    next.remove(&key);
                } else {
                    batch.put(&key, &[b'v'; 40]);
                    next.insert(key, last + at + 1);
                }
            }
            let count = u64::from(batch.count());
            let mut write = Write::new(batch);
            let mut holds = true;
            for _ in 0..rng.below(3) {
                let key = vec![b'a' + rng.below(12) as u8; rng.below(3) as usize];
                let now = model.get(&key).copied();
                let expect = match rng.below(4) {
                    0 => Expect::Absent,
                    1 => Expect::Sequence(rng.below(last + 2)),
                    _ => now.map_or(Expect::Absent, Expect::Sequence),
                };
                holds &= expect.holds(now);
                write = write.condition(&key, expect);
            }
            if holds {
                model = next;
                last += count;
            }
            expected.push(holds.then_some(last));
            writes.push(write);
        }
        let answers = engine.write_all(writes);
        for (answer, expected) in answers.into_iter().zip(expected) {
            match answer {
                Ok(sequence) => assert_eq!(Some(sequence), expected),
                Err(error) => assert_eq!((error.kind(), expected), (ErrorKind::Conflict, None)),
            }
        }
        if round % 300 == 299 {
            engine.compact_range(None, None).unwrap();
        }
    }
    let shown: Vec<Vec<u8>> = contents(&engine).into_keys().collect();
    assert!(shown.iter().eq(model.keys()));
}

/// Keeps the conflict that it is told of.
struct Told(Arc<Mutex<Vec<Option<Conflict>>>>);

impl CommitHook for Told {
    fn claim(&mut self) -> bool {
        true
    }
    fn assigned(&mut self, _: u64) {
        panic!("a refused write gets no sequence");
    }
    fn refused(&mut self, error: &Error, _: u64) {
        self.0.lock().push(error.conflict().cloned());
    }
}

#[test]
fn a_hook_is_told_which_condition_did_not_hold() {
    let engine = open(&MemFs::new(), &tiny());
    let first = engine.write(write(b"k", b"1")).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = Box::new(Told(Arc::clone(&told)));
    let refused = write(b"k", b"2").condition(b"k", Expect::Absent).hook(hook);
    let error = engine.write(refused).unwrap_err();
    let conflict = Conflict {
        key: b"k".to_vec(),
        expected: Expect::Absent,
        found: Some(first),
    };
    assert_eq!(error.conflict(), Some(&conflict));
    assert_eq!(*told.lock(), [Some(conflict)]);
}
