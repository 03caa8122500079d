//! The leader is killed under load, fifty times.

use std::path::Path;

use level_party_testkit::ExecChild;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::PROGRAM;
use crate::load::{Load, Written, check};

const WRITERS: usize = 4;
const READERS: usize = 2;
const KILLS: u64 = 50;
/// Writes that are acknowledged between two kills, so that each leader works before it dies.
const WRITES_BETWEEN: u64 = 100;

/// Kills whoever leads, `KILLS` times, with work in between; returns the epoch numbers seen.
fn kill_leaders(load: &Load<'_>) -> Vec<u64> {
    let mut observer = ExecChild::spawn(PROGRAM, load.dir);
    let mut epochs = Vec::new();
    while (epochs.len() as u64) < KILLS {
        load.wait_for_progress(WRITES_BETWEEN);
        let Some(status) = observer.try_ask(&json!({"op": "status"})) else {
            observer = ExecChild::spawn(PROGRAM, load.dir);
            continue;
        };
        assert_eq!(status["ok"], true, "{status}");
        let epoch = status["epoch"].as_u64().expect("an epoch");
        if epochs.last() == Some(&epoch) {
            continue;
        }
        let leader = status["leader_pid"].as_u64().expect("a leader") as u32;
        epochs.push(epoch);
        if leader == observer.pid() {
            observer.kill();
            observer = ExecChild::spawn(PROGRAM, load.dir);
        } else {
            // Its own thread reaps it, so the number cannot name another process yet.
            let leader = Pid::from_raw(leader as i32).expect("a pid");
            if let Err(error) = kill_process(leader, Signal::KILL) {
                panic!("the leader {leader:?} cannot be killed: {error}");
            }
        }
    }
    epochs
}

fn run(dir: &Path) -> Vec<Written> {
    let load = Load::new(dir);
    let (written, moments, epochs) = std::thread::scope(|threads| {
        let writers: Vec<_> =
            (0..WRITERS).map(|w| threads.spawn({ let load = &load; move || load.write(w) })).collect();
        let readers: Vec<_> =
            (0..READERS).map(|_| threads.spawn(|| load.read(WRITERS))).collect();
        let killer = threads.spawn(|| {
            let _stop = StopAtEnd(&load);
            kill_leaders(&load)
        });
        let join = |thread: std::thread::ScopedJoinHandle<'_, u64>| thread.join().expect("a reader");
        let written: Vec<Written> =
            writers.into_iter().map(|thread| thread.join().expect("a writer")).collect();
        let moments: u64 = readers.into_iter().map(join).sum();
        (written, moments, killer.join().expect("the killer"))
    });
    assert_eq!(epochs.len() as u64, KILLS);
    assert!(epochs.is_sorted_by(|a, b| a < b), "an epoch's number came again: {epochs:?}");
    assert!(moments > 0, "the readers read nothing");
    written
}

/// Ends the load also when the killer fails, so that its words are seen and not a hang.
struct StopAtEnd<'a>(&'a Load<'a>);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[test]
fn fifty_killed_leaders_lose_and_double_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let written = run(dir.path());
    let mut observer = ExecChild::spawn(PROGRAM, dir.path());
    for (writer, written) in written.iter().enumerate() {
        assert!(!written.acknowledged.is_empty(), "writer {writer} wrote nothing");
        check(writer, written, &observer.scan(&format!("{writer}/")));
    }
}
