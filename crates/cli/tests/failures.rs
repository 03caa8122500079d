//! Exit codes, and what is said when something cannot be done.

use std::path::Path;

use level_party_testkit::{ExecChild, Finished, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

fn command(words: &[&str]) -> Finished {
    run(PROGRAM, words)
}

fn text(path: &Path) -> &str {
    path.to_str()
        .expect("a temporary directory has a plain name")
}

/// Runs a command that must fail with `code`, print no data, and say each of `words`.
fn fails(code: i32, arguments: &[&str], words: &[&str]) {
    let done = command(arguments);
    assert_eq!(done.code(), code, "{arguments:?} said: {}", done.stderr);
    assert!(
        done.stdout.is_empty(),
        "{arguments:?} printed {:?}",
        String::from_utf8_lossy(&done.stdout)
    );
    for word in words {
        assert!(
            done.stderr.contains(word),
            "{arguments:?} does not say {word:?} but: {}",
            done.stderr
        );
    }
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
}

#[test]
fn a_missing_key_is_1_and_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = text(dir.path());
    command(&["put", db, "a", "1"]).success();
    fails(1, &["get", db, "b\x1b"], &["not found: b\\x1b"]);
}

#[test]
fn a_missing_database_is_said_and_never_created_by_a_reader() {
    let dir = tempfile::tempdir().expect("a directory");
    for db in [
        dir.path().join("none"),
        dir.path().join("none/deeper"),
        dir.path().to_path_buf(),
    ] {
        let db = text(&db);
        for arguments in [
            vec!["get", db, "a"],
            vec!["del", db, "a"],
            vec!["scan", db],
            vec!["export", db],
            vec!["status", db],
            vec!["put", db, "a", "1", "--create", "false"],
            vec!["import", db, "--create", "false"],
            vec!["exec", db, "--create", "false"],
        ] {
            fails(3, &arguments, &[db, "hint: check the path"]);
        }
    }
    assert!(!dir.path().join("none").exists());
    assert!(!dir.path().join("CURRENT").exists());
}

#[test]
fn a_file_is_no_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "not a database").expect("written");
    for arguments in [
        vec!["put", text(&file), "a", "1"],
        vec!["get", text(&file), "a"],
        vec!["exec", text(&file)],
    ] {
        fails(3, &arguments, &[text(&file)]);
    }
    assert_eq!(
        std::fs::read(&file).expect("still there"),
        b"not a database"
    );
}

#[test]
fn a_spoiled_current_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    command(&["put", text(dir.path()), "a", "1"]).success();
    std::fs::write(dir.path().join("CURRENT"), "nonsense").expect("written");
    fails(3, &["get", text(dir.path()), "a"], &["CURRENT"]);
}

#[cfg(unix)]
#[test]
fn a_directory_held_by_another_program_names_that_program() {
    let dir = tempfile::tempdir().expect("a directory");
    command(&["put", text(dir.path()), "a", "1"]).success();
    let _held = level_party_testkit::ForeignLock::take(dir.path());
    let pid = std::process::id().to_string();
    // Time enough for one attempt on a busy machine: before it nobody can tell who has the lock.
    fails(
        3,
        &["get", "--open-timeout", "3", text(dir.path()), "a"],
        &[&pid],
    );
}

#[test]
fn wrong_usage_is_2_and_touches_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let new = dir.path().join("new");
    let db = text(&new);
    fails(2, &[], &["Usage:"]);
    fails(2, &["fly", db], &["unrecognized subcommand"]);
    fails(2, &["put", db, "a"], &["values required"]);
    fails(
        2,
        &["put", db, "a", "1", "b"],
        &["the key \"b\" has no value"],
    );
    fails(2, &["put", db, "a", "1", "--timeout", "0"], &["above 0"]);
    fails(2, &["put", db, "a", "1", "--retry", "maybe"], &["--retry"]);
    fails(
        2,
        &["scan", db, "--keys", "--values"],
        &["cannot be used with"],
    );
    fails(2, &["scan", db, "--limit=-1"], &["--limit"]);
    fails(
        2,
        &["import", db, text(&dir.path().join("absent"))],
        &["absent", "cannot be read"],
    );
    assert!(!new.exists());
}

#[test]
fn an_export_that_cannot_be_written_says_where() {
    let dir = tempfile::tempdir().expect("a directory");
    command(&["put", text(dir.path()), "a", "1"]).success();
    fails(
        2,
        &[
            "export",
            text(dir.path()),
            text(&dir.path().join("no/such/file")),
        ],
        &["no/such/file", "cannot be written"],
    );
}

#[test]
fn what_went_wrong_last_in_a_process_is_told_by_its_status() {
    let dir = tempfile::tempdir().expect("a directory");
    let leader = ExecChild::spawn_leader(PROGRAM, dir.path());
    let mut others = [0, 1].map(|_| ExecChild::spawn(PROGRAM, dir.path()));
    let first = leader.pid();
    for other in &mut others {
        assert_eq!(other.status()["last_trouble"], serde_json::Value::Null);
    }
    leader.kill();
    level_party_testkit::find_leader(&mut others);
    for other in &mut others {
        let pid = other.pid();
        let status = other.status();
        let members = status["members"].as_array().expect("a list");
        let own = members.iter().find(|member| member["pid"] == pid);
        for trouble in [&status, own.expect("itself")].map(|told| &told["last_trouble"]) {
            let what = trouble["what"].as_str().expect("a sentence");
            assert!(what.contains(&format!("(pid {first}) ended")), "{what}");
            assert!(trouble["ago_ms"].is_u64(), "{trouble}");
        }
    }
}

/// Found by review: reading commands said that there was no database, and to create one.
#[test]
fn each_command_says_that_current_is_missing() {
    let place = tempfile::tempdir().expect("a directory");
    let dir = place.path().join("db");
    let db = text(&dir);
    command(&["put", db, "a", "1"]).success();
    command(&["compact", db]).success();
    let kept: Vec<_> = files(&dir)
        .into_iter()
        .filter(|name| name.ends_with(".ldb") || name.starts_with("MANIFEST-"))
        .collect();
    for name in files(&dir) {
        if !kept.contains(&name) {
            std::fs::remove_file(dir.join(name)).expect("removed");
        }
    }
    let copy = place.path().join("copy");
    let reading = [
        vec!["get", db, "a"],
        vec!["count", db],
        vec!["export", db],
        vec!["status", db],
        vec!["verify", db],
        vec!["checkpoint", db, text(&copy)],
        vec!["yield", db],
        vec!["put", db, "a", "1", "--create", "false"],
    ];
    let cause = [
        "CURRENT is missing, but 00",
        ".ldb holds data of a database",
        "hint: `repair`",
    ];
    for arguments in &reading {
        fails(3, arguments, &cause);
        assert_eq!(files(&dir), kept, "{arguments:?} made something");
    }
    fails(3, &["put", db, "a", "1"], &cause);
    for arguments in &reading {
        fails(3, arguments, &cause);
    }
    command(&["repair", db, "--yes"]).success();
    assert_eq!(command(&["count", db]).success().text(), "1\n");
}

fn files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("listed");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("a plain name"))
        .collect();
    names.sort();
    names
}
