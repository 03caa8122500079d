//! Databases whose keys are in another order than that of their bytes.

use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};

use level_party::{Comparator, Db, ErrorKind, Prefix, Readable, WatchFrom, WatchItem, WriteBatch};

/// Longer keys first; those of one length backwards.
struct LongFirst;

impl Comparator for LongFirst {
    fn name(&self) -> &'static str {
        "test.LongFirst"
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        b.len().cmp(&a.len()).then(b.cmp(a))
    }
}

struct Named(&'static str);

impl Comparator for Named {
    fn name(&self) -> &str {
        self.0
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        a.cmp(b)
    }
}

fn open(dir: &Path) -> Db {
    Db::options().comparator(LongFirst).open(dir).unwrap()
}

fn sorted() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = (0..400_u32).map(|n| n.to_string().into_bytes()).collect();
    keys.push(Vec::new());
    keys.sort_by(|a, b| LongFirst.compare(a, b));
    keys
}

fn keys(range: level_party::Range) -> Vec<Vec<u8>> {
    range.keys().collect::<level_party::Result<_>>().unwrap()
}

fn fill(db: &Db) {
    for key in sorted() {
        db.put(&key, [7; 100]).unwrap();
    }
}

/// Everything that ranges do, beside what the sorted list says.
fn check_ranges(db: &Db) {
    let all = sorted();
    assert_eq!(keys(db.iter()), all);
    let mut backward = all.clone();
    backward.reverse();
    let found: level_party::Result<Vec<_>> = db.iter().keys().rev().collect();
    assert_eq!(found.unwrap(), backward);
    assert_eq!(keys(db.range("300".."20")), between(&all, "300", "20"));
    assert!(keys(db.range("20".."300")).is_empty());
    let above: Vec<_> = between(&all, "12", "");
    let found: level_party::Result<Vec<_>> = db.range("12".."").keys().rev().collect();
    assert_eq!(found.unwrap(), above.into_iter().rev().collect::<Vec<_>>());
    let mut range = db.iter();
    for (seek, expected) in [("399x", "399"), ("150", "150"), ("", ""), ("99", "99")] {
        range.seek(seek);
        assert_eq!(range.next().unwrap().unwrap().0, expected.as_bytes());
    }
    let mut range = db.range(.."5");
    for (seek, expected) in [("5", "6"), ("100", "100"), ("10", "10"), ("", "6")] {
        range.seek_back(seek);
        assert_eq!(range.next_back().unwrap().unwrap().0, expected.as_bytes());
    }
    assert_eq!(db.last(..).unwrap().unwrap().0, b"");
}

fn between(all: &[Vec<u8>], lower: &str, upper: &str) -> Vec<Vec<u8>> {
    let from = all.iter().position(|key| key == lower.as_bytes()).unwrap();
    let to = all.iter().position(|key| key == upper.as_bytes()).unwrap();
    all[from..to].to_vec()
}

#[test]
fn ranges_follow_the_comparator_wherever_entries_are() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db);
    check_ranges(&db);
    db.compact_range(..).unwrap();
    check_ranges(&db);
    assert!(db.verify().unwrap().is_sound());
    fill(&db);
    check_ranges(&db);
    db.close().unwrap();
    let db = open(dir.path());
    check_ranges(&db);
    assert_eq!(db.clear("99".."").unwrap(), 100);
    assert_eq!(db.first("99"..).unwrap().unwrap().0, b"");
}

#[test]
fn other_comparator_is_refused_at_open_and_at_a_second_handle() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    db.put("a", "1").unwrap();
    for options in [Db::options(), Db::options().comparator(Named("test.Other"))] {
        let error = options.open(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains("test.LongFirst"), "{error}");
    }
    drop(open(dir.path()));
    db.close().unwrap();
    let error = Db::open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("test.LongFirst"), "{error}");
}

#[test]
fn what_rests_on_the_order_of_bytes_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db);
    let refused = [
        db.sublevel("a").map(drop),
        db.sublevels().map(drop),
        db.snapshot().unwrap().sublevel("a").map(drop),
        db.transaction(|tx| tx.put("a", "1")),
        db.range(Prefix("1")).try_for_each(|entry| entry.map(drop)),
        db.clear(Prefix("1")).map(drop),
        db.watch(Prefix("1"), WatchFrom::Now).map(drop),
        db.approximate_size(Prefix("1")).map(drop),
        db.compact_range(Prefix("1")),
    ];
    for (number, refused) in refused.into_iter().enumerate() {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{number}");
        assert!(error.message().contains("test.LongFirst"), "{number}");
    }
    assert_eq!(keys(db.iter()).len(), 401, "nothing was changed");
}

#[test]
fn one_key_is_changed_and_a_watch_keeps_to_its_range() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let mut watch = db.watch("bbb".."b", WatchFrom::Now).unwrap();
    assert_eq!(db.compare_and_swap("aa", None, Some(b"1")).unwrap(), Ok(()));
    assert_eq!(db.replace("aa", "2").unwrap().as_deref(), Some(&b"1"[..]));
    db.write(WriteBatch::new().put("aaaa", "3").put("a", "4"))
        .unwrap();
    let mut seen = Vec::new();
    while let Some(WatchItem::Change(change)) = watch.try_next().unwrap() {
        seen.push((change.key, change.value.unwrap()));
    }
    let expected = [(b"aa", b"1"), (b"aa", b"2")].map(|(k, v)| (k.to_vec(), v.to_vec()));
    assert_eq!(seen, expected);
}

#[test]
fn keys_that_compare_equal_are_one_key() {
    struct IgnoresCase;
    impl Comparator for IgnoresCase {
        fn name(&self) -> &'static str {
            "test.IgnoresCase"
        }
        fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
            a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let db = Db::options()
        .comparator(IgnoresCase)
        .open(dir.path())
        .unwrap();
    db.put("Key", "1").unwrap();
    db.put("kEY", "2").unwrap();
    for _ in 0..2 {
        assert_eq!(db.get("key").unwrap().as_deref(), Some(&b"2"[..]));
        assert_eq!(db.iter().count(), 1);
        db.compact_range(..).unwrap();
    }
    db.delete("KEY").unwrap();
    assert_eq!(db.get("key").unwrap(), None);
}

#[test]
fn repair_takes_the_comparator() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db);
    db.compact_range(..).unwrap();
    db.close().unwrap();
    std::fs::remove_file(dir.path().join("CURRENT")).unwrap();
    let error = Db::repair(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let options = Db::repair_options().comparator(LongFirst);
    assert!(options.run(dir.path()).unwrap().done);
    check_ranges(&open(dir.path()));
}

#[test]
fn closing_the_last_handle_drops_the_comparator() {
    struct Counted(Arc<AtomicBool>);
    impl Comparator for Counted {
        fn name(&self) -> &'static str {
            "test.Counted"
        }
        fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
            a.cmp(b)
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.store(true, Atomic::SeqCst);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let dropped = Arc::new(AtomicBool::new(false));
    let db = Db::options()
        .comparator(Counted(dropped.clone()))
        .open(dir.path())
        .unwrap();
    db.put("a", "1").unwrap();
    db.close().unwrap();
    drop(db);
    assert!(dropped.load(Atomic::SeqCst));
}
