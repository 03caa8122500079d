//! Compactions and verifications.

use level_party::{Db, ErrorKind, Lead, Readable};

use crate::child::Process;

fn tables(db: &Db) -> u64 {
    db.status().unwrap().leader.files_per_level.iter().sum()
}

#[test]
fn a_follower_has_the_leader_compact_and_verify() {
    let dir = tempfile::tempdir().unwrap();
    let mut leader = Process::start(dir.path());
    let db = Db::options().lead(Lead::Never).open(dir.path()).unwrap();
    for round in 0..3 {
        for number in 0..500 {
            db.put(format!("{number:04}"), [round; 200]).unwrap();
        }
    }
    db.compact_range("0".."9").unwrap();
    let compacted = tables(&db);
    assert!(compacted > 0);
    let report = db.verify().unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.tables, compacted);
    assert_eq!(report.entries, 500, "older versions are gone");
    assert_eq!(leader.ask("compact"), "ok");
}

#[test]
fn damage_is_reported_and_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    for number in 0..500 {
        db.put(format!("{number:04}"), [b'x'; 200]).unwrap();
    }
    db.compact_range("0"..).unwrap();
    let table = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "ldb"))
        .max() // Wine lists a file that was removed while it was open
        .unwrap();
    let mut bytes = std::fs::read(&table).unwrap();
    bytes[10] ^= 0xff;
    std::fs::write(&table, bytes).unwrap();
    let report = db.verify().unwrap();
    assert!(!report.is_sound());
    let name = table.file_name().unwrap().to_str().unwrap();
    assert_eq!(report.problems[0].file, name);
}

#[test]
fn handle_that_rejects_writes_does_not_compact() {
    let dir = tempfile::tempdir().unwrap();
    drop(Db::open(dir.path()).unwrap());
    let db = Db::options().reject_writes(true).open(dir.path()).unwrap();
    let error = db.compact_range("a"..).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly);
    assert!(db.verify().unwrap().is_sound());
}

#[test]
fn work_under_way_while_leaders_are_killed_is_asked_of_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let mut leaders = vec![Process::start(dir.path())];
    let db = Db::options().lead(Lead::Never).open(dir.path()).unwrap();
    for number in 0..3000 {
        db.put(format!("{number:05}"), [number as u8; 300]).unwrap();
    }
    std::thread::scope(|threads| {
        let work = threads.spawn(|| {
            for _ in 0..20 {
                db.compact_range("0".."9").expect("compacted");
                assert!(db.verify().expect("verified").is_sound());
            }
        });
        let mut kills = 0;
        while !work.is_finished() && kills < 5 {
            leaders.push(Process::start(dir.path()));
            leaders.remove(0).kill();
            kills += 1;
        }
        work.join().unwrap();
    });
    assert_eq!(db.iter().count(), 3000);
}

#[test]
fn closing_ends_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.put("a", "1").unwrap();
    std::thread::scope(|threads| {
        let working = threads.spawn(|| {
            loop {
                if let Err(error) = db.verify() {
                    return error;
                }
            }
        });
        db.verify().unwrap();
        db.close().unwrap();
        assert_eq!(working.join().unwrap().kind(), ErrorKind::Closed);
    });
}
