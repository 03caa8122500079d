//! Random operations: the same ones for the same seed.

use crate::model::Op;

/// Makes batches over a small set of awkward keys, so that most keys are written many times.
#[derive(Debug)]
pub struct Script {
    random: fastrand::Rng,
    keys: u32,
    stamp: u64,
}

impl Script {
    /// Operations on at most `keys` keys.
    pub fn new(seed: u64, keys: u32) -> Self {
        Script {
            random: fastrand::Rng::with_seed(seed),
            keys,
            stamp: 0,
        }
    }

    /// Where its chances come from.
    pub fn random(&mut self) -> &mut fastrand::Rng {
        &mut self.random
    }

    /// A key: one of a few that are awkward (empty, zeros, 0xff), text, binary, or one of many with a long common start.
    pub fn key(&mut self) -> Vec<u8> {
        let number = self.random.u32(..self.keys);
        match number {
            0 => Vec::new(),
            1..4 => vec![0; number as usize],
            4..7 => vec![0xff; number as usize - 3],
            _ => match number % 3 {
                0 => format!("{number:05}").into_bytes(),
                1 => [&[0xff, 0x00][..], &number.to_le_bytes()].concat(),
                _ => format!("a start that many keys have/{number}").into_bytes(),
            },
        }
    }

    /// A value unlike any other, mostly short, once in a while longer than a block, a log's block or a memtable.
    pub fn value(&mut self) -> Vec<u8> {
        let length = match self.random.u32(..100) {
            0..70 => self.random.usize(..100),
            70..93 => self.random.usize(100..2_000),
            93..99 => self.random.usize(2_000..20_000),
            _ => self.random.usize(60_000..200_000),
        };
        self.value_of(length)
    }

    /// A value of a length; from 8 bytes on it is unlike any other.
    pub fn value_of(&mut self, length: usize) -> Vec<u8> {
        self.stamp += 1;
        let mut value = self.stamp.to_le_bytes().to_vec();
        if self.random.bool() {
            let word = self.random.u64(..).to_le_bytes();
            value.extend(word.iter().cycle().take(length));
        } else {
            value.extend(std::iter::repeat_with(|| self.random.u8(..)).take(length));
        }
        value.truncate(length);
        value
    }

    /// One to a dozen operations, about a quarter of them deletions.
    pub fn batch(&mut self) -> Vec<Op> {
        let count = if self.random.bool() {
            1
        } else {
            self.random.usize(1..12)
        };
        std::iter::repeat_with(|| self.op()).take(count).collect()
    }

    fn op(&mut self) -> Op {
        let key = self.key();
        if self.random.u32(..4) == 0 {
            Op::Delete(key)
        } else {
            Op::Put(key, self.value())
        }
    }
}
