//! `--json`: what a command has done, as one line for programs; and what is said of it to people when it is not asked for.

use std::path::Path;

use level_party_testkit::{Finished, run, run_with_input};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

/// Runs a command on a directory with `--json`; the words before the directory are the command.
fn asked(command: &str, dir: &Path, words: &[&str]) -> Finished {
    let dir = dir.to_str().expect("plain");
    let command = command.split(' ');
    run(
        PROGRAM,
        command.chain([dir, "--json"]).chain(words.iter().copied()),
    )
}

/// The one line that a command that succeeds prints, and nothing on standard error.
fn report(command: &str, dir: &Path, words: &[&str]) -> Value {
    let done = asked(command, dir, words).success();
    assert_eq!(done.stderr, "", "{command}");
    line(&done)
}

fn line(done: &Finished) -> Value {
    assert_eq!(done.text().lines().count(), 1, "{}", done.text());
    serde_json::from_str(done.text()).expect("a line of JSON")
}

#[test]
fn each_command_reports_what_it_did_as_a_line_of_json() {
    let place = tempfile::tempdir().expect("a directory");
    let dir = &place.path().join("db");
    let copy = place.path().join("copy");
    let copy = copy.to_str().expect("plain");

    assert_eq!(
        report("put", dir, &["a", "1", "b", "2"]),
        json!({"operations": 2})
    );
    assert_eq!(report("del", dir, &["a"]), json!({"operations": 1}));
    assert_eq!(
        report(
            "batch",
            dir,
            &["put", "c", "3", "del", "b", "put", "d", "-4"]
        ),
        json!({"operations": 3})
    );
    assert_eq!(report("count", dir, &[]), json!({"entries": 2}));
    assert_eq!(
        report("get", dir, &["d"]),
        json!({"key": "d", "value": "-4"})
    );
    assert_eq!(
        report("scan", dir, &["--limit", "1"]),
        json!({"key": "c", "value": "3"})
    );
    assert_eq!(
        report("clear", dir, &["--prefix", "d"]),
        json!({"removed": 1})
    );
    let compacted = report("compact", dir, &[]);
    assert!(
        compacted["bytes_before"].is_u64() && compacted["bytes_after"].is_u64(),
        "{compacted}"
    );
    assert_eq!(report("verify", dir, &[])["problems"], json!([]));
    let copied = report("checkpoint", dir, &[copy]);
    assert_eq!(
        (&copied["to"], copied["sequence"].is_u64()),
        (&json!(copy), true),
        "{copied}"
    );
    assert_eq!(report("status", dir, &[])["role"], "leader");
    let nobody = asked("yield", dir, &[]);
    assert_eq!(nobody.code(), 1, "nobody leads: {}", nobody.stderr);
    assert_eq!(
        line(&nobody),
        json!({"handed_over": false, "leader_pid": null, "epoch": null})
    );
    let repaired = asked("repair", dir, &[]).success();
    assert_eq!(line(&repaired)["done"], false);
    let gone = report("destroy", dir, &["--yes"]);
    assert_eq!(
        (&gone["directory_removed"], &gone["left"]),
        (&json!(true), &json!([])),
        "{gone}"
    );
    assert!(!dir.exists());
}

#[test]
fn an_import_reports_how_much_is_there() {
    let place = tempfile::tempdir().expect("a directory");
    let dir = place.path().to_str().expect("plain");
    let import = |lines: &str| run_with_input(PROGRAM, ["import", dir, "--json"], lines.as_bytes());
    let good = "{\"key\":\"a\",\"value\":\"1\"}\n";
    let done = import(good).success();
    assert_eq!(
        (line(&done), &*done.stderr),
        (json!({"imported": 1, "complete": true}), "")
    );
    let bad = import(&format!("{good}nonsense\n"));
    assert_eq!(bad.code(), 2);
    assert_eq!(line(&bad), json!({"imported": 1, "complete": false}));
    assert!(bad.stderr.starts_with("error: line 2: "), "{}", bad.stderr);
}

#[test]
fn the_demo_reports_its_counts() {
    let done = run(
        PROGRAM,
        ["demo", "--json", "--seconds", "1", "--kills", "1"],
    )
    .success();
    let counts = line(&done);
    for name in ["lost", "doubled", "stale", "errors"] {
        assert_eq!(counts[name], 0, "{counts}");
    }
    assert_eq!(counts["kills"], 1);
    assert_eq!(
        counts["failovers_ms"].as_array().map(Vec::len),
        Some(1),
        "{counts}"
    );
    assert!(done.stderr.contains("kill -9 "), "{}", done.stderr);
}

#[test]
fn compact_and_batch_lines_take_a_sublevel() {
    let place = tempfile::tempdir().expect("a directory");
    let dir = place.path().join("db");
    let lines = r#"{"type":"put","key":"k","value":"1"}
{"type":"put","sublevel":["users","ada"],"key":"k","value":"2"}
"#;
    let words = [
        "batch",
        dir.to_str().expect("plain"),
        "--sublevel",
        "a",
        "--json",
    ];
    let done = run_with_input(PROGRAM, words, lines.as_bytes()).success();
    assert_eq!(line(&done), json!({"operations": 2}));
    let scan = run(PROGRAM, ["scan".as_ref(), dir.as_os_str()]).success();
    assert_eq!(scan.text(), "!a!k\t1\n!users!!ada!k\t2\n");
    report("compact", &dir, &["--sublevel", "users", "--from", "b"]);
    assert_eq!(report("verify", &dir, &[])["problems"], json!([]));
}

#[test]
fn bench_of_processes_leaves_nothing_behind() {
    let place = tempfile::tempdir().expect("a directory");
    let dir = &place.path().join("db");
    let lines = |processes: &str| -> Vec<Value> {
        let words = [
            "--seconds",
            "0.02",
            "--keys",
            "50",
            "--processes",
            processes,
        ];
        let done = asked("bench", dir, &words).success();
        let lines = done.text().lines();
        lines
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    };
    let calls = ["fill", "put", "put synced", "get", "scan 100", "scan all"];
    let alone = lines("1");
    assert_eq!(
        alone.iter().map(|line| &line["call"]).collect::<Vec<_>>(),
        calls
    );
    for line in &alone {
        assert_eq!(
            (&line["role"], &line["processes"]),
            (&json!("leader"), &json!(1)),
            "{line}"
        );
        // How many a second, the machine decides: fewer than one where its disk stalls.
        assert!(line["calls"].as_u64() > Some(0), "{line}");
        assert!(line["per_second"].is_u64(), "{line}");
    }
    assert_eq!(
        alone[0]["calls"], 1,
        "50 entries are one batch: {}",
        alone[0]
    );

    let several = lines("3");
    for call in &calls[1..] {
        let of_call = several.iter().filter(|line| line["call"] == *call);
        let by: Vec<_> = of_call
            .map(|line| json!([line["role"], line["processes"]]))
            .collect();
        assert_eq!(
            json!(by),
            json!([["all", 3], ["leader", 1], ["follower", 2]]),
            "{call}"
        );
    }
    assert_eq!(report("count", dir, &[]), json!({"entries": 0}));
}

#[test]
fn bench_says_why_it_cannot_measure() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("file");
    std::fs::write(&file, "no database").expect("written");
    for processes in ["1", "2"] {
        let words = [
            "bench".as_ref(),
            file.as_os_str(),
            "--processes".as_ref(),
            processes.as_ref(),
        ];
        let done = run(PROGRAM, words);
        assert_eq!(done.code(), 3);
        assert!(done.stderr.contains(" is a file; "), "{}", done.stderr);
    }
}
