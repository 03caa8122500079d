//! Why a directory's lock is not given, or could not be lowered.

use std::fmt;
use std::io;

use crate::held::HeldLock;

/// LevelDB's name of the lock file.
pub const LOCK_NAME: &str = "LOCK";

/// Why the lock was not given.
#[derive(Debug)]
pub enum LockError {
    /// Somebody has it, who can be asked after. Worth retrying.
    Held(HeldLock),
    /// It can't be tried. Not worth retrying unless the cause changes.
    Io(io::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(lock) => write!(f, "the directory is locked by {}", lock.holder()),
            Self::Io(error) => write!(f, "the directory can't be locked: {error}"),
        }
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Held(_) => None,
            Self::Io(error) => Some(error),
        }
    }
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why a lock could not be lowered. All that it held is given back.
#[derive(Debug)]
pub enum LowerError {
    /// Another program got a lock of the directory in between. Begin again: it has the directory now, or had it.
    Lost,
    /// The system refused it.
    Io(io::Error),
}

impl fmt::Display for LowerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str(
                "another program took the directory's lock while it was lowered: begin again",
            ),
            Self::Io(error) => write!(f, "the directory's lock can't be lowered: {error}"),
        }
    }
}

impl std::error::Error for LowerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Lost => None,
            Self::Io(error) => Some(error),
        }
    }
}

impl From<io::Error> for LowerError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
