//! Two who would both lead: a member whose every lock has failed stands still before it appends, and goes on when another
//! process leads that has read its log; a successor that can't serve the endpoint.

use std::fs::{self, File};
use std::path::Path;

use level_party_testkit::ExecChild;
use serde_json::json;

use crate::held::{hold_at, pipe, wait};
use crate::{HOLD, PROGRAM};

/// Makes the directory anew under its name, with links to its files but for `LOCK` and the endpoint, so that another
/// process leads there. In the old one nobody leads again: `LOCK` is held, by the file that is returned.
fn replaced(data: &Path) -> File {
    let old = data.with_file_name("old");
    fs::rename(data, &old).expect("renamed");
    fs::create_dir(data).expect("a directory");
    for entry in fs::read_dir(&old).expect("its files") {
        let name = entry.expect("a file").file_name();
        if name != "LOCK" && name != "level-party.endpoint" {
            fs::hard_link(old.join(&name), data.join(&name)).expect("a link");
        }
    }
    fs::remove_file(old.join("LOCK")).expect("removed");
    let lock = File::create(old.join("LOCK")).expect("a file");
    lock.lock().expect("locked");
    lock
}

#[test]
fn what_an_overtaken_member_appends_late_is_found_by_nobody() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let pipe = pipe(dir.path());
    // In its second write, before the append.
    let hold = format!("log-half-appended:2:{}", pipe.display());
    let mut former = ExecChild::spawn_in(PROGRAM, &data, [""; 0], &[(HOLD, &hold)]);
    // It leads before the other comes.
    former.put("own", "1");
    let mut follower = ExecChild::spawn(PROGRAM, &data);
    assert_eq!(follower.leader_pid(), former.pid());
    follower.put("early", "1");
    former.send(&json!({"op": "put", "key": "late", "value": "1"}));
    let held = hold_at(&pipe);
    let log = data.with_file_name("old").join("000003.log");
    let length = || fs::metadata(&log).expect("the log").len();
    let _lock = replaced(&data);
    let mut successor = ExecChild::spawn(PROGRAM, &data);
    assert_eq!(successor.get("early").as_deref(), Some("1"));
    let before = length();
    drop(held);
    wait("the late record is appended", || length() != before);
    let late = former.answer();
    assert_eq!(late["ok"], false, "{late}");
    assert_eq!(late["error"]["kind"], "OutcomeUnknown", "{late}");
    assert_eq!(successor.get("late"), None);
    successor.kill();
    let mut next = ExecChild::spawn(PROGRAM, &data);
    assert_eq!(next.get("early").as_deref(), Some("1"));
    assert_eq!(next.get("late"), None);
}

#[test]
fn successor_that_cannot_serve_leads_no_more_before_another_may() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let pipe = pipe(dir.path());
    let mut founder = ExecChild::spawn_leader(PROGRAM, &data);
    founder.put("a", "1");
    let hold = format!("stopped-leading:1:{}", pipe.display());
    let mut failing = ExecChild::spawn_in(PROGRAM, &data, [""; 0], &[(HOLD, &hold)]);
    let mut other = ExecChild::spawn(PROGRAM, &data);
    failing.put("b", "1");
    other.put("c", "1");
    // Nobody can bind a socket where a directory is.
    let endpoint = data.join("level-party.endpoint");
    fs::remove_file(&endpoint).expect("the founder serves it");
    fs::create_dir(&endpoint).expect("a directory");
    founder.kill();
    let held = hold_at(&pipe);
    fs::remove_dir(&endpoint).expect("it is empty");
    for _ in 0..3 {
        // Which waits a moment for a successor.
        assert_ne!(other.status()["role"], "leader", "the byte is not free");
    }
    drop(held);
    let leader = other.leader_pid();
    assert!([failing.pid(), other.pid()].contains(&leader));
    other.put("d", "1");
    assert_eq!(failing.scan("").len(), 4);
}

#[test]
fn joiner_that_outlives_the_last_member_has_its_writes() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let pipe = pipe(dir.path());
    let mut founder = ExecChild::spawn_leader(PROGRAM, &data);
    founder.put("a", "1");
    let hold = format!("byte-taken:1:{}", pipe.display());
    let mut joiner = ExecChild::spawn_in(PROGRAM, &data, [""; 0], &[(HOLD, &hold)]);
    joiner.send(&json!({"op": "get", "key": "a"}));
    let held = hold_at(&pipe);
    founder.put("b", "1");
    founder.kill();
    let mut late = ExecChild::spawn(PROGRAM, &data);
    late.send(&json!({"op": "get", "key": "b"}));
    drop(held);
    assert_eq!(joiner.answer()["value"], "1");
    assert_eq!(late.answer()["value"], "1");
    joiner.put("c", "1");
    assert_eq!(late.get("c").as_deref(), Some("1"));
    assert_eq!(late.leader_pid(), joiner.leader_pid());
}
