//! [`ManifestFollower`]: the versions that a leader publishes, read from its manifest by another member (docs/COMMIT.md, G1).
//!
//! Promises: a version is what the manifest says at exactly the length that was published with it. Nothing behind that
//! length is read: an edit there was not published, and may be torn. A table that consecutive versions share is one
//! [`FileMeta`], so that it is opened once and keeps its count of seeks.
//! Must not know: how versions are published, or when tables are removed.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use level_party_format::edit::NewFile;
use level_party_format::filename;
use level_party_format::log::{LogItem, LogReader};
use level_party_format::{Corruption, Sequence};

use crate::base::control::VersionRecord;
use crate::base::error::{Error, Result};
use crate::base::fs::Fs;
use crate::follow::manifest_contents::Replay;
use crate::read::files::{FileMeta, Tables};
use crate::read::seek_compaction::TellWorn;
use crate::read::version::Version;

/// Reads versions from manifests, each from where the last one ended.
pub(crate) struct ManifestFollower {
    tables: Arc<Tables>,
    tell_worn: TellWorn,
    reading: Reading,
    /// The tables of the version that was given last, by number, each with its level.
    known: HashMap<u64, (usize, Arc<FileMeta>)>,
}

/// A manifest, read up to the end of an edit.
#[derive(Default)]
struct Reading {
    /// The manifest's number. No manifest has the number 0.
    number: u64,
    end: u64,
    replay: Replay,
}

impl ManifestFollower {
    /// A follower that has read nothing yet. `tell_worn` is told of tables that reads have made worth compacting.
    pub(crate) fn new(tables: &Arc<Tables>, tell_worn: TellWorn) -> ManifestFollower {
        ManifestFollower {
            tables: Arc::clone(tables),
            tell_worn,
            reading: Reading::default(),
            known: HashMap::new(),
        }
    }

    /// The version that was published with this record. No bell rings when its last reader drops it.
    ///
    /// After an error the follower can go on with this record or any other.
    ///
    /// # Errors
    /// - [`ErrorKind::DoesNotExist`](crate::ErrorKind::DoesNotExist) if the manifest is gone, because a newer version is in another one.
    /// - [`ErrorKind::Corruption`](crate::ErrorKind::Corruption) if the manifest is damaged or ends below the published
    ///   length, if no edit ends there, or if it contradicts the record.
    /// - [`ErrorKind::ComparatorMismatch`](crate::ErrorKind::ComparatorMismatch), or the system's error.
    pub(crate) fn follow(&mut self, record: &VersionRecord) -> Result<Arc<Version>> {
        let stands_before =
            self.reading.number == record.manifest && self.reading.end <= record.length;
        if !stands_before {
            self.reading = Reading {
                number: record.manifest,
                ..Reading::default()
            };
        }
        let comparator = self.tables.comparator().user.name();
        self.reading
            .read_to(record.length, self.tables.fs().as_ref(), comparator)?;
        let version = self.version();
        check(&version, &self.reading.replay, record).map_err(|what| {
            let name = filename::manifest(record.manifest);
            Error::corruption(&name, what.at(record.length))
        })?;
        self.known = version
            .files()
            .map(|(level, file)| (file.number, (level, Arc::clone(file))))
            .collect();
        Ok(Arc::new(version))
    }

    /// The version that the manifest says so far.
    fn version(&self) -> Version {
        let levels = self
            .reading
            .replay
            .levels(|level, file| match self.known.get(&file.number) {
                Some((before, known)) if is_same(known, file) => {
                    if *before != level {
                        known.seeks().renew(known.size);
                    }
                    Arc::clone(known)
                }
                _ => Arc::new(FileMeta::from(file.clone())),
            });
        let version = Version::new(levels, Arc::clone(&self.tables));
        version.telling(Arc::clone(&self.tell_worn))
    }
}

/// Whether the manifest says of a file what is known of the one with its number.
fn is_same(known: &FileMeta, file: &NewFile) -> bool {
    known.size == file.size && known.smallest == file.smallest && known.largest == file.largest
}

/// Checks the order that reads rely on, and that record and manifest were made together.
fn check(version: &Version, replay: &Replay, record: &VersionRecord) -> Result<(), Corruption> {
    version.check_order()?;
    let says: (Option<u64>, Option<Sequence>, u64) = (
        replay.log_number(),
        replay.last_sequence(),
        version.level(0).len() as u64,
    );
    let published = (
        Some(record.log_number),
        Some(record.last),
        record.level_zero,
    );
    if says != published {
        let what = "log number, last sequence and tables on level 0";
        return Err(Corruption::new(format!(
            "its {what} are {says:?}, but {published:?} were published"
        )));
    }
    Ok(())
}

impl Reading {
    /// Applies the edits up to `length`. After an error it stands behind the last edit that it applied.
    fn read_to(&mut self, length: u64, fs: &dyn Fs, comparator: &str) -> Result<()> {
        if self.end == length {
            return Ok(());
        }
        let name = filename::manifest(self.number);
        let bytes = self.bytes_to(length, fs, &name)?;
        let damaged =
            |what: String, at| Err(Error::corruption(&name, Corruption::new(what).at(at)));
        let no_edit = || format!("no edit ends at offset {length}, where the published edits end");
        for item in LogReader::new_at(self.end, &bytes) {
            match item {
                LogItem::Record {
                    payload,
                    offset,
                    end,
                } => {
                    let applied = self.replay.apply(&payload, comparator);
                    applied.map_err(|error| error.at(&name, offset))?;
                    self.end = end;
                }
                LogItem::Torn { offset, .. } => return damaged(no_edit(), offset),
                LogItem::Bad { offset, what, .. } => return damaged(what, offset),
            }
        }
        if self.end != length {
            // The rest of the block is too short for an edit.
            return damaged(no_edit(), self.end);
        }
        Ok(())
    }

    /// The bytes from where it stands.
    fn bytes_to(&self, length: u64, fs: &dyn Fs, name: &str) -> Result<Vec<u8>> {
        let file = fs
            .open_read(name)
            .map_err(|error| Error::io("open", name, error))?;
        if file.len() < length {
            let what = format!("it ends there, and {length} bytes of it were published");
            return Err(Error::corruption(
                name,
                Corruption::new(what).at(file.len()),
            ));
        }
        let no_memory = || Error::io("read", name, io::ErrorKind::OutOfMemory.into());
        let len = usize::try_from(length - self.end).map_err(|_| no_memory())?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| no_memory())?;
        bytes.resize(len, 0);
        file.read_at(&mut bytes, self.end)
            .map_err(|error| Error::read(name, self.end, len, error))?;
        Ok(bytes)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
