//! Where the endpoint's socket lives, and by which path it is reached.
//!
//! **Invariant.** An address means the directory we hold open, never another one: on Linux it goes
//! through `/proc/self/fd/N/`, which is short however long the directory's path is, and stays right
//! when the directory is renamed or replaced. Elsewhere a path is used if it fits as a whole; nothing
//! is ever cut. What can't hold the socket (a filesystem without sockets, a path that doesn't fit)
//! is replaced by a runtime directory that is private to the user.
//!
//! The name in the runtime directory is made of device and inode, so it can't be another directory's.
//! The runtime directory is always `/tmp/level-party-UID`: from the environment, two processes could
//! be told two different ones.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode};
use rustix::net::SocketAddrUnix;

use crate::credentials;
use crate::data_dir::DataDir;
use crate::identity::DirIdentity;

/// The socket's name in the data directory. `level-party.sock` is that of Node's level-party 5, whose processes would connect to
/// this one again and again.
pub const ENDPOINT_NAME: &str = "level-party.endpoint";

/// A place for a socket file: a name in a directory that is held open.
#[derive(Debug)]
pub(crate) struct Spot<'a> {
    dir: Dir<'a>,
    name: OsString,
}

#[derive(Debug)]
enum Dir<'a> {
    Data(&'a DataDir),
    Runtime(DataDir),
}

impl<'a> Spot<'a> {
    /// In the data directory.
    pub(crate) fn in_data_dir(dir: &'a DataDir) -> Self {
        Self {
            dir: Dir::Data(dir),
            name: ENDPOINT_NAME.into(),
        }
    }

    /// In the user's runtime directory, which is made if it is missing.
    pub(crate) fn in_runtime_dir(dir: &DataDir) -> io::Result<Spot<'static>> {
        Self::in_private_dir(dir, &runtime_dir())
    }

    /// In the user's runtime directory, for whoever only looks.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    pub(crate) fn in_existing_runtime_dir(dir: &DataDir) -> io::Result<Spot<'static>> {
        Self::in_existing_private_dir(dir, &runtime_dir())
    }

    fn in_private_dir(dir: &DataDir, path: &Path) -> io::Result<Spot<'static>> {
        Ok(Self::for_directory(dir, private_dir(path)?))
    }

    fn in_existing_private_dir(dir: &DataDir, path: &Path) -> io::Result<Spot<'static>> {
        Ok(Self::for_directory(dir, checked_private_dir(path)?))
    }

    fn for_directory(dir: &DataDir, runtime: DataDir) -> Spot<'static> {
        let DirIdentity { dev, ino } = dir.identity();
        Spot {
            dir: Dir::Runtime(runtime),
            name: format!("{dev:x}-{ino:x}.sock").into(),
        }
    }

    fn dir(&self) -> &DataDir {
        match &self.dir {
            Dir::Data(dir) => dir,
            Dir::Runtime(dir) => dir,
        }
    }

    /// For people.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir().path().join(&self.name)
    }

    /// What is there: `None` if nothing.
    ///
    /// # Errors
    /// `AlreadyExists` if it is no socket, `PermissionDenied` if it is another user's. Symlinks are
    /// not followed.
    pub(crate) fn inspect(&self) -> io::Result<Option<DirIdentity>> {
        match rustix::fs::statat(self.dir(), &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => self.require_our_socket(&stat).map(Some),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn require_our_socket(&self, stat: &rustix::fs::Stat) -> io::Result<DirIdentity> {
        let path = self.path();
        if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
            let what = format!(
                "{} is in the way: it is not a socket; move it elsewhere",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
        }
        if !credentials::is_us(stat.st_uid) {
            let what = format!(
                "{} belongs to {}",
                path.display(),
                credentials::stranger(stat.st_uid)
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        Ok(DirIdentity::from_stat(stat))
    }

    pub(crate) fn unlink(&self) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(
            self.dir(),
            &self.name,
            AtFlags::empty(),
        )?)
    }

    /// The address to bind.
    ///
    /// # Errors
    /// `InvalidFilename` if there is no way to name it that fits.
    pub(crate) fn bind_address(&self) -> io::Result<SocketAddrUnix> {
        address_within(self.dir().as_handle(), self.dir().path(), &self.name)
    }

    /// Opens the way to the socket that is there and calls `connect` with its address.
    ///
    /// # Errors
    /// `NotFound` if there is none; as [`Self::inspect`]; those of `connect`.
    pub(crate) fn connect<T>(
        &self,
        connect: impl FnOnce(&SocketAddrUnix) -> io::Result<T>,
    ) -> io::Result<T> {
        #[cfg(target_os = "linux")]
        {
            // The socket itself is held, so that what is connected to is what was looked at.
            use rustix::fs::OFlags;
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let socket = rustix::fs::openat(self.dir(), &self.name, flags, Mode::empty())?;
            let stat = rustix::fs::fstat(&socket)?;
            self.require_our_socket(&stat)?;
            if let Some(path) = proc_path(std::os::fd::AsFd::as_fd(&socket)) {
                return connect(&SocketAddrUnix::new(path)?);
            }
        }
        self.inspect()?.ok_or(io::ErrorKind::NotFound)?;
        connect(&self.bind_address()?)
    }
}

/// The path of an open descriptor's file, where `/proc` is mounted.
#[cfg(target_os = "linux")]
pub(crate) fn proc_path(fd: BorrowedFd<'_>) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    let path = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let there = DirIdentity::from_stat(&rustix::fs::stat(&path).ok()?);
    let meant = DirIdentity::from_stat(&rustix::fs::fstat(fd).ok()?);
    (there == meant).then_some(path)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn proc_path(_fd: BorrowedFd<'_>) -> Option<PathBuf> {
    None
}

fn address_within(dir: BorrowedFd<'_>, path: &Path, name: &OsStr) -> io::Result<SocketAddrUnix> {
    let path = proc_path(dir).unwrap_or_else(|| path.to_owned()).join(name);
    // Refuses what doesn't fit, with ENAMETOOLONG.
    Ok(SocketAddrUnix::new(path)?)
}

fn runtime_dir() -> PathBuf {
    format!("/tmp/level-party-{}", crate::process::effective_uid()).into()
}

/// A directory of ours that nobody else can enter; made if it is missing.
fn private_dir(path: &Path) -> io::Result<DataDir> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    checked_private_dir(path)
}

fn checked_private_dir(path: &Path) -> io::Result<DataDir> {
    // A symlink would pass for the directory it leads to, so look at the name itself too.
    let named = rustix::fs::lstat(path)?;
    let dir = DataDir::open(path)?;
    let stat = rustix::fs::fstat(dir.as_handle())?;
    let same = DirIdentity::from_stat(&named) == dir.identity();
    let private = Mode::from_raw_mode(stat.st_mode) & (Mode::RWXG | Mode::RWXO) == Mode::empty();
    if same && private && credentials::is_us(stat.st_uid) {
        return Ok(dir);
    }
    let what = format!("{} is not a private directory of this user", path.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
}

#[cfg(test)]
mod tests;
