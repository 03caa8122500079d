//! A leader whose every lock has failed stands still before it appends, and goes on when its successor, which had read its
//! log and not written it to tables, is dead.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use level_party_testkit::ExecChild;
use serde_json::json;

use crate::{HOLD, KILL, PROGRAM};

/// Makes the directory anew under its name, with links to its files but for `LOCK` and the endpoint, so that another
/// process leads there. In the old one nobody leads again: `LOCK` is held, by the file that is returned.
fn replaced(data: &Path) -> File {
    let old = data.with_file_name("old");
    fs::rename(data, &old).expect("renamed");
    fs::create_dir(data).expect("a directory");
    for entry in fs::read_dir(&old).expect("its files") {
        let name = entry.expect("a file").file_name();
        if name != "LOCK" && name != "level-party.sock" {
            fs::hard_link(old.join(&name), data.join(&name)).expect("a link");
        }
    }
    fs::remove_file(old.join("LOCK")).expect("removed");
    let lock = File::create(old.join("LOCK")).expect("a file");
    lock.lock().expect("locked");
    lock
}

fn pipe(dir: &Path) -> PathBuf {
    let pipe = dir.join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo").success());
    pipe
}

#[test]
fn what_a_succeeded_leader_appends_late_is_found_by_nobody() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let pipe = pipe(dir.path());
    // At the follower's second write, whose sequence is on its page by then.
    let hold = format!("intent-written:2:{}", pipe.display());
    let mut former = ExecChild::spawn_in(PROGRAM, &data, [""; 0], &[(HOLD, &hold)]);
    // It leads before the other comes.
    former.put("own", "1");
    let mut follower = ExecChild::spawn(PROGRAM, &data);
    assert_eq!(follower.leader_pid(), former.pid());
    follower.put("early", "1");
    follower.send(&json!({"op": "put", "key": "late", "value": "1"}));
    let held = File::options()
        .write(true)
        .open(&pipe)
        .expect("it is there");
    let log = data.join("000003.log");
    let length = || fs::metadata(&log).expect("the log").len();
    let before = length();
    let _lock = replaced(&data);
    let mut successor = ExecChild::spawn_in(PROGRAM, &data, [""; 0], &[(KILL, "table-created")]);
    while successor.is_running() {
        std::thread::yield_now();
    }
    assert_eq!(length(), before);
    drop(held);
    while length() == before {
        std::thread::yield_now();
    }
    let mut next = ExecChild::spawn(PROGRAM, &data);
    assert_eq!(next.get("early").as_deref(), Some("1"));
    assert_eq!(next.get("late"), None);
    let dropped = next.status()["dropped"].to_string();
    assert!(dropped.contains("000003.log"), "{dropped}");
}
