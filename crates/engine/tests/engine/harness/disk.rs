//! [`Disk`]: what is durable and what is not, after each recorded step.
//!
//! The rules are those of docs/DURABILITY.md: synced bytes stay; of bytes that were not synced any part may be there,
//! with zeroes or anything at all in place of the rest; each entry of the directory is changed in one step, and those
//! changes that were not synced may be there or not, each for itself. A file that was cut may have its old end again until
//! its length is synced too.

use std::collections::BTreeMap;
use std::ops::Range;

use super::record::{Files, Step};

/// A directory on a medium with a cache.
#[derive(Clone)]
pub struct Disk {
    files: Vec<Content>,
    /// What the running system sees.
    names: BTreeMap<String, usize>,
    /// What the medium has for certain.
    durable: BTreeMap<String, usize>,
    /// Changes of entries since the last sync of the directory, in order.
    pub pending: Vec<Change>,
}

#[derive(Clone, Default)]
pub struct Content {
    pub bytes: Vec<u8>,
    /// What it has for certain.
    pub durable: Vec<u8>,
    /// What was written since the last sync, in order.
    pub unsynced: Vec<Range<usize>>,
    /// What the file had before it was cut, until the shorter length is durable.
    pub before_cut: Option<Vec<u8>>,
}

impl Content {
    fn sync(&mut self) {
        self.durable.clone_from(&self.bytes);
        self.unsynced.clear();
    }

    /// What it has if nothing of a range came: what was there before, and else zeroes; nothing at all if that was its end.
    pub fn without(&self, range: &Range<usize>) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        if range.end == bytes.len() {
            bytes.truncate(range.start.max(self.durable.len()));
        }
        for at in range.start..range.end.min(bytes.len()) {
            bytes[at] = self.durable.get(at).copied().unwrap_or(0);
        }
        bytes
    }

    /// The bytes with the end that was cut behind them.
    pub fn with_old_end(&self) -> Vec<u8> {
        let old = self.before_cut.as_deref().unwrap_or_default();
        let end = old.get(self.bytes.len()..).unwrap_or_default();
        [&self.bytes, end].concat()
    }
}

/// A change of one entry. A rename is two of them: the new name, and the old one gone.
#[derive(Clone, Debug)]
pub enum Change {
    Set(String, usize),
    Clear(String),
}

impl Disk {
    pub fn new(start: &Files) -> Disk {
        let mut disk = Disk {
            files: Vec::new(),
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
            pending: Vec::new(),
        };
        for (name, bytes) in start {
            disk.names.insert(name.clone(), disk.files.len());
            disk.files.push(Content {
                bytes: bytes.clone(),
                durable: bytes.clone(),
                ..Content::default()
            });
        }
        disk.durable = disk.names.clone();
        disk
    }

    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Create { name, file } => {
                assert_eq!(*file, self.files.len());
                self.files.push(Content::default());
                self.names.insert(name.clone(), *file);
                self.pending.push(Change::Set(name.clone(), *file));
            }
            Step::Write {
                file,
                offset,
                bytes,
            } => {
                let content = &mut self.files[*file];
                let range = *offset..*offset + bytes.len();
                let len = content.bytes.len().max(range.end);
                content.bytes.resize(len, 0);
                content.bytes[range.clone()].copy_from_slice(bytes);
                content.unsynced.push(range);
            }
            Step::Cut { file, len } => {
                let content = &mut self.files[*file];
                let len = *len as usize;
                content
                    .before_cut
                    .get_or_insert_with(|| content.bytes.clone());
                content.bytes.truncate(len);
                content.durable.truncate(len);
                content.unsynced.retain_mut(|range| {
                    range.end = range.end.min(len);
                    range.start < range.end
                });
            }
            Step::Sync { file } => self.files[*file].sync(),
            Step::SyncAll { file } => {
                self.files[*file].sync();
                self.files[*file].before_cut = None;
            }
            Step::Rename { from, to } => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(to.clone(), file);
                    self.pending.push(Change::Set(to.clone(), file));
                    self.pending.push(Change::Clear(from.clone()));
                }
            }
            Step::Remove { name } => {
                self.names.remove(name);
                self.pending.push(Change::Clear(name.clone()));
            }
            Step::SyncDir => {
                self.durable = self.names.clone();
                self.pending.clear();
            }
        }
    }

    /// Files with bytes that were not synced.
    pub fn unsynced(&self) -> Vec<usize> {
        let files = self.files.iter().enumerate();
        let unsynced = files.filter(|(_, content)| !content.unsynced.is_empty());
        unsynced.map(|(file, _)| file).collect()
    }

    /// Files that were cut and whose shorter length is not durable.
    pub fn cut(&self) -> Vec<usize> {
        let files = self.files.iter().enumerate();
        let cut = files.filter(|(_, content)| content.before_cut.is_some());
        cut.map(|(file, _)| file).collect()
    }

    pub fn content(&self, file: usize) -> &Content {
        &self.files[file]
    }

    /// What is there after a loss of power, if these changes of entries are, and files have these bytes.
    pub fn after_loss(
        &self,
        keeps_change: &mut dyn FnMut(usize) -> bool,
        bytes_of: &mut dyn FnMut(usize, &Content) -> Vec<u8>,
    ) -> Files {
        let mut names = self.durable.clone();
        for (at, change) in self.pending.iter().enumerate() {
            if !keeps_change(at) {
                continue;
            }
            match change {
                Change::Set(name, file) => names.insert(name.clone(), *file),
                Change::Clear(name) => names.remove(name),
            };
        }
        let with_bytes = |(name, file)| (name, bytes_of(file, &self.files[file]));
        names.into_iter().map(with_bytes).collect()
    }

    /// What is there after the process died: all of it.
    pub fn as_seen(&self) -> Files {
        let names = self.names.iter();
        names
            .map(|(name, file)| (name.clone(), self.files[*file].bytes.clone()))
            .collect()
    }
}
