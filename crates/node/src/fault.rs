//! What a call throws, or its promise is rejected with.

use level_party::{Error, ErrorKind};

/// A failure, before it is a JavaScript error.
pub enum Fault {
    /// The database's.
    Party(Error),
    /// JavaScript called a function in a way that it must not; the package's own code does not.
    Misuse(&'static str),
    /// What a caller asked for can't be; says what.
    Refused(String),
    /// An object was closed or given back.
    Gone(&'static str),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Party(error)
    }
}

impl Fault {
    pub fn message(&self) -> &str {
        match self {
            Fault::Party(error) => error.message(),
            Fault::Misuse(what) | Fault::Gone(what) => what,
            Fault::Refused(what) => what,
        }
    }

    /// The property `code`.
    pub fn code(&self) -> &'static str {
        match self {
            Fault::Party(error) => code_of(error.kind()),
            Fault::Misuse(_) | Fault::Refused(_) => "LEVEL_INVALID_ARGUMENT",
            Fault::Gone(_) => "LEVEL_DATABASE_NOT_OPEN",
        }
    }

    pub fn party(&self) -> Option<&Error> {
        match self {
            Fault::Party(error) => Some(error),
            Fault::Misuse(_) | Fault::Refused(_) | Fault::Gone(_) => None,
        }
    }
}

/// The codes of `classic-level` and `abstract-level` where these have one, and others in the same form.
fn code_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Locked => "LEVEL_LOCKED",
        ErrorKind::Corruption => "LEVEL_CORRUPTION",
        ErrorKind::Closed => "LEVEL_DATABASE_NOT_OPEN",
        ErrorKind::Io => "LEVEL_IO_ERROR",
        ErrorKind::Encoding => "LEVEL_DECODE_ERROR",
        ErrorKind::Unsupported => "LEVEL_NOT_SUPPORTED",
        ErrorKind::NotFound => "LEVEL_NOT_FOUND",
        ErrorKind::AlreadyExists => "LEVEL_ALREADY_EXISTS",
        ErrorKind::NotADirectory => "LEVEL_NOT_A_DIRECTORY",
        ErrorKind::PermissionDenied => "LEVEL_PERMISSION_DENIED",
        ErrorKind::UnsupportedFilesystem => "LEVEL_UNSUPPORTED_FILESYSTEM",
        ErrorKind::IncompatibleVersion => "LEVEL_INCOMPATIBLE_VERSION",
        ErrorKind::Timeout => "LEVEL_TIMEOUT",
        ErrorKind::ConnectionLost => "LEVEL_CONNECTION_LOST",
        ErrorKind::OutcomeUnknown => "LEVEL_OUTCOME_UNKNOWN",
        ErrorKind::SnapshotLost => "LEVEL_SNAPSHOT_LOST",
        ErrorKind::InvalidArgument => "LEVEL_INVALID_ARGUMENT",
        ErrorKind::OutOfSpace => "LEVEL_OUT_OF_SPACE",
        ErrorKind::Forked => "LEVEL_FORKED",
        ErrorKind::Protocol => "LEVEL_PROTOCOL",
        ErrorKind::Conflict => "LEVEL_CONFLICT",
        ErrorKind::Busy => "LEVEL_BUSY",
        ErrorKind::ReadOnly => "LEVEL_READ_ONLY",
        ErrorKind::NoLeader => "LEVEL_NO_LEADER",
        ErrorKind::Moved => "LEVEL_MOVED",
        // Kinds to come.
        _ => "LEVEL_ERROR",
    }
}
