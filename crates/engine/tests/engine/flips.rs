//! Every byte of a small database is changed, one at a time.

use std::sync::Arc;

use level_party_engine::{Engine, Fs, MemFs, Options, RecoveryMode};

use crate::harness::history::Map;
use crate::support::{contents, delete, names, open, put, sweep, tiny};

const MASKS: [u8; 4] = [0x01, 0x10, 0x80, 0xff];

/// A database with two tables that have filters, a log with a few records, and nothing that is not needed.
fn small(options: &Options) -> (MemFs, Map) {
    let fs = MemFs::new();
    let engine = open(&fs, options);
    for number in 0..12u32 {
        put(
            &engine,
            format!("key {number:02}").as_bytes(),
            &[number as u8; 40],
        )
        .unwrap();
    }
    engine.compact_range(None, None).unwrap();
    put(&engine, b"key 03", b"newer").unwrap();
    delete(&engine, b"key 04").unwrap();
    engine.flush().unwrap();
    sweep(&engine);
    put(&engine, b"key 05", b"newest").unwrap();
    delete(&engine, b"key 06").unwrap();
    put(&engine, b"key 20", &[7; 90]).unwrap();
    let map = contents(&engine);
    engine.close().unwrap();
    assert_eq!(names(&fs, ".ldb").len(), 2);
    assert_eq!(names(&fs, ".log").len(), 1);
    (fs, map)
}

fn options(recovery: RecoveryMode) -> Options {
    Options {
        recovery,
        bloom_bits_per_key: Some(10),
        ..tiny()
    }
}

fn copy(fs: &MemFs) -> MemFs {
    let copy = MemFs::new();
    for name in fs.list().unwrap() {
        copy.write(&name, fs.read(&name).unwrap());
    }
    copy
}

#[derive(Debug, Default)]
struct Counts {
    flips: usize,
    refused: usize,
    dropped: usize,
    some_reads_fail: usize,
    harmless: usize,
}

/// Calls `look` with every damaged copy of the database.
fn flip_all(fs: &MemFs, mut look: impl FnMut(&MemFs, &str, usize)) {
    for name in fs.list().unwrap() {
        for at in 0..fs.read(&name).unwrap().len() {
            for mask in MASKS {
                let damaged = copy(fs);
                damaged.change(&name, |bytes| bytes[at] ^= mask).unwrap();
                look(&damaged, &name, at);
            }
        }
    }
}

/// Reads every key, and all of them in both directions: each answer is right or an error. Gives whether all were right.
fn answers_are_right_or_errors(engine: &Engine, map: &Map, place: &str) -> bool {
    let mut whole = true;
    for number in 0..25u32 {
        let key = format!("key {number:02}").into_bytes();
        match engine.get(&key) {
            Ok(entry) => {
                let value = entry.map(|entry| entry.value);
                assert_eq!(value.as_ref(), map.get(&key), "{place}");
            }
            Err(_) => whole = false,
        }
    }
    for forward in [true, false] {
        let mut expected: Vec<_> = map.iter().collect();
        if !forward {
            expected.reverse();
        }
        let mut expected = expected.into_iter();
        let mut cursor = engine.cursor().unwrap();
        let mut moved = if forward {
            cursor.seek_to_first()
        } else {
            cursor.seek_to_last()
        };
        while moved.is_ok() && cursor.valid() {
            let (key, value) = expected.next().expect("no more entries than there are");
            assert_eq!(
                (cursor.key(), cursor.value()),
                (&key[..], &value[..]),
                "{place}"
            );
            moved = if forward {
                cursor.next()
            } else {
                cursor.prev()
            };
        }
        match moved {
            Ok(()) => assert_eq!(
                expected.next(),
                None,
                "{place}: the end came without an error"
            ),
            Err(_) => whole = false,
        }
    }
    whole
}

#[test]
fn a_changed_byte_is_found_or_harmless_in_the_same_boot() {
    let options = options(RecoveryMode::SameBoot);
    let (fs, map) = small(&options);
    let mut counts = Counts::default();
    flip_all(&fs, |damaged, name, at| {
        counts.flips += 1;
        let place = format!("{name} at {at}");
        let Ok(engine) = Engine::open(Arc::new(damaged.clone()), options.clone()) else {
            counts.refused += 1;
            return;
        };
        if !engine.recovered().dropped.is_empty() {
            // A length that reaches over the file's end can't be told from a record cut short; it is reported.
            let dropped = &engine.recovered().dropped;
            assert!(dropped[0].contains(name), "{place}: {dropped:?}");
            assert!(
                name.ends_with(".log") || name.starts_with("MANIFEST"),
                "{place}"
            );
            counts.dropped += 1;
            return;
        }
        match answers_are_right_or_errors(&engine, &map, &place) {
            true => counts.harmless += 1,
            false => counts.some_reads_fail += 1,
        }
    });
    println!("{counts:?}");
    assert!(
        counts.refused > 500 && counts.some_reads_fail > 500,
        "{counts:?}"
    );
    // Few: those in the length fields of the last records.
    assert!(counts.dropped * 100 < counts.flips, "{counts:?}");
}

#[test]
fn changed_byte_in_a_log_ends_it_after_a_reboot() {
    let options = options(RecoveryMode::AfterReboot);
    let (fs, map) = small(&options);
    let log = names(&fs, ".log").remove(0);
    let mut prefixes = Vec::new();
    // What there is with no, one, two and three records of the log.
    let bytes = fs.read(&log).unwrap();
    for len in 0..=bytes.len() {
        let cut = copy(&fs);
        cut.change(&log, |bytes| bytes.truncate(len)).unwrap();
        let map = contents(&open(&cut, &options));
        if prefixes.last() != Some(&map) {
            prefixes.push(map);
        }
    }
    assert_eq!(prefixes.len(), 4);
    let mut ended = 0;
    flip_all(&fs, |damaged, name, at| {
        let place = format!("{name} at {at}");
        let Ok(engine) = Engine::open(Arc::new(damaged.clone()), options.clone()) else {
            assert_ne!(name, log, "{place}: a bad record of a log ends it");
            return;
        };
        if name != log {
            if engine.recovered().dropped.is_empty() {
                answers_are_right_or_errors(&engine, &map, &place);
            }
            return;
        }
        let shown = contents(&engine);
        let kept = prefixes.iter().position(|prefix| *prefix == shown);
        assert!(
            kept.is_some_and(|kept| kept < 3),
            "{place}: the record it is in is gone"
        );
        let dropped = &engine.recovered().dropped;
        assert!(dropped[0].contains(name), "{place}: {dropped:?}");
        ended += 1;
    });
    assert_eq!(ended, bytes.len() * MASKS.len());
}
