//! The leader is killed under load, again and again.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::load::{Load, Written};

/// Readers beside the writers.
pub const READERS: usize = 2;
/// Writes that are acknowledged between two kills, so that each leader works before it dies.
const WRITES_BETWEEN: u64 = 100;

/// Kills whoever leads, `kills` times, with work in between; returns the epoch numbers seen.
fn kill_leaders(load: &Load<'_>, kills: usize) -> Vec<u64> {
    let mut observer = load.spawn();
    let mut epochs = Vec::new();
    while epochs.len() < kills {
        load.wait_for_progress(WRITES_BETWEEN);
        let Some(status) = observer.try_ask(&json!({"op": "status"})) else {
            observer = load.spawn();
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
            observer = load.spawn();
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

/// Runs `writers` and [`READERS`] readers by `program` on `dir` while their leaders are killed, `kills` times, and
/// returns what each writer knows.
///
/// # Panics
/// When anybody who survives notices anything: see [`Load::write`] and [`Load::read`].
pub fn kill_under_load(program: &Path, dir: &Path, writers: usize, kills: usize) -> Vec<Written> {
    let load = Load::new(program, dir);
    let (written, moments, epochs) = std::thread::scope(|threads| {
        let writing: Vec<_> = (0..writers)
            .map(|w| {
                threads.spawn({
                    let load = &load;
                    move || load.write(w)
                })
            })
            .collect();
        let readers: Vec<_> = (0..READERS)
            .map(|_| threads.spawn(|| load.read(writers)))
            .collect();
        let killer = threads.spawn(|| {
            let _stop = StopAtEnd(&load);
            kill_leaders(&load, kills)
        });
        let join =
            |thread: std::thread::ScopedJoinHandle<'_, u64>| thread.join().expect("a reader");
        let written: Vec<Written> = writing
            .into_iter()
            .map(|thread| thread.join().expect("a writer"))
            .collect();
        let moments: u64 = readers.into_iter().map(join).sum();
        (written, moments, killer.join().expect("the killer"))
    });
    assert_eq!(epochs.len(), kills);
    assert!(
        epochs.is_sorted_by(|a, b| a < b),
        "an epoch's number came again: {epochs:?}"
    );
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
