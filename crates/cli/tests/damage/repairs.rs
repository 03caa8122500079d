//! Repair keeps all that can be read, and sets aside what it does not use.

use level_party_testkit::damage::cases;

use crate::Damaged;

#[test]
fn repair_keeps_a_later_log_without_the_named_one() {
    let damaged = Damaged::new(cases::later_log_without_the_named_one());
    damaged.says(3, &["count"], &["000005.log"]);
    damaged.repairs_to(150);
}

#[test]
fn repair_keeps_tables_newer_than_a_torn_manifest() {
    let damaged = Damaged::new(cases::torn_manifest());
    damaged.repairs_to(100);
    damaged.still_holds("MANIFEST-000002");
}

#[test]
fn repair_reads_the_old_log_of_an_empty_table() {
    let damaged = Damaged::new(cases::empty_table_beside_its_log());
    damaged.repairs_to(101);
    damaged.still_holds("000003.log");
    let entries = damaged.entries();
    assert_eq!((&*entries["k0042"], &*entries["z"]), ("v42", "1"));
}

#[test]
fn repair_of_one_bad_record_costs_that_record() {
    let damaged = Damaged::new(cases::log_with_a_bad_record());
    damaged.repairs_to(199);
    damaged.still_holds("000003.log");
    let entries = damaged.entries();
    for number in 0..200 {
        let (key, value) = cases::logged(number);
        let expected = (number != 9).then_some(&value);
        assert_eq!(entries.get(&key), expected, "{key}");
    }
}

#[test]
fn repair_brings_back_a_log_that_an_opening_set_aside() {
    let damaged = Damaged::new(cases::log_with_a_bad_record());
    let kept = damaged.count();
    assert!(kept <= 199, "{kept}");
    damaged.says(1, &["repair"], &["000003.log"]);
    damaged.says(0, &["repair", "--yes"], &["repaired"]);
    damaged.is_sound_with(199);
    let (key, _) = cases::logged(9);
    assert!(!damaged.entries().contains_key(&key));
}

#[test]
fn repair_walks_the_blocks_of_a_table_without_footer() {
    let damaged = Damaged::new(cases::table_without_footer());
    damaged.repairs_to(100);
    damaged.still_holds("000005.ldb");
}

#[test]
fn repair_keeps_overlapping_histories_in_one_line() {
    let damaged = Damaged::new(cases::overlapping_histories());
    let said = damaged.repairs_to(101);
    let entries = damaged.entries();
    assert_eq!(entries["both"], "new");
    assert!(said.lines().count() < 20, "{said}");
}
