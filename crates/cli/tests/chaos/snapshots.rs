//! Snapshots of processes that are stopped, cut off or elsewhere while leaders come and go.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use level_party_testkit::{ExecChild, find_leader, run, script};
use serde_json::{Value, json};

use crate::PROGRAM;

const PATIENCE: Duration = Duration::from_secs(60);

/// Overwrites `k` until compactions have come to it: twenty megabytes are five memtables.
fn overwrite(child: &mut ExecChild) {
    for n in 0..100 {
        child.put("k", &format!("{n}").repeat(100_000));
    }
}

fn snapshot(child: &mut ExecChild) -> Value {
    child.ok(&json!({"op": "snapshot"}))["snapshot"].clone()
}

fn get_at(child: &mut ExecChild, snapshot: &Value) -> Value {
    child.ask(&json!({"op": "get", "key": "k", "snapshot": snapshot}))
}

/// The owner of a snapshot is stopped while leaders die one after the other; the last one has begun after it stopped.
#[test]
fn snapshot_of_a_stopped_process_outlives_leaders() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut first = ExecChild::spawn(PROGRAM, dir.path());
    first.put("k", "old");
    let mut owner = ExecChild::spawn(PROGRAM, dir.path());
    let held = snapshot(&mut owner);
    let mut second = ExecChild::spawn(PROGRAM, dir.path());
    assert_eq!(second.leader_pid(), first.pid());
    owner.pause();
    overwrite(&mut first);
    first.kill();
    overwrite(&mut second);
    let mut third = ExecChild::spawn(PROGRAM, dir.path());
    assert_eq!(third.leader_pid(), second.pid());
    second.kill();
    overwrite(&mut third);
    assert_eq!(third.leader_pid(), third.pid());
    owner.resume();
    let answer = get_at(&mut owner, &held);
    assert_eq!(answer["value"], "old", "{answer}");
    assert_eq!(owner.leader_pid(), third.pid());
}

/// Whoever comes while the only member left is stopped has nobody to let it in, and is told who that is.
#[test]
fn a_newcomer_is_told_which_stopped_process_keeps_the_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut first = ExecChild::spawn(PROGRAM, dir.path());
    first.put("k", "1");
    let mut left = ExecChild::spawn(PROGRAM, dir.path());
    assert_eq!(left.get("k").as_deref(), Some("1"));
    left.pause();
    first.kill();
    let path = dir.path().to_str().expect("a path in UTF-8");
    let late = run(PROGRAM, ["get", path, "k", "--open-timeout", "1"]);
    assert_eq!(late.code(), 3, "{}", late.stderr);
    let named = format!("pid {}", left.pid());
    assert!(
        late.stderr.contains(&named) && late.stderr.contains("stopped"),
        "{}",
        late.stderr
    );
    left.resume();
    assert_eq!(left.get("k").as_deref(), Some("1"));
    let found = run(PROGRAM, ["get", path, "k"]).success();
    assert_eq!(found.text(), "1\n");
}

#[test]
fn snapshots_outlive_leaders_killed_one_by_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut party: Vec<_> = (0..4)
        .map(|_| ExecChild::spawn(PROGRAM, dir.path()))
        .collect();
    party[0].put("k", "old");
    let held: Vec<Value> = party.iter_mut().map(snapshot).collect();
    let mut party: Vec<_> = party.into_iter().zip(held).collect();
    while party.len() > 1 {
        overwrite(&mut party[0].0);
        let pid = party[0].0.leader_pid();
        let leader = party.iter().position(|(child, _)| child.pid() == pid);
        party.remove(leader.expect("one of them leads")).0.kill();
        for (child, held) in &mut party {
            let answer = get_at(child, held);
            assert_eq!(answer["value"], "old", "{answer}");
        }
    }
}

/// A program that runs ours in a pid namespace of its own; `None` where that is not permitted.
fn elsewhere(dir: &Path) -> Option<PathBuf> {
    let unshare = ["--pid", "--fork", "--kill-child"];
    let tried = Command::new("unshare").args(unshare).arg("true").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this user may not make a pid namespace");
        return None;
    }
    let elsewhere = dir.join("elsewhere");
    let words = unshare.join(" ");
    let text = format!("#!/bin/sh\nexec unshare {words} -- '{PROGRAM}' \"$@\"\n");
    script(&elsewhere, &text);
    Some(elsewhere)
}

/// A pid says nothing about a process in another namespace; its byte of the state file does.
#[test]
fn member_in_another_pid_namespace_is_seen_alive_and_dead() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(elsewhere) = elsewhere(dir.path()) else {
        return;
    };
    let data = dir.path().join("data");
    let mut here = vec![
        ExecChild::spawn(PROGRAM, &data),
        ExecChild::spawn(PROGRAM, &data),
    ];
    here[0].put("k", "old");
    let mut owner = ExecChild::spawn(&elsewhere, &data);
    let held = snapshot(&mut owner);
    let leader = find_leader(&mut here);
    here.remove(leader).kill();
    overwrite(&mut here[0]);
    let answer = get_at(&mut owner, &held);
    assert_eq!(answer["value"], "old", "{answer}");
    owner.kill();
    let deadline = Instant::now() + PATIENCE;
    while here[0].status()["pins"] != 0 {
        assert!(Instant::now() < deadline, "{}", here[0].status());
        std::thread::yield_now();
    }
}
