//! POSIX shared memory objects, unlinked at once. Their size can be set only once (XNU,
//! `pshm_truncate`), which serves as the seal on it.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::Mode;
use rustix::shm::OFlags;

use super::refused;

pub(crate) fn create(len: usize) -> io::Result<OwnedFd> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Names have at most 31 bytes.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("/level-party-{:x}-{count:x}", std::process::id());
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        let file = match rustix::shm::open(&name, flags, Mode::RUSR | Mode::WUSR) {
            Err(rustix::io::Errno::EXIST) => continue,
            result => result?,
        };
        rustix::shm::unlink(&name)?;
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&file, len as u64)?;
        return Ok(file);
    }
}

/// Its size was fixed when it was set.
pub(crate) fn seal(_file: BorrowedFd<'_>) -> io::Result<()> {
    Ok(())
}

pub(crate) fn check(file: BorrowedFd<'_>, len: usize) -> io::Result<()> {
    // A file of a filesystem, which could be cut short, has a path.
    if rustix::fs::getpath(file).is_ok() {
        return Err(refused("it is not a memory file"));
    }
    // The system rounds the object's size up to whole memory pages.
    let size = usize::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0);
    if size != len && size != len.next_multiple_of(rustix::param::page_size()) {
        return Err(refused("it has another size than agreed"));
    }
    Ok(())
}
