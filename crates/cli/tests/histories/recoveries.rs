//! A5: processes that die while one of them takes over, wherever a kill meets them; a takeover that is held; and all
//! processes at once. Founders, five in a row, each at a step of its own: `tests/faults/recoveries.rs`.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::time::{Duration, Instant};

use level_party_testkit::{ExecChild, find_leader};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;

use crate::{PROGRAM, times};

/// Processes that die one after the other.
const DEEP: usize = 5;
/// Entries written in each round.
const ENTRIES: usize = 20_000;
const BATCH: usize = 500;
/// From one kill to the next at most.
const LONGEST_WAIT: Duration = Duration::from_millis(8);

/// Writes through all of the party in turn; what was acknowledged goes into `model`.
fn write(party: &mut [ExecChild], model: &mut BTreeMap<String, String>, round: usize) {
    for start in (0..ENTRIES).step_by(BATCH) {
        let entry = |n: usize| (format!("{n:06}"), format!("{round}.{n}{}", "x".repeat(100)));
        let entries: Vec<_> = (start..start + BATCH).map(entry).collect();
        let put =
            |(key, value): &(String, String)| json!({"type": "put", "key": key, "value": value});
        let ops: Vec<_> = entries.iter().map(put).collect();
        let member = start / BATCH % party.len();
        party[member].ok(&json!({"op": "batch", "ops": ops}));
        model.extend(entries);
    }
}

/// Kills one of the party a little later: while somebody takes over, most likely.
fn kill_one(random: &mut fastrand::Rng, party: &mut Vec<ExecChild>, wait: Duration) {
    // Spun, for a sleep is too coarse.
    let begun = Instant::now();
    while begun.elapsed() < wait {
        std::hint::spin_loop();
    }
    party.swap_remove(random.usize(..party.len())).kill();
}

/// Anywhere in a takeover; where exactly, chance decides.
fn random_wait(random: &mut fastrand::Rng, longest: Duration) -> Duration {
    longest.mul_f64(random.f64())
}

fn found(child: &mut ExecChild) -> BTreeMap<String, String> {
    child.scan("").into_iter().collect()
}

#[test]
fn processes_killed_in_takeovers_again_and_again_lose_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut random = fastrand::Rng::with_seed(5);
    let mut model = BTreeMap::new();
    let mut party = Vec::new();
    let (mut led, mut killed) = (0, 0);
    for round in 0..times(10) {
        while party.len() < DEEP + 2 {
            party.push(ExecChild::spawn(PROGRAM, dir.path()));
        }
        write(&mut party, &mut model, round);
        let leader = find_leader(&mut party);
        let before = party[leader].status()["epoch"].as_u64().expect("an epoch");
        party.swap_remove(leader).kill();
        for _ in 0..DEEP {
            let wait = random_wait(&mut random, LONGEST_WAIT);
            kill_one(&mut random, &mut party, wait);
        }
        killed += DEEP + 1;
        assert!(
            found(&mut party[0]) == model,
            "round {round}: not what was acknowledged"
        );
        party[0].put("led", "by somebody");
        model.insert("led".to_owned(), "by somebody".to_owned());
        let leader = find_leader(&mut party);
        let after = party[leader].status()["epoch"].as_u64().expect("an epoch");
        led += after - before;
    }
    println!("{killed} killed in {led} takeovers, of leaders among them");
}

/// Whoever takes over reads `CURRENT`, and gets no further until the test lets it. The others go on meanwhile.
#[test]
fn reads_and_writes_go_on_while_a_takeover_is_held() {
    let dir = tempfile::tempdir().expect("a directory");
    let spawn = |_| ExecChild::spawn(PROGRAM, dir.path());
    let mut party: Vec<ExecChild> = (0..DEEP).map(spawn).collect();
    let mut model = BTreeMap::new();
    write(&mut party, &mut model, 0);
    let leader = find_leader(&mut party);
    let before = party[leader].status()["epoch"].as_u64().expect("an epoch");
    let current = dir.path().join("CURRENT");
    let content = fs::read(&current).expect("it is there");
    fs::remove_file(&current).expect("removed");
    mknodat(CWD, &current, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("made");
    party.swap_remove(leader).kill();
    for round in 0..20 {
        for child in &mut party {
            let value = round.to_string();
            child.put("held", &value);
            assert_eq!(child.get("held"), Some(value));
        }
        assert_eq!(party[0].status()["epoch"], before, "nobody leads");
    }
    model.insert("held".to_owned(), "19".to_owned());
    let mut gate = OpenOptions::new();
    let mut gate = gate.write(true).open(&current).expect("one reads it");
    // Whoever reads it again finds a file.
    let whole = dir.path().join("whole");
    fs::write(&whole, &content).expect("written");
    fs::rename(&whole, &current).expect("replaced");
    gate.write_all(&content).expect("one reads it");
    drop(gate);
    find_leader(&mut party);
    for child in &mut party {
        assert!(found(child) == model, "not what was acknowledged");
    }
    assert_eq!(party[0].status()["epoch"], before + 1);
}

#[test]
fn all_killed_at_once_come_back_with_all_that_was_acknowledged() {
    const LAST: usize = 20;
    let dir = tempfile::tempdir().expect("a directory");
    let mut model = BTreeMap::new();
    for round in 0..times(5) {
        let mut party: Vec<ExecChild> = (0..4)
            .map(|_| ExecChild::spawn(PROGRAM, dir.path()))
            .collect();
        write(&mut party, &mut model, round);
        // What is in flight at the end took effect whole or not at all.
        for (number, child) in party.iter_mut().enumerate() {
            let put = |n| json!({"type": "put", "key": format!("last/{round}/{number}/{n:02}"), "value": "v"});
            let ops: Vec<_> = (0..LAST).map(put).collect();
            child.send(&json!({"op": "batch", "ops": ops}));
        }
        for child in &party {
            let pid = rustix::process::Pid::from_raw(child.pid() as i32).expect("a pid");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
        }
        drop(party);
        let now = found(&mut ExecChild::spawn(PROGRAM, dir.path()));
        for number in 0..4 {
            let prefix = format!("last/{round}/{number}/");
            let batch = now.iter().filter(|(key, _)| key.starts_with(&prefix));
            let batch: Vec<_> = batch.map(|(k, v)| (k.clone(), v.clone())).collect();
            assert!(
                [0, LAST].contains(&batch.len()),
                "round {round}: half a batch: {batch:?}"
            );
            model.extend(batch);
        }
        assert!(now == model, "round {round}: not what was acknowledged");
    }
}
