//! Layer `base`: what every other layer stands on: errors, files, options, and values that say what they are.
//!
//! Promises: nothing here decides what the database does.
//! Must not know: any other layer.

pub(crate) mod bell;
pub(crate) mod clock;
pub(crate) mod condition;
pub(crate) mod control;
pub(crate) mod entry;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod fs;
pub(crate) mod health;
pub(crate) mod key_range;
pub(crate) mod limits;
pub(crate) mod member;
pub(crate) mod metrics;
pub(crate) mod next_file;
pub(crate) mod options;
pub(crate) mod peers;
pub(crate) mod seek_key;
pub(crate) mod segment;
pub(crate) mod stats;
pub(crate) mod steps;
pub(crate) mod sync;
pub(crate) mod waiting;
