//! Five leaders, one after the other, that die in their recovery, each at another step of it (A5 of
//! `docs/RELIABILITY.md`): each recovery meets what those before it left half made.

use std::time::Instant;

use level_party_testkit::{ExecChild, PATIENCE};
use serde_json::json;

use crate::{KILL, PROGRAM};

/// Candidates that die one after the other.
const DEEP: usize = 5;
/// The steps from the lock to the epoch, whose dead have led nobody, and those after it that settle what was recovered.
const STEPS: [&str; 13] = [
    "lock-taken",
    "word-taken",
    "bound",
    "log-created",
    "recovered",
    "row-written",
    "tripwire-set",
    "table-created",
    "table-synced",
    "manifest-appended",
    "manifest-synced",
    "manifest-noted",
    "current-renamed",
];
/// Whoever dies at one of those behind so many first steps has led.
const UNTIL_EPOCH: usize = 7;
/// Whoever dies at one of so many first steps leaves the log to be recovered again.
const SAME_LOG: usize = 12;
/// Entries that the dead leader has only in its log.
const ENTRIES: usize = 2_000;
const BATCH: usize = 500;

#[test]
fn five_leaders_in_a_row_that_die_in_their_recovery_lose_nothing() {
    for steps in STEPS.windows(DEEP) {
        die_in_a_row(steps);
    }
    // Backwards as far as the next recovery begins with the same log again.
    let backwards: Vec<&str> = STEPS[..SAME_LOG].iter().rev().copied().collect();
    for steps in backwards.windows(DEEP) {
        die_in_a_row(steps);
    }
}

fn die_in_a_row(steps: &[&str]) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut leader = ExecChild::spawn(PROGRAM, dir.path());
    let mut model = Vec::new();
    for start in (0..ENTRIES).step_by(BATCH) {
        let put = |n| json!({"type": "put", "key": format!("{n:06}"), "value": "v".repeat(100)});
        let ops: Vec<_> = (start..start + BATCH).map(put).collect();
        leader.ok(&json!({"op": "batch", "ops": ops}));
        model.extend((start..start + BATCH).map(|n| (format!("{n:06}"), "v".repeat(100))));
    }
    let mut survivor = ExecChild::spawn(PROGRAM, dir.path());
    let before = survivor.status()["epoch"].as_u64().expect("an epoch");
    let flags = [] as [&str; 0];
    let mut doomed: Vec<(&str, ExecChild)> = Vec::new();
    for &step in steps {
        let mut child = ExecChild::spawn_in(PROGRAM, dir.path(), flags, &[(KILL, step)]);
        // It follows before the leader dies.
        assert_eq!(child.get("000000"), Some("v".repeat(100)), "{step}");
        doomed.push((step, child));
    }
    // Its call waits all the while. Whoever is paused is no candidate.
    survivor.pause();
    survivor.send(&json!({"op": "put", "key": "after", "value": "the five"}));
    for (_, child) in &mut doomed {
        child.pause();
    }
    leader.kill();
    for (step, child) in &mut doomed {
        child.resume();
        let start = Instant::now();
        while child.is_running() {
            assert!(
                start.elapsed() < PATIENCE,
                "{step} of {steps:?} is not reached"
            );
            std::thread::yield_now();
        }
    }
    survivor.resume();
    assert_eq!(survivor.answer()["ok"], json!(true), "{steps:?}");
    let status = survivor.status();
    assert_eq!(status["leader_pid"], json!(survivor.pid()), "{steps:?}");
    let led = |step: &&&str| STEPS[UNTIL_EPOCH..].contains(*step);
    let epochs = before + 1 + steps.iter().filter(led).count() as u64;
    assert_eq!(status["epoch"], json!(epochs), "{steps:?}");
    model.push(("after".to_string(), "the five".to_string()));
    assert!(
        survivor.scan("") == model,
        "{steps:?}: not what was acknowledged"
    );
}
