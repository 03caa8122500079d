//! The local workloads on the bare engine and on a leader's handle, in a process of its own.
//!
//! `peers/leveldb_bench.cc` does the same to C++ LevelDB, line by line.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use level_party::{Db, WriteOptions};
use level_party_bench::{BATCH, Data, KEY_BYTES, Result, Samples, Summary, VALUE_BYTES};
use level_party_engine::{Compression, Engine, Options, StdFs, Write, WriteBatch};

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
    let summary = match store {
        "engine" => work(&open_engine(dir, snappy)?, workload, &data)?,
        "leader" => work(&open_leader(dir, snappy)?, workload, &data)?,
        _ => return Err(format!("no store {store}").into()),
    };
    println!("{}", summary.to_line());
    Ok(())
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

fn open_leader(dir: &Path, snappy: bool) -> Result<Db> {
    let compression = match snappy {
        true => level_party::Compression::Snappy,
        false => level_party::Compression::None,
    };
    Ok(Db::options().compression(compression).open(dir)?)
}

/// What the workloads ask of a store.
trait Store {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()>;
    fn write(&self, batch: WriteBatch) -> Result<()>;
    /// Whether there is a value of the workload's length.
    fn has(&self, key: &[u8]) -> Result<bool>;
    /// All entries in one direction: how many, and their bytes.
    fn walk(&self, reverse: bool) -> Result<(usize, usize)>;
    fn compact(&self) -> Result<()>;
}

impl Store for Engine {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.put(key, value);
        Store::write(self, batch)
    }

    fn write(&self, batch: WriteBatch) -> Result<()> {
        Engine::write(self, Write::new(batch))?;
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
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(Db::put(self, key, value)?)
    }

    fn write(&self, batch: WriteBatch) -> Result<()> {
        Ok(Db::write(self, &batch, WriteOptions::default())?)
    }

    fn has(&self, key: &[u8]) -> Result<bool> {
        Ok(self
            .get(key)?
            .is_some_and(|value| value.len() == VALUE_BYTES))
    }

    fn walk(&self, reverse: bool) -> Result<(usize, usize)> {
        walk_handle(self, reverse)
    }

    fn compact(&self) -> Result<()> {
        Err("a handle has no way to compact".into())
    }
}

/// All entries that a handle shows, in one direction: how many, and their bytes.
fn walk_handle(db: &Db, reverse: bool) -> Result<(usize, usize)> {
    let (mut count, mut bytes) = (0, 0);
    let mut entries = db.iter();
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

/// Times one walk of a handle over all of `entries`.
pub fn time_walk(db: &Db, reverse: bool, entries: usize) -> Result<Summary> {
    let start = Instant::now();
    let walked = walk_handle(db, reverse)?;
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

fn work(store: &impl Store, workload: &str, data: &Data) -> Result<Summary> {
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

fn put(store: &impl Store, data: &Data, order: Vec<u32>) -> Result<Summary> {
    let mut samples = Samples::with_capacity(order.len());
    samples.time_each(order, |index| {
        let index = index as usize;
        store.put(&data.key(index), data.value(index))
    })?;
    Ok(samples.summary(1))
}

fn put_batches(store: &impl Store, data: &Data, order: &[u32]) -> Result<Summary> {
    let mut samples = Samples::with_capacity(order.len() / BATCH);
    samples.time_each(order.chunks_exact(BATCH), |chunk| {
        let mut batch = WriteBatch::new();
        for index in chunk {
            let index = *index as usize;
            batch.put(&data.key(index), data.value(index));
        }
        store.write(batch)
    })?;
    Ok(samples.summary(BATCH))
}

fn get(store: &impl Store, data: &Data, order: Vec<u32>, hit: bool) -> Result<Summary> {
    let get = |index: u32| {
        let index = index as usize;
        let key = if hit {
            data.key(index)
        } else {
            data.absent_key(index)
        };
        match store.has(&key)? == hit {
            true => Ok(()),
            false => Err(format!("a get of {key:?} answered wrongly").into()),
        }
    };
    for index in &order[..order.len() / 10] {
        get(*index)?;
    }
    let mut samples = Samples::with_capacity(order.len());
    samples.time_each(order, get)?;
    Ok(samples.summary(1))
}

fn scan(store: &impl Store, data: &Data, reverse: bool) -> Result<Summary> {
    store.walk(reverse)?;
    let start = Instant::now();
    let walked = store.walk(reverse)?;
    let time = start.elapsed();
    check_walk(walked, data.entries())?;
    Ok(Summary::of_total(data.entries() as u64, time))
}
