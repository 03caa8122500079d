//! Memory files with seals (memfd_create(2), fcntl(2)).

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;

use super::refused;

/// Filesystem number of memory files (`linux/magic.h`, `TMPFS_MAGIC`). Those of huge pages have
/// another; touching one of them may fail with SIGBUS when huge pages run out.
const TMPFS_MAGIC: u32 = 0x0102_1994;

/// What makes the size fixed, for good.
const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// One without bytes yet.
pub(crate) fn create() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let name = c"level-party";
    // Systems may insist on NOEXEC_SEAL; before Linux 6.3 it is unknown.
    match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => Ok(rustix::fs::memfd_create(name, flags)?),
        result => Ok(result?),
    }
}

/// Fixes its size.
pub(crate) fn seal(file: BorrowedFd<'_>) -> io::Result<()> {
    match rustix::fs::fcntl_add_seals(file, SEALS) {
        Err(Errno::INVAL) => Err(io::ErrorKind::Unsupported.into()),
        result => Ok(result?),
    }
}

pub(crate) fn check(file: BorrowedFd<'_>, len: usize) -> io::Result<()> {
    let has = rustix::fs::fcntl_get_seals(file).map_err(|_| refused("it is not a memory file"))?;
    if !has.contains(SEALS) {
        return Err(refused("its maker could still change it"));
    }
    #[allow(clippy::unnecessary_cast)] // the field's width differs between architectures
    let magic = rustix::fs::fstatfs(file)?.f_type as u32;
    if magic != TMPFS_MAGIC {
        return Err(refused("it is not ordinary memory"));
    }
    if u64::try_from(rustix::fs::fstat(file)?.st_size) != Ok(len as u64) {
        return Err(refused("it has another size than agreed"));
    }
    Ok(())
}
