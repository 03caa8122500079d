//! Many threads.

use std::sync::atomic::{AtomicBool, Ordering};

use level_party_engine::{Engine, MemFs, Write};
use level_party_format::batch::WriteBatch;

use crate::support::{Rng, contents, open, put, tiny};

/// Each batch puts one number under all of these keys, or under those of one writer.
const KEYS: u32 = 20;

fn numbered(writer: u32, number: u32) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for key in 0..KEYS {
        let key = [writer.to_be_bytes(), key.to_be_bytes()].concat();
        batch.put(&key, &number.to_be_bytes());
    }
    batch
}

/// What a reader must always find: whole batches, and never an older moment than before.
fn check_reads(engine: &Engine, stop: &AtomicBool, writers: u32, seed: u64) {
    let mut rng = Rng(seed);
    let mut last_sequence = 0;
    let mut last_numbers = vec![0; writers as usize];
    while !stop.load(Ordering::SeqCst) {
        let sequence = engine.last_sequence();
        assert!(sequence >= last_sequence);
        last_sequence = sequence;
        let writer = rng.below(u64::from(writers)) as u32;
        let mut cursor = engine.cursor().unwrap();
        cursor.seek(&writer.to_be_bytes()).unwrap();
        let mut numbers = Vec::new();
        while cursor.valid() && cursor.key().starts_with(&writer.to_be_bytes()) {
            numbers.push(u32::from_be_bytes(cursor.value().try_into().unwrap()));
            cursor.next().unwrap();
        }
        assert!(numbers.is_empty() || numbers.len() == KEYS as usize);
        assert!(
            numbers.iter().all(|number| *number == numbers[0]),
            "{numbers:?}"
        );
        if let Some(number) = numbers.first() {
            let last = &mut last_numbers[writer as usize];
            assert!(number >= last);
            *last = *number;
        }
        let pin = engine.pin();
        let key = [writer.to_be_bytes(), 3u32.to_be_bytes()].concat();
        let first = engine.get_at(&key, pin.sequence()).unwrap();
        let second = engine.get_at(&key, pin.sequence()).unwrap();
        assert_eq!(first, second);
    }
}

#[test]
fn readers_see_whole_batches_in_order() {
    let engine = open(&MemFs::new(), &tiny());
    let stop = AtomicBool::new(false);
    let writers = 4;
    std::thread::scope(|scope| {
        for seed in 0..2 {
            let (engine, stop) = (&engine, &stop);
            scope.spawn(move || check_reads(engine, stop, writers, seed));
        }
        let handles: Vec<_> = (0..writers)
            .map(|writer| {
                let engine = &engine;
                scope.spawn(move || {
                    let mut last = 0;
                    for number in 0..600 {
                        let sync = number % 50 == 0;
                        let write = Write::new(numbered(writer, number)).sync(sync);
                        let sequence = engine.write(write).unwrap();
                        assert!(sequence > last);
                        last = sequence;
                    }
                })
            })
            .collect();
        let done: Vec<_> = handles.into_iter().map(|handle| handle.join()).collect();
        stop.store(true, Ordering::SeqCst);
        assert!(done.iter().all(Result::is_ok));
    });
    assert_eq!(engine.last_sequence(), u64::from(writers * 600 * KEYS));
    let all = contents(&engine);
    assert_eq!(all.len(), (writers * KEYS) as usize);
    assert!(all.values().all(|value| *value == 599u32.to_be_bytes()));
}

#[test]
fn compactions_flushes_and_writes_of_many_threads_lose_nothing() {
    let files = MemFs::new();
    let engine = open(&files, &tiny());
    std::thread::scope(|scope| {
        for writer in 0..3u32 {
            let engine = &engine;
            scope.spawn(move || {
                for number in 0..2_000u32 {
                    let key = [writer.to_be_bytes(), number.to_be_bytes()].concat();
                    put(engine, &key, &[writer as u8; 60]).unwrap();
                    if number % 500 == 499 {
                        engine.flush().unwrap();
                    }
                }
            });
        }
        let engine = &engine;
        scope.spawn(move || {
            for _ in 0..5 {
                engine.compact_range(None, None).unwrap();
            }
        });
    });
    assert_eq!(contents(&engine).len(), 6_000);
    engine.view().unwrap().version.check_order().unwrap();
    engine.close().unwrap();
    assert_eq!(contents(&open(&files, &tiny())).len(), 6_000);
}
