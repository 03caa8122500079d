//! The tail of committed batches: order, resuming inside groups and batches, gaps, waiting, waking, closing.

use std::collections::BTreeMap;
use std::sync::Arc;

use level_party_engine::{
    Committed, Engine, ErrorKind, Expect, Gap, MemFs, Op, Options, Tail, TailItem, Write,
    WriteBatch,
};

use crate::support::{Rng, SpyFs, batch_of, contents, open, put, tiny};

fn options(tail_bytes: usize) -> Options {
    Options {
        tail_bytes,
        ..tiny()
    }
}

fn batch(tail: &mut Tail) -> Committed {
    match tail.try_next() {
        Some(TailItem::Batch(committed)) => committed,
        other => panic!("{other:?} is no batch"),
    }
}

fn gap(tail: &mut Tail) -> Gap {
    match tail.try_next() {
        Some(TailItem::Gap(gap)) => gap,
        other => panic!("{other:?} is no gap"),
    }
}

#[test]
fn a_group_is_given_batch_by_batch_and_can_be_entered_anywhere() {
    let engine = open(&MemFs::new(), &options(1 << 20));
    let mut two = batch_of(b"b", b"2");
    two.delete(b"a");
    engine.write_all(vec![
        Write::new(batch_of(b"a", b"1")),
        Write::new(two),
        Write::new(batch_of(b"x", b"no")).condition(b"a", Expect::Sequence(1)),
        Write::new(WriteBatch::new()),
        Write::new(batch_of(b"c", b"3")),
    ]);
    let mut tail = engine.tail_from(0).unwrap();
    let shown: Vec<(u64, u64)> = (0..3)
        .map(|_| batch(&mut tail))
        .map(|committed| (committed.from(), committed.last_sequence()))
        .collect();
    assert_eq!(shown, [(1, 1), (2, 3), (4, 4)]);
    assert!(tail.try_next().is_none());
    assert_eq!(tail.position(), 5);
    let mut inside = engine.tail_from(3).unwrap();
    let committed = batch(&mut inside);
    assert_eq!((committed.batch().sequence(), committed.from()), (2, 3));
    let ops: Vec<_> = committed.ops().collect();
    assert_eq!(ops, [(3, Op::Delete { key: b"a" })]);
}

#[test]
fn what_the_window_does_not_hold_is_a_gap_and_the_reader_goes_on_behind_it() {
    // No flush, whose log would be kept.
    let large = Options {
        write_buffer_size: 1 << 20,
        ..options(2_000)
    };
    let engine = open(&MemFs::new(), &large);
    for number in 0..100u8 {
        put(&engine, &[number], &[0; 100]).unwrap();
    }
    let mut tail = engine.tail_from(5).unwrap();
    let missing = gap(&mut tail);
    assert_eq!(missing.from, 5);
    assert!((80..100).contains(&missing.resume), "{missing:?}");
    for sequence in missing.resume..=100 {
        assert_eq!(batch(&mut tail).from(), sequence);
    }
    assert!(tail.try_next().is_none());
    // A slow reader costs nothing: it finds its gap when it comes back.
    for number in 0..100u8 {
        put(&engine, &[number], &[0; 100]).unwrap();
    }
    assert_eq!(gap(&mut tail).from, 101);
}

#[test]
fn without_a_budget_there_is_no_tail() {
    let without = open(&MemFs::new(), &options(0));
    put(&without, b"a", b"1").unwrap();
    let refused = without.tail_from(1).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_position_says_what_was_seen_also_when_nothing_but_barriers_is_written() {
    let engine = open(&MemFs::new(), &options(1 << 20));
    put(&engine, b"a", b"1").unwrap();
    let mut tail = engine.tail_from(1).unwrap();
    batch(&mut tail);
    for _ in 0..3 {
        engine
            .write(Write::new(WriteBatch::new()).sync(true))
            .unwrap();
        let refused = Write::new(batch_of(b"a", b"2")).condition(b"a", Expect::Absent);
        engine.write(refused).unwrap_err();
    }
    assert!(tail.try_next().is_none());
    assert_eq!(tail.position(), engine.last_sequence() + 1);
    put(&engine, b"b", b"2").unwrap();
    assert_eq!(batch(&mut tail).from(), 2);
}

#[test]
fn a_batch_that_failed_is_not_in_the_tail() {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), options(1 << 20)).unwrap();
    let mut tail = engine.tail_from(1).unwrap();
    fs.refuse(|call| call.is_append(".log").then(|| std::io::Error::other("no")));
    put(&engine, b"a", b"1").unwrap_err();
    assert!(tail.try_next().is_none());
}

#[test]
fn waiting_ends_with_the_next_batch_with_a_wake_or_with_the_close() {
    let engine = open(&MemFs::new(), &options(1 << 20));
    std::thread::scope(|scope| {
        let mut tail = engine.tail_from(1).unwrap();
        let waker = tail.waker();
        let reader = scope.spawn(move || {
            let mut woken = 0;
            let mut batches = 0;
            loop {
                match tail.wait_next() {
                    Ok(Some(TailItem::Batch(_))) => batches += 1,
                    Ok(Some(TailItem::Gap(gap))) => panic!("{gap:?}"),
                    Ok(None) => woken += 1,
                    Err(error) => return (batches, woken, error.kind()),
                }
            }
        });
        for _ in 0..50 {
            put(&engine, b"a", b"1").unwrap();
        }
        waker.wake();
        put(&engine, b"a", b"1").unwrap();
        engine.close().unwrap();
        assert_eq!(reader.join().unwrap(), (51, 1, ErrorKind::Closed));
    });
}

#[test]
fn readers_that_follow_many_writers_hold_what_the_database_holds() {
    const WRITERS: u64 = 3;
    const WRITES: u64 = 400;
    let engine = open(&MemFs::new(), &options(64 << 20));
    let follow = |mut tail: Tail| {
        let mut map = BTreeMap::new();
        let mut next = 1;
        while let Ok(item) = tail.wait_next() {
            let Some(TailItem::Batch(committed)) = item else {
                panic!("{item:?}")
            };
            for (sequence, op) in committed.ops() {
                assert_eq!(sequence, next);
                next += 1;
                match op {
                    Op::Put { key, value } => drop(map.insert(key.to_vec(), value.to_vec())),
                    Op::Delete { key } => drop(map.remove(key)),
                }
            }
        }
        map
    };
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| engine.tail_from(1).unwrap())
            .map(|tail| scope.spawn(move || follow(tail)))
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|seed| {
                let engine = &engine;
                scope.spawn(move || {
                    let mut rng = Rng(seed);
                    for _ in 0..WRITES {
                        let mut batch = WriteBatch::new();
                        for _ in 0..=rng.below(3) {
                            let key = [rng.below(40) as u8];
                            match rng.one_in(3) {
                                true => batch.delete(&key),
                                false => batch.put(&key, &rng.next().to_le_bytes()),
                            }
                        }
                        engine.write(Write::new(batch)).unwrap();
                    }
                })
            })
            .collect();
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
        let expected = contents(&engine);
        engine.close().unwrap();
        for reader in readers {
            assert_eq!(reader.join().unwrap(), expected);
        }
    });
}
