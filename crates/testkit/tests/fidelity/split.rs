//! Versions of one user key that are split over two tables of a level, as C++ LevelDB makes them when snapshots hold
//! more versions than fit into one table. A compaction that moves the newer ones down must take the older ones along.

use level_party_testkit::{Model, Op, Peer, PeerOptions, Script, read_everything};

use crate::{engine, everyone, info};

const KEYS: u32 = 4;
const VERSIONS: u32 = 24;
/// With it [`VERSIONS`] of a key fill two tables of the smallest size, in part.
const VALUE: usize = 70_000;
const PROBES: usize = 20;

fn uncompressed() -> PeerOptions {
    PeerOptions {
        snappy: false,
        ..PeerOptions::small()
    }
}

/// Holds each version by a snapshot while everything is compacted, and closes at once: whatever the writer's own
/// compactions would make of it, it gets no chance.
fn make(writer: &Peer, dir: &std::path::Path) -> Model {
    let mut model = Model::default();
    let mut script = Script::new(7, 100);
    let mut child = writer.open(dir, &uncompressed());
    for version in 0..VERSIONS {
        for key in 0..KEYS {
            let key = format!("key {key}").into_bytes();
            let op = match version + 1 == VERSIONS && key.ends_with(b"2") {
                true => Op::Delete(key),
                false => Op::Put(key, script.value_of(VALUE)),
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

    let mut ours = engine().open(dir.path(), &uncompressed());
    assert!(
        info(&mut ours, "split")[0] > 0,
        "{} split no key",
        writer.name()
    );
    read_everything(&mut ours, model.entries(), PROBES);

    // Memtables that overlap some of the tables have them compacted by and by, never all at once.
    let mut script = Script::new(8, 100);
    for n in 0..120u32 {
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
        if n % 10 == 0 {
            read_everything(&mut ours, model.entries(), PROBES);
        }
    }
    assert_eq!(ours.kill(), 0);
    for peer in everyone() {
        let mut child = peer.open(dir.path(), &PeerOptions::small());
        read_everything(&mut child, model.entries(), PROBES);
        child.close();
    }
    let mut ours = engine().open(dir.path(), &uncompressed());
    ours.compact();
    read_everything(&mut ours, model.entries(), PROBES);
    assert_eq!(
        info(&mut ours, "split"),
        [0],
        "our own compaction splits no key"
    );
}

#[test]
fn versions_split_over_tables_by_leveldb_1_20_are_read_and_compacted() {
    split_databases_are_read_and_compacted(&Peer::leveldb_1_20());
}

#[test]
fn versions_split_over_tables_by_leveldb_1_22_are_read_and_compacted() {
    split_databases_are_read_and_compacted(&Peer::leveldb_1_22());
}

#[test]
fn versions_split_over_tables_by_leveldb_1_23_are_read_and_compacted() {
    split_databases_are_read_and_compacted(&Peer::leveldb_1_23());
}
