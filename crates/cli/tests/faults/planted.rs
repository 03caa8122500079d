//! Bugs that a careless build has, each planted and caught: what the tests beside it rest on can tell.

use level_party::faults::BUGS;
use std::io::{Seek, SeekFrom, Write};

use level_party_testkit::{ExecChild, ForeignLock};
use serde_json::json;

use crate::{PLANT, PROGRAM};

/// A bug, and what tells it: whether all is well.
type Check = (&'static str, fn(&Plant) -> bool);

const CHECKS: &[Check] = &[
    (
        "no-epoch-check",
        a_leader_that_was_overtaken_answers_no_more,
    ),
    ("flock-only", a_lock_of_cpp_leveldb_is_respected),
    ("reverse-resume-decremented", a_reverse_scan_is_whole),
    (
        "unlink-by-follower",
        a_follower_leaves_the_endpoint_standing,
    ),
];

#[test]
fn each_planted_bug_is_caught_and_without_it_all_is_well() {
    let names: Vec<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, BUGS, "each bug has its check");
    for (bug, is_well) in CHECKS {
        assert!(is_well(&Plant::none()), "{bug}: without the bug");
        assert!(!is_well(&Plant(Some(bug))), "{bug}: planted and not caught");
    }
}

/// Seconds within which whoever is to be served is, also on a busy machine.
const SERVED_WITHIN: &str = "50";

/// What the processes of a check do wrong.
struct Plant(Option<&'static str>);

impl Plant {
    fn none() -> Self {
        Plant(None)
    }

    fn spawn(&self, dir: &tempfile::TempDir) -> ExecChild {
        self.spawn_within(dir, SERVED_WITHIN)
    }

    /// One that opens the directory within a moment, or never: which is told apart by the bug.
    fn spawn_to_fail(&self, dir: &tempfile::TempDir, is_to_fail: bool) -> ExecChild {
        let within = if is_to_fail { "2" } else { SERVED_WITHIN };
        self.spawn_within(dir, within)
    }

    fn spawn_within(&self, dir: &tempfile::TempDir, within: &str) -> ExecChild {
        let environment: Vec<_> = self.0.map(|bug| (PLANT, bug)).into_iter().collect();
        let flags = ["--open-timeout", within];
        ExecChild::spawn_in(PROGRAM, dir.path(), flags, &environment)
    }
}

fn a_directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Keys between a key and the same with its last byte decremented, over more than one chunk.
fn a_reverse_scan_is_whole(plant: &Plant) -> bool {
    let dir = a_directory();
    let mut child = plant.spawn(&dir);
    let value = "v".repeat(1000);
    let keys: Vec<String> = (0..40)
        .flat_map(|n| [format!("{n:02}"), format!("{n:02}!"), format!("{n:02}~")])
        .collect();
    for key in &keys {
        child.put(key, &value);
    }
    // Each form of a key is once the last one of the first chunk.
    (keys.len() - 3..keys.len()).all(|last| {
        let scan = json!({"op": "scan", "reverse": true, "lte": keys[last]});
        let answer = child.ok(&scan);
        let entries: Vec<(String, String)> =
            serde_json::from_value(answer["entries"].clone()).expect("entries");
        let walked = entries.iter().rev().map(|(key, _)| key);
        walked.eq(&keys[..=last])
    })
}

fn a_follower_leaves_the_endpoint_standing(plant: &Plant) -> bool {
    let dir = a_directory();
    let mut leader = plant.spawn(&dir);
    leader.put("a", "1");
    let mut follower = plant.spawn(&dir);
    follower.put("b", "2");
    assert!(follower.close().success());
    let mut late = plant.spawn_to_fail(&dir, plant.0.is_some());
    late.try_ask(&json!({"op": "get", "key": "b"}))
        .is_some_and(|answer| answer["value"] == "2")
}

/// Somebody else takes the epoch word, as a founder does who came by another way: the one that led answers nothing more
/// in its epoch.
fn a_leader_that_was_overtaken_answers_no_more(plant: &Plant) -> bool {
    /// Where the word stands (docs/FORMAT.md).
    const EPOCH_WORD_AT: u64 = 4088;
    let dir = a_directory();
    let mut leader = plant.spawn(&dir);
    leader.put("a", "1");
    let epoch = leader.status()["epoch"].as_u64().expect("a number");
    let path = dir.path().join("level-party.state");
    let mut state = std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .expect("a state file");
    state
        .seek(SeekFrom::Start(EPOCH_WORD_AT))
        .expect("it is that long");
    state
        .write_all(&u64::MAX.to_le_bytes())
        .expect("the word is written");
    leader.put("b", "2");
    leader.status()["epoch"].as_u64().expect("a number") > epoch
}

fn a_lock_of_cpp_leveldb_is_respected(plant: &Plant) -> bool {
    let dir = a_directory();
    let _held = ForeignLock::take(dir.path());
    let mut child = plant.spawn_to_fail(&dir, plant.0.is_none());
    child.try_ask(&json!({"op": "status"})).is_none()
}
