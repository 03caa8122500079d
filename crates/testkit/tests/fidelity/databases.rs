//! Databases by each, under each setting, closed and killed, read by everyone else.

use std::collections::BTreeSet;
use std::path::Path;

use level_party_testkit::{Model, Op, Peer, PeerChild, PeerOptions, Script, read_everything};

use crate::{engine, info, number, party};

/// Keys by whose gets and seeks each reader is tried.
const PROBES: usize = 60;

fn settings() -> Vec<PeerOptions> {
    let mut all = Vec::new();
    for (snappy, bloom, block_restart_interval) in
        [(false, 0, 16), (true, 0, 1), (false, 10, 3), (true, 10, 16)]
    {
        all.push(PeerOptions {
            snappy,
            bloom,
            block_restart_interval,
            ..PeerOptions::small()
        });
    }
    all
}

/// Writes tables on levels 0, 1 and 2 and leaves the last writes in the log; values of up to 300 KB, the empty key.
fn fill(child: &mut PeerChild, seed: u64) -> Model {
    let mut model = Model::default();
    let mut script = Script::new(seed, 800);
    let mut write = |child: &mut PeerChild, batch: Vec<Op>, sync| {
        child.write(&batch, sync);
        model.apply(&batch);
    };
    // The first memtables overlap nothing and go to level 2; what comes later is above them.
    for _ in 0..150 {
        write(child, script.batch(), false);
    }
    child.compact();
    for n in 0..150 {
        write(child, script.batch(), n % 50 == 0);
    }
    write(
        child,
        vec![Op::Put(Vec::new(), script.value_of(300_000))],
        false,
    );
    write(child, vec![Op::Put(b"nothing".to_vec(), Vec::new())], false);
    for _ in 0..10 {
        write(child, script.batch(), false);
    }
    model
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().expect("a directory");
    for file in std::fs::read_dir(from).expect("the database's directory") {
        let file = file.expect("an entry");
        if file.file_type().expect("its type").is_file() {
            std::fs::copy(file.path(), to.path().join(file.file_name())).expect("a copy");
        }
    }
    to
}

/// `writer` makes databases, each of `readers` opens a copy of each, reads all of it, compacts it, and reads it again.
/// Returns the levels that had tables.
fn all_is_read(writer: &Peer, readers: &[Peer]) -> BTreeSet<usize> {
    let mut levels = BTreeSet::new();
    for (number, options) in settings().iter().enumerate() {
        for killed in [false, true] {
            let dir = tempfile::tempdir().expect("a directory");
            let mut child = writer.open(dir.path(), options);
            let model = fill(&mut child, number as u64);
            match killed {
                true => assert_eq!(child.kill(), 0),
                false => child.close(),
            }
            let read_options = &settings()[(number + usize::from(killed)) % 4];
            for reader in readers {
                let dir = copy(dir.path());
                let mut child = reader.open(dir.path(), read_options);
                if reader.name() == "engine" {
                    levels.extend(levels_with_tables(&mut child));
                    assert_eq!(info(&mut child, "dropped"), [0], "{}", writer.name());
                }
                read_everything(&mut child, &model, PROBES);
                child.compact();
                read_everything(&mut child, &model, 10);
                child.close();
            }
        }
    }
    levels
}

fn levels_with_tables(engine: &mut PeerChild) -> Vec<usize> {
    let files = info(engine, "files").into_iter().enumerate();
    files
        .filter(|(_, files)| *files > 0)
        .map(|(level, _)| level)
        .collect()
}

#[test]
fn we_read_every_entry_of_databases_by_leveldb_1_20() {
    let levels = all_is_read(&Peer::leveldb_1_20(), &[engine(), party()]);
    assert!(levels.is_superset(&BTreeSet::from([0, 1, 2])), "{levels:?}");
}

#[test]
fn we_read_every_entry_of_databases_by_leveldb_1_22() {
    let levels = all_is_read(&Peer::leveldb_1_22(), &[engine(), party()]);
    assert!(levels.is_superset(&BTreeSet::from([0, 1, 2])), "{levels:?}");
}

#[test]
fn we_read_every_entry_of_databases_by_leveldb_1_23() {
    let levels = all_is_read(&Peer::leveldb_1_23(), &[engine(), party()]);
    assert!(levels.is_superset(&BTreeSet::from([0, 1, 2])), "{levels:?}");
}

#[test]
fn every_leveldb_reads_every_entry_of_databases_by_the_engine() {
    all_is_read(&engine(), &Peer::leveldbs());
}

#[test]
fn every_leveldb_reads_every_entry_of_databases_by_the_party() {
    all_is_read(&party(), &Peer::leveldbs());
}

/// The environment variable for the size of deep databases, and their size in `.ci/run`: enough for level 2; from 120
/// on it is enough for level 3.
const DEEP: &str = "FIDELITY_DEEP_MIB";
const CI_DEEP_MIB: u64 = 16;

/// Databases whose lower levels were filled by compactions alone, which level by level found no more room.
#[test]
fn deep_databases_are_read_by_the_other_side() {
    let mib = number(DEEP, CI_DEEP_MIB);
    for writer in [engine(), Peer::leveldb_1_23()] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut model = Model::default();
        let mut script = Script::new(mib, u32::MAX);
        let options = PeerOptions {
            snappy: false,
            write_buffer_size: 1 << 20,
            ..PeerOptions::small()
        };
        let mut child = writer.open(dir.path(), &options);
        for _ in 0..mib << 5 {
            let ops = std::iter::repeat_with(|| Op::Put(script.key(), script.value_of(8 << 10)));
            let batch: Vec<Op> = ops.take(4).collect();
            child.write(&batch, false);
            model.apply(&batch);
        }
        assert_eq!(child.kill(), 0);
        for reader in [engine(), Peer::leveldb_1_20(), Peer::leveldb_1_23()] {
            let mut child = reader.open(dir.path(), &options);
            if reader.name() == "engine" {
                let levels = levels_with_tables(&mut child);
                assert!(
                    levels.contains(&2),
                    "{mib} MiB by {} are on {levels:?}",
                    writer.name()
                );
                println!(
                    "{mib} MiB by {} are on the levels {levels:?}",
                    writer.name()
                );
            }
            read_everything(&mut child, &model, PROBES);
            child.close();
        }
    }
}
