//! The local workloads on a store, in a process of its own: the bare engine, a handle of the party, and the peers that
//! are libraries ([`peers`]).
//!
//! `peers/leveldb_bench.cc` does the same to C++ LevelDB, line by line.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use level_party::{Db, Readable};
use level_party_bench::{BATCH, Data, KEY_BYTES, Result, Samples, Summary, VALUE_BYTES};
use level_party_engine::{Compression, Engine, Options, StdFs, Write, WriteBatch};

use crate::peers;

/// Does one workload and prints its figures.
pub fn run(
    store: &str,
    workload: &str,
    dir: &Path,
    entries: usize,
    compression: &str,
) -> Result<()> {
    let snappy = compression == "snappy";
    let data = Data::new(entries);
    with_open(store, dir, snappy, &mut |store| {
        println!("{}", work(store, workload, &data)?.to_line());
        Ok(())
    })
}

/// Opens a store in `dir`, does `what` with it, and closes it.
pub fn with_open(
    store: &str,
    dir: &Path,
    snappy: bool,
    what: &mut dyn FnMut(&dyn Store) -> Result<()>,
) -> Result<()> {
    match store {
        "engine" => what(&open_engine(dir, snappy)?),
        "party" => what(&open_party(dir, snappy, false)?),
        "party-mapped" => what(&open_party(dir, snappy, true)?),
        "party-sync" => what(&Synced(open_party(dir, snappy, false)?)),
        peer => peers::with_open(peer, dir, what),
    }
}

/// The engine on `dir`, with LevelDB's defaults.
pub fn open_engine(dir: &Path, snappy: bool) -> Result<Engine> {
    std::fs::create_dir_all(dir)?;
    let options = Options {
        compression: if snappy {
            Compression::Snappy
        } else {
            Compression::None
        },
        ..Options::default()
    };
    Ok(Engine::open(Arc::new(StdFs::new(dir)), options)?)
}

fn open_party(dir: &Path, snappy: bool, map_tables: bool) -> Result<Db> {
    let compression = match snappy {
        true => level_party::Compression::Snappy,
        false => level_party::Compression::None,
    };
    let options = Db::options().compression(compression);
    Ok(options.map_tables(map_tables).open(dir)?)
}

/// What the workloads ask of a store.
pub trait Store {
    /// What this process is to the others that have the store open.
    fn role(&self) -> &'static str {
        "open"
    }
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()>;
    /// Puts some entries of the workload at once.
    fn put_all(&self, data: &Data, indexes: &[u32]) -> Result<()>;
    /// Whether there is a value of the workload's length.
    fn has(&self, key: &[u8]) -> Result<bool>;
    /// All entries in one direction: how many, and their bytes.
    fn walk(&self, reverse: bool) -> Result<(usize, usize)>;
    /// Brings all that was written into the shape in which reads are cheapest.
    fn compact(&self) -> Result<()>;
}

/// Some entries of the workload as one batch of the engine.
fn batch(data: &Data, indexes: &[u32]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for index in indexes {
        let index = *index as usize;
        batch.put(&data.key(index), data.value(index));
    }
    batch
}

impl Store for Engine {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.put(key, value);
        self.write(Write::new(batch))?;
        Ok(())
    }

    fn put_all(&self, data: &Data, indexes: &[u32]) -> Result<()> {
        self.write(Write::new(batch(data, indexes)))?;
        Ok(())
    }

    fn has(&self, key: &[u8]) -> Result<bool> {
        Ok(self
            .get(key)?
            .is_some_and(|entry| entry.value.len() == VALUE_BYTES))
    }

    fn walk(&self, reverse: bool) -> Result<(usize, usize)> {
        let mut cursor = self.cursor()?;
        let (mut count, mut bytes) = (0, 0);
        match reverse {
            false => cursor.seek_to_first()?,
            true => cursor.seek_to_last()?,
        }
        while cursor.valid() {
            count += 1;
            bytes += cursor.key().len() + cursor.value().len();
            match reverse {
                false => cursor.next()?,
                true => cursor.prev()?,
            }
        }
        Ok((count, bytes))
    }

    fn compact(&self) -> Result<()> {
        Ok(self.compact_range(None, None)?)
    }
}

impl Store for Db {
    fn role(&self) -> &'static str {
        Db::role(self).as_str()
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(Db::put(self, key, value)?)
    }

    fn put_all(&self, data: &Data, indexes: &[u32]) -> Result<()> {
        let mut batch = level_party::WriteBatch::new();
        for index in indexes {
            let index = *index as usize;
            batch.put(data.key(index), data.value(index));
        }
        Ok(self.write(&batch)?)
    }

    fn has(&self, key: &[u8]) -> Result<bool> {
        Ok(self
            .get(key)?
            .is_some_and(|value| value.len() == VALUE_BYTES))
    }

    fn walk(&self, reverse: bool) -> Result<(usize, usize)> {
        let (mut count, mut bytes) = (0, 0);
        let mut entries = self.iter();
        while let Some(entry) = match reverse {
            false => entries.next(),
            true => entries.next_back(),
        } {
            let (key, value) = entry?;
            count += 1;
            bytes += key.len() + value.len();
        }
        Ok((count, bytes))
    }

    fn compact(&self) -> Result<()> {
        Ok(self.compact_range(..)?)
    }
}

/// A handle whose puts are on stable storage before they are answered.
struct Synced(Db);

impl Store for Synced {
    fn role(&self) -> &'static str {
        Store::role(&self.0)
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.0.put_sync(key, value)?)
    }

    fn put_all(&self, data: &Data, indexes: &[u32]) -> Result<()> {
        self.0.put_all(data, indexes)
    }

    fn has(&self, key: &[u8]) -> Result<bool> {
        self.0.has(key)
    }

    fn walk(&self, reverse: bool) -> Result<(usize, usize)> {
        self.0.walk(reverse)
    }

    fn compact(&self) -> Result<()> {
        self.0.compact()
    }
}

/// Times one walk over all of `entries`.
pub fn time_walk(store: &dyn Store, reverse: bool, entries: usize) -> Result<Summary> {
    let start = Instant::now();
    let walked = store.walk(reverse)?;
    let time = start.elapsed();
    check_walk(walked, entries)?;
    Ok(Summary::of_total(entries as u64, time))
}

fn check_walk((count, bytes): (usize, usize), entries: usize) -> Result<()> {
    if count != entries || bytes != entries * (KEY_BYTES + VALUE_BYTES) {
        return Err(format!("a scan showed {count} of {entries} entries").into());
    }
    Ok(())
}

fn work(store: &dyn Store, workload: &str, data: &Data) -> Result<Summary> {
    let in_order = || (0..data.entries() as u32).collect();
    match workload {
        "put-random" => put(store, data, data.shuffled(1)),
        "put-sequential" => put(store, data, in_order()),
        "batch-random" => put_batches(store, data, &data.shuffled(1)),
        "batch-sequential" => put_batches(store, data, &in_order()),
        "prepare" => {
            let summary = put_batches(store, data, &data.shuffled(1))?;
            store.compact()?;
            Ok(summary)
        }
        "get-hit" => get(store, data, data.shuffled(2), true),
        "get-hot" => get(store, data, data.hot(2), true),
        "get-miss" => get(store, data, data.shuffled(2), false),
        "scan-forward" => scan(store, data, false),
        "scan-reverse" => scan(store, data, true),
        _ => Err(format!("no workload {workload}").into()),
    }
}

fn put(store: &dyn Store, data: &Data, order: Vec<u32>) -> Result<Summary> {
    let mut samples = Samples::with_capacity(order.len());
    samples.time_each(order, |index| {
        let index = index as usize;
        store.put(&data.key(index), data.value(index))
    })?;
    Ok(samples.summary(1))
}

fn put_batches(store: &dyn Store, data: &Data, order: &[u32]) -> Result<Summary> {
    let mut samples = Samples::with_capacity(order.len() / BATCH);
    samples.time_each(order.chunks_exact(BATCH), |chunk| {
        store.put_all(data, chunk)
    })?;
    Ok(samples.summary(BATCH))
}

fn get(store: &dyn Store, data: &Data, order: Vec<u32>, hit: bool) -> Result<Summary> {
    let get = |index: u32| get_one(store, data, index as usize, hit);
    for index in &order[..order.len() / 10] {
        get(*index)?;
    }
    let mut samples = Samples::with_capacity(order.len());
    samples.time_each(order, get)?;
    Ok(samples.summary(1))
}

/// One get of a present or an absent key, which must answer so.
pub fn get_one(store: &dyn Store, data: &Data, index: usize, hit: bool) -> Result<()> {
    let key = if hit {
        data.key(index)
    } else {
        data.absent_key(index)
    };
    match store.has(&key)? == hit {
        true => Ok(()),
        false => Err(format!("a get of {key:?} answered wrongly").into()),
    }
}

fn scan(store: &dyn Store, data: &Data, reverse: bool) -> Result<Summary> {
    store.walk(reverse)?;
    time_walk(store, reverse, data.entries())
}
