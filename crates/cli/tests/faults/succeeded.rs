//! A leader whose every lock has failed stands still before it appends, and goes on when its successor, which had read its
//! log and not written it to tables, is dead.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use level_party_testkit::{ExecChild, PATIENCE};
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

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::yield_now();
    }
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
    // Without a reader such an opening is refused (ENXIO).
    let mut writing = File::options();
    writing
        .write(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let mut held = None;
    wait("the leader stands still", || {
        held = writing.open(&pipe).ok();
        held.is_some()
    });
    let log = data.join("000003.log");
    let length = || fs::metadata(&log).expect("the log").len();
    let before = length();
    let _lock = replaced(&data);
    let mut successor = ExecChild::spawn_in(PROGRAM, &data, [""; 0], &[(KILL, "table-created")]);
    wait("the successor dies", || !successor.is_running());
    assert_eq!(length(), before);
    drop(held);
    wait("the late record is appended", || length() != before);
    let mut next = ExecChild::spawn(PROGRAM, &data);
    assert_eq!(next.get("early").as_deref(), Some("1"));
    assert_eq!(next.get("late"), None);
    let dropped = next.status()["dropped"].to_string();
    assert!(dropped.contains("000003.log"), "{dropped}");
}
