//! What the read half's tests share: entries, tables and memtables made of them, a model, and a small random source.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use level_party_format::Sequence;
use level_party_format::filename;
use level_party_format::filter::BloomPolicy;
use level_party_format::key::{self, InternalComparator, ValueType};
use level_party_format::table::{Compression, TableBuilder, TableOptions};
use level_party_memtable::{HeapRegions, MemTable, MemTableWriter, RegionSource};

use crate::base::fs::{Fs, MemFs, ReadFile, WriteFile};
use crate::read::files::{FileMeta, Tables};

/// A random source that gives the same numbers for the same seed (splitmix64).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True once in `n`.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// One write: user key, sequence, and a value or a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) key: Vec<u8>,
    pub(crate) sequence: Sequence,
    pub(crate) value: Option<Vec<u8>>,
}

impl Item {
    pub(crate) fn put(key: &str, sequence: Sequence, value: &str) -> Item {
        Item {
            key: key.into(),
            sequence,
            value: Some(value.into()),
        }
    }

    pub(crate) fn delete(key: &str, sequence: Sequence) -> Item {
        Item {
            key: key.into(),
            sequence,
            value: None,
        }
    }

    pub(crate) fn kind(&self) -> ValueType {
        match self.value {
            Some(_) => ValueType::Value,
            None => ValueType::Deletion,
        }
    }

    pub(crate) fn internal_key(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        key::append_internal_key(&mut bytes, &self.key, self.sequence, self.kind());
        bytes
    }

    pub(crate) fn value(&self) -> &[u8] {
        self.value.as_deref().unwrap_or_default()
    }
}

/// Puts items in the order of their internal keys.
pub(crate) fn sort(items: &mut [Item]) {
    let comparator = InternalComparator::default();
    items.sort_by(|a, b| comparator.compare(&a.internal_key(), &b.internal_key()));
}

/// `count` items with the keys `000000`, `000001`, ... and values of `len` bytes that don't compress.
pub(crate) fn numbered(count: usize, len: usize) -> Vec<Item> {
    let mut rng = Rng::new(count as u64);
    let mut items = Vec::new();
    for at in 0..count {
        let value = (0..len).map(|_| rng.next() as u8).collect();
        items.push(Item {
            key: format!("{at:06}").into_bytes(),
            sequence: at as u64 + 1,
            value: Some(value),
        });
    }
    items
}

/// Table options with blocks of about `block_size` bytes.
pub(crate) fn table_options(block_size: usize) -> TableOptions {
    TableOptions {
        comparator: InternalComparator::default(),
        block_size,
        block_restart_interval: 4,
        compression: Compression::Snappy,
        filter: None,
    }
}

/// As [`table_options`], with a Bloom filter.
pub(crate) fn filtered_options(block_size: usize) -> TableOptions {
    TableOptions {
        filter: Some(BloomPolicy::new(10)),
        ..table_options(block_size)
    }
}

/// Writes a table of these items, in their order, as file `number`.
pub(crate) fn write_table(
    fs: &dyn Fs,
    number: u64,
    options: TableOptions,
    items: &[Item],
) -> Arc<FileMeta> {
    let mut builder = TableBuilder::new(options);
    for item in items {
        builder.add(&item.internal_key(), item.value());
    }
    builder.finish();
    let bytes = std::mem::take(builder.output());
    let size = bytes.len() as u64;
    let mut file = fs.create(&filename::table(number)).unwrap();
    file.append(&bytes).unwrap();
    let smallest = items.first().map_or(Vec::new(), Item::internal_key);
    let largest = items.last().map_or(Vec::new(), Item::internal_key);
    Arc::new(FileMeta::new(number, size, smallest, largest))
}

/// Tables of a directory in bytewise order.
pub(crate) fn tables(fs: &(impl Fs + Clone + 'static)) -> Arc<Tables> {
    let fs = Arc::new(fs.clone());
    Arc::new(Tables::new(fs, InternalComparator::default(), false))
}

/// A memtable of these items, with `last_sequence` published.
pub(crate) fn memtable(items: &[Item], last_sequence: Sequence) -> (MemTableWriter, MemTable) {
    let region = HeapRegions::new().allocate(1 << 20).unwrap();
    let comparator = InternalComparator::default();
    let mut writer = MemTableWriter::create(region, comparator, 0).unwrap();
    for item in items {
        insert(&mut writer, item);
    }
    writer.publish(last_sequence);
    let reader = writer.reader();
    (writer, reader)
}

pub(crate) fn insert(writer: &mut MemTableWriter, item: &Item) {
    let inserted = writer.insert(&item.key, item.sequence, item.kind(), item.value());
    inserted.expect("the region is large enough");
}

/// What one write made of its key, and when.
type Change = (Sequence, Option<Vec<u8>>);

/// All writes ever made, from which what any moment shows can be told.
#[derive(Default)]
pub(crate) struct History {
    writes: BTreeMap<Vec<u8>, Vec<Change>>,
}

impl History {
    /// Adds a write, later than all before.
    pub(crate) fn add(&mut self, item: &Item) {
        let writes = self.writes.entry(item.key.clone()).or_default();
        writes.push((item.sequence, item.value.clone()));
    }

    /// The newest write to a key at a moment.
    pub(crate) fn newest(&self, key: &[u8], at: Sequence) -> Option<&Change> {
        let writes = self.writes.get(key)?;
        writes.iter().rev().find(|(sequence, _)| *sequence <= at)
    }

    /// All keys with a value at a moment, in order.
    pub(crate) fn shown(&self, at: Sequence) -> Vec<Item> {
        let mut items = Vec::new();
        for key in self.writes.keys() {
            if let Some((sequence, Some(value))) = self.newest(key, at) {
                items.push(Item {
                    key: key.clone(),
                    sequence: *sequence,
                    value: Some(value.clone()),
                });
            }
        }
        items
    }
}

/// Files in memory that count opens and reads, and can be told to fail reads that touch an offset of a file.
#[derive(Clone, Default)]
pub(crate) struct WatchedFs {
    pub(crate) files: MemFs,
    shared: Arc<Watch>,
}

#[derive(Default)]
struct Watch {
    opens: AtomicU64,
    reads: AtomicU64,
    bad_offset: parking_lot::Mutex<Option<(String, u64)>>,
}

impl WatchedFs {
    pub(crate) fn opens(&self) -> u64 {
        self.shared.opens.load(Ordering::Relaxed)
    }

    pub(crate) fn reads(&self) -> u64 {
        self.shared.reads.load(Ordering::Relaxed)
    }

    /// From now on the disk can't read this byte.
    pub(crate) fn lose_byte(&self, name: &str, offset: u64) {
        *self.shared.bad_offset.lock() = Some((name.to_owned(), offset));
    }
}

impl Fs for WatchedFs {
    fn list(&self) -> io::Result<Vec<String>> {
        self.files.list()
    }

    fn open_read(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
        let file = self.files.open_read(name)?;
        self.shared.opens.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(WatchedFile {
            file,
            name: name.to_owned(),
            shared: Arc::clone(&self.shared),
        }))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.files.read(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        self.files.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        self.files.exists(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.files.sync_dir()
    }
}

struct WatchedFile {
    file: Arc<dyn ReadFile>,
    name: String,
    shared: Arc<Watch>,
}

impl ReadFile for WatchedFile {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.shared.reads.fetch_add(1, Ordering::Relaxed);
        if let Some((name, bad)) = &*self.shared.bad_offset.lock()
            && *name == self.name
            && (offset..offset + buf.len() as u64).contains(bad)
        {
            buf.fill(0xee);
            return Err(io::Error::other("the disk can't read this"));
        }
        self.file.read_at(buf, offset)
    }
}
