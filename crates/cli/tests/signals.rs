//! Ctrl-C and SIGTERM, and the commands that run until they come.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use level_party_testkit::{ExecChild, run};
use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

fn start(words: &[&str], dir: &Path) -> Child {
    Command::new(PROGRAM)
        .args(words)
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("a child that lives");
}

/// Reads lines up to the first that contains `word`.
fn wait_for(output: &mut impl BufRead, word: &str) -> String {
    let mut all = String::new();
    while !all.lines().last().is_some_and(|line| line.contains(word)) {
        let read = output.read_line(&mut all).expect("text");
        assert!(read > 0, "no {word:?} in: {all}");
    }
    all
}

/// The number of the leadership that a command finds or begins.
fn epoch(dir: &Path) -> u64 {
    let dir = dir.to_str().expect("plain");
    let status = run(PROGRAM, ["status", "--json", dir]).success();
    let status: serde_json::Value = serde_json::from_str(status.text()).expect("JSON");
    status["epoch"].as_u64().expect("a number")
}

#[test]
fn a_server_says_what_it_is_and_leaves_when_it_is_told() {
    for stop in [Signal::TERM, Signal::INT] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut first = start(&["serve"], dir.path());
        let mut words = BufReader::new(first.stderr.take().expect("piped"));
        let said = wait_for(&mut words, "Ctrl-C leaves");
        assert!(said.starts_with("leading, epoch "), "{said}");
        let mut second = start(&["serve"], dir.path());
        let mut seconds = BufReader::new(second.stderr.take().expect("piped"));
        let said = wait_for(&mut seconds, "Ctrl-C leaves");
        assert!(
            said.starts_with(&format!("following pid {}\n", first.id())),
            "{said}"
        );

        signal(&first, stop);
        wait_for(&mut words, "left ");
        assert_eq!(first.wait().expect("it ends").code(), Some(130));
        wait_for(&mut seconds, "leading, epoch ");
        signal(&second, stop);
        assert_eq!(second.wait().expect("it ends").code(), Some(130));
        assert!(epoch(dir.path()) >= 3);
    }
}

#[test]
fn leadership_is_given_to_another_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = dir.path().to_str().expect("plain");
    let mut first = ExecChild::spawn(PROGRAM, dir.path());
    assert_eq!(first.status()["role"], "leader");
    let alone = run(PROGRAM, ["yield", db]);
    assert_eq!(alone.code(), 1, "{}", alone.stderr);
    assert!(
        alone
            .stderr
            .contains(&format!("pid {} leads on", first.pid())),
        "{}",
        alone.stderr
    );
    let mut second = ExecChild::spawn(PROGRAM, dir.path());
    assert_eq!(second.status()["role"], "follower");
    let done = run(PROGRAM, ["yield", db]).success();
    assert_eq!(done.stderr, format!("pid {} leads now\n", second.pid()));
    assert_eq!(first.leader_pid(), second.pid());
}

#[test]
fn a_command_that_is_stopped_leaves_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut exec = start(&["exec"], dir.path());
    let mut answers = BufReader::new(exec.stdout.take().expect("piped"));
    // Held to the end: waiting closes what the child still has here, and the end of its input would end it too.
    let mut stdin = exec.stdin.take().expect("piped");
    writeln!(stdin, r#"{{"op":"put","key":"a","value":"1"}}"#).expect("it reads");
    wait_for(&mut answers, "\"ok\":true");
    let mut follower = ExecChild::spawn(PROGRAM, dir.path());
    assert_eq!(follower.leader_pid(), exec.id());
    signal(&exec, Signal::TERM);
    assert_eq!(exec.wait().expect("it ends").code(), Some(130));
    let mut words = String::new();
    exec.stderr
        .take()
        .expect("piped")
        .read_to_string(&mut words)
        .expect("text");
    assert_eq!(words, "");
    assert_eq!(follower.get("a").as_deref(), Some("1"));
    assert_eq!(follower.leader_pid(), follower.pid());
}

#[test]
fn an_import_that_is_stopped_says_what_stands() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut import = start(&["import"], dir.path());
    let mut watcher = ExecChild::spawn(PROGRAM, dir.path());
    let mut stdin = import.stdin.take().expect("piped");
    for n in 0..1_500 {
        writeln!(stdin, "{{\"key\":\"{n:05}\",\"value\":\"\"}}").expect("it reads");
    }
    stdin.flush().expect("it reads");
    while watcher.get("00999").is_none() {
        std::thread::yield_now();
    }
    signal(&import, Signal::INT);
    assert_eq!(import.wait().expect("it ends").code(), Some(130));
    let mut words = String::new();
    import
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut words)
        .expect("text");
    assert!(words.starts_with("stopped: at least "), "{words}");
    assert!(
        words.contains("import the same lines again is harmless"),
        "{words}"
    );
}

#[test]
fn a_watch_prints_changes_and_goes_on_where_it_was_stopped() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = dir.path().to_str().expect("plain");
    run(PROGRAM, ["put", db, "old", "1"]).success();
    let mut leader = ExecChild::spawn(PROGRAM, dir.path());
    assert_eq!(leader.status()["role"], "leader");
    let mut watch = start(&["watch", "--since", "0", "--prefix", "k"], dir.path());
    let mut lines = BufReader::new(watch.stdout.take().expect("piped"));
    leader.put("k", "tab\t");
    leader.put("other", "");
    leader.delete("k");
    let told = wait_for(&mut lines, "del");
    assert_eq!(told, "2\tput\tk\ttab\t\n4\tdel\tk\n");
    leader.put("kk", "");
    wait_for(&mut lines, "kk");
    signal(&watch, Signal::INT);
    assert_eq!(watch.wait().expect("it ends").code(), Some(130));
    let mut words = String::new();
    watch
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut words)
        .expect("text");
    let position = words
        .trim()
        .strip_prefix("position: ")
        .expect("a position")
        .to_string();
    leader.put("later", "x");
    let next = run(
        PROGRAM,
        ["watch", "--json", "--limit", "1", "--since", &position, db],
    )
    .success();
    let next: serde_json::Value = serde_json::from_str(next.text()).expect("JSON");
    assert_eq!(next["key"], "later");
    assert_eq!(next["sequence"], 6);

    // One that was told nothing stands where it began.
    let none = run(PROGRAM, ["watch", "--limit", "0", db]).success();
    assert!(none.stderr.starts_with("position: 6@"), "{}", none.stderr);

    let wrong = run(PROGRAM, ["watch", "--since", "yesterday", db]);
    assert_eq!(wrong.code(), 2);
    assert!(
        wrong.stderr.contains("no position of a watch"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn the_bench_measures_in_either_role_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = dir.path().to_str().expect("plain");
    let bench = || {
        let flags = ["bench", "--json", "--seconds", "0.05", "--keys", "1000", db];
        let done = run(PROGRAM, flags).success();
        let lines: Vec<serde_json::Value> = done
            .text()
            .lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect();
        assert_eq!(lines.len(), 6);
        for line in &lines {
            assert!(line["calls"].as_u64() > Some(0), "{line}");
            assert!(line["p99_ns"].as_u64() >= line["p50_ns"].as_u64(), "{line}");
        }
        lines[0]["role"].clone()
    };
    assert_eq!(bench(), "leader");
    let mut leader = ExecChild::spawn(PROGRAM, dir.path());
    assert_eq!(leader.status()["role"], "leader");
    assert_eq!(bench(), "follower");
    assert_eq!(run(PROGRAM, ["count", db]).success().text(), "0\n");
}
