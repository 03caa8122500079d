//! Verify, repair and destroy: every damage is found, what can be read is kept, nothing foreign is touched.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use level_party_engine::{
    Comparator, Engine, ErrorKind, Fs, MemFs, Options, Repair, Repaired, Verified, destroy, verify,
};

use crate::support::{Rng, SpyFs, contents, delete, names, open, put, settle, sweep, tiny};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

fn options() -> Options {
    Options {
        bloom_bits_per_key: Some(10),
        ..tiny()
    }
}

/// A closed database with several levels, versions of keys, deletions, and a log.
fn database(seed: u64) -> (MemFs, Map) {
    let fs = MemFs::new();
    let engine = open(&fs, &options());
    let mut rng = Rng(seed);
    let mut map = Map::new();
    for step in 0..3_000 {
        if step == 2_950 {
            // What follows is in one log, and no table is left over.
            engine.flush().unwrap();
            settle(&engine, options().max_file_size);
            sweep(&engine);
        }
        let key = format!("key/{:04}", rng.below(900)).into_bytes();
        if rng.one_in(5) {
            delete(&engine, &key).unwrap();
            map.remove(&key);
        } else {
            let value: Vec<u8> = (0..rng.below(60)).map(|_| rng.next() as u8).collect();
            put(&engine, &key, &value).unwrap();
            map.insert(key, value);
        }
    }
    engine.close().unwrap();
    (fs, map)
}

fn shared(fs: &MemFs) -> Arc<dyn Fs> {
    Arc::new(fs.clone())
}

fn found(fs: &MemFs) -> Verified {
    verify(&shared(fs), &Comparator::default()).unwrap()
}

fn repair(fs: &MemFs) -> Repaired {
    Repair::new(shared(fs), options())
        .dry_run(false)
        .run()
        .unwrap()
}

fn files(fs: &MemFs) -> BTreeMap<String, Vec<u8>> {
    let names = fs.list().unwrap().into_iter();
    names
        .map(|name| (name.clone(), fs.read(&name).unwrap()))
        .collect()
}

fn copied(fs: &MemFs) -> MemFs {
    let copy = MemFs::new();
    for (name, bytes) in files(fs) {
        copy.write(&name, bytes);
    }
    copy
}

/// The tables that the manifest names.
fn live_tables(fs: &MemFs) -> Vec<String> {
    let unnamed: Vec<String> = found(fs).remarks.into_iter().map(|r| r.file).collect();
    let mut tables = names(fs, ".ldb");
    tables.retain(|name| !unnamed.contains(name));
    tables
}

#[test]
fn a_sound_database_has_no_problems_and_verify_writes_nothing() {
    let (fs, _) = database(1);
    let before = files(&fs);
    let report = found(&fs);
    assert!(report.is_sound(), "{report:?}");
    assert!(report.tables > 3 && report.blocks > report.tables && report.entries > 500);
    assert_eq!(report.last_sequence, 3_000);
    assert_eq!(files(&fs), before);
    let engine = open(&fs, &options());
    assert!(engine.view().unwrap().verify().is_sound());
}

#[test]
fn flipped_bits_of_table_and_log_are_located() {
    let (fs, _) = database(2);
    let mut rng = Rng(3);
    let tables = live_tables(&fs);
    for _ in 0..150 {
        let name = &tables[rng.below(tables.len() as u64) as usize];
        let hurt = copied(&fs);
        let mut at = 0;
        let change = |bytes: &mut Vec<u8>| {
            // All but the footer's padding, which stands for nothing.
            at = rng.below(bytes.len() as u64 - 48);
            bytes[at as usize] ^= 1 << rng.below(8);
        };
        hurt.change(name, change).unwrap();
        let report = found(&hurt);
        let problem = report.problems.first().expect("the damage is found");
        assert_eq!(&problem.file, name, "{problem}");
        assert!(
            problem.offset.is_some_and(|offset| offset <= at),
            "{problem} {at}"
        );
    }
    let log = names(&fs, ".log").pop().unwrap();
    let hurt = copied(&fs);
    hurt.change(&log, |bytes| bytes[20] ^= 1).unwrap();
    assert_eq!(found(&hurt).problems[0].file, log);
}

#[test]
fn missing_and_cut_files_are_found_by_verify() {
    let (fs, _) = database(4);
    let table = live_tables(&fs).pop().unwrap();
    let hurt = copied(&fs);
    hurt.remove(&table).unwrap();
    assert_eq!(found(&hurt).problems[0].file, table);
    let hurt = copied(&fs);
    hurt.change(&table, |bytes| bytes.truncate(100)).unwrap();
    assert_eq!(found(&hurt).problems[0].file, table);
    let log = names(&fs, ".log").pop().unwrap();
    let torn = copied(&fs);
    torn.change(&log, |bytes| bytes.truncate(bytes.len() - 3))
        .unwrap();
    let report = found(&torn);
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.remarks.last().unwrap().file, log);
    torn.remove(&log).unwrap();
    assert!(!found(&torn).is_sound());
    torn.remove("CURRENT").unwrap();
    assert_eq!(found(&torn).problems[0].file, "CURRENT");
    let nothing = verify(&shared(&MemFs::new()), &Comparator::default()).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::DoesNotExist);
}

#[test]
fn a_sound_database_is_not_repaired() {
    let (fs, _) = database(5);
    let before = files(&fs);
    assert_eq!(repair(&fs), Repaired::default());
    assert_eq!(files(&fs), before);
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_it_would_do() {
    let (fs, _) = database(6);
    fs.change("CURRENT", |bytes| bytes.clear()).unwrap();
    let before = files(&fs);
    let plan = Repair::new(shared(&fs), options()).run().unwrap();
    assert!(!plan.done && !plan.actions.is_empty() && !plan.problems.is_empty());
    assert_eq!(files(&fs), before);
}

#[test]
fn without_a_manifest_the_newest_entry_of_every_key_is_kept() {
    for seed in 10..20 {
        let (fs, map) = database(seed);
        // Old tables that were not removed yet would bring deleted keys back.
        let live = live_tables(&fs);
        let engine = open(&copied(&fs), &options());
        let at = engine.last_sequence();
        drop(engine);
        for table in names(&fs, ".ldb") {
            assert!(live.contains(&table), "{table} is left over");
        }
        for manifest in fs.list().unwrap() {
            if manifest.starts_with("MANIFEST") || manifest == "CURRENT" {
                fs.remove(&manifest).unwrap();
            }
        }
        let repaired = repair(&fs);
        assert!(repaired.done && repaired.lost.is_empty(), "{repaired:?}");
        let report = found(&fs);
        assert!(report.is_sound(), "{report:?}");
        let engine = open(&fs, &options());
        assert_eq!(contents(&engine), map);
        assert_eq!(engine.last_sequence(), at);
        put(&engine, b"new", b"write").unwrap();
    }
}

#[test]
fn a_damaged_block_costs_its_own_entries_and_levels_are_kept() {
    for seed in 30..45 {
        let (fs, map) = database(seed);
        // Under these no level but the first is over its limit.
        let calm = Options {
            max_file_size: 64 << 20,
            ..options()
        };
        let levels = open(&copied(&fs), &calm).stats().files_per_level;
        let mut rng = Rng(seed);
        let tables = live_tables(&fs);
        let table = &tables[rng.below(tables.len() as u64) as usize];
        let hurt = fs.read(table).unwrap();
        fs.change(table, |bytes| bytes[10] ^= 4).unwrap();
        let repaired = repair(&fs);
        assert!(repaired.done, "{repaired:?}");
        assert_eq!(repaired.lost.len(), 1, "{repaired:?}");
        // Each replaced file is there, byte for byte.
        let (_, aside) = repaired
            .aside
            .iter()
            .find(|(name, _)| name == table)
            .unwrap();
        assert_eq!(fs.read(aside).unwrap()[11..], hurt[11..]);
        let report = found(&fs);
        assert!(report.is_sound(), "{report:?} {repaired:?}");
        let engine = open(&fs, &calm);
        let after = engine.stats().files_per_level;
        assert!(after[2..] == levels[2..], "{levels:?} {after:?}");
        // No key has a value that it never had; those that changed are the few of one block.
        let now = contents(&engine);
        let differ = map
            .iter()
            .filter(|(key, value)| now.get(*key) != Some(value))
            .count();
        assert!(differ < 40, "{differ}");
    }
}

#[test]
fn a_bad_record_in_a_log_costs_no_more_than_its_block() {
    let (fs, map) = database(50);
    let log = names(&fs, ".log").pop().unwrap();
    let at = fs.read(&log).unwrap().len() - 2;
    fs.change(&log, |bytes| bytes[at] ^= 1).unwrap();
    let refused = Engine::open(shared(&fs), options()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corruption);
    let repaired = repair(&fs);
    assert!(repaired.done && repaired.lost.len() == 1, "{repaired:?}");
    assert!(!fs.exists(&log).unwrap());
    let engine = open(&fs, &options());
    let now = contents(&engine);
    let differ = map
        .iter()
        .filter(|(key, value)| now.get(*key) != Some(value))
        .count();
    assert!(differ <= 1, "{differ}");
}

#[test]
fn a_missing_log_is_given_up() {
    let (fs, _) = database(51);
    let log = names(&fs, ".log").pop().unwrap();
    fs.remove(&log).unwrap();
    assert!(Engine::open(shared(&fs), options()).is_err());
    assert!(repair(&fs).done);
    assert!(found(&fs).is_sound());
    open(&fs, &options());
}

#[test]
fn repair_that_fails_anywhere_can_be_repeated() {
    let (with_manifest, map) = database(60);
    with_manifest.remove("CURRENT").unwrap();
    let without = copied(&with_manifest);
    for manifest in without.list().unwrap() {
        if manifest.starts_with("MANIFEST") {
            without.remove(&manifest).unwrap();
        }
    }
    let steps = [with_manifest, without].map(|start| repair_that_dies_at_each_step(&start, &map));
    assert!(steps[0] > 10 && steps[1] > 20, "{steps:?}");
}

fn repair_that_dies_at_each_step(start: &MemFs, map: &Map) -> i64 {
    let originals = files(start);
    let mut step = 0;
    loop {
        let files_now = copied(start);
        let spy = SpyFs::new(files_now.clone());
        let left = std::sync::atomic::AtomicI64::new(step);
        spy.refuse(move |_| {
            let over = left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) <= 0;
            over.then(|| io::Error::other("dead"))
        });
        let result = Repair::new(Arc::new(spy), options()).dry_run(false).run();
        // Every byte that was there is there, under its own name or aside.
        let now = files(&files_now);
        for (name, bytes) in &originals {
            let same =
                |there: &(&String, &Vec<u8>)| there.0.ends_with(name.as_str()) && there.1 == bytes;
            assert!(
                now.iter().any(|there| same(&there)),
                "{name} at step {step}"
            );
        }
        if result.is_ok() {
            break;
        }
        repair(&files_now);
        let engine = open(&files_now, &options());
        assert_eq!(&contents(&engine), map, "step {step}");
        step += 1;
    }
    step
}

#[test]
fn destroy_half_done_leaves_no_database_that_opens() {
    let (start, _) = database(70);
    start.write("notes.txt", "mine");
    start.write("level-party.state", "mine too");
    start.write("LOCK", "");
    let mut step = 0;
    loop {
        let files_now = copied(&start);
        let spy = SpyFs::new(files_now.clone());
        let left = std::sync::atomic::AtomicI64::new(step);
        spy.refuse(move |_| {
            let over = left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) <= 0;
            over.then(|| io::Error::other("dead"))
        });
        let result = destroy(&spy);
        if let Ok(done) = result {
            let foreign = ["LOCK", "level-party.state", "notes.txt"];
            assert_eq!(files_now.list().unwrap(), foreign);
            assert_eq!(done.left, foreign);
            break;
        }
        let gone = !files_now.exists("CURRENT").unwrap();
        let has_data = !names(&files_now, ".ldb").is_empty();
        let opened = Engine::open(shared(&files_now), options());
        assert!(!gone || !has_data || opened.is_err(), "step {step}");
        assert!(gone || step == 0);
        drop(opened);
        step += 1;
    }
    assert_eq!(
        destroy(&MemFs::new()).unwrap(),
        level_party_engine::Destroyed::default()
    );
}
