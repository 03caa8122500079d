//! Who gets in: locks, endpoints, users, hostile peers, and bad input of every kind, with real processes.
//!
//! What holds, and the test that holds it. `os:` means `crates/os` (units beside the code, `tests/processes`), `party:`
//! means `crates/party`, other names are of this program's own tests; without a prefix it is in this target.
//!
//! | held | by |
//! |---|---|
//! | D1 every holder and opener | `while_another_program_holds_lock_we_are_refused_and_told_whose_it_is`, `while_we_lead_no_other_program_gets_lock`; os: `our_lock_is_refused_while_another_process_holds_{it,a_classic_lock,a_flock}`, `our_lock_refuses_classic_locks_flocks_and_ours_in_other_processes` |
//! | D2 a second open, a look at `LOCK` | `a_second_open_that_fails_and_a_look_at_lock_leave_others_refused`, `a_failed_open_keeps_a_classic_lock_of_our_own_process_in_force`; os: `a_failed_second_attempt_and_a_look_at_the_file_leave_others_refused`, `opening_and_closing_the_lock_file_does_not_free_it` |
//! | D3 forks without exec | os: `a_leader_that_forked_is_followed_by_another_process_once_it_is_killed_while_its_child_lives`, `a_forked_childs_copies_of_a_database_are_refused_and_dropping_them_takes_nothing_from_its_parent`, `a_forked_child_that_opens_the_database_again_is_a_member_of_its_own`, `a_forked_child_keeps_neither_lock_nor_connection_of_its_killed_parent`, `a_fork_amid_opening_and_closing_leaves_nothing_behind` |
//! | D4 names and new directories | `every_name_of_a_directory_leads_to_the_same_leader`, `a_renamed_directory_keeps_its_party_and_its_successor_gets_another`, `a_directory_removed_under_its_leader_and_made_anew_has_a_party_of_its_own` |
//! | D5 filesystems | `databases_on_tmpfs_overlay_and_loop_are_accepted`; os: `network_and_user_space_filesystems_are_not_local`; party: `a_network_or_user_space_filesystem_is_refused_by_name_with_what_to_do` |
//! | E1, E2 other users | `another_user_is_served_nothing_and_told_whose_it_is`, `root_is_served_nothing_by_another_users_leader_and_leaves_no_file`, `a_user_without_a_name_is_not_taken_for_another_without_one`; os: `another_user_is_refused_on_both_sides`, `a_peer_whose_user_has_no_name_here_is_refused` |
//! | E3 the endpoint's place is taken | `what_is_in_the_endpoints_place_is_refused_with_a_sentence_and_left_alone`, `links_in_the_place_of_our_other_files_lead_nowhere`; os: `a_runtime_directory_that_others_can_enter_or_redirect_is_refused`, `a_runtime_directory_of_another_user_is_refused` |
//! | E4 paths | `directories_with_paths_of_90_to_300_bytes_of_any_kind_never_cross` |
//! | E5 hostile peers | `a_hostile_peer_ends_its_own_connection_only_and_costs_little`, `a_peer_that_trickles_its_hello_is_dropped_while_others_are_served` |
//! | A10 | `fifty_processes_open_an_empty_directory_at_once_under_one_leader_and_leave_no_endpoint` |
//! | F1 | os: `a_page_can_not_be_resized_by_anybody`, `a_region_is_written_by_its_maker_only_and_read_by_those_it_is_handed_to`, `memory_that_its_maker_could_still_change_is_refused` |
//! | F3 | `random_bytes_in_a_session_page_harm_neither_the_leader_nor_others`, `random_bytes_in_its_session_page_do_not_end_a_follower` |
//! | HOLES 11 | `removing_lock_and_endpoint_under_a_leader_makes_no_second_one`; os: `removing_the_lock_file_under_a_holder_does_not_let_a_second_one_in` |
//! | HOLES 17 | os: `a_byte_lock_is_seen_by_other_descriptions_and_by_offset` |
//! | HOLES 20 | `a_leader_removes_its_endpoint_before_its_lock_is_free`, `a_successors_endpoint_is_never_removed_by_the_one_before`; os: `unlink_removes_only_the_listeners_own_file` |
//! | HOLES 21 | D3 above |
//! | HOLES 22 | `a_copy_of_a_live_directory_opens_as_a_database_of_its_own`, `an_endpoint_of_another_directory_is_replaced_and_its_own_leader_unharmed`; E1 above |
//! | HOLES 24 | `a_leader_that_recovers_says_so_to_whoever_comes`; os: `memory_that_its_maker_could_still_change_is_refused` |
//! | LESSONS: a path over 107 bytes | E4 above |
//! | LESSONS: resent over newer values; reverse streams | `chaos`, `conformance` |
//! | LESSONS: LOCK held but not bound | `what_is_in_the_endpoints_place_is_refused_with_a_sentence_and_left_alone` (the lock is given back); party: `a_leader_that_cannot_serve_gives_the_lock_back` |
//! | LESSONS: any open error is retried for ever | `a_file_a_missing_directory_and_a_newer_layout_are_refused_at_once_with_what_to_do`, `failures` |
//! | LESSONS: a stopped leader hangs everybody | `chaos`: `a_stopped_leader_gives_a_timeout_that_names_it_and_keeps_its_lock`, `opening_beside_a_stopped_leader_ends_at_its_deadline_and_names_it` |
//! | LESSONS: one failing request ends the leader | E5 above |
//! | LESSONS: unlink-then-bind steals a live socket | HOLES 20 above; os: `another_directorys_lock_gives_no_right_to_bind` |
//! | LESSONS: LOCK unavailable, and nobody knows why | D1 above |
//! | LESSONS: open blocks for ever | `an_endpoint_that_never_greets_ends_at_the_deadline_and_names_its_process` |
//! | LESSONS: other versions | `an_endpoint_of_another_version_or_of_something_else_is_refused_with_what_to_do`, `a_file_a_missing_directory_and_a_newer_layout_are_refused_at_once_with_what_to_do` |
//! | LESSONS: other users may connect | E1 above |
//! | LESSONS: sockets and locks that do not work | D5 above; os: `where_the_directory_cannot_hold_a_socket_the_runtime_directory_does` |
//! | LESSONS: fork after open | D3 above |
//! | LESSONS: shutdown drops others' work | `party`: `a_leader_that_leaves_hands_over` |
//! | bad input: held, network, a file, versions, stopped, long paths | the rows above |
//! | bad input: not writable | `a_directory_that_this_user_may_not_use_is_refused_with_what_to_do` |
//! | bad input: use after close | party: `handles_of_one_process_share_one_node_and_close_each_for_itself` |
//! | bad input: use after fork | D3 above |
//!
//! What can't be shown on a machine (no root, no mounts) says so on standard error and is no failure.
#![cfg(target_os = "linux")]

mod bad_input;
mod crowd;
mod endpoints;
mod holders;
mod hostile;
mod names;
mod pages;
mod users;
mod wire;

use std::ffi::OsStr;
use std::path::Path;

use level_party_testkit::{ExecChild, Finished, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

fn temp() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory for tests")
}

/// Runs one command on a database. It waits for a leader for a second at most.
fn command(name: &str, dir: &Path, rest: &[&str]) -> Finished {
    let mut args = vec![OsStr::new(name), dir.as_os_str()];
    args.extend(rest.iter().map(OsStr::new));
    args.extend(["--open-timeout", "1"].map(OsStr::new));
    run(PROGRAM, args)
}

fn put(dir: &Path, key: &str, value: &str) {
    command("put", dir, &[key, value]).success();
}

/// What is under a key, asked by a process of its own.
fn get(dir: &Path, key: &str) -> String {
    let done = command("get", dir, &[key]).success();
    done.text().trim_end().to_owned()
}

/// A leader that serves.
fn leader(dir: &Path) -> ExecChild {
    let mut leader = ExecChild::spawn(PROGRAM, dir);
    assert_eq!(leader.leader_pid(), leader.pid());
    leader
}

/// A command that must fail, and say each of `words`.
fn refused(done: &Finished, words: &[&str]) {
    assert_eq!(
        done.code(),
        3,
        "it was to be refused; it said: {}",
        done.stderr
    );
    for word in words {
        assert!(
            done.stderr.contains(word),
            "the refusal does not say {word:?} but: {}",
            done.stderr
        );
    }
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
}

/// Says why a test shows nothing here.
fn impossible(why: &str) {
    eprintln!("IMPOSSIBLE HERE: {why}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Names in a directory, in order.
fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("it can be listed");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}
