//! Checks of calls.

use std::path::Path;

use super::program::{Database, Options, c_path, files, kind, run, told};
use crate::batch::*;
use crate::db::{leveldb_destroy_db, leveldb_open, leveldb_repair_db};
use crate::failure::Kind;
use crate::options::{leveldb_options_create, leveldb_options_destroy};

pub fn open_joins_another_process(dir: &Path) {
    let db = Database::open(dir, &Options::new()).unwrap();
    db.put(b"first", b"1").unwrap();
    run("joins", dir);
    assert_eq!(db.get(b"second").unwrap().as_deref(), Some(&b"2"[..]));
}

pub fn joins(dir: &Path) {
    let db = Database::open(dir, &Options::new()).unwrap();
    assert_eq!(db.get(b"first").unwrap().as_deref(), Some(&b"1"[..]));
    db.put(b"second", b"2").unwrap();
}

pub fn second_open_is_the_same_database(dir: &Path) {
    let first = Database::open(dir, &Options::new()).unwrap();
    let second = Database::open(dir, &Options::new()).unwrap();
    first.put(b"first", b"1").unwrap();
    assert_eq!(second.get(b"first").unwrap().as_deref(), Some(&b"1"[..]));
    drop(first);
    second.put(b"second", b"2").unwrap();
    assert_eq!(second.get(b"first").unwrap().as_deref(), Some(&b"1"[..]));
}

pub fn failed_open_makes_nothing(dir: &Path) {
    let name = c_path(dir);
    // SAFETY: the options live meanwhile.
    let opened = unsafe {
        let options = leveldb_options_create();
        let opened = told(|error| leveldb_open(options, name.as_ptr(), error));
        leveldb_options_destroy(options);
        opened
    };
    let message = opened.unwrap_err();
    assert!(
        message.ends_with("does not exist (create_if_missing is false)"),
        "{message}"
    );
    assert!(!dir.exists());
}

pub fn open_without_current_is_refused(dir: &Path) {
    let db = Database::open(dir, &Options::new()).unwrap();
    db.put(b"key", b"value").unwrap();
    db.compact();
    drop(db);
    std::fs::remove_file(dir.join("CURRENT")).unwrap();
    let before = files(dir);
    let message = Database::open(dir, &Options::new()).err().unwrap();
    assert!(message.starts_with("Corruption: "), "{message}");
    assert_eq!(files(dir), before);
}

pub fn files_are_named_so(dir: &Path) {
    let db = Database::open(dir, &Options::new()).unwrap();
    db.put(b"key", b"value").unwrap();
    let names = files(dir);
    assert!(
        !names.iter().any(|name| name.starts_with("LOG")),
        "{names:?}"
    );
    let ours = names.iter().filter(|name| name.starts_with("level-party."));
    assert_eq!(
        ours.collect::<Vec<_>>(),
        ["level-party.endpoint", "level-party.state"]
    );
}

pub fn oversized_writes_are_refused(dir: &Path) {
    let db = Database::open(dir, &Options::new()).unwrap();
    db.put(&vec![b'k'; 16 << 20], b"").unwrap();
    let refused = |written: Result<(), String>| {
        let message = written.unwrap_err();
        assert!(message.starts_with("Invalid argument: "), "{message}");
        assert_eq!(kind(), Kind::InvalidArgument);
    };
    refused(db.put(&vec![b'k'; (16 << 20) + 1], b""));
    let value = vec![0_u8; 64 << 20];
    // SAFETY: the batches live until they are written.
    unsafe {
        let large = leveldb_writebatch_create();
        leveldb_writebatch_put(
            large,
            b"large".as_ptr().cast(),
            5,
            value.as_ptr().cast(),
            value.len(),
        );
        refused(db.write(large));
        let long = leveldb_writebatch_create();
        for _ in 0..=4_194_304 {
            leveldb_writebatch_put(long, b"long".as_ptr().cast(), 4, b"".as_ptr().cast(), 0);
        }
        refused(db.write(long));
    }
    assert_eq!(db.get(b"large").unwrap(), None);
    assert_eq!(db.get(b"long").unwrap(), None);
}

fn repair(dir: &Path) -> Result<(), String> {
    let name = c_path(dir);
    // SAFETY: the name is a string; there may be no options.
    told(|error| unsafe { leveldb_repair_db(std::ptr::null(), name.as_ptr(), error) })
}

pub fn repair_of_an_open_database_is_refused(dir: &Path) {
    let db = Database::open(dir, &Options::new()).unwrap();
    db.put(b"key", b"value").unwrap();
    let before = files(dir);
    let message = repair(dir).unwrap_err();
    assert!(message.starts_with("IO error: "), "{message}");
    assert_eq!(files(dir), before);
}

pub fn repair_makes_no_database(dir: &Path) {
    let message = repair(dir).unwrap_err();
    assert!(message.starts_with("IO error: "), "{message}");
    assert!(!dir.exists());
    std::fs::create_dir(dir).unwrap();
    assert!(repair(dir).is_err());
    assert_eq!(files(dir), Vec::<String>::new());
}

fn destroy(dir: &Path) -> Result<(), String> {
    let name = c_path(dir);
    // SAFETY: the name is a string; there may be no options.
    told(|error| unsafe { leveldb_destroy_db(std::ptr::null(), name.as_ptr(), error) })
}

pub fn destroy_leaves_an_empty_directory(dir: &Path) {
    std::fs::create_dir(dir).unwrap();
    destroy(dir).unwrap();
    assert!(dir.is_dir());
}

pub fn destroy_of_a_file_fails(dir: &Path) {
    std::fs::write(dir, "").unwrap();
    let message = destroy(dir).unwrap_err();
    assert!(message.starts_with("IO error: "), "{message}");
    assert!(dir.is_file());
}

pub fn repair_renames_what_it_replaces(dir: &Path) {
    let db = Database::open(dir, &Options::new()).unwrap();
    db.put(b"key", b"value").unwrap();
    drop(db);
    std::fs::remove_file(dir.join("CURRENT")).unwrap();
    let manifests = files(dir)
        .into_iter()
        .filter(|name| name.starts_with("MANIFEST-"));
    let manifests: Vec<_> = manifests.collect();
    repair(dir).unwrap();
    let after = files(dir);
    assert!(!manifests.is_empty());
    for manifest in manifests {
        let renamed = format!("level-party.replaced-{manifest}");
        assert!(after.contains(&renamed), "{renamed} is not in {after:?}");
    }
    let db = Database::open(dir, &Options::new()).unwrap();
    assert_eq!(db.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
}

pub fn forked_child_is_refused(dir: &Path) {
    let db = Database::open(dir, &Options::new()).unwrap();
    db.put(b"parent", b"").unwrap();
    let mut status = 0;
    // SAFETY: the child makes calls of this library, which are for a forked child too, and ends without running anything
    // else; the parent waits for it.
    unsafe {
        let child = libc::fork();
        assert!(child >= 0, "fork");
        if child == 0 {
            let refused = db.put(b"child", b"").is_err() && kind() == Kind::Forked;
            let again = Database::open(dir, &Options::new()).and_then(|db| db.get(b"parent"));
            let held = refused && again == Ok(Some(Vec::new()));
            libc::_exit(i32::from(!held));
        }
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
    }
    assert_eq!(status, 0, "the child's status");
    assert_eq!(db.get(b"child").unwrap(), None);
}
