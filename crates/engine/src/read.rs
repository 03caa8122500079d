//! Layer `read`: tables, versions and views, and the iterators and cursors over them.
//!
//! Promises: what is read never changes, so a read takes no lock that a writer holds; a reader keeps alive what it
//! reads.
//! Must not know: where a view comes from, who writes, or when files are removed.

pub(crate) mod block_cache;
pub(crate) mod cursor;
pub(crate) mod dead_ranges;
pub(crate) mod files;
pub(crate) mod foreign_file;
pub(crate) mod iter;
pub(crate) mod level_files;
pub(crate) mod open_tables;
pub(crate) mod range_cursor;
pub(crate) mod seek_budget;
pub(crate) mod seek_compaction;
pub(crate) mod snapshots;
pub(crate) mod table;
pub(crate) mod version;
pub(crate) mod view;
pub(crate) mod view_source;
