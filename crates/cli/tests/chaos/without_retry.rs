//! `--retry false`: what is in flight when the leader goes ends with `ConnectionLost`; new calls use the new leader.

use std::process::{Command, Stdio};

use level_party_testkit::{ExecChild, Line, Lines, PATIENCE, find_leader, run_with_input};
use serde_json::json;

use crate::PROGRAM;

fn party(dir: &std::path::Path) -> (ExecChild, ExecChild) {
    let mut leader = ExecChild::spawn(PROGRAM, dir);
    leader.put("first", "leads");
    let mut party = vec![
        leader,
        ExecChild::spawn_with(PROGRAM, dir, ["--retry", "false"]),
    ];
    assert_eq!(find_leader(&mut party), 0);
    let follower = party.remove(1);
    (party.remove(0), follower)
}

#[test]
fn a_call_in_flight_ends_with_connection_lost_and_the_next_one_works() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut leader, mut follower) = party(dir.path());
    leader.pause();
    follower.send(&json!({"op": "put", "key": "a", "value": "1"}));
    // It is on its way: a stopped leader answers nothing.
    assert_eq!(
        follower.answer_within(std::time::Duration::from_millis(200)),
        None
    );
    leader.kill();
    let answer = follower.answer();
    assert_eq!(answer["error"]["kind"], "ConnectionLost", "{answer}");
    assert_eq!(follower.get("a"), None, "the leader never took it");
    follower.put("a", "2");
    assert_eq!(follower.get("a").as_deref(), Some("2"));
    assert_eq!(follower.status()["role"], "leader");
}

#[test]
fn a_stream_ends_with_connection_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("a path in UTF-8");
    let value = "v".repeat(1000);
    let lines: String = (0..5000)
        .map(|n| format!("{{\"key\":\"{n:06}\",\"value\":\"{value}\"}}\n"))
        .collect();
    run_with_input(PROGRAM, ["import", path], lines).success();
    let mut party: Vec<ExecChild> = (0..2)
        .map(|_| ExecChild::spawn(PROGRAM, dir.path()))
        .collect();
    let leader = find_leader(&mut party);
    let mut scan = Command::new(PROGRAM)
        .args(["scan", path, "--retry", "false"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    let output = Lines::of(scan.stdout.take().expect("a pipe"));
    assert!(
        matches!(output.next_within(PATIENCE), Line::Text(_)),
        "the stream has begun"
    );
    party.remove(leader).kill();
    let seen = 1 + output.rest().len();
    let words = std::io::read_to_string(scan.stderr.take().expect("a pipe")).expect("its words");
    assert_eq!(scan.wait().expect("the scan").code(), Some(3), "{words}");
    assert!(words.contains("the leader went"), "{words}");
    assert!(
        seen < 5000,
        "the whole stream came though its leader died at the first entry"
    );
}
