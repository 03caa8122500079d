//! [`Wal`]: one write-ahead log, appended to only by the engine that created it.
//!
//! Promises: one plain write for each record; a sync is acknowledged only when the file's name is durable too. After a
//! failed append or sync every later one fails with the same error, and the file is not touched again.
//! Must not know: batches, sequences, or other logs.

use level_party_format::filename;
use level_party_format::log::LogWriter;

use crate::base::error::{Error, Result};
use crate::base::fs::{Fs, WriteFile};

/// Bytes of the record buffer that are kept from one record to the next.
const KEPT_BUFFER: usize = 1 << 20;

/// One write-ahead log (LevelDB `doc/log_format.md`), open for appending.
pub(crate) struct Wal {
    number: u64,
    name: String,
    file: Box<dyn WriteFile>,
    writer: LogWriter,
    buffer: Vec<u8>,
    /// Bytes were appended since the last sync.
    dirty: bool,
    /// The directory was synced since the file was created.
    linked: bool,
    /// The first append or sync that failed.
    failed: Option<Error>,
}

impl Wal {
    /// Creates the log with this number, which no file had before: one that a successor made meanwhile is not touched.
    pub(crate) fn create(fs: &dyn Fs, number: u64) -> Result<Wal> {
        let name = filename::log(number);
        let file = fs
            .create_new(&name)
            .map_err(|error| Error::io("create", &name, error))?;
        Ok(Wal {
            number,
            name,
            file,
            writer: LogWriter::new(),
            buffer: Vec::new(),
            dirty: false,
            linked: false,
            failed: None,
        })
    }

    /// What must never be done: goes on in the last log there is, behind whatever is its tail.
    #[cfg(test)]
    pub(crate) fn go_on_in_last(fs: &dyn Fs, names: &[String]) -> Result<Option<Wal>> {
        let numbers = names.iter().filter_map(|name| match filename::parse(name) {
            Some((filename::FileKind::Log, number)) => Some(number),
            _ => None,
        });
        let Some(number) = numbers.max() else {
            return Ok(None);
        };
        let (name, temp) = (filename::log(number), filename::temp(number));
        let open = || {
            let old = fs.read(&name)?;
            let mut file = fs.create(&temp)?;
            file.append(&old)?;
            fs.rename(&temp, &name)?;
            Ok((old.len() as u64, file))
        };
        let (len, file) = open().map_err(|error| Error::io("open", &name, error))?;
        Ok(Some(Wal {
            number,
            name,
            file,
            writer: LogWriter::new_at(len),
            buffer: Vec::new(),
            dirty: true,
            linked: false,
            failed: None,
        }))
    }

    /// The number in its name.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Appends one record with one write.
    pub(crate) fn append(&mut self, payload: &[u8]) -> Result<()> {
        self.once_failed(|wal| wal.append_record(payload))
    }

    fn append_record(&mut self, payload: &[u8]) -> Result<()> {
        if planted!(AnswerBeforeAppend) && !self.buffer.is_empty() {
            // What the buffer holds was answered already.
            let late = std::mem::take(&mut self.buffer);
            self.writer.add_record(payload, &mut self.buffer);
            let appended = self.file.append(&late);
            return appended.map_err(|error| Error::io("append to", &self.name, error));
        }
        self.buffer.clear();
        self.writer.add_record(payload, &mut self.buffer);
        self.dirty = true;
        if planted!(AnswerBeforeAppend) {
            return Ok(());
        }
        let appended = self.file.append(&self.buffer);
        if self.buffer.capacity() > KEPT_BUFFER {
            self.buffer = Vec::new();
        }
        appended.map_err(|error| Error::io("append to", &self.name, error))
    }

    /// Makes every record durable, and before the first time the name too.
    pub(crate) fn sync(&mut self, fs: &dyn Fs) -> Result<()> {
        self.once_failed(|wal| wal.sync_records(fs))
    }

    fn sync_records(&mut self, fs: &dyn Fs) -> Result<()> {
        if !self.linked {
            fs.sync_dir()
                .map_err(|error| Error::io("sync the directory of", &self.name, error))?;
            self.linked = true;
        }
        if self.dirty {
            self.file
                .sync()
                .map_err(|error| Error::io("sync", &self.name, error))?;
            self.dirty = false;
        }
        Ok(())
    }

    fn once_failed(&mut self, act: impl FnOnce(&mut Wal) -> Result<()>) -> Result<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        act(self).inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// The owner has synced the directory after the creation.
    pub(crate) fn set_linked(&mut self) {
        self.linked = true;
    }
}
