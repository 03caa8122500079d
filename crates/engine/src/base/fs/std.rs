//! [`StdFs`]: a directory of the operating system, through the standard library only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(unix)]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use level_party_format::filename::{self, FileKind};

use super::descriptors::with_descriptors;
use super::nonblocking::{is_nonblocking, would_block};
use super::pool::FilePool;
use super::{Fs, LogFile, ReadFile, WriteFile, copy};
use crate::base::limits::MAX_OPEN_FILES;

/// Gives a file that is read through memory which the system maps to it.
pub type MapFile = fn(&File) -> io::Result<Arc<dyn ReadFile>>;

/// Gives how long a file of this process may become, in bytes.
pub type LongestFile = fn() -> u64;

/// Reads what the system has in memory of a file at an offset, and gives how many bytes that were; if it has none,
/// [`io::ErrorKind::WouldBlock`].
pub type ReadCached = fn(&File, &mut [u8], u64) -> io::Result<usize>;

/// Files that are mapped at once in this process; further ones are read by calls. A quarter of the mappings that Linux
/// allows a process (`vm.max_map_count`, 65,530): the others are for its threads and its own memory.
const MOST_MAPPED: usize = 16_384;
static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// A directory of the operating system. Nothing is opened or created before the first call.
///
/// However many tables are read, few have a file descriptor: the least recently read are closed and opened again when
/// they are read next ([`StdFs::keeping_open`]). When the process runs out of descriptors, half of them are closed before
/// the call that needs one is made again.
///
/// ```
/// use level_party_engine::{Fs, StdFs};
/// # fn main() -> std::io::Result<()> {
/// let dir = tempfile::tempdir()?;
/// let files = StdFs::new(dir.path());
/// let mut file = files.create("MANIFEST-000002")?;
/// file.append(b"record")?;
/// file.sync()?;
/// files.sync_dir()?;
/// assert_eq!(files.read("MANIFEST-000002")?, b"record");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StdFs {
    root: PathBuf,
    /// The directory, opened by the first sync and kept: a process that has run out of descriptors can still sync.
    #[cfg(unix)]
    dir: Arc<OnceLock<File>>,
    map: Option<MapFile>,
    longest: Option<LongestFile>,
    cached: Option<ReadCached>,
    pool: Arc<FilePool>,
}

impl StdFs {
    /// The files in the directory `root`, which must exist by the first call.
    pub fn new(root: impl Into<PathBuf>) -> StdFs {
        StdFs {
            root: root.into(),
            #[cfg(unix)]
            dir: Arc::default(),
            map: None,
            longest: None,
            cached: None,
            pool: FilePool::new(MAX_OPEN_FILES),
        }
    }

    /// Keeps at most this many tables open at the operating system (default 500; a handful at least), beside those that
    /// are being read just now. [`Engine::open`](crate::Engine::open) lowers it to
    /// [`Options::max_open_files`](crate::Options::max_open_files).
    pub fn keeping_open(self, tables: usize) -> StdFs {
        StdFs {
            pool: FilePool::new(tables),
            ..self
        }
    }

    /// Reads open files through memory that the system maps to them, as far as `map` can: a file that it can't map, as an
    /// empty one, is read by calls.
    pub fn mapping(self, map: MapFile) -> StdFs {
        StdFs {
            map: Some(map),
            ..self
        }
    }

    /// Asks `longest` how long a file may become, when it is opened to be written: see [`Fs::longest_file`]. An append that would
    /// go beyond is refused with [`io::ErrorKind::FileTooLarge`].
    pub fn limited_by(self, longest: LongestFile) -> StdFs {
        StdFs {
            longest: Some(longest),
            ..self
        }
    }

    /// Reads tables by `cached` inside [`nonblocking`](crate::nonblocking).
    pub fn cached_by(self, cached: ReadCached) -> StdFs {
        StdFs {
            cached: Some(cached),
            ..self
        }
    }

    #[cfg(test)]
    pub(super) fn pool(&self) -> &Arc<FilePool> {
        &self.pool
    }

    /// How many tables have a descriptor now.
    #[cfg(test)]
    pub(super) fn open_tables(&self) -> usize {
        self.pool.open()
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.root
    }

    fn entry(&self, name: &str) -> io::Result<PathBuf> {
        entry(&self.root, name)
    }
}

fn entry(root: &Path, name: &str) -> io::Result<PathBuf> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '\0']) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name:?} is not a plain file name"),
        ));
    }
    Ok(root.join(name))
}

impl StdFs {
    fn open_to_write(&self, name: &str, options: &mut OpenOptions) -> io::Result<File> {
        let path = self.entry(name)?;
        with_descriptors(|| options.write(true).open(&path))
    }
}

impl Fs for StdFs {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in with_descriptors(|| fs::read_dir(&self.root))? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open_read(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
        let path = self.entry(name)?;
        let is_table = matches!(filename::parse(name), Some((FileKind::Table, _)));
        if is_table && is_nonblocking() {
            return Err(would_block());
        }
        let file = with_descriptors(|| File::open(&path))?;
        if let Some(mapped) = self.map.and_then(|map| Mapped::new(map, &file)) {
            return Ok(Arc::new(mapped));
        }
        let metadata = file.metadata()?;
        Ok(match is_table {
            true => Arc::new(self.pool.take_in(path, file, &metadata, self.cached)),
            false => Arc::new(StdReadFile {
                file,
                len: metadata.len(),
            }),
        })
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let path = self.entry(name)?;
        let mut file = with_descriptors(|| File::open(&path))?;
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        let file = self.open_to_write(name, OpenOptions::new().create(true).truncate(true))?;
        Ok(Box::new(StdWriteFile::new(file, self.longest_file())))
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        let file = self.open_to_write(name, OpenOptions::new().create_new(true))?;
        Ok(Box::new(StdWriteFile::new(file, self.longest_file())))
    }

    fn create_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let file = self.open_to_write(name, OpenOptions::new().read(true).create_new(true))?;
        Ok(Box::new(StdLogFile { file }))
    }

    fn open_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let file = self.open_to_write(name, OpenOptions::new().read(true))?;
        Ok(Box::new(StdLogFile { file }))
    }

    fn longest_file(&self) -> u64 {
        self.longest.map_or(u64::MAX, |longest| longest())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.entry(from)?, self.entry(to)?);
        patiently(|| fs::rename(&from, &to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let name = self.entry(name)?;
        patiently(|| fs::remove_file(&name))
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        self.entry(name)?.try_exists()
    }

    /// A hard link; a copy where the file system has none, or the two directories are on different ones.
    fn link(&self, name: &str, target: &dyn Fs, to: &str) -> io::Result<()> {
        let from = self.entry(name)?;
        let Some(root) = target.directory() else {
            return copy(self.open_read(name)?.as_ref(), target, to);
        };
        let to_path = entry(root, to)?;
        match fs::hard_link(&from, &to_path) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::CrossesDevices
                        | io::ErrorKind::Unsupported
                        | io::ErrorKind::PermissionDenied
                        | io::ErrorKind::TooManyLinks
                ) =>
            {
                copy(self.open_read(name)?.as_ref(), target, to)
            }
            linked => linked,
        }
    }

    fn keep_open_at_most(&self, tables: usize) {
        self.pool.limit_to(tables);
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.root)
    }

    #[cfg(unix)]
    fn sync_dir(&self) -> io::Result<()> {
        let dir = match self.dir.get() {
            Some(dir) => dir,
            None => {
                let opened = with_descriptors(|| File::open(&self.root))?;
                self.dir.get_or_init(|| opened)
            }
        };
        dir.sync_all()
    }

    /// The syncs are under way at the same time: the system writes them out together, which takes hardly longer than the
    /// longest of them.
    fn sync_together(&self, files: &mut [&mut dyn WriteFile]) -> io::Result<()> {
        thread::scope(|scope| {
            let mut others = Vec::with_capacity(files.len());
            for file in files {
                let thread = thread::Builder::new().name("level-party-sync".to_owned());
                others.push(thread.spawn_scoped(scope, move || file.sync())?);
            }
            let directory = self.sync_dir();
            let panicked = |_| Err(io::Error::other("panicked in a sync"));
            let mut synced = others
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(panicked));
            directory.and(synced.by_ref().find(Result::is_err).unwrap_or(Ok(())))
        })
    }

    /// `FlushFileBuffers` takes a directory that is open for adding files. (LevelDB makes no such call on Windows.)
    #[cfg(windows)]
    fn sync_dir(&self) -> io::Result<()> {
        use std::os::windows::fs::OpenOptionsExt as _;
        const FILE_ADD_FILE: u32 = 2;
        const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000; // else no directory is opened
        let dir = OpenOptions::new()
            .access_mode(FILE_ADD_FILE)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
            .open(&self.root)?;
        dir.sync_all()
    }
}

/// The one place where what fails only for a moment is tried again: on Windows a virus scanner or an indexer that has a
/// file open stands against its renaming and removal. What fails for longer than a second and a half fails.
fn patiently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    // ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION, ERROR_DELETE_PENDING
    const PASSING: [i32; 4] = [5, 32, 33, 303];
    let mut pause = Duration::from_millis(1);
    loop {
        match attempt() {
            Err(error)
                if cfg!(windows)
                    && error
                        .raw_os_error()
                        .is_some_and(|code| PASSING.contains(&code))
                    && pause <= Duration::from_millis(800) =>
            {
                thread::sleep(pause);
                pause *= 2;
            }
            done => return done,
        }
    }
}

struct StdReadFile {
    file: File,
    len: u64,
}

impl ReadFile for StdReadFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        read_exact_at(&self.file, buf, offset)
    }
}

#[cfg(unix)]
pub(super) fn read_exact_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buf, offset)
}

#[cfg(windows)]
pub(super) fn read_exact_at(file: &File, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !buf.is_empty() {
        match file.seek_read(buf, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buf = &mut buf[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(unix)]
fn read_once_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, offset)
}

#[cfg(windows)]
fn read_once_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, offset)
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    // The highest offsets have meanings of their own there: one is the file's end (WriteFile, `OVERLAPPED`).
    let end = offset.checked_add(bytes.len() as u64);
    if end.is_none_or(|end| i64::try_from(end).is_err()) {
        let what = "an offset that no file reaches";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A mapped file, which needs no descriptor any more. It counts among [`MAPPED`].
struct Mapped(Arc<dyn ReadFile>);

impl Mapped {
    /// `None` if the file can't be mapped, or as many are as may be.
    fn new(map: MapFile, file: &File) -> Option<Mapped> {
        if MAPPED.load(Ordering::Relaxed) >= MOST_MAPPED {
            return None;
        }
        let mapped = map(file).ok()?;
        MAPPED.fetch_add(1, Ordering::Relaxed);
        Some(Mapped(mapped))
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        MAPPED.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ReadFile for Mapped {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buf, offset)
    }
}

struct StdWriteFile {
    file: File,
    len: u64,
    /// How long it may become: beyond that the system ends the process.
    longest: u64,
}

impl StdWriteFile {
    fn new(file: File, longest: u64) -> StdWriteFile {
        StdWriteFile {
            file,
            len: 0,
            longest,
        }
    }
}

impl WriteFile for StdWriteFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let len = self.len.saturating_add(bytes.len() as u64);
        if len > self.longest {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.file.write_all(bytes)?;
        self.len = len;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

struct StdLogFile {
    file: File,
}

impl LogFile for StdLogFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        write_all_at(&self.file, bytes, offset)
    }

    fn read_some(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match read_once_at(&self.file, buf, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}
