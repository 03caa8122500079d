//! A death at each named point, under load: nothing acknowledged is lost or doubled, and whoever survives notices
//! nothing (A2 of the reliability plan; the crash cases of `page.rs`, `leader.rs` and the engine's recovery).

use std::path::Path;
use std::sync::Mutex;

use level_party::faults::POINTS;
use level_party_testkit::{ExecChild, Load, PATIENCE, check};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{KILL, PROGRAM};

/// Writers that survive, beside the one that dies.
const SURVIVORS: usize = 2;
/// Leaders killed at most until the victim has led and followed often enough to reach its point.
const ROUNDS: usize = 60;
/// Writes between two of them.
const WRITES_BETWEEN: u64 = 30;

/// Points of a graceful leave.
const LEAVING: [&str; 2] = ["endpoint-unlinked", "engine-closed"];
/// Points that only a follower reaches.
const FOLLOWING: [&str; 3] = ["attached", "sent-again", "answer-received"];

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
    seed(dir.path());
    let load = Load::new(Path::new(PROGRAM), dir.path());
    let victim = Mutex::new(None);
    let written = std::thread::scope(|threads| {
        let survivors = (0..SURVIVORS).map(|writer| {
            let load = &load;
            threads.spawn(move || load.write(writer))
        });
        let mut writers: Vec<_> = survivors.collect();
        writers.push(
            threads.spawn(|| load.write_through(SURVIVORS, || doomed(&load, &victim, death))),
        );
        let stop = Stop(&load);
        drive(&load, &victim, death);
        load.wait_for_progress(WRITES_BETWEEN);
        drop(stop);
        let join = |writer: std::thread::ScopedJoinHandle<'_, _>| {
            writer
                .join()
                .unwrap_or_else(|_| panic!("{death}: a writer failed"))
        };
        writers.into_iter().map(join).collect::<Vec<_>>()
    });
    let mut observer = ExecChild::spawn(PROGRAM, dir.path());
    for (writer, written) in written.iter().enumerate() {
        check(writer, written, &observer.scan(&format!("{writer}/")));
    }
    assert_eq!(observer.scan("seed").len(), 200, "{death}");
}

/// A leader that was killed, so that the next one has something to recover.
fn seed(dir: &Path) {
    let mut first = ExecChild::spawn(PROGRAM, dir);
    for n in 0..200 {
        first.put(&format!("seed{n:03}"), "before");
    }
    first.kill();
}

/// What is known of the process that is to die.
struct Victim {
    pid: u32,
    gone: bool,
}

/// The first process started this way dies at its point, those after it live.
fn doomed(load: &Load<'_>, victim: &Mutex<Option<Victim>>, death: &str) -> ExecChild {
    let mut known = victim.lock().unwrap();
    match &mut *known {
        None => {
            let child = ExecChild::spawn_in(PROGRAM, load.dir(), [] as [&str; 0], &[(KILL, death)]);
            *known = Some(Victim {
                pid: child.pid(),
                gone: false,
            });
            child
        }
        Some(victim) => {
            victim.gone = true;
            load.spawn()
        }
    }
}

/// Has leaders die until the victim has died at its point, as follower or as leader.
fn drive(load: &Load<'_>, victim: &Mutex<Option<Victim>>, death: &str) {
    let mut observer = load.spawn();
    for _ in 0..ROUNDS {
        load.wait_for_progress(WRITES_BETWEEN);
        let pid = match &*victim.lock().unwrap() {
            Some(Victim { gone: true, .. }) => return,
            Some(victim) => victim.pid,
            None => continue,
        };
        let Some(status) = observer.try_ask(&json!({"op": "status"})) else {
            observer = load.spawn();
            continue;
        };
        let leader = status["leader_pid"].as_u64().expect("a leader") as u32;
        if leader == pid {
            // A point of a leader's work is reached by itself; for a follower's it must follow again.
            if FOLLOWING.iter().any(|point| death.starts_with(point)) {
                panic!("{death}: the victim leads and never followed");
            }
        } else if leader == observer.pid() {
            observer.kill();
            observer = load.spawn();
        } else {
            // Its own thread reaps it, so the number cannot name another process yet.
            let leader = Pid::from_raw(leader as i32).expect("a pid");
            // It may have died at its point, or given way, meanwhile.
            let _ = kill_process(leader, Signal::KILL);
        }
    }
    panic!("{death} was not reached within {ROUNDS} leaders and {PATIENCE:?}");
}

struct Stop<'a>(&'a Load<'a>);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
