//! A key over the limit of what is written, as another program may have written it, is read as any other.

use std::fs;
use std::path::Path;

use futures_lite::future::block_on;
use level_party::{AsyncReadable, Db, Range, Readable, Result, Role};
use level_party_format::batch::WriteBatch;
use level_party_format::log::LogWriter;
use level_party_testkit::{ExecChild, run};
use serde_json::Value;
use tempfile::TempDir;

const MAX_KEY_BYTES: usize = level_party::WriteBatch::MAX_KEY_BYTES;
const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

fn long_key(beginning: &str) -> Vec<u8> {
    let mut key = beginning.as_bytes().to_vec();
    key.resize(MAX_KEY_BYTES + 100, b'x');
    key
}

/// A database with short keys and long ones, also of a sublevel, in a log that another program wrote.
fn database() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path();
    run(PROGRAM, ["put", plain(path), "a", "1"]).success();
    let mut batch = WriteBatch::new();
    batch.put(b"!part!k", b"2");
    batch.put(&long_key("!part!l"), b"long");
    batch.put(b"!part!m", b"3");
    batch.put(&long_key("b"), b"long");
    // Two in a row, of which the second shares the first one's whole beginning.
    batch.put(&[&long_key("b")[..], b"y"].concat(), b"long");
    batch.put(b"c", b"4");
    batch.put(&long_key("d"), b"long");
    batch.put(&long_key("e"), b"long");
    batch.put(b"f", b"5");
    batch.set_sequence(2);
    write_as_another_program(path, &batch);
    dir
}

/// Adds a log with this batch, and makes the directory another program's.
fn write_as_another_program(path: &Path, batch: &WriteBatch) {
    let mut log = Vec::new();
    LogWriter::new().add_record(batch.as_bytes(), &mut log);
    fs::write(path.join("000099.log"), log).expect("written");
    for ours in ["level-party.state", "000001.dbtmp"] {
        fs::remove_file(path.join(ours)).expect("removed");
    }
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("a plain name")
}

/// Keys of a walk, with `!` for one that is over the limit.
fn shown(walk: impl Iterator<Item = Result<Vec<u8>>>) -> Vec<String> {
    let shown = |key: Result<Vec<u8>>| {
        let key = key.expect("a key");
        match key.len() > 100 {
            true => "!".into(),
            false => String::from_utf8(key).expect("text"),
        }
    };
    walk.map(shown).collect()
}

fn keys(range: Range) -> impl Iterator<Item = Result<Vec<u8>>> {
    range.map(|entry| entry.map(|(key, _)| key))
}

const ALL: [&str; 10] = ["!part!k", "!", "!part!m", "a", "!", "!", "c", "!", "!", "f"];

fn check_walks(db: &Db) {
    let backward: Vec<&str> = ALL.iter().rev().copied().collect();
    assert_eq!(shown(keys(db.iter())), ALL);
    assert_eq!(shown(db.iter().keys().rev()), backward);
    let snapshot = db.snapshot().expect("a snapshot");
    assert_eq!(shown(snapshot.range("a".."d").keys()), ["a", "!", "!", "c"]);
    let part = db.sublevel("part").expect("a name");
    let mut walk = part.iter().keys().rev();
    assert_eq!(walk.next().expect("more").expect("a key"), b"m");
    let long = walk.next().expect("more").expect("a long key");
    assert_eq!(long.len(), MAX_KEY_BYTES + 100 - "!part!".len());
    assert_eq!(shown(walk), ["k"]);
    // One counts as an entry.
    assert_eq!(shown(db.range("b"..).keys().limit(2)), ["!", "!"]);
    let tasks = db.to_async();
    let walked = block_on(async {
        let mut stream = tasks.range("a".."d");
        let mut walked = Vec::new();
        while let Some(entry) = stream.next().await {
            walked.push(entry.map(|(key, _)| key));
        }
        walked
    });
    assert_eq!(shown(walked.into_iter()), ["a", "!", "!", "c"]);
}

/// Both ends, in turn, with seeks to either side of a long key.
fn check_ends_and_seeks(db: &Db) {
    let mut range = db.range("a"..);
    let mut front = Vec::new();
    let mut back = Vec::new();
    loop {
        let step = (range.next(), range.next_back());
        if let (None, None) = step {
            break;
        }
        front.extend(step.0);
        back.extend(step.1);
    }
    front.extend(back.into_iter().rev());
    let walked = front.into_iter().map(|entry| entry.map(|(key, _)| key));
    assert_eq!(shown(walked), &ALL[3..]);

    let mut range = db.range("a"..);
    let key = |step: Option<Result<(Vec<u8>, Vec<u8>)>>| {
        shown(step.into_iter().map(|entry| entry.map(|(key, _)| key))).concat()
    };
    assert_eq!(key(range.next()), "a");
    assert_eq!(key(range.next()), "!");
    range.seek_back("d");
    assert_eq!(key(range.next()), "!", "the second one in a row");
    assert_eq!(key(range.next()), "c");
    assert_eq!(key(range.next()), "");
    range.seek("b");
    assert_eq!(key(range.next()), "!");
    range.seek_back("e");
    assert_eq!(key(range.next_back()), "!");
    assert_eq!(key(range.next_back()), "c");
    assert_eq!(key(range.next_back()), "!", "the second one in a row");
    assert_eq!(key(range.next_back()), "");
}

#[test]
fn key_over_limit_is_walked_in_either_role() {
    let dir = database();
    let mut other = ExecChild::spawn_leader(PROGRAM, dir.path());
    assert_eq!(other.status()["role"], "leader");
    let db = Db::open(dir.path()).expect("served");
    assert_eq!(db.role(), Role::Follower);
    check_walks(&db);
    let mut walk = db.range("b"..).keys();
    assert_eq!(shown(walk.next().into_iter()), ["!"]);
    // In the middle of it the leader changes.
    other.kill();
    assert_eq!(shown(walk), &ALL[5..]);
    assert_eq!(db.role(), Role::Leader);
    check_walks(&db);
    check_ends_and_seeks(&db);
}

/// Such keys that were removed, or came after the moment, are passed like others.
#[test]
fn removed_key_over_limit_is_passed() {
    let dir = database();
    let mut batch = WriteBatch::new();
    for beginning in ["!part!l", "b", "d"] {
        batch.delete(&long_key(beginning));
    }
    batch.delete(&[&long_key("b")[..], b"y"].concat());
    batch.set_sequence(11);
    let mut log = Vec::new();
    LogWriter::new().add_record(batch.as_bytes(), &mut log);
    fs::write(dir.path().join("000100.log"), log).expect("written");
    let db = Db::open(dir.path()).expect("opened");
    let left = ["!part!k", "!part!m", "a", "c", "!", "f"];
    assert_eq!(shown(db.iter().keys()), left);
    let backward: Vec<&str> = left.iter().rev().copied().collect();
    assert_eq!(shown(db.iter().keys().rev()), backward);
}

/// A chunk passes so many removed keys and ends: the next one begins with a key over the limit.
#[test]
fn chunk_that_ends_at_removed_key_over_limit_is_gone_on_from() {
    const PASSED: u32 = 1 << 16;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path();
    run(PROGRAM, ["put", plain(path), "a", "1"]).success();
    let mut batch = WriteBatch::new();
    batch.delete(&long_key("g"));
    for n in 0..PASSED {
        batch.delete(format!("h{n:06}").as_bytes());
    }
    batch.delete(&long_key("i"));
    batch.put(b"j", b"2");
    batch.set_sequence(2);
    write_as_another_program(path, &batch);
    let db = Db::open(path).expect("opened");
    assert_eq!(shown(db.range("h"..).keys()), ["j"]);
    assert_eq!(shown(db.range(.."i").keys().rev()), ["a"]);
}

#[test]
fn commands_read_key_over_limit() {
    let dir = database();
    let dir = dir.path();
    let command = |name: &str, words: &[&str]| {
        let done = run(PROGRAM, [name, plain(dir)].iter().chain(words));
        assert_eq!(done.code(), 0, "{name}: {}", done.stderr);
        done
    };
    // Each of the first two leads, the others follow.
    assert_eq!(command("count", &[]).text(), "10\n");
    let scan = command("scan", &["--reverse", "--keys"]);
    assert_eq!(scan.text().lines().count(), 10);
    let leader = ExecChild::spawn_leader(PROGRAM, dir);
    let count = command("count", &["--json", "--sublevel", "part"]);
    assert_eq!(count.text(), "{\"entries\":3}\n");
    let export = command("export", &["--from", "b"]);
    let lines = export.text().lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        line["key"].as_str().expect("text").len().min(2)
    });
    assert_eq!(lines.collect::<Vec<_>>(), [2, 2, 1, 2, 2, 1]);
    assert!(leader.close().success());
}
