//! [`LogFile`]: a log that is open for writing and reading at offsets.

use std::io;

/// A write-ahead log that is open for writing, and for reading while others write. It is not in append mode: the writer keeps
/// the offset of its end, so a part of a record that a failed write left can be cut.
///
/// All calls take `&self`: a sync may run while another thread writes.
///
/// ```
/// use level_party_engine::{Fs, MemFs};
/// # fn main() -> std::io::Result<()> {
/// let files = MemFs::new();
/// let log = files.create_log("000003.log")?;
/// log.write_at(b"record", 0)?;
/// log.write_at(b"part of a rec", 6)?;
/// log.set_len(6)?;
/// log.sync_all()?;
/// assert_eq!(files.read("000003.log")?, b"record");
/// # Ok(())
/// # }
/// ```
#[expect(
    clippy::len_without_is_empty,
    reason = "the length is asked for to write behind it"
)]
pub trait LogFile: Send + Sync {
    /// The log's length in bytes now.
    ///
    /// # Errors
    /// That of the system's call.
    fn len(&self) -> io::Result<u64>;

    /// Writes the bytes at this offset with one plain write where the system takes them in one; nothing is kept back in a
    /// buffer. Zeroes fill a hole before the offset.
    ///
    /// # Errors
    /// That of the system's call. A strict prefix of the bytes may be in the log then, and nothing else of them.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Reads bytes from this offset into the beginning of `buf`, up to the log's end as it is now, and gives how many. 0 only
    /// at the end. It is no read of memory that the log is mapped to: the log may be cut meanwhile.
    ///
    /// # Errors
    /// That of the system's call.
    fn read_some(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Cuts the log to this length, or lengthens it with zeroes.
    ///
    /// # Errors
    /// That of the system's call. The length may be either then.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes all written bytes durable, and a length that they reach (`fdatasync`).
    ///
    /// # Errors
    /// That of the system's call. Which bytes are durable is not known then.
    fn sync(&self) -> io::Result<()>;

    /// The same, and of a log that was cut the shorter length too (`fsync`).
    ///
    /// # Errors
    /// As of [`sync`](LogFile::sync).
    fn sync_all(&self) -> io::Result<()>;
}
