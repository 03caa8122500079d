//! [`KeyRange`]: a range of user keys.
//!
//! Promises: each end is inclusive, exclusive or open; an end at the empty key is an end (`""` is a key, the first), not
//! a missing one.
//! Must not know: cursors.

use std::ops::{Bound, RangeBounds};

use level_party_format::Comparator;

/// A range of user keys. A range whose end is before its start holds nothing.
///
/// ```
/// use level_party_engine::KeyRange;
/// use std::ops::Bound;
///
/// assert_eq!(KeyRange::new("a".."c").end, Bound::Excluded(b"c".to_vec()));
/// assert_eq!(KeyRange::new("a"..="c").end, Bound::Included(b"c".to_vec()));
/// assert_eq!(KeyRange::prefix(b"a\xff").end, Bound::Excluded(b"b".to_vec()));
/// assert_eq!(KeyRange::all().start, Bound::Unbounded);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyRange {
    /// Where it begins.
    pub start: Bound<Vec<u8>>,
    /// Where it ends.
    pub end: Bound<Vec<u8>>,
}

impl KeyRange {
    /// The range that a Rust range of keys describes.
    pub fn new<K: AsRef<[u8]>>(range: impl RangeBounds<K>) -> KeyRange {
        let owned = |bound: Bound<&K>| bound.map(|key| key.as_ref().to_vec());
        KeyRange {
            start: owned(range.start_bound()),
            end: owned(range.end_bound()),
        }
    }

    /// Every key.
    pub fn all() -> KeyRange {
        KeyRange {
            start: Bound::Unbounded,
            end: Bound::Unbounded,
        }
    }

    /// The keys that begin with `prefix`, in bytewise order.
    pub fn prefix(prefix: &[u8]) -> KeyRange {
        // The first key after all of them: one more in the last byte that can be more.
        let end = match prefix.iter().rposition(|byte| *byte != 0xff) {
            Some(at) => {
                let mut end = prefix[..=at].to_vec();
                end[at] += 1;
                Bound::Excluded(end)
            }
            None => Bound::Unbounded,
        };
        KeyRange {
            start: Bound::Included(prefix.to_vec()),
            end,
        }
    }

    /// Whether a key is not before the range's start.
    pub(crate) fn is_after_start(&self, user: &Comparator, key: &[u8]) -> bool {
        match &self.start {
            Bound::Unbounded => true,
            Bound::Included(start) => user.compare(key, start).is_ge(),
            Bound::Excluded(start) => user.compare(key, start).is_gt(),
        }
    }

    /// Whether a key is not behind the range's end.
    pub(crate) fn is_before_end(&self, user: &Comparator, key: &[u8]) -> bool {
        match &self.end {
            Bound::Unbounded => true,
            Bound::Included(end) => user.compare(key, end).is_le(),
            Bound::Excluded(end) => user.compare(key, end).is_lt(),
        }
    }

    /// Whether a key is in the range.
    pub fn contains(&self, user: &Comparator, key: &[u8]) -> bool {
        self.is_after_start(user, key) && self.is_before_end(user, key)
    }
}
