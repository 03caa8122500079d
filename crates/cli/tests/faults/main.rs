//! The tests of the tests: processes die at named points, and bugs are planted that must be caught
//! (`crates/party/src/faults.rs`; built with the feature `faults`).

mod copies;
#[cfg(target_os = "linux")]
mod held;
mod planted;
mod points;
mod recoveries;
mod removed;
#[cfg(unix)]
mod steps;
#[cfg(target_os = "linux")]
mod stopped;
#[cfg(target_os = "linux")]
mod succeeded;

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

/// Names the point at which a process dies: `NAME:N`.
const KILL: &str = "LEVEL_PARTY_KILL";
/// Names the point at which a process stops: `NAME:N`.
#[cfg(unix)]
const STOP: &str = "LEVEL_PARTY_STOP";
/// Names the call of a log that fails: `append:N` or `sync:N`.
#[cfg(unix)]
const FAIL: &str = "LEVEL_PARTY_FAIL";
/// Names the point at which a thread stands still, and a pipe: `NAME:N:PIPE`.
#[cfg(target_os = "linux")]
const HOLD: &str = "LEVEL_PARTY_HOLD";
/// Names what a process does wrong.
const PLANT: &str = "LEVEL_PARTY_PLANT";
