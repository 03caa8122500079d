//! What an opening loses is told by every command and every process until somebody has acknowledged it.

use std::fs;
use std::path::{Path, PathBuf};

use level_party::{Db, Readable, Role};
use level_party_format::batch::WriteBatch;
use level_party_format::log::LogWriter;
use level_party_testkit::{ExecChild, Finished, PATIENCE, run, run_with_input};
use serde_json::{Value, json};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");
/// Losses that a command names one by one.
const SHOWN: usize = 4;

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain name")
}

fn command(name: &str, dir: &Path, words: &[&str]) -> Finished {
    run(PROGRAM, [name, text(dir)].iter().chain(words))
}

/// The third of the logs.
const THIRD: &str = "000102.log";
/// The last one.
const LAST: &str = "000104.log";

/// A database of five entries, each in a log of its own: all but the first are those of a program that opened it, wrote and
/// ended, as C++ LevelDB leaves them where it may not flush.
fn sound() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    command("put", dir.path(), &["k1", "v"]).success();
    for n in 2..=5 {
        let mut batch = WriteBatch::new();
        batch.put(format!("k{n}").as_bytes(), b"v");
        batch.set_sequence(n);
        let mut log = Vec::new();
        LogWriter::new().add_record(batch.as_bytes(), &mut log);
        let name = format!("{:06}.log", 99 + n);
        fs::write(dir.path().join(name), log).expect("written");
    }
    dir
}

/// A copy of `from`, as it would be found after a reboot: without what the processes of a boot share.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        if name == "CURRENT" || name.starts_with("MANIFEST-") || name.ends_with(".log") {
            fs::copy(&path, to.join(&*name)).expect("copied");
        }
    }
}

/// Such a copy with a changed byte in the third log: it and what follows it is lost.
fn damaged(from: &Path, to: &Path) {
    copy(from, to);
    let log = to.join(THIRD);
    let mut bytes = fs::read(&log).expect("a log");
    *bytes.last_mut().expect("a record") ^= 0x40;
    fs::write(&log, bytes).expect("written");
}

/// Such a damaged copy in a place of its own.
fn damaged_database() -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().expect("a directory");
    let dir = place.path().join("db");
    damaged(sound().path(), &dir);
    (place, dir)
}

/// The lines of standard error that begin with `word`.
fn said(done: &Finished, word: &str) -> usize {
    let lines = done.stderr.lines();
    lines.filter(|line| line.starts_with(word)).count()
}

/// The losses of a database, as its status tells them.
fn losses_of(dir: &Path) -> Vec<String> {
    let done = command("status", dir, &["--json"]).success();
    let status: Value = serde_json::from_str(done.text()).expect("a line of JSON");
    let losses: Vec<String> = serde_json::from_value(status["losses"].clone()).expect("a list");
    assert!(
        !losses.is_empty() && losses[0].contains(THIRD),
        "{losses:?}"
    );
    losses
}

/// Checks that a command warned of the losses, once and on standard error alone.
fn check_warned(done: &Finished, losses: &[String]) {
    let lines = losses.len().min(SHOWN + 1);
    assert_eq!(said(done, "warning: recovery: "), lines, "{}", done.stderr);
    assert!(done.stderr.contains(&losses[0]), "{}", done.stderr);
    let hints: Vec<&str> = done
        .stderr
        .lines()
        .filter(|line| line.starts_with("hint: "))
        .collect();
    assert_eq!(hints.len(), 1, "{}", done.stderr);
    assert!(
        hints[0].contains("level-party repair ") && hints[0].contains("level-party acknowledge "),
        "{}",
        hints[0]
    );
    assert!(!String::from_utf8_lossy(&done.stdout).contains("warning"));
}

#[test]
fn each_command_that_opens_warns_of_losses_once() {
    let (place, dir) = damaged_database();
    let losses = losses_of(&dir);
    let check = |name: &str, words: &[&str], code: i32| {
        let done = command(name, &dir, words);
        assert_eq!(done.code(), code, "{name}: {}", done.stderr);
        check_warned(&done, &losses);
        done
    };
    check("count", &[], 0);
    assert_eq!(check("get", &["k1"], 0).text(), "v\n");
    check("get", &["k3"], 1);
    check("put", &["a", "1"], 0);
    check("del", &["a"], 0);
    check("batch", &["put", "a", "1", "del", "a"], 0);
    check("clear", &["--prefix", "z"], 0);
    let keys = check("scan", &["--keys"], 0);
    assert!(keys.text().starts_with("k1\nk2\n"), "{}", keys.text());
    check("export", &[], 0);
    check("compact", &["--json"], 0);
    check("checkpoint", &[text(&place.path().join("copy"))], 0);
    check(
        "bench",
        &["--keys", "1", "--seconds", "0.01", "--processes", "2"],
        0,
    );
    for (name, input) in [
        ("import", ""),
        ("exec", "{\"op\":\"get\",\"key\":\"k1\"}\n"),
    ] {
        let done = run_with_input(PROGRAM, [name, text(&dir)], input.to_string()).success();
        check_warned(&done, &losses);
    }
    assert_eq!(
        check("watch", &["--since", "beginning", "--limit", "0"], 0).text(),
        ""
    );
}

#[test]
fn status_and_verify_name_losses_until_acknowledged() {
    let sound = sound();
    let place = tempfile::tempdir().expect("a directory");
    let dir = &place.path().join("db");
    damaged(sound.path(), dir);
    let list = |field: &str, done: &Finished| -> Vec<String> {
        let line: Value = serde_json::from_str(done.text()).expect("a line of JSON");
        serde_json::from_value(line[field].clone()).expect("a list")
    };

    let losses = losses_of(dir);
    let status = command("status", dir, &[]).success();
    let lost = status
        .text()
        .lines()
        .filter(|line| line.starts_with("lost "));
    assert_eq!(lost.count(), losses.len(), "{}", status.text());

    let verify = command("verify", dir, &[]);
    assert_eq!(verify.code(), 1);
    check_warned(&verify, &losses);
    assert!(verify.text().contains("lost: "), "{}", verify.text());
    let verify = command("verify", dir, &["--json"]);
    assert_eq!(
        (verify.code(), list("losses", &verify)),
        (1, losses.clone())
    );

    let done = command("acknowledge", dir, &["--json"]).success();
    assert_eq!((list("acknowledged", &done), &*done.stderr), (losses, ""));
    let again = command("acknowledge", dir, &[]).success();
    assert_eq!((again.text(), said(&again, "there was nothing")), ("", 1));
    assert_eq!(command("verify", dir, &[]).success().stderr, "");
    assert_eq!(command("count", dir, &[]).success().stderr, "");
    let is_aside = |name: &str| name.starts_with(&format!("level-party.aside-{THIRD}"));
    let mut names = std::fs::read_dir(dir).expect("it lists");
    assert!(names.any(|entry| is_aside(&entry.expect("an entry").file_name().to_string_lossy())));
}

#[test]
fn acknowledge_says_what_it_ended() {
    let (_place, dir) = damaged_database();
    let losses = losses_of(&dir);
    let done = command("acknowledge", &dir, &[]).success();
    assert_eq!(done.text().lines().collect::<Vec<_>>(), losses);
    assert_eq!(said(&done, "acknowledged: "), 1);
    assert_eq!(said(&done, "warning"), 0);
}

#[test]
fn follower_learns_losses_and_acknowledges_them_for_all() {
    let (_place, dir) = damaged_database();
    let leader = ExecChild::spawn_leader(PROGRAM, &dir);
    let mut other = ExecChild::spawn(PROGRAM, &dir);
    let db = Db::open(&dir).expect("served");
    assert_eq!(db.role(), Role::Follower);
    let losses = db.losses().expect("losses");
    assert_eq!(losses, db.opening().losses);
    assert_eq!(losses, losses_of(&dir));
    assert_eq!(other.status()["losses"], json!(losses));
    assert!(!db.verify().expect("verified").is_sound());

    // The next leader knows of them.
    leader.kill();
    assert_eq!(db.get("k1").expect("served").as_deref(), Some(&b"v"[..]));
    assert_eq!(db.losses().expect("losses"), losses);
    assert_eq!(other.status()["losses"], json!(losses));

    let viewer = Db::options()
        .reject_writes(true)
        .open(&dir)
        .expect("opened");
    assert!(viewer.acknowledge_losses().is_err());
    assert_eq!(db.acknowledge_losses().expect("acknowledged"), losses);
    assert_eq!(db.acknowledge_losses().expect("nothing"), [""; 0]);
    assert!(db.losses().expect("none").is_empty() && db.opening().losses.is_empty());
    assert!(db.verify().expect("verified").is_sound());
    assert_eq!(other.status()["losses"], json!([]));
}

#[test]
fn acknowledgement_of_follower_outlives_the_leader() {
    let (_place, dir) = damaged_database();
    let leader = ExecChild::spawn_leader(PROGRAM, &dir);
    let losses = losses_of(&dir);
    let done = command("acknowledge", &dir, &[]).success();
    assert_eq!(done.text().lines().collect::<Vec<_>>(), losses);
    leader.kill();
    assert_eq!(command("count", &dir, &[]).success().stderr, "");
}

#[test]
fn command_follows_and_warns_of_losses_of_its_leader() {
    let (_place, dir) = damaged_database();
    let leader = ExecChild::spawn_leader(PROGRAM, &dir);
    let losses = losses_of(&dir);
    check_warned(&command("count", &dir, &[]), &losses);
    check_warned(&command("yield", &dir, &[]), &losses);
    assert!(leader.close().success());
}

/// A record that a killed process had not finished was promised to nobody.
#[test]
fn torn_record_of_killed_process_is_noted_once() {
    let dir = sound();
    let log = dir.path().join(LAST);
    let bytes = fs::read(&log).expect("a log");
    fs::write(&log, &bytes[..bytes.len() - 3]).expect("written");
    let first = command("count", dir.path(), &[]).success();
    assert_eq!((first.text(), said(&first, "note: recovery: ")), ("4\n", 1));
    assert_eq!((said(&first, "warning"), said(&first, "hint")), (0, 0));
    let second = command("count", dir.path(), &[]).success();
    assert_eq!((second.text(), &*second.stderr), ("4\n", ""));
    assert_eq!(command("verify", dir.path(), &[]).code(), 0);
}

#[test]
fn demo_warns_of_losses_of_its_directory() {
    let (_place, dir) = damaged_database();
    let losses = losses_of(&dir);
    let words = ["--json", "--seconds", "0.5", "--kills", "1"];
    let done = command("demo", &dir, &words).success();
    check_warned(&done, &losses);
}

/// A process that leads later says what it lost then: another program damaged the directory meanwhile.
#[test]
fn serving_process_warns_of_losses_that_come_later() {
    let (_place, dir) = damaged_database();
    let leader = ExecChild::spawn_leader(PROGRAM, &dir);
    command("acknowledge", &dir, &[]).success();
    let follower = ExecChild::spawn(PROGRAM, &dir);
    assert_eq!(follower.stderr(), "");
    // What only a leader that begins looks at.
    fs::write(dir.join("level-party.losses"), "something\n").expect("written");
    leader.kill();
    let start = std::time::Instant::now();
    while !follower.stderr().contains("warning: recovery: something") {
        assert!(start.elapsed() < PATIENCE, "{}", follower.stderr());
        std::thread::yield_now();
    }
}
