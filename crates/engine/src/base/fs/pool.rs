//! [`FilePool`]: the tables of a directory that have a file descriptor.
//!
//! Promises: beside those that are being read just now, no more tables have a descriptor than the limit, whatever the
//! number of readers. A table that was closed is opened again by its path for the next read, and only if it is the same
//! file: else that read is an error. A read of a table that is open takes no lock.
//! Must not know: what is in a table, or why it is read.
//!
//! The limit follows what the process can spare. When descriptors have run out it falls to what is left after half of
//! the tables were closed, so that the program's own opens find room; while tables are closed for it, it grows again
//! slowly, up to what it was.

use std::fs::{File, Metadata};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use super::ReadFile;
use super::descriptors::{register, with_descriptors};
use super::nonblocking::{LARGEST_READ, is_nonblocking, would_block};
use super::std_fs::{ReadCached, read_exact_at};
use crate::base::clock::{Clock, Kept, Slot};

/// No limit is lower: a table of each level and a few of level 0.
const LEAST: usize = 8;
/// So many tables are closed for the limit before it grows by one.
const CLOSED_PER_STEP: usize = 64;

/// The tables that have a descriptor.
#[derive(Debug)]
pub(super) struct FilePool {
    clock: Clock<File>,
    /// The limit while there are enough descriptors.
    ceiling: AtomicUsize,
    /// Tables closed for the limit since it last grew.
    closed: AtomicUsize,
}

impl FilePool {
    /// A pool of at most `limit` descriptors, or a handful if that is less.
    pub(super) fn new(limit: usize) -> Arc<FilePool> {
        let limit = limit.max(LEAST);
        let pool = Arc::new(FilePool {
            clock: Clock::new(limit),
            ceiling: AtomicUsize::new(limit),
            closed: AtomicUsize::new(0),
        });
        register(&pool);
        pool
    }

    /// Lowers the limit.
    pub(super) fn limit_to(&self, limit: usize) {
        let limit = limit.max(LEAST);
        self.ceiling.fetch_min(limit, Ordering::Relaxed);
        self.clock.set_limit(limit.min(self.clock.limit()));
    }

    /// Takes in a table that was just opened.
    pub(super) fn take_in(
        self: &Arc<Self>,
        path: PathBuf,
        file: File,
        metadata: &Metadata,
        cached: Option<ReadCached>,
    ) -> PooledFile {
        let slot = Arc::default();
        self.keep(&slot, file);
        PooledFile {
            path,
            identity: Identity::of(metadata),
            slot,
            cached,
            pool: Arc::clone(self),
        }
    }

    fn keep(&self, slot: &Arc<Slot<File>>, file: File) -> Kept<File> {
        let (kept, closed_another) = self.clock.keep(slot, Arc::new(file));
        let limit = self.clock.limit();
        if closed_another
            && limit < self.ceiling.load(Ordering::Relaxed)
            && self.closed.fetch_add(1, Ordering::Relaxed) + 1 >= CLOSED_PER_STEP
        {
            self.closed.store(0, Ordering::Relaxed);
            self.clock.set_limit(limit + 1);
        }
        kept
    }

    /// Descriptors have run out: closes half of the tables. Whether any was closed, or may have been by another thread.
    pub(super) fn give_up_half(&self) -> bool {
        match self.clock.close_half() {
            Some((0, _)) => false,
            Some((_, left)) => {
                self.clock.set_limit(left.max(LEAST));
                true
            }
            None => true,
        }
    }

    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.clock.kept()
    }

    #[cfg(test)]
    pub(super) fn limit(&self) -> usize {
        self.clock.limit()
    }
}

/// What tells a file from another under the same name. A number of a file that was removed is soon given to another one,
/// so where the system knows when a file was made that counts too.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    #[cfg(unix)]
    place: (u64, u64),
    len: u64,
    created: Option<SystemTime>,
}

impl Identity {
    fn of(metadata: &Metadata) -> Identity {
        Identity {
            #[cfg(unix)]
            place: {
                use std::os::unix::fs::MetadataExt as _;
                (metadata.dev(), metadata.ino())
            },
            len: metadata.len(),
            created: metadata.created().ok(),
        }
    }
}

/// A table that is read at offsets, whether or not it has a descriptor just now.
pub(super) struct PooledFile {
    path: PathBuf,
    identity: Identity,
    slot: Arc<Slot<File>>,
    cached: Option<ReadCached>,
    pool: Arc<FilePool>,
}

impl PooledFile {
    /// Fills `buf` if the table has a descriptor, and the system has all of it in memory, which is not much.
    fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let (Some(file), Some(cached)) = (self.slot.get(), self.cached) else {
            return Err(would_block());
        };
        if buf.len() > LARGEST_READ {
            return Err(would_block());
        }
        match cached(&file, buf, offset)? {
            read if read == buf.len() => Ok(()),
            _ => Err(would_block()),
        }
    }

    #[cold]
    fn open_again(&self) -> io::Result<Kept<File>> {
        let changed = |how: &str| {
            let message = format!("the table was {how} while it was in use");
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        let file = match with_descriptors(|| File::open(&self.path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(changed("removed"));
            }
            opened => opened?,
        };
        if Identity::of(&file.metadata()?) != self.identity {
            return Err(changed("replaced by another file"));
        }
        Ok(self.pool.keep(&self.slot, file))
    }
}

impl ReadFile for PooledFile {
    fn len(&self) -> u64 {
        self.identity.len
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if is_nonblocking() {
            return self.read_cached_at(buf, offset);
        }
        match self.slot.get() {
            Some(file) => read_exact_at(&file, buf, offset),
            None => read_exact_at(&*self.open_again()?, buf, offset),
        }
    }
}

#[cfg(test)]
mod tests;
