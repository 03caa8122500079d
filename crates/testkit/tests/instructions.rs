//! A process is killed at one instruction of its put after the other. Whoever is left finds the put or does not, goes on at once,
//! and loses nothing.
//!
//! `LEVEL_PARTY_INSTRUCTIONS=N` has every Nth instruction tried; without it so many that there are about a hundred.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use level_party::{Db, Readable};
use level_party_testkit::example;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

/// About so many are tried.
const TRIED: u64 = 100;

/// Has a process put a key, and kills it after so many instructions. Gives those that it had taken if the put was done before.
fn killed_after(instructions: u64, dir: &Path, key: &str) -> Option<u64> {
    let mut child = Command::new(example("one-put"))
        .arg(dir)
        .arg(key)
        .spawn()
        .expect("it was built");
    let pid = Pid::from_raw(child.id().cast_signed());
    let stopped = |signal| WaitStatus::Stopped(pid, signal);
    assert_eq!(waitpid(pid, None), Ok(stopped(Signal::SIGSTOP)));
    let (mut taken, mut done) = (0, None);
    while taken < instructions && done.is_none() {
        ptrace::step(pid, None).expect("it is traced");
        match waitpid(pid, None) {
            Ok(WaitStatus::Stopped(_, Signal::SIGTRAP)) => taken += 1,
            Ok(WaitStatus::Stopped(_, Signal::SIGSTOP)) => done = Some(taken),
            other => panic!("after {taken} instructions: {other:?}"),
        }
    }
    kill(pid, Signal::SIGKILL).expect("it is there");
    child.wait().expect("it is ours");
    done
}

#[test]
fn put_killed_at_any_instruction_is_done_or_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path()).expect("an empty directory");
    let whole = killed_after(u64::MAX, dir.path(), "whole").expect("nobody killed it");
    assert_eq!(
        db.get("whole").expect("it reads").as_deref(),
        Some(&b"1"[..])
    );
    let stride: u64 = match std::env::var("LEVEL_PARTY_INSTRUCTIONS") {
        Ok(stride) => stride.parse().expect("LEVEL_PARTY_INSTRUCTIONS=N"),
        Err(_) => (whole / TRIED).max(1),
    };
    let mut sure = BTreeSet::from([String::from("before"), String::from("whole")]);
    let (mut killed, mut found) = (0, 0);
    for instructions in (0..=whole).step_by(stride as usize) {
        let key = format!("killed {instructions:08}");
        if killed_after(instructions, dir.path(), &key).is_some() {
            sure.insert(key);
        } else {
            killed += 1;
            if db.get(&key).expect("it reads").is_some() {
                found += 1;
                // It is there from now on.
                sure.insert(key);
            }
        }
        let own = format!("own {instructions:08}");
        db.put(&own, "1").expect("the lock is free, or taken over");
        sure.insert(own);
        check(&db, &sure);
    }
    println!("{whole} instructions, {killed} processes killed within, {found} puts done");
    assert!(found > 0 && found < killed, "{found} of {killed}");
    db.close().expect("it leads");
    check(&Db::open(dir.path()).expect("nobody has it"), &sure);
}

/// What the database has, and in its order.
fn check(db: &Db, sure: &BTreeSet<String>) {
    let keys = db.iter().map(|entry| {
        let (key, _) = entry.expect("it reads");
        String::from_utf8(key).expect("only text was put")
    });
    assert!(keys.eq(sure.iter().cloned()), "not what was put");
}
