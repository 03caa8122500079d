//! The order of user keys.
//!
//! Almost every database uses the bytewise order, so that is a plain enum variant the compiler can inline into merges
//! and searches; anything else goes through a trait object.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// An order of user keys other than the bytewise one (LevelDB's `leveldb::Comparator`).
///
/// The order must be total and must never change for a database once made: its name is written to the MANIFEST and
/// checked at each open.
pub trait CustomComparator: Send + Sync {
    /// The name kept in the MANIFEST. Names that start with `leveldb.` are LevelDB's own.
    fn name(&self) -> &str;

    /// Where `a` stands relative to `b`.
    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering;

    /// If `start < limit`, may change `start` to a short key in `[start, limit)`. Doing nothing is right.
    fn find_shortest_separator(&self, start: &mut Vec<u8>, limit: &[u8]) {
        let _ = (start, limit);
    }

    /// May change `key` to a short key `>= key`. Doing nothing is right.
    fn find_short_successor(&self, key: &mut Vec<u8>) {
        let _ = key;
    }
}

/// The order of user keys: bytewise unless the caller brings its own.
///
/// ```
/// use level_party_format::Comparator;
///
/// let order = Comparator::default();
/// assert!(order.compare(b"a", b"b").is_lt());
/// let mut key = b"the quick brown fox".to_vec();
/// order.find_shortest_separator(&mut key, b"the who");
/// assert_eq!(key, b"the r");
/// ```
#[derive(Clone, Default)]
pub enum Comparator {
    /// Unsigned bytes, lexicographic: LevelDB's default.
    #[default]
    Bytewise,
    /// The caller's own order.
    Custom(Arc<dyn CustomComparator>),
}

/// The name of the bytewise order, as LevelDB writes it to the MANIFEST.
pub const BYTEWISE_NAME: &str = "leveldb.BytewiseComparator";

impl Comparator {
    /// The name kept in the MANIFEST.
    pub fn name(&self) -> &str {
        match self {
            Comparator::Bytewise => BYTEWISE_NAME,
            Comparator::Custom(custom) => custom.name(),
        }
    }

    /// Where `a` stands relative to `b`.
    #[inline]
    pub fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Comparator::Bytewise => a.cmp(b),
            Comparator::Custom(custom) => custom.compare(a, b),
        }
    }

    /// If `start < limit`, may change `start` to a short key in `[start, limit)`.
    pub fn find_shortest_separator(&self, start: &mut Vec<u8>, limit: &[u8]) {
        match self {
            Comparator::Bytewise => bytewise_separator(start, limit),
            Comparator::Custom(custom) => custom.find_shortest_separator(start, limit),
        }
    }

    /// May change `key` to a short key `>= key`.
    pub fn find_short_successor(&self, key: &mut Vec<u8>) {
        match self {
            Comparator::Bytewise => bytewise_successor(key),
            Comparator::Custom(custom) => custom.find_short_successor(key),
        }
    }
}

/// Raises the first differing byte by one and cuts there, if that stays below `limit`. A prefix is left alone.
fn bytewise_separator(start: &mut Vec<u8>, limit: &[u8]) {
    let differing = start.iter().zip(limit).position(|(a, b)| a != b);
    if let Some(i) = differing {
        let byte = start[i];
        if byte < 0xff && byte + 1 < limit[i] {
            start[i] += 1;
            start.truncate(i + 1);
        }
    }
}

/// Raises the first byte that is not 0xff and cuts there. A run of 0xff is left alone.
fn bytewise_successor(key: &mut Vec<u8>) {
    if let Some(i) = key.iter().position(|&byte| byte != 0xff) {
        key[i] += 1;
        key.truncate(i + 1);
    }
}

impl fmt::Debug for Comparator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Comparator({})", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn separator(start: &[u8], limit: &[u8]) -> Vec<u8> {
        let mut key = start.to_vec();
        Comparator::Bytewise.find_shortest_separator(&mut key, limit);
        key
    }

    fn successor(key: &[u8]) -> Vec<u8> {
        let mut key = key.to_vec();
        Comparator::Bytewise.find_short_successor(&mut key);
        key
    }

    #[test]
    fn separator_is_cut_only_where_a_byte_can_be_raised() {
        assert_eq!(separator(b"abcdef", b"abzz"), b"abd");
        assert_eq!(separator(b"abc", b"abd"), b"abc", "no room between");
        assert_eq!(separator(b"abc", b"abcdef"), b"abc", "a prefix");
        assert_eq!(separator(b"abcdef", b"abc"), b"abcdef", "wrong order");
        assert_eq!(separator(b"b", b"a"), b"b", "wrong order");
        assert_eq!(separator(b"", b"a"), b"");
        assert_eq!(separator(b"a\xff", b"b"), b"a\xff");
        assert_eq!(separator(b"\xfeaa", b"\xff"), b"\xfeaa");
    }

    #[test]
    fn successors_skip_the_leading_run_of_0xff() {
        assert_eq!(successor(b"abc"), b"b");
        assert_eq!(successor(b"\xff\xffabc"), b"\xff\xffb");
        assert_eq!(successor(b"\xff\xff"), b"\xff\xff");
        assert_eq!(successor(b""), b"");
    }

    #[test]
    fn a_custom_order_answers_for_itself() {
        struct Reverse;
        impl CustomComparator for Reverse {
            fn name(&self) -> &'static str {
                "test.Reverse"
            }
            fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
                b.cmp(a)
            }
        }
        let order = Comparator::Custom(Arc::new(Reverse));
        assert_eq!(order.name(), "test.Reverse");
        assert_eq!(order.compare(b"a", b"b"), Ordering::Greater);
        let mut key = b"abcdef".to_vec();
        order.find_shortest_separator(&mut key, b"abzz");
        order.find_short_successor(&mut key);
        assert_eq!(key, b"abcdef");
        assert_eq!(Comparator::default().name(), "leveldb.BytewiseComparator");
    }
}
