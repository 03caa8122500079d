//! Real processes under `kill -9` and `kill -STOP`, and whether what they were answered can be.
//!
//! | what is held | by |
//! |---|---|
//! | A1 no acknowledged write lost or doubled, each key's history linearizable, leader after leader killed under load | `killed::every_history_is_linearizable_...` |
//! | A3 an increment under kills takes effect exactly once | the same run: `killed::counters_and_accounts_...` |
//! | A4 a batch is seen whole or not at all, by everybody; a sum stays | the same run, each moment that a reader looks at |
//! | A8 failover times, printed and never asserted | the same run |
//! | the checks themselves: what they must catch | `killed::a_doctored_history_...`, `level_party_testkit::linear` |
//!
//! `LEVEL_PARTY_CHAOS=50` makes every run fifty times as long. What a test prints is seen with `-- --nocapture`.

#![cfg(unix)]

mod killed;

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

/// A number of repetitions, as many times more as were asked for.
fn times(at_least: usize) -> usize {
    let asked = std::env::var("LEVEL_PARTY_CHAOS");
    let factor: usize = asked.map_or(1, |n| {
        n.parse().expect("LEVEL_PARTY_CHAOS is a whole number")
    });
    at_least * factor
}
