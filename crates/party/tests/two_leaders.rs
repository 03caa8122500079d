//! Every lock has failed: `LOCK` was removed, and the directory made anew with links to the same files, so that a
//! second leader comes up while the first lives. The first must never acknowledge anything again.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use level_party::{Db, Readable, Role};

/// Makes the directory anew under its name, with links to its files but for `LOCK` and the endpoint. The old one stays
/// as `old`, where another program (the file returned) holds a new `LOCK`, so that nobody leads there again.
fn replaced(data: &Path) -> (PathBuf, File) {
    let old = data.with_file_name("old");
    fs::rename(data, &old).unwrap();
    fs::create_dir(data).unwrap();
    for entry in fs::read_dir(&old).unwrap() {
        let name = entry.unwrap().file_name();
        if name != "LOCK" && name != "level-party.endpoint" {
            fs::hard_link(old.join(&name), data.join(&name)).unwrap();
        }
    }
    fs::remove_file(old.join("LOCK")).unwrap();
    let lock = File::create(old.join("LOCK")).unwrap();
    lock.lock().unwrap();
    (old, lock)
}

/// Its calls end soon where nobody leads any more. What must succeed is asked of another handle.
fn impatient(path: &Path) -> Db {
    let options = Db::options().timeout(Duration::from_millis(300));
    options.open(path).unwrap()
}

#[test]
fn a_leader_whose_directory_was_taken_over_never_answers_again() {
    let tmp = tempfile::tempdir().unwrap();
    let data = tmp.path().join("data");
    let first = impatient(&data);
    let patient = Db::open(&data).unwrap();
    patient.put("a", "1").unwrap();
    drop(patient);
    let (_old, _lock) = replaced(&data);
    let second = Db::open(&data).unwrap();
    assert_eq!(second.role(), Role::Leader);
    second.put("a", "2").unwrap();

    first
        .get("a")
        .expect_err("it would answer what was replaced");
    first.put("b", "3").expect_err("nobody would recover it");
    assert_eq!(first.role(), Role::Electing, "its leadership has ended");
    assert_eq!(second.get("a").unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(second.get("b").unwrap(), None);
    drop(first);
    drop(second);
    let third = Db::open(&data).unwrap();
    assert_eq!(third.get("a").unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(third.get("b").unwrap(), None);
}

#[test]
fn what_the_first_of_two_leaders_acknowledged_the_second_has() {
    for round in 0..20 {
        let tmp = tempfile::tempdir().unwrap();
        let data = tmp.path().join("data");
        let first = impatient(&data);
        let patient = Db::open(&data).unwrap();
        let key = |n: u32| format!("{n:08}");
        std::thread::scope(|threads| {
            let writing = threads.spawn(|| {
                let refused = |n: &u32| first.put(key(*n), "x").is_err();
                (0..u32::MAX).find(refused).expect("it ends")
            });
            // (On a machine that stood still a write may have been refused before.)
            let begun = || patient.get(key(round * 10)).unwrap().is_some();
            while !writing.is_finished() && !begun() {
                std::thread::yield_now();
            }
            let (_old, _lock) = replaced(&data);
            let second = Db::open(&data).unwrap();
            let acknowledged = writing.join().unwrap();
            let missing = (0..acknowledged).find(|n| second.get(key(*n)).unwrap().is_none());
            assert_eq!(missing, None, "of {acknowledged}");
        });
    }
}

#[test]
fn leader_whose_lock_was_removed_leads_anew() {
    let tmp = tempfile::tempdir().unwrap();
    let db = Db::options()
        .write_buffer_size(64 << 10)
        .open(tmp.path())
        .unwrap();
    db.put("a", "1").unwrap();
    fs::remove_file(tmp.path().join("LOCK")).unwrap();
    // More than a memtable: it would make a log, a table and an edit of the manifest.
    for n in 0..200 {
        db.put(format!("{n:05}"), vec![b'v'; 1000]).unwrap();
    }
    assert!(tmp.path().join("LOCK").exists(), "locked anew");
    let status = db.status().unwrap();
    assert_eq!(status.leader.epoch, 2);
    assert_eq!(db.iter().count(), 201);
}
