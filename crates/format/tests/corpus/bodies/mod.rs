//! What is done to any bytes: one function for each kind of input, called both by the fuzz targets (`fuzz/`) and, over
//! the committed inputs, by the plain tests beside this folder.
//!
//! Each body panics where a promise of the crate is broken: bytes from outside never panic it, never take more work or
//! memory than they could stand for, and what they decode to agrees with a plain model of the format. Each gives the
//! number of things it decoded, so that a test can tell that its inputs get somewhere.

pub mod batch;
pub mod block;
pub mod filter;
pub mod log_model;
pub mod manifest;
pub mod names;
pub mod signing;
pub mod stored_block;
pub mod table;
pub mod wal;
