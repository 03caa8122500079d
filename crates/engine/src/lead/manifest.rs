//! The manifest: which tables make up the database (LevelDB `doc/impl.md`, Manifest).
//!
//! Promises: a [`Change`] is in the manifest and synced, after the directory entries of the tables it names, before the
//! version it makes is seen by anyone; the last sequence it carries is that of the flushed logs, never one that was not
//! published; after any failure here writing has ended for good.
//! Must not know: why the files change, or who reads the versions.
//!
//! One thread changes the manifest: the one that opens the engine, and after that the background thread.

use std::collections::BTreeSet;
use std::sync::Arc;

use level_party_format::Sequence;
use level_party_format::edit::{LEVELS, VersionEdit};
use level_party_format::filename::{self, CURRENT};
use level_party_format::log::LogWriter;

use crate::base::bell::Bell;
use crate::base::control::VersionRecord;
use crate::base::error::{Error, Result};
use crate::base::fs::{Fs, WriteFile};
use crate::base::health::Health;
use crate::base::next_file::NextFile;
use crate::base::options::Before;
use crate::follow::manifest_contents::Contents;
use crate::read::files::FileMeta;
use crate::read::version::Version;

/// A step from one version to the next.
#[derive(Default)]
pub(crate) struct Change {
    /// Tables that go, by level and number.
    pub(crate) removed: Vec<(usize, u64)>,
    /// Tables that come, by level.
    pub(crate) added: Vec<(usize, Arc<FileMeta>)>,
    /// Where the next compaction of a level begins.
    pub(crate) compact_pointer: Option<(usize, Vec<u8>)>,
    /// Logs below this number are in tables now, up to this sequence.
    pub(crate) flushed: Option<(u64, Sequence)>,
}

/// The manifest in use, open for appending.
pub(crate) struct Manifest {
    fs: Arc<dyn Fs>,
    name: String,
    number: u64,
    file: Box<dyn WriteFile>,
    writer: LogWriter,
    buffer: Vec<u8>,
    /// Its bytes, all of them whole edits.
    len: u64,
    /// Those of the records that it began with.
    snapshot_len: u64,
    version: Arc<Version>,
    /// Rung when the last reader of a version is gone: its tables may be removed.
    bell: Arc<Bell>,
    log_number: u64,
    last_sequence: Sequence,
    compact_pointers: [Vec<u8>; LEVELS],
}

impl Manifest {
    /// Writes a new manifest with `contents` for `version`, and makes `CURRENT` name it. On return all of it is
    /// durable, and so are the bytes of `others` and the directory entries of every file made before.
    pub(crate) fn create(
        fs: &Arc<dyn Fs>,
        number: u64,
        contents: &Contents,
        version: Arc<Version>,
        bell: &Arc<Bell>,
        health: &Health,
        others: &mut [Box<dyn WriteFile>],
    ) -> Result<Manifest> {
        let manifest = Manifest::begun(fs, number, contents, version, bell, health, others)?;
        manifest.become_current(health)?;
        Ok(manifest)
    }

    /// One that `CURRENT` does not name yet.
    fn begun(
        fs: &Arc<dyn Fs>,
        number: u64,
        contents: &Contents,
        version: Arc<Version>,
        bell: &Arc<Bell>,
        health: &Health,
        others: &mut [Box<dyn WriteFile>],
    ) -> Result<Manifest> {
        health.check_owner(Before::Create)?;
        let name = filename::manifest(number);
        let file = fs
            .create_new(&name)
            .map_err(|error| Error::io("create", &name, error))?;
        let mut manifest = Manifest {
            fs: Arc::clone(fs),
            name,
            number,
            file,
            writer: LogWriter::new(),
            buffer: Vec::new(),
            len: 0,
            snapshot_len: 0,
            version,
            bell: Arc::clone(bell),
            log_number: contents.log_number,
            last_sequence: contents.last_sequence,
            compact_pointers: contents.compact_pointers.clone(),
        };
        match manifest.begin(contents, others) {
            Ok(()) => Ok(manifest),
            Err(error) => {
                manifest.remove(health);
                Err(error)
            }
        }
    }

    /// Nobody has been told of it, and a leader that tries again takes another number.
    fn remove(&self, health: &Health) {
        if health.check_owner(Before::Removal).is_ok() {
            let _ = self.fs.remove(&filename::temp(self.number));
            let _ = self.fs.remove(&self.name);
        }
    }

    /// Makes `CURRENT` name it, durably.
    fn become_current(&self, health: &Health) -> Result<()> {
        if let Err(error) = health.names_manifest(self.number) {
            self.remove(health);
            return Err(error);
        }
        health.check_owner(Before::Manifest)?;
        let renamed = self.fs.rename(&filename::temp(self.number), CURRENT);
        renamed.map_err(|error| Error::io("write", CURRENT, error))?;
        match planted!(CurrentNotSynced) {
            true => Ok(()),
            false => self.sync_dir(),
        }
    }

    /// Whether its edits are many more bytes than its version is.
    pub(crate) fn is_outgrown(&self, slack: u64) -> bool {
        self.len - self.snapshot_len > self.snapshot_len.max(slack)
    }

    /// Begins another manifest of the same version, makes `CURRENT` name it, and goes on in that. Gives the number of the one
    /// before, which is to be removed once the new one is published.
    ///
    /// # Errors
    /// `Ok(None)`: it could not be written, and this one goes on. An error has ended writing for good: what `CURRENT` names
    /// after a loss of power is not known.
    pub(crate) fn renew(&mut self, next_file: &NextFile, health: &Health) -> Result<Option<u64>> {
        health.check()?;
        let number = next_file.next();
        let contents = Contents {
            log_number: self.log_number,
            last_sequence: self.last_sequence,
            next_file_number: next_file.peek(),
            compact_pointers: self.compact_pointers.clone(),
            ..Contents::of_new_database()
        };
        let version = Arc::clone(&self.version);
        let begun = Manifest::begun(
            &self.fs,
            number,
            &contents,
            version,
            &self.bell,
            health,
            &mut [],
        );
        let Ok(next) = begun else {
            // Not again with each edit.
            self.snapshot_len = self.len;
            return Ok(None);
        };
        next.become_current(health)
            .map_err(|error| health.poison(error))?;
        let old = std::mem::replace(self, next);
        Ok(Some(old.number))
    }

    /// The first record: all files and pointers.
    fn snapshot(&self) -> VersionEdit {
        let pointers = self.compact_pointers.iter().enumerate();
        let files = self.version.files();
        VersionEdit {
            comparator: Some(self.version.comparator().user.name().to_owned()),
            compact_pointers: pointers
                .filter(|(_, key)| !key.is_empty())
                .map(|(level, key)| (level, key.clone()))
                .collect(),
            new_files: files
                .map(|(level, file)| (level, file.to_new_file()))
                .collect(),
            ..VersionEdit::default()
        }
    }

    /// Makes all durable that `CURRENT` is to name, and what it relies on, under a temporary name. What comes after it is one
    /// step, which is durable itself before anything old may be removed.
    fn begin(&mut self, contents: &Contents, others: &mut [Box<dyn WriteFile>]) -> Result<()> {
        self.append(&self.snapshot())?;
        self.append(&VersionEdit {
            log_number: Some(contents.log_number),
            prev_log_number: Some(0),
            next_file_number: Some(contents.next_file_number),
            last_sequence: Some(contents.last_sequence),
            ..VersionEdit::default()
        })?;
        self.snapshot_len = self.len;
        let fs = Arc::clone(&self.fs);
        let temp = filename::temp(self.number);
        let failed = |what| move |error| Error::io(what, CURRENT, error);
        let mut file = fs.create(&temp).map_err(failed("write"))?;
        let contents = filename::current_contents(self.number);
        file.append(contents.as_bytes()).map_err(failed("write"))?;
        let mut files: Vec<&mut dyn WriteFile> = Vec::new();
        files.extend(others.iter_mut().map(|file| file.as_mut() as _));
        files.push(self.file.as_mut());
        files.push(file.as_mut());
        let synced = fs.sync_together(&mut files);
        synced.map_err(failed("sync what is to be named by"))
    }

    /// Appends a change, syncs it, and gives the version it makes, which nobody has seen yet.
    ///
    /// # Errors
    /// [`Corruption`](crate::ErrorKind::Corruption) if the change would break the order of a level: nothing was written.
    /// Any other error has ended writing for good.
    pub(crate) fn apply(
        &mut self,
        change: Change,
        next_file: &NextFile,
        health: &Health,
    ) -> Result<Arc<Version>> {
        let version = Arc::new(self.next_version(&change));
        version
            .check_order()
            .map_err(|error| Error::corruption("a new version", error))?;
        health.check()?;
        let (log_number, last_sequence) = change
            .flushed
            .unwrap_or((self.log_number, self.last_sequence));
        let edit = VersionEdit {
            log_number: Some(log_number),
            prev_log_number: Some(0),
            next_file_number: Some(next_file.peek()),
            last_sequence: Some(last_sequence),
            compact_pointers: change.compact_pointer.iter().cloned().collect(),
            deleted_files: change.removed,
            new_files: change
                .added
                .iter()
                .map(|(level, file)| (*level, file.to_new_file()))
                .collect(),
            ..VersionEdit::default()
        };
        // The names of new tables, and of the log that is the first to be replayed, must be durable before the edit that relies
        // on them; those of moved tables are.
        let known: BTreeSet<u64> = self.version.files().map(|(_, file)| file.number).collect();
        let brings_names = change
            .added
            .iter()
            .any(|(_, file)| !known.contains(&file.number));
        let synced = if brings_names || log_number != self.log_number {
            self.sync_dir()
        } else {
            Ok(())
        };
        synced.map_err(|error| health.poison(error))?;
        health.check()?;
        health.check_owner(Before::Manifest)?;
        self.append(&edit)
            .and_then(|()| match planted!(EditNotSynced) {
                true => Ok(()),
                false => self.sync(),
            })
            .map_err(|error| health.poison(error))?;
        self.log_number = log_number;
        self.last_sequence = last_sequence;
        if let Some((level, key)) = change.compact_pointer {
            self.compact_pointers[level] = key;
        }
        self.version = Arc::clone(&version);
        Ok(version)
    }

    fn next_version(&self, change: &Change) -> Version {
        let mut levels: [Vec<Arc<FileMeta>>; LEVELS] =
            std::array::from_fn(|level| self.version.level(level).to_vec());
        for (level, number) in &change.removed {
            levels[*level].retain(|file| file.number != *number);
        }
        for (level, file) in &change.added {
            levels[*level].push(Arc::clone(file));
        }
        Version::new(levels, Arc::clone(self.version.tables())).ringing(&self.bell)
    }

    fn append(&mut self, edit: &VersionEdit) -> Result<()> {
        self.buffer.clear();
        self.writer.add_record(&edit.encode(), &mut self.buffer);
        let appended = self.file.append(&self.buffer);
        appended.map_err(|error| Error::io("append to", &self.name, error))?;
        self.len += self.buffer.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        let synced = self.file.sync();
        synced.map_err(|error| Error::io("sync", &self.name, error))
    }

    fn sync_dir(&self) -> Result<()> {
        let synced = self.fs.sync_dir();
        synced.map_err(|error| Error::io("sync the directory of", &self.name, error))
    }

    /// The number in its name.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What is published with its version, once the region `flushed` is in its tables.
    pub(crate) fn record(&self, flushed: u32) -> VersionRecord {
        VersionRecord {
            counter: 0,
            manifest: self.number,
            length: self.len,
            log_number: self.log_number,
            flushed,
            last: self.last_sequence,
            level_zero: self.version.level(0).len() as u64,
        }
    }

    /// The version that the manifest says.
    pub(crate) fn version(&self) -> &Arc<Version> {
        &self.version
    }
    /// Where the next compaction of a level begins; empty is the level's start.
    pub(crate) fn compact_pointer(&self, level: usize) -> &[u8] {
        &self.compact_pointers[level]
    }
}
