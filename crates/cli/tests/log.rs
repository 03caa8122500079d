//! Events on standard error: `-v` and `LEVEL_PARTY_LOG`.

use std::path::Path;
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

fn run(variable: Option<&str>, words: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(words).arg(dir).env_remove("LEVEL_PARTY_LOG");
    if let Some(directives) = variable {
        command.env("LEVEL_PARTY_LOG", directives);
    }
    command.output().expect("the program runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

#[test]
fn events_are_shown_only_when_asked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let silent = run(None, &["compact"], &dir.path().join("none"));
    assert_eq!(silent.status.code(), Some(3));
    let put = |variable, flags: &[&str]| {
        let words = [&["batch"], flags, &["--"]].concat();
        let mut command = Command::new(PROGRAM);
        command.args(words).arg(dir.path());
        command
            .args(["put", "a", "1"])
            .env_remove("LEVEL_PARTY_LOG");
        if let Some(directives) = variable {
            command.env("LEVEL_PARTY_LOG", directives);
        }
        stderr(&command.output().expect("the program runs"))
    };
    let applied = "applied 1 operation\n";
    assert_eq!(put(None, &[]), applied);
    assert_eq!(put(Some(""), &[]), applied);
    let shown = put(None, &["-v"]);
    for word in [
        "INFO level_party::members: this process has the database open",
        "INFO level_party::recovery: recovered the database",
        "this process has left the database",
        "founding=",
    ] {
        assert!(shown.contains(word), "no {word:?} in {shown}");
    }
    assert!(!shown.contains("DEBUG"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "colours in a pipe: {shown}");
    assert_eq!(put(Some("level_party=warn"), &[]), applied);
}

#[test]
fn directives_choose_targets_and_levels() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = dir.path().to_str().expect("plain");
    level_party_testkit::run(PROGRAM, ["put", db, "a", "1"]).success();
    let shown = stderr(&run(None, &["compact", "-vv"], dir.path()));
    assert!(shown.contains("DEBUG level_party::tables"), "{shown}");
    level_party_testkit::run(PROGRAM, ["put", db, "a", "2"]).success();
    let directives = Some("off,level_party::recovery=info");
    let shown = stderr(&run(directives, &["compact"], dir.path()));
    assert!(shown.contains("recovered the database"), "{shown}");
    assert!(!shown.contains("level_party::members"), "{shown}");
    let refused = run(Some("level_party=loud"), &["compact"], dir.path());
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("LEVEL_PARTY_LOG=level_party=loud"));
}
