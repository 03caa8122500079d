//! Layer `follow`: what others write, read by its bytes: what a manifest says, where a log begins to count, and what is
//! committed in the order of its sequences.
//!
//! Promises: nothing counts that is not whole, or that its writer had no right to write.
//! Must not know: who writes manifests and logs, or when.

pub(crate) mod log_reader;
pub(crate) mod manifest_contents;
pub(crate) mod manifest_follower;
pub(crate) mod reads;
pub(crate) mod succession;
pub(crate) mod tail;
pub(crate) mod views;
