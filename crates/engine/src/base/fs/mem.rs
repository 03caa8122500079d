//! [`MemFs`]: files in memory, shared by all clones, for tests and databases that need not last.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use level_party_locks::{Mutex, RwLock};

use super::{Fs, LogFile, ReadFile, WriteFile};

/// Files in memory. Clones share them, and files that are open go on working after their name is removed or renamed.
///
/// It loses nothing at a crash: what a missing sync would lose is another `Fs`'s task. It counts the syncs, so that a
/// test can say when one must happen.
///
/// ```
/// use level_party_engine::{Fs, MemFs};
/// # fn main() -> std::io::Result<()> {
/// let files = MemFs::new();
/// files.create("a")?.append(b"bytes")?;
/// let open = files.open_read("a")?;
/// files.remove("a")?;
/// let mut bytes = [0; 5];
/// open.read_at(&mut bytes, 0)?;
/// assert_eq!(&bytes, b"bytes");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemFs {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    files: Mutex<BTreeMap<String, Content>>,
    file_syncs: AtomicU64,
    dir_syncs: AtomicU64,
}

impl Shared {
    fn count_sync(&self) {
        self.file_syncs.fetch_add(1, Ordering::Relaxed);
    }
}

type Content = Arc<RwLock<Vec<u8>>>;

impl MemFs {
    /// An empty directory.
    pub fn new() -> MemFs {
        MemFs::default()
    }

    /// How often any file was synced.
    pub fn file_syncs(&self) -> u64 {
        self.shared.file_syncs.load(Ordering::Relaxed)
    }

    /// How often the directory was synced.
    pub fn dir_syncs(&self) -> u64 {
        self.shared.dir_syncs.load(Ordering::Relaxed)
    }

    /// Puts a file there with this content in one step, replacing the one of that name; readers of the old one keep it.
    pub fn write(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        let content = Arc::new(RwLock::new(bytes.into()));
        self.shared.files.lock().insert(name.to_owned(), content);
    }

    /// Changes a file's bytes in place, under all its open readers: to damage it in a test.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no such file.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        change(&mut self.content(name)?.write());
        Ok(())
    }

    fn content(&self, name: &str) -> io::Result<Content> {
        let files = self.shared.files.lock();
        files.get(name).cloned().ok_or_else(|| missing(name))
    }

    /// The content of a file that was not there.
    fn new_content(&self, name: &str) -> io::Result<Content> {
        match self.shared.files.lock().entry(name.to_owned()) {
            Entry::Occupied(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Entry::Vacant(place) => Ok(Arc::clone(place.insert(Arc::default()))),
        }
    }
}

fn missing(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no file {name}"))
}

impl Fs for MemFs {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.shared.files.lock().keys().cloned().collect())
    }

    fn open_read(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
        let content = self.content(name)?;
        let len = content.read().len() as u64;
        Ok(Arc::new(MemReadFile { content, len }))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.content(name)?.read().clone())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        let mut files = self.shared.files.lock();
        let content = Arc::clone(files.entry(name.to_owned()).or_default());
        content.write().clear();
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(MemWriteFile { content, shared }))
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        let content = self.new_content(name)?;
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(MemWriteFile { content, shared }))
    }

    fn create_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let content = self.new_content(name)?;
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(MemLogFile { content, shared }))
    }

    fn open_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let content = self.content(name)?;
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(MemLogFile { content, shared }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.shared.files.lock();
        let content = files.remove(from).ok_or_else(|| missing(from))?;
        files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.shared.files.lock().remove(name);
        removed.map(drop).ok_or_else(|| missing(name))
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        Ok(self.shared.files.lock().contains_key(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.shared.dir_syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

struct MemReadFile {
    content: Content,
    len: u64,
}

impl ReadFile for MemReadFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let content = self.content.read();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(buf.len());
        let bytes = content
            .get(start..end)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }
}

struct MemWriteFile {
    content: Content,
    shared: Arc<Shared>,
}

impl WriteFile for MemWriteFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.content.write().extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.shared.count_sync();
        Ok(())
    }
}

struct MemLogFile {
    content: Content,
    shared: Arc<Shared>,
}

/// Gives the file this length; more than there is memory for is an error.
fn resize(content: &mut Vec<u8>, len: u64) -> io::Result<()> {
    let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
    content.try_reserve(len.saturating_sub(content.len()))?;
    content.resize(len, 0);
    Ok(())
}

impl LogFile for MemLogFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content.read().len() as u64)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(bytes.len() as u64);
        let end = end.ok_or(io::ErrorKind::FileTooLarge)?;
        let mut content = self.content.write();
        let len = end.max(content.len() as u64);
        resize(&mut content, len)?;
        // Both are at most the length.
        content[offset as usize..end as usize].copy_from_slice(bytes);
        Ok(())
    }

    fn read_some(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.content.read();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = content.get(start..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        resize(&mut self.content.write(), len)
    }

    fn sync(&self) -> io::Result<()> {
        self.shared.count_sync();
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.shared.count_sync();
        Ok(())
    }
}
