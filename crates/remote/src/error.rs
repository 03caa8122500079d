//! Why a call failed, by what its caller can do.

use std::fmt;
use std::sync::Arc;

/// Why a call failed. Those of the same name in `level_party` mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no database, and none was to be made; or no server of this name.
    NotFound,
    /// There is a database, and there was to be none.
    AlreadyExists,
    /// The server does not let this user in, or do this.
    PermissionDenied,
    /// The server's tables have another layout, or the server is too old.
    IncompatibleVersion,
    /// Not done by its deadline; nothing was written.
    Timeout,
    /// A read's connection was lost, and it was not to be made again.
    ConnectionLost,
    /// Nobody can tell yet whether the write took effect.
    OutcomeUnknown,
    /// The moment can no longer be read.
    SnapshotLost,
    /// The server has found stored bytes that are not what they must be.
    Corruption,
    /// The call can never work.
    InvalidArgument,
    /// The server has no space left.
    OutOfSpace,
    /// The remote was closed.
    Closed,
    /// The server answered what it must not.
    Protocol,
    /// The server has as many connections or requests as it can serve.
    Busy,
    /// The database was moved; the message says where to.
    Moved,
    /// This kind of server, or this build, cannot do it.
    Unsupported,
    /// Anything else; the message and the source tell.
    Io,
}

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed. No message, and no source of one, has a password in it.
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`, with one sentence.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// The same error with `what` in front of its sentence.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// The remote was closed.
    pub fn closed() -> Self {
        Error::new(
            ErrorKind::Closed,
            "this handle was closed; open the database again",
        )
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence that is displayed.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
