//! A Bloom filter of the user keys in a memtable.
//!
//! It promises: a key that was added is always found again; a lookup of any other key mostly ends after one
//! cache line, instead of a walk down the list. It serves the bytewise order only, in which equal keys have
//! equal bytes. Bits are set before their entry is linked, so who may see an entry sees its bits.

use std::sync::atomic::Ordering;

use crate::layout::{Arena, FILTER_WORDS};
use crate::memory::{AtomicU64, last_word, prefetch};

/// Bits set for one key, all in one block of 512 bits. Six 9-bit positions and a 10-bit block number are
/// exactly one hash.
const PROBES: u32 = 6;
/// Words of a block.
const BLOCK_WORDS: usize = 8;
/// Blocks of a filter.
const BLOCKS: usize = FILTER_WORDS / BLOCK_WORDS;

const _: () = assert!(BLOCKS == 1 << 10 || cfg!(loom));

/// Sets every bit to zero.
pub(crate) fn clear(arena: &Arena) {
    for word in arena.filter().unwrap_or_default() {
        word.store(0, Ordering::Relaxed);
    }
}

/// A key to be added.
#[derive(Clone, Copy)]
pub(crate) struct Addition {
    hash: u64,
}

/// Has the block of a key on its way here, for [`add`].
#[inline]
pub(crate) fn prepare(arena: &Arena, user_key: &[u8]) -> Addition {
    let hash = hash(user_key);
    if let Some([first, ..]) = block(arena, hash) {
        prefetch(first);
    }
    Addition { hash }
}

/// Adds a key. Only the region's writer may.
pub(crate) fn add(arena: &Arena, Addition { hash }: Addition) {
    let Some(block) = block(arena, hash) else {
        return;
    };
    for (index, bit) in probes(hash) {
        let word = &block[index];
        // One writer: nobody stores between this load and this store.
        word.store(word.load(Ordering::Relaxed) | bit, Ordering::Relaxed);
    }
}

/// Whether the key may have been added.
pub(crate) fn may_contain(arena: &Arena, user_key: &[u8]) -> bool {
    let hash = hash(user_key);
    block(arena, hash).is_none_or(|block| {
        probes(hash).all(|(index, bit)| block[index].load(Ordering::Relaxed) & bit != 0)
    })
}

/// The block of a key; `None` if the region has no room for a filter.
#[inline]
fn block(arena: &Arena, hash: u64) -> Option<&[AtomicU64; BLOCK_WORDS]> {
    let (blocks, _) = arena.filter()?.as_chunks();
    blocks.get((hash >> 54) as usize % BLOCKS)
}

/// The words of its block and bits of a key.
#[inline]
fn probes(hash: u64) -> impl Iterator<Item = (usize, u64)> {
    (0..PROBES).map(move |probe| {
        let position = hash >> (9 * probe);
        (position as usize / 64 % BLOCK_WORDS, 1 << (position % 64))
    })
}

/// A hash that is the same in every process of one layout version. It need not withstand chosen keys: all they
/// gain is a walk down the list.
fn hash(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
    let (chunks, _) = bytes.as_chunks::<8>();
    let mut state = fold(SEED ^ bytes.len() as u64);
    for chunk in chunks {
        state = fold(state ^ u64::from_le_bytes(*chunk));
    }
    fold(fold(state ^ u64::from_le(last_word(bytes))))
}

/// Multiplies by an odd constant and folds the product's halves together. The offset keeps 0 from staying 0.
fn fold(word: u64) -> u64 {
    const FACTOR: u128 = 0xd6e8_feb8_6659_fd93;
    const OFFSET: u64 = 0xa076_1d64_78bd_642f;
    let product = u128::from(word ^ OFFSET) * FACTOR;
    (product >> 64) as u64 ^ product as u64
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::region::{HeapRegions, RegionSource};

    #[test]
    fn added_keys_are_found_and_few_others() {
        type Key = fn(u32) -> Vec<u8>;
        let shapes: [Key; 4] = [
            |n| format!("{n:016}").into_bytes(),
            |n| n.to_be_bytes().to_vec(),
            |n| {
                vec![b'a'; n as usize % 5]
                    .into_iter()
                    .chain(n.to_le_bytes())
                    .collect()
            },
            |n| {
                [
                    b"user/".as_slice(),
                    &n.to_be_bytes(),
                    b"/a-rather-long-tail",
                ]
                .concat()
            },
        ];
        // The same memory again and again: it is not clean.
        let regions = HeapRegions::new();
        for key in shapes {
            let arena = Arena::new(regions.allocate(1 << 20).unwrap()).unwrap();
            clear(&arena);
            assert!(!may_contain(&arena, b""));
            // As many as a memtable of 4 MiB holds.
            for n in 0..28_000 {
                add(&arena, prepare(&arena, &key(n)));
            }
            assert!((0..28_000).all(|n| may_contain(&arena, &key(n))));
            let others = (28_000..128_000)
                .filter(|n| may_contain(&arena, &key(*n)))
                .count();
            assert!(others < 500, "{others} of 100,000 other keys");
        }
    }
}
