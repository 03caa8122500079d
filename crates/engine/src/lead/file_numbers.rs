//! Numbers of files: which are taken in a directory, and which is the first that never was.
//!
//! Must not know: what is in the files.

use level_party_format::filename::{self, FileKind};

use crate::base::error::{Error, ErrorKind, Result};
use crate::follow::manifest_contents::Contents;
use crate::lead::aside_names::{ASIDE_PREFIX, REPLACED_PREFIX, own_name};

/// No file of a sound database has a number as high as this; far below where numbers would overflow.
const MAX_FILE_NUMBER: u64 = 1 << 56;

/// The numbers of a directory's logs, tables and manifests, those that were set aside too.
fn numbers_of(names: &[String]) -> impl Iterator<Item = u64> + '_ {
    names.iter().filter_map(|name| {
        let aside = [ASIDE_PREFIX, REPLACED_PREFIX];
        let mut was = aside.iter().filter_map(|prefix| name.strip_prefix(prefix));
        match filename::parse(was.next().map_or(name, own_name)) {
            Some((FileKind::Log | FileKind::Table | FileKind::Manifest, number)) => Some(number),
            _ => None,
        }
    })
}

/// Above the manifest's word and above every number in the directory: a process that still reads a file left over from
/// before a crash must not see it change.
pub(crate) fn first_free_number(contents: &Contents, names: &[String]) -> Result<u64> {
    let first = numbers_of(names)
        .map(|number| number.saturating_add(1))
        .filter(|number| *number < MAX_FILE_NUMBER)
        .chain([
            contents.next_file_number,
            contents.log_number.saturating_add(1),
            contents.prev_log_number.saturating_add(1),
        ])
        .max()
        .unwrap_or(contents.next_file_number);
    if first >= MAX_FILE_NUMBER {
        let message =
            format!("the manifest says that {first} is the next file number, which can't be");
        return Err(Error::new(ErrorKind::Corruption, message));
    }
    Ok(first)
}

/// Whether no file of a directory has this number or a higher one.
pub(crate) fn is_newest_number(number: u64, names: &[String]) -> bool {
    numbers_of(names).all(|other| other < number)
}
