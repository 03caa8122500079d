//! The demo, cut short: it must find nothing lost and nothing doubled, and say so.

use level_party_testkit::run;

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

#[test]
fn the_demo_kills_leaders_and_loses_nothing() {
    let done = run(PROGRAM, ["demo", "--seconds", "3", "--kills", "3"]).success();
    let text = done.text();
    assert!(
        text.ends_with("\n0 lost, 0 doubled\n"),
        "{text}{}",
        done.stderr
    );
    assert!(text.contains("leaders killed        3\n"), "{text}");
    assert_eq!(text.matches("kill -9 ").count(), 3, "{text}");
    assert_eq!(done.stderr, "");
    for line in text.lines().filter(|line| !line.starts_with('/')) {
        assert!(
            line.chars().count() <= 80,
            "it is broken by a terminal: {line}"
        );
    }
}

#[test]
fn the_demo_leaves_a_directory_that_can_be_looked_at() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = dir.path().join("db");
    let db = db.to_str().expect("plain");
    run(PROGRAM, ["demo", "--seconds", "1", "--kills", "1", db]).success();
    let keys = run(PROGRAM, ["scan", "--keys", "--prefix", "demo/", db]).success();
    assert!(keys.text().lines().count() > 20_000);
    run(PROGRAM, ["demo", "--seconds", "1", "--kills", "0", db]).success();
}

#[test]
fn the_demo_says_why_it_cannot_run() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    let done = run(PROGRAM, ["demo".as_ref(), file.as_os_str()]);
    assert_eq!(done.code(), 3);
    assert!(done.stderr.contains("file"), "{}", done.stderr);
}
