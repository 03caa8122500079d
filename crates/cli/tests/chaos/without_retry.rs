//! `--retry false`: what is in flight when the leader goes ends with `ConnectionLost`; new calls use the new leader.

use std::process::{Command, Stdio};

use futures_lite::future::{block_on, poll_once};
use level_party::{Db, ErrorKind, Role};
use level_party_testkit::{ExecChild, Line, Lines, PATIENCE, find_leader, run_with_input};

use crate::PROGRAM;

#[test]
fn a_call_in_flight_ends_with_connection_lost_and_the_next_one_works() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut leader = ExecChild::spawn_leader(PROGRAM, dir.path());
    let follower = Db::options().retry(false).open(dir.path()).expect("served");
    assert_eq!(follower.role(), Role::Follower);
    let tasks = follower.to_async();
    leader.pause();
    let mut put = Box::pin(tasks.put("a", "1"));
    // Its first poll sends it, and a stopped leader answers nothing: it is on its way.
    assert!(block_on(poll_once(&mut put)).is_none());
    leader.kill();
    let lost = block_on(put).expect_err("its leader died");
    assert_eq!(lost.kind(), ErrorKind::ConnectionLost, "{lost}");
    assert_eq!(
        lost.kind().as_str(),
        "ConnectionLost",
        "what `exec` calls it"
    );
    assert_eq!(follower.get("a").expect("it leads"), None, "nobody took it");
    follower.put("a", "2").expect("it leads");
    let found = follower.get("a").expect("it leads");
    assert_eq!(found.as_deref(), Some(&b"2"[..]));
    assert_eq!(follower.role(), Role::Leader);
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
