//! `--retry false`: reads, writes and streams ask the leader nothing, and go on when it goes. (What it was asked to do ends with
//! `ConnectionLost`: the tests with faults.)

use std::process::{Command, Stdio};

use level_party::{Db, Readable, Role};
use level_party_testkit::{ExecChild, Line, Lines, PATIENCE, find_leader, run_with_input};

use crate::PROGRAM;

#[test]
fn calls_go_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut leader = ExecChild::spawn_leader(PROGRAM, dir.path());
    let follower = Db::options().retry(false).open(dir.path()).expect("served");
    assert_eq!(follower.role(), Role::Follower);
    leader.pause();
    follower.put("a", "1").expect("it asks nobody");
    leader.kill();
    let found = follower.get("a").expect("it asks nobody");
    assert_eq!(found.as_deref(), Some(&b"1"[..]));
    follower.put("a", "2").expect("it asks nobody");
    let found = follower.get("a").expect("it asks nobody");
    assert_eq!(found.as_deref(), Some(&b"2"[..]));
}

#[test]
fn a_stream_goes_on() {
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
    assert_eq!(scan.wait().expect("the scan").code(), Some(0), "{words}");
    assert_eq!((seen, &*words), (5000, ""));
}
