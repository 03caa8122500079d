//! [`SeekKey`]: the internal key a read of a user key seeks, built without allocating for keys of usual length.
//!
//! Must not know: what is sought with it.

use level_party_format::key::{self, ValueType};
use level_party_format::{MAX_SEQUENCE, Sequence};

const TAG_LEN: usize = 8;
/// Keys up to this length (with their tag) need no allocation; LevelDB's `LookupKey` has 200 bytes with its prefix.
const INLINE: usize = 192;

/// The first internal key at which an entry for a user key at a sequence can be.
pub(crate) struct SeekKey {
    inline: [u8; INLINE],
    len: usize,
    heap: Vec<u8>,
}

impl SeekKey {
    /// Finds the newest entry of `user_key` at or before `sequence`; one above the largest possible means the largest.
    pub(crate) fn new(user_key: &[u8], sequence: Sequence) -> SeekKey {
        let tag = key::pack_tag(sequence.min(MAX_SEQUENCE), ValueType::Value);
        SeekKey::with_tag(user_key, tag)
    }

    /// Finds the end of all entries of `user_key`: no entry of it is after this key.
    pub(crate) fn after_all(user_key: &[u8]) -> SeekKey {
        SeekKey::with_tag(user_key, 0)
    }

    fn with_tag(user_key: &[u8], tag: u64) -> SeekKey {
        let len = user_key.len() + TAG_LEN;
        let mut inline = [0; INLINE];
        let mut heap = Vec::new();
        if len <= INLINE {
            inline[..user_key.len()].copy_from_slice(user_key);
            inline[user_key.len()..len].copy_from_slice(&tag.to_le_bytes());
        } else {
            heap.reserve_exact(len);
            heap.extend_from_slice(user_key);
            heap.extend_from_slice(&tag.to_le_bytes());
        }
        SeekKey { inline, len, heap }
    }

    /// The internal key.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        if self.len <= INLINE {
            &self.inline[..self.len]
        } else {
            &self.heap
        }
    }

    /// The user key.
    pub(crate) fn user_key(&self) -> &[u8] {
        &self.as_bytes()[..self.len - TAG_LEN]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_keys_are_built_alike() {
        for len in [0, 1, INLINE - TAG_LEN, INLINE - TAG_LEN + 1, 1000] {
            let user = vec![7; len];
            let built = SeekKey::new(&user, 42);
            assert_eq!(built.as_bytes(), key::seek_key(&user, 42));
            assert_eq!(built.user_key(), user);
        }
    }

    #[test]
    fn a_sequence_beyond_the_largest_means_the_largest() {
        let built = SeekKey::new(b"k", u64::MAX);
        assert_eq!(built.as_bytes(), key::seek_key(b"k", MAX_SEQUENCE));
    }
}
