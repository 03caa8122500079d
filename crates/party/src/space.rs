//! The keys that begin with a prefix, seen without it: what [`Db`](crate::Db) (no prefix),
//! [`Sublevel`](crate::Sublevel) and [`Snapshot`](crate::Snapshot) make all their calls through, for threads and for tasks.
//!
//! It is the one place where prefixes are added and removed.

use std::borrow::Cow;
use std::sync::Arc;
use std::task::Poll;

use level_party_engine::WriteBatch as EngineBatch;

use crate::bounds::Bounds;
use crate::conditions::Conditions;
use crate::error::Result;
use crate::handle::{Found, Handle, Pinned};
use crate::layout::is_name;
use crate::limits::Wait;
use crate::optimistic::check_conflict;
use crate::stored::{End, Parts, Stored};
use crate::view::behind;
use crate::writes::{WriteBatch, check_entry, check_key};

/// Deletes that [`Space::clear_by`] puts into one batch, in bytes.
const CLEAR_BATCH_BYTES: usize = 16 << 20;
/// The same, as a number of keys.
const CLEAR_BATCH_ENTRIES: u64 = 1 << 19;

/// What is to become of a key.
pub(crate) enum Change {
    /// Nothing is written.
    Keep,
    Put(Vec<u8>),
    Delete,
}

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

    pub fn get_with<T>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Result<Option<T>> {
        self.handle.get_with(&self.key(key), self.pin(), read)
    }

    pub fn try_get_with<T>(
        &self,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> T,
    ) -> Poll<Result<Option<T>>> {
        self.handle.try_get_with(&self.key(key), self.pin(), read)
    }

    pub async fn get_by(&self, wait: Wait, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let key = self.key(key);
        self.handle.get_by(wait, &key, self.pin()).await
    }

    pub async fn contains_by(&self, wait: Wait, key: &[u8]) -> Result<bool> {
        let key = self.key(key);
        self.handle.contains_by(wait, &key, self.pin()).await
    }

    pub async fn get_many_by<K: AsRef<[u8]>>(
        &self,
        wait: Wait,
        keys: Vec<K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let whole: Vec<Cow<'_, [u8]>> = keys.iter().map(|key| self.key(key.as_ref())).collect();
        let limits = self.handle.limits_by(wait)?;
        let found = self.handle.get_many_by(limits, &whole, self.pin());
        Ok(values_of(found.await?))
    }

    /// The entries in `bounds`, which are those of keys without the prefix.
    pub fn range(&self, bounds: Bounds) -> Stored {
        Stored::new(
            self.handle.clone(),
            self.prefix.clone(),
            self.at.cloned(),
            bounds.within(self.prefix),
        )
    }

    /// Sets `key` to `value`, by the calling thread.
    #[inline]
    pub fn put(&self, key: &[u8], value: &[u8], sync: bool) -> Result<()> {
        let batch = self.one_put(key, value)?;
        self.handle.write(Cow::Owned(batch), sync).map(drop)
    }

    pub async fn put_by(&self, wait: Wait, key: &[u8], value: &[u8], sync: bool) -> Result<()> {
        let batch = self.one_put(key, value)?;
        self.handle.write_by(wait, &batch, sync).await.map(drop)
    }

    /// Removes `key`, by the calling thread.
    #[inline]
    pub fn delete(&self, key: &[u8], sync: bool) -> Result<()> {
        let batch = self.one_delete(key)?;
        self.handle.write(Cow::Owned(batch), sync).map(drop)
    }

    pub async fn delete_by(&self, wait: Wait, key: &[u8], sync: bool) -> Result<()> {
        let batch = self.one_delete(key)?;
        self.handle.write_by(wait, &batch, sync).await.map(drop)
    }

    fn one_put(&self, key: &[u8], value: &[u8]) -> Result<EngineBatch> {
        let key = self.key(key);
        check_entry(&key, value)?;
        let mut batch = EngineBatch::new();
        batch.put(&key, value);
        Ok(batch)
    }

    fn one_delete(&self, key: &[u8]) -> Result<EngineBatch> {
        let key = self.key(key);
        check_key(&key)?;
        let mut batch = EngineBatch::new();
        batch.delete(&key);
        Ok(batch)
    }

    /// Writes `batch`, by the calling thread.
    /// Gives the sequence number of the batch's last operation.
    pub fn write(&self, batch: &WriteBatch) -> Result<u64> {
        let whole = batch.placed(self.prefix)?;
        let sync = batch.syncs().unwrap_or(self.handle.sync);
        self.handle.write(whole, sync)
    }

    pub async fn write_by(&self, wait: Wait, batch: &WriteBatch) -> Result<()> {
        let whole = batch.placed(self.prefix)?;
        let sync = batch.syncs().unwrap_or(self.handle.sync);
        self.handle.write_by(wait, &whole, sync).await.map(drop)
    }

    /// Changes one key atomically over all processes: `decide` is told what it holds, and says what to do; it may be asked
    /// again. Gives what the key held.
    pub async fn change_by(
        &self,
        wait: Wait,
        key: &[u8],
        mut decide: impl FnMut(Option<&[u8]>) -> Change,
    ) -> Result<Option<Vec<u8>>> {
        let handle = self.handle;
        let key = &*self.key(key);
        check_key(key)?;
        handle.check_writable()?;
        let limits = handle.limits_by(wait)?;
        loop {
            let tied = handle.tie(limits);
            let found = handle.get_many_by(limits, &[key], None).await?;
            let found = found.into_iter().next().flatten();
            let held = found.as_ref().map(|(_, value)| value.as_slice());
            let mut batch = EngineBatch::new();
            match decide(held) {
                Change::Keep => return Ok(found.map(|(_, value)| value)),
                Change::Put(value) => {
                    check_entry(key, &value)?;
                    batch.put(key, &value);
                }
                Change::Delete => batch.delete(key),
            }
            let mut conditions = Conditions::default();
            conditions.push(key, found.as_ref().map(|(sequence, _)| *sequence));
            let written = handle.write_if_by(tied, &batch, handle.sync, &conditions);
            if written.await?.is_some() {
                return Ok(found.map(|(_, value)| value));
            }
            // Somebody wrote the key since it was read, perhaps the same value: look again.
            check_conflict(&limits)?;
        }
    }

    /// The names of the sublevels that have entries, in their order.
    pub async fn sublevels_by(&self, wait: Wait) -> Result<Vec<String>> {
        let mut keys = self.range(Bounds::prefix(b"!")).with_parts(Parts {
            keys_only: true,
            ..Parts::default()
        });
        let mut names = Vec::new();
        loop {
            keys.ready(wait, End::Front).await?;
            let Some((key, _)) = keys.next().transpose()? else {
                return Ok(names);
            };
            let name = key[1..].split(|&byte| byte == b'!').next();
            let ends = name.is_some_and(|name| key.len() > 1 + name.len());
            let name = name.and_then(|name| std::str::from_utf8(name).ok());
            if let Some(name) = name.filter(|name| ends && is_name(name, '!')) {
                names.push(name.to_owned());
                // Past all of its keys, which begin with `!name!`.
                keys.move_to(End::Front, format!("!{name}\"").as_bytes());
            }
        }
    }

    pub fn approximate_size(&self, bounds: Bounds) -> Result<u64> {
        self.handle.approximate_size(&bounds.within(self.prefix))
    }

    /// Removes the entries in `bounds`, and says how many there were.
    pub async fn clear_by(&self, wait: Wait, bounds: Bounds) -> Result<u64> {
        let mut cleared = 0;
        match self.clear_in_batches(wait, bounds, &mut cleared).await {
            Ok(()) => Ok(cleared),
            Err(error) if cleared == 0 => Err(error),
            Err(error) => Err(error.in_part()),
        }
    }

    async fn clear_in_batches(&self, wait: Wait, bounds: Bounds, cleared: &mut u64) -> Result<()> {
        self.handle.check_writable()?;
        let sync = self.handle.sync;
        // Whole keys are seen here, so that they need not be put together again.
        let mut keys = Stored::new(
            self.handle.clone(),
            self.handle.no_prefix.clone(),
            None,
            bounds.within(self.prefix),
        )
        .with_parts(Parts {
            keys_only: true,
            ..Parts::default()
        });
        let mut batch = EngineBatch::new();
        let mut entries = 0;
        loop {
            keys.ready(wait, End::Front).await?;
            let Some(entry) = keys.next() else {
                break;
            };
            batch.delete(&entry?.0);
            entries += 1;
            if batch.byte_size() >= CLEAR_BATCH_BYTES || entries >= CLEAR_BATCH_ENTRIES {
                self.handle.write_by(wait, &batch, sync).await?;
                *cleared += entries;
                entries = 0;
                batch = EngineBatch::new();
            }
        }
        if entries > 0 {
            self.handle.write_by(wait, &batch, sync).await?;
            *cleared += entries;
        }
        Ok(())
    }
}

/// The values alone of entries that were read.
fn values_of(entries: Vec<Found>) -> Vec<Option<Vec<u8>>> {
    let value = |entry: Found| entry.map(|(_, value)| value);
    entries.into_iter().map(value).collect()
}
