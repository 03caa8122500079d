//! Each planted bug is caught by the harness that is there for it, which finds nothing in the engine as it is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::{Bug, switch_on};
use crate::Options;
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
        takeovers: false,
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
fn a_sync_before_the_recovered_logs_are_in_tables_is_caught() {
    is_caught(Bug::SyncUnsettled, || {
        power_fails(&Plan {
            takeovers: true,
            ..plan()
        });
    });
}

#[test]
fn a_manifest_ahead_of_the_log_is_caught() {
    is_caught(Bug::ManifestAheadOfLog, || {
        power_fails(&plan());
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
