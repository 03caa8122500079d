//! Ranges whose entries are decoded.

use std::marker::PhantomData;

use super::{decode_key, decode_value, encode_key};
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::range::{Keys, Range};

macro_rules! typed_range {
    ($(#[$doc:meta])* $name:ident, $plain:ident, $item:ty, $decode:expr) => {
        $(#[$doc])*
        pub struct $name<K, V> {
            plain: $plain,
            /// What the bounds could not be encoded for: the one thing it then gives.
            problem: Option<Error>,
            codecs: PhantomData<fn() -> (K, V)>,
        }

        impl<K: Codec, V: Codec> $name<K, V> {
            /// As [`Range::limit`].
            pub fn limit(mut self, count: u64) -> Self {
                self.plain = self.plain.limit(count);
                self
            }

            /// As [`Range::seek`].
            ///
            /// # Errors
            /// `Encoding`: it stays where it was.
            pub fn seek(&mut self, target: &K::Given) -> Result<()> {
                self.plain.seek(encode_key::<K>(target)?);
                Ok(())
            }

            /// As [`Range::seek_back`].
            ///
            /// # Errors
            /// `Encoding`: it stays where it was.
            pub fn seek_back(&mut self, target: &K::Given) -> Result<()> {
                self.plain.seek_back(encode_key::<K>(target)?);
                Ok(())
            }
        }

        impl<K: Codec, V: Codec> Iterator for $name<K, V> {
            type Item = Result<$item>;

            fn next(&mut self) -> Option<Self::Item> {
                if let Some(problem) = self.problem.take() {
                    return Some(Err(problem));
                }
                Some(self.plain.next()?.and_then($decode))
            }
        }

        impl<K: Codec, V: Codec> DoubleEndedIterator for $name<K, V> {
            fn next_back(&mut self) -> Option<Self::Item> {
                if let Some(problem) = self.problem.take() {
                    return Some(Err(problem));
                }
                Some(self.plain.next_back()?.and_then($decode))
            }
        }

        impl<K: Codec, V: Codec> std::iter::FusedIterator for $name<K, V> {}

        impl<K, V> std::fmt::Debug for $name<K, V> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.plain.fmt(f)
            }
        }
    };
}

typed_range! {
    /// The entries of a typed range; made by [`Typed::range`](super::Typed::range) and its kin. Double-ended.
    TypedRange, Range, (K::Item, V::Item),
    |(key, value)| Ok((decode_key::<K>(&key)?, decode_value::<V>(&key, &value)?))
}

typed_range! {
    /// The keys of a typed range; made by [`TypedRange::keys`]. Values are neither sent nor decoded.
    TypedKeys, Keys, K::Item,
    |key| decode_key::<K>(&key)
}

typed_range! {
    /// The values of a typed range; made by [`TypedRange::values`]. Keys are not decoded.
    TypedValues, Range, V::Item,
    |(key, value)| decode_value::<V>(&key, &value)
}

impl<K: Codec, V: Codec> TypedRange<K, V> {
    pub(super) fn new(plain: Range, problem: Option<Error>) -> Self {
        TypedRange {
            plain,
            problem,
            codecs: PhantomData,
        }
    }

    /// The keys alone: no value is read from the database, nor decoded.
    pub fn keys(self) -> TypedKeys<K, V> {
        TypedKeys {
            plain: self.plain.keys(),
            problem: self.problem,
            codecs: PhantomData,
        }
    }

    /// The values alone, in the order of their keys.
    pub fn values(self) -> TypedValues<K, V> {
        TypedValues {
            plain: self.plain,
            problem: self.problem,
            codecs: PhantomData,
        }
    }
}
