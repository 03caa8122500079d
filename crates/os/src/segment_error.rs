//! Why a shared segment is not to be had.

use std::fmt;
use std::io;

/// Why a [`crate::SharedSegment`] can't be made, mapped or reserved. Sizes are in bytes.
#[derive(Debug)]
#[non_exhaustive]
pub enum SegmentError {
    /// The system gives no memory files that can be sealed: an old kernel, or a filter of system calls.
    NoMemoryFiles(io::Error),
    /// `RLIMIT_FSIZE` is lower than the segment is long. Setting its length would end this process by SIGXFSZ.
    FileSizeLimit {
        /// The length of the segment.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// The segment does not fit into what `RLIMIT_AS` leaves of the address space.
    AddressSpaceLimit {
        /// The length of the segment.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// This process locks what it maps (`mlockall`), and the segment is longer than `RLIMIT_MEMLOCK` allows. It counts by
    /// its length for a moment, although none of it is locked in the end.
    LockedMemoryLimit {
        /// The length of the segment.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// The system has not as much memory, or address space, left.
    NoMemory {
        /// What was asked for.
        needed: u64,
        /// What the system said.
        source: io::Error,
    },
    /// What a peer handed over is not sealed memory of the agreed length.
    Refused(io::Error),
    /// Anything else.
    Io(io::Error),
}

impl fmt::Display for SegmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemoryFiles(error) => {
                write!(f, "the system gives no sealed memory files: {error}")
            }
            Self::FileSizeLimit { needed, limit } => write!(
                f,
                "shared memory needs {needed} bytes, and files may have {limit}: raise RLIMIT_FSIZE (ulimit -f)"
            ),
            Self::AddressSpaceLimit { needed, limit } => write!(
                f,
                "shared memory needs {needed} bytes of address space, of which this process may have {limit}: \
                 raise RLIMIT_AS (ulimit -v)"
            ),
            Self::LockedMemoryLimit { needed, limit } => write!(
                f,
                "shared memory needs {needed} bytes, and this process, which locks its memory, may lock {limit}: \
                 raise RLIMIT_MEMLOCK (ulimit -l)"
            ),
            Self::NoMemory { needed, source } => {
                write!(
                    f,
                    "{needed} bytes of shared memory are not to be had: {source}"
                )
            }
            Self::Refused(error) | Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SegmentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoMemoryFiles(error) | Self::NoMemory { source: error, .. } => Some(error),
            Self::Refused(error) | Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for SegmentError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
