//! Openings: what they leave out they tell, and what C++ LevelDB opens they open where nothing can be lost by it.

use std::path::Path;

use level_party_testkit::damage::cases::{self, BAD_RECORD};
use level_party_testkit::damage::{Files, Holdings};
use level_party_testkit::{ExecChild, find_leader};

use crate::{Damaged, PROGRAM, both, remove};

#[test]
fn opening_tells_a_bad_record_with_file_and_offset() {
    let damaged = Damaged::new(cases::log_with_a_bad_record());
    let (file, offset) = BAD_RECORD;
    let offset = offset.to_string();
    let done = damaged.run("export", &[]).success();
    assert!(
        done.stderr.contains(file) && done.stderr.contains(&offset),
        "{}",
        done.stderr
    );
    let told = done.stderr.matches(file).count();
    assert!(told <= 3, "it is told again and again: {}", done.stderr);
}

#[test]
fn later_commands_tell_what_an_opening_left_out() {
    let damaged = Damaged::new(cases::log_with_a_bad_record());
    let (file, _) = BAD_RECORD;
    damaged.run("count", &[]).success();
    damaged.says(0, &["status"], &[file]);
    damaged.says(0, &["status", "--json"], &[file]);
    damaged.says(1, &["verify"], &[file]);
    damaged.says(1, &["verify", "--json"], &[file]);
    damaged.says(0, &["repair", "--yes"], &[]);
    damaged.says(0, &["verify"], &["nothing is wrong"]);
    let status = both(&damaged.run("status", &[]));
    assert!(!status.contains(file), "a repair settles it: {status}");
}

#[test]
fn followers_tell_what_their_leaders_opening_left_out() {
    let damaged = Damaged::new(cases::log_with_a_bad_record());
    let mut party = [0, 1].map(|_| ExecChild::spawn(PROGRAM, &damaged.dir));
    for child in &mut party {
        let status = child.status();
        assert!(status.to_string().contains(BAD_RECORD.0), "{status}");
    }
    let leader = find_leader(&mut party);
    let mut party = Vec::from(party);
    party.remove(leader).kill();
    party[0].put("a", "1");
    let status = party[0].status();
    assert!(status.to_string().contains(BAD_RECORD.0), "{status}");
}

/// A session that is killed after 20 acknowledged puts.
fn session(dir: &Path, session: usize) {
    let mut child = ExecChild::spawn(PROGRAM, dir);
    for number in 0..20 {
        child.put(&format!("s{session}-{number:02}"), "1");
    }
    child.kill();
}

/// A directory of three such sessions, the first and the last of which left their logs, without the second one's. Gives the
/// name of the third log, too.
fn without_the_middle_log() -> (Damaged, String) {
    let damaged = Damaged::new(Files::new());
    session(&damaged.dir, 0);
    // Each session that begins writes to tables what the one before left. So the third log is that of a like database.
    let whole = Damaged::new(Files::new());
    (0..3).for_each(|number| session(&whole.dir, number));
    let files = Files::read_from(&whole.dir);
    let is_log = |name: &&str| name.ends_with(".log") && name.starts_with('0');
    let names = files.names();
    let newest = names.into_iter().filter(is_log).max().expect("a log");
    let third = "000099.log".to_owned();
    std::fs::copy(whole.dir.join(newest), damaged.dir.join(&third)).expect("copied");
    (
        Damaged {
            files: Files::read_from(&damaged.dir),
            ..damaged
        },
        third,
    )
}

#[test]
fn missing_middle_log_is_refused_in_the_same_boot() {
    let (damaged, third) = without_the_middle_log();
    for command in [&["count"][..], &["get", "s0-00"], &["put", "a", "1"]] {
        damaged.says(3, command, &[&third, "20", "41"]);
    }
    let verified = damaged.run("verify", &[]);
    assert!([1, 3].contains(&verified.code()), "{}", verified.stderr);
    assert!(both(&verified).contains(&third), "{}", both(&verified));
    damaged.is_unchanged();
    damaged.says(1, &["repair"], &[&third]);
    damaged.repairs_to(40);
    let entries = damaged.entries();
    assert!(entries.contains_key("s0-19") && entries.contains_key("s2-00"));
    assert!(!entries.contains_key("s1-00"));
}

#[test]
fn missing_middle_log_is_told_after_a_reboot() {
    let (damaged, third) = without_the_middle_log();
    // What tells that the system has not been started anew since.
    remove(&damaged.dir, "level-party.state");
    let done = damaged.run("count", &[]).success();
    assert_eq!(done.text().trim(), "40");
    assert!(
        done.stderr.contains(&third) && done.stderr.contains("20"),
        "{}",
        done.stderr
    );
    damaged.says(0, &["status"], &[&third]);
    damaged.says(1, &["verify"], &[&third]);
}

#[test]
fn missing_newest_log_is_taken_for_an_empty_one_and_told() {
    let damaged = Damaged::new(cases::without_newest_log());
    let done = damaged.run("count", &[]).success();
    assert_eq!(done.text().trim(), "100");
    assert!(done.stderr.contains("000007.log"), "{}", done.stderr);
    damaged.says(0, &["repair", "--yes"], &[]);
    damaged.is_sound_with(100);
}

#[test]
fn missing_newest_log_needs_no_repair_to_be_written_to() {
    let damaged = Damaged::new(cases::without_newest_log());
    damaged.run("put", &["a", "1"]).success();
    assert_eq!(damaged.count(), 101);
    let holdings = Holdings::of(&numbered_files(&damaged));
    assert!(!holdings.live.contains("000007.log"));
}

#[test]
fn missing_log_is_refused_below_a_later_table() {
    for files in [
        cases::without_log_below_a_table(),
        cases::without_log_beside_its_table(),
    ] {
        let damaged = Damaged::new(files);
        for command in [&["count"][..], &["put", "a", "1"]] {
            damaged.says(3, command, &["000007.log", "hint: `repair`"]);
        }
        damaged.is_unchanged();
        damaged.repairs_to(110);
    }
}

#[test]
fn missing_log_is_refused_below_a_later_log() {
    let damaged = Damaged::new(cases::later_log_without_the_named_one());
    for command in [&["count"][..], &["export"], &["put", "a", "1"]] {
        damaged.says(3, command, &["000005.log", "hint: `repair`"]);
    }
    damaged.is_unchanged();
}

/// The files of LevelDB alone.
fn numbered_files(damaged: &Damaged) -> Files {
    let mut files = Files::read_from(&damaged.dir);
    files.0.retain(|name, _| !name.starts_with("level-party."));
    files
}
