//! A lock on one byte of a file: a sign of life that the system takes back when its holder dies.
//!
//! Locks are mandatory here: who reads or writes a locked byte is refused. So what is locked is not the byte itself but
//! one as far beyond it as no file reaches; a lock needs no byte to be there.
//!
//! **Promises.** Offsets below 2^62, so that a number that is never given twice can be an offset. An error of a question says
//! nothing about the holder; whether it counts as alive is the caller's to say.
//!
//! **Must not know.** What the bytes stand for.

use std::fs::File;
use std::io;
use std::mem::zeroed;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle};
use std::sync::Arc;

use windows_sys::Win32::Foundation::{ERROR_IO_PENDING, ERROR_LOCK_VIOLATION};
use windows_sys::Win32::Storage::FileSystem::{
    LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx, UnlockFileEx,
};
use windows_sys::Win32::System::IO::OVERLAPPED;

use super::call::done;
use crate::guarded_file::GuardedFile;

/// How far beyond a byte is what is locked for it.
const FAR: u64 = 1 << 62;

/// A range of bytes.
#[derive(Clone, Copy)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) len: u64,
}

/// Takes a lock that excludes everybody, if nobody has one there. `Ok(false)`: somebody has.
pub(crate) fn try_lock(file: BorrowedHandle<'_>, range: Range) -> io::Result<bool> {
    try_lock_as(file, range, LOCKFILE_EXCLUSIVE_LOCK)
}

/// Takes a lock that excludes only the exclusive locks of others, if nobody has one of those there.
pub(crate) fn try_lock_shared(file: BorrowedHandle<'_>, range: Range) -> io::Result<bool> {
    try_lock_as(file, range, 0)
}

fn try_lock_as(file: BorrowedHandle<'_>, range: Range, how: u32) -> io::Result<bool> {
    let mut place = at(range);
    // SAFETY: the file is open without overlapped calls, so the call is over when it returns; the place outlives it.
    let locked = done(unsafe {
        LockFileEx(
            file.as_raw_handle(),
            how | LOCKFILE_FAIL_IMMEDIATELY,
            0,
            range.len as u32,
            (range.len >> 32) as u32,
            &mut place,
        )
    });
    let refusals = [ERROR_LOCK_VIOLATION as i32, ERROR_IO_PENDING as i32];
    match locked {
        Ok(()) => Ok(true),
        Err(error)
            if error
                .raw_os_error()
                .is_some_and(|code| refusals.contains(&code)) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Gives it back. An error would say that it was not locked (Wine says so although it was, and unlocks it).
pub(crate) fn unlock(file: BorrowedHandle<'_>, range: Range) {
    let mut place = at(range);
    // SAFETY: as for locking.
    unsafe {
        UnlockFileEx(
            file.as_raw_handle(),
            0,
            range.len as u32,
            (range.len >> 32) as u32,
            &mut place,
        )
    };
}

fn at(range: Range) -> OVERLAPPED {
    // SAFETY: integers and a null handle.
    let mut place: OVERLAPPED = unsafe { zeroed() };
    place.Anonymous.Anonymous.Offset = range.start as u32;
    place.Anonymous.Anonymous.OffsetHigh = (range.start >> 32) as u32;
    place
}

fn far_from(offset: u64) -> io::Result<Range> {
    match offset < FAR {
        true => Ok(Range {
            start: FAR + offset,
            len: 1,
        }),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "lock range beyond a file's size",
        )),
    }
}

/// An exclusive lock that stands for one byte of a file, held until it is dropped or the process dies. The byte need not
/// exist in the file, and everybody can go on reading and writing it.
///
/// The lock belongs to the `File`: open the file once per owner. A second lock on the same byte is refused through every
/// `File`.
///
/// ```
/// use std::{fs::File, sync::Arc};
/// use level_party_os::ByteLock;
/// let tmp = tempfile::NamedTempFile::new()?;
/// let open = || File::options().read(true).write(true).open(tmp.path());
/// let (mine, other) = (Arc::new(open()?), open()?);
/// let lock = ByteLock::try_lock(&mine, 7)?.expect("nobody has it");
/// assert!(ByteLock::is_locked(&other, 7)?);
/// assert!(!ByteLock::is_locked(&other, 8)?);
/// drop(lock);
/// assert!(!ByteLock::is_locked(&other, 7)?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct ByteLock {
    file: Arc<GuardedFile>,
    offset: u64,
}

impl ByteLock {
    /// Locks the byte at `offset`, or answers `None` if it is locked (or looked at by [`Self::is_locked`] at that very
    /// moment). `file` must be open for reading or writing.
    ///
    /// # Errors
    /// `InvalidInput` for an offset of 2^62 or more; whatever `LockFileEx` says.
    pub fn try_lock(file: &Arc<GuardedFile>, offset: u64) -> io::Result<Option<Self>> {
        let locked = try_lock(file.as_handle(), far_from(offset)?)?;
        Ok(locked.then(|| Self {
            file: file.clone(),
            offset,
        }))
    }

    /// Whether the byte at `offset` is locked, through another `File` than this one. Never ask about a byte that `file`
    /// itself has locked: the answer would be no, and the lock would be given back with the question.
    ///
    /// # Errors
    /// As [`Self::try_lock`].
    pub fn is_locked(file: &File, offset: u64) -> io::Result<bool> {
        // There is no way to ask: a shared lock, which does not stand against another who looks, is taken and given back.
        let range = far_from(offset)?;
        let free = try_lock_shared(file.as_handle(), range)?;
        if free {
            unlock(file.as_handle(), range);
        }
        Ok(!free)
    }

    /// The byte's offset in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl Drop for ByteLock {
    fn drop(&mut self) {
        if let Ok(range) = far_from(self.offset) {
            unlock(self.file.as_handle(), range);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::windows::fs::FileExt;

    use super::*;

    #[test]
    fn a_locked_byte_is_still_read_and_written_by_others() {
        let tmp = tempfile::NamedTempFile::new().unwrap();
        tmp.as_file().set_len(100).unwrap();
        let open = || {
            let mut options = File::options();
            GuardedFile::open(options.read(true).write(true), tmp.path()).unwrap()
        };
        let (mine, other) = (Arc::new(open()), open());
        let lock = ByteLock::try_lock(&mine, 7).unwrap().unwrap();
        assert_eq!(other.seek_write(&[5; 20], 0).unwrap(), 20);
        let mut bytes = [0; 20];
        assert_eq!(other.seek_read(&mut bytes, 0).unwrap(), 20);
        assert_eq!(bytes, [5; 20]);
        assert!(ByteLock::is_locked(&other, 7).unwrap());
        assert!(ByteLock::try_lock(&Arc::new(open()), 7).unwrap().is_none());
        drop(lock);
        assert!(!ByteLock::is_locked(&other, 7).unwrap());
        let error = ByteLock::try_lock(&mine, u64::MAX).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
