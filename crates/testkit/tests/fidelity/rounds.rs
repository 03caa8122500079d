//! Alternating rounds: everyone in turn opens one directory, finds what the others left, works, and closes or is killed.

use std::path::Path;
use std::time::Duration;

use level_party_testkit::{
    Entries, Model, Op, Peer, PeerChild, PeerOptions, Script, difference, read_everything,
};

use crate::{engine, everyone, info, number, party};

/// The environment variable for the number of rounds, and their number in `.ci/run`.
const ROUNDS: &str = "FIDELITY_ROUNDS";
const CI_ROUNDS: u64 = 100;
/// The environment variable for the first round's seed.
const SEED: &str = "FIDELITY_SEED";

/// Rounds after which a new database is begun.
const ROUNDS_PER_DATABASE: u64 = 30;
/// Milliseconds after which most have opened the directory, on a machine with nothing else to do.
const LONGEST_OPENING: u64 = 80;
const KEYS: u32 = 500;
const PROBES: usize = 10;

/// What a directory must hold, and the epoch of the party's last turn in it.
#[derive(Default)]
struct Directory {
    model: Model,
    epoch: u64,
}

/// Whether snapshots are held over writes and compactions. LevelDB 1.20 loses track of versions of one key that are
/// split over two files (fixed in 1.21 by `AddBoundaryInputs`): it may not take part then.
#[derive(Clone, Copy, PartialEq)]
enum Snapshots {
    Held,
    None,
}

fn play(peers: &[Peer], snapshots: Snapshots, seed: u64) {
    let rounds = number(ROUNDS, CI_ROUNDS) / 2;
    let seed = number(SEED, seed);
    let mut kills = 0;
    for first in (0..rounds).step_by(ROUNDS_PER_DATABASE as usize) {
        let dir = tempfile::tempdir().expect("a directory");
        let mut directory = Directory::default();
        for round in first..rounds.min(first + ROUNDS_PER_DATABASE) {
            let mut script = Script::new(seed + round, KEYS);
            let peer = &peers[script.random().usize(..peers.len())];
            let options = PeerOptions::by_chance(script.random());
            let words = format!(
                "{SEED}={seed}, round {round}: {} with {options:?}",
                peer.name()
            );
            println!("{words}");
            if script.random().u32(..4) == 0 {
                let dying = &peers[script.random().usize(..peers.len())];
                let after = Duration::from_millis(script.random().u64(..LONGEST_OPENING));
                println!("{} dies after {after:?}", dying.name());
                dying.die_while_opening(dir.path(), &options, after);
            }
            let mut child = directory.open(peer, dir.path(), &options, &words);
            work(&mut child, &mut directory.model, &mut script, snapshots);
            kills += u64::from(leave(child, &mut directory.model, &mut script));
        }
        for peer in everyone() {
            let options = PeerOptions::default();
            let child = directory.open(&peer, dir.path(), &options, "after the last round");
            child.close();
        }
    }
    println!("{rounds} rounds, {kills} kills");
    assert!(rounds < 10 || kills > 0, "nobody was killed");
}

impl Directory {
    /// Opens it by a peer that reads all, resolves what the last kill left open, and looks at the party's files.
    fn open(&mut self, peer: &Peer, dir: &Path, options: &PeerOptions, words: &str) -> PeerChild {
        let state = || std::fs::read(dir.join("level-party.state")).ok();
        let before = state();
        let mut child = peer.open(dir, options);
        let found = child.forward(None);
        self.model.resolve(words, &found);
        read_everything(&mut child, &self.model, PROBES);
        let tripwire = dir.join("000001.dbtmp").exists();
        if peer.name() == "party" {
            assert!(tripwire, "{words}: the tripwire is not set");
            let epoch = info(&mut child, "epoch")[0];
            assert!(
                epoch > self.epoch,
                "{words}: epoch {epoch} after {}",
                self.epoch
            );
            self.epoch = epoch;
        } else {
            // Nobody else touches the state, and C++ LevelDB removes the tripwire.
            assert!(state() == before, "{words}: the state changed");
            assert!(
                !tripwire || peer.name() == "engine",
                "{words}: the tripwire stands"
            );
        }
        child
    }
}

/// A moment that is held, and what it shows.
struct Held {
    name: u64,
    model: Model,
}

fn work(child: &mut PeerChild, model: &mut Model, script: &mut Script, snapshots: Snapshots) {
    let mut held: Vec<Held> = Vec::new();
    let mut names = 0..;
    let mut hold = |child: &mut PeerChild, held: &mut Vec<Held>, model: &Model| {
        let name = names.next().expect("numbers do not end");
        child.take_snapshot(name);
        let model = model.clone();
        held.push(Held { name, model });
    };
    for _ in 0..script.random().u32(20..120) {
        match script.random().u32(..100) {
            0 => child.compact(),
            1..4 => {
                let name = script.random().usize(..held.len().max(1));
                if let Some(moment) = held.get(name) {
                    check_moment(child, moment);
                }
            }
            4..7 if snapshots == Snapshots::Held => hold(child, &mut held, model),
            7 if !held.is_empty() => {
                let moment = held.swap_remove(script.random().usize(..held.len()));
                check_moment(child, &moment);
                child.release_snapshot(moment.name);
            }
            8 if snapshots == Snapshots::Held => {
                // One key's versions, each held, that fill more than a table.
                let key = script.key();
                for _ in 0..14 {
                    let batch = [Op::Put(key.clone(), script.value_of(100_000))];
                    child.write(&batch, false);
                    model.apply(&batch);
                    hold(child, &mut held, model);
                }
            }
            9..20 => {
                let key = script.key();
                assert!(
                    child.get(&key).as_ref() == model.entries().get(&key),
                    "get {key:?}"
                );
            }
            _ => {
                let batch = script.batch();
                child.write(&batch, script.random().u32(..20) == 0);
                model.apply(&batch);
            }
        }
    }
    for moment in held.iter().take(2) {
        check_moment(child, moment);
    }
}

fn check_moment(child: &mut PeerChild, moment: &Held) {
    let expected = moment.model.entries();
    let same = |found: &Entries| {
        expected
            .iter()
            .eq(found.iter().map(|(key, value)| (key, value)))
    };
    let found = child.forward(Some(moment.name));
    assert!(
        same(&found),
        "a snapshot, forward: {}",
        difference(expected, &found)
    );
    let mut found = child.backward(Some(moment.name));
    found.reverse();
    assert!(
        same(&found),
        "a snapshot, backward: {}",
        difference(expected, &found)
    );
}

/// Closes, or kills it, mostly in the middle of writes. True: killed.
fn leave(mut child: PeerChild, model: &mut Model, script: &mut Script) -> bool {
    if script.random().u32(..5) < 2 {
        child.close();
        return false;
    }
    let batches: Vec<Vec<Op>> = (0..script.random().usize(..60))
        .map(|_| script.batch())
        .collect();
    for batch in &batches {
        child.send_write(batch, script.random().u32(..20) == 0);
    }
    for _ in 0..script.random().usize(..=batches.len()) {
        child.acknowledge();
    }
    let unanswered = child.kill();
    let (answered, unresolved) = batches.split_at(batches.len() - unanswered);
    for batch in answered {
        model.apply(batch);
    }
    model.leave_unsettled(unresolved.to_vec());
    true
}

#[test]
fn nothing_differs_after_rounds_by_everyone_and_kills() {
    play(&everyone(), Snapshots::None, 1);
}

#[test]
fn nothing_differs_after_rounds_with_snapshots_held() {
    let peers = [
        Peer::leveldb_1_22(),
        Peer::leveldb_1_23(),
        party(),
        engine(),
    ];
    play(&peers, Snapshots::Held, 2);
}
