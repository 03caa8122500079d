//! The memory of a region: atomic words of 64 bits, and nothing of what they mean.
//!
//! The one place that turns an address into something to read, and that copies bytes in and out. It promises that every
//! access is an atomic one of one size, so that a region may change under a reader, by another thread or process, and be
//! used again for something else. Built with `--cfg loom` it is replaced by a model of memory in which every order of
//! loads and stores that hardware allows is tried (`memory/modelled.rs`); all code above it is the same.

#[cfg(loom)]
mod modelled;
#[cfg(not(loom))]
mod real;

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[cfg(loom)]
pub use modelled::AtomicU64;
#[cfg(all(test, loom))]
pub(crate) use modelled::plant;
#[cfg(loom)]
pub(crate) use modelled::{LINK, Memory, Planted, fence, planted, prefetch, stored};
#[cfg(not(loom))]
pub use real::AtomicU64;
#[cfg(not(loom))]
pub(crate) use real::{LINK, Memory, fence, prefetch, stored};

use crate::region::Region;

/// The words of a region, for whoever keeps something else than a memtable there.
///
/// ```
/// use std::sync::atomic::Ordering;
/// use level_party_memtable::{HeapRegions, RegionSource, Words};
///
/// let region = HeapRegions::new().allocate(64)?;
/// let words = Words::of(region.clone()).expect("regions of the heap are aligned");
/// words.all()[3].store(7, Ordering::Release);
/// assert_eq!(Words::of(region).unwrap().all()[3].load(Ordering::Acquire), 7);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Words(Memory);

impl Words {
    /// All whole words of a region; `None` if it does not start at a multiple of 8.
    pub fn of(region: Arc<dyn Region>) -> Option<Words> {
        Memory::new(region).map(Words)
    }

    /// The words.
    #[inline]
    pub fn all(&self) -> &[AtomicU64] {
        self.0.words()
    }
}

/// Bytes of a word.
pub(crate) const WORD: usize = 8;

/// An acquire load that is defined on memory mapped read-only. `std::sync::atomic` promises that for relaxed loads
/// only, and names the fence as the way to order them.
#[inline]
pub(crate) fn load_acquire(word: &AtomicU64) -> u64 {
    let value = word.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    value
}

/// The bytes of a word as they lie in memory. Nothing orders the load.
#[inline]
fn load_bytes(word: &AtomicU64) -> [u8; WORD] {
    word.load(Ordering::Relaxed).to_ne_bytes()
}

/// The bytes behind the last whole word of `bytes`, then zeros, as they would lie in memory; 0 if there are none.
#[inline]
pub(crate) fn last_word(bytes: &[u8]) -> u64 {
    let rest = bytes.len() % WORD;
    if rest == 0 {
        return 0;
    }
    // The bytes before are at hand more often than not, and shifted out.
    let word = match bytes.last_chunk::<WORD>() {
        Some(last) => u64::from_le_bytes(*last) >> (8 * (WORD - rest)),
        None => bytes
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    word.to_le()
}

/// Stores bytes, the last word filled up with zeros. `words` are as many as they need.
#[inline]
pub(crate) fn store_bytes(words: &[AtomicU64], bytes: &[u8]) {
    let store = |word: &AtomicU64, bytes: &[u8; WORD]| {
        word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
    };
    let (whole, _) = bytes.as_chunks();
    let Some((words, last)) = words.split_at_checked(whole.len()) else {
        return;
    };
    let (four_words, words) = words.as_chunks::<4>();
    let (fours, whole) = whole.as_chunks::<4>();
    for ([a, b, c, d], [to_a, to_b, to_c, to_d]) in fours.iter().zip(four_words) {
        store(to_a, a);
        store(to_b, b);
        store(to_c, c);
        store(to_d, d);
    }
    // Keys are short: no loop for what is left.
    match (words, whole) {
        ([to_a], [a]) => store(to_a, a),
        ([to_a, to_b], [a, b]) => {
            store(to_a, a);
            store(to_b, b);
        }
        ([to_a, to_b, to_c], [a, b, c]) => {
            store(to_a, a);
            store(to_b, b);
            store(to_c, c);
        }
        _ => {}
    }
    if let [word] = last {
        word.store(last_word(bytes), Ordering::Relaxed);
    }
}

/// Where the bytes of a word are copied to.
type Place = [MaybeUninit<u8>; WORD];

#[inline]
fn load_place(word: &AtomicU64) -> Place {
    load_bytes(word).map(MaybeUninit::new)
}

/// Appends the first `len` bytes of words, at most those of all words. It may reserve a few bytes more than that.
#[inline(always)]
pub(crate) fn append_bytes(out: &mut Vec<u8>, words: &[AtomicU64], len: usize) {
    out.reserve(words.len() * WORD);
    let (room, _) = out.spare_capacity_mut().as_chunks_mut();
    copy_words(&mut room[..words.len()], words);
    let end = out.len() + len.min(words.len() * WORD);
    // SAFETY: behind the bytes that were there, as many places as there are words were just filled.
    unsafe { out.set_len(end) };
}

/// Copies words to as many places. Keys are short: no call for up to three words.
#[inline]
fn copy_words(to: &mut [Place], words: &[AtomicU64]) {
    if words.len() < 4 {
        copy_few_words(to, words);
    } else {
        copy_many_words(to, words);
    }
}

#[inline(never)]
fn copy_many_words(to: &mut [Place], words: &[AtomicU64]) {
    let (fours, words) = words.as_chunks::<4>();
    let (places, to) = to.as_chunks_mut::<4>();
    for ([a, b, c, d], [w, x, y, z]) in places.iter_mut().zip(fours) {
        (*a, *b) = (load_place(w), load_place(x));
        (*c, *d) = (load_place(y), load_place(z));
    }
    copy_few_words(to, words);
}

/// Copies up to three words, without a loop.
#[inline]
fn copy_few_words(to: &mut [Place], words: &[AtomicU64]) {
    match (to, words) {
        ([a], [x]) => *a = load_place(x),
        ([a, b], [x, y]) => (*a, *b) = (load_place(x), load_place(y)),
        ([a, b, c], [x, y, z]) => (*a, *b, *c) = (load_place(x), load_place(y), load_place(z)),
        _ => {}
    }
}

/// The first `len` bytes of words.
#[inline]
pub(crate) fn bytes_to_vec(words: &[AtomicU64], len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(words.len() * WORD);
    append_bytes(&mut bytes, words, len);
    bytes
}

/// Bytes that [`with_bytes`] copies without an allocation.
const SHORT: usize = 256;

/// Hands a copy of the first `len` bytes to `read`, at most those of all words.
pub(crate) fn with_bytes<R>(words: &[AtomicU64], len: usize, read: impl FnOnce(&[u8]) -> R) -> R {
    let mut short = [[0; WORD]; SHORT / WORD];
    match short.get_mut(..words.len()) {
        Some(short) => {
            for (to, word) in short.iter_mut().zip(words) {
                *to = load_bytes(word);
            }
            read(&short.as_flattened()[..len])
        }
        None => read(&bytes_to_vec(words, len)),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bytes_stored_as_words_come_back_whatever_their_length() {
        let bytes: Vec<u8> = (1..=u8::MAX).chain(1..=100).collect();
        for len in 0..=bytes.len() {
            let words: Vec<AtomicU64> = (0..len.div_ceil(WORD))
                .map(|_| AtomicU64::new(u64::MAX))
                .collect();
            store_bytes(&words, &bytes[..len]);
            with_bytes(&words, len, |copy| assert_eq!(copy, &bytes[..len]));
            assert_eq!(bytes_to_vec(&words, len), &bytes[..len]);
            let mut out = vec![7];
            append_bytes(&mut out, &words, len);
            assert_eq!((out[0], &out[1..]), (7, &bytes[..len]));
        }
    }
}
