//! [`Recorder`]: a directory that keeps every changing call with its bytes, so that each moment can be built again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::{fmt, io};

use level_party_engine::{CommitHook, Fs, LogFile, MemFs, ReadFile, WriteFile};
use level_party_locks::Mutex;

/// A changing call. Files are numbered in the order of their creation.
#[derive(Clone)]
pub enum Step {
    Create {
        name: String,
        file: usize,
    },
    /// At the file's end, or over zeroes.
    Write {
        file: usize,
        offset: usize,
        bytes: Vec<u8>,
    },
    /// The file ends here from now on, before where it ended.
    Cut {
        file: usize,
        len: u64,
    },
    Sync {
        file: usize,
    },
    /// The shorter length of a file that was cut lasts too.
    SyncAll {
        file: usize,
    },
    Rename {
        from: String,
        to: String,
    },
    Remove {
        name: String,
    },
    SyncDir,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Create { name, file } => write!(f, "create {name} (file {file})"),
            Step::Write {
                file,
                offset,
                bytes,
            } => write!(f, "write {} bytes at {offset} of file {file}", bytes.len()),
            Step::Cut { file, len } => write!(f, "cut file {file} to {len}"),
            Step::Sync { file } => write!(f, "sync file {file}"),
            Step::SyncAll { file } => write!(f, "sync file {file} and its length"),
            Step::Rename { from, to } => write!(f, "rename {from} to {to}"),
            Step::Remove { name } => write!(f, "remove {name}"),
            Step::SyncDir => f.write_str("sync the directory"),
        }
    }
}

/// A call, and what had been acknowledged when it began.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub step: Step,
    pub marks: Marks,
}

/// Up to which batch writes were acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// At all: kept when the process dies.
    pub answered: u64,
    /// With sync: kept when the power fails.
    pub synced: u64,
}

/// Files by name: a directory at one moment.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Records what is done to a directory in memory.
#[derive(Clone)]
pub struct Recorder {
    live: MemFs,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    journal: Mutex<Journal>,
    answered: AtomicU64,
    synced: AtomicU64,
    no_tables: AtomicBool,
    torn: AtomicBool,
}

#[derive(Default)]
struct Journal {
    steps: Vec<Recorded>,
    names: BTreeMap<String, usize>,
    files: usize,
}

impl Recorder {
    /// Starts from files that are durable.
    pub fn new(start: &Files, synced: u64) -> Recorder {
        let recorder = Recorder {
            live: mem_fs(start),
            shared: Arc::default(),
        };
        recorder.answered(synced);
        recorder.synced(synced);
        let mut journal = recorder.shared.journal.lock();
        for name in start.keys() {
            let file = journal.files;
            journal.files += 1;
            journal.names.insert(name.clone(), file);
        }
        drop(journal);
        recorder
    }

    pub fn steps(&self) -> Vec<Recorded> {
        self.shared.journal.lock().steps.clone()
    }

    pub fn files(&self) -> Files {
        let list = self.live.list().unwrap();
        let read = |name: String| {
            let bytes = self.live.read(&name).unwrap();
            (name, bytes)
        };
        list.into_iter().map(read).collect()
    }

    /// Batches up to this one are acknowledged.
    pub fn answered(&self, number: u64) {
        self.shared.answered.fetch_max(number, Ordering::SeqCst);
    }

    /// They are acknowledged with sync.
    pub fn synced(&self, number: u64) {
        self.shared.synced.fetch_max(number, Ordering::SeqCst);
    }

    pub fn marks(&self) -> Marks {
        self.shared.marks()
    }

    /// From now on no table can be made: everything stays in logs.
    pub fn refuse_tables(&self) {
        self.shared.no_tables.store(true, Ordering::SeqCst);
    }

    /// Half of the next append to a log is done, and it fails.
    pub fn tear_next_append(&self) {
        self.shared.torn.store(true, Ordering::SeqCst);
    }

    /// A hook that marks this batch as answered as soon as the engine says that it is decided.
    pub fn hook(&self, number: u64) -> Box<dyn CommitHook> {
        Box::new(Marking(self.clone(), number))
    }
}

/// Files as a directory in memory.
pub fn mem_fs(files: &Files) -> MemFs {
    let fs = MemFs::new();
    for (name, bytes) in files {
        fs.write(name, bytes.clone());
    }
    fs
}

impl Recorder {
    /// Creates a file, and gives it with its number.
    fn created<T>(
        &self,
        name: &str,
        create: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<(T, usize)> {
        let mut file = 0;
        let live = self.shared.step(create, |journal| {
            file = journal.files;
            journal.files += 1;
            journal.names.insert(name.to_owned(), file);
            let name = name.to_owned();
            Step::Create { name, file }
        })?;
        Ok((live, file))
    }
}

struct Marking(Recorder, u64);

impl CommitHook for Marking {
    fn claim(&mut self) -> bool {
        true
    }

    fn assigned(&mut self, _: u64) {}

    fn decided(&mut self, _: u64) {
        self.0.answered(self.1);
    }
}

impl Shared {
    fn marks(&self) -> Marks {
        Marks {
            answered: self.answered.load(Ordering::SeqCst),
            synced: self.synced.load(Ordering::SeqCst),
        }
    }

    /// Does the call and records it, as one step for all threads.
    fn step<T>(
        &self,
        call: impl FnOnce() -> io::Result<T>,
        step: impl FnOnce(&mut Journal) -> Step,
    ) -> io::Result<T> {
        let mut journal = self.journal.lock();
        let marks = self.marks();
        let done = call()?;
        let step = step(&mut journal);
        journal.steps.push(Recorded { step, marks });
        Ok(done)
    }
}

impl Fs for Recorder {
    fn list(&self) -> io::Result<Vec<String>> {
        self.live.list()
    }

    fn open_read(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
        self.live.open_read(name)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.live.read(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        if self.shared.no_tables.load(Ordering::SeqCst) && name.ends_with(".ldb") {
            return Err(io::ErrorKind::StorageFull.into());
        }
        assert!(
            !self.live.exists(name)? || name.ends_with(".dbtmp"),
            "{name} is there, and nothing that a crash must keep is ever written over"
        );
        let (live, file) = self.created(name, || self.live.create(name))?;
        let shared = Arc::clone(&self.shared);
        let end = 0;
        Ok(Box::new(RecorderFile {
            live,
            file,
            end,
            shared,
        }))
    }

    fn create_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let (live, file) = self.created(name, || self.live.create_log(name))?;
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(RecorderLog { live, file, shared }))
    }

    fn open_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let live = self.live.open_log(name)?;
        let file = self.shared.journal.lock().names[name];
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(RecorderLog { live, file, shared }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let rename = || self.live.rename(from, to);
        self.shared.step(rename, |journal| {
            if let Some(file) = journal.names.remove(from) {
                journal.names.insert(to.to_owned(), file);
            }
            Step::Rename {
                from: from.to_owned(),
                to: to.to_owned(),
            }
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let remove = || self.live.remove(name);
        self.shared.step(remove, |journal| {
            journal.names.remove(name);
            Step::Remove {
                name: name.to_owned(),
            }
        })
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        self.live.exists(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.shared.step(|| Ok(()), |_| Step::SyncDir)
    }
}

struct RecorderFile {
    live: Box<dyn WriteFile>,
    file: usize,
    end: usize,
    shared: Arc<Shared>,
}

impl WriteFile for RecorderFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (file, offset) = (self.file, self.end);
        let live = &mut self.live;
        self.end += bytes.len();
        self.shared.step(
            || live.append(bytes),
            |_| Step::Write {
                file,
                offset,
                bytes: bytes.to_vec(),
            },
        )
    }

    fn sync(&mut self) -> io::Result<()> {
        let file = self.file;
        self.shared.step(|| Ok(()), |_| Step::Sync { file })
    }
}

struct RecorderLog {
    live: Box<dyn LogFile>,
    file: usize,
    shared: Arc<Shared>,
}

impl LogFile for RecorderLog {
    fn len(&self) -> io::Result<u64> {
        self.live.len()
    }

    fn read_some(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.live.read_some(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let torn = self.shared.torn.swap(false, Ordering::SeqCst);
        let bytes = if torn {
            &bytes[..bytes.len() / 2]
        } else {
            bytes
        };
        let write = || {
            assert!(offset <= self.live.len()?, "no hole");
            let mut before = vec![0; bytes.len()];
            self.live.read_some(&mut before, offset)?;
            assert!(before.iter().all(|&byte| byte == 0), "nothing twice");
            self.live.write_at(bytes, offset)
        };
        let file = self.file;
        self.shared.step(write, |_| Step::Write {
            file,
            offset: offset as usize,
            bytes: bytes.to_vec(),
        })?;
        match torn {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let cut = || {
            assert!(len <= self.live.len()?, "a log is never lengthened");
            self.live.set_len(len)
        };
        let file = self.file;
        self.shared.step(cut, |_| Step::Cut { file, len })
    }

    fn sync(&self) -> io::Result<()> {
        let file = self.file;
        self.shared.step(|| Ok(()), |_| Step::Sync { file })
    }

    fn sync_all(&self) -> io::Result<()> {
        let file = self.file;
        self.shared.step(|| Ok(()), |_| Step::SyncAll { file })
    }
}
