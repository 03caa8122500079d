//! The engine through its public face.

#[macro_use]
mod forward;

mod close;
mod compaction;
mod concurrent;
mod crash;
mod faults;
mod flips;
mod follow;
mod harness;
mod hooks;
mod interleavings;
mod model;
mod order;
mod owner;
mod recovery;
mod seeks;
mod succession;
mod support;
