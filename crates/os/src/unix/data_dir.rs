//! A directory held open by descriptor, so that everything done in it stays in *it*, whatever happens
//! to its path afterwards. Knows nothing of what the files inside mean.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags};

use crate::identity::{DirIdentity, Filesystem};

mod filesystem;

impl DirIdentity {
    /// The identity of the directory behind a descriptor, such as one that a peer has passed.
    ///
    /// # Errors
    /// `NotADirectory` if it is something else.
    pub fn of(handle: &OwnedFd) -> io::Result<Self> {
        let stat = rustix::fs::fstat(handle)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(rustix::io::Errno::NOTDIR.into());
        }
        Ok(Self::from_stat(&stat))
    }

    /// The identity of the regular file at `path`. `None`: there is none, or something else.
    ///
    /// # Errors
    /// Whatever else `lstat(2)` says.
    pub fn of_file_at(path: &Path) -> io::Result<Option<Self>> {
        match rustix::fs::lstat(path) {
            Ok(stat) => {
                let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
                Ok(regular.then(|| Self::from_stat(&stat)))
            }
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Device and inode of any file.
    #[allow(clippy::unnecessary_cast)] // the fields' widths differ between systems
    pub(crate) fn from_stat(stat: &rustix::fs::Stat) -> Self {
        Self {
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
        }
    }
}

/// An open directory.
///
/// ```
/// use level_party_os::DataDir;
/// let tmp = tempfile::tempdir()?;
/// let dir = DataDir::open(tmp.path())?;
/// assert!(dir.is_writable()?);
/// assert_eq!(dir.identity(), DataDir::open(&tmp.path().join("."))?.identity());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    identity: DirIdentity,
    fd: OwnedFd,
}

impl DataDir {
    /// Opens an existing directory.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, `PermissionDenied` and whatever else `open(2)` says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        let identity = DirIdentity::of(&fd)?;
        Ok(Self {
            path: path.to_owned(),
            identity,
            fd,
        })
    }

    /// Another handle on the same directory.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn try_clone(&self) -> io::Result<Self> {
        let fd = self.fd.try_clone()?;
        Ok(Self {
            path: self.path.clone(),
            identity: self.identity,
            fd,
        })
    }

    /// The path it was opened by, as given. It may name something else by now: see [`Self::is_at_path`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path that leads to this very directory for as long as it is held open here, whatever becomes of the one it was
    /// opened by: `/proc/self/fd/N` on Linux. Where that is not to be had (no `/proc`, other systems) it is
    /// [`Self::path`]. For this process only, and not for people.
    ///
    /// ```
    /// use level_party_os::DataDir;
    /// let tmp = tempfile::tempdir()?;
    /// let (path, moved) = (tmp.path().join("db"), tmp.path().join("moved"));
    /// std::fs::create_dir(&path)?;
    /// let dir = DataDir::open(&path)?;
    /// let anchored = dir.anchored_path();
    /// std::fs::rename(&path, &moved)?;
    /// std::fs::create_dir(&path)?;
    /// # if cfg!(target_os = "linux") {
    /// std::fs::write(anchored.join("file"), "bytes")?;
    /// assert!(moved.join("file").exists());
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn anchored_path(&self) -> PathBuf {
        crate::endpoint::proc_path(self.as_fd()).unwrap_or_else(|| self.path.clone())
    }

    /// Device and inode.
    pub fn identity(&self) -> DirIdentity {
        self.identity
    }

    /// The descriptor. It never carries the directory's lock, so it may be passed to other processes
    /// as a proof of which directory is meant.
    pub fn as_handle(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether [`Self::path`] still names this directory (it may have been renamed or replaced).
    ///
    /// # Errors
    /// Whatever `stat(2)` says, except that a missing path is `Ok(false)`.
    pub fn is_at_path(&self) -> io::Result<bool> {
        match rustix::fs::stat(&self.path) {
            Ok(stat) => Ok(DirIdentity::from_stat(&stat) == self.identity),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether this process may create files in it.
    ///
    /// # Errors
    /// Whatever `faccessat(2)` says besides "no".
    pub fn is_writable(&self) -> io::Result<bool> {
        use rustix::io::Errno;
        let wanted = Access::WRITE_OK | Access::EXEC_OK;
        match rustix::fs::accessat(&self.fd, c".", wanted, AtFlags::EACCESS) {
            Ok(()) => Ok(true),
            Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What kind of filesystem it is on. Locks of network and user-space filesystems can't be relied
    /// on, and their sockets don't reach other hosts.
    ///
    /// # Errors
    /// Whatever `fstatfs(2)` says.
    pub fn filesystem(&self) -> io::Result<Filesystem> {
        Filesystem::of(self.fd.as_fd())
    }
}

/// Makes the entries of the directory at `path` durable.
///
/// # Errors
/// Whatever `open(2)` and `fsync(2)` say.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}

impl AsFd for DataDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests;
