//! `CURRENT` is damaged or missing, and the manifest is sound or not.

use level_party_testkit::damage::cases;

use crate::Damaged;

fn repaired_with_the_manifest(name: &str) {
    let currents = cases::damaged_currents();
    let (_, current) = currents
        .iter()
        .find(|(damage, _)| *damage == name)
        .expect("such a damage");
    let damaged = Damaged::new(cases::obsolete_table_and_current(current));
    damaged.says(3, &["count"], &["CURRENT", "hint: `repair`"]);
    damaged.is_unchanged();
    damaged.repairs_to(1);
    assert_eq!(damaged.entries()["alive"], "1");
    damaged.still_holds("000009.ldb");
}

#[test]
fn repair_of_a_nulled_current_takes_the_intact_manifest() {
    repaired_with_the_manifest("nulls");
}

#[test]
fn repair_of_an_empty_current_takes_the_intact_manifest() {
    repaired_with_the_manifest("empty");
}

#[test]
fn repair_of_current_with_crlf_takes_the_intact_manifest() {
    repaired_with_the_manifest("a carriage return");
}

#[test]
fn repair_of_current_without_newline_takes_the_manifest() {
    repaired_with_the_manifest("no newline");
}

#[test]
fn repair_of_a_doubled_current_takes_the_intact_manifest() {
    repaired_with_the_manifest("twice");
}

#[test]
fn repair_of_a_merge_conflict_takes_the_intact_manifest() {
    repaired_with_the_manifest("marks of a merge");
}

#[test]
fn repair_of_current_naming_a_missing_manifest_takes_another() {
    repaired_with_the_manifest("a missing manifest");
}

#[test]
fn repair_of_a_missing_current_takes_the_intact_manifest() {
    let mut files = cases::obsolete_table_and_current(b"");
    files.take("CURRENT");
    let damaged = Damaged::new(files);
    damaged.repairs_to(1);
    damaged.still_holds("000009.ldb");
}

#[test]
fn repair_passes_over_a_manifest_whose_table_is_missing() {
    use level_party_testkit::damage::{Manifest, TableBytes};
    let mut files = cases::obsolete_table_and_current(&[0; 16]);
    let gone = TableBytes::numbered("gone", 10, 700);
    let newer = Manifest::new([(1, gone.named(20))]).numbers(15, 22, 710);
    files.put("MANIFEST-000021", newer.bytes());
    let damaged = Damaged::new(files);
    damaged.repairs_to(1);
    assert_eq!(damaged.entries()["alive"], "1");
}

#[test]
fn repair_without_a_manifest_warns_of_deleted_entries() {
    let mut files = cases::obsolete_table_and_current(&[0; 16]);
    files.take("MANIFEST-000013");
    let damaged = Damaged::new(files);
    let said = damaged.repairs_to(301);
    assert!(said.contains("deleted") && said.contains("back"), "{said}");
}

#[test]
fn repair_refuses_another_comparator_by_name() {
    let damaged = Damaged::new(cases::other_comparator());
    for command in [&["repair"][..], &["repair", "--yes"], &["repair", "--json"]] {
        damaged.says(2, command, &[cases::IDB_COMPARATOR]);
        damaged.is_unchanged();
    }
    let done = damaged.run("put", &["a", "1"]);
    assert!([2, 3].contains(&done.code()), "{}", done.stderr);
    damaged.is_unchanged();
}

#[test]
fn commands_without_current_say_so_and_name_a_table() {
    let damaged = Damaged::new(cases::without_current());
    let copy = damaged.dir.with_extension("copy");
    let copy = copy.to_str().expect("a plain name");
    for command in [
        &["get", "k0001"][..],
        &["count"],
        &["scan"],
        &["export"],
        &["status"],
        &["verify"],
        &["checkpoint", copy],
        &["put", "a", "1"],
    ] {
        let words = ["CURRENT is missing", "000005.ldb", "hint: `repair`"];
        let said = damaged.says(3, command, &words);
        assert!(!said.contains("holds no LevelDB database"), "{said}");
    }
    damaged.is_unchanged();
    damaged.repairs_to(100);
}
