//! The order of entries: LevelDB's internal key order, on a key given as user key and tag.
//!
//! User keys ascend, then tags (sequence << 8 | type) descend, so that a search for the newest version that may
//! be seen lands on it (LevelDB's `db/dbformat.h`). It knows nothing of regions.

use std::cmp::Ordering;

use level_party_format::Comparator;
use level_party_format::key;

/// A position that is searched for.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) user_key: &'a [u8],
    pub(crate) tag: u64,
}

impl<'a> Target<'a> {
    /// The position of an internal key. One that is too short stands for the empty user key with tag 0.
    pub(crate) fn of_internal_key(internal_key: &'a [u8]) -> Self {
        Target {
            user_key: key::user_key(internal_key),
            tag: key::tag(internal_key),
        }
    }

    /// How this position compares with the internal key of an entry.
    #[inline]
    pub(crate) fn compare(&self, user_order: &Comparator, internal_key: &[u8]) -> Ordering {
        user_order
            .compare(self.user_key, key::user_key(internal_key))
            .then_with(|| key::tag(internal_key).cmp(&self.tag))
    }
}
