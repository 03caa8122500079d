//! Ranges of keys, as callers write them.

use std::borrow::Borrow;
use std::ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use crate::codec::Codec;
use crate::coding::encode_key;
use crate::error::{Error, ErrorKind, Result};
use crate::order::Order;
use crate::protocol::MAX_SIDE_BOUND;

/// A range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub lower: Bound<Vec<u8>>,
    pub upper: Bound<Vec<u8>>,
    /// It is said by a prefix: that is a range in the order of bytes alone.
    pub by_prefix: bool,
}

impl Bounds {
    pub fn all() -> Self {
        Bounds {
            lower: Bound::Unbounded,
            upper: Bound::Unbounded,
            by_prefix: false,
        }
    }

    /// No key at all.
    pub fn none() -> Self {
        Bounds {
            lower: Bound::Excluded(Vec::new()),
            upper: Bound::Excluded(Vec::new()),
            by_prefix: false,
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
            by_prefix: !prefix.is_empty(),
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
            by_prefix: true,
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

    /// Refuses a range that means nothing in `order`.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn check_order(&self, order: &Order) -> Result<()> {
        match self.by_prefix {
            true => order.check_bytewise("prefixes"),
            false => Ok(()),
        }
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, order: &Order, key: &[u8]) -> bool {
        let (lower, upper) = (self.lower.as_ref(), self.upper.as_ref());
        order.is_above(lower.map(Vec::as_slice), key)
            && order.is_below(upper.map(Vec::as_slice), key)
    }

    /// Whether no key at all can lie in the range.
    pub fn is_empty(&self, order: &Order) -> bool {
        use Bound::{Excluded, Included, Unbounded};
        match (&self.lower, &self.upper) {
            // Nothing is below the empty key in the order of bytes.
            (_, Excluded(upper)) if upper.is_empty() && order.is_bytewise() => true,
            (Unbounded, _) | (_, Unbounded) => false,
            (Included(lower), Included(upper)) => order.compare(lower, upper).is_gt(),
            (Included(lower) | Excluded(lower), Excluded(upper))
            | (Excluded(lower), Included(upper)) => order.compare(lower, upper).is_ge(),
        }
    }
}

/// A range of keys, as calls take it: `"a".."m"`, `"a"..`, `..="x"`, `..`, a pair of [`Bound`]s, or a [`Prefix`].
///
/// A key is anything that can be seen as bytes (`&str`, `String`, `&[u8]`, `Vec<u8>`, byte strings of one length). Keys
/// are compared bytewise, or as [`Options::comparator`](crate::Options::comparator) says. A range that ends before it begins is empty, never an error.
///
/// `K` is the codec of the keys: `()` for plain bytes. A [`Typed`](crate::Typed) view takes ranges of typed keys, which
/// mean ranges of their encoded bytes.
///
/// ```
/// use std::ops::Bound;
/// use level_party::{BigEndian, Prefix, Readable, Utf8, WriteBatch};
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path())?;
/// db.write(WriteBatch::new().put("a", "1").put("b", "2").put("bc", "3"))?;
/// assert_eq!(db.range("a".."c").count(), 3);
/// assert_eq!(db.range(..=b"b").count(), 2);
/// assert_eq!(db.range(vec![b'b']..).count(), 2);
/// assert_eq!(db.range(Prefix("b")).count(), 2);
/// assert_eq!(db.range(..).count(), 3);
/// assert_eq!(db.range((Bound::Excluded("a"), Bound::Unbounded)).count(), 2);
///
/// let numbers = db.sublevel("numbers")?.typed::<BigEndian<u32>, Utf8>();
/// numbers.put(&300, "three hundred")?;
/// assert_eq!(numbers.range(8..).count(), 1);
/// # Ok::<(), level_party::Error>(())
/// ```
pub trait KeyRange<K = ()>: sealed::Sealed<K> {}

/// The keys that begin with what it holds, as a [`KeyRange`].
///
/// ```
/// use level_party::{Prefix, Readable, WriteBatch};
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path())?;
/// db.write(WriteBatch::new().put("user/ada", "1815").put("user/alan", "1912").put("visits", "7"))?;
/// assert_eq!(db.range(Prefix("user/")).count(), 2);
/// assert_eq!(db.clear(Prefix("user/a"))?, 2);
/// # Ok::<(), level_party::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Prefix<P>(pub P);

pub(crate) mod sealed {
    use super::{Bounds, Result};

    pub trait Sealed<K> {
        #[doc(hidden)]
        #[allow(private_interfaces, reason = "nobody outside can name the trait")]
        fn into_bounds(self) -> Result<Bounds>;
    }
}

impl<K> KeyRange<K> for RangeFull {}

impl<K> sealed::Sealed<K> for RangeFull {
    #[allow(private_interfaces, reason = "as in the trait")]
    fn into_bounds(self) -> Result<Bounds> {
        Ok(Bounds::all())
    }
}

impl<P: AsRef<[u8]>> KeyRange for Prefix<P> {}

impl<P: AsRef<[u8]>> sealed::Sealed<()> for Prefix<P> {
    #[allow(private_interfaces, reason = "as in the trait")]
    fn into_bounds(self) -> Result<Bounds> {
        Ok(Bounds::prefix(self.0.as_ref()))
    }
}

impl<K: Codec, P: Borrow<K::Given>> KeyRange<K> for Prefix<P> {}

impl<K: Codec, P: Borrow<K::Given>> sealed::Sealed<K> for Prefix<P> {
    #[allow(private_interfaces, reason = "as in the trait")]
    fn into_bounds(self) -> Result<Bounds> {
        Ok(Bounds::prefix(&encode_key::<K>(self.0.borrow())?))
    }
}

/// A bound, its key as bytes.
fn encoded<Q>(
    bound: Bound<Q>,
    encode: impl FnOnce(Q) -> Result<Vec<u8>>,
) -> Result<Bound<Vec<u8>>> {
    Ok(match bound {
        Bound::Included(key) => Bound::Included(encode(key)?),
        Bound::Excluded(key) => Bound::Excluded(encode(key)?),
        Bound::Unbounded => Bound::Unbounded,
    })
}

fn bounds<Q>(
    (lower, upper): (Bound<Q>, Bound<Q>),
    encode: impl Fn(Q) -> Result<Vec<u8>>,
) -> Result<Bounds> {
    Ok(Bounds {
        lower: encoded(lower, &encode)?,
        upper: encoded(upper, &encode)?,
        by_prefix: false,
    })
}

macro_rules! key_range {
    ($($range:ty, $given:pat => $pair:expr;)*) => { $(
        impl<Q: AsRef<[u8]>> KeyRange for $range {}

        impl<Q: AsRef<[u8]>> sealed::Sealed<()> for $range {
            #[allow(private_interfaces, reason = "as in the trait")]
            fn into_bounds(self) -> Result<Bounds> {
                let $given = self;
                bounds($pair, |key| Ok(key.as_ref().to_vec()))
            }
        }

        impl<K: Codec, Q: Borrow<K::Given>> KeyRange<K> for $range {}

        impl<K: Codec, Q: Borrow<K::Given>> sealed::Sealed<K> for $range {
            #[allow(private_interfaces, reason = "as in the trait")]
            fn into_bounds(self) -> Result<Bounds> {
                let $given = self;
                bounds($pair, |key| Ok(encode_key::<K>(key.borrow())?.into_owned()))
            }
        }
    )* };
}

key_range! {
    Range<Q>, Range { start, end } => (Bound::Included(start), Bound::Excluded(end));
    RangeFrom<Q>, RangeFrom { start } => (Bound::Included(start), Bound::Unbounded);
    RangeTo<Q>, RangeTo { end } => (Bound::Unbounded, Bound::Excluded(end));
    RangeToInclusive<Q>, RangeToInclusive { end } => (Bound::Unbounded, Bound::Included(end));
    RangeInclusive<Q>, range => {
        let (start, end) = range.into_inner();
        (Bound::Included(start), Bound::Included(end))
    };
    (Bound<Q>, Bound<Q>), pair => pair;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upper(prefix: &[u8]) -> Bound<Vec<u8>> {
        Bounds::prefix(prefix).upper
    }

    fn of(range: impl KeyRange) -> Bounds {
        range.into_bounds().unwrap()
    }

    #[test]
    fn prefix_ends_before_the_shortest_key_after_it() {
        assert_eq!(upper(b"ab"), Bound::Excluded(b"ac".to_vec()));
        assert_eq!(upper(b"a\xff"), Bound::Excluded(b"b".to_vec()));
        assert_eq!(upper(b"\xff\xff"), Bound::Unbounded);
        assert_eq!(upper(b""), Bound::Unbounded);
    }

    #[test]
    fn empty_upper_bound_differs_from_no_bound() {
        assert!(of(..b"".as_slice()).is_empty(&Order::default()));
        assert!(!of(..=b"".as_slice()).is_empty(&Order::default()));
        assert!(!of(..).is_empty(&Order::default()));
        assert!(of("b".."a").is_empty(&Order::default()));
    }

    #[test]
    fn range_within_a_prefix_stays_there() {
        let within = |bounds: Bounds| bounds.within(b"!a!");
        assert_eq!(within(Bounds::all()), Bounds::prefix(b"!a!"));
        assert_eq!(within(of(..)).upper, Bound::Excluded(b"!a\"".to_vec()));
        assert_eq!(within(Bounds::prefix(b"\xff\xff")).upper, upper(b"!a!"));
        let open = within(of((Bound::Excluded("k"), Bound::Unbounded)));
        assert_eq!(open.lower, Bound::Excluded(b"!a!k".to_vec()));
        assert!(within(of(.."")).is_empty(&Order::default()));
    }
}
