//! Another process of the party: this very test program, told by its environment to be a child.
//!
//! It reads commands from standard input, one a line, and answers each with a line that begins with `> `.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use level_party::{Db, Prefix, Readable, WatchFrom, WriteBatch};
use level_party_testkit::PATIENCE;

const DIRECTORY: &str = "LEVEL_PARTY_CHILD_OF";

/// A running child, killed when dropped.
pub struct Process {
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<String>,
}

impl Process {
    /// Starts a child that has opened the database in `dir` when this returns.
    pub fn start(dir: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .args(["child::plays_its_part", "--exact", "--nocapture"])
            .env(DIRECTORY, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // The test harness's own words may stand before it.
                if let Some((_, answer)) = line.split_once("> ") {
                    let _ = sender.send(answer.to_owned());
                }
            }
        });
        let stdin = child.stdin.take().expect("piped");
        let process = Process {
            child,
            stdin,
            answers,
        };
        assert_eq!(process.answer(), "open");
        process
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn send(&mut self, command: &str) {
        writeln!(self.stdin, "{command}").expect("the child reads");
    }

    pub fn answer(&self) -> String {
        self.answers
            .recv_timeout(PATIENCE)
            .expect("the child answers")
    }

    pub fn ask(&mut self, command: &str) -> String {
        self.send(command);
        self.answer()
    }

    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test: a child's main function.
#[test]
fn plays_its_part() {
    let Some(dir) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let db = Db::options()
        .write_buffer_size(64 << 10)
        .open(dir)
        .expect("opened");
    println!("> open");
    for line in std::io::stdin().lines() {
        let line = line.expect("a line");
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match *words {
            ["put", key, value] => db.put(key, value).map(|()| "ok".to_owned()),
            ["batch", ref keys @ ..] => {
                let mut batch = WriteBatch::new();
                for key in keys {
                    batch.put(key, "x");
                }
                db.write(&batch).map(|()| "ok".to_owned())
            }
            // While there are fewer than so many.
            ["add-on", prefix, limit] => {
                add_on(&db, prefix, limit.parse().expect("a number"));
                continue;
            }
            ["role"] => Ok(db.role().as_str().to_owned()),
            ["write-on", prefix] => {
                let (db, prefix) = (db.clone(), prefix.to_owned());
                std::thread::spawn(move || write_on(&db, &prefix));
                continue;
            }
            ["watch"] => db.watch(.., WatchFrom::Now).map(|mut watch| {
                // It is held, and read by nobody but the connection's buffer.
                std::thread::spawn(move || watch.by_ref().for_each(drop));
                "ok".to_owned()
            }),
            ["checkpoints", parent] => {
                for number in 0.. {
                    let copy = Path::new(parent).join(format!("copy-{number}"));
                    println!("> {:?}", db.checkpoint(copy));
                }
                continue;
            }
            ["compact"] => db.compact_range(""..).map(|()| "ok".to_owned()),
            ["close"] => db.close().map(|()| "ok".to_owned()),
            _ => panic!("no command: {line}"),
        };
        println!("> {}", answer.unwrap_or_else(|error| format!("{error:?}")));
    }
}

/// Adds entries to a range that it counts, until there are `limit`, and says how many it has added. Others do the same.
fn add_on(db: &Db, prefix: &str, limit: usize) {
    let mut added = 0;
    loop {
        let more = db.transaction(|tx| {
            let more = tx.range(Prefix(prefix)).count() < limit;
            if more {
                tx.put(format!("{prefix}/{}/{added}", std::process::id()), "")?;
            }
            Ok(more)
        });
        match more.expect("some attempt does not conflict") {
            true => added += 1,
            false => return println!("> {added}"),
        }
    }
}

/// Puts `PREFIX/NUMBER` for one number after the other, until the process is killed, and says each that is acknowledged.
fn write_on(db: &Db, prefix: &str) {
    for number in 0.. {
        db.put(format!("{prefix}/{number:08}"), [b'v'; 64])
            .expect("a write is acknowledged, whoever leads");
        println!("> {number}");
        std::thread::sleep(Duration::from_micros(200));
    }
}
