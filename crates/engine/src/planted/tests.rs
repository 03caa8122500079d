//! Each planted bug is caught by the harness that is there for it, which finds nothing in the engine as it is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::{Bug, switch_on};
use crate::Options;
use crate::engine::tests::fronts::fronts_agree_with_a_model;
use crate::engine::tests::members::{
    Memory, conditional_counts_are_exact, deaths_in_commits_lose_nothing,
    deaths_in_repairs_lose_nothing, failed_appends_leave_nothing, members_write_at_once,
    stopped_holder_keeps_the_lock,
};
use crate::engine::tests::recycled::{cursors_keep_their_moment, stopped_read_is_made_again};
use crate::engine::tests::syncs::{
    cut_log_is_durable_before_the_second_switch, error_outlives_the_writer,
    late_opener_is_not_deceived, stopped_syncer_deceives_nobody,
    sync_begun_before_a_cut_says_nothing, sync_under_way_covers_nothing_later,
};
use crate::engine::tests::tails::tails_see_what_is_published;
use crate::harness::follow::followers_miss_nothing;
use crate::harness::moments::moments_hold;
use crate::harness::power::{Plan, power_fails, processes_die};
use crate::harness::refuse::{Fault, Refusal, Scope, each_call_fails};
use crate::support::tiny;

/// What a harness said when it failed under this bug.
///
/// It runs on a thread of its own, because a bug must not make it hang either.
fn complaint(bug: Bug, harness: impl Fn() + Send + 'static) -> Option<String> {
    let (done, result) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        switch_on(bug);
        let caught = catch_unwind(AssertUnwindSafe(harness));
        let said = caught.err().map(|panic| match panic.downcast::<String>() {
            Ok(said) => *said,
            Err(panic) => panic.downcast_ref::<&str>().unwrap_or(&"").to_string(),
        });
        // The receiver waits.
        let _ = done.send(said);
    });
    let said = result.recv_timeout(Duration::from_secs(100));
    said.unwrap_or_else(|_| panic!("under {bug:?} the harness neither passes nor fails"))
}

fn is_caught(bug: Bug, harness: impl Fn() + Clone + Send + 'static) {
    let said = complaint(Bug::None, harness.clone());
    assert_eq!(said, None, "without a bug");
    let said = complaint(bug, harness);
    println!("{bug:?}: {said:?}");
    assert!(said.is_some(), "{bug:?} is not caught");
}

fn plan() -> Plan {
    Plan {
        options: Options {
            write_buffer_size: 4 << 10,
            ..tiny()
        },
        batches: 130,
        large_every: None,
        short_lives: false,
        no_tables: false,
        states: 1500,
        seed: 7,
    }
}

#[test]
fn an_answer_before_the_append_is_caught() {
    is_caught(Bug::AnswerBeforeAppend, || {
        processes_die(&plan());
    });
    is_caught(Bug::AnswerBeforeAppend, || {
        let refusal = Refusal {
            scope: Scope::Changes,
            fault: Fault::Io,
            for_good: false,
        };
        each_call_fails(refusal, &plan().options);
    });
}

#[test]
fn appending_to_an_old_log_is_caught() {
    is_caught(Bug::OldLogAppendedTo, || {
        processes_die(&plan());
    });
}

#[test]
fn a_directory_not_synced_after_current_is_caught() {
    is_caught(Bug::CurrentNotSynced, || {
        power_fails(&plan());
    });
}

#[test]
fn a_table_not_synced_is_caught_and_nothing_hangs() {
    is_caught(Bug::TableNotSynced, || {
        power_fails(&plan());
    });
}

#[test]
fn a_manifest_ahead_of_the_log_is_caught() {
    // Only where power fails between a flush and the next append: few states tell.
    let plan = Plan {
        states: 6_000,
        ..plan()
    };
    is_caught(Bug::ManifestAheadOfLog, move || {
        power_fails(&plan);
    });
}

#[test]
fn versions_of_a_key_split_in_a_compaction_are_caught() {
    is_caught(Bug::VersionsSplit, || {
        moments_hold(&tiny(), 5, 25);
    });
}

#[test]
fn a_horizon_that_ignores_pins_is_caught() {
    is_caught(Bug::PinsIgnored, || {
        moments_hold(&tiny(), 6, 25);
    });
}

#[test]
fn a_tail_that_skips_an_operation_is_caught() {
    is_caught(Bug::TailSkips, || {
        followers_miss_nothing(1 << 20, 3);
    });
}

#[test]
fn watch_beyond_published_is_caught() {
    is_caught(Bug::WatchBeyondPublished, || {
        tails_see_what_is_published(Memory::Own);
    });
}

#[test]
fn lock_taken_from_a_living_holder_is_caught() {
    is_caught(Bug::TakenFromTheLiving, || {
        stopped_holder_keeps_the_lock(Memory::Own);
    });
}

#[test]
fn record_of_a_dead_holder_not_looked_for_is_caught() {
    is_caught(Bug::RecordNotRepaired, || {
        deaths_in_commits_lose_nothing(Memory::Own);
    });
}

#[test]
fn record_of_each_member_is_caught() {
    is_caught(Bug::RecordOfEachMember, || {
        deaths_in_repairs_lose_nothing(Memory::Own);
    });
}

#[test]
fn log_of_a_dead_holder_not_cut_is_caught() {
    is_caught(Bug::RepairWithoutCut, || {
        deaths_in_repairs_lose_nothing(Memory::Own);
    });
}

#[test]
fn sync_covered_by_an_edit_that_is_not_durable_is_caught() {
    is_caught(Bug::EditNotSynced, || {
        power_fails(&plan());
    });
}

#[test]
fn end_not_restored_after_a_failed_append_is_caught() {
    is_caught(Bug::EndNotRestored, || {
        failed_appends_leave_nothing(Memory::Own);
    });
}

#[test]
fn descriptor_trusted_at_once_is_caught() {
    is_caught(Bug::TrustedAtOnce, late_opener_is_not_deceived);
    is_caught(Bug::TrustedAtOnce, stopped_syncer_deceives_nobody);
}

#[test]
fn failure_told_after_the_end_of_its_sync_is_caught() {
    is_caught(Bug::FailedAfterCleared, stopped_syncer_deceives_nobody);
}

#[test]
fn log_that_nobody_keeps_open_is_caught() {
    is_caught(Bug::LogNotKeptOpen, error_outlives_the_writer);
}

#[test]
fn log_durable_by_any_sync_is_caught() {
    is_caught(Bug::DurableByAnySync, sync_begun_before_a_cut_says_nothing);
}

#[test]
fn sync_that_covers_what_came_later_is_caught() {
    is_caught(Bug::CoveredLater, sync_under_way_covers_nothing_later);
}

#[test]
fn second_switch_before_a_cut_log_is_durable_is_caught() {
    is_caught(
        Bug::FreeSecondSwitch,
        cut_log_is_durable_before_the_second_switch,
    );
}

/// Everything stays in logs.
fn logs_alone() -> Plan {
    Plan {
        batches: 25,
        no_tables: true,
        ..plan()
    }
}

#[test]
fn sync_of_the_own_log_alone_is_caught() {
    is_caught(Bug::OwnLogAlone, || {
        power_fails(&logs_alone());
    });
}

#[test]
fn sync_without_the_directory_is_caught() {
    is_caught(Bug::DirectoryLeftOut, || {
        power_fails(&logs_alone());
    });
}

#[test]
fn hint_kept_over_another_members_writes_is_caught() {
    is_caught(Bug::StaleHint, || members_write_at_once(Memory::Own));
}

#[test]
fn conditions_not_judged_again_are_caught() {
    is_caught(Bug::ConditionsNotJudgedAgain, || {
        conditional_counts_are_exact(Memory::Own);
    });
}

#[test]
fn commit_published_before_its_append_is_caught() {
    is_caught(Bug::PublishedBeforeAppend, || {
        deaths_in_commits_lose_nothing(Memory::Own);
    });
}

#[test]
fn unclamped_read_of_a_frozen_region_is_caught() {
    is_caught(Bug::FrozenUnclamped, || {
        deaths_in_commits_lose_nothing(Memory::Own);
    });
}

#[test]
fn flush_of_unpublished_entries_is_caught() {
    is_caught(Bug::UnpublishedFlushed, || {
        deaths_in_commits_lose_nothing(Memory::Own);
    });
}

#[test]
fn generation_not_checked_is_caught() {
    is_caught(Bug::GenerationUnchecked, || {
        stopped_read_is_made_again(Memory::Recycled);
    });
    is_caught(Bug::GenerationUnchecked, || {
        cursors_keep_their_moment(Memory::Recycled);
    });
}

#[test]
fn dead_ranges_that_ignore_later_writes_are_caught() {
    is_caught(Bug::WrittenSinceUnchecked, || {
        fronts_agree_with_a_model(Memory::Own);
    });
    is_caught(Bug::DeadRangesOfLater, || {
        fronts_agree_with_a_model(Memory::Own);
    });
}
