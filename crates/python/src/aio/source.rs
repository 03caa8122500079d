//! What the classes for asyncio stand for: the crate's handles for tasks behind one type each.

use std::sync::Arc;

use level_party::{
    AsyncDb, AsyncRange, AsyncReadable, AsyncSnapshot, AsyncSublevel, AsyncTransaction, Error,
};
use level_party_locks::RwLock;

use crate::errors::{Failure, Result};
use crate::given::Walk;

type Value = Option<Vec<u8>>;

/// A database or a part of it.
#[derive(Clone)]
pub(crate) enum Place {
    Db(AsyncDb),
    Sublevel(AsyncSublevel),
}

/// Calls the same method of either.
macro_rules! at {
    ($place:expr, $it:ident => $call:expr) => {
        match $place {
            $crate::aio::source::Place::Db($it) => $call,
            $crate::aio::source::Place::Sublevel($it) => $call,
        }
    };
}
pub(super) use at;

impl Place {
    /// The same for threads.
    pub fn to_blocking(&self) -> crate::source::Place {
        match self {
            Place::Db(db) => crate::source::Place::Db(db.to_blocking()),
            Place::Sublevel(sublevel) => crate::source::Place::Sublevel(sublevel.to_blocking()),
        }
    }
}

/// What can be read.
#[derive(Clone)]
pub(crate) enum Source {
    Place(Place),
    /// None once it was closed.
    Snapshot(Arc<RwLock<Option<AsyncSnapshot>>>),
    Transaction(Arc<AsyncTransaction>),
}

impl Source {
    pub async fn get(&self, key: &[u8]) -> Result<Value> {
        Ok(match self {
            Source::Place(place) => at!(place, place => place.get(key).await),
            Source::Snapshot(snapshot) => open(snapshot)?.get(key).await,
            Source::Transaction(made) => made.get(key).await,
        }?)
    }

    pub async fn contains(&self, key: &[u8]) -> Result<bool> {
        Ok(match self {
            Source::Place(place) => at!(place, place => place.contains(key).await),
            Source::Snapshot(snapshot) => open(snapshot)?.contains(key).await,
            Source::Transaction(made) => made.contains(key).await,
        }?)
    }

    pub async fn get_many(&self, keys: Vec<Vec<u8>>) -> Result<Vec<Value>> {
        Ok(match self {
            Source::Place(place) => at!(place, place => place.get_many(keys).await),
            Source::Snapshot(snapshot) => open(snapshot)?.get_many(keys).await,
            Source::Transaction(made) => made.get_many(keys).await,
        }?)
    }

    pub fn walk(&self, walk: Walk) -> Result<AsyncRange> {
        let bounds = walk.span.bounds();
        let range = match self {
            Source::Place(place) => at!(place, place => place.range(bounds)),
            Source::Snapshot(snapshot) => open(snapshot)?.range(bounds),
            Source::Transaction(made) => made.range(bounds),
        };
        Ok(match walk.limit {
            Some(limit) => range.limit(limit),
            None => range,
        })
    }
}

/// The snapshot, while it is open.
pub(super) fn open(snapshot: &RwLock<Option<AsyncSnapshot>>) -> Result<AsyncSnapshot> {
    let open = snapshot.read().clone();
    open.ok_or(Failure::Closed("this snapshot was closed"))
}

/// Writes one entry, or removes it, as the handle or the caller says of `sync`.
pub(super) async fn set(
    place: &Place,
    key: &[u8],
    value: Option<&[u8]>,
    sync: Option<bool>,
) -> std::result::Result<(), Error> {
    let mut batch = level_party::WriteBatch::new();
    match (value, sync) {
        (Some(value), None) => return at!(place, place => place.put(key, value).await),
        (Some(value), Some(true)) => return at!(place, place => place.put_sync(key, value).await),
        (None, None) => return at!(place, place => place.delete(key).await),
        (Some(value), Some(false)) => batch.put(key, value),
        (None, Some(_)) => batch.delete(key),
    };
    if let Some(sync) = sync {
        batch.sync(sync);
    }
    at!(place, place => place.write(&batch).await)
}
