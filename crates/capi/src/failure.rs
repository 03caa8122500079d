//! Errors: the kinds of `lp_kind_t`, and LevelDB's words for them.

use party::{Error, ErrorKind};

/// What went wrong; the numbers are those of `lp_kind_t` in `level_party.h` and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Kind {
    Ok = 0,
    NotFound = 1,
    AlreadyExists = 2,
    NotADirectory = 3,
    PermissionDenied = 4,
    Locked = 5,
    UnsupportedFilesystem = 6,
    IncompatibleVersion = 7,
    Timeout = 8,
    ConnectionLost = 9,
    OutcomeUnknown = 10,
    SnapshotLost = 11,
    Corruption = 12,
    InvalidArgument = 13,
    OutOfSpace = 14,
    Closed = 15,
    Forked = 16,
    Protocol = 17,
    Io = 18,
    Conflict = 19,
    Busy = 20,
    ReadOnly = 21,
    Encoding = 22,
    NoLeader = 23,
    Unsupported = 24,
    /// A transaction's body gave up.
    Aborted = 25,
    /// A bug.
    Internal = 26,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Kind; 27] = [
        Kind::Ok,
        Kind::NotFound,
        Kind::AlreadyExists,
        Kind::NotADirectory,
        Kind::PermissionDenied,
        Kind::Locked,
        Kind::UnsupportedFilesystem,
        Kind::IncompatibleVersion,
        Kind::Timeout,
        Kind::ConnectionLost,
        Kind::OutcomeUnknown,
        Kind::SnapshotLost,
        Kind::Corruption,
        Kind::InvalidArgument,
        Kind::OutOfSpace,
        Kind::Closed,
        Kind::Forked,
        Kind::Protocol,
        Kind::Io,
        Kind::Conflict,
        Kind::Busy,
        Kind::ReadOnly,
        Kind::Encoding,
        Kind::NoLeader,
        Kind::Unsupported,
        Kind::Aborted,
        Kind::Internal,
    ];

    fn of(kind: ErrorKind) -> Kind {
        match kind {
            ErrorKind::NotFound => Kind::NotFound,
            ErrorKind::AlreadyExists => Kind::AlreadyExists,
            ErrorKind::NotADirectory => Kind::NotADirectory,
            ErrorKind::PermissionDenied => Kind::PermissionDenied,
            ErrorKind::Locked => Kind::Locked,
            ErrorKind::UnsupportedFilesystem => Kind::UnsupportedFilesystem,
            ErrorKind::IncompatibleVersion => Kind::IncompatibleVersion,
            ErrorKind::Timeout => Kind::Timeout,
            ErrorKind::ConnectionLost => Kind::ConnectionLost,
            ErrorKind::OutcomeUnknown => Kind::OutcomeUnknown,
            ErrorKind::SnapshotLost => Kind::SnapshotLost,
            ErrorKind::Corruption => Kind::Corruption,
            ErrorKind::InvalidArgument => Kind::InvalidArgument,
            ErrorKind::OutOfSpace => Kind::OutOfSpace,
            ErrorKind::Closed => Kind::Closed,
            ErrorKind::Forked => Kind::Forked,
            ErrorKind::Protocol => Kind::Protocol,
            ErrorKind::Conflict => Kind::Conflict,
            ErrorKind::Busy => Kind::Busy,
            ErrorKind::ReadOnly => Kind::ReadOnly,
            ErrorKind::Encoding => Kind::Encoding,
            ErrorKind::NoLeader => Kind::NoLeader,
            ErrorKind::Unsupported => Kind::Unsupported,
            _ => Kind::Io,
        }
    }

    /// Its name in C.
    pub fn name(self) -> &'static std::ffi::CStr {
        match self {
            Kind::Ok => c"LP_OK",
            Kind::NotFound => c"LP_NOT_FOUND",
            Kind::AlreadyExists => c"LP_ALREADY_EXISTS",
            Kind::NotADirectory => c"LP_NOT_A_DIRECTORY",
            Kind::PermissionDenied => c"LP_PERMISSION_DENIED",
            Kind::Locked => c"LP_LOCKED",
            Kind::UnsupportedFilesystem => c"LP_UNSUPPORTED_FILESYSTEM",
            Kind::IncompatibleVersion => c"LP_INCOMPATIBLE_VERSION",
            Kind::Timeout => c"LP_TIMEOUT",
            Kind::ConnectionLost => c"LP_CONNECTION_LOST",
            Kind::OutcomeUnknown => c"LP_OUTCOME_UNKNOWN",
            Kind::SnapshotLost => c"LP_SNAPSHOT_LOST",
            Kind::Corruption => c"LP_CORRUPTION",
            Kind::InvalidArgument => c"LP_INVALID_ARGUMENT",
            Kind::OutOfSpace => c"LP_OUT_OF_SPACE",
            Kind::Closed => c"LP_CLOSED",
            Kind::Forked => c"LP_FORKED",
            Kind::Protocol => c"LP_PROTOCOL",
            Kind::Io => c"LP_IO",
            Kind::Conflict => c"LP_CONFLICT",
            Kind::Busy => c"LP_BUSY",
            Kind::ReadOnly => c"LP_READ_ONLY",
            Kind::Encoding => c"LP_ENCODING",
            Kind::NoLeader => c"LP_NO_LEADER",
            Kind::Unsupported => c"LP_UNSUPPORTED",
            Kind::Aborted => c"LP_ABORTED",
            Kind::Internal => c"LP_INTERNAL",
        }
    }
}

/// Why a call failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub kind: Kind,
    /// What LevelDB calls it.
    class: &'static str,
    pub message: String,
    pub retryable: bool,
    pub had_no_effect: bool,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Failure {
            kind,
            class: class(kind),
            message: message.into(),
            retryable: false,
            // After a panic nobody knows.
            had_no_effect: kind != Kind::Internal,
        }
    }

    /// The same failure in LevelDB's words, which programs look for: an invalid argument.
    pub fn told_as_invalid(self, message: String) -> Self {
        Failure {
            class: class(Kind::InvalidArgument),
            message,
            ..self
        }
    }

    /// The same failure to open, as LevelDB calls one for want of a directory.
    pub fn told_as_not_found(self) -> Self {
        Failure {
            class: "NotFound",
            ..self
        }
    }

    /// It as LevelDB's `Status::ToString` says it: its class, and then what happened.
    pub fn status(&self) -> String {
        format!("{}: {}", self.class, self.message)
    }
}

/// What LevelDB calls a failure of this kind.
fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Corruption | Kind::Encoding => "Corruption",
        Kind::InvalidArgument | Kind::AlreadyExists => "Invalid argument",
        Kind::Unsupported => "Not implemented",
        _ => "IO error",
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = Kind::of(error.kind());
        Failure {
            kind,
            class: class(kind),
            retryable: error.is_retryable(),
            had_no_effect: error.had_no_effect(),
            message: error.message().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_listed_by_their_numbers() {
        for (number, kind) in (0..).zip(Kind::ALL) {
            assert_eq!(kind as i32, number, "{kind:?}");
        }
    }

    #[test]
    fn header_has_the_same_kinds_and_numbers() {
        let header = include_str!("../include/level_party/level_party.h");
        let list = header.split("typedef enum lp_kind_t {").nth(1).unwrap();
        let list = list.split('}').next().unwrap();
        let found: Vec<(String, i32)> = list
            .lines()
            .filter_map(|line| line.split_once(" = "))
            .map(|(name, rest)| {
                let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
                (name.trim().to_owned(), number.parse().unwrap())
            })
            .collect();
        let expected =
            Kind::ALL.map(|kind| (kind.name().to_str().unwrap().to_owned(), kind as i32));
        assert_eq!(found, expected);
    }
}
