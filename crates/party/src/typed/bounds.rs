//! Ranges of typed keys.

use std::borrow::Borrow;
use std::ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use crate::bounds::Bounds;
use crate::error::Result;

/// What names a range of typed keys: `1..9`, `"a"..`, `..=key`, `..`, or a pair of [`Bound`]s; as
/// [`KeyRange`](crate::KeyRange) for bytes. It is a range of their encoded bytes.
pub trait TypedKeyRange<K: ?Sized>: sealed::Sealed<K> {}

pub(super) mod sealed {
    use super::{Bounds, Result};

    pub trait Sealed<K: ?Sized> {
        #[doc(hidden)]
        #[allow(private_interfaces, reason = "nobody outside can name the trait")]
        fn into_bounds(self, encode: &mut dyn FnMut(&K) -> Result<Vec<u8>>) -> Result<Bounds>;
    }
}

impl<K: ?Sized> TypedKeyRange<K> for RangeFull {}

impl<K: ?Sized> sealed::Sealed<K> for RangeFull {
    #[allow(private_interfaces, reason = "as in the trait")]
    fn into_bounds(self, _: &mut dyn FnMut(&K) -> Result<Vec<u8>>) -> Result<Bounds> {
        Ok(Bounds::all())
    }
}

fn encoded<K: ?Sized, B: Borrow<K>>(
    bound: Bound<B>,
    encode: &mut dyn FnMut(&K) -> Result<Vec<u8>>,
) -> Result<Bound<Vec<u8>>> {
    Ok(match bound {
        Bound::Included(key) => Bound::Included(encode(key.borrow())?),
        Bound::Excluded(key) => Bound::Excluded(encode(key.borrow())?),
        Bound::Unbounded => Bound::Unbounded,
    })
}

macro_rules! typed_range {
    ($($range:ty, $given:pat => $lower:expr, $upper:expr;)*) => { $(
        impl<K: ?Sized, B: Borrow<K>> TypedKeyRange<K> for $range {}

        impl<K: ?Sized, B: Borrow<K>> sealed::Sealed<K> for $range {
            #[allow(private_interfaces, reason = "as in the trait")]
            fn into_bounds(
                self,
                encode: &mut dyn FnMut(&K) -> Result<Vec<u8>>,
            ) -> Result<Bounds> {
                let $given = self;
                let lower: Bound<B> = $lower;
                let upper: Bound<B> = $upper;
                Ok(Bounds {
                    lower: encoded(lower, encode)?,
                    upper: encoded(upper, encode)?,
                })
            }
        }
    )* };
}

typed_range! {
    Range<B>, Range { start, end } => Bound::Included(start), Bound::Excluded(end);
    RangeFrom<B>, RangeFrom { start } => Bound::Included(start), Bound::Unbounded;
    RangeTo<B>, RangeTo { end } => Bound::Unbounded, Bound::Excluded(end);
    RangeToInclusive<B>, RangeToInclusive { end } => Bound::Unbounded, Bound::Included(end);
    (Bound<B>, Bound<B>), (lower, upper) => lower, upper;
}

impl<K: ?Sized, B: Borrow<K>> TypedKeyRange<K> for RangeInclusive<B> {}

impl<K: ?Sized, B: Borrow<K>> sealed::Sealed<K> for RangeInclusive<B> {
    #[allow(private_interfaces, reason = "as in the trait")]
    fn into_bounds(self, encode: &mut dyn FnMut(&K) -> Result<Vec<u8>>) -> Result<Bounds> {
        let (start, end) = self.into_inner();
        (Bound::Included(start), Bound::Included(end)).into_bounds(encode)
    }
}
