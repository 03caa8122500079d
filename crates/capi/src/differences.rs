//! `docs/DIFFERENCES.md` says what is different from LevelDB: here each row about this library has a check of its name, which
//! calls the library as a C program does.

mod calls;
mod objects;
mod options;
mod program;

use std::collections::BTreeSet;
use std::path::Path;

/// A check, in an empty directory.
type Check = fn(&Path);

const CHECKS: [(&str, Check); 23] = [
    (
        "open_joins_another_process",
        calls::open_joins_another_process,
    ),
    (
        "second_open_is_the_same_database",
        calls::second_open_is_the_same_database,
    ),
    (
        "settings_are_the_first_openers",
        options::settings_are_the_first_openers,
    ),
    (
        "failed_open_makes_nothing",
        calls::failed_open_makes_nothing,
    ),
    (
        "open_without_current_is_refused",
        calls::open_without_current_is_refused,
    ),
    ("repair_makes_no_database", calls::repair_makes_no_database),
    (
        "destroy_leaves_an_empty_directory",
        calls::destroy_leaves_an_empty_directory,
    ),
    ("destroy_of_a_file_fails", calls::destroy_of_a_file_fails),
    ("files_are_named_so", calls::files_are_named_so),
    (
        "oversized_writes_are_refused",
        calls::oversized_writes_are_refused,
    ),
    (
        "repair_of_an_open_database_is_refused",
        calls::repair_of_an_open_database_is_refused,
    ),
    (
        "repair_renames_what_it_replaces",
        calls::repair_renames_what_it_replaces,
    ),
    (
        "damage_is_found_without_asking",
        options::damage_is_found_without_asking,
    ),
    (
        "own_filter_policy_is_not_asked",
        objects::own_filter_policy_is_not_asked,
    ),
    (
        "max_open_files_has_no_effect",
        options::max_open_files_has_no_effect,
    ),
    (
        "block_restart_interval_has_no_effect",
        options::block_restart_interval_has_no_effect,
    ),
    ("forked_child_is_refused", calls::forked_child_is_refused),
    (
        "waiting_writes_have_a_deadline",
        options::waiting_writes_have_a_deadline,
    ),
    (
        "read_at_a_released_snapshot_fails",
        objects::read_at_a_released_snapshot_fails,
    ),
    (
        "comparator_lives_as_long_as_its_databases",
        objects::comparator_lives_as_long_as_its_databases,
    ),
    (
        "comparator_of_another_name_is_refused",
        objects::comparator_of_another_name_is_refused,
    ),
    (
        "databases_do_not_share_a_cache",
        options::databases_do_not_share_a_cache,
    ),
    (
        "descriptor_limit_is_raised",
        options::descriptor_limit_is_raised,
    ),
];

/// What a second process does for a check, by the name that it is given.
const ROLES: [(&str, Check); 4] = [
    ("joins", calls::joins),
    ("asks_for_other_settings", options::asks_for_other_settings),
    ("has_another_comparator", objects::has_another_comparator),
    ("has_few_descriptors", options::has_few_descriptors),
];

/// The names of the checks in the parts of the page with these headings: one in the last cell of each row of a table whose
/// last column is "check".
fn checks_of_the_page(headings: &[&str]) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/DIFFERENCES.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let mut checks = Vec::new();
    for heading in headings {
        let (_, rest) = page
            .split_once(&format!("\n## {heading}\n"))
            .expect("the page has this heading");
        let part = rest.split("\n## ").next().unwrap_or_default();
        for table in part.split(" | check |\n").skip(1) {
            let rows = table.lines().skip(1).take_while(|line| !line.is_empty());
            checks.extend(rows.map(check_of));
        }
    }
    checks
}

fn check_of(row: &str) -> String {
    let last_cell = row.trim_end_matches(" |").rsplit(" | ").next();
    let name = last_cell.and_then(|cell| cell.strip_prefix('`')?.strip_suffix('`'));
    name.unwrap_or_else(|| panic!("this row has no check: {row}"))
        .to_owned()
}

#[test]
fn each_row_of_the_page_has_a_check_that_holds() {
    if program::play(&ROLES) {
        return;
    }
    let rows = checks_of_the_page(&["In both", "In the C library"]);
    let named: BTreeSet<_> = rows.iter().map(String::as_str).collect();
    assert_eq!(named.len(), rows.len(), "a check is there once");
    let ours: BTreeSet<_> = CHECKS.iter().map(|(name, _)| *name).collect();
    assert_eq!(named, ours, "rows of the page, and checks");
    for (name, check) in CHECKS {
        println!("{name}");
        let dir = tempfile::tempdir().expect("a directory");
        check(&dir.path().join("db"));
    }
}
