//! LevelDB's C API, and ours beyond it, over `level_party`: the library `liblevel_party` for C and everything that calls C.
//!
//! What each function does is told in `include/level_party/*.h`, which are this crate's documentation; a test compares their
//! functions with those defined here.
//!
//! Promises:
//! - Nothing unwinds into the caller: a panic becomes an error ([`border::guard`]).
//! - What the caller has to free was made by `malloc`.
//! - A handle that is null is an error, or nothing is done; it is never dereferenced.
//!
//! It uses the public API of `level_party` alone. `unsafe` is here because every function takes pointers; each block relies
//! on what the header asks of the caller, and on nothing else.
#![allow(
    non_camel_case_types,
    reason = "types have the names that they have in C"
)]
#![allow(
    clippy::missing_safety_doc,
    reason = "what a caller promises is told once, at the head of leveldb.h"
)]

mod batch;
mod border;
mod comparator;
mod db;
#[cfg(all(test, target_os = "linux"))]
mod differences;
mod failure;
mod iterator;
mod objects;
mod options;
mod party_calls;
mod party_errors;
mod party_options;
mod party_transaction;
mod party_watch;
mod snapshot;
