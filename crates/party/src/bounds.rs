//! Ranges of keys, as callers write them.

use std::ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use crate::error::{Error, ErrorKind, Result};
use crate::protocol::MAX_SIDE_BOUND;

/// A range of keys, compared bytewise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub lower: Bound<Vec<u8>>,
    pub upper: Bound<Vec<u8>>,
}

impl Bounds {
    pub fn all() -> Self {
        Bounds {
            lower: Bound::Unbounded,
            upper: Bound::Unbounded,
        }
    }

    /// No key at all.
    pub fn none() -> Self {
        Bounds {
            lower: Bound::Unbounded,
            upper: Bound::Excluded(Vec::new()),
        }
    }

    /// Keys that begin with `prefix`: up to, not including, the shortest key after them all.
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        while end.last() == Some(&0xff) {
            end.pop();
        }
        let upper = match end.last_mut() {
            Some(last) => {
                *last += 1;
                Bound::Excluded(end)
            }
            None => Bound::Unbounded,
        };
        Bounds {
            lower: Bound::Included(prefix.to_vec()),
            upper,
        }
    }

    /// The same range of the keys that stand behind `prefix`: none without it lies in what is returned.
    pub fn within(self, prefix: &[u8]) -> Self {
        if prefix.is_empty() {
            return self;
        }
        let all = Bounds::prefix(prefix);
        let behind = |bound: Bound<Vec<u8>>, unbounded| match bound {
            Bound::Unbounded => unbounded,
            bounded => bounded.map(|key| [prefix, &key].concat()),
        };
        Bounds {
            lower: behind(self.lower, all.lower),
            upper: behind(self.upper, all.upper),
        }
    }

    /// Refuses bounds that do not fit the first message of a connection.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn checked_for_side(&self) -> Result<()> {
        for bound in [&self.lower, &self.upper] {
            if let Bound::Included(key) | Bound::Excluded(key) = bound
                && key.len() > MAX_SIDE_BOUND
            {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!(
                        "a bound of {} bytes is over the limit of {MAX_SIDE_BOUND} for a compaction",
                        key.len()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Whether no key at all can lie in the range.
    pub fn is_empty(&self) -> bool {
        use Bound::{Excluded, Included, Unbounded};
        match (&self.lower, &self.upper) {
            (_, Excluded(upper)) if upper.is_empty() => true,
            (Unbounded, _) | (_, Unbounded) => false,
            (Included(lower), Included(upper)) => lower > upper,
            (Included(lower) | Excluded(lower), Excluded(upper))
            | (Excluded(lower), Included(upper)) => lower >= upper,
        }
    }
}

/// What names a range of keys: `"a".."m"`, `"a"..`, `..="x"`, `..`, with anything that can be seen as bytes
/// (`&str`, `String`, `&[u8]`, `Vec<u8>`, byte strings of one length), or a pair of [`Bound`]s.
///
/// Keys are compared bytewise. A range whose end lies before its beginning is empty, never an error.
///
/// ```
/// use std::ops::Bound;
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path())?;
/// db.batch().put("a", "1").put("b", "2").put("c", "3").write()?;
/// assert_eq!(db.range("a".."c").count(), 2);
/// assert_eq!(db.range(..=b"b").count(), 2);
/// assert_eq!(db.range(vec![b'b']..).count(), 2);
/// assert_eq!(db.range(..).count(), 3);
/// assert_eq!(db.range((Bound::Excluded("a"), Bound::Unbounded)).count(), 2);
/// # Ok::<(), level_party::Error>(())
/// ```
pub trait KeyRange: sealed::Sealed {}

pub(crate) mod sealed {
    use super::Bounds;

    pub trait Sealed {
        #[doc(hidden)]
        #[allow(private_interfaces, reason = "nobody outside can name the trait")]
        fn into_bounds(self) -> Bounds;
    }
}

impl KeyRange for RangeFull {}

impl sealed::Sealed for RangeFull {
    #[allow(private_interfaces, reason = "as in the trait")]
    fn into_bounds(self) -> Bounds {
        Bounds::all()
    }
}

macro_rules! key_range {
    ($($range:ty, $given:pat => $lower:expr, $upper:expr;)*) => { $(
        impl<K: AsRef<[u8]>> KeyRange for $range {}

        impl<K: AsRef<[u8]>> sealed::Sealed for $range {
            #[allow(private_interfaces, reason = "as in the trait")]
            fn into_bounds(self) -> Bounds {
                let $given = self;
                let lower: Bound<K> = $lower;
                let upper: Bound<K> = $upper;
                Bounds {
                    lower: lower.map(|key| key.as_ref().to_vec()),
                    upper: upper.map(|key| key.as_ref().to_vec()),
                }
            }
        }
    )* };
}

key_range! {
    Range<K>, Range { start, end } => Bound::Included(start), Bound::Excluded(end);
    RangeFrom<K>, RangeFrom { start } => Bound::Included(start), Bound::Unbounded;
    RangeTo<K>, RangeTo { end } => Bound::Unbounded, Bound::Excluded(end);
    RangeToInclusive<K>, RangeToInclusive { end } => Bound::Unbounded, Bound::Included(end);
    (Bound<K>, Bound<K>), (lower, upper) => lower, upper;
}

impl<K: AsRef<[u8]>> KeyRange for RangeInclusive<K> {}

impl<K: AsRef<[u8]>> sealed::Sealed for RangeInclusive<K> {
    #[allow(private_interfaces, reason = "as in the trait")]
    fn into_bounds(self) -> Bounds {
        let (start, end) = self.into_inner();
        (Bound::Included(start), Bound::Included(end)).into_bounds()
    }
}

#[cfg(test)]
mod tests {
    use super::sealed::Sealed;
    use super::*;

    fn upper(prefix: &[u8]) -> Bound<Vec<u8>> {
        Bounds::prefix(prefix).upper
    }

    #[test]
    fn a_prefix_ends_before_the_shortest_key_after_it() {
        assert_eq!(upper(b"ab"), Bound::Excluded(b"ac".to_vec()));
        assert_eq!(upper(b"a\xff"), Bound::Excluded(b"b".to_vec()));
        assert_eq!(upper(b"\xff\xff"), Bound::Unbounded);
        assert_eq!(upper(b""), Bound::Unbounded);
    }

    #[test]
    fn an_empty_upper_bound_is_not_an_absent_one() {
        assert!((..b"".as_slice()).into_bounds().is_empty());
        assert!(!(..=b"".as_slice()).into_bounds().is_empty());
        assert!(!(..).into_bounds().is_empty());
        assert!(("b".."a").into_bounds().is_empty());
    }

    #[test]
    fn a_range_behind_a_prefix_never_leaves_it() {
        let within = |bounds: Bounds| bounds.within(b"!a!");
        assert_eq!(within(Bounds::all()), Bounds::prefix(b"!a!"));
        assert_eq!(
            within((..).into_bounds()).upper,
            Bound::Excluded(b"!a\"".to_vec())
        );
        assert_eq!(within(Bounds::prefix(b"\xff\xff")).upper, upper(b"!a!"));
        let open = within((Bound::Excluded("k"), Bound::Unbounded).into_bounds());
        assert_eq!(open.lower, Bound::Excluded(b"!a!k".to_vec()));
        assert!(within((.."").into_bounds()).is_empty());
    }
}
