//! Random operations against a model with history.

use std::collections::BTreeMap;
use std::sync::Arc;

use level_party_engine::{Engine, Fs, MemFs, Options, Pin, StdFs, Write};
use level_party_format::batch::WriteBatch;
use level_party_format::table::Compression;

use crate::support::{Rng, all, contents, settle, tiny};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// An engine, what it must hold, and pinned moments with what they must show.
struct Pair {
    fs: Arc<dyn Fs>,
    options: Options,
    engine: Engine,
    map: Map,
    pins: Vec<(Pin, Map)>,
    rng: Rng,
    keys: u64,
}

impl Pair {
    fn new(fs: Arc<dyn Fs>, options: Options, seed: u64, keys: u64) -> Pair {
        let engine = Engine::open(Arc::clone(&fs), options.clone()).unwrap();
        Pair {
            fs,
            options,
            engine,
            map: Map::new(),
            pins: Vec::new(),
            rng: Rng(seed),
            keys,
        }
    }

    /// Keys of several lengths, the empty one too, many with long common prefixes.
    fn key(&mut self) -> Vec<u8> {
        let number = self.rng.below(self.keys);
        match number % 7 {
            0 if number == 0 => Vec::new(),
            1 => number.to_be_bytes().to_vec(),
            2 => vec![0xff; (number % 40) as usize],
            _ => format!("common/prefix/{number:05}").into_bytes(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        let len = match self.rng.below(50) {
            0 => 0,
            1 => 20_000,
            n => n * 3,
        };
        let byte = self.rng.next() as u8;
        (0..len)
            .map(|at| {
                if at % 2 == 0 {
                    byte
                } else {
                    self.rng.next() as u8
                }
            })
            .collect()
    }

    fn write(&mut self) {
        let mut batch = WriteBatch::new();
        for _ in 0..self.rng.below(6) {
            let key = self.key();
            if self.rng.one_in(4) {
                batch.delete(&key);
                self.map.remove(&key);
            } else {
                let value = self.value();
                batch.put(&key, &value);
                self.map.insert(key, value);
            }
        }
        let count = u64::from(batch.count());
        let before = self.engine.last_sequence();
        let sync = self.rng.one_in(20);
        let sequence = self.engine.write(Write::new(batch).sync(sync)).unwrap();
        assert_eq!(sequence, before + count);
        assert_eq!(self.engine.last_sequence(), sequence);
    }

    fn reopen(&mut self) {
        let last = self.engine.last_sequence();
        self.pins.clear();
        self.engine.close().unwrap();
        self.engine = Engine::open(Arc::clone(&self.fs), self.options.clone()).unwrap();
        assert_eq!(self.engine.recovered().last_sequence, last);
        assert!(self.engine.recovered().dropped.is_empty());
        assert!(!self.engine.recovered().created);
        assert_eq!(contents(&self.engine), self.map);
    }

    fn step(&mut self) {
        match self.rng.below(1000) {
            0 => self.reopen(),
            1..=3 => self.engine.flush().unwrap(),
            4..=5 => {
                let (a, b) = (self.key(), self.key());
                let (begin, end) = (a.clone().min(b.clone()), a.max(b));
                self.engine.compact_range(Some(&begin), Some(&end)).unwrap();
            }
            6 => self.engine.compact_range(None, None).unwrap(),
            7..=12 => assert_eq!(contents(&self.engine), self.map),
            13..=25 if self.pins.len() < 5 => {
                let pin = self.engine.pin();
                assert_eq!(pin.sequence(), self.engine.last_sequence());
                self.pins.push((pin, self.map.clone()));
            }
            26..=35 if !self.pins.is_empty() => self.check_pin(),
            36..=300 => {
                let key = self.key();
                let found = self.engine.get(&key).unwrap().map(|entry| entry.value);
                assert_eq!(found.as_ref(), self.map.get(&key));
            }
            _ => self.write(),
        }
    }

    fn check_pin(&mut self) {
        let at = self.rng.below(self.pins.len() as u64) as usize;
        let key = self.key();
        let (pin, map) = &self.pins[at];
        let found = self.engine.get_at(&key, pin.sequence()).unwrap();
        assert_eq!(found.map(|entry| entry.value).as_ref(), map.get(&key));
        let shown = all(&mut self.engine.cursor_at(pin.sequence()).unwrap());
        assert_eq!(&shown, map);
        if self.rng.one_in(2) {
            self.pins.swap_remove(at);
        }
    }
}

fn run(fs: Arc<dyn Fs>, options: Options, seed: u64, steps: usize) -> Pair {
    let mut pair = Pair::new(fs, options, seed, 400);
    for _ in 0..steps {
        pair.step();
    }
    pair.reopen();
    pair
}

#[test]
fn random_operations_in_memory_match_a_model_with_history() {
    for seed in 0..6 {
        let options = Options {
            bloom_bits_per_key: (seed % 2 == 0).then_some(10),
            compression: if seed % 3 == 0 {
                Compression::None
            } else {
                Compression::Snappy
            },
            ..tiny()
        };
        run(Arc::new(MemFs::new()), options, seed, 6_000);
    }
}

#[test]
fn random_operations_on_disk_match_a_model_with_history() {
    let directory = tempfile::tempdir().unwrap();
    let fs = StdFs::new(directory.path());
    run(Arc::new(fs), tiny(), 77, 4_000);
}

#[test]
fn many_levels_hold_what_was_written_and_none_overlaps() {
    let options = Options {
        max_file_size: 1 << 10,
        write_buffer_size: 4 << 10,
        ..tiny()
    };
    let mut pair = Pair::new(Arc::new(MemFs::new()), options, 5, 30_000);
    for _ in 0..12_000 {
        pair.write();
    }
    pair.engine.flush().unwrap();
    settle(&pair.engine, pair.options.max_file_size);
    let stats = pair.engine.stats();
    assert!(stats.files_per_level[4] > 0, "{stats:?}");
    pair.engine.view().unwrap().version.check_order().unwrap();
    assert_eq!(contents(&pair.engine), pair.map);
    pair.engine.compact_range(None, None).unwrap();
    pair.engine.view().unwrap().version.check_order().unwrap();
    let stats = pair.engine.stats();
    assert_eq!(
        stats
            .files_per_level
            .iter()
            .filter(|files| **files > 0)
            .count(),
        1,
        "{stats:?}"
    );
    pair.reopen();
}

#[test]
fn a_batch_larger_than_the_write_buffer_is_one_write() {
    let mut pair = Pair::new(Arc::new(MemFs::new()), tiny(), 9, 10_000);
    for _ in 0..3 {
        let mut batch = WriteBatch::new();
        for _ in 0..2_000 {
            let (key, value) = (pair.key(), pair.value());
            batch.put(&key, &value);
            pair.map.insert(key, value);
        }
        assert!(batch.byte_size() > 10 * pair.options.write_buffer_size);
        pair.engine.write(Write::new(batch)).unwrap();
    }
    assert_eq!(contents(&pair.engine), pair.map);
    pair.reopen();
}
