//! A death at each named point, under load: every history stays linearizable, nothing acknowledged is lost or doubled,
//! and whoever survives notices nothing (A2 of `docs/RELIABILITY.md`; the crash cases of docs/COMMIT.md).

use std::time::Instant;

use level_party::faults::POINTS;
use level_party::{Db, ErrorKind, Readable, Role};
use level_party_testkit::{ExecChild, Load, PATIENCE, Target, run_load};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;

use crate::{KILL, PROGRAM};

const WRITERS: usize = 2;
/// Leaders killed at most until the victim has led and followed often enough to reach its point.
const ROUNDS: usize = 200;
/// Writes between two of them.
const WRITES_BETWEEN: u64 = 20;

/// Points of a graceful leave.
const LEAVING: [&str; 3] = ["endpoint-unlinked", "stopped-leading", "engine-closed"];

/// Points that only a founding reaches, when nobody has the directory: `recoveries` dies there.
const FOUNDING: [&str; 7] = [
    "lock-taken",
    "word-taken",
    "recovered",
    "row-written",
    "tripwire-set",
    "epoch-raised",
    "lowered",
];

/// Points of a copy: `copies` dies there.
const COPYING: [&str; 5] = [
    "service-file",
    "service-word",
    "copy-writes",
    "copy-moves",
    "copy-compared",
];

/// The point that is reached only in work of the leader that somebody asks for.
const WORK: &str = "work-begun";

/// At which visit of the point the victim dies: the later ones are reached under load.
fn visits(point: &str) -> &'static [u32] {
    match point {
        "log-half-appended" | "log-appended" => &[1, 40],
        _ => &[1],
    }
}

#[test]
fn a_death_at_any_point_loses_and_doubles_nothing() {
    let apart = |point: &&&str| {
        ![&LEAVING[..], &FOUNDING, &COPYING, &[WORK]]
            .concat()
            .contains(*point)
    };
    for point in POINTS.iter().filter(apart) {
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

#[test]
fn work_of_a_dead_leader_is_begun_anew_or_ends_connection_lost() {
    for retry in [true, false] {
        let dir = tempfile::tempdir().expect("a directory");
        let flags = [] as [&str; 0];
        let mut leader = ExecChild::spawn_in(PROGRAM, dir.path(), flags, &[(KILL, WORK)]);
        leader.put("a", "0");
        let follower = Db::options().retry(retry).open(dir.path()).expect("served");
        assert_eq!(follower.role(), Role::Follower);
        follower.put("a", "1").expect("it asks nobody");
        let done = follower.compact_range(..).map_err(|error| error.kind());
        match retry {
            true => assert_eq!(done, Ok(())),
            false => assert_eq!(done, Err(ErrorKind::ConnectionLost)),
        }
        let found = follower.get("a").expect("it asks nobody");
        assert_eq!(found.as_deref(), Some(&b"1"[..]));
        follower.compact_range(..).expect("it leads");
        assert_eq!(follower.role(), Role::Leader);
        drop(leader);
    }
}

fn die_at(death: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let flags: &[&str] = match death.starts_with("log-synced") {
        true => &["--sync"],
        false => &[],
    };
    let target = Target::new(PROGRAM, dir.path()).with_flags(flags);
    let load = Load::at(target, WRITERS);
    let mut record = run_load(&load, |load| {
        // Somebody leads before the victim comes, which would not succeed anybody if it were the founder.
        let mut observer = ExecChild::spawn(PROGRAM, &load.target().dir);
        observer.leader_pid();
        // A writer: it comes by all points.
        load.target().doom(WRITERS, KILL, death);
        drive(load, death, observer);
        load.wait_for_progress(WRITES_BETWEEN);
        Vec::new()
    });
    let found = ExecChild::spawn(PROGRAM, dir.path()).scan("");
    let judged = record.end(found).and_then(|()| record.history.check());
    if let Err(words) = judged {
        panic!("{death}: {words}");
    }
}

/// Has leaders die until the victim, one of the clients' processes, has died at its point.
fn drive(load: &Load, death: &str, mut observer: ExecChild) {
    // Each leader has all the time there is.
    let (mut start, mut killed, mut seen) = (Instant::now(), 0, 0);
    let mut last = None;
    while killed < ROUNDS && start.elapsed() < PATIENCE {
        if killed > seen {
            (start, seen) = (Instant::now(), killed);
        }
        load.wait_for_progress(WRITES_BETWEEN);
        let victim = load.target().doomed();
        if victim.is_some_and(|pid| test_kill_process(known(pid)).is_err()) {
            return;
        }
        let Some(status) = observer.try_ask(&json!({"op": "status"})) else {
            observer = ExecChild::spawn(PROGRAM, &load.target().dir);
            continue;
        };
        let leader = status["leader_pid"].as_u64().expect("a leader") as u32;
        if last == Some(leader) {
            // It is dead, and nobody has succeeded it yet.
            std::thread::yield_now();
        } else if leader == observer.pid() {
            last = Some(leader);
            killed += 1;
            observer.kill();
            observer = ExecChild::spawn(PROGRAM, &load.target().dir);
        } else if Some(leader) != victim {
            // It may have given way meanwhile; then it is another client's process that dies.
            last = Some(leader);
            killed += 1;
            let _ = kill_process(known(leader), Signal::KILL);
        }
        // Else the victim leads: it reaches a point of a leader's work by itself.
    }
    panic!("{death} was not reached");
}

/// Its parent reaps it only when it looks at it next, so the number names no other process.
fn known(pid: u32) -> Pid {
    Pid::from_raw(pid as i32).expect("a pid")
}
