//! Ranges whose entries are decoded, for threads and for tasks.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::coding::{decode_entry, decode_key, decode_value, encode_key};
use crate::async_db::{AsyncKeys, AsyncRange};
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::range::{End, Keys, Range};

/// A typed range of any kind: a plain one, and what its entries are decoded to.
macro_rules! typed_range {
    ($(#[$doc:meta])* $name:ident, $plain:ident) => {
        $(#[$doc])*
        pub struct $name<K, V> {
            plain: $plain,
            /// What the bounds could not be encoded for: the one thing it then gives.
            problem: Option<Error>,
            codecs: PhantomData<fn() -> (K, V)>,
        }

        impl<K: Codec, V: Codec> $name<K, V> {
            pub(super) fn new(plain: $plain, problem: Option<Error>) -> Self {
                $name {
                    plain,
                    problem,
                    codecs: PhantomData,
                }
            }

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

        impl<K, V> std::fmt::Debug for $name<K, V> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.plain.fmt(f)
            }
        }
    };
}

macro_rules! typed_iterator {
    ($(#[$doc:meta])* $name:ident, $plain:ident, $item:ty, $decode:expr) => {
        typed_range! { $(#[$doc])* $name, $plain }

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
    };
}

macro_rules! typed_stream {
    ($(#[$doc:meta])* $name:ident, $plain:ident, $item:ty, $decode:expr) => {
        typed_range! { $(#[$doc])* #[must_use = "a stream does nothing unless polled"] $name, $plain }

        impl<K: Codec, V: Codec> $name<K, V> {
            /// The next one from the front.
            ///
            /// # Errors
            /// As an item of [`Range`]; `Encoding`, and it goes on after that.
            pub async fn next(&mut self) -> Option<Result<$item>> {
                std::future::poll_fn(|context| self.poll_step(End::Front, context)).await
            }

            /// The next one from the back.
            ///
            /// # Errors
            /// As an item of [`Range`]; `Encoding`, and it goes on after that.
            pub async fn next_back(&mut self) -> Option<Result<$item>> {
                std::future::poll_fn(|context| self.poll_step(End::Back, context)).await
            }

            fn poll_step(
                &mut self,
                end: End,
                context: &mut Context<'_>,
            ) -> Poll<Option<Result<$item>>> {
                if let Some(problem) = self.problem.take() {
                    return Poll::Ready(Some(Err(problem)));
                }
                let step = self.plain.poll_step(end, context);
                step.map(|plain| plain.map(|plain| plain.and_then($decode)))
            }
        }

        impl<K: Codec, V: Codec> Stream for $name<K, V> {
            type Item = Result<$item>;

            fn poll_next(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<Option<Self::Item>> {
                self.get_mut().poll_step(End::Front, context)
            }
        }
    };
}

typed_iterator! {
    /// The entries of a typed range; made by [`Typed::range`](super::Typed::range) and its kin. Double-ended.
    TypedRange, Range, (K::Item, V::Item), decode_entry::<K, V>
}

typed_iterator! {
    /// The keys of a typed range; made by [`TypedRange::keys`]. Values are neither sent nor decoded.
    TypedKeys, Keys, K::Item, |key| decode_key::<K>(&key)
}

typed_iterator! {
    /// The values of a typed range; made by [`TypedRange::values`]. Keys are not decoded.
    TypedValues, Range, V::Item, |(key, value)| decode_value::<V>(&key, &value)
}

typed_stream! {
    /// The entries of a typed range, for tasks; made by [`AsyncTyped::range`](super::AsyncTyped::range) and its kin.
    ///
    /// As [`AsyncRange`]: a [`Stream`], walked from both ends without one too.
    ///
    /// ```
    /// use level_party::{BigEndian, Utf8};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
    /// # pollster::block_on(async {
    /// let names = db.typed::<BigEndian<i32>, Utf8>();
    /// names.batch().put_typed(&names, &-1, "minus one").put_typed(&names, &1, "one").write().await?;
    /// let mut range = names.iter();
    /// assert_eq!(range.next().await.transpose()?, Some((-1, "minus one".to_string())));
    /// range.seek(&-5)?;
    /// assert_eq!(range.values().next_back().await.transpose()?.as_deref(), Some("one"));
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    AsyncTypedRange, AsyncRange, (K::Item, V::Item), decode_entry::<K, V>
}

typed_stream! {
    /// The keys of a typed range, for tasks; made by [`AsyncTypedRange::keys`]. Values are neither sent nor decoded.
    AsyncTypedKeys, AsyncKeys, K::Item, |key| decode_key::<K>(&key)
}

typed_stream! {
    /// The values of a typed range, for tasks; made by [`AsyncTypedRange::values`]. Keys are not decoded.
    AsyncTypedValues, AsyncRange, V::Item, |(key, value)| decode_value::<V>(&key, &value)
}

macro_rules! parts {
    ($name:ident, $keys:ident, $values:ident) => {
        impl<K: Codec, V: Codec> $name<K, V> {
            /// The keys alone: no value is read from the database, nor decoded.
            pub fn keys(self) -> $keys<K, V> {
                $keys::new(self.plain.keys(), self.problem)
            }

            /// The values alone, in the order of their keys.
            pub fn values(self) -> $values<K, V> {
                $values::new(self.plain, self.problem)
            }
        }
    };
}

parts!(TypedRange, TypedKeys, TypedValues);
parts!(AsyncTypedRange, AsyncTypedKeys, AsyncTypedValues);
