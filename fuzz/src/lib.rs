//! The bodies of the fuzz targets. They live beside the plain tests that run them over the committed inputs.

#[path = "../../crates/format/tests/corpus/bodies/mod.rs"]
pub mod format;
pub mod memtable;
