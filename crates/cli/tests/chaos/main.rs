//! Real processes on one directory, whose leaders are stopped, or killed in the middle of something. (Under load, with
//! histories that are checked as a whole: `tests/histories`.)

mod poisoned;
mod snapshots;
mod stopped;
mod stream;
mod without_retry;

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");
