//! Five processes, one after the other, that die in their founding, each at another step of it (A5 of
//! `docs/RELIABILITY.md`): each recovery meets what those before it left half made.

use level_party_testkit::{ExecChild, PATIENCE};
use serde_json::json;

use crate::{KILL, PROGRAM};

/// Founders that die one after the other.
const DEEP: usize = 5;
/// The steps from the lock to the endpoint.
const STEPS: [&str; 17] = [
    "lock-taken",
    "word-taken",
    "table-created",
    "table-synced",
    "log-created",
    "manifest-appended",
    "manifest-synced",
    "manifest-noted",
    "current-renamed",
    "recovered",
    "row-written",
    "tripwire-set",
    "epoch-raised",
    "byte-taken",
    "lowered",
    "bound",
    "serving",
];
/// Whoever dies at one of so many first steps leaves the log to be recovered again.
const SAME_LOG: usize = 8;
/// Entries that the dead leader has only in its log.
const ENTRIES: usize = 2_000;
const BATCH: usize = 500;

#[test]
fn five_founders_that_die_in_recovery_lose_nothing() {
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
    let before = leader.status()["epoch"].as_u64().expect("an epoch");
    leader.kill();
    for step in steps {
        let mut child = ExecChild::spawn_in(PROGRAM, dir.path(), [""; 0], &[(KILL, step)]);
        let start = std::time::Instant::now();
        while child.is_running() {
            assert!(
                start.elapsed() < PATIENCE,
                "{step} of {steps:?} is not reached"
            );
            std::thread::yield_now();
        }
    }
    let mut survivor = ExecChild::spawn(PROGRAM, dir.path());
    survivor.put("after", "the five");
    let status = survivor.status();
    assert_eq!(status["leader_pid"], json!(survivor.pid()), "{steps:?}");
    let after = status["epoch"].as_u64().expect("an epoch");
    assert!(after > before, "{steps:?}: {after} after {before}");
    model.push(("after".to_string(), "the five".to_string()));
    assert!(
        survivor.scan("") == model,
        "{steps:?}: not what was acknowledged"
    );
}
