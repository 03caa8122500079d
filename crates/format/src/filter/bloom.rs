//! One Bloom filter.

use super::NAME;

const SEED: u32 = 0xbc9f_1d34;
const MIN_BITS: usize = 64;
/// A number of probes above this is kept for encodings to come, and matches everything.
const MAX_PROBES: u8 = 30;

/// LevelDB's hash function (`util/hash.cc`), murmur-like; tail bytes count as unsigned.
pub fn hash(data: &[u8], seed: u32) -> u32 {
    const M: u32 = 0xc6a4_a793;
    let mut h = seed ^ (data.len() as u32).wrapping_mul(M);
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        h = h.wrapping_add(u32::from_le_bytes(*word)).wrapping_mul(M);
        h ^= h >> 16;
    }
    if !tail.is_empty() {
        for (i, &byte) in tail.iter().enumerate() {
            h = h.wrapping_add(u32::from(byte) << (8 * i));
        }
        h = h.wrapping_mul(M);
        h ^= h >> 24;
    }
    h
}

/// How to make filters of some number of bits per key. Any filter can be asked, whatever it was made with.
///
/// ```
/// use level_party_format::filter::BloomPolicy;
///
/// let mut filter = Vec::new();
/// BloomPolicy::new(10).create_filter(&[b"hello", b"world"], &mut filter);
/// assert!(BloomPolicy::key_may_match(b"hello", &filter));
/// assert!(!BloomPolicy::key_may_match(b"foo", &filter));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BloomPolicy {
    bits_per_key: usize,
    probes: u8,
}

impl BloomPolicy {
    /// The name of the policy in a table's metaindex.
    pub const NAME: &'static str = NAME;

    /// Filters of `bits_per_key` bits for each key; 10 gives about 1 % false positives.
    pub fn new(bits_per_key: usize) -> Self {
        // ln 2 times the bits, rounded down to make a probe cheaper, as LevelDB does.
        let probes = (bits_per_key as f64 * 0.69) as u64;
        BloomPolicy {
            bits_per_key,
            probes: probes.clamp(1, u64::from(MAX_PROBES)) as u8,
        }
    }

    /// Appends to `out` a filter that matches all of `keys`.
    pub fn create_filter(&self, keys: &[&[u8]], out: &mut Vec<u8>) {
        let hashes: Vec<u32> = keys.iter().map(|key| Self::hash_key(key)).collect();
        self.create_from_hashes(&hashes, out);
    }

    /// Whether `key` may be one of the keys that `filter` was made of. Never wrong when it says no.
    pub fn key_may_match(key: &[u8], filter: &[u8]) -> bool {
        Self::hash_may_match(Self::hash_key(key), filter)
    }

    pub(super) fn hash_key(key: &[u8]) -> u32 {
        hash(key, SEED)
    }

    pub(super) fn create_from_hashes(&self, hashes: &[u32], out: &mut Vec<u8>) {
        let bits = hashes.len().saturating_mul(self.bits_per_key).max(MIN_BITS);
        let bytes = bits.div_ceil(8);
        let bits = bytes * 8;
        let start = out.len();
        out.resize(start + bytes, 0);
        let array = &mut out[start..];
        for &hash in hashes {
            for bit in probe(hash, self.probes, bits) {
                array[bit / 8] |= 1 << (bit % 8);
            }
        }
        out.push(self.probes);
    }

    fn hash_may_match(hash: u32, filter: &[u8]) -> bool {
        match filter.split_last() {
            None | Some((_, [])) => false,
            Some((&probes, _)) if probes > MAX_PROBES => true,
            Some((&probes, array)) => probe(hash, probes, array.len() * 8)
                .all(|bit| array[bit / 8] & (1 << (bit % 8)) != 0),
        }
    }
}

/// The positions to set or test: double hashing with the hash rotated by 17 as the step.
#[inline]
fn probe(hash: u32, probes: u8, bits: usize) -> impl Iterator<Item = usize> {
    let delta = hash.rotate_right(17);
    let mut h = hash;
    // A hash is below any larger number of bits; and to divide 32-bit numbers is faster.
    let modulus = u32::try_from(bits).ok();
    (0..probes).map(move |_| {
        let bit = modulus.map_or(h, |bits| h % bits);
        h = h.wrapping_add(delta);
        bit as usize
    })
}
