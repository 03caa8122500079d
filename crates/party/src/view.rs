//! Which keys a call means, where it may mean those of several sublevels.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::Result;

/// Which keys are meant: all of a database, those of a sublevel, or either through codecs.
///
/// It is a [`Db`](crate::Db), a [`Sublevel`](crate::Sublevel) or a [`Typed`](crate::Typed) view of one of them, or the same
/// for tasks. A snapshot, a transaction and a batch take one, which must be of the same database:
/// `snapshot.of(&users)`, `tx.of(&users)`, `batch.put_in(&users, key, value)`.
///
/// The trait is sealed: nothing else can implement it.
pub trait View: Places {
    /// What `S` is over these keys: `S` itself, or a typed view of it.
    type Of<S>;

    #[doc(hidden)]
    fn over<S>(of: S) -> Self::Of<S>;
}

/// What names keys of a database.
pub trait Places {
    /// What they begin with.
    #[doc(hidden)]
    fn prefix(&self) -> &Arc<[u8]>;
}

/// Takes keys of a type.
pub trait TakesKey<K> {
    /// Calls `take` with the whole key's bytes.
    #[doc(hidden)]
    fn with_key(&self, key: K, take: impl FnOnce(&[u8])) -> Result<()>;
}

/// Takes keys and values of a type.
pub trait TakesEntry<K, X> {
    /// Calls `take` with the whole key's bytes and those of the value.
    #[doc(hidden)]
    fn with_entry(&self, key: K, value: X, take: impl FnOnce(&[u8], &[u8])) -> Result<()>;
}

/// `key` behind `prefix`.
pub(crate) fn behind<'k>(prefix: &[u8], key: &'k [u8]) -> Cow<'k, [u8]> {
    match prefix.is_empty() {
        true => Cow::Borrowed(key),
        false => Cow::Owned([prefix, key].concat()),
    }
}

/// A view of plain bytes.
macro_rules! plain_view {
    ($view:ty) => {
        impl $crate::view::View for $view {
            type Of<S> = S;

            fn over<S>(of: S) -> S {
                of
            }
        }

        impl<K: AsRef<[u8]>> $crate::view::TakesKey<K> for $view {
            fn with_key(&self, key: K, take: impl FnOnce(&[u8])) -> $crate::error::Result<()> {
                take(&$crate::view::behind(
                    $crate::view::Places::prefix(self),
                    key.as_ref(),
                ));
                Ok(())
            }
        }

        impl<K: AsRef<[u8]>, X: AsRef<[u8]>> $crate::view::TakesEntry<K, X> for $view {
            fn with_entry(
                &self,
                key: K,
                value: X,
                take: impl FnOnce(&[u8], &[u8]),
            ) -> $crate::error::Result<()> {
                let prefix = $crate::view::Places::prefix(self);
                take(&$crate::view::behind(prefix, key.as_ref()), value.as_ref());
                Ok(())
            }
        }
    };
}

/// A view through codecs, of the plain view that its type names.
macro_rules! typed_view {
    ($typed:ident of $plain:ty) => {
        impl<K: Codec, V: Codec> $crate::view::View for $typed<K, V, $plain> {
            type Of<S> = $typed<K, V, S>;

            fn over<S>(of: S) -> $typed<K, V, S> {
                $typed::new(of)
            }
        }

        impl<K, V> $crate::view::Places for $typed<K, V, $plain> {
            fn prefix(&self) -> &std::sync::Arc<[u8]> {
                self.of.prefix()
            }
        }

        impl<'k, K: Codec, V: Codec> $crate::view::TakesKey<&'k K::Given> for $typed<K, V, $plain> {
            fn with_key(
                &self,
                key: &'k K::Given,
                take: impl FnOnce(&[u8]),
            ) -> $crate::error::Result<()> {
                let key = $crate::coding::encode_key::<K>(key)?;
                self.of.with_key(key, take)
            }
        }

        impl<'k, 'v, K: Codec, V: Codec> $crate::view::TakesEntry<&'k K::Given, &'v V::Given>
            for $typed<K, V, $plain>
        {
            fn with_entry(
                &self,
                key: &'k K::Given,
                value: &'v V::Given,
                take: impl FnOnce(&[u8], &[u8]),
            ) -> $crate::error::Result<()> {
                let key = $crate::coding::encode_key::<K>(key)?;
                let value = $crate::coding::encode_value::<V>(&key, value)?;
                self.of.with_entry(key, value, take)
            }
        }
    };
}

pub(crate) use {plain_view, typed_view};
