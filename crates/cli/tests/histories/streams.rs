//! A11: the leader is killed at every position of a stream over awkward keys. Each value is longer than a chunk of a
//! stream and than a pipe, so each entry is asked for by itself, and the stream stands where its reader stands.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use level_party_testkit::{ExecChild, PATIENCE, find_leader};
use serde_json::{Value, json};

use crate::{PROGRAM, times};

/// Longer than a stream's largest chunk (128 KiB).
const LONG: usize = 300_000;

const KEYS: [&[u8]; 12] = [
    b"",
    b"\0",
    b"\0\0",
    b"\0\xff",
    b"a",
    b"a\0",
    b"a\0\0",
    b"a\xff",
    b"ab",
    b"\xff",
    b"\xff\xff",
    b"\xff\xff\xff",
];

type Entries = BTreeMap<Vec<u8>, String>;

type Chosen<'a> = Vec<(&'a Vec<u8>, &'a String)>;

/// What a stream asks for, and which entries that is.
struct Window {
    flags: &'static [&'static str],
    chosen: fn(&Entries) -> Chosen<'_>,
}

const WINDOWS: [Window; 6] = [
    Window {
        flags: &[],
        chosen: |all| all.iter().collect(),
    },
    Window {
        flags: &["--reverse"],
        chosen: |all| all.iter().rev().collect(),
    },
    Window {
        flags: &["--limit", "6"],
        chosen: |all| all.iter().take(6).collect(),
    },
    Window {
        flags: &["--reverse", "--limit", "6"],
        chosen: |all| all.iter().rev().take(6).collect(),
    },
    Window {
        flags: &["--gt", "a", "--limit", "5"],
        chosen: |all| all.range(b"a\0".to_vec()..).take(5).collect(),
    },
    Window {
        flags: &["--reverse", "--prefix", "a"],
        chosen: |all| all.range(b"a".to_vec()..b"b".to_vec()).rev().collect(),
    },
];

fn bytes(bytes: &[u8]) -> Value {
    json!({"base64": STANDARD.encode(bytes)})
}

fn put(child: &mut ExecChild, model: &mut Entries, key: &[u8], token: &str) {
    let value = format!("{token}:{}", "v".repeat(LONG));
    child.ok(&json!({"op": "put", "key": bytes(key), "value": value}));
    model.insert(key.to_vec(), value);
}

fn delete(child: &mut ExecChild, model: &mut Entries, key: &[u8]) {
    child.ok(&json!({"op": "delete", "key": bytes(key)}));
    model.remove(key);
}

/// A stream whose output is read a line at a time, when it is asked for.
struct Stream {
    child: Child,
    ask: Sender<()>,
    lines: Receiver<Option<String>>,
}

impl Stream {
    /// Starts, and returns when the first bytes have come: its moment is chosen.
    fn start(dir: &Path, flags: &[&str]) -> Self {
        let mut scan = Command::new(PROGRAM);
        scan.arg("scan").arg(dir).arg("--json").args(flags);
        let mut child = scan.stdout(Stdio::piped()).spawn().expect("the program");
        let stdout = child.stdout.take().expect("standard output is piped");
        let (ask, asked) = channel::<()>();
        let (send, lines) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let begun = reader.fill_buf().is_ok_and(|bytes| !bytes.is_empty());
            let _ = send.send(begun.then(String::new));
            for () in asked {
                let mut line = String::new();
                let read = reader.read_line(&mut line);
                let _ = send.send(read.is_ok_and(|n| n > 0).then_some(line));
            }
        });
        let stream = Stream { child, ask, lines };
        assert!(stream.wait().is_some(), "the stream is empty");
        stream
    }

    fn wait(&self) -> Option<String> {
        self.lines
            .recv_timeout(PATIENCE)
            .expect("the stream goes on or ends")
    }

    /// The next entry's key and value.
    fn next(&self) -> Option<(Vec<u8>, String)> {
        self.ask.send(()).expect("the reader reads");
        let entry: Value = serde_json::from_str(&self.wait()?).expect("an entry");
        let key = match &entry["key"] {
            Value::String(text) => text.as_bytes().to_vec(),
            other => STANDARD
                .decode(other["base64"].as_str().expect("base64"))
                .expect("base64"),
        };
        Some((key, entry["value"].as_str().expect("a text").to_owned()))
    }

    fn end(mut self) {
        assert!(self.child.wait().expect("its end").success());
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads `position` entries, has the leader killed, changes what the stream must not see, and reads on.
fn kill_at(
    dir: &Path,
    window: &Window,
    position: usize,
    party: &mut Vec<ExecChild>,
    model: &mut Entries,
    stamp: usize,
) {
    while party.len() < 2 {
        party.push(ExecChild::spawn(PROGRAM, dir));
    }
    let leader = find_leader(party);
    let missing: Vec<&[u8]> = KEYS
        .into_iter()
        .filter(|key| !model.contains_key(*key))
        .collect();
    for key in missing {
        put(&mut party[0], model, key, "again");
    }
    let moment = model.clone();
    let expected = (window.chosen)(&moment);
    let stream = Stream::start(dir, window.flags);
    for (at, (key, value)) in expected.iter().enumerate() {
        if at == position {
            // Removed before it dies, overwritten and added after: two of the keys are yet to come, mostly.
            let change = (stamp * 5 + position) % KEYS.len();
            delete(&mut party[1], model, KEYS[change]);
            party.swap_remove(leader).kill();
            put(
                &mut party[0],
                model,
                KEYS[(change + 1) % KEYS.len()],
                &stamp.to_string(),
            );
            put(&mut party[0], model, b"a\0new", "new");
            delete(&mut party[0], model, b"a\0new");
        }
        let (found, content) = stream
            .next()
            .unwrap_or_else(|| panic!("no entry {at} of {}", expected.len()));
        assert!(
            &found == *key && &content == *value,
            "{:?}, killed at {position}: entry {at} is {:?} with {:?}, not {:?} with {:?}",
            window.flags,
            found.escape_ascii().to_string(),
            content.split(':').next(),
            key.escape_ascii().to_string(),
            value.split(':').next(),
        );
    }
    assert_eq!(stream.next(), None, "{:?}: an entry too many", window.flags);
    stream.end();
}

#[test]
fn stream_is_the_same_wherever_its_leader_is_killed() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut party, mut model) = (Vec::new(), Entries::new());
    let mut kills = 0;
    for round in 0..times(1) {
        for window in &WINDOWS {
            let full = KEYS
                .iter()
                .map(|key| (key.to_vec(), String::new()))
                .collect();
            for position in 0..(window.chosen)(&full).len() {
                kill_at(
                    dir.path(),
                    window,
                    position,
                    &mut party,
                    &mut model,
                    round + kills,
                );
                kills += 1;
            }
        }
    }
    println!("{kills} leaders were killed under streams");
}
