//! [`FileMap`]: a file that nobody changes any more, read through memory.
//!
//! A read is a copy of memory instead of a call into the system: below a microsecond less for a block in the page cache.
//!
//! **What it takes on.** What the system can't bring into memory it can't report either: where a page of the file can't
//! be read from the disk, or another program has cut the file, touching it ends the process with SIGBUS, while a call
//! gives an error. C++ LevelDB takes this on for its tables; here it is for the caller to decide.
//!
//! **What it does not take on.** No reference to the mapped bytes is ever made: they are copied, and what the caller
//! checks and uses is the copy. Another program that changes the file can make a copy wrong, as with a call, but not
//! change it afterwards.

use std::fs::File;
use std::io;

use crate::mapping::Mapping;

/// A file's bytes, mapped.
///
/// ```
/// use std::io::Write;
/// let mut file = tempfile::tempfile()?;
/// file.write_all(b"immutable")?;
/// let map = level_party_os::FileMap::new(&file)?;
/// let mut bytes = [0; 4];
/// map.read_at(&mut bytes, 2)?;
/// assert_eq!(&bytes, b"muta");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct FileMap {
    mapping: Mapping,
}

impl FileMap {
    /// Maps all bytes that a file has now. The file may be closed after it.
    ///
    /// # Errors
    /// `Unsupported` for an empty file and one that does not fit into half of the address space; whatever the system says.
    pub fn new(file: &File) -> io::Result<FileMap> {
        let len = file.metadata()?.len();
        let len = isize::try_from(len).ok().filter(|len| *len > 0);
        let len = len.ok_or(io::ErrorKind::Unsupported)?;
        let mapping = Mapping::of_file(file, len.unsigned_abs(), false)?;
        Ok(FileMap { mapping })
    }

    /// The file's length when it was mapped, in bytes.
    pub fn len(&self) -> u64 {
        self.mapping.len() as u64
    }

    /// Whether it has no bytes: never.
    pub fn is_empty(&self) -> bool {
        self.mapping.len() == 0
    }

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` if the mapped bytes end before.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // SAFETY: `offset..offset + buf.len()` is in the mapping, which lives as long as `self`, was checked above, and its
        // length fits an `isize`. `buf` is exclusive and in other memory. Nobody in this process writes to the mapping,
        // which is read-only; another process may write to the file, so the bytes are only copied, by pointer.
        unsafe {
            let start = self.mapping.start().as_ptr().add(offset as usize);
            std::ptr::copy_nonoverlapping(start, buf.as_mut_ptr(), buf.len());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("it takes the bytes");
        file
    }

    #[test]
    fn every_range_inside_is_read_and_none_beyond() {
        let bytes: Vec<u8> = (0..10_000_u32).map(|n| (n * 7) as u8).collect();
        let map = FileMap::new(&file(&bytes)).expect("it maps");
        assert_eq!((map.len(), map.is_empty()), (10_000, false));
        for (offset, len) in [(0, 0), (0, 10_000), (4095, 2), (9_999, 1), (10_000, 0)] {
            let mut buf = vec![0; len];
            map.read_at(&mut buf, offset as u64).expect("inside");
            assert_eq!(buf, bytes[offset..offset + len]);
        }
        for (offset, len) in [(10_000, 1), (9_999, 2), (u64::MAX, 1), (u64::MAX, 0)] {
            let error = map.read_at(&mut vec![0; len], offset).expect_err("beyond");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn what_is_appended_later_is_beyond_and_a_removed_file_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("table");
        std::fs::write(&path, b"first").expect("written");
        let file = File::options().append(true).read(true).open(&path);
        let mut file = file.expect("it opens");
        let map = FileMap::new(&file).expect("it maps");
        file.write_all(b"second").expect("appended");
        std::fs::remove_file(&path).expect("removed");
        drop(file);
        let mut buf = [0; 5];
        map.read_at(&mut buf, 0).expect("still there");
        assert_eq!(&buf, b"first");
        assert!(map.read_at(&mut buf, 1).is_err());
    }

    #[test]
    fn an_empty_file_is_not_mapped() {
        let error = FileMap::new(&file(b"")).expect_err("nothing to map");
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }
}
