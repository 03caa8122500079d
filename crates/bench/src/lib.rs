//! What level-party's benchmarks are made of: one workload for all who are measured, samples, tables, a
//! chart, child processes.
//!
//! It promises: each row of a [`Table`] stands beside the reference or peer that was measured in the same run; who is
//! measured works on the same [`Data`] in the same order, in whatever language it is written. It asserts nothing about
//! time: what a figure should be is for the reader. It must not know what is measured.
//!
//! The benchmarks themselves are in `benches/party/`, one file a concern; `docs/BENCHMARKS.md` says how to run them
//! and what each row means.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod chart;
mod child;
mod data;
mod peer;
mod recorded;
mod samples;
mod table;

pub use child::Child;
pub use data::{BATCH, Data, KEY_BYTES, Random, VALUE_BYTES};
pub use peer::Peer;
pub use recorded::Recorded;
pub use samples::{Samples, Summary};
pub use table::{Table, Unit};

/// Anything that can go wrong ends the run with its message.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// A result whose error ends the run.
pub type Result<T> = std::result::Result<T, Error>;
