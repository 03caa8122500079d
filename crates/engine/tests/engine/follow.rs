//! Followers of the batches, from one opening to the next.

use level_party_engine::{Fs, MemFs, Options};

use crate::harness::follow::{Written, followers_miss_nothing, open_foreign};
use crate::support::{Rng, names, open, put, sweep, tiny};

fn with_tail(tail_bytes: usize) -> Options {
    Options {
        tail_bytes,
        ..tiny()
    }
}

#[test]
fn each_operation_comes_once_or_is_said_to_be_missing_over_many_openings() {
    for tail_bytes in [1, 700, 3_000, 1 << 20] {
        followers_miss_nothing(tail_bytes, 4);
    }
}

#[test]
fn what_was_flushed_just_before_a_crash_is_still_given_and_the_next_flush_ends_it() {
    let fs = MemFs::new();
    let mut written = Written::default();
    let mut rng = Rng(1);
    // The window holds nothing of it.
    let options = with_tail(1);
    let engine = open(&fs, &options);
    written.more(&engine, &mut rng, 30);
    engine.flush().unwrap();
    let flushed = written.last();
    assert_eq!(names(&fs, ".log").len(), 2, "the log is kept");
    written.more(&engine, &mut rng, 5);
    engine.close().unwrap();
    let engine = open(&fs, &with_tail(1 << 20));
    assert_eq!(written.follow(&engine, 1), 0);
    assert_eq!(engine.recovered().last_sequence, written.last());
    engine.close().unwrap();
    let engine = open(&fs, &options);
    written.more(&engine, &mut rng, 5);
    engine.flush().unwrap();
    sweep(&engine);
    assert!(written.follow(&engine, 1) >= flushed);
    assert_eq!(names(&fs, ".log").len(), 2, "only the latest is kept");
    engine.close().unwrap();
    // Without a tail nothing is kept.
    let engine = open(&fs, &tiny());
    sweep(&engine);
    assert_eq!(names(&fs, ".log").len(), 1);
}

#[test]
fn logs_that_are_kept_are_not_replayed() {
    let fs = MemFs::new();
    let engine = open(&fs, &with_tail(1 << 20));
    put(&engine, b"a", b"1").unwrap();
    engine.flush().unwrap();
    engine.close().unwrap();
    for _ in 0..3 {
        let engine = open(&fs, &with_tail(1 << 20));
        assert_eq!(engine.stats().files_per_level.iter().sum::<usize>(), 1);
        assert_eq!(engine.last_sequence(), 1);
        let written = names(&fs, ".log");
        assert_eq!(written[0], "000003.log", "{written:?}");
        engine.close().unwrap();
    }
}

#[test]
fn a_kept_log_that_is_damaged_or_gone_is_a_gap() {
    for damage in 0..3 {
        let fs = MemFs::new();
        let mut written = Written::default();
        let mut rng = Rng(2);
        let engine = open(&fs, &with_tail(1 << 20));
        written.more(&engine, &mut rng, 20);
        engine.flush().unwrap();
        let flushed = written.last();
        written.more(&engine, &mut rng, 5);
        engine.close().unwrap();
        match damage {
            0 => fs.change("000003.log", |bytes| bytes[20] ^= 1).unwrap(),
            1 => fs
                .change("000003.log", |bytes| bytes.truncate(bytes.len() - 1))
                .unwrap(),
            _ => fs.remove("000003.log").unwrap(),
        }
        let engine = open(&fs, &with_tail(1 << 20));
        assert_eq!(written.follow(&engine, 1), flushed);
    }
}

#[test]
fn behind_another_program_there_is_no_past() {
    let fs = MemFs::new();
    let mut written = Written::default();
    let mut rng = Rng(3);
    let engine = open(&fs, &with_tail(1 << 20));
    written.more(&engine, &mut rng, 20);
    engine.flush().unwrap();
    written.more(&engine, &mut rng, 5);
    engine.close().unwrap();
    let engine = open_foreign(&fs, 1 << 20);
    let before = written.last();
    written.more(&engine, &mut rng, 5);
    assert_eq!(written.follow(&engine, 1), before);
    sweep(&engine);
    assert!(!fs.exists("000003.log").unwrap());
}
