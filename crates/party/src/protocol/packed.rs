//! Lists inside a message, packed so that a message borrows them whole and an empty one costs a byte.
//!
//! | list | each item |
//! |---|---|
//! | [`Keys`] | length u32, key |
//! | [`Conditions`] | key's length u32, expected sequence u64 (all ones: the key must be absent), key; or a range |
//! | [`Values`] | sequence u64 (all ones: there is no entry), value's length u32, value |
//!
//! A range as a condition is told by an expected sequence of all ones but the lowest bit. In the key's place it has the
//! moment since which nothing may have been put into it, u64, and its two bounds: kind u8 (0 none, 1 included, 2
//! excluded), length u32, key.
//!
//! All numbers little-endian. What came is checked whole before anything of it is used.

use std::ops::Bound;

use level_party_engine::{Expect, KeyRange};

use crate::error::{Error, ErrorKind, Result};

const ABSENT: u64 = u64::MAX;
const RANGE: u64 = u64::MAX - 1;
const NO_BOUND: u8 = 0;
const INCLUDED: u8 = 1;
const EXCLUDED: u8 = 2;
/// The most keys of one request to read many: each costs the leader more than its bytes.
pub(crate) const MAX_KEYS: usize = 1 << 16;
/// The most conditions of one write. Each costs the leader some 200 bytes beside its own, and a read while all other
/// writers wait.
pub(crate) const MAX_CONDITIONS: usize = 1 << 20;

fn too_many(what: &str, most: usize) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!("a request names more than {most} {what}"),
    )
}

fn malformed(what: &str) -> Error {
    Error::protocol(format!("the other side sent a malformed list of {what}"))
}

/// Takes `count` bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn take_u32(bytes: &mut &[u8]) -> Option<usize> {
    take(bytes, 4).map(|n| u32::from_le_bytes(n.try_into().expect("four bytes")) as usize)
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    take(bytes, 8).map(|n| u64::from_le_bytes(n.try_into().expect("eight bytes")))
}

/// Keys to be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    packed: Vec<u8>,
}

impl Keys {
    pub fn push(&mut self, key: &[u8]) {
        self.packed
            .extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.packed.extend_from_slice(key);
    }

    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// The keys in `packed`, each borrowed from it.
    pub fn unpack(mut packed: &[u8]) -> Result<Vec<&[u8]>> {
        let mut keys = Vec::new();
        while !packed.is_empty() {
            if keys.len() == MAX_KEYS {
                return Err(too_many("keys", MAX_KEYS));
            }
            let length = take_u32(&mut packed);
            let key = length.and_then(|n| take(&mut packed, n));
            keys.push(key.ok_or_else(|| malformed("keys"))?);
        }
        Ok(keys)
    }
}

/// One thing that must hold for a write to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition<'a> {
    Key(&'a [u8], Expect),
    /// Nothing was put into the range after the moment.
    Untouched(KeyRange, u64),
}

fn put_bound(bound: &Bound<Vec<u8>>, out: &mut Vec<u8>) {
    let (kind, key): (u8, &[u8]) = match bound {
        Bound::Unbounded => (NO_BOUND, b""),
        Bound::Included(key) => (INCLUDED, key),
        Bound::Excluded(key) => (EXCLUDED, key),
    };
    out.push(kind);
    out.extend_from_slice(&(key.len() as u32).to_le_bytes());
    out.extend_from_slice(key);
}

fn take_bound(bytes: &mut &[u8]) -> Option<Bound<Vec<u8>>> {
    let kind = take(bytes, 1)?[0];
    let length = take_u32(bytes)?;
    let key = take(bytes, length)?.to_vec();
    match kind {
        NO_BOUND if key.is_empty() => Some(Bound::Unbounded),
        INCLUDED => Some(Bound::Included(key)),
        EXCLUDED => Some(Bound::Excluded(key)),
        _ => None,
    }
}

fn take_range(mut bytes: &[u8]) -> Option<Condition<'static>> {
    let since = take_u64(&mut bytes)?;
    let start = take_bound(&mut bytes)?;
    let end = take_bound(&mut bytes)?;
    let range = KeyRange { start, end };
    bytes
        .is_empty()
        .then_some(Condition::Untouched(range, since))
}

/// What must hold for a write to be applied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    packed: Vec<u8>,
    count: usize,
}

impl Conditions {
    /// `key` must still have the entry with `sequence`; `None`: it must have none.
    pub fn push(&mut self, key: &[u8], sequence: Option<u64>) {
        self.count += 1;
        self.packed
            .extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.packed
            .extend_from_slice(&sequence.unwrap_or(ABSENT).to_le_bytes());
        self.packed.extend_from_slice(key);
    }

    /// Nothing may have been put between the bounds after the moment `since`.
    pub fn push_range(&mut self, lower: &Bound<Vec<u8>>, upper: &Bound<Vec<u8>>, since: u64) {
        self.count += 1;
        let mut item = since.to_le_bytes().to_vec();
        put_bound(lower, &mut item);
        put_bound(upper, &mut item);
        self.packed
            .extend_from_slice(&(item.len() as u32).to_le_bytes());
        self.packed.extend_from_slice(&RANGE.to_le_bytes());
        self.packed.extend_from_slice(&item);
    }

    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// Whether a leader takes as many.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn check_count(&self) -> Result<()> {
        match self.count <= MAX_CONDITIONS {
            true => Ok(()),
            false => Err(too_many("conditions", MAX_CONDITIONS)),
        }
    }

    pub fn unpack(mut packed: &[u8]) -> Result<Vec<Condition<'_>>> {
        let mut conditions = Vec::new();
        while !packed.is_empty() {
            if conditions.len() == MAX_CONDITIONS {
                return Err(too_many("conditions", MAX_CONDITIONS));
            }
            let mut item = || {
                let length = take_u32(&mut packed)?;
                let sequence = take_u64(&mut packed)?;
                Some((take(&mut packed, length)?, sequence))
            };
            let (key, sequence) = item().ok_or_else(|| malformed("conditions"))?;
            conditions.push(match sequence {
                ABSENT => Condition::Key(key, Expect::Absent),
                RANGE => take_range(key).ok_or_else(|| malformed("conditions"))?,
                sequence => Condition::Key(key, Expect::Sequence(sequence)),
            });
        }
        Ok(conditions)
    }
}

/// What some keys held, in the order they were asked for; fewer than asked for where the answer was full.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    packed: Vec<u8>,
}

impl Values {
    pub fn push(&mut self, entry: Option<(u64, &[u8])>) {
        let (sequence, value) = entry.unwrap_or((ABSENT, b""));
        self.packed.extend_from_slice(&sequence.to_le_bytes());
        self.packed
            .extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.packed.extend_from_slice(value);
    }

    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// Checks `packed` whole.
    pub fn from_packed(packed: &[u8]) -> Result<Self> {
        let mut rest = packed;
        while !rest.is_empty() {
            let mut item = || {
                take_u64(&mut rest)?;
                let length = take_u32(&mut rest)?;
                take(&mut rest, length)
            };
            item().ok_or_else(|| malformed("values"))?;
        }
        Ok(Values {
            packed: packed.to_vec(),
        })
    }

    /// The entry of each key: its sequence and its value.
    pub fn iter(&self) -> impl Iterator<Item = Option<(u64, &[u8])>> {
        let mut rest = self.packed.as_slice();
        std::iter::from_fn(move || {
            // What was checked or built here ends exactly at an item's end.
            let sequence = take_u64(&mut rest)?;
            let length = take_u32(&mut rest)?;
            let value = take(&mut rest, length)?;
            Some((sequence != ABSENT).then_some((sequence, value)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let mut keys = Keys::default();
        keys.push(b"");
        keys.push(b"\x00\xff");
        assert_eq!(
            Keys::unpack(keys.packed()).unwrap(),
            [&b""[..], b"\x00\xff"]
        );

        let mut conditions = Conditions::default();
        conditions.push(b"k", Some(7));
        conditions.push(b"", None);
        let range = KeyRange {
            start: Bound::Excluded(b"a".to_vec()),
            end: Bound::Unbounded,
        };
        conditions.push_range(&range.start, &range.end, 9);
        let unpacked = Conditions::unpack(conditions.packed()).unwrap();
        assert_eq!(
            unpacked,
            [
                Condition::Key(b"k", Expect::Sequence(7)),
                Condition::Key(b"", Expect::Absent),
                Condition::Untouched(range, 9)
            ]
        );

        let mut values = Values::default();
        values.push(Some((3, b"v")));
        values.push(None);
        values.push(Some((4, b"")));
        let again = Values::from_packed(values.packed()).unwrap();
        assert_eq!(
            again.iter().collect::<Vec<_>>(),
            [Some((3, &b"v"[..])), None, Some((4, &b""[..]))]
        );
    }

    /// Found by review: a peer could name millions in one frame.
    #[test]
    fn more_keys_or_conditions_than_a_leader_takes_are_refused() {
        let mut keys = Keys::default();
        (0..MAX_KEYS).for_each(|_| keys.push(b""));
        assert_eq!(Keys::unpack(keys.packed()).unwrap().len(), MAX_KEYS);
        keys.push(b"");
        let error = Keys::unpack(keys.packed()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);

        let mut conditions = Conditions::default();
        (0..MAX_CONDITIONS).for_each(|_| conditions.push(b"", None));
        conditions.check_count().unwrap();
        let all = Conditions::unpack(conditions.packed()).unwrap();
        assert_eq!(all.len(), MAX_CONDITIONS);
        conditions.push(b"", None);
        for refused in [
            conditions.check_count(),
            Conditions::unpack(conditions.packed()).map(drop),
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
    }

    #[test]
    fn a_list_cut_short_anywhere_is_refused() {
        let mut keys = Keys::default();
        keys.push(b"abc");
        let mut conditions = Conditions::default();
        conditions.push_range(&Bound::Unbounded, &Bound::Included(b"abc".to_vec()), 1);
        let mut values = Values::default();
        values.push(Some((1, b"abc")));
        for cut in 1..keys.packed().len() {
            assert!(Keys::unpack(&keys.packed()[..cut]).is_err(), "keys {cut}");
        }
        for cut in 1..conditions.packed().len() {
            let packed = &conditions.packed()[..cut];
            assert!(Conditions::unpack(packed).is_err(), "conditions {cut}");
        }
        for cut in 1..values.packed().len() {
            let packed = &values.packed()[..cut];
            assert!(Values::from_packed(packed).is_err(), "values {cut}");
        }
    }
}
