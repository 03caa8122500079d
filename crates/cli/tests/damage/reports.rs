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

/// How many faults of a file a report tells: one with each example, and others as a count.
fn faults(report: &str, file: &str) -> u64 {
    let of_file = report
        .lines()
        .filter_map(|line| line.strip_prefix("wrong")?.trim().strip_prefix(file));
    let counts = of_file.map(|rest| {
        let count = rest
            .strip_prefix(": and ")
            .and_then(|rest| rest.split(' ').next());
        count.map_or(1, |count| {
            let digits = count.replace(',', "");
            digits.parse().expect("a count")
        })
    });
    counts.sum()
}

fn bounded(files: Files, name: &str) {
    let damaged = Damaged::new(files);
    let report = short_report(&damaged, &["repair"]);
    assert!(faults(&report, name) > 1, "{report}");
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
    assert_eq!(faults(&report, "000007.log"), 10_000, "{report}");
    short_report(&damaged, &["repair", "--yes"]);
    assert_eq!(damaged.count(), 10_100);
}

#[test]
fn opening_with_10_000_bad_records_says_little() {
    let damaged = Damaged::new(cases::log_of_bad_records(20_000));
    short_report(&damaged, &["count"]);
    short_report(&damaged, &["status"]);
    short_report(&damaged, &["verify"]);
}
