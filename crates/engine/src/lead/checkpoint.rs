//! Checkpoint: a copy of the database as it is at one moment, in another directory, while writing goes on.
//!
//! Promises: the copy opens as a database, in this engine and in LevelDB, and shows one moment: every write up to one
//! sequence, none after it. Tables are hard links where the two directories allow it; the manifest says what the
//! version of that moment has; of the logs the records up to the moment are copied, and none after it. `CURRENT` is
//! written last, and everything is synced before it: a copy that was broken off does not open.
//! Must not know: how groups are committed, beyond that a record is in the log before its sequences are published.
//!
//! The writers are not stopped: the logs are opened under the lock under which the view changes, so they are those of
//! the view, and stay readable after they are removed.

use std::io;
use std::sync::Arc;

use level_party_format::Sequence;
use level_party_format::batch::BatchRef;
use level_party_format::edit::VersionEdit;
use level_party_format::filename::{self, CURRENT};
use level_party_format::log::{LogItem, LogReader, LogWriter};

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::{Fs, ReadFile};
use crate::commit::shared::Shared;
use crate::read::version::Version;

/// An open log and its name.
pub(crate) struct OpenLog {
    pub(crate) name: String,
    pub(crate) file: Arc<dyn ReadFile>,
}

impl OpenLog {
    pub(crate) fn open(fs: &dyn Fs, number: u64) -> Result<OpenLog> {
        let name = filename::log(number);
        let file = fs
            .open_read(&name)
            .map_err(|error| Error::io("open", &name, error))?;
        Ok(OpenLog { name, file })
    }

    fn read(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.file.len() as usize];
        let read = self.file.read_at(&mut bytes, 0);
        read.map_err(|error| Error::read(&self.name, 0, bytes.len(), error))?;
        Ok(bytes)
    }
}

/// The parts of a database at one moment.
pub(crate) struct Moment {
    pub(crate) version: Arc<Version>,
    /// The logs that hold what is not in the version's tables, oldest first, opened after the moment was published.
    pub(crate) logs: Vec<OpenLog>,
    /// The last sequence published.
    pub(crate) last: Sequence,
    /// Above the numbers of all tables.
    pub(crate) next_file_number: u64,
}

impl Shared {
    /// This moment, with its logs open.
    pub(crate) fn moment(&self) -> Result<Moment> {
        // Under the lock no version is published, so no log is removed.
        let _state = self.state.lock();
        let view = self.views.load_full()?;
        let last = view.last_sequence();
        // Newest first.
        let counters: Vec<u32> = view.memtables().map(|(counter, _)| counter).collect();
        let regions = counters.into_iter().rev();
        let logs = regions.map(|counter| self.member.control.region(counter).log());
        let open = logs.map(|number| OpenLog::open(self.fs.as_ref(), number));
        Ok(Moment {
            version: Arc::clone(&view.version),
            logs: open.collect::<Result<_>>()?,
            last,
            next_file_number: self.next_file().peek(),
        })
    }
}

impl Moment {
    /// Makes the copy in `target`, which must hold no database files. False: `go_on`, asked before each table, said no.
    pub(crate) fn copy_to(
        &self,
        fs: &dyn Fs,
        target: &dyn Fs,
        go_on: &dyn Fn() -> bool,
    ) -> Result<bool> {
        check_empty(target)?;
        for (_, file) in self.version.files() {
            if !go_on() {
                return Ok(false);
            }
            link_table(fs, target, file.number)?;
        }
        let log = self.next_file_number;
        let manifest = log + 1;
        let in_tables = self.copy_logs(target, &filename::log(log))?;
        self.write_manifest(target, log, manifest, in_tables)?;
        sync_dir(target)?;
        let temp = filename::temp(manifest);
        write(
            target,
            &temp,
            filename::current_contents(manifest).as_bytes(),
        )?;
        let renamed = target.rename(&temp, CURRENT);
        renamed.map_err(|error| Error::io("write", CURRENT, error))?;
        sync_dir(target)?;
        Ok(true)
    }

    /// Writes what the logs hold up to the moment as one log. Gives the last sequence that is in tables.
    fn copy_logs(&self, target: &dyn Fs, to: &str) -> Result<Sequence> {
        let mut writer = LogWriter::new();
        let mut copied: Option<(Sequence, Sequence)> = None;
        let mut file = target
            .create(to)
            .map_err(|error| Error::io("create", to, error))?;
        for log in &self.logs {
            let bytes = log.read()?;
            let mut out = Vec::with_capacity(bytes.len());
            for item in LogReader::new(&bytes) {
                // A record that is being written just now is torn, and after the moment.
                let LogItem::Record { payload, .. } = item else {
                    break;
                };
                let batch =
                    BatchRef::parse(&payload).map_err(|e| Error::corruption(&log.name, e))?;
                let last = (batch.sequence() + u64::from(batch.count())).saturating_sub(1);
                if last > self.last {
                    break;
                }
                if batch.count() == 0 {
                    continue;
                }
                writer.add_record(&payload, &mut out);
                let first = copied.map_or(batch.sequence(), |(first, _)| first);
                copied = Some((first, last));
            }
            let appended = file.append(&out);
            appended.map_err(|error| Error::io("append to", to, error))?;
        }
        file.sync().map_err(|error| Error::io("sync", to, error))?;
        match copied {
            None => Ok(self.last),
            Some((first, last)) if last == self.last => Ok(first.saturating_sub(1)),
            Some((_, last)) => {
                let moment = self.last;
                let message =
                    format!("the logs end at sequence {last}, before the moment {moment}");
                Err(Error::new(ErrorKind::Corruption, message))
            }
        }
    }

    fn write_manifest(
        &self,
        target: &dyn Fs,
        log: u64,
        number: u64,
        in_tables: Sequence,
    ) -> Result<()> {
        let comparator = self.version.comparator().user.name().to_owned();
        let files = self.version.files();
        let edits = [
            VersionEdit {
                comparator: Some(comparator),
                new_files: files
                    .map(|(level, file)| (level, file.to_new_file()))
                    .collect(),
                ..VersionEdit::default()
            },
            VersionEdit {
                log_number: Some(log),
                prev_log_number: Some(0),
                next_file_number: Some(number + 1),
                last_sequence: Some(in_tables),
                ..VersionEdit::default()
            },
        ];
        let mut writer = LogWriter::new();
        let mut bytes = Vec::new();
        for edit in edits {
            writer.add_record(&edit.encode(), &mut bytes);
        }
        write(target, &filename::manifest(number), &bytes)
    }
}

fn link_table(fs: &dyn Fs, target: &dyn Fs, number: u64) -> Result<()> {
    let name = filename::table(number);
    let linked = match fs.link(&name, target, &name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let old_name = filename::table_old(number);
            fs.link(&old_name, target, &old_name)
        }
        linked => linked,
    };
    linked.map_err(|error| Error::io("link", &name, error))
}

fn check_empty(target: &dyn Fs) -> Result<()> {
    let names = target
        .list()
        .map_err(|error| Error::io("list", "the target directory", error))?;
    match names.iter().find(|name| filename::parse(name).is_some()) {
        Some(name) => {
            let message = format!("a checkpoint's target must hold no database, and it has {name}");
            Err(Error::new(ErrorKind::AlreadyExists, message))
        }
        None => Ok(()),
    }
}

fn write(target: &dyn Fs, name: &str, bytes: &[u8]) -> Result<()> {
    let write = || {
        let mut file = target.create(name)?;
        file.append(bytes)?;
        file.sync()
    };
    write().map_err(|error| Error::io("write", name, error))
}

fn sync_dir(target: &dyn Fs) -> Result<()> {
    target
        .sync_dir()
        .map_err(|error| Error::io("sync", "the target directory", error))
}
