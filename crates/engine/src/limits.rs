//! Limits that more than one layer keeps to.

/// Tables kept open unless told otherwise: half of the descriptors that a process commonly may have (1,024), so that
/// the logs, the sockets and the program's own files have room.
pub(crate) const MAX_OPEN_FILES: usize = 500;
