//! Real processes under `kill -9` and `kill -STOP`, and whether what they were answered can be.
//!
//! (A1 to A11 are those of `docs/RELIABILITY.md`.)
//!
//! | what is held | by |
//! |---|---|
//! | A1 no acknowledged write lost or doubled, each key's history linearizable, leader after leader killed under load | `killed::histories_are_linearizable_over_200_killed_leaders` |
//! | A3 an increment under kills takes effect exactly once, of one's own counter or in transactions on everybody's | the same run: `killed::counters_are_exact_over_two_hundred_killed_leaders` |
//! | A4 a batch is seen whole or not at all, by everybody; a sum stays | the same run, each moment that anybody looks at: by scans in both directions, gets of many keys, and gets at a snapshot over the kills |
//! | A5 leaders die in their recovery, wherever a kill meets them; all die at once | `recoveries`; five deep, step by step: `tests/faults/recoveries.rs` |
//! | A6 what killed followers held is given back | `followers` |
//! | A7 no read after a takeover shows what was before it | `takeovers`; reads that race it: the run of A1 |
//! | A8 failover times, printed and never asserted | the run of A1 |
//! | A9 a stopped leader stays the leader, and what timed out never shows | `paused`; its words and the open: `tests/chaos/stopped.rs` |
//! | A11 a leader killed at any position of a stream changes nothing of it | `streams`; many kills under one stream: `tests/chaos/stream.rs` |
//! | the checks themselves: what they must catch | `killed::a_doctored_*`, and the tests of `level_party_testkit::linear` and `load` |
//!
//! `LEVEL_PARTY_CHAOS=50` makes every run fifty times as long. `-- --nocapture` shows what a test prints.

#[cfg(unix)]
mod followers;
mod killed;
#[cfg(unix)]
mod paused;
#[cfg(unix)]
mod recoveries;
#[cfg(unix)]
mod streams;
#[cfg(unix)]
mod takeovers;

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

/// A number of repetitions, as many times more as were asked for.
fn times(at_least: usize) -> usize {
    let asked = std::env::var("LEVEL_PARTY_CHAOS");
    let factor: usize = asked.map_or(1, |n| {
        n.parse().expect("LEVEL_PARTY_CHAOS is a whole number")
    });
    at_least * factor
}
