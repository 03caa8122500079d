//! A stream over the whole range while its leaders die.

use std::process::{Command, Stdio};

use level_party_testkit::{ExecChild, Line, Lines, PATIENCE, find_leader, run_with_input};

use crate::PROGRAM;

const ENTRIES: usize = 20_000;
const KILLS: usize = 5;

fn value(n: usize) -> String {
    format!("{n:0>400}")
}

/// Streams all keys while leaders are killed, up to `KILLS` of them: fewer where the streaming process itself comes to
/// lead, for a stream can't outlive its own process. Returns the keys and the number of kills.
fn stream(flags: &[&str]) -> (Vec<String>, usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut lines = String::new();
    for n in 0..ENTRIES {
        lines += &format!("{{\"key\":\"{n:06}\",\"value\":\"{}\"}}\n", value(n));
    }
    let import = ["import", dir.path().to_str().expect("a path in UTF-8")];
    run_with_input(PROGRAM, import, lines).success();

    let mut party: Vec<ExecChild> = (0..3)
        .map(|_| ExecChild::spawn(PROGRAM, dir.path()))
        .collect();
    find_leader(&mut party);
    let mut scan = Command::new(PROGRAM)
        .arg("scan")
        .arg(dir.path())
        .args(flags)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program");
    // A channel that holds little and a pipe that is full hold the scan back: it cannot run ahead of the kills.
    let output = Lines::of(scan.stdout.take().expect("a pipe"));
    let key = |line: String| line.split('\t').next().expect("a key").to_string();
    let mut keys = Vec::new();
    let mut kills = 0;
    while kills < KILLS {
        while keys.len() < (kills + 1) * ENTRIES / (KILLS + 2) {
            match output.next_within(PATIENCE) {
                Line::Text(line) => keys.push(key(line)),
                other => panic!("the stream ended after {} entries: {other:?}", keys.len()),
            }
        }
        if party[0].leader_pid() == scan.id() {
            break;
        }
        // What is written and removed behind its back does not show: it reads one moment.
        let leader = find_leader(&mut party);
        party[leader].put(&format!("{:06}-new", keys.len() + kills), "later");
        party[leader].delete(&format!("{:06}", ENTRIES / 2 + kills));
        party.remove(leader).kill();
        kills += 1;
        party.push(ExecChild::spawn(PROGRAM, dir.path()));
    }
    keys.extend(output.rest().into_iter().map(key));
    assert!(scan.wait().expect("the scan").success());
    (keys, kills)
}

/// Streams again and again until `KILLS` leaders have died under streams; each stream must be whole.
fn streams(flags: &[&str], expected: &[String]) {
    let mut kills = 0;
    while kills < KILLS {
        let (keys, killed) = stream(flags);
        assert!(killed > 0, "a stream begins as a follower's");
        assert!(
            keys == expected,
            "{} keys of {}, {killed} kills",
            keys.len(),
            expected.len()
        );
        kills += killed;
    }
}

#[test]
fn a_stream_goes_on_after_the_last_key_it_had() {
    streams(
        &[],
        &(0..ENTRIES).map(|n| format!("{n:06}")).collect::<Vec<_>>(),
    );
}

#[test]
fn a_reverse_stream_goes_on_before_the_last_key_it_had() {
    streams(
        &["--reverse"],
        &(0..ENTRIES)
            .rev()
            .map(|n| format!("{n:06}"))
            .collect::<Vec<_>>(),
    );
}
