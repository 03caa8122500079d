//! What was written: numbered batches, and the state after each.

use std::collections::BTreeMap;

use level_party_engine::{Engine, Error};
use level_party_format::batch::{Op, WriteBatch};

pub type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// Every batch has so many operations, so batch `n` ends with sequence `n * OPS`.
pub const OPS: u64 = 3;

const LAST: &[u8] = b"last";
/// Keys that batches put and delete; few, so that keys are deleted and come back.
const KEYS: u64 = 40;

/// Batches from number 1 on. A batch of one history differs from that of the same number in another.
#[derive(Clone, Default)]
pub struct History {
    tags: Vec<u64>,
    /// Batches whose number is a multiple of this have a value larger than a block of a log.
    large_every: Option<u64>,
}

impl History {
    pub fn new(large_every: Option<u64>) -> History {
        History {
            tags: Vec::new(),
            large_every,
        }
    }

    pub fn len(&self) -> u64 {
        self.tags.len() as u64
    }

    /// Adds a batch, and gives it.
    pub fn push(&mut self, tag: u64) -> WriteBatch {
        self.tags.push(tag);
        self.batch(self.len())
    }

    /// The history up to and including this batch.
    pub fn up_to(&self, number: u64) -> History {
        History {
            tags: self.tags[..number as usize].to_vec(),
            large_every: self.large_every,
        }
    }

    /// Puts the number under `last`, puts a key, and deletes another.
    fn batch(&self, number: u64) -> WriteBatch {
        let tag = self.tags[number as usize - 1];
        let id = [number.to_be_bytes(), tag.to_be_bytes()].concat();
        let len = match self.large_every {
            Some(every) if number.is_multiple_of(every) => 40_000,
            _ => (number * 37 % 300) as usize,
        };
        let filling: Vec<u8> = (0..len)
            .map(|at| (at as u64 * number + tag) as u8)
            .collect();
        let mut batch = WriteBatch::new();
        batch.put(LAST, &id);
        batch.put(
            &(number * 7 % KEYS).to_be_bytes(),
            &[&id[..], &filling].concat(),
        );
        batch.delete(&(number * 11 % KEYS).to_be_bytes());
        batch
    }

    /// What there is after the batches up to this one.
    pub fn after(&self, number: u64) -> Map {
        let mut map = Map::new();
        for number in 1..=number {
            for op in &self.batch(number) {
                match op {
                    Op::Put { key, value } => {
                        map.insert(key.to_vec(), value.to_vec());
                    }
                    Op::Delete { key } => {
                        map.remove(key);
                    }
                }
            }
        }
        map
    }
}

/// The number of the last batch whose effects an engine shows.
pub fn last_batch(engine: &Engine) -> u64 {
    read_last_batch(engine).expect("the last number can be read")
}

/// The same where reads may fail.
pub fn read_last_batch(engine: &Engine) -> Result<u64, Error> {
    let last = engine.get(LAST)?;
    Ok(last.map_or(0, |entry| {
        let number = entry.value.first_chunk().expect("a number was written");
        u64::from_be_bytes(*number)
    }))
}
