//! Reads that wait for nothing, and values that are lent.
//!
//! In unit tests nothing is in the page cache (`files.rs`), so that each block which is not in the cache of this process is
//! waited for.

use std::task::Poll;

use crate::{Db, Options, Readable};

const ENTRIES: u32 = 2_000;

fn key(n: u32) -> String {
    format!("key/{n:05}")
}

fn value(n: u32) -> Vec<u8> {
    n.to_be_bytes().repeat(20)
}

/// A database whose entries are in one table, none of whose blocks is in memory.
fn cold(options: &Options) -> (tempfile::TempDir, Db) {
    let dir = tempfile::tempdir().expect("a directory");
    let db = options.clone().open(dir.path()).expect("it opens");
    for n in 0..ENTRIES {
        db.put(key(n), value(n)).expect("put");
    }
    db.compact_range(..).expect("compacted");
    db.close().expect("closed");
    let db = options.clone().open(dir.path()).expect("it opens");
    (dir, db)
}

/// What was read at once, if it was.
fn at_once<T>(read: Poll<crate::Result<T>>) -> Option<T> {
    match read {
        Poll::Ready(found) => Some(found.expect("read")),
        Poll::Pending => None,
    }
}

#[test]
fn get_that_would_wait_is_pending_and_lends_nothing() {
    let (_dir, db) = cold(&Db::options().block_cache_bytes(0));
    let mut lent = 0;
    let mut get = |key: &str| {
        at_once(db.try_get_with(key, |value| {
            lent += 1;
            value.to_vec()
        }))
    };
    assert_eq!(get(&key(7)), None);
    assert_eq!(get("no table has it"), Some(None));
    db.put("new", "in memory").expect("put");
    assert_eq!(get("new"), Some(Some(b"in memory".to_vec())));
    assert_eq!(lent, 1);
    assert_eq!(db.get_with(key(7), <[u8]>::to_vec).unwrap(), Some(value(7)));
    let snapshot = db.snapshot().expect("a snapshot");
    db.delete("new").expect("deleted");
    assert_eq!(at_once(db.try_get_with("new", <[u8]>::len)), Some(None));
    let held = at_once(snapshot.try_get_with("new", <[u8]>::len));
    assert_eq!(held, Some(Some(9)));
    assert_eq!(at_once(snapshot.try_get_with(key(7), <[u8]>::len)), None);
}

#[test]
fn reader_of_a_lent_value_may_wait() {
    let (_dir, db) = cold(&Db::options().block_cache_bytes(0));
    db.put("new", "in memory").expect("put");
    let read = |_: &[u8]| db.get(key(9)).expect("from the disk");
    assert_eq!(
        at_once(db.try_get_with("new", read)),
        Some(Some(Some(value(9))))
    );
}

#[test]
fn value_in_a_cached_block_is_not_copied() {
    let (_dir, db) = cold(&Db::options());
    let both = |key: &str| {
        db.get_with(key, |one| {
            db.get_with(key, |other| one.as_ptr() == other.as_ptr())
        })
    };
    // It is kept in memory by the first read.
    db.get(key(5)).expect("from the disk");
    assert_eq!(both(&key(5)).unwrap().unwrap().unwrap(), Some(true));
    // Others may use this memory again: each reader has a copy of its own.
    db.put("new", "in memory").expect("put");
    assert_eq!(both("new").unwrap().unwrap().unwrap(), Some(false));
}

#[test]
fn step_that_would_wait_is_pending() {
    let (_dir, db) = cold(&Db::options().block_cache_bytes(0));
    let mut range = db.range("key/"..);
    assert!(range.try_next_with(|_, _| ()).is_pending());
    assert!(range.try_next_back_with(|_, _| ()).is_pending());
    let mut count = 0;
    while let Some(next) = range.next_with(|key, value| (key.to_vec(), value.to_vec())) {
        assert_eq!(next.unwrap(), (key(count).into(), value(count)));
        count += 1;
        // What was read with it waits for nothing.
        while let Poll::Ready(Some(next)) = range.try_next_with(|key, _| key.to_vec()) {
            assert_eq!(next.unwrap(), key(count).into_bytes());
            count += 1;
        }
    }
    assert_eq!(count, ENTRIES);
    assert!(matches!(range.try_next_with(|_, _| ()), Poll::Ready(None)));
}

#[test]
fn steps_in_memory_wait_for_nothing_at_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path()).expect("it opens");
    for n in 0..ENTRIES {
        db.put(key(n), value(n)).expect("put");
    }
    let mut range = db.iter();
    db.delete(key(0)).expect("deleted");
    let mut steps = 0;
    while let Poll::Ready(Some(next)) = range.try_next_with(|key, _| key.to_vec()) {
        steps += 1;
        assert_eq!(next.unwrap(), key(steps).into_bytes());
    }
    assert!((10..100).contains(&steps), "{steps} of a small first chunk");
    let mut keys = db.iter().keys();
    let first = keys.try_next_back_with(|key, value| (key.to_vec(), value.len()));
    assert!(
        matches!(first, Poll::Ready(Some(Ok((last, 0)))) if last == key(ENTRIES - 1).into_bytes())
    );
}

#[test]
fn removed_keys_beyond_a_few_are_passed_by_who_may_wait() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path()).expect("it opens");
    for n in 0..ENTRIES {
        db.put(key(n), value(n)).expect("put");
    }
    for n in 0..ENTRIES - 1 {
        db.delete(key(n)).expect("deleted");
    }
    let mut range = db.iter();
    assert!(range.try_next_with(|_, _| ()).is_pending());
    let last = range.next_with(|key, _| key.to_vec()).unwrap().unwrap();
    assert_eq!(last, key(ENTRIES - 1).into_bytes());
}
