//! Layer `follow`: what others write, read by its bytes: what a manifest says, where a log begins to count, and the committed
//! batches in the order of their sequences.
//!
//! Promises: nothing counts that is not whole, or that its writer had no right to write.
//! Must not know: who writes manifests and logs, or when.

pub(crate) mod manifest_contents;
pub(crate) mod succession;
pub(crate) mod tail;
