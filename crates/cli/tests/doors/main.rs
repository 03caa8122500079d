//! Who gets in: locks, endpoints, users, hostile peers, and bad input of every kind, with real processes.
//! `docs/RELIABILITY.md` maps what must hold to the tests: here are its A10, D, E and F.
//!
//! A test that the machine can't run (no root, no mounts) says so on standard error and does not fail.
#![cfg(target_os = "linux")]

mod bad_input;
mod crowd;
mod disks;
mod endpoints;
mod foreign;
mod holders;
mod hostile;
mod mounts;
mod names;
mod users;
mod wire;

use std::ffi::OsStr;
use std::path::Path;

use level_party_testkit::{ExecChild, Finished, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

/// A directory whose name leaves room for a socket's behind it, wherever temporary files are.
fn temp() -> tempfile::TempDir {
    let dir = match std::env::temp_dir().as_os_str().len() {
        ..40 => tempfile::tempdir(),
        _ => tempfile::tempdir_in("/tmp"),
    };
    dir.expect("a directory for tests")
}

/// Seconds for which a command waits that must be refused: where only the deadline ends it, time enough for one attempt
/// on a busy machine, for before that nobody can tell what is in the way.
const REFUSED_WITHIN: &str = "3";
/// Seconds for which one waits that must succeed.
const SERVED_WITHIN: &str = "60";

fn within(seconds: &str, name: &str, dir: &Path, rest: &[&str]) -> Finished {
    let mut args = vec![OsStr::new(name), dir.as_os_str()];
    args.extend(rest.iter().map(OsStr::new));
    args.extend(["--open-timeout", seconds].map(OsStr::new));
    run(PROGRAM, args)
}

/// Runs one command on a database, which must refuse it.
fn command(name: &str, dir: &Path, rest: &[&str]) -> Finished {
    within(REFUSED_WITHIN, name, dir, rest)
}

fn put(dir: &Path, key: &str, value: &str) {
    within(SERVED_WITHIN, "put", dir, &[key, value]).success();
}

/// What is under a key, asked by a process of its own.
fn get(dir: &Path, key: &str) -> String {
    let done = within(SERVED_WITHIN, "get", dir, &[key]).success();
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
