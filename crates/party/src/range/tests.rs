//! A range against a model: two positions in a sorted list.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::db::Db;
use crate::read::Readable;
use crate::writes::WriteBatch;

/// Random numbers from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

fn key(n: u64) -> Vec<u8> {
    format!("k{n:03}").into_bytes()
}

/// Found by review: an end that had gone on into the other end's chunk and then sought back within its own left out
/// what it had taken from the other's.
#[test]
fn steps_and_seeks_match_the_model() {
    const KEYS: u64 = 30;
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let mut batch = WriteBatch::new();
    for n in 0..KEYS {
        // Chunks of four entries, or behind a seek of one; then of more.
        batch.put(key(2 * n), vec![b'v'; 1000]);
    }
    db.write(&batch).unwrap();
    let all: BTreeSet<Vec<u8>> = (0..KEYS).map(|n| key(2 * n)).collect();
    for seed in 0..600 {
        let mut dice = Dice(seed);
        let few = dice.roll(3) == 0;
        let lower = Bound::Included(key(dice.roll(2 * KEYS)));
        let upper = match few {
            true => Bound::Excluded(key(dice.roll(2 * KEYS))),
            false => Bound::Unbounded,
        };
        let lower = if dice.roll(2) == 0 {
            Bound::Unbounded
        } else {
            lower
        };
        let bounds = (lower, upper);
        let mut left = if dice.roll(3) == 0 {
            dice.roll(30)
        } else {
            u64::MAX
        };
        let mut range = db.range(bounds.clone()).limit(left);
        let within = |key: &Vec<u8>| std::ops::RangeBounds::contains(&bounds, key);
        let all: Vec<&Vec<u8>> = all.iter().filter(|key| within(key)).collect();
        // What is left are `all[front..back]`; the ends may have passed each other.
        let (mut front, mut back) = (0, all.len());
        for step in 0..60 {
            let target = key(dice.roll(2 * KEYS));
            match dice.roll(12) {
                0 => {
                    range.seek(&target);
                    if left > 0 {
                        front = all.partition_point(|key| **key < target);
                    }
                }
                1 => {
                    range.seek_back(&target);
                    if left > 0 {
                        back = all.partition_point(|key| **key <= target);
                    }
                }
                n => {
                    let from_front = match seed % 3 {
                        0 => n % 2 == 0,
                        1 => n % 5 != 0,
                        _ => n % 5 == 0,
                    };
                    let expected = (front < back && left > 0).then(|| match from_front {
                        true => {
                            front += 1;
                            all[front - 1]
                        }
                        false => {
                            back -= 1;
                            all[back]
                        }
                    });
                    left -= u64::from(expected.is_some());
                    let given = match from_front {
                        true => range.next(),
                        false => range.next_back(),
                    };
                    let given = given.transpose().unwrap().map(|(key, _)| key);
                    assert_eq!(given.as_ref(), expected, "seed {seed}, step {step}");
                }
            }
        }
    }
}
