//! Scans over a great many removed keys: the leader works in bounded steps, between which the asker can go.
//! (The bound is lowered.)

use level_party_testkit::ExecChild;
use serde_json::{Value, json};

use crate::PROGRAM;

const PASSES: &str = "LEVEL_PARTY_CHUNK_PASSES";
const KEYS: usize = 300;

/// Keys of which few are left, some of them side by side.
fn fill(process: &mut ExecChild) -> Vec<String> {
    let key = |n: usize| format!("{n:03}");
    let put = |n| json!({"type": "put", "key": key(n), "value": "v"});
    let ops: Vec<Value> = (0..KEYS).map(put).collect();
    process.ok(&json!({"op": "batch", "ops": ops}));
    let stays = |n: &usize| n % 37 == 5 || n % 37 == 6 || (100..104).contains(n);
    let del = |n| json!({"type": "del", "key": key(n)});
    let ops: Vec<Value> = (0..KEYS).filter(|n| !stays(n)).map(del).collect();
    process.ok(&json!({"op": "batch", "ops": ops}));
    (0..KEYS).filter(stays).map(key).collect()
}

fn keys(answer: &Value) -> Vec<String> {
    let entries: Vec<(String, String)> =
        serde_json::from_value(answer["entries"].clone()).expect("entries");
    entries.into_iter().map(|(key, _)| key).collect()
}

#[test]
fn a_scan_over_removed_keys_goes_on_where_its_last_step_stopped() {
    for passes in ["1", "2", "3", "10"] {
        let dir = tempfile::tempdir().expect("a directory");
        let start = || ExecChild::spawn_in(PROGRAM, dir.path(), [""; 0], &[(PASSES, passes)]);
        let mut leader = start();
        let stay = fill(&mut leader);
        let mut follower = start();
        for process in [&mut leader, &mut follower] {
            for (from, to) in [
                ("000", "999"),
                ("050", "250"),
                ("007", "040"),
                ("104", "110"),
            ] {
                let inside = |key: &&String| from <= key.as_str() && key.as_str() <= to;
                let expected: Vec<String> = stay.iter().filter(inside).cloned().collect();
                let scan = json!({"op": "scan", "gte": from, "lte": to});
                assert_eq!(keys(&process.ok(&scan)), expected, "{passes}: {scan}");
                let scan = json!({"op": "scan", "gte": from, "lte": to, "reverse": true});
                let backwards: Vec<String> = expected.into_iter().rev().collect();
                assert_eq!(keys(&process.ok(&scan)), backwards, "{passes}: {scan}");
            }
        }
        let removed = follower.ok(&json!({"op": "clear"}))["removed"].clone();
        assert_eq!(removed, stay.len());
    }
}

/// With no step at all such a scan never comes to an end.
#[test]
fn scan_over_removed_keys_ends_at_its_deadline() {
    let dir = tempfile::tempdir().expect("a directory");
    let start = || {
        let flags = ["--timeout", "5"]; // longer than its other calls take on a busy machine
        ExecChild::spawn_in(PROGRAM, dir.path(), flags, &[(PASSES, "0")])
    };
    let mut leader = start();
    fill(&mut leader);
    let mut follower = start();
    for process in [&mut leader, &mut follower] {
        let answer = process.ask(&json!({"op": "scan", "gte": "007"}));
        assert_eq!(answer["error"]["kind"], "Timeout", "{answer}");
        assert_eq!(process.get("005").as_deref(), Some("v"));
    }
    assert_eq!(follower.status()["epoch"], 1);
}
