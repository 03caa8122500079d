//! Reports stay short however much is damaged.

use level_party_testkit::damage::{Files, cases};

use crate::{Damaged, both};

/// Lines that a report on one damaged file may have at most.
const LINES: usize = 25;
/// Bytes that it may have at most.
const BYTES: usize = 8 * 1024;

/// The report of a command on a damaged directory, which must be short.
fn short_report(damaged: &Damaged, command: &[&str]) -> String {
    let said = both(&damaged.run(command[0], &command[1..]));
    assert!(
        said.lines().count() <= LINES && said.len() <= BYTES,
        "{command:?}: {} lines, {} bytes, beginning with: {}",
        said.lines().count(),
        said.len(),
        said.chars().take(1000).collect::<String>()
    );
    said
}

fn bounded(files: Files, name: &str) {
    let damaged = Damaged::new(files);
    let report = short_report(&damaged, &["repair"]);
    assert!(report.contains(name), "{report}");
    short_report(&damaged, &["repair", "--json"]);
    short_report(&damaged, &["repair", "--yes"]);
}

#[test]
fn report_on_20_000_unordered_entries_is_short() {
    bounded(cases::descending_table(20_000, false), "000005.ldb");
}

#[test]
fn report_on_200_000_unordered_entries_is_short() {
    bounded(cases::descending_table(200_000, false), "000005.ldb");
}

#[test]
fn report_on_unordered_entries_of_a_named_table_is_short() {
    let damaged = Damaged::new(cases::descending_table(20_000, true));
    short_report(&damaged, &["verify"]);
    short_report(&damaged, &["verify", "--json"]);
    let report = short_report(&damaged, &["repair"]);
    assert!(report.contains("000005.ldb"), "{report}");
    short_report(&damaged, &["repair", "--yes"]);
}

#[test]
fn report_on_10_000_bad_records_is_short_and_counts_them() {
    let damaged = Damaged::new(cases::log_of_bad_records(20_000));
    let report = short_report(&damaged, &["repair"]);
    assert!(report.contains("000007.log"), "{report}");
    let report = short_report(&damaged, &["repair", "--yes"]);
    let counted = ["10000", "10,000"];
    assert!(
        counted.iter().any(|count| report.contains(count)),
        "no count: {report}"
    );
    assert_eq!(damaged.count(), 10_100);
}

#[test]
fn opening_with_10_000_bad_records_says_little() {
    let damaged = Damaged::new(cases::log_of_bad_records(20_000));
    short_report(&damaged, &["count"]);
    short_report(&damaged, &["status"]);
    short_report(&damaged, &["verify"]);
}

#[test]
fn key_over_the_limit_does_not_hide_what_lies_behind_it() {
    const LIMIT: usize = 16 << 20;
    let damaged = Damaged::new(cases::key_over_the_limit(LIMIT));
    let done = damaged.run("export", &[]);
    let keys: Vec<String> = String::from_utf8_lossy(&done.stdout)
        .lines()
        .map(|line| {
            let entry: serde_json::Value = serde_json::from_str(line).expect("JSON");
            entry["key"].as_str().expect("text").to_owned()
        })
        .collect();
    assert_eq!(done.code(), 3, "{}", done.stderr);
    assert_eq!(keys, ["a", "z"], "{}", done.stderr);
    damaged.says(0, &["scan", "--after", "n"], &["z"]);
}
