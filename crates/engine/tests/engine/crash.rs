//! The power fails, and processes die: at every call, also during the recovery from that.

use std::collections::BTreeSet;

use level_party_engine::{Fs, Options};

use crate::harness::disk::Disk;
use crate::harness::power::{Counts, Plan, power_fails, processes_die};
use crate::harness::record::{Files, Recorder};
use crate::harness::states::after_power_loss;
use crate::support::{Rng, tiny};

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
        short_lives: false,
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
fn power_loss_at_any_call_keeps_synced_whole_batches() {
    let plan = plan(35, 1);
    let counts = power_fails(&plan);
    report("power", &plan, &counts);
    assert!(counts.dropped > 0, "{counts:?}");
}

#[test]
fn power_loss_ends_long_logs_at_a_whole_batch() {
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
fn power_loss_keeps_logs_before_a_synced_one() {
    let plan = Plan {
        batches: 25,
        no_tables: true,
        ..plan(35, 3)
    };
    report("power, logs without tables", &plan, &power_fails(&plan));
}

#[test]
fn power_loss_keeps_what_openings_in_a_row_recovered() {
    let plan = Plan {
        short_lives: true,
        ..plan(10, 5)
    };
    report("power, short lives", &plan, &power_fails(&plan));
}

#[test]
fn what_was_answered_survives_kills_between_openings() {
    let plan = Plan {
        short_lives: true,
        ..plan(10, 6)
    };
    report("kills, short lives", &plan, &processes_die(&plan));
}

#[test]
fn after_a_kill_at_any_call_all_that_was_answered_is_there() {
    let plan = plan(10, 4);
    report("kills", &plan, &processes_die(&plan));
}

/// What a log may have after a loss of power now.
fn logs_after_loss(recorder: &Recorder) -> BTreeSet<Vec<u8>> {
    let mut disk = Disk::new(&Files::new());
    for recorded in recorder.steps() {
        disk.apply(&recorded.step);
    }
    let states = after_power_loss(&disk, &mut Rng(1), 50);
    let logs = states.into_iter().map(|(mut files, _)| files.remove("log"));
    logs.map(|log| log.expect("its name is durable")).collect()
}

#[test]
fn cut_log_may_have_its_old_end_until_its_length_is_synced() {
    let recorder = Recorder::new(&Files::new(), 0);
    let log = recorder.create_log("log").unwrap();
    log.write_at(b"first", 0).unwrap();
    log.sync().unwrap();
    recorder.sync_dir().unwrap();
    log.write_at(b"second", 5).unwrap();
    let log = recorder.open_log("log").unwrap();
    log.set_len(5).unwrap();
    let either = BTreeSet::from([b"first".to_vec(), b"firstsecond".to_vec()]);
    assert_eq!(logs_after_loss(&recorder), either);
    log.write_at(b"x", 5).unwrap();
    log.sync().unwrap();
    let either = BTreeSet::from([b"firstx".to_vec(), b"firstxecond".to_vec()]);
    assert_eq!(logs_after_loss(&recorder), either);
    log.sync_all().unwrap();
    assert_eq!(
        logs_after_loss(&recorder),
        BTreeSet::from([b"firstx".to_vec()])
    );
}
