//! Where things lie in etcd's keys, and which sequence a revision is.
//!
//! | key | holds |
//! |---|---|
//! | `PREFIX/k/` + key | an entry: its value, as it is |
//! | `PREFIX/meta` | the layout's version and the history, as words |
//! | `PREFIX/service` | the service state; not there while the database has always been live |
//! | `PREFIX/s/` + id | a process's session: the number of its last write (8 bytes, big-endian), under its lease |

use std::ops::Bound;

use crate::answer::History;
use crate::error::{Error, ErrorKind, Result};
use crate::request::KeyRange;

/// Bits of a sequence that number the changes of one revision: a transaction of etcd has at most 128 operations.
const NUMBER_BITS: u32 = 7;
/// The number beyond every change of a revision: with it a sequence is the revision's end.
const LAST: u64 = (1 << NUMBER_BITS) - 1;
/// The longest prefix: it travels with each operation.
pub const PREFIX_BYTES: usize = 128;
/// What follows a prefix in our keys. As no part of a prefix is one of these, no database lies within another.
const OWN: [&str; 4] = ["k", "s", "meta", "service"];
/// The version of this layout.
const LAYOUT: u64 = 1;

/// How far the sequences of a history lie beyond those of the one before it, in revisions: farther than writes can have been
/// lost, so that a position of a lost write is known to be one.
const APART: u64 = 1_000_000_000;

/// Which sequence a change of a revision has, in one history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequences {
    /// Added to each revision.
    base: u64,
}

impl Sequences {
    /// Those of the next history.
    pub fn next(self) -> Self {
        Sequences {
            base: self.base + APART,
        }
    }

    /// The sequence of a revision's change of this number (from 1 on).
    pub fn of(self, revision: i64, number: usize) -> u64 {
        (self.base + revision.max(0) as u64) << NUMBER_BITS | (number as u64).min(LAST)
    }

    /// The sequence of a revision's end: no change of it has a higher one.
    pub fn end_of(self, revision: i64) -> u64 {
        self.of(revision, LAST as usize)
    }

    /// The revision that a sequence is in; `None`: it is of a history before, or none.
    pub fn revision(self, sequence: u64) -> Option<i64> {
        let revision = (sequence >> NUMBER_BITS).checked_sub(self.base)?;
        i64::try_from(revision)
            .ok()
            .filter(|revision| *revision > 0)
    }

    /// The first revision of which a position has not passed every change.
    pub fn next_revision(self, position: u64) -> i64 {
        match self.revision(position) {
            None => 1,
            Some(revision) if position & LAST == LAST => revision + 1,
            Some(revision) => revision,
        }
    }
}

/// The keys of one database.
#[derive(Clone, Debug)]
pub struct Layout {
    prefix: Vec<u8>,
}

impl Layout {
    /// A database behind `prefix`.
    ///
    /// # Errors
    /// `InvalidArgument`: it is too long, or would lie within the keys of a database whose prefix is its beginning.
    pub fn new(prefix: &str) -> Result<Self> {
        if prefix.len() > PREFIX_BYTES {
            let what = format!("a database's prefix on etcd has at most {PREFIX_BYTES} bytes");
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        if let Some(name) = prefix.split('/').find(|name| OWN.contains(name)) {
            let what = format!(
                "no part of a database's prefix on etcd may be {name:?}: {}",
                OWN.join(", ")
            );
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        Ok(Layout {
            prefix: prefix.as_bytes().to_vec(),
        })
    }

    pub fn meta(&self) -> Vec<u8> {
        [&self.prefix, &b"/meta"[..]].concat()
    }

    pub fn service(&self) -> Vec<u8> {
        [&self.prefix, &b"/service"[..]].concat()
    }

    pub fn session(&self, id: [u64; 2]) -> Vec<u8> {
        let name = format!("/s/{:016x}{:016x}", id[0], id[1]);
        [&self.prefix, name.as_bytes()].concat()
    }

    pub fn entry(&self, key: &[u8]) -> Vec<u8> {
        [&self.prefix, &b"/k/"[..], key].concat()
    }

    /// The user's key in one of etcd's, which is an entry's.
    pub fn key(&self, stored: &[u8]) -> Result<Vec<u8>> {
        let key = stored.strip_prefix(self.prefix.as_slice());
        let key = key.and_then(|rest| rest.strip_prefix(b"/k/"));
        key.map(<[u8]>::to_vec).ok_or_else(|| {
            Error::new(
                ErrorKind::Protocol,
                "etcd answered with a key that was not asked for",
            )
        })
    }

    /// The range of etcd's keys, from the first to before the last. `None`: no key lies in it.
    pub fn range(&self, range: &KeyRange) -> Option<(Vec<u8>, Vec<u8>)> {
        if range.is_empty() {
            return None;
        }
        let end = match range.end() {
            Some(end) => self.entry(&end),
            None => self.tick(), // '0' follows '/'
        };
        Some((self.entry(&range.start()), end))
    }

    /// What is put to have feeds tell how far they have come: the first key behind the entries.
    pub fn tick(&self) -> Vec<u8> {
        [&self.prefix, &b"/k0"[..]].concat()
    }

    /// The range that a feed watches: where it has no end, with [`Layout::tick`].
    pub fn watched(&self, range: &KeyRange) -> Option<(Vec<u8>, Vec<u8>)> {
        let (start, end) = self.range(range)?;
        match range.end() {
            Some(_) => Some((start, end)),
            None => Some((start, [self.tick(), vec![0]].concat())),
        }
    }
}

/// What `PREFIX/meta` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    pub history: History,
    /// Which sequences its changes have.
    pub sequences: Sequences,
    /// The cluster that the history is of.
    pub cluster: u64,
}

impl Meta {
    pub fn to_bytes(self) -> Vec<u8> {
        let (number, [first, second]) = (self.history.number, self.history.random);
        let (cluster, base) = (self.cluster, self.sequences.base);
        format!(
            "level-party {LAYOUT} history {number} {first:016x} {second:016x} base {base} cluster {cluster:016x}"
        )
        .into_bytes()
    }

    /// # Errors
    /// `IncompatibleVersion`: another layout; `Corruption`: something else lies there.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let foreign = || {
            Error::new(
                ErrorKind::Corruption,
                "the key PREFIX/meta on etcd was not written by level-party; choose another prefix (the URL's path)",
            )
        };
        let text = std::str::from_utf8(bytes).map_err(|_| foreign())?;
        let words: Vec<&str> = text.split(' ').collect();
        match words.as_slice() {
            ["level-party", layout, ..] if layout.parse() != Ok(LAYOUT) => Err(Error::new(
                ErrorKind::IncompatibleVersion,
                format!(
                    "the database on etcd has the layout {layout:?}, and this program knows {LAYOUT}"
                ),
            )),
            [
                "level-party",
                _,
                "history",
                number,
                first,
                second,
                "base",
                base,
                "cluster",
                cluster,
            ] => {
                let hex = |word: &str| u64::from_str_radix(word, 16).map_err(|_| foreign());
                Ok(Meta {
                    history: History {
                        number: number.parse().map_err(|_| foreign())?,
                        random: [hex(first)?, hex(second)?],
                    },
                    sequences: Sequences {
                        base: base.parse().map_err(|_| foreign())?,
                    },
                    cluster: hex(cluster)?,
                })
            }
            _ => Err(foreign()),
        }
    }
}

/// The whole of the keys.
pub fn everything() -> KeyRange {
    KeyRange {
        lower: Bound::Unbounded,
        upper: Bound::Unbounded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_grow_over_changes_revisions_and_histories() {
        let (first, next) = (Sequences::default(), Sequences::default().next());
        let ordered = [
            first.of(6, 127),
            first.of(7, 1),
            first.of(7, 126),
            first.end_of(7),
            first.of(8, 1),
            first.of(900_000_000, 1),
            next.of(1, 1),
        ];
        assert!(ordered.is_sorted());
        assert!(
            ordered[1..4]
                .iter()
                .all(|sequence| first.revision(*sequence) == Some(7))
        );
        assert_eq!(next.revision(first.of(900_000_000, 1)), None);
        assert_eq!(next.revision(next.of(3, 9)), Some(3));
        assert_eq!(first.next_revision(first.of(7, 3)), 7);
        assert_eq!(first.next_revision(first.end_of(7)), 8);
        assert_eq!((first.next_revision(0), first.revision(0)), (1, None));
    }

    #[test]
    fn empty_key_and_whole_range_lie_behind_the_prefix() {
        let layout = Layout::new("party").unwrap();
        assert_eq!(layout.entry(b""), b"party/k/");
        assert_eq!(layout.key(b"party/k/").unwrap(), b"");
        let (from, to) = layout.range(&everything()).unwrap();
        assert!(from <= layout.entry(b"") && layout.entry(&[255; 9]) < to);
        let outside = [layout.meta(), layout.service(), layout.session([1, 2])];
        assert!(outside.iter().all(|key| *key < from || *key >= to));
        assert!(layout.key(b"other/k/a").is_err());
        let watched = layout.watched(&everything()).unwrap();
        assert!(watched.0 == from && to == layout.tick() && layout.tick() < watched.1);
        assert!(watched.1 < Layout::new("party/k0").unwrap().meta());
        let none = KeyRange {
            lower: Bound::Excluded(b"a".to_vec()),
            upper: Bound::Excluded(b"a\0".to_vec()),
        };
        assert_eq!(layout.range(&none), None);
        assert!(Layout::new(&"p".repeat(PREFIX_BYTES + 1)).is_err());
        assert!(Layout::new("party/k").is_err() && Layout::new("party/k/x").is_err());
        let within = Layout::new("party/k2")
            .unwrap()
            .range(&everything())
            .unwrap();
        assert!(within.0 >= to || within.1 <= from);
    }

    #[test]
    fn meta_is_read_as_written_and_foreign_bytes_are_refused() {
        let meta = Meta {
            history: History {
                number: 3,
                random: [1, u64::MAX],
            },
            sequences: Sequences::default().next(),
            cluster: 77,
        };
        assert_eq!(Meta::from_bytes(&meta.to_bytes()).unwrap(), meta);
        let kind = |bytes: &[u8]| Meta::from_bytes(bytes).unwrap_err().kind();
        assert_eq!(
            kind(b"level-party 2 something else"),
            ErrorKind::IncompatibleVersion
        );
        for bytes in [
            &b""[..],
            b"\xff",
            b"level-party 1 history x 0 0 base 0 cluster 0",
            b"value",
        ] {
            assert_eq!(kind(bytes), ErrorKind::Corruption);
        }
    }
}
