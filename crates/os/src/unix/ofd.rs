//! Record locks that belong to an open file description (`F_OFD_SETLK`, fcntl(2)).
//!
//! They exclude the classic `fcntl` locks that C++ LevelDB takes, but unlike those they survive the
//! closing of another descriptor on the same file. macOS has them too (`<sys/fcntl.h>`), and keeps
//! them and `flock` locks of one description under one owner (XNU, `kern_lockf.c`), so that both can
//! be taken through one descriptor there as on Linux.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A range of bytes; `len` 0 means to the end of the file, however long it grows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) len: u64,
}

/// The whole file, as C++ LevelDB locks it.
pub(crate) const WHOLE: Range = Range { start: 0, len: 0 };

/// Somebody else's lock on a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// A classic lock of this process (which may be our own).
    Process(u32),
    /// A lock of an open file description, or of a process we can't see: no one to name.
    Unnamed,
}

/// Takes a write lock if nobody has a lock. `Ok(false)`: somebody has.
pub(crate) fn try_lock(fd: BorrowedFd<'_>, range: Range) -> io::Result<bool> {
    try_lock_as(fd, libc::F_WRLCK, range)
}

/// Takes a read lock if nobody has a write lock; makes one of a write lock of our own, without a moment between.
pub(crate) fn try_lock_shared(fd: BorrowedFd<'_>, range: Range) -> io::Result<bool> {
    try_lock_as(fd, libc::F_RDLCK, range)
}

fn try_lock_as(fd: BorrowedFd<'_>, kind: impl Into<i64>, range: Range) -> io::Result<bool> {
    match call(fd, libc::F_OFD_SETLK, kind, range) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Gives the range back.
pub(crate) fn unlock(fd: BorrowedFd<'_>, range: Range) -> io::Result<()> {
    call(fd, libc::F_OFD_SETLK, libc::F_UNLCK, range).map(drop)
}

/// Who would refuse us a write lock through this descriptor. Doesn't lock anything.
pub(crate) fn conflict(fd: BorrowedFd<'_>, range: Range) -> io::Result<Option<Conflict>> {
    let found = call(fd, libc::F_OFD_GETLK, libc::F_WRLCK, range)?;
    if i64::from(found.l_type) == i64::from(libc::F_UNLCK) {
        return Ok(None);
    }
    Ok(Some(match u32::try_from(found.l_pid) {
        Ok(pid) if pid > 0 => Conflict::Process(pid),
        _ => Conflict::Unnamed,
    }))
}

/// What `fcntl` takes for these commands: offsets have 64 bits, also where `off_t` has 32.
#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    target_pointer_width = "32",
    not(target_arch = "x86_64")
)))]
type Flock = libc::flock;
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_pointer_width = "32",
    not(target_arch = "x86_64")
))]
type Flock = libc::flock64;

#[allow(clippy::unnecessary_cast)] // the fields' widths differ between systems
fn call(fd: BorrowedFd<'_>, command: i32, kind: impl Into<i64>, range: Range) -> io::Result<Flock> {
    // SAFETY: `flock` is plain integers, for which zero is a value (`l_pid` must be 0 for OFD locks).
    let mut lock: Flock = unsafe { std::mem::zeroed() };
    let too_far = |_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "lock range beyond a file's size",
        )
    };
    lock.l_type = kind.into() as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_start = range.start.try_into().map_err(too_far)?;
    lock.l_len = range.len.try_into().map_err(too_far)?;
    if set(fd, command, &mut lock) == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(lock)
}

#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    target_pointer_width = "32",
    not(target_arch = "x86_64")
)))]
fn set(fd: BorrowedFd<'_>, command: i32, lock: &mut Flock) -> i32 {
    // SAFETY: these commands read and write one `flock`, which outlives the call.
    unsafe { libc::fcntl(fd.as_raw_fd(), command, lock) }
}

/// The C library's own `fcntl` takes a `flock` with offsets of 32 bits there; the kernel takes the longer one.
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_pointer_width = "32",
    not(target_arch = "x86_64")
))]
fn set(fd: BorrowedFd<'_>, command: i32, lock: &mut Flock) -> i32 {
    let lock: *mut Flock = lock;
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_fcntl64, fd.as_raw_fd(), command, lock) as i32 }
}
