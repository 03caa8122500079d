//! Checkpoints: one moment, under writers, broken off anywhere, by links and by copies.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use level_party_engine::{Comparator, Engine, ErrorKind, Fs, MemFs, Write, WriteBatch, verify};
#[cfg(unix)]
use level_party_engine::{Options, StdFs};

use crate::support::{Rng, SpyFs, contents, names, open, put, tiny};

fn filled(engine: &Engine, seed: u64, count: u64) {
    let mut rng = Rng(seed);
    for _ in 0..count {
        let key = format!("{:04}", rng.below(500));
        put(engine, key.as_bytes(), &[rng.next() as u8; 40]).unwrap();
    }
}

fn sound(fs: &MemFs) -> bool {
    let fs: Arc<dyn Fs> = Arc::new(fs.clone());
    verify(&fs, &Comparator::default()).unwrap().is_sound()
}

#[test]
fn a_checkpoint_opens_as_what_the_database_was_at_one_moment() {
    for count in [0, 1, 100, 5_000] {
        let engine = open(&MemFs::new(), &tiny());
        filled(&engine, count, count);
        let copy = MemFs::new();
        let then = contents(&engine);
        assert_eq!(engine.checkpoint(&copy).unwrap(), count);
        filled(&engine, 99, 3_000);
        engine.compact_range(None, None).unwrap();
        assert!(sound(&copy));
        let opened = open(&copy, &tiny());
        assert_eq!(opened.recovered().last_sequence, count);
        assert!(opened.recovered().dropped.is_empty());
        assert_eq!(contents(&opened), then);
        put(&opened, b"0000", b"goes on").unwrap();
    }
}

#[test]
fn checkpoint_under_writers_has_whole_batches() {
    let engine = open(&MemFs::new(), &tiny());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..2u8 {
            let (engine, stop) = (&engine, &stop);
            scope.spawn(move || {
                let mut round = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    // Both keys of a batch always have one value.
                    let mut batch = WriteBatch::new();
                    batch.put(&[b'a', writer], &round.to_be_bytes().repeat(9));
                    batch.put(&[b'z', writer], &round.to_be_bytes().repeat(9));
                    engine.write(Write::new(batch)).unwrap();
                    round += 1;
                }
            });
        }
        let mut last = 0;
        for _ in 0..60 {
            let copy = MemFs::new();
            let at = engine.checkpoint(&copy).unwrap();
            assert!(at >= last);
            last = at;
            let opened = open(&copy, &tiny());
            assert_eq!(opened.recovered().last_sequence, at);
            let map = contents(&opened);
            for writer in 0..2u8 {
                assert_eq!(map.get(&[b'a', writer][..]), map.get(&[b'z', writer][..]));
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_checkpoint_broken_off_anywhere_is_no_database() {
    let engine = open(&MemFs::new(), &tiny());
    filled(&engine, 7, 2_000);
    let then = contents(&engine);
    let mut step = 0;
    loop {
        let copy = MemFs::new();
        let spy = SpyFs::new(copy.clone());
        let left = AtomicI64::new(step);
        spy.refuse(move |_| {
            let over = left.fetch_sub(1, Ordering::Relaxed) <= 0;
            over.then(|| io::Error::other("dead"))
        });
        match engine.checkpoint(&spy) {
            Ok(_) => break,
            Err(_) if copy.exists("CURRENT").unwrap() => {
                // Only the last sync of the directory is missing.
                assert_eq!(contents(&open(&copy, &tiny())), then);
            }
            Err(_) if names(&copy, ".ldb").is_empty() => {}
            Err(_) => assert!(Engine::open(Arc::new(copy), tiny()).is_err()),
        }
        step += 1;
    }
    assert!(step > 10);
}

#[test]
fn everything_is_synced_before_current_is_written() {
    let engine = open(&MemFs::new(), &tiny());
    filled(&engine, 8, 1_000);
    let spy = SpyFs::new(MemFs::new());
    engine.checkpoint(&spy).unwrap();
    let calls = spy.calls();
    let is_rename = |call: &crate::support::Call| matches!(call, crate::support::Call::Rename(_, to) if to == "CURRENT");
    let renamed = calls.iter().position(is_rename).unwrap();
    let mut open = BTreeMap::new();
    for call in &calls[..renamed] {
        match call {
            crate::support::Call::Append(name) => drop(open.insert(name.clone(), false)),
            crate::support::Call::Sync(name) => drop(open.insert(name.clone(), true)),
            _ => {}
        }
    }
    assert!(
        open.len() > 3 && open.values().all(|synced| *synced),
        "{open:?}"
    );
    assert!(calls[..renamed].contains(&crate::support::Call::SyncDir));
    assert_eq!(calls.last().unwrap(), &crate::support::Call::SyncDir);
}

#[test]
fn a_target_with_a_database_is_refused_and_untouched() {
    let engine = open(&MemFs::new(), &tiny());
    let other = MemFs::new();
    open(&other, &tiny()).close().unwrap();
    let before = other.list().unwrap();
    let error = engine.checkpoint(&other).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(other.list().unwrap(), before);
    let with_notes = MemFs::new();
    with_notes.write("notes.txt", "mine");
    engine.checkpoint(&with_notes).unwrap();
}

#[cfg(unix)]
#[test]
fn on_one_file_system_tables_are_linked_and_not_copied() {
    use std::os::unix::fs::MetadataExt;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = Engine::open(Arc::new(StdFs::new(from.path())), Options::default()).unwrap();
    filled(&engine, 9, 1_000);
    engine.flush().unwrap();
    engine.checkpoint(&StdFs::new(to.path())).unwrap();
    let table = engine
        .view()
        .unwrap()
        .version
        .files()
        .next()
        .unwrap()
        .1
        .number;
    let inode = |dir: &std::path::Path| {
        let path = dir.join(format!("{table:06}.ldb"));
        std::fs::metadata(path).unwrap().ino()
    };
    assert_eq!(inode(from.path()), inode(to.path()));
    let then = contents(&engine);
    // The database may remove its name of the table; the copy keeps its own.
    put(&engine, b"0001", b"later").unwrap();
    engine.compact_range(None, None).unwrap();
    engine.close().unwrap();
    let copy = Engine::open(Arc::new(StdFs::new(to.path())), Options::default()).unwrap();
    assert_eq!(contents(&copy), then);
}
