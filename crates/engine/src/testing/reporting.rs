//! [`ReportingFs`]: files in memory whose syncs fail as Linux tells errors (`errseq_t`): an error of a file is told once to
//! each who had the file open; who opens it later is told if nobody was told before; and it is forgotten when nobody has the
//! file open any more. Every clone that [`ReportingFs::process`] makes is a process, whose files are closed when it dies.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use level_party_locks::Mutex;

use crate::base::fs::{Fs, LogFile, MemFs, ReadFile, WriteFile};

/// What the system knows of an open log.
#[derive(Default)]
struct Inode {
    /// Errors so far.
    errors: u64,
    /// Somebody was told of the last one.
    is_told: bool,
    open: usize,
}

type Inodes = Arc<Mutex<BTreeMap<String, Inode>>>;

/// The files, as one process has them open.
pub(crate) struct ReportingFs {
    files: MemFs,
    inodes: Inodes,
    is_dead: Arc<AtomicBool>,
}

impl ReportingFs {
    pub(crate) fn new(files: &MemFs) -> ReportingFs {
        ReportingFs {
            files: files.clone(),
            inodes: Arc::default(),
            is_dead: Arc::default(),
        }
    }

    /// Another process over the same files.
    pub(crate) fn process(&self) -> ReportingFs {
        ReportingFs {
            files: self.files.clone(),
            inodes: Arc::clone(&self.inodes),
            is_dead: Arc::default(),
        }
    }

    /// What was written to this log and not synced is lost from now on, and nobody told yet.
    pub(crate) fn lose_writes(&self, log: &str) {
        let mut inodes = self.inodes.lock();
        let inode = inodes.entry(log.to_owned()).or_default();
        inode.errors += 1;
        inode.is_told = false;
    }

    /// The process dies: its files are closed.
    pub(crate) fn end(&self) -> Ending {
        Ending {
            is_dead: Arc::clone(&self.is_dead),
            inodes: Arc::clone(&self.inodes),
        }
    }

    fn opened(&self, name: &str, file: Box<dyn LogFile>) -> Box<dyn LogFile> {
        let mut inodes = self.inodes.lock();
        let inode = inodes.entry(name.to_owned()).or_default();
        inode.open += 1;
        let seen = if inode.is_told { inode.errors } else { 0 };
        Box::new(ReportingLog {
            file,
            name: name.to_owned(),
            inodes: Arc::clone(&self.inodes),
            seen: AtomicU64::new(seen),
            is_dead: Arc::clone(&self.is_dead),
        })
    }
}

/// What ends a process.
pub(crate) struct Ending {
    is_dead: Arc<AtomicBool>,
    inodes: Inodes,
}

impl Ending {
    /// Closes its logs, of which it has these open.
    pub(crate) fn close(&self, logs: &[String]) {
        self.is_dead.store(true, Ordering::SeqCst);
        let mut inodes = self.inodes.lock();
        for log in logs {
            close(&mut inodes, log);
        }
    }
}

fn close(inodes: &mut BTreeMap<String, Inode>, log: &str) {
    let inode = inodes.get_mut(log).expect("it is open");
    inode.open -= 1;
    if inode.open == 0 {
        inodes.remove(log);
    }
}

struct ReportingLog {
    file: Box<dyn LogFile>,
    name: String,
    inodes: Inodes,
    /// Errors that were told here, or to others before this was opened.
    seen: AtomicU64,
    is_dead: Arc<AtomicBool>,
}

impl Drop for ReportingLog {
    fn drop(&mut self) {
        // Those of a dead process are closed already.
        if !self.is_dead.load(Ordering::SeqCst) {
            close(&mut self.inodes.lock(), &self.name);
        }
    }
}

impl ReportingLog {
    fn tell(&self) -> io::Result<()> {
        let mut inodes = self.inodes.lock();
        let inode = inodes.get_mut(&self.name).expect("it is open");
        if inode.errors > self.seen.swap(inode.errors, Ordering::SeqCst) {
            inode.is_told = true;
            return Err(io::Error::other("what was written is lost"));
        }
        Ok(())
    }
}

impl LogFile for ReportingLog {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn read_some(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_some(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.tell()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.tell()
    }
}

impl Fs for ReportingFs {
    forward!(list open_read read create names exists);

    fn create_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        Ok(self.opened(name, self.files.create_log(name)?))
    }

    fn open_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        Ok(self.opened(name, self.files.open_log(name)?))
    }
}
