//! Layer `commit`: the queue of writers, groups and their conditions, the log, and the present state that a commit changes
//! ([`shared`]), with the work that it leaves behind ([`work`]).
//!
//! Promises: a group is one record of the log, whole or absent; nothing is published before it is in the log.
//! Must not know: how memtables become tables, how tables are compacted, or the bytes of a manifest.

pub(crate) mod active;
pub(crate) mod lock;
pub(crate) mod logs;
pub(crate) mod memory;
pub(crate) mod shared;
pub(crate) mod sync;
pub(crate) mod wal;
pub(crate) mod work;
pub(crate) mod write;
