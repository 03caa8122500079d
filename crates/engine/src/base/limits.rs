//! Limits that more than one layer keeps to.

/// Tables kept open unless told otherwise: half of the descriptors that a process commonly may have (1,024), so that
/// the logs, the sockets and the program's own files have room.
pub(crate) const MAX_OPEN_FILES: usize = 500;

/// Memtables that wait for their flush, beside the active one. Two, so that a burst can go on during one flush.
pub(crate) const MAX_FROZEN: usize = 2;
/// Files of level 0 at which each group of writes waits a little.
pub(crate) const SLOWDOWN_FILES: usize = 8;
/// Files of level 0 at which writes wait for the compaction.
pub(crate) const STOP_FILES: usize = 12;
