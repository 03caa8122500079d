//! A leader that is stopped, not dead.

use level_party_testkit::ExecChild;
use serde_json::json;

use crate::PROGRAM;

fn pair(dir: &std::path::Path) -> (ExecChild, ExecChild) {
    let mut leader = ExecChild::spawn(PROGRAM, dir);
    assert_eq!(leader.status()["role"], "leader");
    (leader, ExecChild::spawn(PROGRAM, dir))
}

/// What only a leader does waits for it, and what it does for all is not needed soon.
#[test]
fn writes_go_on_beside_a_stopped_leader_and_work_of_it_names_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut leader, _) = pair(dir.path());
    let mut follower = ExecChild::spawn_with(PROGRAM, dir.path(), ["--timeout", "3"]);
    follower.put("a", "before");
    leader.pause();
    follower.put("a", "beside");
    let snapshot = follower.ok(&json!({"op": "snapshot"}))["snapshot"].clone();
    follower.put("a", "after");
    let at = json!({"op": "get", "key": "a", "snapshot": snapshot});
    assert_eq!(follower.ok(&at)["value"], "beside");
    let status = follower.status();
    assert_eq!(status["leader_pid"], leader.pid());
    assert_eq!(status["role"], "follower");
    let path = dir.path().to_str().expect("a path in UTF-8");
    let verify = level_party_testkit::run(
        PROGRAM,
        ["verify", path, "--timeout", "1", "--open-timeout", "1"],
    );
    let pid = format!("pid {}", leader.pid());
    assert!(verify.stderr.contains(&pid), "{}", verify.stderr);
    assert!(verify.stderr.contains("stopped"), "{}", verify.stderr);
    leader.resume();
    assert_eq!(follower.leader_pid(), leader.pid());
    assert_eq!(leader.get("a").as_deref(), Some("after"));
}

/// A follower reads by itself what the leader shares.
#[test]
#[cfg(target_os = "linux")]
fn reads_go_on_beside_a_stopped_leader() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut leader, mut follower) = pair(dir.path());
    for n in 0..20 {
        leader.put(&format!("k{n:04}"), &format!("old {n}"));
    }
    // More than a memtable holds: what was put is in a table.
    for n in 0..60 {
        leader.put(&format!("large {n}"), &format!("{n}").repeat(100_000));
    }
    let held = follower.ok(&json!({"op": "snapshot"}))["snapshot"].clone();
    leader.put("k0007", "new");
    leader.delete("k0008");
    assert_eq!(follower.get("k0007").as_deref(), Some("new"));
    leader.pause();
    assert_eq!(follower.get("k0006").as_deref(), Some("old 6"));
    assert_eq!(follower.get("k0007").as_deref(), Some("new"));
    assert_eq!(follower.get("k0008"), None);
    let many = follower.ok(&json!({"op": "get_many", "keys": ["k0007", "none", "k0009"]}));
    assert_eq!(many["values"], json!(["new", null, "old 9"]));
    assert_eq!(follower.scan("k000").len(), 9);
    let at = |key: &str| json!({"op": "get", "key": key, "snapshot": held});
    assert_eq!(follower.ok(&at("k0007"))["value"], "old 7");
    assert_eq!(follower.ok(&at("k0008"))["value"], "old 8");
    leader.resume();
    leader.put("k0006", "newer");
    assert_eq!(follower.get("k0006").as_deref(), Some("newer"));
}

/// A reader that stood still while the leader died and another took over, whose epoch word is in a file of its own. Found by
/// breaking: more than half of such reads were stale.
#[test]
#[cfg(target_os = "linux")]
fn read_after_a_takeover_is_new_without_the_state_file() {
    for round in 0..8 {
        let dir = tempfile::tempdir().expect("a directory");
        let mut leader = ExecChild::spawn(PROGRAM, dir.path());
        leader.put("k", "1");
        let mut reader = ExecChild::spawn(PROGRAM, dir.path());
        assert_eq!(reader.get("k").as_deref(), Some("1"));
        let mut next = ExecChild::spawn(PROGRAM, dir.path());
        assert_eq!(next.get("k").as_deref(), Some("1"));
        reader.pause();
        let state = dir.path().join("level-party.state");
        std::fs::remove_file(state).expect("a leader makes it");
        leader.kill();
        next.put("k", "2");
        reader.send(&json!({"op": "get", "key": "k"}));
        reader.resume();
        assert_eq!(reader.answer()["value"], "2", "round {round}");
    }
}

#[test]
fn opening_beside_a_stopped_leader_times_out_and_names_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut leader = ExecChild::spawn(PROGRAM, dir.path());
    leader.put("a", "1");
    leader.pause();
    let path = dir.path().to_str().expect("a path in UTF-8");
    let late = level_party_testkit::run(PROGRAM, ["get", path, "a", "--open-timeout", "3"]);
    assert_eq!(late.code(), 3, "{}", late.stderr);
    assert!(
        late.stderr.contains(&format!("pid {}", leader.pid())),
        "{}",
        late.stderr
    );
    assert!(late.stderr.contains("stopped"), "{}", late.stderr);
    leader.resume();
    assert_eq!(leader.get("a").as_deref(), Some("1"));
}
