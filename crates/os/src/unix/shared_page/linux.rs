//! Memory files with seals (memfd_create(2), fcntl(2)).

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;

use super::{Seals, refused};

/// Filesystem number of memory files (`linux/magic.h`, `TMPFS_MAGIC`). Those of huge pages have
/// another; touching one of them may fail with SIGBUS when huge pages run out.
const TMPFS_MAGIC: u32 = 0x0102_1994;

pub(super) fn create(len: usize) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let name = c"level-party";
    // Systems may insist on NOEXEC_SEAL; before Linux 6.3 it is unknown.
    let file = match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags)?,
        result => result?,
    };
    rustix::fs::ftruncate(&file, len as u64)?;
    Ok(file)
}

pub(super) fn seal(file: &OwnedFd, seals: Seals) -> io::Result<()> {
    match rustix::fs::fcntl_add_seals(file, flags(seals)) {
        Err(Errno::INVAL) => Err(io::ErrorKind::Unsupported.into()),
        result => Ok(result?),
    }
}

pub(super) fn check(file: &OwnedFd, len: usize, seals: Seals) -> io::Result<()> {
    let has = rustix::fs::fcntl_get_seals(file).map_err(|_| refused("it is not a memory file"))?;
    if !has.contains(flags(seals)) {
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

fn flags(seals: Seals) -> SealFlags {
    let size = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    match seals {
        Seals::Size => size,
        Seals::SizeAndWriting => size | SealFlags::FUTURE_WRITE,
    }
}
