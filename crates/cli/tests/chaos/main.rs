//! Real processes on one directory, and `kill -9` for their leaders, again and again.

mod kills;
mod stopped;
mod stream;
mod without_retry;

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");
