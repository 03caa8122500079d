//! Followers of the batches, from one opening to the next.

use std::sync::Arc;

use level_party_engine::{Fs, MemFs, Options, Repair, destroy, verify};

use crate::harness::follow::{Written, followers_miss_nothing, open_foreign};
use crate::support::{Rng, contents, names, open, put, sweep, tiny};

fn with_tail(tail_bytes: usize) -> Options {
    Options {
        tail_bytes,
        ..tiny()
    }
}

#[test]
fn tail_over_openings_tells_each_operation_or_a_gap() {
    for tail_bytes in [1, 700, 3_000, 1 << 20] {
        followers_miss_nothing(tail_bytes, 4);
    }
}

#[test]
fn tail_gives_what_was_flushed_before_a_crash() {
    let fs = MemFs::new();
    let mut written = Written::default();
    let mut rng = Rng(1);
    // The newest log is kept, however small the budget.
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
fn what_a_kept_log_lost_is_a_gap_and_the_rest_of_it_is_given() {
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
        let missing = written.follow(&engine, 1);
        match damage {
            2 => assert_eq!(missing, flushed),
            _ => assert!((1..20).contains(&missing), "{missing} of {flushed}"),
        }
    }
}

/// How many bytes the logs have.
fn bytes_of_logs(fs: &MemFs) -> usize {
    let logs = names(fs, ".log").into_iter();
    logs.map(|name| fs.read(&name).unwrap().len()).sum()
}

#[test]
fn logs_are_kept_up_to_the_budget_over_openings_too() {
    const BUDGET: usize = 20 << 10;
    let fs = MemFs::new();
    let mut written = Written::default();
    let mut rng = Rng(4);
    for _ in 0..4 {
        let engine = open(&fs, &with_tail(BUDGET));
        for _ in 0..12 {
            written.more(&engine, &mut rng, 40);
            engine.flush().unwrap();
        }
        written.more(&engine, &mut rng, 10);
        sweep(&engine);
        let missing = written.follow(&engine, 1);
        let kept = bytes_of_logs(&fs);
        // A log has less than 8 KiB.
        assert!((BUDGET..BUDGET + (8 << 10)).contains(&kept), "{kept}");
        engine.close().unwrap();
        let engine = open(&fs, &with_tail(BUDGET));
        assert_eq!(written.follow(&engine, 1), missing, "the same are there");
        engine.close().unwrap();
    }
    // Without a budget none is.
    let engine = open(&fs, &tiny());
    sweep(&engine);
    assert_eq!(names(&fs, ".log").len(), 1);
}

#[test]
fn kept_logs_confuse_neither_checks_nor_copies_nor_repairs() {
    let fs = MemFs::new();
    let mut rng = Rng(5);
    let engine = open(&fs, &with_tail(1 << 20));
    let mut written = Written::default();
    for _ in 0..10 {
        written.more(&engine, &mut rng, 20);
        engine.flush().unwrap();
    }
    // What was deleted must not come back from an old log.
    engine.compact_range(None, None).unwrap();
    written.more(&engine, &mut rng, 5);
    let shown = contents(&engine);
    let copy = MemFs::new();
    engine.checkpoint(&copy).unwrap();
    assert_eq!(names(&copy, ".log").len(), 1, "none is in a copy");
    assert_eq!(contents(&open(&copy, &tiny())), shown);
    engine.close().unwrap();
    assert!(names(&fs, ".log").len() > 10);
    let shared: Arc<dyn Fs> = Arc::new(fs.clone());
    let verified = verify(&shared, &tiny().comparator).unwrap();
    assert_eq!((verified.problems, verified.remarks), (vec![], vec![]));
    let without_manifest = MemFs::new();
    for name in fs.list().unwrap() {
        if !name.starts_with("MANIFEST-") {
            without_manifest.write(&name, fs.read(&name).unwrap());
        }
    }
    for files in [&fs, &without_manifest] {
        let shared: Arc<dyn Fs> = Arc::new(files.clone());
        Repair::new(shared, tiny()).dry_run(false).run().unwrap();
        assert_eq!(contents(&open(files, &tiny())), shown);
    }
    let engine = open(&fs, &with_tail(1 << 20));
    engine.close().unwrap();
    destroy(&fs).unwrap();
    assert_eq!(names(&fs, ".log"), [] as [&str; 0]);
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
