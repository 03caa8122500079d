//! The keys that begin with a prefix, seen without it: what [`Db`](crate::Db) (no prefix),
//! [`Sublevel`](crate::Sublevel) and [`Snapshot`](crate::Snapshot) make all their calls through.
//!
//! It is the one place where prefixes are added and removed. The public types keep their own methods, each of one line,
//! instead of a trait: a caller needs no import, and each page of the documentation names every call. They are separate
//! types, not one with a prefix in it, so that a call which knows nothing of prefixes can't be made on a sublevel.

use std::borrow::Cow;
use std::sync::Arc;

use level_party_engine::Op;

use crate::bounds::Bounds;
use crate::error::Result;
use crate::handle::{Found, Handle, Pinned};
use crate::limits::{Wait, now};
use crate::range::{End, Parts, Range};
use crate::writes::WriteBatch;

/// Deletes that [`Space::clear`] puts into one batch, in bytes.
const CLEAR_BATCH_BYTES: usize = 16 << 20;
/// The same, as a number of keys.
const CLEAR_BATCH_ENTRIES: usize = 1 << 19;

/// A handle's keys behind a prefix, now or at a moment.
#[derive(Clone, Copy)]
pub(crate) struct Space<'a> {
    pub handle: &'a Arc<Handle>,
    pub prefix: &'a Arc<[u8]>,
    pub at: Option<&'a Arc<Pinned>>,
}

impl<'a> Space<'a> {
    /// The whole key of `key`.
    pub fn key<'k>(&self, key: &'k [u8]) -> Cow<'k, [u8]> {
        behind(self.prefix, key)
    }

    pub fn pin(&self) -> Option<&'a Pinned> {
        self.at.map(Arc::as_ref)
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.handle.get(&self.key(key), self.pin())
    }

    pub async fn get_by(&self, wait: Wait, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let key = self.key(key);
        self.handle.get_by(wait, &key, self.pin()).await
    }

    pub fn contains(&self, key: &[u8]) -> Result<bool> {
        now(self.contains_by(Wait::Thread, key))
    }

    pub async fn contains_by(&self, wait: Wait, key: &[u8]) -> Result<bool> {
        let key = self.key(key);
        self.handle.contains_by(wait, &key, self.pin()).await
    }

    pub fn get_many<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        now(self.get_many_by(Wait::Thread, keys))
    }

    pub async fn get_many_by<K: AsRef<[u8]>>(
        &self,
        wait: Wait,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let keys: Vec<K> = keys.into_iter().collect();
        let whole: Vec<Cow<'_, [u8]>> = keys.iter().map(|key| self.key(key.as_ref())).collect();
        let limits = self.handle.limits_by(wait)?;
        let found = self.handle.get_many_by(limits, &whole, self.pin());
        Ok(values_of(found.await?))
    }

    /// The entries in `bounds`, which are those of keys without the prefix.
    pub fn range(&self, bounds: Bounds) -> Range {
        Range::new(
            self.handle.clone(),
            self.prefix.clone(),
            self.at.cloned(),
            bounds.within(self.prefix),
        )
    }

    /// `batch`, its keys behind the prefix.
    pub fn batch<'b>(&self, batch: &'b WriteBatch) -> Cow<'b, WriteBatch> {
        if self.prefix.is_empty() {
            return Cow::Borrowed(batch);
        }
        let mut whole = WriteBatch::new();
        for op in batch.iter() {
            let key = self.key(op.key());
            match op {
                Op::Put { value, .. } => whole.put(&key, value),
                Op::Delete { .. } => whole.delete(&key),
            }
        }
        Cow::Owned(whole)
    }

    pub fn approximate_size(&self, bounds: Bounds) -> Result<u64> {
        self.handle.approximate_size(&bounds.within(self.prefix))
    }

    /// Removes the entries in `bounds`, and says how many there were.
    pub fn clear(&self, bounds: Bounds) -> Result<u64> {
        now(self.clear_by(Wait::Thread, bounds))
    }

    pub async fn clear_by(&self, wait: Wait, bounds: Bounds) -> Result<u64> {
        self.handle.check_writable()?;
        // Whole keys are seen here, so that they need not be put together again.
        let mut keys = Range::new(
            self.handle.clone(),
            self.handle.no_prefix.clone(),
            None,
            bounds.within(self.prefix),
        )
        .with_parts(Parts {
            keys_only: true,
            ..Parts::default()
        });
        let mut cleared = 0;
        let mut batch = WriteBatch::new();
        let mut entries = 0;
        loop {
            keys.ready(wait, End::Front).await?;
            let Some(entry) = keys.next() else {
                break;
            };
            batch.delete(&entry?.0);
            entries += 1;
            if batch.byte_size() >= CLEAR_BATCH_BYTES || entries >= CLEAR_BATCH_ENTRIES {
                self.handle.write_by(wait, &batch, false).await?;
                cleared += entries as u64;
                entries = 0;
                batch = WriteBatch::new();
            }
        }
        if entries > 0 {
            self.handle.write_by(wait, &batch, false).await?;
        }
        Ok(cleared + entries as u64)
    }
}

/// `key` behind `prefix`.
pub(crate) fn behind<'k>(prefix: &[u8], key: &'k [u8]) -> Cow<'k, [u8]> {
    match prefix.is_empty() {
        true => Cow::Borrowed(key),
        false => Cow::Owned([prefix, key].concat()),
    }
}

/// The values alone of entries that were read.
fn values_of(entries: Vec<Found>) -> Vec<Option<Vec<u8>>> {
    let value = |entry: Found| entry.map(|(_, value)| value);
    entries.into_iter().map(value).collect()
}
