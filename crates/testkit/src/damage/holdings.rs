//! Which operations lie in which file of a sound database.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytes::Bytes;
use level_party_format::batch::BatchRef;
use level_party_format::block::Block;
use level_party_format::edit::VersionEdit;
use level_party_format::filename::{self, CURRENT, FileKind};
use level_party_format::key::{self, InternalComparator};
use level_party_format::log::{LogItem, LogReader};
use level_party_format::table::{BlockHandle, FOOTER_LEN, Footer, decode_block};

use super::Files;

/// A record of a log: where it lies, and the sequences of its operations.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its bytes in the file.
    pub bytes: Range<usize>,
    /// Its operations.
    pub sequences: Range<u64>,
}

/// What the files of a sound database hold.
#[derive(Debug, Clone, Default)]
pub struct Holdings {
    /// For each table and log the sequences of the operations in it.
    pub sequences: BTreeMap<String, BTreeSet<u64>>,
    /// The records of each log.
    pub records: BTreeMap<String, Vec<Record>>,
    /// The tables that the manifest names, and the logs from its log number on.
    pub live: BTreeSet<String>,
    /// Tables that the manifest has on each level.
    pub tables_per_level: BTreeMap<usize, usize>,
}

impl Holdings {
    /// Reads all tables, logs and the manifest.
    ///
    /// # Panics
    /// If anything is damaged.
    pub fn of(files: &Files) -> Self {
        let mut holdings = Holdings::default();
        for (name, contents) in &files.0 {
            match filename::parse(name) {
                Some((FileKind::Table, _)) => {
                    let sequences = table_sequences(contents);
                    holdings.sequences.insert(name.clone(), sequences);
                }
                Some((FileKind::Log, _)) => {
                    let records = records(contents);
                    let sequences = records.iter().flat_map(|record| record.sequences.clone());
                    holdings.sequences.insert(name.clone(), sequences.collect());
                    holdings.records.insert(name.clone(), records);
                }
                _ => {}
            }
        }
        holdings.read_manifest(files);
        holdings
    }

    fn read_manifest(&mut self, files: &Files) {
        let name = filename::parse_current(files.get(CURRENT)).expect("a sound CURRENT");
        let mut tables = BTreeSet::new();
        let mut log_number = 0;
        for (_, payload) in payloads(files.get(&name)) {
            let edit = VersionEdit::decode(&payload).expect("a sound manifest");
            log_number = edit.log_number.unwrap_or(log_number);
            tables.retain(|table| !edit.deleted_files.contains(table));
            tables.extend(
                edit.new_files
                    .iter()
                    .map(|(level, file)| (*level, file.number)),
            );
        }
        for (level, number) in tables {
            *self.tables_per_level.entry(level).or_default() += 1;
            self.live.insert(filename::table(number));
        }
        let logs = self.records.keys().filter(|name| {
            let number = filename::parse(name).expect("a log").1;
            number >= log_number
        });
        self.live.extend(logs.cloned());
    }

    /// Whether a live file other than `damaged` holds the operation.
    pub fn is_held_beside(&self, sequence: u64, damaged: &str) -> bool {
        let others = self.live.iter().filter(|name| *name != damaged);
        others.into_iter().any(|name| {
            let held = self.sequences.get(name);
            held.is_some_and(|held| held.contains(&sequence))
        })
    }
}

fn payloads(log: &[u8]) -> Vec<(Range<usize>, Vec<u8>)> {
    let records = LogReader::new(log).map(|item| match item {
        LogItem::Record {
            payload,
            offset,
            end,
        } => (offset as usize..end as usize, payload.into_owned()),
        wrong => panic!("the log is damaged: {wrong:?}"),
    });
    records.collect()
}

fn records(log: &[u8]) -> Vec<Record> {
    let payloads = payloads(log).into_iter();
    let records = payloads.map(|(bytes, payload)| {
        let batch = BatchRef::parse(&payload).expect("a sound batch");
        let first = batch.sequence();
        Record {
            bytes,
            sequences: first..first + u64::from(batch.count()),
        }
    });
    records.collect()
}

fn table_sequences(table: &[u8]) -> BTreeSet<u64> {
    let mut sequences = BTreeSet::new();
    for handle in data_blocks(table) {
        walk(table, handle, &mut |key, _| {
            sequences.insert(key::parse(key).expect("an internal key").sequence);
        });
    }
    sequences
}

fn walk(table: &[u8], handle: BlockHandle, entry: &mut dyn FnMut(&[u8], &[u8])) {
    let raw = &table[handle.offset as usize..][..handle.len_with_trailer() as usize];
    let contents = decode_block(raw, handle.offset).expect("a sound block");
    let block = Block::new(Bytes::from(contents)).expect("a sound block");
    let mut entries = block.iter(InternalComparator::default());
    entries.seek_to_first().expect("a sound block");
    while entries.valid() {
        entry(entries.key(), entries.value());
        entries.next().expect("a sound block");
    }
}

/// The footer of a sound table.
pub(super) fn footer(table: &[u8]) -> Footer {
    let footer = table.last_chunk::<FOOTER_LEN>().expect("a whole table");
    Footer::decode(footer, table.len() as u64).expect("a sound footer")
}

/// How the metaindex and the index of a sound table are stored: the numbers on disk.
pub fn stored_types(table: &[u8]) -> [u8; 2] {
    let footer = footer(table);
    [footer.metaindex, footer.index].map(|handle| table[(handle.offset + handle.size) as usize])
}

/// Where the data blocks of a sound table lie.
pub(super) fn data_blocks(table: &[u8]) -> Vec<BlockHandle> {
    let mut handles = Vec::new();
    walk(table, footer(table).index, &mut |_, value| {
        handles.push(BlockHandle::decode(value).expect("a handle"));
    });
    handles
}

/// Where the records of a sound log or manifest lie.
pub(super) fn record_bytes(log: &[u8]) -> Vec<Range<usize>> {
    payloads(log).into_iter().map(|(bytes, _)| bytes).collect()
}
