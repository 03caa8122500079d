//! Databases of more tables than the process may have files open.
#![cfg(unix)]

use std::path::Path;

use level_party_testkit::{ExecChild, Finished, ManyTables, run, script};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");
const TABLES: usize = 1_500;

/// Runs a command with so many descriptors, as soft and hard limit.
fn limited(descriptors: u32, words: &[&str], dir: &Path) -> Finished {
    let (command, rest) = words.split_first().expect("a command");
    let dir = dir.to_str().expect("a plain name");
    let limit = descriptors.to_string();
    let shell = ["-c", r#"ulimit -n "$0" && exec "$@""#, &limit, PROGRAM];
    let words = shell.into_iter().chain([*command, dir]);
    run("sh", words.chain(rest.iter().copied()))
}

/// As [`limited`], giving what it printed.
fn printed(descriptors: u32, words: &[&str], dir: &Path) -> String {
    let done = limited(descriptors, words, dir);
    let said = &done.stderr;
    assert_eq!(done.code(), 0, "{words:?} at {descriptors}: {said}");
    done.text().trim_end().to_owned()
}

/// Each command finds the tables as they were made: every opening begins to compact them.
fn works_at(descriptors: u32) {
    let tmp = tempfile::tempdir().expect("a directory");
    let many = ManyTables::new(TABLES);
    let written = tmp.path().join("written");
    many.write(&written);
    let fresh = |name: &str| {
        let dir = tmp.path().join(name);
        many.link(&written, &dir);
        dir
    };
    let dir = fresh("count");
    let keys = many.keys().to_string();
    assert_eq!(printed(descriptors, &["count"], &dir), keys);

    let dir = fresh("get");
    let got = printed(descriptors, &["get", "a"], &dir);
    assert_eq!(got, many.newest());
    assert_eq!(printed(descriptors, &["get", "k00777"], &dir), "x");

    let dir = fresh("write");
    printed(descriptors, &["put", "a", "newer"], &dir);
    printed(descriptors, &["compact"], &dir);
    assert_eq!(printed(descriptors, &["get", "a"], &dir), "newer");
    assert_eq!(printed(descriptors, &["count"], &dir), keys);
    let tables = std::fs::read_dir(&dir).expect("it is there").filter(|f| {
        let name = f.as_ref().expect("it can be listed").file_name();
        name.to_string_lossy().ends_with(".ldb")
    });
    assert!(tables.count() < 10);

    let dir = fresh("repair");
    std::fs::remove_file(dir.join("CURRENT")).expect("it was written");
    printed(descriptors, &["repair", "--yes"], &dir);
    assert_eq!(printed(descriptors, &["get", "a"], &dir), many.newest());
    assert_eq!(printed(descriptors, &["count"], &dir), keys);
}

#[test]
fn many_overlapping_tables_work_at_1024_descriptors() {
    works_at(1_024);
}

#[test]
fn many_overlapping_tables_work_at_256_descriptors() {
    works_at(256);
}

#[test]
fn many_overlapping_tables_work_at_64_descriptors() {
    works_at(64);
}

#[test]
fn a_process_at_its_last_descriptors_closes_tables_and_goes_on() {
    let tmp = tempfile::tempdir().expect("a directory");
    let many = ManyTables::new(200);
    let keys = many.keys().to_string();
    // What the program needs besides tables, found by trying: below it nothing works, above it everything.
    let (mut works, mut fails) = (64, 8);
    while works - fails > 1 {
        let limit = u32::midpoint(works, fails);
        let dir = tmp.path().join(limit.to_string());
        many.write(&dir);
        let done = limited(limit, &["count"], &dir);
        match done.status.success() {
            true => {
                assert_eq!(done.text().trim_end(), keys, "at {limit}");
                works = limit;
            }
            false => {
                assert!(done.stderr.contains("open files"), "{}", done.stderr);
                fails = limit;
            }
        }
    }
    assert!(works <= 32, "it needs {works} descriptors");
}

#[cfg(target_os = "linux")]
#[test]
fn opening_raises_the_soft_limit_to_the_hard_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let lowered = dir.path().join("lowered");
    let text = format!("#!/bin/sh\nulimit -S -n 64 && exec {PROGRAM} \"$@\"\n");
    script(&lowered, &text);
    let mut child = ExecChild::spawn(&lowered, dir.path().join("db"));
    child.put("a", "1");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.pid())).expect("Linux");
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = files.expect("a limit").split_whitespace().collect();
    assert_eq!(words[3], words[4], "soft and hard");
    assert_ne!(words[3], "64");
    child.close();
}
