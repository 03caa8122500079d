//! [`StdFs`]: a directory of the operating system, through the standard library only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(unix)]
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use super::{Fs, ReadFile, WriteFile, copy};

/// Gives a file that is read through memory which the system maps to it.
pub type MapFile = fn(&File) -> io::Result<Arc<dyn ReadFile>>;

/// A directory of the operating system. Nothing is opened or created before the first call.
///
/// ```
/// use level_party_engine::{Fs, StdFs};
/// # fn main() -> std::io::Result<()> {
/// let dir = tempfile::tempdir()?;
/// let files = StdFs::new(dir.path());
/// let mut log = files.create("000003.log")?;
/// log.append(b"record")?;
/// log.sync()?;
/// files.sync_dir()?;
/// assert_eq!(files.read("000003.log")?, b"record");
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
}

impl StdFs {
    /// The files in the directory `root`, which must exist by the first call.
    pub fn new(root: impl Into<PathBuf>) -> StdFs {
        StdFs {
            root: root.into(),
            #[cfg(unix)]
            dir: Arc::default(),
            map: None,
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

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.root
    }

    fn entry(&self, name: &str) -> io::Result<PathBuf> {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '\0']) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{name:?} is not a plain file name"),
            ));
        }
        Ok(self.root.join(name))
    }
}

impl Fs for StdFs {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open_read(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
        let file = File::open(self.entry(name)?)?;
        let len = file.metadata()?.len();
        let mapped = self.map.and_then(|map| map(&file).ok());
        Ok(mapped.unwrap_or_else(|| Arc::new(StdReadFile { file, len })))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = File::open(self.entry(name)?)?;
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(self.entry(name)?)?;
        Ok(Box::new(StdWriteFile { file }))
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(self.entry(name)?)?;
        Ok(Box::new(StdWriteFile { file }))
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
        let to_path = StdFs::new(root).entry(to)?;
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

    fn directory(&self) -> Option<&Path> {
        Some(&self.root)
    }

    #[cfg(unix)]
    fn sync_dir(&self) -> io::Result<()> {
        let dir = match self.dir.get() {
            Some(dir) => dir,
            None => {
                let opened = File::open(&self.root)?;
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

    #[cfg(unix)]
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, buf, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        use std::os::windows::fs::FileExt;
        while !buf.is_empty() {
            match self.file.seek_read(buf, offset) {
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
}

struct StdWriteFile {
    file: File,
}

impl WriteFile for StdWriteFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}
