//! The tail of committed batches: order, resuming inside groups and batches, gaps, waiting, waking, closing.

use std::collections::BTreeMap;
use std::sync::Arc;

use level_party_engine::{
    Committed, Engine, ErrorKind, Expect, Gap, MemFs, Op, Options, Tail, TailItem, Write,
    WriteBatch,
};

use crate::support::{Rng, SpyFs, batch_of, contents, open, put, sweep, tiny};

fn options(tail_bytes: usize) -> Options {
    Options {
        tail_bytes,
        ..tiny()
    }
}

fn batch(tail: &mut Tail) -> Committed {
    match tail.try_next().unwrap() {
        Some(TailItem::Batch(committed)) => committed,
        other => panic!("{other:?} is no batch"),
    }
}

fn gap(tail: &mut Tail) -> Gap {
    match tail.try_next().unwrap() {
        Some(TailItem::Gap(gap)) => gap,
        other => panic!("{other:?} is no gap"),
    }
}

#[test]
fn a_group_comes_as_one_batch_and_can_be_entered_anywhere() {
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
    let group = batch(&mut tail);
    assert_eq!((group.from(), group.last_sequence()), (1, 4));
    assert_eq!(group.ops().count(), 4);
    assert!(tail.try_next().unwrap().is_none());
    assert_eq!(tail.position(), 5);
    let mut inside = engine.tail_from(3).unwrap();
    let committed = batch(&mut inside);
    assert_eq!((committed.batch().sequence(), committed.from()), (1, 3));
    let ops: Vec<_> = committed.ops().collect();
    let (deleted, put) = (
        Op::Delete { key: b"a" },
        Op::Put {
            key: b"c",
            value: b"3",
        },
    );
    assert_eq!(ops, [(3, deleted), (4, put)]);
}

#[test]
fn what_no_log_holds_is_a_gap_and_the_reader_goes_on_behind_it() {
    let engine = open(&MemFs::new(), &options(2_000));
    let ten_logs = |engine: &Engine| {
        for number in 0..100u8 {
            put(engine, &[number], &[0; 100]).unwrap();
            if number % 10 == 9 {
                engine.flush().unwrap();
            }
        }
        sweep(engine);
    };
    ten_logs(&engine);
    let mut tail = engine.tail_from(5).unwrap();
    let missing = gap(&mut tail);
    // Two logs of ten entries have at least 2,000 bytes.
    let expected = Gap {
        from: 5,
        resume: 81,
    };
    assert_eq!(missing, expected);
    for sequence in missing.resume..=100 {
        assert_eq!(batch(&mut tail).from(), sequence);
    }
    assert!(tail.try_next().unwrap().is_none());
    // A slow reader costs nothing: it finds its gap when it comes back.
    ten_logs(&engine);
    let expected = Gap {
        from: 101,
        resume: 181,
    };
    assert_eq!(gap(&mut tail), expected);
}

/// The log that a reader has open is read to its end, also where it was removed meanwhile.
#[test]
fn log_that_is_removed_while_it_is_read_is_read_to_its_end() {
    let engine = open(&MemFs::new(), &options(1));
    let fill = |numbers: std::ops::Range<u8>| {
        for number in numbers {
            put(&engine, &[number], &[0; 100]).unwrap();
        }
    };
    fill(0..20);
    let mut tail = engine.tail_from(1).unwrap();
    batch(&mut tail);
    // It goes on in the log that is open.
    fill(20..30);
    for log in [30..40, 40..50] {
        engine.flush().unwrap();
        fill(log);
    }
    engine.flush().unwrap();
    sweep(&engine);
    for sequence in 2..=30 {
        assert_eq!(batch(&mut tail).from(), sequence);
    }
    // The next one was not open, and only the newest is kept.
    let expected = Gap {
        from: 31,
        resume: 41,
    };
    assert_eq!(gap(&mut tail), expected);
    for sequence in 41..=50 {
        assert_eq!(batch(&mut tail).from(), sequence);
    }
}

#[test]
fn without_a_budget_there_is_no_tail() {
    let without = open(&MemFs::new(), &options(0));
    put(&without, b"a", b"1").unwrap();
    let refused = without.tail_from(1).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn position_advances_over_barriers_alone() {
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
    assert!(tail.try_next().unwrap().is_none());
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
    assert!(tail.try_next().unwrap().is_none());
}

#[test]
fn wait_ends_by_a_batch_a_wake_or_the_close() {
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
fn followers_of_many_writers_end_with_the_same_contents() {
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
