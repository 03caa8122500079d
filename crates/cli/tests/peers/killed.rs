//! C++ LevelDB opens what killed processes left, each time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use level_party_testkit::{ExecChild, Peer};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::PROGRAM;

/// Processes that write, each its own keys.
const WRITERS: usize = 4;
/// Keys of each: few, so that most of what a compaction meets is overwritten.
const KEYS: usize = 8;

type Entries = BTreeMap<String, String>;

/// What one process did in one round.
struct Written {
    writer: usize,
    round: usize,
    /// How many of its writes were answered.
    answered: usize,
}

impl Written {
    fn key(&self, number: usize) -> String {
        format!("{}/{}", self.writer, number % KEYS)
    }

    /// The value of its write with this number, of 0.5 to 32 KB, so that a few hundred writes fill a memtable; `None`: that
    /// one deletes.
    fn value(&self, number: usize) -> Option<String> {
        let length = 500 << (number * 7 % 7);
        let value = format!("{}.{}.{number} ", self.writer, self.round);
        (!number.is_multiple_of(5)).then(|| value.repeat(length / value.len()))
    }

    fn request(&self, number: usize) -> Value {
        let (key, sync) = (self.key(number), number.is_multiple_of(16));
        match self.value(number) {
            Some(value) => json!({"op": "put", "key": key, "value": value, "sync": sync}),
            None => json!({"op": "delete", "key": key, "sync": sync}),
        }
    }

    fn write_until_killed(&mut self, mut child: ExecChild) {
        while let Some(answer) = child.try_ask(&self.request(self.answered)) {
            assert_eq!(answer["ok"], true, "{answer}");
            self.answered += 1;
        }
    }

    fn apply(&self, number: usize, entries: &mut Entries) {
        match self.value(number) {
            Some(value) => entries.insert(self.key(number), value),
            None => entries.remove(&self.key(number)),
        };
    }

    /// Brings `expected` to what was answered, and to the write in flight if `found` has it.
    fn follow(&self, expected: &mut Entries, found: &Entries) {
        (0..self.answered).for_each(|number| self.apply(number, expected));
        let key = self.key(self.answered);
        if found.get(&key) != expected.get(&key) {
            self.apply(self.answered, expected);
        }
    }
}

/// Starts processes that write, kills one of them at a random moment and soon the others. Gives what each did.
fn write_and_kill(dir: &Path, round: usize, random: &mut fastrand::Rng) -> Vec<Written> {
    let mut children: Vec<_> = (0..WRITERS)
        .map(|_| ExecChild::spawn(PROGRAM, dir))
        .collect();
    // Each has it open.
    children.iter_mut().for_each(|child| drop(child.status()));
    let mut pids: Vec<_> = children.iter().map(ExecChild::pid).collect();
    random.shuffle(&mut pids);
    std::thread::scope(|scope| {
        let writers = children.into_iter().enumerate().map(|(writer, child)| {
            let mut written = Written {
                writer,
                round,
                answered: 0,
            };
            scope.spawn(move || {
                written.write_until_killed(child);
                written
            })
        });
        let writers: Vec<_> = writers.collect();
        for pause in [random.u64(..30_000), random.u64(..5_000), 0, 0] {
            std::thread::sleep(Duration::from_micros(pause));
            let pid = pids.pop().and_then(|pid| Pid::from_raw(pid as i32));
            kill_process(pid.expect("one is left"), Signal::KILL).expect("it lives");
        }
        let writers = writers.into_iter();
        writers.map(|one| one.join().expect("a writer")).collect()
    })
}

#[test]
fn scan_and_compaction_agree_after_each_kill() {
    let rounds = std::env::var("LEVEL_PARTY_KILLS").map_or(60, |n| n.parse().expect("a number"));
    let dir = tempfile::tempdir().expect("a directory");
    let peers = Peer::leveldbs();
    let mut random = fastrand::Rng::with_seed(3);
    let (mut expected, mut answered) = (Entries::new(), 0);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text was written");
    for round in 0..rounds {
        let written = write_and_kill(dir.path(), round, &mut random);
        let peer = &peers[round % peers.len()];
        let mut leveldb = peer.hold(dir.path());
        let scan = |entries: Vec<(Vec<u8>, Vec<u8>)>| -> Entries {
            entries
                .into_iter()
                .map(|(k, v)| (text(k), text(v)))
                .collect()
        };
        let found = scan(leveldb.forward(None));
        leveldb.compact();
        let compacted = scan(leveldb.forward(None));
        leveldb.close();
        for one in written {
            one.follow(&mut expected, &found);
            answered += one.answered;
        }
        let name = peer.name();
        assert!(
            found == expected,
            "round {round}: {name} reads something else"
        );
        assert!(
            compacted == found,
            "round {round}: {name} compacts to something else"
        );
    }
    assert!(
        answered > 10 * rounds,
        "only {answered} writes were answered"
    );
    println!("{rounds} times all processes were killed; {answered} writes were answered");
}
