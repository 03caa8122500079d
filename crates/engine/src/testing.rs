//! What the read half's tests share: entries, tables and memtables made of them, a model, and a small random source.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU64, Ordering};

use level_party_format::Sequence;
use level_party_format::filename;
use level_party_format::filter::BloomPolicy;
use level_party_format::key::{self, InternalComparator, ValueType};
use level_party_format::table::{Compression, TableBuilder, TableOptions};
use level_party_memtable::{HeapRegions, MemTable, MemTableWriter, RegionSource};

use crate::base::control::{CONTROL_LEN, Control, Founded, VersionRecord};
use crate::base::fs::{Fs, LogFile, MemFs, ReadFile, WriteFile};
use crate::base::peers::LocalPeers;
use crate::read::dead_ranges::DeadRanges;
use crate::read::files::{FileMeta, Tables};
use crate::read::version::Version;
use crate::read::view::{Frozen, Parts, View};

#[cfg(not(loom))]
pub(crate) mod leader;
#[cfg(not(loom))]
pub(crate) mod recycling;
#[cfg(not(loom))]
pub(crate) mod reporting;

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

/// Sets a flag for those who wait for it, also where what comes before panics.
#[cfg(not(loom))]
pub(crate) struct SetOnDrop<'a>(pub(crate) &'a AtomicBool);

#[cfg(not(loom))]
impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
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

/// A memtable of these items.
pub(crate) fn memtable(items: &[Item]) -> (MemTableWriter, MemTable) {
    let region = HeapRegions::new().allocate(1 << 20).unwrap();
    let comparator = InternalComparator::default();
    let mut writer = MemTableWriter::create(region, comparator).unwrap();
    for item in items {
        insert(&mut writer, item);
    }
    let reader = writer.reader();
    (writer, reader)
}

/// A view of these parts, `frozen` newest first, with all published up to `last`.
pub(crate) fn view(
    mem: MemTable,
    frozen: Vec<Frozen>,
    version: Arc<Version>,
    last: Sequence,
) -> Arc<View> {
    let page = HeapRegions::new().allocate(CONTROL_LEN).unwrap();
    let control = Control::over(page).unwrap();
    let flushed = 0;
    let active = flushed + 1 + frozen.len() as u32;
    let record = VersionRecord::default();
    control.found(&Founded {
        founding: 1,
        comparator: 0,
        write_buffer: 0,
        region: active,
        log: 3,
        log_end: 0,
        before: last,
        horizon: 0,
        kept_logs: 0,
        version: VersionRecord { flushed, ..record },
    });
    let word = control.view();
    let parts = Parts {
        mem,
        seen: last,
        frozen,
        version,
        dead_ranges: Arc::new(DeadRanges::new()),
    };
    Arc::new(View::new(&control, false, word, parts))
}

/// Publishes what was inserted into the active memtable of a view that [`view`] made.
pub(crate) fn publish(view: &View, last: Sequence) {
    let peers = LocalPeers::default();
    let held = view.control().try_lock(1, false, &peers).unwrap();
    held.begin(last, 0);
    held.publish();
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
    before_next_open: level_party_locks::Mutex<Option<Box<dyn FnOnce() + Send>>>,
    reads: AtomicU64,
    bad_offset: level_party_locks::Mutex<Option<(String, u64)>>,
}

impl WatchedFs {
    pub(crate) fn opens(&self) -> u64 {
        self.shared.opens.load(Ordering::Relaxed)
    }

    pub(crate) fn reads(&self) -> u64 {
        self.shared.reads.load(Ordering::Relaxed)
    }

    /// The next opening of a file does this first.
    #[cfg(not(loom))]
    pub(crate) fn before_next_open(&self, act: impl FnOnce() + Send + 'static) {
        *self.shared.before_next_open.lock() = Some(Box::new(act));
    }

    /// From now on the disk can't read this byte.
    pub(crate) fn lose_byte(&self, name: &str, offset: u64) {
        *self.shared.bad_offset.lock() = Some((name.to_owned(), offset));
    }
}

impl Fs for WatchedFs {
    forward!(list read create logs names exists);

    fn open_read(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
        if let Some(act) = self.shared.before_next_open.lock().take() {
            act();
        }
        let file = self.files.open_read(name)?;
        self.shared.opens.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(WatchedFile {
            file,
            name: name.to_owned(),
            shared: Arc::clone(&self.shared),
        }))
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
