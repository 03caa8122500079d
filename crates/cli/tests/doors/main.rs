//! Who gets in: locks, endpoints, users, hostile peers, and bad input of every kind, with real processes.
//! `docs/RELIABILITY.md` maps what must hold to the tests: here are its A10, D, E and F.
//!
//! What can't be shown on a machine (no root, no mounts) says so on standard error and is no failure.
#![cfg(target_os = "linux")]

mod bad_input;
mod crowd;
mod endpoints;
mod holders;
mod hostile;
mod names;
mod pages;
mod users;
mod wire;

use std::ffi::OsStr;
use std::path::Path;

use level_party_testkit::{ExecChild, Finished, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

fn temp() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory for tests")
}

/// Runs one command on a database. It waits for a leader for a second at most.
fn command(name: &str, dir: &Path, rest: &[&str]) -> Finished {
    let mut args = vec![OsStr::new(name), dir.as_os_str()];
    args.extend(rest.iter().map(OsStr::new));
    args.extend(["--open-timeout", "1"].map(OsStr::new));
    run(PROGRAM, args)
}

fn put(dir: &Path, key: &str, value: &str) {
    command("put", dir, &[key, value]).success();
}

/// What is under a key, asked by a process of its own.
fn get(dir: &Path, key: &str) -> String {
    let done = command("get", dir, &[key]).success();
    done.text().trim_end().to_owned()
}

/// A leader that serves.
fn leader(dir: &Path) -> ExecChild {
    let mut leader = ExecChild::spawn(PROGRAM, dir);
    assert_eq!(leader.leader_pid(), leader.pid());
    leader
}

/// A command that must fail, and say each of `words`.
fn refused(done: &Finished, words: &[&str]) {
    assert_eq!(
        done.code(),
        3,
        "it was to be refused; it said: {}",
        done.stderr
    );
    for word in words {
        assert!(
            done.stderr.contains(word),
            "the refusal does not say {word:?} but: {}",
            done.stderr
        );
    }
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
}

/// Says why a test shows nothing here.
fn impossible(why: &str) {
    eprintln!("IMPOSSIBLE HERE: {why}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Names in a directory, in order.
fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("it can be listed");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}
