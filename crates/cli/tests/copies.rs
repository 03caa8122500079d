//! `copy`: a million-entry habit in small: copied while processes write, copiers killed in between, then moved.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use level_party_testkit::{ExecChild, Finished, run};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");
/// Entries before anybody copies.
const ENTRIES: usize = 30_000;
const WRITERS: usize = 2;
/// Copiers that are killed.
const KILLS: u64 = 8;

fn copy(source: &Path, target: &Path, words: &[&str]) -> Finished {
    let paths = ["copy".as_ref(), source.as_os_str(), target.as_os_str()];
    run(
        PROGRAM,
        paths
            .into_iter()
            .chain(words.iter().map(|word| word.as_ref())),
    )
}

fn fill(source: &Path) {
    let lines: String = (0..ENTRIES)
        .map(|n| json!({"key": format!("{n:08}"), "value": "v".repeat(100)}).to_string() + "\n")
        .collect();
    let words = ["import".as_ref(), source.as_os_str()];
    level_party_testkit::run_with_input(PROGRAM, words, lines.into_bytes()).success();
}

/// Puts keys all over the database until it was moved. Gives each key's number of the last acknowledged put.
fn write_until_moved(source: &Path, writer: usize) -> Vec<(String, u64)> {
    let mut child = ExecChild::spawn(PROGRAM, source);
    let mut written = Vec::new();
    for number in 0.. {
        let key = format!("{:08}-{writer}", number * 7919 % ENTRIES as u64);
        let put = json!({"op": "put", "key": key, "value": number.to_string()});
        let answer = child.ask(&put);
        if answer["ok"] != true {
            assert_eq!(answer["error"]["kind"], "Moved", "{answer}");
            return written;
        }
        written.push((key, number));
    }
    unreachable!("it is moved at some time")
}

fn start_copier(source: &Path, target: &Path) -> Child {
    let mut command = Command::new(PROGRAM);
    command.arg("copy").args([source, target]);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started")
}

#[test]
fn killed_copiers_and_a_cut_over_lose_no_acknowledged_write() {
    let place = tempfile::tempdir().expect("a directory");
    let (source, target) = (place.path().join("source"), place.path().join("target"));
    fill(&source);
    let written: Vec<_> = std::thread::scope(|threads| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                threads.spawn({
                    let source = &source;
                    move || write_until_moved(source, writer)
                })
            })
            .collect();
        for kill in 0..KILLS {
            let mut copier = start_copier(&source, &target);
            std::thread::sleep(Duration::from_millis(40 * kill));
            copier.kill().expect("it is a child");
            copier.wait().expect("it is a child");
        }
        let done = copy(&source, &target, &["--then", "cut-over", "--json"]).success();
        let report: Value = serde_json::from_str(done.text()).expect("JSON");
        println!("cut over: {report}");
        assert!(
            report["contents"]["entries"].as_u64() >= Some(ENTRIES as u64),
            "{report}"
        );
        writers
            .into_iter()
            .map(|writer| writer.join().expect("it ends"))
            .collect()
    });
    let mut moved = ExecChild::spawn(PROGRAM, &target);
    let mut source = ExecChild::spawn(PROGRAM, &source);
    assert!(moved.scan("") == source.scan(""), "the two differ");
    for writes in written {
        assert!(!writes.is_empty(), "nobody wrote meanwhile");
        let last: std::collections::BTreeMap<_, _> = writes.into_iter().collect();
        for (key, number) in last {
            assert_eq!(moved.get(&key), Some(number.to_string()), "{key}");
        }
    }
    moved.put("goes", "on");
}

#[test]
fn what_cannot_be_copied_is_said_and_left_alone() {
    let place = tempfile::tempdir().expect("a directory");
    let path = |name: &str| place.path().join(name);
    let put = |name: &str| {
        run(
            PROGRAM,
            [
                "put".as_ref(),
                path(name).as_os_str(),
                "a".as_ref(),
                "1".as_ref(),
            ],
        )
        .success()
    };
    put("source");
    put("other");
    let (source, other) = (path("source"), path("other"));
    let refused = copy(&source, &other, &["--then", "open"]);
    assert!(
        refused
            .stderr
            .contains("a copy is made into an empty database"),
        "{}",
        refused.stderr
    );
    assert_eq!(copy(&path("none"), &path("copy"), &[]).code(), 3);
    assert!(!path("copy").exists(), "nothing was made");
    assert_eq!(copy(&source, &source, &[]).code(), 3, "onto itself");
    assert_eq!(copy(&source, &path("copy"), &["--then", "abort"]).code(), 2);

    copy(&source, &path("copy"), &[]).success();
    let closed = run(
        PROGRAM,
        ["get".as_ref(), path("copy").as_os_str(), "a".as_ref()],
    );
    assert!(
        closed
            .stderr
            .contains("a copy is being made into this database"),
        "{}",
        closed.stderr
    );
    assert_eq!(
        copy(&other, &path("copy"), &[]).code(),
        3,
        "it is of another source"
    );
    copy(&source, &path("copy"), &["--then", "open"]).success();
    assert_eq!(
        copy(&source, &path("copy"), &[]).code(),
        3,
        "it is a database of its own"
    );
    put("copy");
    put("source");
}
