//! The engine's one error type: a kind a caller can act on, a sentence, and the cause.
//!
//! Promises: `Display` names the file and the offset where there is one; `source()` keeps the cause;
//! an error is cheap to clone, so that a poisoned engine can give the same one to every caller.
//! Must not know: processes, retries, or how the party words the same trouble to its users.

use std::fmt;
use std::io;
use std::sync::Arc;

use level_party_format::Corruption;
use level_party_format::filename::{self, FileKind};

use crate::base::condition::Conflict;
use crate::base::waiting::WaitedFor;

/// The engine's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, named by what a caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The directory, or the database in it, does not exist.
    DoesNotExist,
    /// A database exists and `error_if_exists` was asked for.
    AlreadyExists,
    /// The path is not a directory.
    NotADirectory,
    /// The operating system refuses access.
    PermissionDenied,
    /// The database was made with another comparator.
    ComparatorMismatch,
    /// Bytes on disk are not what was written: the data concerned can't be read.
    Corruption,
    /// The bytes are sound, and another product's: a database of RocksDB or Riak, a file that Git LFS has not fetched, a
    /// block compressed in a way that is not known, or a Minecraft Bedrock world opened for writing without the
    /// compression that the game reads. Nothing was changed.
    Unsupported,
    /// The caller asked for something that can't be.
    InvalidArgument,
    /// The moment asked for can no longer be read.
    SnapshotLost,
    /// The view that was read is too old: the memory that it read from is used for something else. A new view has the
    /// answer. Reads of an engine look for it by themselves.
    Stale,
    /// An earlier failure ended writing for good; reopen the database.
    Poisoned,
    /// The write may have been applied, or may be found applied by a later opening; nobody can tell. Reads show which.
    OutcomeUnknown,
    /// The write is applied, and reads show it; but what it asked `sync` for is not known: a loss of power may undo it.
    NotDurable,
    /// The engine was closed.
    Closed,
    /// The disk or the quota is full; the operation may be tried again.
    OutOfSpace,
    /// Inside [`nonblocking`](crate::nonblocking): the read would have to wait for the disk. It had no effect.
    WouldBlock,
    /// Any other failure of the operating system.
    Io,
    /// [`Listener::refuses_writes`](crate::Listener::refuses_writes): the write has no effect.
    Refused,
    /// The caller withdrew its write before it was taken up; it has no effect.
    Cancelled,
    /// A condition of the write did not hold; it has no effect. [`Error::conflict`] names the key.
    Conflict,
    /// The time that the caller gave is over; the call has no effect. [`Error::waited_for`] says for whom it waited.
    Timeout,
    /// As many members as there can be have the segment, or have had it.
    Busy,
    /// The segment is to be used no more: close the engine, and open the directory anew. A write that was assigned its
    /// sequence may be there then.
    Condemned,
    /// Only the leader does this, and this member does not lead.
    NotLeading,
}

/// An error of the engine. Cloning shares the cause.
///
/// ```
/// use level_party_engine::{Error, ErrorKind};
/// let cause = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
/// let error = Error::io("open", "000005.ldb", cause);
/// assert_eq!(error.kind(), ErrorKind::PermissionDenied);
/// assert!(error.to_string().starts_with("can't open 000005.ldb: "));
/// assert!(std::error::Error::source(&error).is_some());
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    file: Option<String>,
    offset: Option<u64>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error with a whole sentence of its own.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Arc::new(Inner {
            kind,
            message: message.into(),
            file: None,
            offset: None,
            source: None,
        }))
    }

    /// An error with a sentence of its own and the cause behind it.
    pub fn with_source(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error(Arc::new(Inner {
            kind,
            message: message.into(),
            file: None,
            offset: None,
            source: Some(source.into()),
        }))
    }

    /// An operating system error met while doing `action` (a verb: "open", "sync") to `file`, with the kind that fits it.
    pub fn io(action: &str, file: &str, source: io::Error) -> Error {
        let kind = classify(&source);
        Error(Arc::new(Inner {
            kind,
            message: format!("can't {action} {file}: {source}"),
            file: Some(file.to_owned()),
            offset: None,
            source: Some(Box::new(source)),
        }))
    }

    /// An operating system error met while reading `file` at `offset`. A file that ends too early is corruption.
    pub fn read(file: &str, offset: u64, len: usize, source: io::Error) -> Error {
        let kind = classify(&source);
        Error(Arc::new(Inner {
            kind,
            message: format!("can't read {len} bytes of {file} at offset {offset}: {source}"),
            file: Some(file.to_owned()),
            offset: Some(offset),
            source: Some(Box::new(source)),
        }))
    }

    /// Bad bytes in `file`, as the format found them; or a sound block whose compression is not known, which is
    /// [`ErrorKind::Unsupported`].
    pub fn corruption(file: &str, source: Corruption) -> Error {
        let offset = source.offset;
        let place = offset.map_or(String::new(), |at| format!(" at offset {at}"));
        let (kind, message) = match source.unknown_compression {
            Some(number) => (
                ErrorKind::Unsupported,
                format!(
                    "{file} has a sound block{place} whose compression, number {number}, is not known here"
                ),
            ),
            None => (
                ErrorKind::Corruption,
                format!("{file} is damaged{place}: {}", source.what),
            ),
        };
        Error(Arc::new(Inner {
            kind,
            message,
            file: Some(file.to_owned()),
            offset,
            source: Some(Box::new(source)),
        }))
    }

    /// A table that the manifest names is not there. Its data is lost, so this is corruption, unlike a database that
    /// does not exist; the source is the system's `NotFound`.
    pub fn missing_table(file: &str, source: io::Error) -> Error {
        Error(Arc::new(Inner {
            kind: ErrorKind::Corruption,
            message: format!("table {file} is missing though the manifest names it"),
            file: Some(file.to_owned()),
            offset: None,
            source: Some(Box::new(source)),
        }))
    }

    /// A Minecraft Bedrock world is to be written to without the compression that the game reads.
    pub fn needs_zlib_raw() -> Error {
        let message = "it is a Minecraft Bedrock world (its blocks are zlib or raw deflate), and the game reads no other compression: to write to it, open it with the option `compression` set to `ZlibRaw`";
        Error::new(ErrorKind::Unsupported, message)
    }

    /// A write whose condition did not hold.
    pub(crate) fn conflict_of(conflict: Conflict) -> Error {
        let message = conflict.to_string();
        Error::with_source(ErrorKind::Conflict, message, conflict)
    }

    /// Which key was not as expected, for an error of kind [`ErrorKind::Conflict`].
    pub fn conflict(&self) -> Option<&Conflict> {
        self.0.source.as_ref()?.downcast_ref()
    }

    /// The time of a call is over.
    pub(crate) fn timed_out(waited_for: WaitedFor) -> Error {
        let message = format!("the time is over, waiting for {waited_for}; nothing was written");
        Error::with_source(ErrorKind::Timeout, message, waited_for)
    }

    /// For whom the call waited, for an error of kind [`ErrorKind::Timeout`].
    pub fn waited_for(&self) -> Option<WaitedFor> {
        self.0.source.as_ref()?.downcast_ref().copied()
    }

    /// The number of the compression that is not known, for the error of a sound block of
    /// [`ErrorKind::Unsupported`].
    pub fn unknown_compression(&self) -> Option<u8> {
        let source = self.0.source.as_ref()?.downcast_ref::<Corruption>()?;
        source.unknown_compression
    }

    /// The memory of a view was used again.
    pub(crate) fn stale() -> Error {
        let message = "the view is too old: its memory is used for something else";
        Error::new(ErrorKind::Stale, message)
    }

    /// Whether it may be due to a view that is too old: its memory was used again, or a table of it was removed.
    pub(crate) fn may_be_stale(&self) -> bool {
        let file = self.file().and_then(filename::parse);
        let is_of_table = matches!(file, Some((FileKind::Table, _)));
        self.kind() == ErrorKind::Stale || (is_of_table && self.kind() != ErrorKind::WouldBlock)
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the process or the system has no file descriptor left: what could not be opened may be sound.
    pub(crate) fn is_out_of_descriptors(&self) -> bool {
        let source = self.0.source.as_ref();
        let system = source.and_then(|source| source.downcast_ref::<io::Error>());
        system.is_some_and(is_out_of_descriptors)
    }

    /// The file concerned (a plain name inside the database's directory), where there is one.
    pub fn file(&self) -> Option<&str> {
        self.0.file.as_deref()
    }

    /// The offset in bytes inside [`Error::file`], where there is one.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }
}

/// Whether the process or the system has no file descriptor left.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    // EMFILE and ENFILE, or ERROR_TOO_MANY_OPEN_FILES
    let codes: &[i32] = if cfg!(windows) { &[4] } else { &[24, 23] };
    error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&code))
}

/// The kind of an operating system error.
///
/// A read beyond the end of a file is [`ErrorKind::Corruption`]: the engine only reads where a file should have bytes.
pub fn classify(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::DoesNotExist,
        io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        io::ErrorKind::NotADirectory => ErrorKind::NotADirectory,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ErrorKind::PermissionDenied
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ErrorKind::OutOfSpace
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => ErrorKind::Corruption,
        io::ErrorKind::InvalidInput => ErrorKind::InvalidArgument,
        io::ErrorKind::WouldBlock => ErrorKind::WouldBlock,
        _ => ErrorKind::Io,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn a_damaged_file_is_named_with_the_offset() {
        let error = Error::corruption("000007.ldb", Corruption::new("bad checksum").at(4096));
        let sentence = "000007.ldb is damaged at offset 4096: bad checksum";
        assert_eq!(error.to_string(), sentence);
        assert_eq!(
            (error.file(), error.offset()),
            (Some("000007.ldb"), Some(4096))
        );
        assert!(error.source().is_some());
        assert!(format!("{error:?}").contains("Corruption"));
    }

    #[test]
    fn a_sound_block_of_unknown_compression_is_not_damage() {
        let found = Corruption::unknown_compression(7).at(12);
        let error = Error::corruption("000007.ldb", found);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.unknown_compression(), Some(7));
        assert_eq!(
            (error.file(), error.offset()),
            (Some("000007.ldb"), Some(12))
        );
        assert!(!error.to_string().contains("damaged"), "{error}");
        let damage = Error::corruption("000007.ldb", Corruption::new("bad checksum"));
        assert_eq!(damage.unknown_compression(), None);
    }

    #[test]
    fn system_errors_become_what_a_caller_can_do_about_them() {
        let cases = [
            (io::ErrorKind::NotFound, ErrorKind::DoesNotExist),
            (io::ErrorKind::PermissionDenied, ErrorKind::PermissionDenied),
            (
                io::ErrorKind::ReadOnlyFilesystem,
                ErrorKind::PermissionDenied,
            ),
            (io::ErrorKind::StorageFull, ErrorKind::OutOfSpace),
            (io::ErrorKind::QuotaExceeded, ErrorKind::OutOfSpace),
            (io::ErrorKind::NotADirectory, ErrorKind::NotADirectory),
            (io::ErrorKind::UnexpectedEof, ErrorKind::Corruption),
            (io::ErrorKind::Other, ErrorKind::Io),
        ];
        for (system, kind) in cases {
            let error = Error::io("sync", "CURRENT", io::Error::from(system));
            assert_eq!(error.kind(), kind, "{system:?}");
            let source = error.source().unwrap().downcast_ref::<io::Error>();
            assert_eq!(source.unwrap().kind(), system);
        }
        let error = Error::read("a.log", 10, 20, io::Error::from(io::ErrorKind::Other));
        assert!(
            error
                .to_string()
                .starts_with("can't read 20 bytes of a.log at offset 10: ")
        );
        assert_eq!(error.offset(), Some(10));
    }

    #[test]
    fn clones_share_the_cause() {
        let cause = io::Error::other("cause");
        let error = Error::with_source(ErrorKind::Poisoned, "writing has ended", cause);
        let clone = error.clone();
        assert_eq!(clone.to_string(), "writing has ended");
        assert!(clone.source().is_some());
    }
}
