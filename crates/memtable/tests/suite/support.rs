//! What the tests share: random numbers, a region over plain memory, short ways to write common steps.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use level_party_format::key::{self, InternalComparator, ValueType};
use level_party_memtable::{HeapRegions, MemTableWriter, Region, RegionSource};

/// SplitMix64: the same numbers in every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// A region whose bytes a test chooses.
pub struct Bytes {
    words: Vec<u64>,
}

impl Bytes {
    pub fn copy_of(bytes: &[u8]) -> Bytes {
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_ne_bytes(word)
        });
        Bytes {
            words: words.collect(),
        }
    }
}

// SAFETY: the vector is never changed, so its memory stays and is initialised; the tests open these regions for
// reading only.
unsafe impl Region for Bytes {
    fn ptr(&self) -> NonNull<u8> {
        NonNull::from(self.words.as_slice()).cast()
    }

    fn len(&self) -> usize {
        self.words.len() * 8
    }
}

/// The bytes of a region whose writer rests.
pub fn bytes_of(region: &dyn Region) -> Vec<u8> {
    // SAFETY: a region is readable and initialised; nobody writes while the test copies it.
    unsafe { std::slice::from_raw_parts(region.ptr().as_ptr(), region.len()) }.to_vec()
}

/// An empty memtable in a fresh heap region, and a way to look at the region's bytes: a region's address stays.
pub fn writer(len: usize) -> MemTableWriter {
    let region = HeapRegions::new().allocate(len).unwrap();
    MemTableWriter::create(region, InternalComparator::default()).unwrap()
}

/// A region that keeps its bytes readable for a test after a writer took it.
pub struct Watched(pub Arc<dyn Region>);

// SAFETY: it is the inner region, held by nobody else as a region to write.
unsafe impl Region for Watched {
    fn ptr(&self) -> NonNull<u8> {
        self.0.ptr()
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// A memtable filled by `fill`, as the bytes another process would see.
pub fn image(len: usize, fill: impl FnOnce(&mut MemTableWriter)) -> Vec<u8> {
    let memory = HeapRegions::new().allocate(len).unwrap();
    let watched = Arc::new(Watched(memory.clone()));
    let mut writer = MemTableWriter::create(watched, InternalComparator::default()).unwrap();
    fill(&mut writer);
    bytes_of(&*memory)
}

pub fn internal_key(user: &[u8], sequence: u64, kind: ValueType) -> Vec<u8> {
    let mut out = Vec::new();
    key::append_internal_key(&mut out, user, sequence, kind);
    out
}

/// A region whose bytes a test chooses, for a writer: atomic words, with guards before and behind.
pub struct Owned {
    words: Box<[AtomicU64]>,
}

const GUARD: u64 = 0x5afe_5afe_5afe_5afe;
const GUARDS: usize = 64;

impl Owned {
    pub fn copy_of(bytes: &[u8]) -> Owned {
        let guards = std::iter::repeat_n(GUARD, GUARDS);
        let words = bytes.as_chunks::<8>().0.iter();
        let words = words.map(|word| u64::from_ne_bytes(*word));
        let all = guards.clone().chain(words).chain(guards);
        Owned {
            words: all.map(AtomicU64::new).collect(),
        }
    }

    pub fn store(&self, index: usize, word: u64) {
        self.words[GUARDS + index].store(word, Relaxed);
    }

    pub fn surroundings_are_untouched(&self) -> bool {
        let (before, behind) = (
            &self.words[..GUARDS],
            &self.words[self.words.len() - GUARDS..],
        );
        let mut guards = before.iter().chain(behind);
        guards.all(|word| word.load(Relaxed) == GUARD)
    }
}

// SAFETY: the words stay where they are, may be stored to through a shared borrow, and are accessed as atomics only.
unsafe impl Region for Owned {
    fn ptr(&self) -> NonNull<u8> {
        NonNull::from(&self.words[GUARDS..self.words.len() - GUARDS]).cast()
    }

    fn len(&self) -> usize {
        (self.words.len() - 2 * GUARDS) * 8
    }
}
