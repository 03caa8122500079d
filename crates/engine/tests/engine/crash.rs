//! The power fails, and processes die: at every call, also during the recovery from that.

use level_party_engine::Options;

use crate::harness::power::{Counts, Plan, power_fails, processes_die};
use crate::support::tiny;

/// Distinct states after a loss of power that the plain test command opens, over the tests here; kills come on top.
/// `LEVEL_PARTY_CRASH_STATES=1000000` asks for more.
const STATES: usize = 20_000;

/// `percent` of the states.
fn share(percent: usize) -> usize {
    let asked = std::env::var("LEVEL_PARTY_CRASH_STATES");
    let states = asked.map_or(STATES, |states| states.parse().expect("a number of states"));
    states * percent / 100
}

fn plan(percent: usize, seed: u64) -> Plan {
    Plan {
        options: Options {
            write_buffer_size: 4 << 10,
            ..tiny()
        },
        batches: 130,
        large_every: None,
        takeovers: false,
        no_tables: false,
        states: share(percent),
        seed,
    }
}

/// The harness did what it is for, and says so.
fn report(name: &str, plan: &Plan, counts: &Counts) {
    println!("{name}: {counts:?}");
    assert!(counts.total() >= plan.states);
    assert!(counts.states.iter().all(|states| *states > 0), "{counts:?}");
    assert!(counts.beyond > 0, "{counts:?}");
}

#[test]
fn after_a_loss_of_power_at_any_call_whole_batches_are_there_with_all_that_was_synced() {
    let plan = plan(35, 1);
    let counts = power_fails(&plan);
    report("power", &plan, &counts);
    assert!(counts.dropped > 0, "{counts:?}");
}

#[test]
fn after_a_loss_of_power_logs_of_many_blocks_end_at_a_whole_batch() {
    let plan = Plan {
        options: Options {
            write_buffer_size: 64 << 10,
            bloom_bits_per_key: Some(10),
            ..tiny()
        },
        batches: 90,
        large_every: Some(29),
        ..plan(20, 2)
    };
    report("power, large batches", &plan, &power_fails(&plan));
}

#[test]
fn after_a_loss_of_power_a_sync_holds_for_the_logs_before_it_too() {
    let plan = Plan {
        batches: 25,
        no_tables: true,
        ..plan(35, 3)
    };
    report("power, logs without tables", &plan, &power_fails(&plan));
}

#[test]
fn after_a_loss_of_power_a_sync_holds_for_what_an_opening_has_not_settled() {
    let plan = Plan {
        takeovers: true,
        ..plan(10, 5)
    };
    report("power, takeovers", &plan, &power_fails(&plan));
}

#[test]
fn after_a_kill_before_an_opening_has_settled_all_that_was_answered_is_there() {
    let plan = Plan {
        takeovers: true,
        ..plan(10, 6)
    };
    report("kills, takeovers", &plan, &processes_die(&plan));
}

#[test]
fn after_a_kill_at_any_call_all_that_was_answered_is_there() {
    let plan = plan(10, 4);
    report("kills", &plan, &processes_die(&plan));
}
