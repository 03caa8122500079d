//! The one public error: a kind that a caller can act on, a sentence that says what to do next, and the cause.

use std::fmt;
use std::path::Path;

use level_party_os::process::user;
use serde::{Deserialize, Serialize};

/// What a caller can do about an [`Error`].
///
/// The order of the variants is part of the wire protocol (`docs/PROTOCOL.md`): new ones go at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no database at the path, and `create_if_missing` is off; or not even the directory in which it would be
    /// made.
    NotFound,
    /// There is a database already, and `error_if_exists` is on.
    AlreadyExists,
    /// The path names a file, not a directory.
    NotADirectory,
    /// The operating system does not let this user read or write the directory.
    PermissionDenied,
    /// The directory is held by a program that is not a party member, or by a process that has no memory to share; the message
    /// names it.
    Locked,
    /// The directory lies on a filesystem whose locks or sockets cannot be trusted.
    UnsupportedFilesystem,
    /// The peer or the directory speaks another version of the protocol or layout.
    IncompatibleVersion,
    /// The call was not made within its deadline, and had no effect; the message names whom it waited for.
    Timeout,
    /// `retry(false)`: this process had to open the database anew while the call was under way, or the leader went that did
    /// work for it.
    ConnectionLost,
    /// A write was under way when this process's writing ended, and nobody can tell whether it took effect. Also of a write
    /// with `sync` that took effect, but that can't be made to survive a loss of power now; the message says why.
    OutcomeUnknown,
    /// The moment that a snapshot or iterator shows can no longer be read.
    SnapshotLost,
    /// Stored bytes are not what they must be; the message names file and offset.
    Corruption,
    /// The call's arguments can never work.
    InvalidArgument,
    /// No space is left on the device.
    OutOfSpace,
    /// The handle was closed.
    Closed,
    /// The handle was used in a child process after `fork`.
    Forked,
    /// The peer broke the protocol.
    Protocol,
    /// Any other failure of the operating system; see [`std::error::Error::source`].
    Io,
    /// A condition of a write did not hold, or a transaction kept conflicting until its deadline; nothing was written.
    Conflict,
    /// Writes under way take all of `Options::queue_bytes`, or as many processes as can be have the directory open; the call
    /// had no effect.
    Busy,
    /// The handle was opened with `read_only`; nothing was written.
    ReadOnly,
    /// A typed key or value could not be encoded, or stored bytes could not be decoded; the message names the key.
    Encoding,
    /// No process leads, and the handle was to join one that does ([`Lead::Join`](crate::Lead::Join)).
    NoLeader,
    /// The directory's files are sound, and another product's: a RocksDB or Riak database, files that Git LFS has not
    /// fetched, a block compressed in a way that is not known here, or a Minecraft Bedrock world opened for writing
    /// without [`Compression::ZlibRaw`](crate::Compression::ZlibRaw). Nothing was changed. Or the memory that the processes
    /// share can't be mapped here; the message names the limit.
    Unsupported,
}

impl ErrorKind {
    /// The kind's name as it stands in this documentation, for logs and machine-read output.
    ///
    /// ```
    /// assert_eq!(level_party::ErrorKind::OutcomeUnknown.as_str(), "OutcomeUnknown");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::NotFound => "NotFound",
            ErrorKind::AlreadyExists => "AlreadyExists",
            ErrorKind::NotADirectory => "NotADirectory",
            ErrorKind::PermissionDenied => "PermissionDenied",
            ErrorKind::Locked => "Locked",
            ErrorKind::UnsupportedFilesystem => "UnsupportedFilesystem",
            ErrorKind::IncompatibleVersion => "IncompatibleVersion",
            ErrorKind::Timeout => "Timeout",
            ErrorKind::ConnectionLost => "ConnectionLost",
            ErrorKind::OutcomeUnknown => "OutcomeUnknown",
            ErrorKind::SnapshotLost => "SnapshotLost",
            ErrorKind::Corruption => "Corruption",
            ErrorKind::InvalidArgument => "InvalidArgument",
            ErrorKind::OutOfSpace => "OutOfSpace",
            ErrorKind::Closed => "Closed",
            ErrorKind::Forked => "Forked",
            ErrorKind::Protocol => "Protocol",
            ErrorKind::Conflict => "Conflict",
            ErrorKind::Busy => "Busy",
            ErrorKind::ReadOnly => "ReadOnly",
            ErrorKind::Encoding => "Encoding",
            ErrorKind::NoLeader => "NoLeader",
            ErrorKind::Unsupported => "Unsupported",
            ErrorKind::Io => "Io",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What any fallible call of this crate returns on failure.
///
/// ```
/// let dir = tempfile::tempdir()?;
/// let error = level_party::Db::options()
///     .create_if_missing(false)
///     .open(dir.path())
///     .unwrap_err();
/// assert_eq!(error.kind(), level_party::ErrorKind::NotFound);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of a call of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The system does not let this process at the directory.
    pub(crate) fn refused(path: &Path, error: std::io::Error) -> Error {
        let what = format!("cannot open {}", path.display());
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => Error::io(
                format_args!(
                    "{what} as {} (run as the user who owns it, or let this one read and write it)",
                    user()
                ),
                error,
            ),
            _ => Error::io(what, error),
        }
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error {
            inner: Box::new(Inner {
                kind,
                message: message.into(),
                source: None,
            }),
        }
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// The same error with `what` in front of its sentence.
    pub(crate) fn context(mut self, what: impl fmt::Display) -> Self {
        self.inner.message = format!("{what}: {}", self.inner.message);
        self
    }

    /// Adds that a process cannot open the database in the directory `path`.
    pub(crate) fn cannot_open(self, path: &Path) -> Self {
        self.context(format_args!("cannot open {}", path.display()))
    }

    /// An error of the operating system met while doing `what`.
    pub(crate) fn io(what: impl fmt::Display, error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                ErrorKind::PermissionDenied
            }
            std::io::ErrorKind::NotADirectory => ErrorKind::NotADirectory,
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                ErrorKind::OutOfSpace
            }
            _ => ErrorKind::Io,
        };
        Error::new(kind, format!("{what}: {error}")).with_source(error)
    }

    pub(crate) fn closed() -> Self {
        Error::new(
            ErrorKind::Closed,
            "this handle was closed; open the database again",
        )
    }

    pub(crate) fn forked() -> Self {
        Error::new(
            ErrorKind::Forked,
            "this handle was opened before fork; open the database again in the child process",
        )
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Protocol, message)
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The sentence that [`fmt::Display`] prints.
    pub fn message(&self) -> &str {
        &self.inner.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("message", &self.inner.message)
            .field("source", &self.inner.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|e| e as _)
    }
}

impl From<level_party_engine::Error> for Error {
    fn from(error: level_party_engine::Error) -> Self {
        use level_party_engine::ErrorKind as E;
        let kind = match error.kind() {
            E::DoesNotExist => ErrorKind::NotFound,
            E::AlreadyExists => ErrorKind::AlreadyExists,
            E::NotADirectory => ErrorKind::NotADirectory,
            E::PermissionDenied => ErrorKind::PermissionDenied,
            E::ComparatorMismatch | E::InvalidArgument => ErrorKind::InvalidArgument,
            E::Corruption => ErrorKind::Corruption,
            E::Unsupported => ErrorKind::Unsupported,
            E::SnapshotLost => ErrorKind::SnapshotLost,
            E::OutOfSpace => ErrorKind::OutOfSpace,
            E::OutcomeUnknown | E::NotDurable => ErrorKind::OutcomeUnknown,
            E::Closed => ErrorKind::Closed,
            E::Cancelled => ErrorKind::Timeout,
            E::Conflict => ErrorKind::Conflict,
            _ => ErrorKind::Io,
        };
        Error::new(kind, error.to_string()).with_source(error)
    }
}
