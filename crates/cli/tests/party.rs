//! Several processes on one directory, and the end of their leader.

use level_party_testkit::{ExecChild, find_leader};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

fn party(dir: &std::path::Path, size: usize) -> Vec<ExecChild> {
    (0..size).map(|_| ExecChild::spawn(PROGRAM, dir)).collect()
}

#[test]
fn processes_started_together_agree_on_a_leader() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut party = party(dir.path(), 4);
    find_leader(&mut party);
    for writer in 0..4 {
        party[writer].put(&format!("key {writer}"), &format!("by {writer}"));
        for reader in &mut party {
            assert_eq!(
                reader.get(&format!("key {writer}")),
                Some(format!("by {writer}"))
            );
        }
    }
}

#[test]
fn twenty_processes_open_at_once_under_one_leader() {
    let dir = tempfile::tempdir().unwrap();
    let mut party = party(dir.path(), 20);
    for (n, child) in party.iter_mut().enumerate() {
        child.send(&json!({"op": "put", "key": format!("{n:02}"), "value": "here"}));
    }
    for child in &mut party {
        assert_eq!(child.answer()["ok"], true);
    }
    let leader = find_leader(&mut party);
    let status = party[leader].status();
    assert_eq!(status["epoch"], 1, "nobody led before: {status}");
    assert_eq!(status["followers"].as_array().map(Vec::len), Some(19));
    assert_eq!(party[0].scan("").len(), 20);
}

#[test]
fn acknowledged_writes_outlive_every_leader() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut party = party(dir.path(), 3);
    let mut written = Vec::new();
    for round in 0..4 {
        for (index, child) in party.iter_mut().enumerate() {
            let key = format!("{round}/{index}");
            child.put(&key, "kept");
            written.push((key, "kept".to_string()));
        }
        let leader = find_leader(&mut party);
        party.remove(leader).kill();
        party.push(ExecChild::spawn(PROGRAM, dir.path()));
        assert_eq!(party[0].scan(""), written);
    }
}

#[test]
fn a_request_in_flight_is_answered_by_the_next_leader() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut party = party(dir.path(), 2);
    let leader = find_leader(&mut party);
    let leader = party.remove(leader);
    let mut survivor = party.remove(0);
    for n in 0..500 {
        survivor.send(&json!({"id": n, "op": "put", "key": "n", "value": n.to_string()}));
    }
    leader.kill();
    for n in 0..500 {
        assert_eq!(
            survivor.answer(),
            json!({"id": n, "ok": true, "sequence": n + 1})
        );
    }
    assert_eq!(survivor.get("n").as_deref(), Some("499"));
    assert_eq!(find_leader(std::slice::from_mut(&mut survivor)), 0);
}

#[test]
fn a_leader_that_leaves_hands_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut party = party(dir.path(), 2);
    let leader = find_leader(&mut party);
    party[leader].put("a", "1");
    assert!(party.remove(leader).close().success());
    assert_eq!(party[0].get("a").as_deref(), Some("1"));
    assert_eq!(find_leader(&mut party), 0);
}

#[test]
fn commands_work_beside_an_open_handle() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = dir.path().to_str().expect("plain");
    let mut holder = ExecChild::spawn(PROGRAM, dir.path());
    holder.put("a", "1");
    assert_eq!(
        level_party_testkit::run(PROGRAM, ["get", db, "a"])
            .success()
            .text(),
        "1\n"
    );
    level_party_testkit::run(PROGRAM, ["put", db, "b", "2"]).success();
    assert_eq!(holder.get("b").as_deref(), Some("2"));

    let status = level_party_testkit::run(PROGRAM, ["status", db]).success();
    assert!(
        status.text().contains(&format!("pid {}", holder.pid())),
        "{}",
        status.text()
    );
    let status = level_party_testkit::run(PROGRAM, ["status", "--json", db]).success();
    let status: serde_json::Value = serde_json::from_str(status.text()).expect("JSON");
    assert_eq!(status["role"], "follower");
    assert_eq!(status["leader_pid"], holder.pid());
}
