//! [`Logs`]: the logs that this process has open, each once.
//!
//! The system tells of an error of a file to those who have it open. So a log stays open, in the process that writes it and
//! in the leader's, until its region is in tables.
//!
//! Promises: a log that was opened is not opened again, so that no error passes it by; none is kept that is in tables.
//! Must not know: who writes, who syncs, or when.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use level_party_format::filename;
use level_party_locks::Mutex;

use crate::base::error::{Error, Result};
use crate::base::fs::{Fs, LogFile};

/// One open log.
pub(crate) struct OpenLog {
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) file: Box<dyn LogFile>,
    /// How long it may become.
    pub(crate) longest: u64,
    /// No sync that could have been told of an error before the log was opened can come to an end any more.
    trusted: AtomicBool,
}

impl OpenLog {
    /// Creates the log with this number, which no file had before: one that a successor made meanwhile is not touched.
    pub(crate) fn create(fs: &dyn Fs, number: u64) -> Result<Arc<OpenLog>> {
        let name = filename::log(number);
        let file = fs
            .create_log(&name)
            .map_err(|error| Error::io("create", &name, error))?;
        // Nobody could sync it before it was there.
        Ok(OpenLog::over(fs, number, name, file, true))
    }

    /// Opens a log that another member made.
    pub(crate) fn open(fs: &dyn Fs, number: u64) -> Result<Arc<OpenLog>> {
        let name = filename::log(number);
        let file = fs
            .open_log(&name)
            .map_err(|error| Error::io("open", &name, error))?;
        Ok(OpenLog::over(fs, number, name, file, false))
    }

    fn over(
        fs: &dyn Fs,
        number: u64,
        name: String,
        file: Box<dyn LogFile>,
        trusted: bool,
    ) -> Arc<OpenLog> {
        Arc::new(OpenLog {
            number,
            name,
            file,
            longest: fs.longest_file(),
            trusted: AtomicBool::new(trusted),
        })
    }

    /// Whether an error of the log that anybody was told of is told to this process, too, or marked in its region.
    pub(crate) fn is_trusted(&self) -> bool {
        self.trusted.load(Ordering::Relaxed)
    }

    /// From now on it is.
    pub(crate) fn set_trusted(&self) {
        self.trusted.store(true, Ordering::Relaxed);
    }

    /// Makes its bytes durable, of a log that is `complete` the shorter length too if it was cut.
    pub(crate) fn sync(&self, complete: bool) -> Result<()> {
        let synced = match complete {
            true => self.file.sync_all(),
            false => self.file.sync(),
        };
        synced.map_err(|error| Error::io("sync", &self.name, error))
    }
}

/// The open logs by their numbers.
#[derive(Default)]
pub(crate) struct Logs {
    open: Mutex<BTreeMap<u64, Arc<OpenLog>>>,
}

impl Logs {
    /// The log with this number, opened if it is not.
    pub(crate) fn open(&self, fs: &dyn Fs, number: u64) -> Result<Arc<OpenLog>> {
        if let Some(log) = self.open.lock().get(&number) {
            return Ok(Arc::clone(log));
        }
        let log = OpenLog::open(fs, number)?;
        // What somebody else opened first may have been told more.
        let mut open = self.open.lock();
        Ok(Arc::clone(open.entry(number).or_insert(log)))
    }

    /// Keeps a log open.
    pub(crate) fn keep(&self, log: &Arc<OpenLog>) {
        self.open.lock().insert(log.number, Arc::clone(log));
    }

    /// Logs below this number are in tables.
    pub(crate) fn forget_below(&self, log_number: u64) {
        let kept = {
            let mut open = self.open.lock();
            let kept = open.split_off(&log_number);
            std::mem::replace(&mut *open, kept)
        };
        // Closed without the lock.
        drop(kept);
    }
}

/// Whether the file of a log is gone: it may be in tables by now.
pub(crate) fn is_gone(error: &Error) -> bool {
    is_of(error, io::ErrorKind::NotFound)
}

/// Whether an error says that a file is there already.
pub(crate) fn is_there(error: &Error) -> bool {
    is_of(error, io::ErrorKind::AlreadyExists)
}

fn is_of(error: &Error, kind: io::ErrorKind) -> bool {
    let source = std::error::Error::source(error);
    let system = source.and_then(|source| source.downcast_ref::<io::Error>());
    system.is_some_and(|system| system.kind() == kind)
}
