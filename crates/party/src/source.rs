//! What is read from: the keys of a database behind a prefix, now or at a moment, or a transaction's.
//!
//! It is the one thing that the read traits and the typed views need of a type: all their calls are made through it.

use std::sync::Arc;
use std::task::Poll;

use crate::bounds::Bounds;
use crate::error::Result;
use crate::limits::{Wait, now};
use crate::optimistic::Core;
use crate::space::Space;
use crate::view::behind;
use crate::walk::Walk;

/// What is read from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Space(Space<'a>),
    Transaction {
        core: &'a Arc<Core>,
        prefix: &'a Arc<[u8]>,
    },
}

/// What can be read from: the base of both read traits.
pub trait Sealed {
    #[doc(hidden)]
    #[allow(private_interfaces, reason = "nobody outside can name the trait")]
    fn source(&self) -> Source<'_>;
}

impl Source<'_> {
    #[inline]
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self {
            Source::Space(space) => space.get(key),
            Source::Transaction { .. } => now(self.get_by(Wait::Thread, key)),
        }
    }

    /// What `read` makes of the value of a key.
    #[inline]
    pub fn get_with<T>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Result<Option<T>> {
        match self {
            Source::Space(space) => space.get_with(key, read),
            Source::Transaction { .. } => Ok(self.get(key)?.map(|value| read(&value))),
        }
    }

    /// The same where that waits for nothing. Pending: `read` was not called.
    #[inline]
    pub fn try_get_with<T>(
        &self,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> T,
    ) -> Poll<Result<Option<T>>> {
        match self {
            Source::Space(space) => space.try_get_with(key, read),
            // It keeps what it reads, and so has a call of its own.
            Source::Transaction { .. } => Poll::Pending,
        }
    }

    pub async fn get_by(&self, wait: Wait, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self {
            Source::Space(space) => space.get_by(wait, key).await,
            Source::Transaction { core, prefix } => core.get_by(wait, &behind(prefix, key)).await,
        }
    }

    pub async fn contains_by(&self, wait: Wait, key: &[u8]) -> Result<bool> {
        match self {
            Source::Space(space) => space.contains_by(wait, key).await,
            Source::Transaction { core, prefix } => {
                core.contains_by(wait, &behind(prefix, key)).await
            }
        }
    }

    pub async fn get_many_by<K: AsRef<[u8]>>(
        &self,
        wait: Wait,
        keys: Vec<K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        match self {
            Source::Space(space) => space.get_many_by(wait, keys).await,
            Source::Transaction { core, prefix } => {
                let whole = keys.iter().map(|key| behind(prefix, key.as_ref()));
                let whole: Vec<_> = whole.collect();
                core.get_many_by(wait, &whole).await
            }
        }
    }

    /// The entries in `bounds`, which are those of keys without the prefix.
    pub fn walk(&self, bounds: Bounds) -> Walk {
        match self {
            Source::Space(space) => Walk::Stored(space.range(bounds)),
            Source::Transaction { core, prefix } => {
                let walk = core.walk(bounds.within(prefix), Arc::clone(prefix));
                Walk::Merged(Box::new(walk))
            }
        }
    }
}
