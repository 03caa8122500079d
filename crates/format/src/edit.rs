//! Version edits: the records of a MANIFEST (`db/version_edit.cc`).
//!
//! A sequence of fields, each a varint tag and its contents:
//!
//! | tag | field | contents |
//! |---|---|---|
//! | 1 | comparator | length-prefixed name |
//! | 2 | log number | varint: the oldest WAL still needed |
//! | 3 | next file number | varint |
//! | 4 | last sequence | varint |
//! | 5 | compact pointer | level, length-prefixed internal key |
//! | 6 | deleted file | level, number |
//! | 7 | new file | level, number, size, smallest and largest internal keys |
//! | 9 | previous log number | varint |
//!
//! Tag 8 was used once and is an error, as is a level of 7 or more. Whoever applies an edit takes the deleted files
//! away before it adds the new ones.

use crate::{Corruption, MAX_SEQUENCE, Sequence, key, varint};

/// How many levels a version has.
pub const LEVELS: usize = 7;

const COMPARATOR: u32 = 1;
const LOG_NUMBER: u32 = 2;
const NEXT_FILE_NUMBER: u32 = 3;
const LAST_SEQUENCE: u32 = 4;
const COMPACT_POINTER: u32 = 5;
const DELETED_FILE: u32 = 6;
const NEW_FILE: u32 = 7;
const PREV_LOG_NUMBER: u32 = 9;

/// What is wrong with a field that LevelDB does not have.
const UNKNOWN_TAG: &str = "unknown tag";

/// A table that an edit adds to a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// The number in the file's name.
    pub number: u64,
    /// Its length in bytes.
    pub size: u64,
    /// Its first internal key.
    pub smallest: Vec<u8>,
    /// Its last internal key.
    pub largest: Vec<u8>,
}

/// The difference between one version and the next. A field that is `None` says nothing.
///
/// ```
/// use level_party_format::edit::VersionEdit;
///
/// let edit = VersionEdit {
///     log_number: Some(4),
///     deleted_files: vec![(0, 12)],
///     ..VersionEdit::default()
/// };
/// assert_eq!(edit.encode(), [2, 4, 6, 0, 12]);
/// assert_eq!(VersionEdit::decode(&edit.encode())?, edit);
/// # Ok::<(), level_party_format::Corruption>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionEdit {
    /// The name of the order of the user keys.
    pub comparator: Option<String>,
    /// WALs with a lower number are not needed any more (except `prev_log_number`).
    pub log_number: Option<u64>,
    /// A WAL of LevelDB before 1.2 that was still being flushed; 0 for none.
    pub prev_log_number: Option<u64>,
    /// The number for the next file to be made.
    pub next_file_number: Option<u64>,
    /// The last sequence used when the edit was written.
    pub last_sequence: Option<Sequence>,
    /// Per level, the internal key at which the next compaction of that level starts.
    pub compact_pointers: Vec<(usize, Vec<u8>)>,
    /// Tables that leave a level: level and number.
    pub deleted_files: Vec<(usize, u64)>,
    /// Tables that join a level.
    pub new_files: Vec<(usize, NewFile)>,
}

impl VersionEdit {
    /// The bytes of the edit: one record of a MANIFEST.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(name) = &self.comparator {
            varint::put_u32(&mut out, COMPARATOR);
            varint::put_length_prefixed(&mut out, name.as_bytes());
        }
        for (tag, number) in [
            (LOG_NUMBER, self.log_number),
            (PREV_LOG_NUMBER, self.prev_log_number),
            (NEXT_FILE_NUMBER, self.next_file_number),
            (LAST_SEQUENCE, self.last_sequence),
        ] {
            if let Some(number) = number {
                varint::put_u32(&mut out, tag);
                varint::put_u64(&mut out, number);
            }
        }
        for (level, key) in &self.compact_pointers {
            varint::put_u32(&mut out, COMPACT_POINTER);
            put_level(&mut out, *level);
            varint::put_length_prefixed(&mut out, key);
        }
        for (level, number) in &self.deleted_files {
            varint::put_u32(&mut out, DELETED_FILE);
            put_level(&mut out, *level);
            varint::put_u64(&mut out, *number);
        }
        for (level, file) in &self.new_files {
            varint::put_u32(&mut out, NEW_FILE);
            put_level(&mut out, *level);
            varint::put_u64(&mut out, file.number);
            varint::put_u64(&mut out, file.size);
            varint::put_length_prefixed(&mut out, &file.smallest);
            varint::put_length_prefixed(&mut out, &file.largest);
        }
        out
    }

    /// The edit in `bytes`. A number that is there twice counts as its last, as in LevelDB. Stricter than LevelDB in
    /// that keys must be whole internal keys, the last sequence at most [`MAX_SEQUENCE`], and the comparator's name
    /// UTF-8.
    pub fn decode(bytes: &[u8]) -> Result<Self, Corruption> {
        let mut edit = VersionEdit::default();
        let mut fields = Fields { rest: bytes };
        while !fields.rest.is_empty() {
            let offset = (bytes.len() - fields.rest.len()) as u64;
            if let Err(what) = edit.take_field(&mut fields) {
                return Err(Corruption::new(format!("version edit: {what}")).at(offset));
            }
        }
        Ok(edit)
    }

    fn take_field(&mut self, fields: &mut Fields<'_>) -> Result<(), &'static str> {
        match fields.u32().ok_or("invalid tag")? {
            COMPARATOR => {
                let name = fields.bytes().ok_or("comparator name")?;
                let name = std::str::from_utf8(name).map_err(|_| "comparator name is not UTF-8")?;
                self.comparator = Some(name.to_owned());
            }
            LOG_NUMBER => self.log_number = Some(fields.u64().ok_or("log number")?),
            PREV_LOG_NUMBER => {
                self.prev_log_number = Some(fields.u64().ok_or("previous log number")?);
            }
            NEXT_FILE_NUMBER => {
                self.next_file_number = Some(fields.u64().ok_or("next file number")?);
            }
            LAST_SEQUENCE => {
                let last = fields.u64().filter(|last| *last <= MAX_SEQUENCE);
                self.last_sequence = Some(last.ok_or("last sequence")?);
            }
            COMPACT_POINTER => {
                let pointer = fields.compact_pointer().ok_or("compact pointer")?;
                self.compact_pointers.push(pointer);
            }
            DELETED_FILE => {
                let deleted = fields.deleted_file().ok_or("deleted file")?;
                self.deleted_files.push(deleted);
            }
            NEW_FILE => self.new_files.push(fields.new_file().ok_or("new file")?),
            _ => return Err(UNKNOWN_TAG),
        }
        Ok(())
    }
}

/// The first tag of an edit that LevelDB does not have, if all fields before it can be read. Programs that began as LevelDB
/// have tags of their own.
///
/// ```
/// use level_party_format::edit::unknown_tag;
///
/// assert_eq!(unknown_tag(&[2, 4, 3, 7]), None);
/// assert_eq!(unknown_tag(&[2, 4, 203, 1, 0]), Some(203));
/// ```
pub fn unknown_tag(bytes: &[u8]) -> Option<u32> {
    let mut edit = VersionEdit::default();
    let mut fields = Fields { rest: bytes };
    while !fields.rest.is_empty() {
        let field = fields.rest;
        match edit.take_field(&mut fields) {
            Ok(()) => {}
            Err(UNKNOWN_TAG) => return varint::get_u32(field).map(|(tag, _)| tag),
            Err(_) => return None,
        }
    }
    None
}

fn put_level(out: &mut Vec<u8>, level: usize) {
    debug_assert!(level < LEVELS);
    varint::put_u64(out, level as u64);
}

/// The bytes still to be decoded. Each method takes its item from the front; `None` if it is not there or wrong.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn u32(&mut self) -> Option<u32> {
        let (value, rest) = varint::get_u32(self.rest)?;
        self.rest = rest;
        Some(value)
    }

    fn u64(&mut self) -> Option<u64> {
        let (value, rest) = varint::get_u64(self.rest)?;
        self.rest = rest;
        Some(value)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let (value, rest) = varint::get_length_prefixed(self.rest)?;
        self.rest = rest;
        Some(value)
    }

    fn level(&mut self) -> Option<usize> {
        let level = self.u32()? as usize;
        (level < LEVELS).then_some(level)
    }

    fn internal_key(&mut self) -> Option<Vec<u8>> {
        let bytes = self.bytes()?;
        key::parse(bytes).ok().map(|_| bytes.to_vec())
    }

    fn compact_pointer(&mut self) -> Option<(usize, Vec<u8>)> {
        Some((self.level()?, self.internal_key()?))
    }

    fn deleted_file(&mut self) -> Option<(usize, u64)> {
        Some((self.level()?, self.u64()?))
    }

    fn new_file(&mut self) -> Option<(usize, NewFile)> {
        let level = self.level()?;
        let file = NewFile {
            number: self.u64()?,
            size: self.u64()?,
            smallest: self.internal_key()?,
            largest: self.internal_key()?,
        };
        Some((level, file))
    }
}

#[cfg(test)]
mod tests;
