//! Internal keys: a user key, then 8 little-endian bytes of `sequence << 8 | type` (`db/dbformat.h`).
//!
//! Order: user keys ascending, then tags descending, so that the newest version of a key comes first. A search for the
//! state at sequence `s` seeks to `(key, s, Value)`, the first possible entry with that user key and a sequence `<= s`.
//! The empty user key is a legal key.

use std::cmp::Ordering;

use crate::{Comparator, Corruption, MAX_SEQUENCE, Sequence};

/// Length of the tag at the end of an internal key, in bytes.
pub const TAG_LEN: usize = 8;

/// What an entry says about its user key. The numbers are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ValueType {
    /// The key is gone from this sequence on.
    Deletion = 0,
    /// The key has this value from this sequence on. Also the type to seek with: tags descend.
    Value = 1,
}

impl TryFrom<u8> for ValueType {
    type Error = Corruption;

    #[inline]
    fn try_from(byte: u8) -> Result<Self, Corruption> {
        match byte {
            0 => Ok(ValueType::Deletion),
            1 => Ok(ValueType::Value),
            other => Err(Corruption::new(format!("unknown value type {other}"))),
        }
    }
}

/// The tag of an entry. `sequence` must be at most [`MAX_SEQUENCE`]; higher bits are lost.
#[inline]
pub const fn pack_tag(sequence: Sequence, kind: ValueType) -> u64 {
    debug_assert!(sequence <= MAX_SEQUENCE);
    sequence << 8 | kind as u64
}

/// Appends an internal key to `out`.
#[inline]
pub fn append_internal_key(out: &mut Vec<u8>, user: &[u8], sequence: Sequence, kind: ValueType) {
    out.reserve(user.len() + TAG_LEN);
    out.extend_from_slice(user);
    out.extend_from_slice(&pack_tag(sequence, kind).to_le_bytes());
}

/// The internal key to seek to for the newest entry of `user` at or below `sequence`.
pub fn seek_key(user: &[u8], sequence: Sequence) -> Vec<u8> {
    let mut out = Vec::new();
    append_internal_key(&mut out, user, sequence, ValueType::Value);
    out
}

/// An internal key taken apart.
///
/// ```
/// use level_party_format::key::{self, ParsedKey, ValueType};
///
/// let bytes = key::seek_key(b"name", 7);
/// let parsed = key::parse(&bytes)?;
/// assert_eq!(parsed, ParsedKey { user_key: b"name", sequence: 7, kind: ValueType::Value });
/// # Ok::<(), level_party_format::Corruption>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedKey<'a> {
    /// The caller's key.
    pub user_key: &'a [u8],
    /// When the entry was written.
    pub sequence: Sequence,
    /// What the entry says.
    pub kind: ValueType,
}

/// Takes an internal key apart. Fails if it is shorter than its tag or its type is unknown.
#[inline]
pub fn parse(internal: &[u8]) -> Result<ParsedKey<'_>, Corruption> {
    let Some((user_key, tag)) = internal.split_last_chunk::<TAG_LEN>() else {
        return Err(Corruption::new(format!(
            "an internal key of {} bytes is shorter than its tag",
            internal.len()
        )));
    };
    let tag = u64::from_le_bytes(*tag);
    let kind = ValueType::try_from(tag as u8)?;
    Ok(ParsedKey {
        user_key,
        sequence: tag >> 8,
        kind,
    })
}

/// The user key of an internal key; empty if the input is shorter than a tag.
#[inline]
pub fn user_key(internal: &[u8]) -> &[u8] {
    &internal[..internal.len().saturating_sub(TAG_LEN)]
}

/// The tag of an internal key; 0 if the input is shorter than a tag.
#[inline]
pub fn tag(internal: &[u8]) -> u64 {
    internal
        .last_chunk::<TAG_LEN>()
        .map_or(0, |tag| u64::from_le_bytes(*tag))
}

/// The order of internal keys. Total on any bytes: a key too short for its tag counts as the empty user key, tag 0.
///
/// ```
/// use level_party_format::key::{InternalComparator, seek_key};
///
/// let order = InternalComparator::default();
/// assert!(order.compare(&seek_key(b"a", 9), &seek_key(b"a", 3)).is_lt(), "newer first");
/// assert!(order.compare(&seek_key(b"a", 3), &seek_key(b"b", 9)).is_lt());
/// ```
#[derive(Debug, Clone, Default)]
pub struct InternalComparator {
    /// The order of the user keys.
    pub user: Comparator,
}

impl InternalComparator {
    /// The order of internal keys above the given order of user keys.
    pub fn new(user: Comparator) -> Self {
        InternalComparator { user }
    }

    /// Where internal key `a` stands relative to `b`.
    #[inline]
    pub fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        self.user
            .compare(user_key(a), user_key(b))
            .then_with(|| tag(b).cmp(&tag(a)))
    }

    /// If `start < limit`, may change `start` to a shorter internal key in `[start, limit)`. Only a user key that is
    /// both physically shorter and logically larger is taken; it gets the tag that sorts first among its own.
    pub fn find_shortest_separator(&self, start: &mut Vec<u8>, limit: &[u8]) {
        let mut short = user_key(start).to_vec();
        self.user
            .find_shortest_separator(&mut short, user_key(limit));
        self.take_if_shorter(start, short);
    }

    /// May change `key` to a shorter internal key `>= key`, by the same rule.
    pub fn find_short_successor(&self, key: &mut Vec<u8>) {
        let mut short = user_key(key).to_vec();
        self.user.find_short_successor(&mut short);
        self.take_if_shorter(key, short);
    }

    fn take_if_shorter(&self, key: &mut Vec<u8>, mut short: Vec<u8>) {
        let user = user_key(key);
        if short.len() < user.len() && self.user.compare(user, &short).is_lt() {
            let tag = pack_tag(MAX_SEQUENCE, ValueType::Value);
            short.extend_from_slice(&tag.to_le_bytes());
            *key = short;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ikey(user: &[u8], sequence: Sequence, kind: ValueType) -> Vec<u8> {
        let mut out = Vec::new();
        append_internal_key(&mut out, user, sequence, kind);
        out
    }

    #[test]
    fn known_bytes_and_round_trips() {
        assert_eq!(
            ikey(b"foo", 0x0001_0203_0405_0607, ValueType::Value),
            b"foo\x01\x07\x06\x05\x04\x03\x02\x01"
        );
        for user in [&b""[..], b"k", b"hello", &[0xff; 40]] {
            for sequence in [0, 1, 255, 256, (1 << 32) - 1, 1 << 32, MAX_SEQUENCE] {
                for kind in [ValueType::Deletion, ValueType::Value] {
                    let bytes = ikey(user, sequence, kind);
                    let parsed = parse(&bytes).unwrap();
                    assert_eq!(
                        (parsed.user_key, parsed.sequence, parsed.kind),
                        (user, sequence, kind)
                    );
                    assert_eq!(user_key(&bytes), user);
                    assert_eq!(tag(&bytes), pack_tag(sequence, kind));
                }
            }
        }
    }

    #[test]
    fn short_keys_and_unknown_types_are_corruption() {
        for len in 0..TAG_LEN {
            let bytes = vec![1u8; len];
            assert!(parse(&bytes).is_err());
            assert_eq!(user_key(&bytes), b"");
            assert_eq!(tag(&bytes), 0);
        }
        assert!(parse(&[b'k', 2, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(InternalComparator::default().compare(b"abc", b"x").is_eq());
    }

    #[test]
    fn user_keys_ascend_and_tags_descend() {
        use ValueType::{Deletion, Value};
        let order = InternalComparator::default();
        let sorted = [
            ikey(b"", 3, Value),
            ikey(b"a", MAX_SEQUENCE, Value),
            ikey(b"a", 5, Value),
            ikey(b"a", 5, Deletion),
            ikey(b"a", 4, Value),
            ikey(b"a\0", 9, Value),
            ikey(b"b", 1, Deletion),
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(order.compare(a, b), i.cmp(&j), "{i} {j}");
            }
        }
    }

    fn separator(start: Vec<u8>, limit: Vec<u8>) -> Vec<u8> {
        let mut key = start;
        InternalComparator::default().find_shortest_separator(&mut key, &limit);
        key
    }

    #[test]
    fn separators_follow_leveldbs_rules() {
        use ValueType::Value;
        let foo = ikey(b"foo", 100, Value);
        for limit in [
            ikey(b"foo", 99, Value),
            ikey(b"foo", 101, Value),
            ikey(b"foo", 100, ValueType::Deletion),
            ikey(b"bar", 99, Value),
            ikey(b"foobar", 200, Value),
        ] {
            assert_eq!(
                separator(foo.clone(), limit),
                foo,
                "nothing shorter is larger"
            );
        }
        assert_eq!(
            separator(foo.clone(), ikey(b"hello", 200, Value)),
            ikey(b"g", MAX_SEQUENCE, Value)
        );
        let foobar = ikey(b"foobar", 100, Value);
        assert_eq!(separator(foobar.clone(), ikey(b"foo", 200, Value)), foobar);
        let one_byte = ikey(b"a", 7, Value);
        assert_eq!(
            separator(one_byte.clone(), ikey(b"z", 7, Value)),
            one_byte,
            "not physically shorter"
        );
    }

    #[test]
    fn successors_follow_leveldbs_rules() {
        let order = InternalComparator::default();
        let mut key = ikey(b"foo", 100, ValueType::Value);
        order.find_short_successor(&mut key);
        assert_eq!(key, ikey(b"g", MAX_SEQUENCE, ValueType::Value));
        let all_ones = ikey(b"\xff\xff", 100, ValueType::Value);
        let mut key = all_ones.clone();
        order.find_short_successor(&mut key);
        assert_eq!(key, all_ones);
    }
}
