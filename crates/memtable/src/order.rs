//! The order of entries: LevelDB's internal key order, on a key given as user key and tag.
//!
//! User keys ascend, then tags (sequence << 8 | type) descend, so that a search for the newest version that may
//! be seen lands on it (LevelDB's `db/dbformat.h`). It knows keys as words, and nothing of where they lie.

use std::cmp::Ordering;
use std::sync::atomic;

use level_party_format::Comparator;
use level_party_format::key;

use crate::memory::{AtomicU64, WORD, last_word, with_bytes};

/// A position that is searched for.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    user_key: &'a [u8],
    pub(crate) tag: u64,
    /// The user key's whole words, and what is behind them.
    whole: &'a [[u8; WORD]],
    last: Option<u64>,
}

/// The internal key of an entry, in shared memory.
#[derive(Clone, Copy)]
pub(crate) struct EntryKey<'a> {
    pub(crate) tag: &'a AtomicU64,
    /// The user key, the last word filled up with zeros.
    pub(crate) words: &'a [AtomicU64],
    /// Its length in bytes.
    pub(crate) len: usize,
}

impl<'a> Target<'a> {
    #[inline]
    pub(crate) fn new(user_key: &'a [u8], tag: u64) -> Self {
        let (whole, rest) = user_key.as_chunks();
        Target {
            user_key,
            tag,
            whole,
            last: (!rest.is_empty()).then(|| last_word(user_key)),
        }
    }

    /// The position of an internal key. One that is too short stands for the empty user key with tag 0.
    pub(crate) fn of_internal_key(internal_key: &'a [u8]) -> Self {
        Target::new(key::user_key(internal_key), key::tag(internal_key))
    }

    /// Whether this position is after an entry.
    #[inline]
    pub(crate) fn is_after(&self, user_order: &Comparator, key: EntryKey<'_>) -> bool {
        match user_order {
            Comparator::Bytewise => self.is_after_by_words(key),
            Comparator::Custom(_) => {
                let keys = self.compare_copy(user_order, key);
                keys.then_with(|| load(key.tag).cmp(&self.tag)).is_gt()
            }
        }
    }

    /// Whether an entry has its user key.
    #[inline]
    pub(crate) fn has_user_key_of(&self, user_order: &Comparator, key: EntryKey<'_>) -> bool {
        match user_order {
            Comparator::Bytewise => self.user_key.len() == key.len && self.differing(key).is_none(),
            Comparator::Custom(_) => self.compare_copy(user_order, key).is_eq(),
        }
    }

    /// A word read as a number with its first byte highest compares as its bytes do. Zeros behind the shorter key never
    /// put it behind the longer one, and where they make no difference the lengths do.
    #[inline]
    fn is_after_by_words(&self, key: EntryKey<'_>) -> bool {
        if let Some((ours, theirs)) = self.differing(key) {
            return u64::from_be(ours) > u64::from_be(theirs);
        }
        if self.user_key.len() != key.len {
            return self.user_key.len() > key.len;
        }
        load(key.tag) > self.tag
    }

    /// The first words of both user keys that differ, as far as both reach.
    #[inline]
    fn differing(&self, key: EntryKey<'_>) -> Option<(u64, u64)> {
        for (ours, theirs) in self.whole.iter().zip(key.words) {
            let (ours, theirs) = (u64::from_ne_bytes(*ours), load(theirs));
            if ours != theirs {
                return Some((ours, theirs));
            }
        }
        let ours = self.last?;
        let theirs = load(key.words.get(self.whole.len())?);
        (ours != theirs).then_some((ours, theirs))
    }

    #[cold]
    fn compare_copy(&self, user_order: &Comparator, key: EntryKey<'_>) -> Ordering {
        with_bytes(key.words, key.len, |theirs| {
            user_order.compare(self.user_key, theirs)
        })
    }
}

#[inline]
fn load(word: &AtomicU64) -> u64 {
    word.load(atomic::Ordering::Relaxed)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::memory::store_bytes;

    #[test]
    fn keys_compared_as_words_are_ordered_as_their_bytes() {
        let mut keys: Vec<Vec<u8>> = vec![Vec::new()];
        for len in 1..=18 {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                for at in [0, len / 2, len - 1] {
                    let mut key = vec![0x40; len];
                    key[at] = byte;
                    keys.extend([key, vec![byte; len]]);
                }
            }
        }
        for theirs in &keys {
            let words: Vec<_> = (0..theirs.len().div_ceil(WORD))
                .map(|_| AtomicU64::new(0))
                .collect();
            store_bytes(&words, theirs);
            for ours in &keys {
                for tag in [1, 2, 3] {
                    let entry = EntryKey {
                        tag: &AtomicU64::new(2),
                        words: &words,
                        len: theirs.len(),
                    };
                    let (target, order) = (Target::new(ours, tag), Comparator::Bytewise);
                    let expected = ours.cmp(theirs).then(2.cmp(&tag)).is_gt();
                    let after = target.is_after(&order, entry);
                    assert_eq!(after, expected, "{ours:?} {tag}, {theirs:?} 2");
                    let same = target.has_user_key_of(&order, entry);
                    assert_eq!(same, ours == theirs, "{ours:?}, {theirs:?}");
                }
            }
        }
    }
}
