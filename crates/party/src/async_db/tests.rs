//! Reads of tasks that would wait for the disk: another thread makes them, and the task gets the same answers.
//!
//! In unit tests nothing is in the page cache (`files.rs`), and these databases have no block cache: so each read of a table is
//! such a one.

use std::future::Future;
use std::task::{Context, Waker};

use crate::{AsyncDb, AsyncReadable, Db, ErrorKind, Options, Prefix, Readable};

const ENTRIES: u32 = 2_000;

fn key(n: u32) -> String {
    format!("key/{n:05}")
}

fn value(n: u32) -> Vec<u8> {
    n.to_be_bytes().repeat(20)
}

fn options() -> Options {
    Db::options().block_cache_bytes(0)
}

/// A directory whose entries are in one table.
fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let db = options().open(dir.path()).expect("it opens");
    for n in 0..ENTRIES {
        db.put(key(n), value(n)).expect("put");
    }
    db.compact_range(..).expect("compacted");
    db.close().expect("closed");
    dir
}

/// That database, none of whose blocks is in memory.
fn cold(dir: &tempfile::TempDir) -> AsyncDb {
    options().open(dir.path()).expect("it opens").to_async()
}

/// The outcome of a read that a thread of the readers makes.
fn made_elsewhere<T>(what: &str, db: &AsyncDb, read: impl Future<Output = crate::Result<T>>) -> T {
    let readers = &db.space().handle.node().unwrap().place.readers;
    let before = readers.given();
    let outcome = pollster::block_on(read).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(
        readers.given() > before,
        "{what} waited for the disk in its poll"
    );
    outcome
}

#[test]
fn each_read_that_would_wait_is_made_by_another_thread() {
    let dir = directory();
    let db = cold(&dir);
    let found = made_elsewhere("get", &db, db.get(key(7)));
    assert_eq!(found, Some(value(7)));
    let found = made_elsewhere("get of no entry", &db, db.get("key/00007x"));
    assert_eq!(found, None);
    assert!(made_elsewhere("contains", &db, db.contains(key(8))));
    let found = made_elsewhere("get_many", &db, db.get_many([key(1), key(2)]));
    assert_eq!(found, [Some(value(1)), Some(value(2))]);
    let found = made_elsewhere("first", &db, db.first(Prefix("key/")));
    assert_eq!(found, Some((key(0).into(), value(0))));
    let found = made_elsewhere("last", &db, db.last(..));
    assert_eq!(found, Some((key(ENTRIES - 1).into(), value(ENTRIES - 1))));
    // The table's index, which is in memory, knows it.
    let size = pollster::block_on(db.approximate_size(..key(1_000).as_str())).expect("a size");
    assert!(size > 1_000, "{size}");
    let snapshot = pollster::block_on(db.snapshot()).expect("a snapshot");
    let found = made_elsewhere("get at a snapshot", &db, snapshot.get(key(9)));
    assert_eq!(found, Some(value(9)));
}

#[test]
fn scan_by_other_threads_misses_nothing_at_one_moment() {
    let dir = directory();
    let db = cold(&dir);
    let count = made_elsewhere("scan", &db, async {
        let mut entries = db.iter();
        let mut count = 0;
        while let Some(entry) = entries.next().await {
            assert_eq!(entry?, (key(count).into(), value(count)));
            if count == 0 {
                db.put("key/zzz", "later").await?;
            }
            count += 1;
        }
        Ok(count)
    });
    assert_eq!(count, ENTRIES);
}

#[test]
fn conditions_that_would_wait_are_judged_by_another_thread() {
    let dir = directory();
    let db = cold(&dir);
    let swapped = made_elsewhere(
        "compare_and_swap",
        &db,
        db.compare_and_swap(key(3), Some(&value(3)), Some(b"new")),
    );
    assert!(swapped.is_ok(), "{swapped:?}");
    let found = db.to_blocking().get(key(3)).unwrap();
    assert_eq!(found.as_deref(), Some(&b"new"[..]));
    let dir = directory();
    let db = cold(&dir);
    made_elsewhere(
        "transaction",
        &db,
        db.transaction(async |tx| {
            let old = tx.get(key(4)).await?;
            tx.put(key(5), old.unwrap_or_default())?;
            Ok(())
        }),
    );
    assert_eq!(db.to_blocking().get(key(5)).unwrap(), Some(value(4)));
}

#[test]
fn read_given_up_or_closed_meanwhile_ends() {
    let dir = directory();
    let db = cold(&dir);
    for n in 0..100 {
        let mut read = Box::pin(db.get(key(n)));
        // A thread may have answered it by now.
        let _ = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    let reads = (0..100).map(|n| (n, Box::pin(db.get(key(n)))));
    let mut begun: Vec<_> = reads.collect();
    begun.retain_mut(|(_, read)| {
        let first = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        first.is_pending()
    });
    let handle = db.clone();
    handle.to_blocking().close().expect("closed");
    for (n, read) in begun {
        match pollster::block_on(read) {
            Ok(found) => assert_eq!(found, Some(value(n))),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed, "{error}"),
        }
    }
}
