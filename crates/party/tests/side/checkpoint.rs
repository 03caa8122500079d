//! Checkpoints.

use std::collections::BTreeMap;
use std::fs;
#[cfg(unix)]
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use level_party::{Db, Lead};
#[cfg(unix)]
use level_party::{ErrorKind, Prefix, Readable};

use crate::child::Process;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[cfg(unix)]
fn table_inodes(dir: &Path) -> Vec<u64> {
    let tables = names(dir).into_iter().filter(|name| name.ends_with(".ldb"));
    let mut inodes: Vec<u64> = tables
        .map(|name| fs::metadata(dir.join(name)).unwrap().ino())
        .collect();
    inodes.sort_unstable();
    inodes
}

/// Numbers that each writer has in the copy: from 0 on without a gap, since each wrote them in order.
fn check_one_moment(copy: &Path, acknowledged: &BTreeMap<&str, u64>) {
    let db = Db::open(copy).unwrap();
    for (prefix, acknowledged) in acknowledged {
        let keys: Vec<Vec<u8>> = db
            .range(Prefix(format!("{prefix}/")))
            .keys()
            .collect::<Result<_, _>>()
            .unwrap();
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(*key, format!("{prefix}/{number:08}").into_bytes());
        }
        assert!(keys.len() as u64 > *acknowledged, "{prefix}");
    }
    assert!(db.verify().unwrap().is_sound());
    assert!(db.status().unwrap().leader.dropped.is_empty());
}

#[test]
fn a_copy_made_under_writers_is_of_one_moment_in_either_role() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let mut writers = [Process::start(&path), Process::start(&path)];
    let prefixes = ["a", "b"];
    for (writer, prefix) in writers.iter_mut().zip(prefixes) {
        writer.send(&format!("write-on {prefix}"));
    }
    let db = Db::options().lead(Lead::Never).open(&path).unwrap();
    for round in 0..5 {
        let mut acknowledged = BTreeMap::new();
        for (writer, prefix) in writers.iter().zip(prefixes) {
            let mut numbers = (0..200).map(|_| writer.answer().parse().unwrap());
            acknowledged.insert(prefix, numbers.next_back().unwrap());
        }
        let copy = dir.path().join(format!("copy-{round}"));
        let sequence = db.checkpoint(&copy).unwrap();
        check_one_moment(&copy, &acknowledged);
        let opened = Db::open(&copy).unwrap();
        assert_eq!(opened.status().unwrap().leader.last_sequence, sequence);
        assert_eq!(opened.iter().count() as u64, sequence, "each key once");
    }
    let mut left = names(dir.path());
    left.retain(|name| !name.starts_with("copy-"));
    assert_eq!(left, ["db"]);
}

#[test]
#[cfg(unix)] // inodes and modes
fn the_leaders_own_copy_shares_its_tables_and_its_permissions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o710)).unwrap();
    let db = Db::open(&path).unwrap();
    for number in 0..500 {
        db.put(format!("{number:04}"), [b'x'; 200]).unwrap();
    }
    db.compact_range("0".."9").unwrap();
    db.put("last", "1").unwrap();
    let copy = dir.path().join("copy");
    assert_eq!(db.checkpoint(&copy).unwrap(), 501);
    assert_eq!(table_inodes(&copy), table_inodes(&path));
    assert_eq!(
        fs::metadata(&copy).unwrap().permissions().mode() & 0o777,
        0o710
    );
    // An empty directory keeps what it allows.
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    fs::set_permissions(&empty, fs::Permissions::from_mode(0o750)).unwrap();
    db.checkpoint(&empty).unwrap();
    assert_eq!(
        fs::metadata(&empty).unwrap().permissions().mode() & 0o777,
        0o750
    );
    db.clear(..).unwrap();
    for copy in [copy, empty] {
        let copied = Db::open(copy).unwrap();
        assert_eq!(copied.iter().count(), 501);
        copied.put("more", "1").unwrap();
    }
    assert_eq!(db.iter().count(), 0);
}

#[test]
#[cfg(unix)] // a symlink, and the root
fn checkpoint_to_a_bad_target_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let _leader = Process::start(&path);
    let db = Db::options().lead(Lead::Never).open(&path).unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "mine").unwrap();
    let full = dir.path().join("full");
    fs::create_dir_all(full.join("sub")).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path().join("nowhere"), &link).unwrap();
    let before = names(dir.path());
    let kind = |target: &Path| db.checkpoint(target).unwrap_err().kind();
    for taken in [&file, &full, &link, &path] {
        assert_eq!(kind(taken), ErrorKind::AlreadyExists, "{taken:?}");
    }
    assert_eq!(kind(&dir.path().join("missing/copy")), ErrorKind::NotFound);
    assert_eq!(kind(&file.join("copy")), ErrorKind::NotADirectory);
    assert_eq!(kind(Path::new("/")), ErrorKind::InvalidArgument);
    assert_eq!(kind(&dir.path().join("..")), ErrorKind::InvalidArgument);
    assert_eq!(names(dir.path()), before);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    let read_only = Db::options().reject_writes(true).open(&path).unwrap();
    read_only.checkpoint(dir.path().join("copy")).unwrap();
    db.close().unwrap();
    assert_eq!(kind(&dir.path().join("late")), ErrorKind::Closed);
}

#[test]
#[cfg(unix)] // names of bytes
fn a_long_name_and_one_that_is_no_text_are_names_too() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("db")).unwrap();
    let long = "n".repeat(255);
    db.checkpoint(dir.path().join(&long)).unwrap();
    assert!(Db::open(dir.path().join(&long)).is_ok());
    if cfg!(target_os = "linux") {
        let name = std::ffi::OsStr::from_bytes(b"a\xff");
        db.checkpoint(dir.path().join(name)).unwrap();
        assert!(dir.path().join(name).join("CURRENT").exists());
    }
}

#[test]
#[cfg(unix)] // device numbers
fn on_another_filesystem_tables_are_copied() {
    let dir = tempfile::tempdir().unwrap();
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("no /dev/shm here: not looked at");
        return;
    };
    let dev = |path: &Path| fs::metadata(path).unwrap().dev();
    if dev(dir.path()) == dev(other.path()) {
        eprintln!("/dev/shm is no other filesystem here: not looked at");
        return;
    }
    let db = Db::open(dir.path()).unwrap();
    for number in 0..500 {
        db.put(format!("{number:04}"), [b'x'; 200]).unwrap();
    }
    db.compact_range("0".."9").unwrap();
    let copy = other.path().join("copy");
    db.checkpoint(&copy).unwrap();
    let copied = Db::open(&copy).unwrap();
    assert_eq!(copied.iter().count(), 500);
    assert!(copied.verify().unwrap().is_sound());
}

#[test]
fn leaders_killed_in_a_checkpoint_leave_whole_copies() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let mut leaders = vec![Process::start(&path)];
    let db = Db::options().lead(Lead::Never).open(&path).unwrap();
    for number in 0..3000 {
        db.put(format!("{number:05}"), [number as u8; 300]).unwrap();
    }
    let copies = 30;
    std::thread::scope(|threads| {
        let work = threads.spawn(|| {
            for copy in 0..copies {
                db.checkpoint(dir.path().join(format!("copy-{copy}")))
                    .expect("a copy is made");
            }
        });
        let mut kills = 0;
        while !work.is_finished() && kills < 5 {
            leaders.push(Process::start(&path));
            leaders.remove(0).kill();
            kills += 1;
        }
        work.join().unwrap();
    });
    let names = names(dir.path());
    assert_eq!(names.len(), copies + 1, "{names:?}");
    for name in names.iter().filter(|name| *name != "db") {
        let copy = Db::open(dir.path().join(name)).unwrap();
        assert_eq!(copy.iter().count(), 3000);
    }
}

#[test]
fn what_a_killed_caller_asked_for_is_removed_by_the_leader() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let db = Db::open(&path).unwrap();
    for number in 0..2000 {
        db.put(format!("{number:05}"), [b'x'; 300]).unwrap();
    }
    for round in 0..5 {
        let mut caller = Process::start(&path);
        caller.send(&format!("checkpoints {}", dir.path().display()));
        for _ in 0..=round {
            caller.answer();
        }
        caller.kill();
        while names(dir.path()).iter().any(|name| name.starts_with('.')) {
            std::thread::yield_now();
        }
        for name in names(dir.path()) {
            if name.starts_with("copy-") {
                assert!(dir.path().join(&name).join("CURRENT").exists());
                fs::remove_dir_all(dir.path().join(name)).unwrap();
            }
        }
    }
}
