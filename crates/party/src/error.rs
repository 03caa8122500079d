//! The one public error: a kind that a caller can act on, a sentence that says what to do next, and the cause.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use level_party_os::process::user;

/// What went wrong, by what a caller can do about it.
///
/// | do | kinds |
/// |---|---|
/// | make the call again, later or at once ([`is_retryable`](Error::is_retryable)) | `Timeout`, `Busy`, `Conflict`, `ConnectionLost`, `Locked`, `NoLeader` |
/// | read what is there, then decide | `OutcomeUnknown` |
/// | take a new snapshot, begin the range again | `SnapshotLost` |
/// | open the database (again) | `Closed`, `Forked` |
/// | mend the call | `InvalidArgument`, `Encoding`, `ReadOnly`, `NotFound`, `AlreadyExists`, `NotADirectory` |
/// | mend the machine or the directory; the message names what | `OutOfSpace`, `PermissionDenied`, `Io`, `UnsupportedFilesystem`, `IncompatibleVersion`, `Unsupported`, `Protocol` |
/// | [`verify`](crate::Db::verify), then [`repair`](crate::Db::repair) | `Corruption` |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// The call was not made within its deadline, and nothing was written; the message names whom it waited for.
    Timeout,
    /// With [`retry(false)`](crate::Options::retry): this process had to open the database anew while the call was under
    /// way, and nothing was written. Or a leader went that did work for this process (a compaction, say); it does no harm to
    /// ask for the work again.
    ConnectionLost,
    /// Nobody can tell yet what became of a write; the message says why. It took effect, or will within moments, once and as
    /// a whole; or it never will.
    ///
    /// It comes only where
    ///
    /// - this process's writing ended in the middle of the write (its log or the shared memory failed);
    /// - a task's write was under way when its deadline passed;
    /// - a write with `sync` is visible, but it is not known to survive a loss of power.
    ///
    /// The death of a leader, or of any other process, is no cause.
    ///
    /// **What to do next:** make the write again in a [`transaction`](crate::Db::transaction) that first reads whether it is
    /// there: so it is made once. To know and do no more, make any other write in this process, then read: the other write
    /// decides the first. After a failed sync, any later write with `sync` that succeeds makes this one durable too.
    OutcomeUnknown,
    /// The moment that a snapshot or range shows can no longer be read.
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
    /// A transaction conflicted with other writers until its deadline; nothing was written.
    Conflict,
    /// Writes under way take all of [`Options::queue_bytes`](crate::Options::queue_bytes), or as many processes as can be
    /// have the directory open, or a copy is being made into the database; nothing was written.
    Busy,
    /// The handle was opened with [`reject_writes`](crate::Options::reject_writes); nothing was written.
    ReadOnly,
    /// The database was moved to a server or another directory, which the message names; nothing was written. Reads go on, of
    /// what it was then. See [`Migration`](crate::Migration).
    Moved,
    /// A typed key or value could not be encoded, or stored bytes could not be decoded; the message names the key.
    Encoding,
    /// No process leads, and the handle was to join one that does ([`Lead::Join`](crate::Lead::Join)).
    NoLeader,
    /// The directory's files are sound, and another product's: a RocksDB or Riak database, files that Git LFS has not
    /// fetched, a block compressed in a way that is not known here, or a Minecraft Bedrock world opened for writing
    /// without [`Compression::ZlibRaw`](crate::Compression::ZlibRaw). Nothing was changed. Or the memory that the processes
    /// share can't be mapped here; the message names the limit. Or a URL names a server that is not supported, or was not built in;
    /// or the call is of files, and the database is on a server.
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
            ErrorKind::Moved => "Moved",
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
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    /// A part of what the call does may have been done.
    in_part: bool,
    message: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
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
            inner: Arc::new(Inner {
                kind,
                in_part: false,
                message: message.into(),
                source: None,
            }),
        }
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Arc::make_mut(&mut self.inner).source = Some(Arc::from(source.into()));
        self
    }

    /// The same error of a call of which a part may have been done.
    pub(crate) fn in_part(mut self) -> Self {
        Arc::make_mut(&mut self.inner).in_part = true;
        self
    }

    /// The same error with `what` in front of its sentence.
    pub(crate) fn context(mut self, what: impl fmt::Display) -> Self {
        let inner = Arc::make_mut(&mut self.inner);
        inner.message = format!("{what}: {}", inner.message);
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

    /// What went wrong, by what a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Whether the same call may succeed when it is made again, with nothing changed, and does no harm.
    ///
    /// ```
    /// use level_party::{Db, Lead};
    /// # let dir = tempfile::tempdir().unwrap();
    /// let error = Db::options().lead(Lead::Join).open(dir.path()).unwrap_err();
    /// assert!(error.is_retryable(), "another process may come");
    /// ```
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.inner.kind,
            ErrorKind::Timeout
                | ErrorKind::Busy
                | ErrorKind::Conflict
                | ErrorKind::ConnectionLost
                | ErrorKind::Locked
                | ErrorKind::NoLeader
        )
    }

    /// Whether the call that failed has written nothing, and never will: true of a put, delete, batch, update,
    /// compare-and-swap or transaction that failed with any kind but [`OutcomeUnknown`](ErrorKind::OutcomeUnknown).
    ///
    /// Also false of a call that goes step by step and had begun: [`clear`](crate::Db::clear),
    /// [`acknowledge_losses`](crate::Db::acknowledge_losses), [`destroy`](crate::Db::destroy).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let viewer = level_party::Db::open(dir.path()).and_then(|db| {
    ///     db.close()?;
    ///     level_party::Db::options().reject_writes(true).open(dir.path())
    /// })?;
    /// let error = viewer.put("a", "1").unwrap_err();
    /// assert!(error.had_no_effect() && !error.is_retryable());
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn had_no_effect(&self) -> bool {
        self.inner.kind != ErrorKind::OutcomeUnknown && !self.inner.in_part
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

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            ErrorKind::NotFound => Io::NotFound,
            ErrorKind::AlreadyExists => Io::AlreadyExists,
            ErrorKind::NotADirectory => Io::NotADirectory,
            ErrorKind::PermissionDenied => Io::PermissionDenied,
            ErrorKind::Locked | ErrorKind::Busy => Io::ResourceBusy,
            ErrorKind::Timeout => Io::TimedOut,
            ErrorKind::ConnectionLost => Io::ConnectionReset,
            ErrorKind::Corruption | ErrorKind::Encoding => Io::InvalidData,
            ErrorKind::InvalidArgument => Io::InvalidInput,
            ErrorKind::OutOfSpace => Io::StorageFull,
            ErrorKind::UnsupportedFilesystem
            | ErrorKind::IncompatibleVersion
            | ErrorKind::Unsupported => Io::Unsupported,
            _ => Io::Other,
        };
        std::io::Error::new(kind, error)
    }
}

impl Error {
    /// An error of a server's. No `From`, as below.
    pub(crate) fn remote(error: level_party_remote::Error) -> Self {
        use level_party_remote::ErrorKind as R;
        let kind = match error.kind() {
            R::NotFound => ErrorKind::NotFound,
            R::AlreadyExists => ErrorKind::AlreadyExists,
            R::PermissionDenied => ErrorKind::PermissionDenied,
            R::IncompatibleVersion => ErrorKind::IncompatibleVersion,
            R::Timeout => ErrorKind::Timeout,
            R::ConnectionLost => ErrorKind::ConnectionLost,
            R::OutcomeUnknown => ErrorKind::OutcomeUnknown,
            R::SnapshotLost => ErrorKind::SnapshotLost,
            R::Corruption => ErrorKind::Corruption,
            R::InvalidArgument => ErrorKind::InvalidArgument,
            R::OutOfSpace => ErrorKind::OutOfSpace,
            R::Closed => ErrorKind::Closed,
            R::Protocol => ErrorKind::Protocol,
            R::Busy => ErrorKind::Busy,
            R::Moved => ErrorKind::Moved,
            R::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::Io,
        };
        Error::new(kind, error.to_string()).with_source(error)
    }

    /// An error of the engine. No `From`: it would be part of the public API.
    pub(crate) fn engine(error: level_party_engine::Error) -> Self {
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
