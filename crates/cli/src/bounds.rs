//! Which entries a scan walks over: `gt gte lt lte prefix reverse limit`, the same for flags and for `exec`.
//!
//! Every bound that is given holds; of two that say the same the tighter one counts.

use std::cmp::Ordering;
use std::ops::Bound;

use level_party::{Range, Readable, Snapshot};

use crate::keyspace::Keyspace;

/// The bounds, direction and length of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    pub gt: Option<Vec<u8>>,
    pub gte: Option<Vec<u8>>,
    pub lt: Option<Vec<u8>>,
    pub lte: Option<Vec<u8>>,
    pub prefix: Option<Vec<u8>>,
    pub reverse: bool,
    pub limit: Option<u64>,
}

pub type KeyBound = Bound<Vec<u8>>;

/// What a scan yields.
pub type Entries = Box<dyn Iterator<Item = level_party::Result<(Vec<u8>, Vec<u8>)>>>;

/// What a scan of keys yields.
pub type OnlyKeys = Box<dyn Iterator<Item = level_party::Result<Vec<u8>>>>;

impl Walk {
    /// Starts the scan.
    pub fn entries(&self, keyspace: &Keyspace) -> Entries {
        match self.range(|bounds| keyspace.range(bounds)) {
            None => Box::new(std::iter::empty()),
            Some(range) if self.reverse => Box::new(range.rev()),
            Some(range) => Box::new(range),
        }
    }

    /// Starts the scan at a moment.
    pub fn entries_at(&self, keyspace: &Keyspace, snapshot: &Snapshot) -> Entries {
        match self.range(|bounds| keyspace.at(snapshot).range(bounds)) {
            None => Box::new(std::iter::empty()),
            Some(range) if self.reverse => Box::new(range.rev()),
            Some(range) => Box::new(range),
        }
    }

    /// Starts a scan that reads no values.
    pub fn keys(&self, keyspace: &Keyspace) -> OnlyKeys {
        match self.range(|bounds| keyspace.range(bounds)) {
            None => Box::new(std::iter::empty()),
            Some(range) if self.reverse => Box::new(range.keys().rev()),
            Some(range) => Box::new(range.keys()),
        }
    }

    /// Starts a scan that reads no values, at a moment.
    pub fn keys_at(&self, keyspace: &Keyspace, snapshot: &Snapshot) -> OnlyKeys {
        match self.range(|bounds| keyspace.at(snapshot).range(bounds)) {
            None => Box::new(std::iter::empty()),
            Some(range) if self.reverse => Box::new(range.keys().rev()),
            Some(range) => Box::new(range.keys()),
        }
    }

    fn range(&self, range: impl FnOnce((KeyBound, KeyBound)) -> Range) -> Option<Range> {
        Some(range(self.bounds()?).limit(self.limit.unwrap_or(u64::MAX)))
    }

    /// The lower and upper bound, or `None` where no key can lie between them.
    pub fn bounds(&self) -> Option<(KeyBound, KeyBound)> {
        let mut lower = Bound::Unbounded;
        let mut upper = Bound::Unbounded;
        let included = |key: &Vec<u8>| Bound::Included(key.clone());
        let excluded = |key: &Vec<u8>| Bound::Excluded(key.clone());
        for bound in [
            self.gt.as_ref().map(excluded),
            self.gte.as_ref().map(included),
            self.prefix.as_ref().map(included),
        ]
        .into_iter()
        .flatten()
        {
            lower = tighter(lower, bound, Ordering::Greater);
        }
        let after_prefix = self
            .prefix
            .as_ref()
            .and_then(|p| after_prefix(p))
            .map(Bound::Excluded);
        for bound in [
            self.lt.as_ref().map(excluded),
            self.lte.as_ref().map(included),
            after_prefix,
        ]
        .into_iter()
        .flatten()
        {
            upper = tighter(upper, bound, Ordering::Less);
        }
        match self.limit != Some(0) && may_hold_a_key(&lower, &upper) {
            true => Some((lower, upper)),
            false => None,
        }
    }
}

/// Of two bounds the one whose key is `towards` the inside; of two at one key the excluding one.
fn tighter(a: KeyBound, b: KeyBound, towards: Ordering) -> KeyBound {
    let order = match (key_of(&a), key_of(&b)) {
        (None, _) => return b,
        (_, None) => return a,
        (Some(a), Some(b)) => a.cmp(b),
    };
    match order {
        Ordering::Equal if matches!(a, Bound::Excluded(_)) => a,
        Ordering::Equal => b,
        order if order == towards => a,
        _ => b,
    }
}

fn key_of(bound: &KeyBound) -> Option<&Vec<u8>> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    }
}

fn may_hold_a_key(lower: &KeyBound, upper: &KeyBound) -> bool {
    match (lower, upper) {
        (Bound::Unbounded, Bound::Excluded(end)) => !end.is_empty(),
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
        (Bound::Included(start), Bound::Included(end)) => start <= end,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Included(end) | Bound::Excluded(end),
        ) => start < end,
    }
}

/// The first key after all that begin with `prefix`, or `None` where there is none.
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut key = prefix[..=last].to_vec();
    key[last] += 1;
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Bound::{Excluded, Included, Unbounded};

    fn key(text: &str) -> Option<Vec<u8>> {
        Some(text.as_bytes().to_vec())
    }

    #[test]
    fn no_bounds_mean_everything() {
        assert_eq!(Walk::default().bounds(), Some((Unbounded, Unbounded)));
    }

    #[test]
    fn the_tighter_of_two_bounds_counts() {
        let walk = Walk {
            gt: key("b"),
            gte: key("b"),
            lt: key("y"),
            lte: key("x"),
            ..Walk::default()
        };
        assert_eq!(
            walk.bounds(),
            Some((Excluded(b"b".to_vec()), Included(b"x".to_vec())))
        );
        let walk = Walk {
            prefix: key("k"),
            gte: key("a"),
            lt: key("kz"),
            ..Walk::default()
        };
        assert_eq!(
            walk.bounds(),
            Some((Included(b"k".to_vec()), Excluded(b"kz".to_vec())))
        );
    }

    #[test]
    fn a_prefix_of_high_bytes_ends_where_it_must() {
        let walk = |prefix: &[u8]| {
            Walk {
                prefix: Some(prefix.to_vec()),
                ..Walk::default()
            }
            .bounds()
        };
        assert_eq!(
            walk(&[1, 0xff]),
            Some((Included(vec![1, 0xff]), Excluded(vec![2])))
        );
        assert_eq!(
            walk(&[0xff, 0xff]),
            Some((Included(vec![0xff, 0xff]), Unbounded))
        );
        assert_eq!(walk(&[]), Some((Included(vec![]), Unbounded)));
    }

    #[test]
    fn bounds_that_cross_hold_nothing() {
        for walk in [
            Walk {
                gt: key("b"),
                lt: key("a"),
                ..Walk::default()
            },
            Walk {
                gt: key("a"),
                lte: key("a"),
                ..Walk::default()
            },
            Walk {
                gte: key("a"),
                lt: key("a"),
                ..Walk::default()
            },
            Walk {
                prefix: key("b"),
                lt: key("b"),
                ..Walk::default()
            },
            Walk {
                lt: key(""),
                ..Walk::default()
            },
            Walk {
                limit: Some(0),
                ..Walk::default()
            },
        ] {
            assert_eq!(walk.bounds(), None, "{walk:?}");
        }
        let one = Walk {
            gte: key("a"),
            lte: key("a"),
            ..Walk::default()
        };
        assert!(one.bounds().is_some());
    }
}
