//! Real processes on one directory, whose leaders are stopped, or killed in the middle of something. (Under load, with
//! histories that are checked as a whole: `tests/histories`.)

#[cfg(unix)]
mod file_limit;
mod snapshots;
#[cfg(unix)]
mod stopped;
mod stream;
#[cfg(unix)]
mod without_retry;

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");
