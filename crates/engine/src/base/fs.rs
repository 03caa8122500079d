//! The engine's only way to files: one directory, plain file names, and calls that say what they make durable.
//!
//! Promises of an implementation: a returned `Ok` of [`WriteFile::sync`] or [`LogFile::sync`] means the file's bytes and
//! length survive a loss of power (a shorter length after a cut: [`LogFile::sync_all`]); of [`Fs::sync_dir`], that creations, renames and removals before it do. Open files go on working
//! after their name is removed or renamed, but for tables (`NNNNNN.ldb`, `NNNNNN.sst`): an implementation may close an
//! open table and open it again by its name for the next read. So whoever removes or renames a table, or puts another
//! file under its name, lets go of every reader of it before. A reader that outlives that gets an error, and never
//! another file's bytes.
//! Must not know: what the files mean. No call here hides an error, and none is made again but for want of descriptors.

use std::io;
use std::path::Path;
use std::sync::Arc;

mod descriptors;
mod log_file;
mod mem;
mod nonblocking;
mod pool;
#[path = "fs/std.rs"]
mod std_fs;

pub use descriptors::with_descriptors;
pub use log_file::LogFile;
pub use mem::MemFs;
pub use nonblocking::{blocking, nonblocking};
pub use std_fs::{LongestFile, MapFile, ReadCached, StdFs};

/// One directory of files. Names are plain: no separators, no `.` or `..`.
pub trait Fs: Send + Sync {
    /// The names of all entries whose names are valid UTF-8, in no order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file for reading at any offset.
    fn open_read(&self, name: &str) -> io::Result<Arc<dyn ReadFile>>;

    /// The whole content of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Creates a file, or empties it if it exists, for appending.
    fn create(&self, name: &str) -> io::Result<Box<dyn WriteFile>>;

    /// Creates a file for appending, and touches none that exists: [`io::ErrorKind::AlreadyExists`]. An implementation whose
    /// directory others may use at the same time must do this in one step.
    fn create_new(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        match self.exists(name)? {
            true => Err(io::ErrorKind::AlreadyExists.into()),
            false => self.create(name),
        }
    }

    /// Creates a log for writing and reading at offsets, and touches no file that exists: [`io::ErrorKind::AlreadyExists`], in one step.
    fn create_log(&self, name: &str) -> io::Result<Box<dyn LogFile>>;

    /// Opens a log that exists for writing and reading at offsets. It creates none: [`io::ErrorKind::NotFound`].
    fn open_log(&self, name: &str) -> io::Result<Box<dyn LogFile>>;

    /// How long a file may become, in bytes, as it is now. The system may refuse a write beyond, or end the process for it
    /// (`RLIMIT_FSIZE`, setrlimit(2)): a log is never written beyond what this said when it was opened.
    fn longest_file(&self) -> u64 {
        u64::MAX
    }

    /// Renames a file; an existing file called `to` is replaced in one step.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file's name.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Whether the name exists.
    fn exists(&self, name: &str) -> io::Result<bool>;

    /// Puts a file, which nobody writes to any more, also into `target` (which may be this directory) as `to`: as a
    /// second name of the same file where both can, else as a copy whose bytes are synced. `to` must not exist. The name
    /// itself lasts after `target`'s [`Fs::sync_dir`].
    fn link(&self, name: &str, target: &dyn Fs, to: &str) -> io::Result<()> {
        copy(self.open_read(name)?.as_ref(), target, to)
    }

    /// Keeps no more than about this many tables open at the operating system, however many readers there are. It only
    /// ever lowers the number.
    fn keep_open_at_most(&self, tables: usize) {
        let _ = tables;
    }

    /// The directory of the operating system that this is, if it is one and its files may be linked to.
    fn directory(&self) -> Option<&Path> {
        None
    }

    /// Makes the directory's entries durable (`fsync` of the directory).
    fn sync_dir(&self) -> io::Result<()>;

    /// Makes all bytes of these files and the directory's entries durable, in any order or at once. After an error
    /// each of them may be durable or not.
    fn sync_together(&self, files: &mut [&mut dyn WriteFile]) -> io::Result<()> {
        for file in files {
            file.sync()?;
        }
        self.sync_dir()
    }
}

/// An open file that is read at offsets.
pub trait ReadFile: Send + Sync {
    /// The file's length in bytes when it was opened.
    fn len(&self) -> u64;

    /// Whether the file had no bytes when it was opened.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from `offset`; [`io::ErrorKind::UnexpectedEof`] if the file ends before.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
}

/// An open file that is appended to.
pub trait WriteFile: Send {
    /// Appends the bytes with one plain write where the system takes them in one; nothing is kept back in a buffer.
    /// After an error some of the bytes may be in the file.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes all appended bytes durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// Bytes that are copied at a time.
const COPY_SIZE: usize = 1 << 20;

/// Copies as many bytes as the file had when it was opened, and syncs them.
pub(crate) fn copy(file: &dyn ReadFile, target: &dyn Fs, to: &str) -> io::Result<()> {
    let mut copy = target.create(to)?;
    let mut offset = 0;
    let mut buffer = Vec::new();
    while offset < file.len() {
        let len = (file.len() - offset).min(COPY_SIZE as u64) as usize;
        buffer.resize(len, 0);
        file.read_at(&mut buffer, offset)?;
        copy.append(&buffer)?;
        offset += len as u64;
    }
    copy.sync()
}

#[cfg(test)]
mod tests;
