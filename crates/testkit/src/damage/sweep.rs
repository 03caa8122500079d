//! The damage sweep: every damage of every file of a directory.

use std::collections::BTreeSet;
use std::fmt;

use level_party_format::filename::{self, FileKind};

use super::Files;
use super::holdings::{data_blocks, footer, record_bytes};

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Removed,
    Emptied,
    /// Its length is less than it was.
    CutTo(usize),
    /// One byte is another.
    ChangedAt(usize),
    Zeroed,
    /// Its last bytes are zero.
    EndZeroed(usize),
}

/// One damage of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: String,
    harm: Harm,
}

/// What a changed byte is combined with.
const CHANGE: u8 = 0x55;
/// Bytes of a sector.
const SECTOR: usize = 512;
/// Bytes that are changed in any file, spread over it.
const SPREAD: usize = 6;

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = &self.file;
        match self.harm {
            Harm::Removed => write!(f, "{file} removed"),
            Harm::Emptied => write!(f, "{file} emptied"),
            Harm::CutTo(length) => write!(f, "{file} cut to {length}"),
            Harm::ChangedAt(offset) => write!(f, "{file} changed at {offset}"),
            Harm::Zeroed => write!(f, "{file} zeroed"),
            Harm::EndZeroed(bytes) => write!(f, "{file} last {bytes} zeroed"),
        }
    }
}

impl Damage {
    /// The files with this damage.
    pub fn apply(&self, files: &Files) -> Files {
        let mut files = files.clone();
        let mut contents = files.take(&self.file);
        let length = contents.len();
        match self.harm {
            Harm::Removed => return files,
            Harm::Emptied => contents.clear(),
            Harm::CutTo(length) => contents.truncate(length),
            Harm::ChangedAt(offset) => contents[offset] ^= CHANGE,
            Harm::Zeroed => contents.fill(0),
            Harm::EndZeroed(bytes) => contents[length - bytes..].fill(0),
        }
        files.put(&self.file, contents);
        files
    }
}

/// Every damage of `CURRENT`, the manifests, the tables and the logs of a sound directory.
pub fn damages(files: &Files) -> Vec<Damage> {
    let mut damages = Vec::new();
    for (name, contents) in &files.0 {
        let kind = match filename::parse(name) {
            Some((FileKind::Lock | FileKind::InfoLog | FileKind::Temp, _)) | None => continue,
            Some((kind, _)) => kind,
        };
        let mut harms = vec![Harm::Removed];
        if !contents.is_empty() {
            harms.push(Harm::Emptied);
            harms.extend(cuts(contents.len()).into_iter().map(Harm::CutTo));
            harms.extend(changes(kind, contents).into_iter().map(Harm::ChangedAt));
            harms.push(Harm::Zeroed);
            let end = SECTOR.min(contents.len());
            if end < contents.len() {
                harms.push(Harm::EndZeroed(end));
            }
        }
        damages.extend(harms.into_iter().map(|harm| Damage {
            file: name.clone(),
            harm,
        }));
    }
    damages
}

fn cuts(length: usize) -> BTreeSet<usize> {
    let cuts = [
        length / 4,
        length / 2,
        length / 4 * 3,
        length.saturating_sub(48),
        length - 1,
    ];
    cuts.into_iter().filter(|cut| *cut > 0).collect()
}

/// Offsets of the bytes to be changed: spread over the file, and in each kind of structure.
fn changes(kind: FileKind, contents: &[u8]) -> BTreeSet<usize> {
    let length = contents.len();
    let mut offsets: BTreeSet<usize> = (0..SPREAD).map(|n| n * length / SPREAD).collect();
    offsets.insert(length - 1);
    match kind {
        FileKind::Table => {
            let footer = footer(contents);
            let data = data_blocks(contents);
            let middle = data[data.len() / 2];
            for handle in [data[0], middle, footer.metaindex, footer.index] {
                let trailer = (handle.offset + handle.size) as usize;
                offsets.extend([trailer, trailer + 1]);
            }
            for handle in [middle, footer.index] {
                offsets.insert(handle.offset as usize + 3);
            }
            // The footer's handles, and what fills it up.
            offsets.extend([length - 48, length - 46, length - 20, length - 8]);
        }
        FileKind::Log | FileKind::Manifest => {
            let records = record_bytes(contents);
            for record in [
                records.first(),
                records.get(records.len() / 2),
                records.last(),
            ] {
                let Some(record) = record else { continue };
                // Checksum, length and type of the header; sequence, and what comes behind it.
                let within = [0, 4, 5, 6, 7, 20].map(|at| record.start + at);
                offsets.extend(within.into_iter().filter(|at| *at < record.end));
                offsets.insert(usize::midpoint(record.start, record.end));
            }
        }
        _ => {}
    }
    offsets
}
