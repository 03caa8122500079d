//! Where a command's keys are: the whole database, or a sublevel of it; and operations that are not all in one keyspace.

use std::ops::Bound;

use clap::Args;
use level_party::{Db, Range, Readable, Snapshot, Sublevel, Watch, WatchFrom, WriteBatch};

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
    /// The keyspace in `db`.
    pub fn of(&self, db: &Db) -> Result<Keyspace> {
        Keyspace::of(db, &self.path).map_err(|error| Failure::Usage(format!("--sublevel: {error}")))
    }
}

/// The whole database or a sublevel.
#[derive(Clone)]
pub enum Keyspace {
    Whole(Db),
    Part(Sublevel),
}

/// Bounds that no key lies between.
const NO_KEY: (KeyBound, KeyBound) = (Bound::Unbounded, Bound::Excluded(Vec::new()));

impl Keyspace {
    /// The sublevel at the end of `path`, or all of `db` where it is empty.
    pub fn of(db: &Db, path: &[String]) -> level_party::Result<Keyspace> {
        let Some((first, rest)) = path.split_first() else {
            return Ok(Keyspace::Whole(db.clone()));
        };
        let mut level = db.sublevel(first)?;
        for name in rest {
            level = level.sublevel(name)?;
        }
        Ok(Keyspace::Part(level))
    }

    pub fn get(&self, key: &[u8]) -> level_party::Result<Option<Vec<u8>>> {
        match self {
            Keyspace::Whole(db) => db.get(key),
            Keyspace::Part(level) => level.get(key),
        }
    }

    pub fn get_many<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k Vec<u8>>,
    ) -> level_party::Result<Vec<Option<Vec<u8>>>> {
        match self {
            Keyspace::Whole(db) => db.get_many(keys),
            Keyspace::Part(level) => level.get_many(keys),
        }
    }

    pub fn contains(&self, key: &[u8]) -> level_party::Result<bool> {
        match self {
            Keyspace::Whole(db) => db.contains(key),
            Keyspace::Part(level) => level.contains(key),
        }
    }

    pub fn write(&self, batch: &WriteBatch) -> level_party::Result<()> {
        match self {
            Keyspace::Whole(db) => db.write(batch),
            Keyspace::Part(level) => level.write(batch),
        }
    }

    pub fn compare_and_swap(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> level_party::Result<bool> {
        let swapped = match self {
            Keyspace::Whole(db) => db.compare_and_swap(key, expected, value),
            Keyspace::Part(level) => level.compare_and_swap(key, expected, value),
        };
        Ok(swapped?.is_ok())
    }

    pub fn range(&self, bounds: (KeyBound, KeyBound)) -> Range {
        match self {
            Keyspace::Whole(db) => db.range(bounds),
            Keyspace::Part(level) => level.range(bounds),
        }
    }

    /// This keyspace at a snapshot's moment.
    pub fn at(&self, snapshot: &Snapshot) -> Snapshot {
        match self {
            Keyspace::Whole(_) => snapshot.clone(),
            Keyspace::Part(level) => snapshot.of(level),
        }
    }

    pub fn clear(&self, bounds: (KeyBound, KeyBound)) -> level_party::Result<u64> {
        match self {
            Keyspace::Whole(db) => db.clear(bounds),
            Keyspace::Part(level) => level.clear(bounds),
        }
    }

    /// Follows the changes of a walk's keys; their keys come with the keyspace's prefix.
    pub fn watch(&self, walk: &Walk, from: WatchFrom) -> level_party::Result<Watch> {
        let bounds = walk.bounds().unwrap_or(NO_KEY);
        self.db().watch(self.in_whole(bounds), from)
    }

    /// Compacts the tables that have keys of the keyspace within `bounds`.
    pub fn compact(&self, bounds: (KeyBound, KeyBound)) -> level_party::Result<()> {
        self.db().compact_range(self.in_whole(bounds))
    }

    /// The database.
    pub fn db(&self) -> &Db {
        match self {
            Keyspace::Whole(db) => db,
            Keyspace::Part(level) => level.db(),
        }
    }

    /// Bounds of the keyspace's keys as bounds of the database's.
    pub fn in_whole(&self, (lower, upper): (KeyBound, KeyBound)) -> (KeyBound, KeyBound) {
        let prefix = self.prefix();
        if prefix.is_empty() {
            return (lower, upper);
        }
        let behind = |bound: KeyBound| bound.map(|key| [prefix, &key].concat());
        let lower = match lower {
            Bound::Unbounded => Bound::Included(prefix.to_vec()),
            bounded => behind(bounded),
        };
        let upper = match upper {
            Bound::Unbounded => after_prefix(prefix).map_or(Bound::Unbounded, Bound::Excluded),
            bounded => behind(bounded),
        };
        (lower, upper)
    }

    /// The keyspace that `path` names in the database; without one this keyspace itself.
    pub fn named(&self, path: Option<&[String]>) -> level_party::Result<Keyspace> {
        path.map_or_else(|| Ok(self.clone()), |path| Keyspace::of(self.db(), path))
    }

    /// A key of this keyspace as it is in the database.
    pub fn whole_key(&self, key: &[u8]) -> Vec<u8> {
        [self.prefix(), key].concat()
    }

    /// What the keyspace's keys begin with in the database.
    pub fn prefix(&self) -> &[u8] {
        match self {
            Keyspace::Whole(_) => &[],
            Keyspace::Part(level) => level.prefix_bytes(),
        }
    }
}

/// Operations in their order, of which each may name a sublevel of its own.
#[derive(Debug, Default)]
pub struct Ops {
    /// Neighbours in the same keyspace; `None` is where the request or command is.
    runs: Vec<(Option<Vec<String>>, Run)>,
}

/// Operations in one keyspace, in their order.
#[derive(Debug, Default)]
pub struct Run {
    /// Keys and values; no value: a delete.
    ops: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    bytes: usize,
}

/// About what an operation takes in a batch beside its key and value, in bytes.
const OP_BYTES: usize = 10;

impl Run {
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.add(key, Some(value));
    }

    pub fn delete(&mut self, key: &[u8]) {
        self.add(key, None);
    }

    fn add(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.bytes += key.len() + value.map_or(0, <[u8]>::len) + OP_BYTES;
        self.ops.push((key.to_vec(), value.map(<[u8]>::to_vec)));
    }
}

impl Ops {
    /// Operations that are all where the request is.
    pub fn here(run: Run) -> Self {
        Ops {
            runs: vec![(None, run)],
        }
    }

    /// Where an operation is to be added that names `sublevel`, or none.
    pub fn within(&mut self, sublevel: Option<Vec<String>>) -> &mut Run {
        if self
            .runs
            .last()
            .is_none_or(|(keyspace, _)| *keyspace != sublevel)
        {
            self.runs.push((sublevel, Run::default()));
        }
        let last = self.runs.len() - 1;
        &mut self.runs[last].1
    }

    /// How many operations there are.
    pub fn count(&self) -> u64 {
        self.runs.iter().map(|(_, run)| run.ops.len() as u64).sum()
    }

    /// Their bytes, but for the prefixes of sublevels.
    pub fn byte_size(&self) -> usize {
        self.runs.iter().map(|(_, run)| run.bytes).sum()
    }

    /// All of them as one batch of the whole database; what names no sublevel is at `home`.
    pub fn whole(self, home: &Keyspace) -> level_party::Result<WriteBatch> {
        let mut whole = WriteBatch::new();
        for (sublevel, run) in self.runs {
            let keyspace = home.named(sublevel.as_deref())?;
            for (key, value) in run.ops {
                match (&keyspace, value) {
                    (Keyspace::Whole(db), Some(value)) => whole.put_in(db, key, value),
                    (Keyspace::Whole(db), None) => whole.delete_in(db, key),
                    (Keyspace::Part(level), Some(value)) => whole.put_in(level, key, value),
                    (Keyspace::Part(level), None) => whole.delete_in(level, key),
                };
            }
        }
        Ok(whole)
    }
}
