//! What a manifest says: [`Contents`], read edit by edit (LevelDB `doc/impl.md`, Manifest).
//!
//! Promises: a torn end was never relied on, and is left out; anything else that is wrong is an error, or told.
//! Must not know: who writes manifests, or when.

use std::collections::BTreeMap;
use std::sync::Arc;

use level_party_format::edit::{LEVELS, NewFile, VersionEdit};
use level_party_format::filename::{self, CURRENT};
use level_party_format::log::{LogItem, LogReader};
use level_party_format::{Corruption, Sequence};

use crate::base::bell::Bell;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::Fs;
use crate::base::options::RecoveryMode;
use crate::read::files::{FileMeta, Tables};
use crate::read::version::Version;

/// The number of the manifest that `CURRENT` names; nothing where there is no `CURRENT`, or none that names one.
///
/// # Errors
/// What keeps an existing `CURRENT` from being read.
pub fn current_manifest(fs: &dyn Fs) -> std::io::Result<Option<u64>> {
    let contents = match fs.read(CURRENT) {
        Ok(contents) => contents,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let name = filename::parse_current(&contents).ok();
    let parsed = name.and_then(|name| filename::parse(&name));
    Ok(parsed.map(|(_, number)| number))
}

/// The files that a manifest names, by level and number.
pub(crate) type Files = BTreeMap<(usize, u64), NewFile>;

/// What a manifest says, all its edits applied.
pub(crate) struct Contents {
    pub(crate) log_number: u64,
    pub(crate) prev_log_number: u64,
    pub(crate) next_file_number: u64,
    pub(crate) last_sequence: Sequence,
    pub(crate) compact_pointers: [Vec<u8>; LEVELS],
    pub(crate) files: Files,
    /// What was dropped at the manifest's end, as sentences.
    pub(crate) dropped: Vec<String>,
    /// Those of them by which something may be lost that was answered.
    pub(crate) lost: Vec<String>,
}

impl Contents {
    /// What the manifest of a database just made says: numbers start at 2, as after LevelDB's own first step.
    pub(crate) fn of_new_database() -> Contents {
        Contents {
            log_number: 0,
            prev_log_number: 0,
            next_file_number: 2,
            last_sequence: 0,
            compact_pointers: Default::default(),
            files: BTreeMap::new(),
            dropped: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// Reads the manifest that `CURRENT` names.
    ///
    /// A torn last record was never relied on, and is left out. A bad record is corruption; but after a loss of power,
    /// where nothing good follows it, it is as good as torn.
    pub(crate) fn read(fs: &dyn Fs, comparator: &str, mode: RecoveryMode) -> Result<Contents> {
        let current = fs
            .read(CURRENT)
            .map_err(|error| Error::io("read", CURRENT, error))?;
        let name = filename::parse_current(&current).map_err(|e| Error::corruption(CURRENT, e))?;
        let bytes = fs.read(&name).map_err(|error| {
            let message = format!("CURRENT names {name}, which can't be read: {error}");
            Error::with_source(ErrorKind::Corruption, message, error)
        })?;
        let mut state = Replay::default();
        let mut bad: Option<Corruption> = None;
        let mut dropped = Vec::new();
        let mut lost = Vec::new();
        for item in LogReader::new(&bytes) {
            match item {
                LogItem::Record {
                    payload, offset, ..
                } => {
                    if let Some(bad) = bad {
                        return Err(Error::corruption(&name, bad));
                    }
                    state
                        .apply(&payload, comparator)
                        .map_err(|error| error.at(&name, offset))?;
                }
                LogItem::Torn { offset, bytes } => {
                    dropped.push(format!(
                        "{bytes} bytes of a torn edit at the end of {name}, offset {offset}"
                    ));
                }
                LogItem::Bad { offset, what, .. } => {
                    let error = Corruption::new(what).at(offset);
                    if mode == RecoveryMode::SameBoot {
                        return Err(Error::corruption(&name, error));
                    }
                    let what = format!(
                        "a damaged edit at the end of {name}, offset {offset}: {}",
                        error.what
                    );
                    lost.push(what.clone());
                    dropped.push(what);
                    bad.get_or_insert(error);
                }
            }
        }
        let mut contents = state.finish().map_err(|e| Error::corruption(&name, e))?;
        contents.dropped = dropped;
        contents.lost = lost;
        Ok(contents)
    }

    /// Notes that something was left out by which answered writes may be lost.
    pub(crate) fn lose(&mut self, sentence: String) {
        self.dropped.push(sentence.clone());
        self.lost.push(sentence);
    }

    /// The version of these files.
    pub(crate) fn version(&self, tables: &Arc<Tables>, bell: &Arc<Bell>) -> Result<Arc<Version>> {
        let levels = levels_of(&self.files, |_, file| {
            Arc::new(FileMeta::from(file.clone()))
        });
        let version = Version::new(levels, Arc::clone(tables)).ringing(bell);
        version
            .check_order()
            .map_err(|error| Error::corruption("the manifest", error))?;
        Ok(Arc::new(version))
    }
}

/// The files of each level, as `open` gives them.
fn levels_of(
    files: &Files,
    mut open: impl FnMut(usize, &NewFile) -> Arc<FileMeta>,
) -> [Vec<Arc<FileMeta>>; LEVELS] {
    let mut levels: [Vec<Arc<FileMeta>>; LEVELS] = Default::default();
    for ((level, _), file) in files {
        levels[*level].push(open(*level, file));
    }
    levels
}

/// Why an edit can't be applied.
pub(crate) enum EditError {
    Bytes(Corruption),
    Comparator(String),
}

impl EditError {
    /// Places a bad edit in its file, unless it is not the bytes that are wrong.
    pub(crate) fn at(self, name: &str, offset: u64) -> Error {
        match self {
            EditError::Bytes(corruption) => {
                Error::corruption(name, Corruption::new(corruption.what).at(offset))
            }
            EditError::Comparator(message) => Error::new(ErrorKind::ComparatorMismatch, message),
        }
    }
}

/// The edits of a manifest, one after the other.
#[derive(Default)]
pub(crate) struct Replay {
    log_number: Option<u64>,
    prev_log_number: Option<u64>,
    next_file_number: Option<u64>,
    last_sequence: Option<Sequence>,
    compact_pointers: [Vec<u8>; LEVELS],
    files: Files,
}

impl Replay {
    /// Applies an edit, or nothing of it.
    pub(crate) fn apply(&mut self, payload: &[u8], comparator: &str) -> Result<(), EditError> {
        let edit = VersionEdit::decode(payload).map_err(EditError::Bytes)?;
        if let Some(name) = &edit.comparator
            && name != comparator
        {
            return Err(EditError::Comparator(format!(
                "the database was made with the comparator {name}, not {comparator}"
            )));
        }
        self.log_number = edit.log_number.or(self.log_number);
        self.prev_log_number = edit.prev_log_number.or(self.prev_log_number);
        self.next_file_number = edit.next_file_number.or(self.next_file_number);
        self.last_sequence = edit.last_sequence.or(self.last_sequence);
        for (level, key) in edit.compact_pointers {
            self.compact_pointers[level] = key;
        }
        for place in &edit.deleted_files {
            self.files.remove(place);
        }
        for (level, file) in edit.new_files {
            self.files.insert((level, file.number), file);
        }
        Ok(())
    }

    /// The log number of the last edit that has one.
    pub(crate) fn log_number(&self) -> Option<u64> {
        self.log_number
    }

    /// The last sequence of the last edit that has one.
    pub(crate) fn last_sequence(&self) -> Option<Sequence> {
        self.last_sequence
    }

    /// The files of each level after the edits so far, as `open` gives them.
    pub(crate) fn levels(
        &self,
        open: impl FnMut(usize, &NewFile) -> Arc<FileMeta>,
    ) -> [Vec<Arc<FileMeta>>; LEVELS] {
        levels_of(&self.files, open)
    }

    pub(crate) fn finish(self) -> Result<Contents, Corruption> {
        let missing = |what: &str| Corruption::new(format!("it has no {what}"));
        Ok(Contents {
            log_number: self.log_number.ok_or_else(|| missing("log number"))?,
            prev_log_number: self.prev_log_number.unwrap_or(0),
            next_file_number: self
                .next_file_number
                .ok_or_else(|| missing("next file number"))?,
            last_sequence: self.last_sequence.ok_or_else(|| missing("last sequence"))?,
            compact_pointers: self.compact_pointers,
            files: self.files,
            dropped: Vec::new(),
            lost: Vec::new(),
        })
    }
}
