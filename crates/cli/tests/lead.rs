//! `--lead`: who opens a database, and who takes over.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use level_party_testkit::{ExecChild, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

fn start(words: &[&str], dir: &Path) -> Child {
    Command::new(PROGRAM)
        .arg(words[0])
        .arg(dir)
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

#[test]
fn a_watch_goes_on_and_never_takes_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = dir.path().to_str().expect("plain");
    let leader = ExecChild::spawn_leader(PROGRAM, dir.path());
    let mut watch = start(&["watch", "--since", "0", "--limit", "2"], dir.path());
    let mut lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    run(PROGRAM, ["put", db, "a", "1"]).success();
    let line = lines.next().expect("a line").expect("text");
    assert_eq!(line, "1\tput\ta\t1");
    leader.kill();
    // The watch alone is left. Whoever comes may lead.
    let mut next = ExecChild::spawn(PROGRAM, dir.path());
    next.put("b", "2");
    assert_eq!(next.leader_pid(), next.pid());
    let line = lines.next().expect("a line").expect("text");
    assert_eq!(line, "2\tput\tb\t2");
    assert!(watch.wait().expect("it ends").success());
}

#[test]
fn never_waits_until_another_process_opens_the_database() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = dir.path().to_str().expect("plain");
    run(PROGRAM, ["put", db, "a", "1"]).success();
    let waits = start(
        &["get", "a", "--lead", "never", "--open-timeout", "60"],
        dir.path(),
    );
    let leader = ExecChild::spawn_leader(PROGRAM, dir.path());
    let done = waits.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&done.stdout), "1\n");
    assert!(leader.close().success());
}

#[test]
fn join_works_only_beside_another_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = dir.path().to_str().expect("plain");
    let put = ["put", db, "a", "1", "--lead", "join"];
    assert_eq!(run(PROGRAM, put).code(), 3);
    let leader = ExecChild::spawn_leader(PROGRAM, dir.path());
    run(PROGRAM, put).success();
    let got = run(PROGRAM, ["get", db, "a", "--lead", "join"]).success();
    assert_eq!(got.text(), "1\n");
    assert!(leader.close().success());
    let got = run(PROGRAM, ["get", db, "a", "--lead", "join"]);
    assert_eq!(got.code(), 3);
    assert!(
        got.stderr.contains("no process has it open"),
        "{}",
        got.stderr
    );
    assert_eq!(run(PROGRAM, ["get", db, "a"]).success().text(), "1\n");
}
