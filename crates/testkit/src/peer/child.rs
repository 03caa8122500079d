//! A running peer.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::{Peer, PeerOptions};
use crate::model::{Entries, Entry, Op};
use crate::program::{missing, wait_within};
use crate::reading::Readable;
use crate::{Line, Lines, PATIENCE};

/// Answers that may wait unread, so that many writes can be sent before the first answer is looked at.
const ANSWERS_AHEAD: usize = 16_384;

/// A peer that has a database open. It is killed when dropped.
///
/// Every method panics with the peer's own words if no good answer comes within [`PATIENCE`].
#[derive(Debug)]
pub struct PeerChild {
    name: &'static str,
    child: Child,
    stdin: Option<ChildStdin>,
    answers: Lines,
    stderr: Receiver<String>,
    unanswered: usize,
}

impl PeerChild {
    pub(super) fn start(peer: &Peer, dir: &Path, options: &PeerOptions) -> Result<Self, String> {
        let mut child = spawn(peer, dir, options);
        let (sender, stderr) = channel();
        let mut words = child.stderr.take().expect("standard error is piped");
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = words.read_to_end(&mut bytes);
            let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
        });
        let stdout = child.stdout.take().expect("standard output is piped");
        let started = PeerChild {
            name: peer.name,
            stdin: child.stdin.take(),
            answers: Lines::reading_ahead(stdout, ANSWERS_AHEAD),
            stderr,
            child,
            unanswered: 0,
        };
        match started.answers.next_within(PATIENCE) {
            Line::Text(line) if line == "open" => Ok(started),
            Line::End => Err(started.words()),
            other => panic!("{} opened with {other:?}", peer.name),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Applies one batch and waits for its answer.
    pub fn write(&mut self, batch: &[Op], sync: bool) {
        self.send_write(batch, sync);
        self.acknowledge();
    }

    /// Sends one batch and does not wait for its answer: see [`PeerChild::acknowledge`] and [`PeerChild::kill`].
    pub fn send_write(&mut self, batch: &[Op], sync: bool) {
        let mut line = format!("write {}", u32::from(sync));
        for op in batch {
            match op {
                Op::Put(key, value) => {
                    line.push_str(" p:");
                    push_hex(&mut line, key);
                    line.push(':');
                    push_hex(&mut line, value);
                }
                Op::Delete(key) => {
                    line.push_str(" d:");
                    push_hex(&mut line, key);
                }
            }
        }
        self.send(line);
        self.unanswered += 1;
    }

    /// Waits for the answer to the oldest write that was sent and has none.
    pub fn acknowledge(&mut self) {
        let answer = self.answer();
        assert_eq!(answer, "ok", "{}", self.name);
        self.unanswered -= 1;
    }

    /// The value of a key.
    pub fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let answer = self.ask(with_key("get", key));
        answer.strip_prefix('=').map(bytes)
    }

    /// The first entry whose key is not below `key`.
    pub fn seek(&mut self, key: &[u8]) -> Option<Entry> {
        self.send(with_key("seek", key));
        self.entries().pop()
    }

    /// All entries, from the first on, now or as a snapshot shows them.
    pub fn forward(&mut self, snapshot: Option<u64>) -> Entries {
        self.send(format!("forward {}", moment(snapshot)));
        self.entries()
    }

    /// All entries, from the last back, now or as a snapshot shows them.
    pub fn backward(&mut self, snapshot: Option<u64>) -> Entries {
        self.send(format!("backward {}", moment(snapshot)));
        self.entries()
    }

    /// Holds the present moment under a name.
    pub fn take_snapshot(&mut self, name: u64) {
        let answer = self.ask(format!("snapshot {name}"));
        assert_eq!(answer, "ok", "{}", self.name);
    }

    /// Lets go of a moment.
    pub fn release_snapshot(&mut self, name: u64) {
        let answer = self.ask(format!("release {name}"));
        assert_eq!(answer, "ok", "{}", self.name);
    }

    /// Compacts everything.
    pub fn compact(&mut self) {
        let answer = self.ask("compact".to_owned());
        assert_eq!(answer, "ok", "{}", self.name);
    }

    /// What only our own program tells: `NAME=VALUE` words.
    pub fn info(&mut self) -> String {
        self.ask("info".to_owned())
    }

    /// Ends its input, so that it closes the database, and waits for its end.
    pub fn close(mut self) {
        drop(self.stdin.take());
        match wait_within(&mut self.child, PATIENCE) {
            Some(status) if status.success() => {}
            ended => panic!("{} ended with {ended:?}; {}", self.name, self.words()),
        }
    }

    /// Kills it as `kill -9` does. Returns how many of the writes sent it left without an answer: each of those may
    /// have been applied, in their order, up to some one.
    pub fn kill(mut self) -> usize {
        if let Ok(Some(status)) = self.child.try_wait() {
            panic!(
                "{} had ended ({status}) before it was killed; {}",
                self.name,
                self.words()
            );
        }
        self.child.kill().expect("a child of ours can be killed");
        self.child
            .wait()
            .expect("a child of ours can be waited for");
        loop {
            match self.answers.next_within(PATIENCE) {
                Line::Text(line) if line == "ok" => self.unanswered -= 1,
                // It may have been killed while it wrote the answer.
                Line::Text(_) | Line::End => return self.unanswered,
                Line::Late => panic!("{} is dead and its output does not end", self.name),
            }
        }
    }

    fn send(&mut self, mut line: String) {
        line.push('\n');
        let stdin = self.stdin.as_mut().expect("it is taken by `close` alone");
        let sent = stdin.write_all(line.as_bytes());
        if let Err(error) = sent {
            panic!("{} takes no request: {error}; {}", self.name, self.words());
        }
    }

    fn ask(&mut self, line: String) -> String {
        assert_eq!(self.unanswered, 0, "writes are not acknowledged yet");
        self.send(line);
        self.answer()
    }

    fn answer(&mut self) -> String {
        match self.answers.next_within(PATIENCE) {
            Line::Text(line) => line,
            Line::Late => panic!("{} gave no answer within {PATIENCE:?}", self.name),
            Line::End => panic!("{} has ended; {}", self.name, self.words()),
        }
    }

    fn entries(&mut self) -> Entries {
        let mut entries = Entries::new();
        loop {
            let line = self.answer();
            if line == "." {
                return entries;
            }
            entries.push(entry(&line));
        }
    }

    /// Its standard error, of a child whose output has ended.
    fn words(&self) -> String {
        self.stderr.recv_timeout(PATIENCE).unwrap_or_default()
    }
}

impl Readable for PeerChild {
    fn name(&self) -> &str {
        self.name
    }

    fn forward(&mut self) -> Entries {
        PeerChild::forward(self, None)
    }

    fn backward(&mut self) -> Entries {
        PeerChild::backward(self, None)
    }

    fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        PeerChild::get(self, key)
    }

    fn seek(&mut self, key: &[u8]) -> Option<Entry> {
        PeerChild::seek(self, key)
    }
}

impl Drop for PeerChild {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(peer: &Peer, dir: &Path, options: &PeerOptions) -> Child {
    Command::new(&peer.command[0])
        .args(&peer.command[1..])
        .arg(dir)
        .args(options.words())
        .envs(peer.environment.clone())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| missing(Path::new(&peer.command[0]), &error))
}

/// Nobody waits for anything here: the wait is how far it gets.
pub(super) fn start_and_kill(peer: &Peer, dir: &Path, options: &PeerOptions, after: Duration) {
    let mut child = spawn(peer, dir, options);
    std::thread::sleep(after);
    child.kill().expect("a child of ours can be killed");
    child.wait().expect("a child of ours can be waited for");
}

fn moment(snapshot: Option<u64>) -> String {
    snapshot.map_or_else(|| "now".to_owned(), |name| name.to_string())
}

fn with_key(command: &str, key: &[u8]) -> String {
    let mut line = format!("{command} =");
    push_hex(&mut line, key);
    line
}

fn push_hex(line: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        line.push(char::from(DIGITS[usize::from(byte >> 4)]));
        line.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// The entry in a line `KEY VALUE`.
pub(super) fn entry(line: &str) -> Entry {
    let (key, value) = line.split_once(' ').expect("a key and a value");
    (bytes(key), bytes(value))
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hexadecimal digit") as u8;
    let pairs = hex.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}
