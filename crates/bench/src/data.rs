//! The workload's keys, values and orders.
//!
//! Promises: the same bytes in the same order in every process and on every machine; `peers/leveldb_bench.cc` makes the
//! same, which [`Data::fingerprint`] shows. Must not know: who stores them.

/// Bytes of a key: a decimal number.
pub const KEY_BYTES: usize = 16;
/// Bytes of a value. The second half repeats the first, so that snappy halves it.
pub const VALUE_BYTES: usize = 100;
/// Entries of a batch in the batch workloads.
pub const BATCH: usize = 1_000;

/// Entries that the hot workload reads again and again: about 1 MiB, which any block cache holds.
const HOT: usize = 10_000;
/// Different values; entry `i` has value `i % VALUES`. Enough that a block never holds one twice.
const VALUES: usize = 10_000;
/// Entries that the fingerprint covers.
const FINGERPRINTED: usize = 1_000;

/// SplitMix64 (Steele, Lea, Flood 2014): a few lines in any language.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator whose numbers follow from `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number, uniform in all 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number below `bound` (its tiny bias is the same for all).
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound
    }
}

/// The entries of one run: present keys are even numbers, odd ones are absent and lie between them.
///
/// ```
/// use level_party_bench::Data;
/// let data = Data::new(1_000);
/// assert_eq!(&data.key(21), b"0000000000000042");
/// assert_eq!(&data.absent_key(21), b"0000000000000043");
/// assert_eq!(data.value(21).len(), 100);
/// ```
#[derive(Clone, Debug)]
pub struct Data {
    entries: usize,
    values: Vec<u8>,
}

impl Data {
    /// The first `entries` entries.
    pub fn new(entries: usize) -> Data {
        let mut random = Random::new(1);
        let mut values = Vec::with_capacity(VALUES * VALUE_BYTES);
        for _ in 0..VALUES {
            let start = values.len();
            for _ in 0..VALUE_BYTES / 2 {
                values.push(b' ' + random.below(95) as u8);
            }
            values.extend_from_within(start..);
        }
        Data { entries, values }
    }

    /// How many entries there are.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// The key of entry `index`.
    pub fn key(&self, index: usize) -> [u8; KEY_BYTES] {
        decimal(2 * index as u64)
    }

    /// A key that no entry has, right after that of entry `index`.
    pub fn absent_key(&self, index: usize) -> [u8; KEY_BYTES] {
        decimal(2 * index as u64 + 1)
    }

    /// The value of entry `index`.
    pub fn value(&self, index: usize) -> &[u8] {
        let start = index % VALUES * VALUE_BYTES;
        &self.values[start..start + VALUE_BYTES]
    }

    /// All entries' indexes in a random order that follows from `seed`.
    pub fn shuffled(&self, seed: u64) -> Vec<u32> {
        let count = u32::try_from(self.entries).expect("runs are far smaller than 2^32 entries");
        let mut order: Vec<u32> = (0..count).collect();
        let mut random = Random::new(seed);
        for i in (1..order.len()).rev() {
            order.swap(i, random.below(i as u64 + 1) as usize);
        }
        order
    }

    /// As many indexes as there are entries, all of the same few neighbours, in a random order.
    pub fn hot(&self, seed: u64) -> Vec<u32> {
        let mut random = Random::new(seed);
        let hot = self.entries.min(HOT) as u64;
        (0..self.entries)
            .map(|_| random.below(hot) as u32)
            .collect()
    }

    /// A hash (FNV-1a) of the first keys and values in shuffled order, to compare two implementations by.
    pub fn fingerprint() -> u64 {
        let data = Data::new(FINGERPRINTED);
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for index in data.shuffled(1) {
            let index = index as usize;
            for byte in data.key(index).iter().chain(data.value(index)) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        hash
    }
}

fn decimal(mut number: u64) -> [u8; KEY_BYTES] {
    let mut digits = [b'0'; KEY_BYTES];
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffled_order_visits_every_entry_once() {
        let data = Data::new(777);
        let mut order = data.shuffled(3);
        assert_ne!(order, (0..777).collect::<Vec<u32>>());
        assert_ne!(order, data.shuffled(4));
        order.sort_unstable();
        assert_eq!(order, (0..777).collect::<Vec<u32>>());
    }

    #[test]
    fn workload_is_the_one_of_the_documented_figures() {
        assert_eq!(Data::fingerprint(), 0x98e3_74c6_e2ac_9f19);
    }

    #[test]
    fn a_hot_order_stays_among_the_first() {
        let order = Data::new(30_000).hot(1);
        assert_eq!(order.len(), 30_000);
        assert!(order.iter().all(|index| (*index as usize) < HOT));
    }

    #[test]
    fn a_value_repeats_its_first_half() {
        let data = Data::new(10);
        let (first, second) = data.value(7).split_at(VALUE_BYTES / 2);
        assert_eq!(first, second);
        assert_ne!(data.value(7), data.value(8));
    }
}
