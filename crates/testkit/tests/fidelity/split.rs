//! Versions of one user key that are split over two tables of a level, as C++ LevelDB makes them when snapshots hold
//! more versions than fit into one table. A compaction that moves the newer ones down must take the older ones along.

use std::path::Path;

use level_party_testkit::{Model, Op, Peer, PeerOptions, Script, read_everything};

use crate::{engine, everyone, info};

const KEYS: u32 = 4;
const VERSIONS: u32 = 24;
/// With it [`VERSIONS`] of a key fill two tables of the smallest size, in part.
const VALUE: usize = 70_000;
const PROBES: usize = 20;
/// Values that are far more than level 1 takes.
const MOST_OTHERS: u32 = 1000;

fn uncompressed() -> PeerOptions {
    PeerOptions {
        snappy: false,
        ..PeerOptions::small()
    }
}

fn key(number: u32) -> Vec<u8> {
    format!("key {number}").into_bytes()
}

/// Makes tables of level 1 between which versions of a key are split. Each version is held by a snapshot while
/// everything is compacted, and then the writer closes at once: whatever its own compactions would make of it, they get
/// no chance.
fn make(writer: &Peer, dir: &Path) -> Model {
    let mut model = Model::default();
    let mut script = Script::new(7, 100);
    // An opening recovers to level 0, and so goes any table that overlaps; others could go to level 2.
    let mut child = writer.open(dir, &uncompressed());
    let ends = [0, KEYS - 1].map(|number| Op::Put(key(number), Vec::new()));
    child.write(&ends, false);
    model.apply(&ends);
    child.close();
    let mut child = writer.open(dir, &uncompressed());
    for version in 0..VERSIONS {
        for number in 0..KEYS {
            let op = match (version + 1 == VERSIONS, number) {
                (true, 2) => Op::Delete(key(2)),
                _ => Op::Put(key(number), script.value_of(VALUE)),
            };
            child.write(std::slice::from_ref(&op), false);
            model.apply(&[op]);
        }
        child.take_snapshot(version.into());
    }
    child.compact();
    child.close();
    model
}

fn split_databases_are_read_and_compacted(writer: &Peer) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut model = make(writer, dir.path());

    // Level 1 holds five of our tables: as long as they are large nothing is moved down.
    let large = PeerOptions {
        max_file_size: 4 << 20,
        ..uncompressed()
    };
    let mut ours = engine().open(dir.path(), &large);
    assert!(
        info(&mut ours, "split")[0] > 0,
        "{} split no key",
        writer.name()
    );
    let files = info(&mut ours, "files");
    assert!(
        files[1] > 0 && files[2] == 0,
        "{} has {files:?}",
        writer.name()
    );
    read_everything(&mut ours, &model, PROBES);
    ours.close();

    // Now it is too full, and more so with other keys, until the tables of the split keys were moved down one by one.
    let mut ours = engine().open(dir.path(), &uncompressed());
    let mut script = Script::new(8, 100);
    let mut numbers = 0..MOST_OTHERS;
    while info(&mut ours, "files")[2] < 4 {
        let number = numbers.next().expect("nothing is moved down");
        let op = Op::Put(
            format!("other {number}").into_bytes(),
            script.value_of(VALUE),
        );
        ours.write(std::slice::from_ref(&op), false);
        model.apply(&[op]);
        for number in 0..KEYS {
            let key = key(number);
            assert!(
                ours.get(&key).as_ref() == model.entries().get(&key),
                "key {number}"
            );
        }
    }
    read_everything(&mut ours, &model, PROBES);

    // Writes that overlap some of the tables.
    for n in 0..100u32 {
        let batch = [
            Op::Put(
                format!("key {}", n % 3).into_bytes(),
                script.value_of(5_000),
            ),
            Op::Delete(format!("key {}/{n}", n % 5).into_bytes()),
            Op::Put(script.key(), script.value_of(3_000)),
        ];
        ours.write(&batch, false);
        model.apply(&batch);
    }
    assert_eq!(ours.kill(), 0);
    for peer in everyone() {
        let mut child = peer.open(dir.path(), &PeerOptions::small());
        read_everything(&mut child, &model, PROBES);
        child.close();
    }
    let mut ours = engine().open(dir.path(), &uncompressed());
    ours.compact();
    read_everything(&mut ours, &model, PROBES);
    assert_eq!(
        info(&mut ours, "split"),
        [0],
        "our own compaction splits no key"
    );
}

#[test]
fn leveldb_1_20_split_versions_are_read_and_compacted() {
    split_databases_are_read_and_compacted(&Peer::leveldb_1_20());
}

#[test]
fn leveldb_1_22_split_versions_are_read_and_compacted() {
    split_databases_are_read_and_compacted(&Peer::leveldb_1_22());
}

#[test]
fn leveldb_1_23_split_versions_are_read_and_compacted() {
    split_databases_are_read_and_compacted(&Peer::leveldb_1_23());
}
