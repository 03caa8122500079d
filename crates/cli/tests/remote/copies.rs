//! A directory moves to PostgreSQL, from there to etcd, and back, while processes write and copiers are killed.
//!
//! `LEVEL_PARTY_COPY_ENTRIES` says how many entries there are (by default few enough for every run of the tests).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use level_party::{Db, Readable};
use level_party_testkit::{Etcd, ExecChild, Postgres, run, run_with_input};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");
const WRITERS: usize = 2;
/// Copiers that are killed before the cut-over.
const KILLS: u32 = 5;

fn entries() -> usize {
    let told = std::env::var("LEVEL_PARTY_COPY_ENTRIES").ok();
    told.map_or(10_000, |told| told.parse().expect("a number"))
}

/// Puts keys durably all over the database, a tenth as many as it has, until it was moved. Gives the number of the last acknowledged
/// put of each key.
fn write_until_moved(place: &str, writer: usize, entries: usize) -> BTreeMap<String, u64> {
    let mut child = ExecChild::spawn(PROGRAM, place);
    let mut written = BTreeMap::new();
    for number in 0.. {
        let key = number * 7919 % (entries as u64 / 10) * 10;
        let key = format!("{key:08}-{writer}");
        let put = json!({"op": "put", "key": key, "value": number.to_string(), "sync": true});
        let answer = child.ask(&put);
        if answer["ok"] != true {
            assert_eq!(answer["error"]["kind"], "Moved", "{answer}");
            return written;
        }
        written.insert(key, number);
    }
    unreachable!("it is moved at some time")
}

/// Moves what is at `source` to `target`, and what was acknowledged meanwhile.
fn migrate(source: &str, target: &str, entries: usize) {
    let begun = Instant::now();
    let written: Vec<_> = std::thread::scope(|threads| {
        let write = |writer| threads.spawn(move || write_until_moved(source, writer, entries));
        let writers: Vec<_> = (0..WRITERS).map(write).collect();
        for kill in 0..KILLS {
            let mut copier = Command::new(PROGRAM);
            copier.args(["copy", source, target]);
            copier.stdout(Stdio::null()).stderr(Stdio::null());
            let mut copier = copier.spawn().expect("started");
            // Each is killed further into the copy; of a larger one, later.
            let pace = Duration::from_millis(150) * entries.div_ceil(30_000) as u32;
            std::thread::sleep(pace * kill);
            copier.kill().expect("it is a child");
            copier.wait().expect("it is a child");
        }
        // As long as it takes: a million entries take minutes.
        let cut_over = Command::new(PROGRAM)
            .args(["copy", source, target, "--timeout", "120"])
            .args(["--then", "cut-over", "--json"])
            .output()
            .expect("started");
        let said = String::from_utf8_lossy(&cut_over.stderr);
        assert!(cut_over.status.success(), "{said}");
        let report: Value = serde_json::from_slice(&cut_over.stdout).expect("JSON");
        let scheme = |place: &str| place.split("://").next().unwrap_or_default().to_owned();
        println!(
            "{} to {}, {:?}: {report}",
            scheme(source),
            scheme(target),
            begun.elapsed()
        );
        assert!(
            report["contents"]["entries"].as_u64() >= Some(entries as u64),
            "{report}"
        );
        let written: Vec<_> = writers
            .into_iter()
            .map(|writer| writer.join().expect("it ends"))
            .collect();
        println!(
            "acknowledged meanwhile: {}",
            written.iter().map(BTreeMap::len).sum::<usize>()
        );
        written
    });
    let moved = Db::open(target).expect("it is live");
    let mut unseen: BTreeMap<String, u64> = written.into_iter().flatten().collect();
    for entry in moved.iter() {
        let (key, value) = entry.expect("read");
        let key = String::from_utf8(key).expect("text");
        if let Some(number) = unseen.remove(&key) {
            assert_eq!(value, number.to_string().into_bytes(), "{key}");
        }
    }
    assert!(unseen.is_empty(), "lost: {unseen:?}");
    moved.put("goes", "on").expect("it takes writes");
}

#[test]
fn database_moves_between_places_and_loses_no_acknowledged_write() {
    let place = tempfile::tempdir().expect("a directory");
    let path = |name: &str| place.path().join(name).to_str().expect("plain").to_owned();
    let (postgres, etcd) = (Postgres::start(&[]), Etcd::start(3));
    let entries = entries();
    let lines: String = (0..entries)
        .map(|n| json!({"key": format!("{n:08}"), "value": "v".repeat(100)}).to_string() + "\n")
        .collect();
    let first = path("first");
    run_with_input(
        PROGRAM,
        ["import", &first].map(OsStr::new),
        lines.into_bytes(),
    )
    .success();
    migrate(&first, &postgres.url(), entries);
    migrate(&postgres.url(), &etcd.url(), entries);
    migrate(&etcd.url(), &path("last"), entries);
}

#[test]
fn server_that_was_moved_or_is_filled_refuses_as_a_directory_does() {
    let place = tempfile::tempdir().expect("a directory");
    let source = place
        .path()
        .join("source")
        .to_str()
        .expect("plain")
        .to_owned();
    run(PROGRAM, ["put", &source, "a", "1"].map(OsStr::new)).success();
    let (postgres, etcd) = (Postgres::start(&[]), Etcd::start(1));
    for url in [postgres.url(), etcd.url()] {
        let copy = |then: &str| {
            run(
                PROGRAM,
                ["copy", &source, &url, "--then", then].map(OsStr::new),
            )
        };
        copy("stop").success();
        let closed = run(PROGRAM, ["get", &url, "a"].map(OsStr::new));
        assert!(
            closed.stderr.contains("a copy is being made"),
            "{}",
            closed.stderr
        );
        copy("open").success();
        let got = run(PROGRAM, ["get", &url, "a"].map(OsStr::new)).success();
        assert_eq!(got.text(), "1\n");
        let refused = copy("open");
        assert!(
            refused
                .stderr
                .contains("a copy is made into an empty database"),
            "{}",
            refused.stderr
        );
        assert!(
            !refused.stderr.contains("pass"),
            "the password is shown: {}",
            refused.stderr
        );
    }
}

/// It was closed to everybody, its own copy included.
#[test]
fn empty_server_that_is_copied_onto_itself_stays_in_use() {
    let (postgres, etcd) = (Postgres::start(&[]), Etcd::start(1));
    for url in [postgres.url(), etcd.url()] {
        run(PROGRAM, ["put", &url, "a", "1"].map(OsStr::new)).success();
        run(PROGRAM, ["del", &url, "a"].map(OsStr::new)).success();
        for then in ["stop", "open", "cut-over"] {
            let refused = run(
                PROGRAM,
                ["copy", &url, &url, "--then", then].map(OsStr::new),
            );
            assert!(
                refused.stderr.contains("the source itself"),
                "{}",
                refused.stderr
            );
            run(PROGRAM, ["put", &url, "b", "1"].map(OsStr::new)).success();
            run(PROGRAM, ["del", &url, "b"].map(OsStr::new)).success();
        }
    }
}

/// The change that put it was made again and again.
#[test]
fn key_too_long_for_the_target_that_is_gone_again_is_passed_over() {
    let place = tempfile::tempdir().expect("a directory");
    let source = place.path().join("source");
    let source = source.to_str().expect("plain");
    let long = "k".repeat(3000);
    let url = Postgres::start(&[]);
    let url = url.url();
    let copy = |then: &str| {
        run(
            PROGRAM,
            ["copy", source, &url, "--then", then].map(OsStr::new),
        )
    };
    run(PROGRAM, ["put", source, "a", "1"].map(OsStr::new)).success();
    copy("stop").success();
    run(PROGRAM, ["put", source, &long, "1"].map(OsStr::new)).success();
    run(PROGRAM, ["put", source, "b", "1"].map(OsStr::new)).success();
    let refused = copy("cut-over");
    assert!(
        refused.stderr.contains("over its limit"),
        "{}",
        refused.stderr
    );
    run(PROGRAM, ["del", source, &long].map(OsStr::new)).success();
    copy("cut-over").success();
    let found = run(PROGRAM, ["scan", &url].map(OsStr::new)).success();
    assert_eq!(found.text().lines().count(), 2, "{}", found.text());
}
