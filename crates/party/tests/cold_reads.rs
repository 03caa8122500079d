//! Reads of tasks that would wait for the disk: another thread makes them, and the task gets the same answers.
//!
//! A table that was not read since the database was opened is not open, so that its first read is always such a one. (A leader
//! opens those tables at once that were made of the files it removes: so there must be none.)

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use level_party::{AsyncDb, AsyncReadable, Db, ErrorKind, Options, Prefix, Readable};

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
    let opened = options().open(dir.path());
    opened.expect("it opens").close().expect("closed");
    dir
}

/// A database none of whose tables is open.
fn cold(dir: &tempfile::TempDir) -> AsyncDb {
    options().open(dir.path()).expect("it opens").to_async()
}

/// The outcome of a read that does not end in its first poll.
fn made_elsewhere<T>(what: &str, read: impl Future<Output = level_party::Result<T>>) -> T {
    let mut read = pin!(read);
    let first = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(first.is_pending(), "{what} waited for the disk in its poll");
    pollster::block_on(read).unwrap_or_else(|error| panic!("{what}: {error}"))
}

#[test]
fn each_read_of_a_closed_table_is_made_by_another_thread() {
    let dir = directory();
    let found = made_elsewhere("get", cold(&dir).get(key(7)));
    assert_eq!(found, Some(value(7)));
    let found = made_elsewhere("get of no entry", cold(&dir).get("key/00007x"));
    assert_eq!(found, None);
    assert!(made_elsewhere("contains", cold(&dir).contains(key(8))));
    let found = made_elsewhere("get_many", cold(&dir).get_many([key(1), key(2)]));
    assert_eq!(found, [Some(value(1)), Some(value(2))]);
    let found = made_elsewhere("first", cold(&dir).first(Prefix("key/")));
    assert_eq!(found, Some((key(0).into(), value(0))));
    let found = made_elsewhere("last", cold(&dir).last(..));
    assert_eq!(found, Some((key(ENTRIES - 1).into(), value(ENTRIES - 1))));
    let size = made_elsewhere(
        "approximate_size",
        cold(&dir).approximate_size(..key(1_000).as_str()),
    );
    assert!(size > 1_000, "{size}");
    let snapshot = pollster::block_on(cold(&dir).snapshot()).expect("a snapshot");
    let found = made_elsewhere("get at a snapshot", snapshot.get(key(9)));
    assert_eq!(found, Some(value(9)));
}

#[test]
fn whole_scan_of_a_closed_table_misses_nothing_at_one_moment() {
    let dir = directory();
    let db = cold(&dir);
    let count = made_elsewhere("scan", async {
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
fn conditions_on_a_closed_table_are_judged_by_another_thread() {
    let dir = directory();
    let db = cold(&dir);
    let swapped = made_elsewhere(
        "compare_and_swap",
        db.compare_and_swap(key(3), Some(&value(3)), Some(b"new")),
    );
    assert!(swapped.is_ok(), "{swapped:?}");
    let found = db.to_blocking().get(key(3)).unwrap();
    assert_eq!(found.as_deref(), Some(&b"new"[..]));
    let dir = directory();
    let db = cold(&dir);
    made_elsewhere(
        "transaction",
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
        // It may be answered at once: another's read opened the table meanwhile.
        let _ = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    // The threads that read for the first one have its table open.
    let dir = directory();
    let db = cold(&dir);
    let reads = (0..100).map(|n| (n, Box::pin(db.get(key(n)))));
    let mut begun: Vec<_> = reads.collect();
    begun.retain_mut(|(_, read)| {
        let first = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        first.is_pending()
    });
    assert!(!begun.is_empty(), "the first one waits");
    let handle = db.clone();
    handle.to_blocking().close().expect("closed");
    for (n, read) in begun {
        match pollster::block_on(read) {
            Ok(found) => assert_eq!(found, Some(value(n))),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed, "{error}"),
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_page_cache_has_is_answered_in_the_first_poll() {
    let dir = directory();
    let db = cold(&dir);
    made_elsewhere("get", db.get(key(7)));
    // The file was just written, and read: its pages are in memory, if the file system can tell.
    let mut read = pin!(db.get(key(7)));
    match read.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(found) => assert_eq!(found.unwrap(), Some(value(7))),
        Poll::Pending => {
            let is_tmpfs = "this file system can't tell what is in memory";
            assert!(!can_tell(dir.path()), "pending though {is_tmpfs} is not so");
        }
    }
}

/// Whether the file system under `dir` can tell what is in memory.
#[cfg(target_os = "linux")]
fn can_tell(dir: &std::path::Path) -> bool {
    let path = dir.join("probe");
    std::fs::write(&path, b"in memory").expect("written");
    let file = std::fs::File::open(&path).expect("opened");
    level_party_os::positioned::read_cached_at(&file, &mut [0; 4], 0).is_ok()
}
