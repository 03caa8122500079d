//! A death at each named point, under load: every history stays linearizable, nothing acknowledged is lost or doubled,
//! and whoever survives notices nothing (A2 of `docs/RELIABILITY.md`; the crash cases of `page.rs`, `leader.rs` and the
//! engine's recovery).

use std::time::Instant;

use level_party::faults::POINTS;
use level_party_testkit::{ExecChild, Load, PATIENCE, Place, run_load};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;

use crate::{KILL, PROGRAM};

const WRITERS: usize = 2;
/// Leaders killed at most until the victim has led and followed often enough to reach its point.
const ROUNDS: usize = 200;
/// Writes between two of them.
const WRITES_BETWEEN: u64 = 20;

/// Points of a graceful leave.
const LEAVING: [&str; 2] = ["endpoint-unlinked", "engine-closed"];

/// Points that only a follower reaches.
const FOLLOWING: [&str; 3] = ["attached", "sent-again", "answer-received"];

/// The one among them for which no leader needs to die.
const BESIDE_ANY_LEADER: &str = "answer-received";

/// At which visit of the point the victim dies: the later ones are reached under load.
fn visits(point: &str) -> &'static [u32] {
    match point {
        "claimed" | "intent-written" | "log-half-appended" | "log-appended" | "applied"
        | "answers-sent" | "answer-received" => &[1, 40],
        _ => &[1],
    }
}

#[test]
fn a_death_at_any_point_loses_and_doubles_nothing() {
    for point in POINTS.iter().filter(|point| !LEAVING.contains(point)) {
        for visit in visits(point) {
            die_at(&format!("{point}:{visit}"));
        }
    }
}

#[test]
fn a_death_while_leaving_hands_over_all_the_same() {
    for point in LEAVING {
        let dir = tempfile::tempdir().expect("a directory");
        let flags = [] as [&str; 0];
        let mut leader = ExecChild::spawn_in(PROGRAM, dir.path(), flags, &[(KILL, point)]);
        leader.put("a", "1");
        let mut follower = ExecChild::spawn(PROGRAM, dir.path());
        follower.put("b", "2");
        assert!(!leader.close().success(), "it was to die at {point}");
        follower.put("c", "3");
        let all = ["a", "b", "c"].map(|key| follower.get(key));
        assert_eq!(all, ["1", "2", "3"].map(|v| Some(v.to_string())), "{point}");
    }
}

fn die_at(death: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let flags: &[&str] = match death.starts_with("log-synced") {
        true => &["--sync"],
        false => &[],
    };
    let place = Place::new(PROGRAM, dir.path()).with_flags(flags);
    let load = Load::at(place, WRITERS);
    let mut record = run_load(&load, |load| {
        // A writer: it comes by all points.
        load.place().doom(WRITERS, KILL, death);
        drive(load, death);
        load.wait_for_progress(WRITES_BETWEEN);
        Vec::new()
    });
    let found = ExecChild::spawn(PROGRAM, dir.path()).scan("");
    let judged = record.end(found).and_then(|()| record.history.check());
    if let Err(words) = judged {
        panic!("{death}: {words}");
    }
}

/// Has leaders die until the victim, one of the clients' processes that follow them, has died at its point.
fn drive(load: &Load, death: &str) {
    let mut observer = ExecChild::spawn(PROGRAM, &load.place().dir);
    // Each leader has all the time there is.
    let (mut start, mut killed, mut seen) = (Instant::now(), 0, 0);
    while killed < ROUNDS && start.elapsed() < PATIENCE {
        if killed > seen {
            (start, seen) = (Instant::now(), killed);
        }
        load.wait_for_progress(WRITES_BETWEEN);
        let victim = load.place().doomed();
        if victim.is_some_and(|pid| test_kill_process(known(pid)).is_err()) {
            return;
        }
        let Some(status) = observer.try_ask(&json!({"op": "status"})) else {
            observer = ExecChild::spawn(PROGRAM, &load.place().dir);
            continue;
        };
        let leader = status["leader_pid"].as_u64().expect("a leader") as u32;
        if leader == observer.pid() {
            killed += 1;
            observer.kill();
            observer = ExecChild::spawn(PROGRAM, &load.place().dir);
        } else if victim.is_some_and(|pid| pid != leader) && death.starts_with(BESIDE_ANY_LEADER) {
            // A follower reaches it by itself, and might be elected first if its leader died.
        } else if Some(leader) != victim {
            // It may have given way meanwhile; then it is another client's process that dies.
            killed += 1;
            let _ = kill_process(known(leader), Signal::KILL);
        } else if FOLLOWING.iter().any(|point| death.starts_with(point)) {
            // It leads and will not follow again: another one's turn.
            killed += 1;
            let _ = kill_process(known(leader), Signal::KILL);
            load.place().doom(WRITERS, KILL, death);
        }
        // Else the victim leads: it reaches a point of a leader's work by itself, if only when it settles.
    }
    panic!("{death} was not reached");
}

/// Who started it reaps it only when it looks at it next, so that the number names no other process.
fn known(pid: u32) -> Pid {
    Pid::from_raw(pid as i32).expect("a pid")
}
