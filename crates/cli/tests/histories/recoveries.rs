//! A5: leaders that die while they recover, wherever a kill meets them, and in recoveries that are held until it does; and
//! all processes at once. Five in a row, each at a step of its own: `tests/faults/recoveries.rs`.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use level_party_testkit::{ExecChild, PATIENCE};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::net::sockopt::socket_peercred;
use serde_json::json;

use crate::{PROGRAM, times};

/// Candidates that die one after the other.
const DEEP: usize = 5;
/// Entries written in each round: enough that a recovery takes longer than finding out who recovers.
const ENTRIES: usize = 20_000;
const BATCH: usize = 500;
/// From the bound endpoint to the kill at most, at first.
const FIRST_WAIT: Duration = Duration::from_millis(10);

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

/// The process that listens at the directory's endpoint, if one does.
fn listener(dir: &Path) -> Option<u32> {
    let stream = UnixStream::connect(dir.join("level-party.sock")).ok()?;
    let peer = socket_peercred(&stream).expect("the peer of a unix socket");
    u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
}

/// Waits until a process of the party listens, and kills it a little later: while it recovers, most likely.
fn kill_candidate(dir: &Path, party: &mut Vec<ExecChild>, wait: Duration) {
    let start = Instant::now();
    let candidate = loop {
        let pid = listener(dir);
        if let Some(at) = party.iter().position(|child| Some(child.pid()) == pid) {
            break at;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "nobody takes over; {pid:?} listens"
        );
    };
    // Spun, for a sleep is too coarse.
    let bound = Instant::now();
    while bound.elapsed() < wait {
        std::hint::spin_loop();
    }
    party.swap_remove(candidate).kill();
}

/// Anywhere in a recovery; where exactly, chance decides.
fn random_wait(random: &mut fastrand::Rng, longest: Duration) -> Duration {
    longest.mul_f64(random.f64())
}

fn found(child: &mut ExecChild) -> BTreeMap<String, String> {
    child.scan("").into_iter().collect()
}

#[test]
fn leaders_killed_in_their_recovery_again_and_again_lose_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut random = fastrand::Rng::with_seed(5);
    let mut model = BTreeMap::new();
    let mut party = Vec::new();
    let (mut in_recovery, mut longest_wait) = (0, FIRST_WAIT);
    let rounds = times(10);
    for round in 0..rounds {
        while party.len() < DEEP + 2 {
            party.push(ExecChild::spawn(PROGRAM, dir.path()));
        }
        write(&mut party, &mut model, round);
        let status = party[0].status();
        let before = status["epoch"].as_u64().expect("an epoch");
        for _ in 0..=DEEP {
            kill_candidate(
                dir.path(),
                &mut party,
                random_wait(&mut random, longest_wait),
            );
        }
        // Whoever died before its recovery was whole has raised no epoch.
        let after = party[0].status()["epoch"].as_u64().expect("an epoch");
        let raised = usize::try_from(after - before - 1).expect("few");
        in_recovery += DEEP - raised;
        // How long a recovery takes, machine and load decide: the next waits are such that about half die in it.
        longest_wait = match raised > DEEP / 2 {
            true => longest_wait / 2,
            false => longest_wait * 2,
        };
        assert!(
            found(&mut party[0]) == model,
            "round {round}: not what was acknowledged"
        );
    }
    println!(
        "of {} leaders {in_recovery} died in their recovery",
        rounds * DEEP
    );
}

/// Whoever takes over reads `CURRENT`, and gets no further until the test lets it.
#[test]
fn leaders_killed_in_recoveries_that_are_held_lose_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let spawn = |_| ExecChild::spawn(PROGRAM, dir.path());
    let mut party: Vec<ExecChild> = (0..DEEP + 2).map(spawn).collect();
    let mut model = BTreeMap::new();
    write(&mut party, &mut model, 0);
    // Once this is answered the leader has made its tables, and leaves CURRENT alone.
    party[0].ok(&json!({"op": "put", "key": "synced", "value": "1", "sync": true}));
    model.insert("synced".to_owned(), "1".to_owned());
    let epoch = |party: &mut [ExecChild]| party[0].status()["epoch"].as_u64().expect("an epoch");
    let before = epoch(&mut party);
    let current = dir.path().join("CURRENT");
    let content = fs::read(&current).expect("it is there");
    fs::remove_file(&current).expect("removed");
    mknodat(CWD, &current, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("made");
    for _ in 0..=DEEP {
        kill_candidate(dir.path(), &mut party, Duration::ZERO);
    }
    let mut gate = OpenOptions::new();
    let mut gate = gate
        .write(true)
        .open(&current)
        .expect("the last one reads it");
    // Whoever reads it again finds a file.
    let whole = dir.path().join("whole");
    fs::write(&whole, &content).expect("written");
    fs::rename(&whole, &current).expect("replaced");
    gate.write_all(&content).expect("the last one reads it");
    drop(gate);
    assert!(found(&mut party[0]) == model, "not what was acknowledged");
    assert_eq!(epoch(&mut party), before + 1, "the five have led nobody");
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
