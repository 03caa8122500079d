//! Which manifest a damaged directory is to be understood by.
//!
//! An opening goes by the manifest that `CURRENT` names, or fails. `verify` and repair have to make the best of what is
//! there: the manifest that `CURRENT` names if it is whole and all it names is there; else the newest whole one of which
//! that is true; else the best that can be read, as far as it can be read. The last kind is *stale*: edits are missing
//! from its end, or files that it names are gone, so there may be newer files that it does not know.
//!
//! Promises: a manifest is read up to its first damage, never beyond it. The comparator is told from any manifest that can
//! be read. Every manifest is read once, one at a time.
//! Must not know: tables' contents, or what is done about the damage.

use std::collections::BTreeSet;
use std::io;

use level_party_format::Corruption;
use level_party_format::edit::VersionEdit;
use level_party_format::filename::{self, CURRENT, FileKind};
use level_party_format::log::{LogItem, LogReader};

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::fs::Fs;
use crate::follow::manifest_contents::{Contents, EditError, Replay};
use crate::lead::file_numbers::is_newest_number;

/// `CURRENT` is a name and a newline. A longer file is no `CURRENT`, and is not read.
const MAX_CURRENT: u64 = 4096;

/// The manifest that was chosen.
pub(crate) struct Chosen {
    pub(crate) number: u64,
    pub(crate) contents: Contents,
    /// Tables that its own edits removed again: they are obsolete, whatever else is lost.
    pub(crate) removed: BTreeSet<u64>,
    has_all_files: bool,
    /// It is the one that counts, it is whole, and all files that it names are there.
    pub(crate) is_complete: bool,
}

impl Chosen {
    /// Whether a table that the manifest does not name is of no use for a database whose files are sound: it was replaced
    /// by others, or was there when the manifest was made and left out of it.
    pub(crate) fn is_obsolete(&self, table: u64) -> bool {
        // A manifest that was copied to another name says nothing by its number. Its own was taken before what it holds.
        let has_own_number = self.number < self.contents.next_file_number;
        (has_own_number && table < self.number) || self.removed.contains(&table)
    }
}

/// What was found out about a directory's manifests.
pub(crate) struct Choice {
    /// Nothing, where no manifest can be read so far that it says which tables there are.
    pub(crate) chosen: Option<Chosen>,
    /// What is wrong with `CURRENT` and with the manifest it names, and where that is.
    pub(crate) flaws: Vec<(String, Error)>,
}

/// Chooses among the manifests in `names`.
///
/// # Errors
/// [`ErrorKind::ComparatorMismatch`], or what keeps `CURRENT` from being read though it is there.
pub(crate) fn choose(fs: &dyn Fs, comparator: &str, names: &[String]) -> Result<Choice> {
    let mut flaws = Vec::new();
    let current = match current_name(fs)? {
        Ok(name) if names.contains(&name) => Some(name),
        Ok(name) => {
            let message = format!("CURRENT names {name}, which does not exist");
            flaws.push((
                CURRENT.to_owned(),
                Error::new(ErrorKind::Corruption, message),
            ));
            None
        }
        Err(error) => {
            flaws.push((CURRENT.to_owned(), error));
            None
        }
    };
    let mut manifests: Vec<(u64, &String)> = names
        .iter()
        .filter_map(|name| match filename::parse(name) {
            Some((FileKind::Manifest, number)) => Some((number, name)),
            _ => None,
        })
        .collect();
    // The newest first, but for the one that counts: its comparator decides, and its flaws are told.
    manifests.sort_by_key(|(number, name)| {
        (Some(*name) != current.as_ref(), std::cmp::Reverse(*number))
    });
    let newest = manifests.iter().map(|(number, _)| *number).max();
    let numbers = Numbers::of(names);
    let mut readable: Vec<Chosen> = Vec::new();
    for (number, name) in manifests {
        let is_current = Some(name) == current.as_ref();
        let reading = Reading::of(fs, name, comparator)?;
        let is_sound = reading.flaw.is_none();
        if let (true, Some(flaw)) = (is_current, reading.flaw) {
            flaws.push((name.clone(), flaw));
        }
        let Some(contents) = reading.contents else {
            continue;
        };
        let has_all_files = numbers.has_all_of(&contents);
        // Any killed process may leave a torn end; that of another manifest than the named one says nothing sure.
        let counts = is_current || (!reading.is_torn && Some(number) == newest);
        let chosen = Chosen {
            number,
            contents,
            removed: reading.removed,
            has_all_files,
            is_complete: is_sound && has_all_files && counts,
        };
        let is_complete = chosen.is_complete;
        readable.push(chosen);
        if is_complete {
            break;
        }
    }
    let named = current.and_then(|name| filename::parse(&name));
    let named = named.map(|(_, number)| number);
    let chosen = best_of(readable, named);
    if let (Some(named), Some(chosen)) = (named, &chosen)
        && named != chosen.number
        && flaws.is_empty()
    {
        flaws.push((CURRENT.to_owned(), names_older(named, chosen.number)));
    }
    Ok(Choice { chosen, flaws })
}

/// The complete one; else one with all its files that was to replace the named one; else the named one, or the newest.
fn best_of(mut readable: Vec<Chosen>, named: Option<u64>) -> Option<Chosen> {
    if readable.last().is_some_and(|last| last.is_complete) {
        return readable.pop();
    }
    let oldest = named.filter(|named| readable.iter().any(|it| it.number == *named));
    let best = readable
        .iter()
        .position(|it| it.has_all_files && Some(it.number) > oldest)
        .unwrap_or(0);
    (best < readable.len()).then(|| readable.swap_remove(best))
}

/// `CURRENT` names a sound manifest, but another one fits the files better.
fn names_older(named: u64, chosen: u64) -> Error {
    let message = format!(
        "CURRENT names {}, of which files are missing; {} is newer",
        filename::manifest(named),
        filename::manifest(chosen)
    );
    Error::new(ErrorKind::Corruption, message)
}

/// The numbers of a directory's files.
struct Numbers<'a> {
    tables: BTreeSet<u64>,
    logs: BTreeSet<u64>,
    names: &'a [String],
}

impl Numbers<'_> {
    fn of(names: &[String]) -> Numbers<'_> {
        let all = |wanted: FileKind| {
            let parsed = names.iter().filter_map(|name| filename::parse(name));
            let wanted = parsed.filter(move |(kind, _)| *kind == wanted);
            wanted.map(|(_, number)| number).collect()
        };
        Numbers {
            tables: all(FileKind::Table),
            logs: all(FileKind::Log),
            names,
        }
    }

    /// Whether all tables that a manifest names are there, and the log that it needs.
    fn has_all_of(&self, contents: &Contents) -> bool {
        let log = contents.log_number;
        let has_log = log == 0 || self.logs.contains(&log) || is_newest_number(log, self.names);
        has_log
            && contents
                .files
                .keys()
                .all(|(_, number)| self.tables.contains(number))
    }
}

/// The manifest that `CURRENT` names, or what is wrong with it.
fn current_name(fs: &dyn Fs) -> Result<Result<String>> {
    let file = match fs.open_read(CURRENT) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = Corruption::new("it is missing");
            return Ok(Err(Error::corruption(CURRENT, what)));
        }
        Err(error) => return Err(Error::io("open", CURRENT, error)),
    };
    if file.len() > MAX_CURRENT {
        let what = Corruption::new(format!("it has {} bytes", file.len()));
        return Ok(Err(Error::corruption(CURRENT, what)));
    }
    let mut bytes = vec![0; file.len() as usize];
    if let Err(error) = file.read_at(&mut bytes, 0) {
        return Ok(Err(Error::io("read", CURRENT, error)));
    }
    Ok(filename::parse_current(&bytes).map_err(|error| Error::corruption(CURRENT, error)))
}

/// A manifest, read up to its first damage.
struct Reading {
    contents: Option<Contents>,
    removed: BTreeSet<u64>,
    /// It ends within an edit.
    is_torn: bool,
    /// What is wrong; a torn end is not.
    flaw: Option<Error>,
}

impl Reading {
    fn of(fs: &dyn Fs, name: &str, comparator: &str) -> Result<Reading> {
        let mut reading = Reading {
            contents: None,
            removed: BTreeSet::new(),
            is_torn: false,
            flaw: None,
        };
        let bytes = match fs.read(name) {
            Ok(bytes) => bytes,
            Err(error) => {
                reading.flaw = Some(Error::io("read", name, error));
                return Ok(reading);
            }
        };
        let mut state = Replay::default();
        let mut dropped = Vec::new();
        for item in LogReader::new(&bytes) {
            match item {
                LogItem::Record {
                    payload, offset, ..
                } => match state.apply(&payload, comparator) {
                    Ok(()) => reading.note_removed(&payload),
                    Err(EditError::Bytes(error)) => {
                        reading.flaw = Some(EditError::Bytes(error).at(name, offset));
                    }
                    Err(mismatch) => return Err(mismatch.at(name, offset)),
                },
                LogItem::Torn { offset, bytes } => {
                    reading.is_torn = true;
                    dropped.push(format!(
                        "{bytes} bytes of a torn edit at the end of {name}, offset {offset}"
                    ));
                }
                LogItem::Bad { offset, what, .. } => {
                    let error = Corruption::new(what).at(offset);
                    reading.flaw = Some(Error::corruption(name, error));
                }
            }
            if reading.flaw.is_some() {
                break;
            }
        }
        match state.finish() {
            Ok(contents) => {
                reading.contents = Some(Contents {
                    dropped,
                    ..contents
                });
            }
            Err(error) => {
                reading.flaw.get_or_insert(Error::corruption(name, error));
            }
        }
        Ok(reading)
    }

    fn note_removed(&mut self, edit: &[u8]) {
        // It was decoded before.
        if let Ok(edit) = VersionEdit::decode(edit) {
            self.removed
                .extend(edit.deleted_files.iter().map(|(_, number)| *number));
            for (_, file) in &edit.new_files {
                self.removed.remove(&file.number);
            }
        }
    }
}
