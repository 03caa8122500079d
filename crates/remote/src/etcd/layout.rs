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
/// The version of this layout.
const LAYOUT: u64 = 1;

/// The sequence of a revision's change of this number (from 1 on; 0 stands for "some change of it").
pub fn sequence(revision: i64, number: usize) -> u64 {
    (revision.max(0) as u64) << NUMBER_BITS | (number as u64).min(LAST)
}

/// The sequence of a revision's end: no change of it has a higher one.
pub fn end_of(revision: i64) -> u64 {
    sequence(revision, LAST as usize)
}

/// The revision that a sequence is in.
pub fn revision(sequence: u64) -> i64 {
    (sequence >> NUMBER_BITS) as i64
}

/// How many changes of its revision a position has passed; `None`: all.
pub fn passed(sequence: u64) -> Option<usize> {
    let number = sequence & LAST;
    (number < LAST).then_some(number as usize)
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
    /// `InvalidArgument`: it is too long.
    pub fn new(prefix: &str) -> Result<Self> {
        if prefix.len() > PREFIX_BYTES {
            let what = format!("a database's prefix on etcd has at most {PREFIX_BYTES} bytes");
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
            None => [&self.prefix, &b"/k0"[..]].concat(), // '0' follows '/'
        };
        Some((self.entry(&range.start()), end))
    }
}

/// What `PREFIX/meta` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    pub history: History,
    /// The cluster that the history is of.
    pub cluster: u64,
}

impl Meta {
    pub fn to_bytes(self) -> Vec<u8> {
        let (number, [first, second]) = (self.history.number, self.history.random);
        let cluster = self.cluster;
        format!(
            "level-party {LAYOUT} history {number} {first:016x} {second:016x} cluster {cluster:016x}"
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
                "cluster",
                cluster,
            ] => {
                let hex = |word: &str| u64::from_str_radix(word, 16).map_err(|_| foreign());
                Ok(Meta {
                    history: History {
                        number: number.parse().map_err(|_| foreign())?,
                        random: [hex(first)?, hex(second)?],
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
    fn sequences_grow_over_changes_and_revisions() {
        let ordered = [
            sequence(6, 127),
            sequence(7, 0),
            sequence(7, 1),
            sequence(7, 126),
            end_of(7),
            sequence(8, 1),
        ];
        assert!(ordered.is_sorted());
        assert!(ordered.iter().skip(1).take(4).all(|s| revision(*s) == 7));
        assert_eq!(passed(sequence(7, 3)), Some(3));
        assert_eq!(passed(end_of(7)), None);
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
        let none = KeyRange {
            lower: Bound::Excluded(b"a".to_vec()),
            upper: Bound::Excluded(b"a\0".to_vec()),
        };
        assert_eq!(layout.range(&none), None);
        assert!(Layout::new(&"p".repeat(PREFIX_BYTES + 1)).is_err());
    }

    #[test]
    fn meta_is_read_as_written_and_foreign_bytes_are_refused() {
        let meta = Meta {
            history: History {
                number: 3,
                random: [1, u64::MAX],
            },
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
            b"level-party 1 history x 0 0 cluster 0",
            b"value",
        ] {
            assert_eq!(kind(bytes), ErrorKind::Corruption);
        }
    }
}
