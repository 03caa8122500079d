//! Reading and writing a file at an offset, by any number of threads at once: the file has no position of its own that
//! counts.

use std::fs::File;
use std::io;

/// Fills `bytes` from `offset` on.
///
/// ```
/// use level_party_os::positioned::{read_exact_at, write_all_at};
/// let file = tempfile::tempfile()?;
/// write_all_at(&file, b"word", 100)?;
/// let mut read = [0; 2];
/// read_exact_at(&file, &mut read, 102)?;
/// assert_eq!(&read, b"rd");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// `UnexpectedEof` if the file ends before; the system's.
pub fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
    }
    #[cfg(windows)]
    {
        let (mut bytes, mut offset) = (bytes, offset);
        while !bytes.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(file, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    bytes = &mut bytes[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Reads what the system's page cache has from `offset` on, without waiting for the disk, and gives how many bytes that were
/// (`RWF_NOWAIT`, preadv2(2)). Only Linux can tell, and not for every file system (tmpfs, for one, can't).
///
/// ```
/// use level_party_os::positioned::{read_cached_at, write_all_at};
/// # let dir = tempfile::tempdir_in(".")?;
/// # let file = std::fs::File::create_new(dir.path().join("file"))?;
/// # let file = std::fs::File::options().read(true).write(true).open(dir.path().join("file"))?;
/// write_all_at(&file, b"word", 0)?;
/// let mut read = [0; 4];
/// match read_cached_at(&file, &mut read, 0) {
///     Ok(count) => assert_eq!(&read[..count], &b"word"[..count]),
///     Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// `WouldBlock` if the first byte is not in memory, or the system can't tell; the system's.
pub fn read_cached_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    {
        use rustix::io::{Errno, ReadWriteFlags, preadv2};
        let mut buffers = [io::IoSliceMut::new(bytes)];
        loop {
            match preadv2(file, &mut buffers, offset, ReadWriteFlags::NOWAIT) {
                Err(Errno::INTR) => {}
                // No such call (Linux before 4.14), or not for this file system.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                read => return Ok(read?),
            }
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, bytes, offset);
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// Writes all of `bytes` from `offset` on.
///
/// # Errors
/// The system's: a part may be written.
pub fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
    }
    #[cfg(windows)]
    {
        let (mut bytes, mut offset) = (bytes, offset);
        while !bytes.is_empty() {
            match std::os::windows::fs::FileExt::seek_write(file, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = &bytes[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
