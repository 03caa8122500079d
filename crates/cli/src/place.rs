//! Where a command's keys are: the whole database, or a sublevel of it.

use std::ops::Bound;

use clap::Args;
use level_party::{
    Db, Range, Snapshot, Sublevel, Transaction, Watch, WatchFrom, WriteBatch, WriteOptions,
};

use crate::bounds::{KeyBound, Walk, after_prefix};
use crate::failure::{Failure, Result};

/// The flag that names a sublevel.
#[derive(Args, Clone, Debug, Default)]
pub struct Within {
    /// Only the keys of this sublevel, without their prefix; given again it is one inside the one before
    #[arg(
        long = "sublevel",
        value_name = "NAME",
        help_heading = "Keys and values"
    )]
    pub path: Vec<String>,
}

impl Within {
    /// The place in `db`.
    pub fn of(&self, db: &Db) -> Result<Place> {
        Place::of(db, &self.path).map_err(|error| Failure::Usage(format!("--sublevel: {error}")))
    }
}

/// The whole database or a sublevel.
#[derive(Clone)]
pub enum Place {
    Whole(Db),
    Part(Sublevel),
}

/// Bounds that no key lies between.
const NO_KEY: (KeyBound, KeyBound) = (Bound::Unbounded, Bound::Excluded(Vec::new()));

impl Place {
    /// The sublevel at the end of `path`, or all of `db` where it is empty.
    pub fn of(db: &Db, path: &[String]) -> level_party::Result<Place> {
        let Some((first, rest)) = path.split_first() else {
            return Ok(Place::Whole(db.clone()));
        };
        let mut level = db.sublevel(first)?;
        for name in rest {
            level = level.sublevel(name)?;
        }
        Ok(Place::Part(level))
    }

    pub fn get(&self, key: &[u8]) -> level_party::Result<Option<Vec<u8>>> {
        match self {
            Place::Whole(db) => db.get(key),
            Place::Part(level) => level.get(key),
        }
    }

    pub fn get_many<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k Vec<u8>>,
    ) -> level_party::Result<Vec<Option<Vec<u8>>>> {
        match self {
            Place::Whole(db) => db.get_many(keys),
            Place::Part(level) => level.get_many(keys),
        }
    }

    pub fn contains(&self, key: &[u8]) -> level_party::Result<bool> {
        match self {
            Place::Whole(db) => db.contains(key),
            Place::Part(level) => level.contains(key),
        }
    }

    pub fn write(&self, batch: &WriteBatch, options: WriteOptions) -> level_party::Result<()> {
        match self {
            Place::Whole(db) => db.write(batch, options),
            Place::Part(level) => level.write(batch, options),
        }
    }

    pub fn compare_and_swap(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> level_party::Result<bool> {
        match self {
            Place::Whole(db) => db.compare_and_swap(key, expected, value),
            Place::Part(level) => level.compare_and_swap(key, expected, value),
        }
    }

    pub fn transaction<T>(
        &self,
        body: impl FnMut(&mut Transaction<'_>) -> level_party::Result<T>,
    ) -> level_party::Result<T> {
        match self {
            Place::Whole(db) => db.transaction(body),
            Place::Part(level) => level.transaction(body),
        }
    }

    pub fn range(&self, bounds: (KeyBound, KeyBound)) -> Range {
        match self {
            Place::Whole(db) => db.range(bounds),
            Place::Part(level) => level.range(bounds),
        }
    }

    /// This place at a snapshot's moment.
    pub fn at(&self, snapshot: &Snapshot) -> Snapshot {
        match self {
            Place::Whole(_) => snapshot.clone(),
            Place::Part(level) => snapshot.of(level),
        }
    }

    pub fn clear(&self, bounds: (KeyBound, KeyBound)) -> level_party::Result<u64> {
        match self {
            Place::Whole(db) => db.clear(bounds),
            Place::Part(level) => level.clear(bounds),
        }
    }

    /// Follows the changes of a walk's keys; their keys come with the place's prefix.
    pub fn watch(&self, walk: &Walk, from: WatchFrom) -> level_party::Result<Watch> {
        let prefix = self.prefix();
        let behind = |bound: KeyBound| bound.map(|key| [prefix, &key].concat());
        let (lower, upper) = walk.bounds().unwrap_or(NO_KEY);
        let lower = match lower {
            Bound::Unbounded => Bound::Included(prefix.to_vec()),
            bounded => behind(bounded),
        };
        let upper = match upper {
            Bound::Unbounded => after_prefix(prefix).map_or(Bound::Unbounded, Bound::Excluded),
            bounded => behind(bounded),
        };
        let db = match self {
            Place::Whole(db) => db,
            Place::Part(level) => level.db(),
        };
        db.watch((lower, upper), from)
    }

    /// What the place's keys begin with in the database.
    pub fn prefix(&self) -> &[u8] {
        match self {
            Place::Whole(_) => &[],
            Place::Part(level) => level.prefix_bytes(),
        }
    }
}
