//! A6: followers are killed with all that they hold at the leader: streams, snapshots, calls half sent, connections.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use level_party_testkit::{ExecChild, PATIENCE};
use serde_json::{Value, json};

use crate::{PROGRAM, times};

const STREAMS: usize = 4;
const CALLERS: usize = 4;
/// Entries and a value's length: far more than a pipe and the chunks of a stream hold.
const ENTRIES: usize = 200;
const LONG: usize = 20_000;

/// What followers cost a leader.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    followers: usize,
    pins: u64,
    oldest_pin: Value,
    /// What its open descriptors name, but the database's own files: their number has a bound of its own.
    descriptors: Vec<String>,
}

fn held(leader: &mut ExecChild) -> Held {
    let status = leader.status();
    let open = std::fs::read_dir(format!("/proc/{}/fd", leader.pid())).expect("the leader runs");
    // A descriptor that is closed meanwhile has no name any more.
    let names = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let is_ours = |name: &String| [".ldb", ".log"].iter().any(|end| name.contains(end));
    let mut descriptors: Vec<String> = names
        .filter(|name| !is_ours(name))
        .map(|name| name.split(':').next().unwrap_or_default().to_owned())
        .collect();
    descriptors.sort();
    Held {
        followers: status["followers"].as_array().expect("a list").len(),
        pins: status["pins"].as_u64().expect("a number"),
        oldest_pin: status["oldest_pin"].clone(),
        descriptors,
    }
}

impl Held {
    /// Whether it is nothing but what `before` names too. (What was on its way out when `before` was looked at has gone by
    /// and by.)
    fn is_within(&self, before: &Held) -> bool {
        let count =
            |held: &Held, name: &String| held.descriptors.iter().filter(|n| *n == name).count();
        let names = &mut self.descriptors.iter();
        (self.followers, self.pins, &self.oldest_pin)
            == (before.followers, before.pins, &before.oldest_pin)
            && names.all(|name| count(self, name) <= count(before, name))
    }
}

/// Waits until what the leader holds is as it must be.
fn wait_until(leader: &mut ExecChild, what: &str, is_so: impl Fn(&Held) -> bool) -> Held {
    let start = Instant::now();
    loop {
        let now = held(leader);
        if is_so(&now) {
            return now;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{what}: after {PATIENCE:?} the leader holds {now:?}"
        );
    }
}

/// A stream whose reader does not read.
fn stream(dir: &Path) -> Child {
    let mut scan = Command::new(PROGRAM);
    scan.arg("scan").arg(dir).stdout(Stdio::piped());
    scan.spawn().expect("the program")
}

#[test]
fn what_killed_followers_held_at_the_leader_is_given_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut leader = ExecChild::spawn(PROGRAM, dir.path());
    for n in 0..ENTRIES {
        leader.put(&format!("{n:04}"), &"v".repeat(LONG));
    }
    let mut baseline: Option<Held> = None;
    for round in 0..times(6) {
        let mut streams: Vec<Child> = (0..STREAMS).map(|_| stream(dir.path())).collect();
        let mut callers: Vec<ExecChild> = (0..CALLERS)
            .map(|_| ExecChild::spawn(PROGRAM, dir.path()))
            .collect();
        for caller in &mut callers {
            caller.ok(&json!({"op": "snapshot"}));
        }
        // A stream holds its moment once it has begun; moments of one sequence may count as one.
        wait_until(&mut leader, "followers come", |held| {
            held.followers == STREAMS + CALLERS && held.pins > 0
        });
        // Written after the streams began, so that their moment is held by them alone.
        leader.put("later", &round.to_string());
        for caller in &mut callers {
            caller.send(&json!({"op": "put", "key": "long", "value": "v".repeat(4 << 20)}));
        }
        for mut child in streams.drain(..) {
            child.kill().expect("killed");
            child.wait().expect("gone");
        }
        callers.into_iter().for_each(ExecChild::kill);
        baseline = Some(match &baseline {
            // What the leader opens once for all is open after the first round.
            None => {
                let none = |held: &Held| held.followers == 0 && held.pins == 0;
                wait_until(&mut leader, "followers go", none)
            }
            Some(baseline) => {
                let what = format!("round {round}: {baseline:?} again");
                wait_until(&mut leader, &what, |held| held.is_within(baseline))
            }
        });
    }
    assert_eq!(leader.get("0000").map(|value| value.len()), Some(LONG));
}
