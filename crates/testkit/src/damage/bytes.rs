//! Tables, logs and manifests as bytes, also those that no LevelDB would write.

use level_party_format::batch::WriteBatch;
use level_party_format::block::BlockBuilder;
use level_party_format::comparator::BYTEWISE_NAME;
use level_party_format::crc;
use level_party_format::edit::{NewFile, VersionEdit};
use level_party_format::key::{ValueType, append_internal_key};
use level_party_format::log::LogWriter;
use level_party_format::table::{
    BlockHandle, Compression, FOOTER_LEN, Footer, TableBuilder, TableOptions,
};

use crate::Op;

/// A block's number for how it is stored: as it is.
const PLAIN: u8 = 0;
/// As no LevelDB stores it.
pub const UNKNOWN: u8 = 77;

/// An internal key and its value.
type Entry = (Vec<u8>, Vec<u8>);

/// A table, with its entries in whatever order they come.
#[derive(Debug, Clone)]
pub struct TableBytes {
    entries: Vec<Entry>,
    first_block: u8,
    entries_per_block: usize,
}

impl Default for TableBytes {
    fn default() -> Self {
        Self::new()
    }
}

impl TableBytes {
    /// A table without entries.
    pub fn new() -> Self {
        TableBytes {
            entries: Vec::new(),
            first_block: PLAIN,
            entries_per_block: 20,
        }
    }

    /// Entries `PREFIX0000` to the last below `count`, put from sequence `first` on, with values `v0`, `v1` and so on.
    pub fn numbered(prefix: &str, count: u64, first: u64) -> Self {
        let entries = (0..count).map(|n| {
            let key = format!("{prefix}{n:04}").into_bytes();
            (key, first + n, format!("v{n}").into_bytes())
        });
        entries.fold(Self::new(), |table, (key, sequence, value)| {
            table.put(&key, sequence, &value)
        })
    }

    /// Adds a put behind the entries that are there.
    pub fn put(mut self, key: &[u8], sequence: u64, value: &[u8]) -> Self {
        let mut internal = Vec::new();
        append_internal_key(&mut internal, key, sequence, ValueType::Value);
        self.entries.push((internal, value.to_vec()));
        self
    }

    /// Says of the first block that it is stored in a way that nobody knows. Its checksum is right.
    pub fn with_unknown_block(mut self) -> Self {
        self.first_block = UNKNOWN;
        self
    }

    /// Entries in a data block.
    pub fn entries_per_block(mut self, entries: usize) -> Self {
        self.entries_per_block = entries;
        self
    }

    /// Turns the order of the entries round.
    pub fn reversed(mut self) -> Self {
        self.entries.reverse();
        self
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut index = BlockBuilder::new(1);
        let chunks = self.entries.chunks(self.entries_per_block);
        for (at, entries) in chunks.enumerate() {
            let mut block = BlockBuilder::new(16);
            for (key, value) in entries {
                block.add(key, value);
            }
            let mut handle = Vec::new();
            let kind = if at == 0 { self.first_block } else { PLAIN };
            append_block(&mut out, block.finish(), kind).encode(&mut handle);
            let (last, _) = entries.last().expect("a chunk is not empty");
            index.add(last, &handle);
        }
        let metaindex = append_block(&mut out, BlockBuilder::new(1).finish(), PLAIN);
        let index = append_block(&mut out, index.finish(), PLAIN);
        out.extend(Footer { metaindex, index }.encode());
        debug_assert!(out.len() > FOOTER_LEN);
        out
    }

    /// The file as this project's own writer compresses it.
    pub fn compressed(&self, compression: Compression) -> Vec<u8> {
        let mut builder = TableBuilder::new(TableOptions {
            block_size: 400,
            compression,
            ..TableOptions::default()
        });
        for (key, value) in &self.entries {
            builder.add(key, value);
        }
        builder.finish();
        std::mem::take(builder.output())
    }

    /// The table as a manifest names it.
    pub fn named(&self, number: u64) -> NewFile {
        self.named_with(number, self.bytes().len())
    }

    /// The same, of a file with so many bytes.
    pub fn named_with(&self, number: u64, size: usize) -> NewFile {
        let key = |entry: Option<&Entry>| entry.expect("a table with entries").0.clone();
        NewFile {
            number,
            size: size as u64,
            smallest: key(self.entries.first()),
            largest: key(self.entries.last()),
        }
    }
}

fn append_block(out: &mut Vec<u8>, contents: &[u8], kind: u8) -> BlockHandle {
    let handle = BlockHandle {
        offset: out.len() as u64,
        size: contents.len() as u64,
    };
    let sum = crc::extend(crc::crc32c(contents), &[kind]);
    out.extend(contents);
    out.push(kind);
    out.extend(crc::mask(sum).to_le_bytes());
    handle
}

/// A write-ahead log.
#[derive(Debug, Clone, Default)]
pub struct Log {
    out: Vec<u8>,
    writer: LogWriter,
}

impl Log {
    /// An empty log.
    pub fn new() -> Self {
        Log::default()
    }

    /// `count` batches of one put each: `PREFIX00` and so on, from sequence `first` on.
    pub fn numbered(prefix: &str, count: u64, first: u64) -> Self {
        (0..count).fold(Log::new(), |log, n| {
            let key = format!("{prefix}{n:02}").into_bytes();
            log.batch(first + n, &[Op::Put(key, b"x".to_vec())])
        })
    }

    /// Adds a batch whose first operation has this sequence.
    pub fn batch(self, sequence: u64, ops: &[Op]) -> Self {
        let mut batch = WriteBatch::new();
        for op in ops {
            match op {
                Op::Put(key, value) => batch.put(key, value),
                Op::Delete(key) => batch.delete(key),
            }
        }
        batch.set_sequence(sequence);
        self.record(batch.as_bytes())
    }

    /// Adds a record of any bytes.
    pub fn record(mut self, payload: &[u8]) -> Self {
        self.writer.add_record(payload, &mut self.out);
        self
    }

    /// Its length so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        self.out.clone()
    }
}

/// A manifest.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    log: Log,
}

impl Manifest {
    /// A manifest whose first record names LevelDB's comparator and these tables.
    pub fn new(tables: impl IntoIterator<Item = (usize, NewFile)>) -> Self {
        Self::with_comparator(BYTEWISE_NAME, tables)
    }

    /// As [`Manifest::new`], with the name of another comparator.
    pub fn with_comparator(name: &str, tables: impl IntoIterator<Item = (usize, NewFile)>) -> Self {
        Manifest::default().edit(&VersionEdit {
            comparator: Some(name.to_owned()),
            new_files: tables.into_iter().collect(),
            ..VersionEdit::default()
        })
    }

    /// Adds a record with the numbers that each manifest must have.
    pub fn numbers(self, log: u64, next_file: u64, last_sequence: u64) -> Self {
        self.edit(&numbers(log, next_file, last_sequence))
    }

    /// Adds a record.
    pub fn edit(self, edit: &VersionEdit) -> Self {
        self.record(&edit.encode())
    }

    /// Adds a record of any bytes.
    pub fn record(mut self, payload: &[u8]) -> Self {
        self.log = self.log.record(payload);
        self
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        self.log.bytes()
    }
}

/// An edit with the numbers that each manifest must have.
pub(super) fn numbers(log: u64, next_file: u64, last_sequence: u64) -> VersionEdit {
    VersionEdit {
        log_number: Some(log),
        prev_log_number: Some(0),
        next_file_number: Some(next_file),
        last_sequence: Some(last_sequence),
        ..VersionEdit::default()
    }
}
