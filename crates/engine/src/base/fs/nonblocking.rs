//! [`nonblocking`]: reads of tables that must not wait for the disk.
//!
//! Promises: inside [`nonblocking`] a read of a table is answered from memory (the system's page cache included) or fails with
//! [`io::ErrorKind::WouldBlock`](std::io::ErrorKind::WouldBlock); such a failure changes nothing, so that the read can be made
//! again by a thread that may wait.
//! Must not know: who asks, or what becomes of a read that failed.

use std::cell::Cell;
use std::io;

thread_local! {
    static NONBLOCKING: Cell<bool> = const { Cell::new(false) };
}

/// Larger reads are refused inside [`nonblocking`] without a look: to read and decompress so much takes longer than to hand it
/// to another thread, also where it is in memory.
pub(super) const LARGEST_READ: usize = 64 << 10;

/// Runs `read` on this thread. A read of a table in it that would have to wait for the disk fails with
/// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock).
///
/// An implementation of [`Fs`](crate::Fs) that can't tell what is in memory fails each read of a table so
/// ([`StdFs`](crate::StdFs) without [`StdFs::cached_by`](crate::StdFs::cached_by)), or none ([`MemFs`](crate::MemFs), tables that
/// are mapped). Blocks in the engine's own cache need no read. A read of more than 64 KiB fails as one that would wait.
///
/// ```
/// use level_party_engine::{Fs, StdFs, nonblocking};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("000005.ldb"), b"blocks")?;
/// let files = StdFs::new(dir.path());
/// let opened = nonblocking(|| files.open_read("000005.ldb"));
/// assert_eq!(opened.err().unwrap().kind(), std::io::ErrorKind::WouldBlock);
/// assert!(files.open_read("000005.ldb").is_ok());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn nonblocking<T>(read: impl FnOnce() -> T) -> T {
    let _restored = Restored(NONBLOCKING.replace(true));
    read()
}

/// Runs `work` on this thread as outside of [`nonblocking`]: for code of others that is called inside.
pub fn blocking<T>(work: impl FnOnce() -> T) -> T {
    let _restored = Restored(NONBLOCKING.replace(false));
    work()
}

/// Sets the thread's mark back, also where the read panics.
struct Restored(bool);

impl Drop for Restored {
    fn drop(&mut self) {
        NONBLOCKING.set(self.0);
    }
}

/// Whether this thread's reads must not wait.
pub(super) fn is_nonblocking() -> bool {
    NONBLOCKING.get()
}

/// The read would have to wait.
pub(super) fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}
