//! What the reader of a pipe gets, and what happens when it goes.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use level_party_testkit::{ExecChild, Line, Lines, PATIENCE, run_with_input};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");
/// Far more than all pipes and buffers on the way hold.
const ENTRIES: usize = 60_000;

fn fill(dir: &Path) {
    let value = "v".repeat(100);
    let lines: Vec<u8> = (0..ENTRIES)
        .flat_map(|n| format!("{{\"key\":\"{n:06}\",\"value\":\"{value}\"}}\n").into_bytes())
        .collect();
    run_with_input(PROGRAM, ["import".as_ref(), dir.as_os_str()], lines).success();
}

fn start(words: &[&str], dir: &Path) -> Child {
    Command::new(PROGRAM)
        .args(words)
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

#[test]
fn a_reader_that_has_enough_ends_the_program_quietly() {
    let dir = tempfile::tempdir().expect("a directory");
    fill(dir.path());
    for words in [&["scan"][..], &["scan", "--json"], &["export"]] {
        let mut child = start(words, dir.path());
        let mut first = String::new();
        // The reader goes away at the end of this statement, as `head -1` does.
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut first)
            .expect("a line");
        assert!(first.contains("000000"), "{first}");
        let done = child.wait_with_output().expect("it ends");
        assert!(done.status.success(), "{words:?}: {}", done.status);
        assert_eq!(String::from_utf8_lossy(&done.stderr), "", "{words:?}");
    }
}

#[test]
fn exec_ends_quietly_when_nobody_reads_its_answers() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = Command::new(PROGRAM)
        .arg("exec")
        .arg(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("piped");
    std::io::Write::write_all(&mut stdin, b"{\"op\":\"status\"}\n").expect("it reads");
    // Standard input stays open: it is the answer that cannot be written that ends the program.
    let mut words = String::new();
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut words)
        .expect("text");
    assert_eq!(words, "");
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn scan_fills_a_pipe_and_outlives_its_leader() {
    let dir = tempfile::tempdir().expect("a directory");
    fill(dir.path());
    let mut leader = ExecChild::spawn(PROGRAM, dir.path());
    assert_eq!(leader.status()["role"], "leader");

    let mut scan = start(&["scan", "--keys"], dir.path());
    let lines = Lines::of(scan.stdout.take().expect("piped"));
    let next = |n: usize| match lines.next_within(PATIENCE) {
        Line::Text(line) => assert_eq!(line, format!("{n:06}")),
        other => panic!("instead of entry {n}: {other:?}"),
    };
    (0..10).for_each(next);
    assert!(
        scan.try_wait().expect("a status").is_none(),
        "a scan whose reader is slow was over already"
    );

    // These writes come after the scan's moment, and its leader is killed.
    leader.ok(&json!({"op": "put", "key": "000010x", "value": "later"}));
    leader.ok(&json!({"op": "delete", "key": "050000"}));
    leader.kill();
    (10..ENTRIES).for_each(next);
    assert_eq!(lines.next_within(PATIENCE), Line::End);
    let done = scan.wait_with_output().expect("it ends");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}
