//! One word of a regular file as memory: a change by any process is seen by all at the next load, at the price of a load
//! (about a nanosecond, where reading it by `pread(2)` takes 200).
//!
//! **The trap.** A mapping whose file becomes shorter than it kills whoever touches it with SIGBUS, and a regular file
//! can't be sealed against that. So this is for files of which all who write them agree that they never shrink; the
//! length is checked when the word is mapped. A stranger who truncates such a file under a living process ends that
//! process as SIGKILL would, and what was not safe against that was not safe before.

use std::fs::File;
use std::io;
use std::sync::atomic::AtomicU64;

#[cfg(unix)]
use crate::fork::GuardedMapping;
#[cfg(windows)]
use crate::mapping::Mapping;

/// How far into a file a word may be: what is before it is mapped too.
const MAX_OFFSET: u64 = 1 << 16;

/// A word of a file, shared with every process that maps it or writes the file. A forked child finds a zero of its own: its
/// parent's mapping would keep the file's locks.
///
/// ```
/// use std::io::{Seek, SeekFrom, Write};
/// use std::sync::atomic::Ordering;
/// use level_party_os::FileWord;
/// let mut file = tempfile::tempfile()?;
/// file.set_len(4096)?;
/// let word = FileWord::map(&file, 4088)?;
/// file.seek(SeekFrom::Start(4088))?;
/// file.write_all(&7u64.to_ne_bytes())?;
/// assert_eq!(word.get().load(Ordering::Acquire), 7);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct FileWord {
    #[cfg(unix)]
    mapping: GuardedMapping,
    #[cfg(windows)]
    mapping: Mapping,
}

impl FileWord {
    /// Maps the eight bytes at `offset` of a file that is open for reading and writing. The caller answers for it that
    /// nobody makes the file shorter than it is now.
    ///
    /// # Errors
    /// `InvalidInput` unless `offset` is a multiple of 8 below 64 KiB and the word lies within a regular file; whatever
    /// `mmap(2)` says, on file systems without shared mappings among other things.
    pub fn map(file: &File, offset: u64) -> io::Result<Self> {
        let refused = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        if !offset.is_multiple_of(8) || offset >= MAX_OFFSET {
            return refused("a word of a file is at a multiple of 8 below 64 KiB");
        }
        let meta = file.metadata()?;
        if !meta.is_file() || meta.len() < offset + 8 {
            return refused("the file is not long enough for the word, or not regular");
        }
        let len = offset as usize + 8;
        #[cfg(unix)]
        let mapping = GuardedMapping::of_file(file, len)?;
        #[cfg(windows)]
        let mapping = Mapping::of_file(file, len, true)?;
        Ok(Self { mapping })
    }

    /// The word, in this machine's byte order. A store reaches the disk when the file is synced.
    pub fn get(&self) -> &AtomicU64 {
        // SAFETY: the mapping ends with the word, which is aligned because a mapping begins at a memory page and the
        // offset is a multiple of 8; it is readable and writable and lives as long as `self`. Any bytes are a valid
        // u64, all access through this type is atomic, and writes by system calls only change the value. The file was
        // long enough when it was mapped, and the caller of `map` answers for it that it stays so.
        unsafe {
            let word = self.mapping.start().add(self.mapping.len() - 8);
            word.cast::<AtomicU64>().as_ref()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom, Write};
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn two_mappings_and_the_file_itself_show_the_same_word() {
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let (one, other) = (
            FileWord::map(&file, 4088).unwrap(),
            FileWord::map(&file, 4088).unwrap(),
        );
        one.get().store(5, Ordering::SeqCst);
        assert_eq!(other.get().load(Ordering::SeqCst), 5);
        file.seek(SeekFrom::Start(4088)).unwrap();
        file.write_all(&9u64.to_ne_bytes()).unwrap();
        assert_eq!(one.get().load(Ordering::SeqCst), 9);
        other.get().store(11, Ordering::SeqCst);
        let mut bytes = [0; 8];
        file.seek(SeekFrom::Start(4088)).unwrap();
        file.read_exact(&mut bytes).unwrap();
        assert_eq!(u64::from_ne_bytes(bytes), 11);
    }

    #[test]
    fn a_word_beyond_the_file_or_across_words_is_refused() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        for offset in [4, 4096, 4090, MAX_OFFSET] {
            let error = FileWord::map(&file, offset).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{offset}");
        }
    }
}
