//! A file that a forked child does not keep: with it the child would keep its parent's locks, also after the parent's death.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Deref;
use std::path::Path;

/// An open file whose locks end with this process. A forked child finds an ended pipe in its place.
///
/// Whoever opens the same file in another way, maps it through something else than a [`FileWord`](crate::FileWord), or clones
/// this, has a description of its own to answer for.
///
/// ```
/// use std::fs::File;
/// use level_party_os::GuardedFile;
/// let tmp = tempfile::NamedTempFile::new()?;
/// let file = GuardedFile::open(File::options().read(true).write(true), tmp.path())?;
/// file.set_len(4096)?;
/// assert_eq!(file.metadata()?.len(), 4096);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct GuardedFile {
    #[cfg(unix)]
    file: std::mem::ManuallyDrop<File>,
    /// What owns the descriptor.
    #[cfg(unix)]
    _fd: crate::fork::GuardedFd,
    #[cfg(windows)]
    file: File,
}

impl GuardedFile {
    /// Opens a file. No fork falls between its opening and its being guarded.
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    pub fn open(options: &OpenOptions, path: &Path) -> io::Result<GuardedFile> {
        #[cfg(unix)]
        {
            use std::os::fd::{AsFd, AsRawFd, FromRawFd};
            let fd = crate::fork::GuardedFd::open(|| options.open(path).map(Into::into))?;
            // SAFETY: the descriptor is open for as long as `_fd` lives, and this copy of its number is never dropped.
            let file = unsafe { File::from_raw_fd(fd.as_fd().as_raw_fd()) };
            let file = std::mem::ManuallyDrop::new(file);
            Ok(GuardedFile { file, _fd: fd })
        }
        #[cfg(windows)]
        {
            let file = options.open(path)?;
            Ok(GuardedFile { file })
        }
    }
}

impl Deref for GuardedFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}
