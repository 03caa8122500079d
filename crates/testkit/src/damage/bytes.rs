//! Tables, logs and manifests as bytes, also those that no LevelDB would write.

use level_party_format::batch::WriteBatch;
use level_party_format::block::BlockBuilder;
use level_party_format::comparator::BYTEWISE_NAME;
use level_party_format::crc;
use level_party_format::edit::{NewFile, VersionEdit};
use level_party_format::key::{ValueType, append_internal_key};
use level_party_format::log::LogWriter;
use level_party_format::table::{BlockHandle, FOOTER_LEN, Footer};

use super::deflate::{deflate, zlib};
use crate::Op;

/// How the blocks of a table are stored. The numbers are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockType {
    /// As they are.
    Plain = 0,
    /// As zlib streams: Minecraft Bedrock's first worlds. LevelDB 1.23 gives this number to zstd.
    Zlib = 2,
    /// As raw deflate: Minecraft Bedrock's worlds.
    Deflate = 4,
    /// As no LevelDB stores them. The checksum is right.
    Unknown = 77,
}

/// An internal key and its value.
type Entry = (Vec<u8>, Vec<u8>);

/// A table, with its entries in whatever order they come.
#[derive(Debug, Clone)]
pub struct TableBytes {
    entries: Vec<Entry>,
    block_type: BlockType,
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
            block_type: BlockType::Plain,
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

    /// How blocks are stored, the index too.
    pub fn stored_as(mut self, block_type: BlockType) -> Self {
        self.block_type = block_type;
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
        for entries in self.entries.chunks(self.entries_per_block) {
            let mut block = BlockBuilder::new(16);
            for (key, value) in entries {
                block.add(key, value);
            }
            let mut handle = Vec::new();
            append_block(&mut out, block.finish(), self.block_type).encode(&mut handle);
            let (last, _) = entries.last().expect("a chunk is not empty");
            index.add(last, &handle);
        }
        let metaindex = append_block(&mut out, BlockBuilder::new(1).finish(), self.block_type);
        let index = append_block(&mut out, index.finish(), self.block_type);
        out.extend(Footer { metaindex, index }.encode());
        debug_assert!(out.len() > FOOTER_LEN);
        out
    }

    /// The table as a manifest names it.
    pub fn named(&self, number: u64) -> NewFile {
        let key = |entry: Option<&Entry>| entry.expect("a table with entries").0.clone();
        NewFile {
            number,
            size: self.bytes().len() as u64,
            smallest: key(self.entries.first()),
            largest: key(self.entries.last()),
        }
    }
}

fn append_block(out: &mut Vec<u8>, contents: &[u8], block_type: BlockType) -> BlockHandle {
    let stored = match block_type {
        BlockType::Plain | BlockType::Unknown => contents.to_vec(),
        BlockType::Zlib => zlib(contents),
        BlockType::Deflate => deflate(contents),
    };
    let kind = block_type as u8;
    let handle = BlockHandle {
        offset: out.len() as u64,
        size: stored.len() as u64,
    };
    let sum = crc::extend(crc::crc32c(&stored), &[kind]);
    out.extend(stored);
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
