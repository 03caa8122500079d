//! Destroy and repair: what they remove, leave and refuse.

use std::fs;
use std::path::Path;

use level_party::{Db, ErrorKind, Readable};

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn filled(path: &Path) {
    let db = Db::open(path).unwrap();
    for number in 0..500 {
        db.put(format!("{number:04}"), [b'x'; 200]).unwrap();
    }
    db.compact_range("0".."9").unwrap();
    db.put("last", "1").unwrap();
    db.close().unwrap();
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in names(from) {
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

fn dry_run(path: &Path) -> level_party::Result<level_party::RepairReport> {
    Db::repair_options().dry_run(true).run(path)
}

#[test]
fn a_database_goes_with_its_directory_and_can_be_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    filled(&path);
    fs::write(path.join("level-party.aside-000003.log"), "old").unwrap();
    let all = names(&path);
    let done = Db::destroy(&path).unwrap();
    let mut removed = done.removed.clone();
    removed.sort();
    assert_eq!(removed, all);
    assert_eq!(done.removed[0], "CURRENT");
    let last = &done.removed[done.removed.len() - 2..];
    let mut expected = ["LOCK", "level-party.state"];
    if cfg!(windows) {
        // What is locked can't be removed there.
        expected.reverse();
    }
    assert_eq!(last, expected);
    assert!(done.directory_removed && done.left.is_empty());
    assert_eq!(names(dir.path()), [""; 0]);
    let db = Db::open(&path).unwrap();
    assert_eq!(db.iter().count(), 0);
}

#[test]
fn other_files_stay_and_are_named() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    fs::create_dir(dir.path().join("lost")).unwrap();
    let done = Db::destroy(dir.path()).unwrap();
    assert_eq!(done.left, ["lost", "notes.txt"]);
    assert!(!done.directory_removed);
    assert_eq!(names(dir.path()), ["lost", "notes.txt"]);
}

#[test]
fn what_holds_no_database_is_refused_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("000005.log"), "somebody's log").unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "mine").unwrap();
    for path in [&missing, &other] {
        assert_eq!(
            Db::destroy(path).unwrap_err().kind(),
            ErrorKind::NotFound,
            "{path:?}"
        );
    }
    assert_eq!(
        Db::destroy(&file).unwrap_err().kind(),
        ErrorKind::NotADirectory
    );
    assert_eq!(names(&other), ["000005.log"]);
    fs::remove_file(other.join("000005.log")).unwrap();
    for path in [&missing, &other] {
        for dry_run in [false, true] {
            let repair = Db::repair_options().dry_run(dry_run);
            assert_eq!(repair.run(path).unwrap_err().kind(), ErrorKind::NotFound);
        }
    }
    assert_eq!(names(dir.path()), ["file", "other"]);
    assert_eq!(names(&other), [""; 0]);
}

#[test]
fn half_destroyed_database_opens_as_no_old_state() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, cpp) = (dir.path().join("ours"), dir.path().join("cpp"));
    filled(&ours);
    copy_all(&ours, &cpp);
    // As C++ LevelDB would have left it.
    fs::remove_file(cpp.join("level-party.state")).unwrap();
    fs::remove_file(cpp.join("000001.dbtmp")).unwrap();
    for model in [&ours, &cpp] {
        let scratch = dir.path().join("scratch");
        copy_all(model, &scratch);
        let order = Db::destroy(&scratch).unwrap().removed;
        for steps in 0..order.len() {
            copy_all(model, &scratch);
            if !scratch.join("level-party.state").exists() {
                fs::write(scratch.join("level-party.state"), "").unwrap();
            }
            for name in &order[..steps] {
                fs::remove_file(scratch.join(name)).unwrap();
            }
            if steps % 5 == 1 {
                let opened = Db::open(&scratch);
                let empty = opened.map_or(true, |db| db.iter().count() == 0);
                assert!(empty || steps == 0, "after {:?}", &order[..steps]);
            }
            if order[..steps]
                .iter()
                .any(|name| name == "level-party.state")
            {
                // Nothing is left of a database: on Windows LOCK goes last.
                std::fs::remove_dir_all(&scratch).unwrap();
                continue;
            }
            let done = Db::destroy(&scratch).unwrap();
            assert!(done.directory_removed, "after {:?}", &order[..steps]);
        }
    }
}

#[test]
fn destroy_and_repair_of_an_open_database_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let calls: [fn(&Path) -> level_party::Error; 3] = [
        |path| Db::destroy(path).unwrap_err(),
        |path| Db::repair(path).unwrap_err(),
        |path| dry_run(path).unwrap_err(),
    ];
    let check = |pid: u32| {
        for call in calls {
            let error = call(dir.path());
            assert_eq!(error.kind(), ErrorKind::Locked);
            assert!(error.message().contains(&pid.to_string()), "{error}");
        }
    };
    let db = Db::open(dir.path()).unwrap();
    check(std::process::id());
    db.close().unwrap();
    let before = names(dir.path());
    if cfg!(target_os = "linux") {
        let lock = dir.path().join("LOCK");
        let mut holder = std::process::Command::new("flock")
            .arg(&lock)
            .args(["sh", "-c", "echo held; read end"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("util-linux's flock");
        let mut line = String::new();
        let output = holder.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
        check(holder.id());
        drop(holder.stdin.take());
        holder.wait().unwrap();
    }
    assert_eq!(names(dir.path()), before);
    assert!(dry_run(dir.path()).unwrap().problems.is_empty());
    assert_eq!(names(dir.path()), before, "nothing was to be done");
}

#[test]
fn a_repair_says_what_it_lost_and_a_dry_run_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let is_table = |name: &&String| name.ends_with(".ldb");
    let table = names(dir.path()).iter().find(is_table).unwrap().clone();
    let mut bytes = fs::read(dir.path().join(&table)).unwrap();
    bytes[10] ^= 0xff;
    fs::write(dir.path().join(&table), bytes).unwrap();
    fs::remove_file(dir.path().join("LOCK")).unwrap();
    let contents = || -> Vec<(String, Vec<u8>)> {
        let read = |name: String| {
            let bytes = fs::read(dir.path().join(&name)).unwrap();
            (name, bytes)
        };
        names(dir.path()).into_iter().map(read).collect()
    };
    let before = contents();
    let plan = dry_run(dir.path()).unwrap();
    assert!(!plan.done && plan.problems[0].file == table, "{plan:?}");
    assert!(!plan.actions.is_empty());
    assert_eq!(contents(), before);
    let report = Db::repair(dir.path()).unwrap();
    assert!(report.done && !report.lost.is_empty(), "{report:?}");
    assert!(report.aside.iter().any(|(from, _)| *from == table));
    assert!(!dir.path().join("000001.dbtmp").exists());
    let db = Db::open(dir.path()).unwrap();
    assert!(db.verify().unwrap().is_sound());
    assert_eq!(db.get("last").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(db.iter().count(), 501, "an older file has the rest");
    db.close().unwrap();
    let again = Db::repair(dir.path()).unwrap();
    assert!(again.problems.is_empty() && !again.done);
    assert!(dir.path().join("000001.dbtmp").exists());
}

#[test]
fn after_a_repair_a_watch_from_before_it_is_told_of_a_gap() {
    use level_party::{WatchFrom, WatchItem};
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let db = Db::open(dir.path()).unwrap();
    let watch = db.watch(.., WatchFrom::Now).unwrap();
    let position = watch.position();
    drop(watch);
    db.close().unwrap();
    fs::remove_file(dir.path().join("CURRENT")).unwrap();
    assert!(Db::repair(dir.path()).unwrap().done);
    let db = Db::open(dir.path()).unwrap();
    let mut watch = db.watch(.., WatchFrom::After(position)).unwrap();
    let item = watch.try_next().unwrap();
    assert!(matches!(item, Some(WatchItem::Gap { .. })), "{item:?}");
}
