//! Transactions: reads and writes of many keys that take effect at one moment, or not at all.
//!
//! Optimistic, as RocksDB's `OptimisticTransactionDB`: a transaction reads at a snapshot, keeps its writes to itself,
//! and is committed as one conditional batch: each key that it read must still have the entry (by sequence number) that
//! it read. The leader judges the conditions in the order of its queue, so what commits has read the very state it
//! changes: transactions that commit are serializable in the keys they read. On a conflict nothing is written and the
//! closure runs again at a new snapshot; whoever made it conflict has committed, so there is always progress.
//!
//! Exactly once: the batch is a write like any other (`page.rs`), and a conflict is a decision that the session page
//! keeps: over a change of leader neither is made a second time.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::batch::{WriteBatch, check_entry, check_key};
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{Handle, Pinned};
use crate::protocol::Conditions;

/// A transaction under way; made by [`Db::transaction`](crate::Db::transaction).
pub struct Transaction {
    moment: Pinned,
    /// What each key held that was read, as its sequence and value.
    read: BTreeMap<Vec<u8>, Option<(u64, Vec<u8>)>>,
    /// What each key is to hold that was written; `None`: nothing.
    written: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    sync: bool,
}

impl Transaction {
    fn begin(handle: &Arc<Handle>) -> Result<Self> {
        Ok(Transaction {
            moment: handle.pin()?,
            read: BTreeMap::new(),
            written: BTreeMap::new(),
            sync: false,
        })
    }

    /// The value of `key`: what this transaction wrote, else what it was when the transaction began.
    ///
    /// The transaction commits only if nobody changed `key` meanwhile.
    ///
    /// # Errors
    /// As [`Snapshot::get`](crate::Snapshot::get).
    pub fn get(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let key = key.as_ref();
        if let Some(written) = self.written.get(key) {
            return Ok(written.clone());
        }
        self.load(&[key])?;
        let entry = self.read.get(key).and_then(Option::as_ref);
        Ok(entry.map(|(_, value)| value.clone()))
    }

    /// The value of each of `keys`, as [`Transaction::get`], with one message for all.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn get_many<K: AsRef<[u8]>>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let keys: Vec<K> = keys.into_iter().collect();
        let foreign = |key: &&K| !self.written.contains_key(key.as_ref());
        let foreign: Vec<&[u8]> = keys.iter().filter(foreign).map(K::as_ref).collect();
        self.load(&foreign)?;
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// Whether there is an entry of `key`, as [`Transaction::get`].
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn contains(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.get(key)?.is_some())
    }

    /// Sets `key` to `value` when the transaction commits.
    ///
    /// # Errors
    /// `InvalidArgument`: over the limits of [`Db::write`](crate::Db::write).
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let (key, value) = (key.as_ref(), value.as_ref());
        check_entry(key, value)?;
        self.written.insert(key.to_vec(), Some(value.to_vec()));
        Ok(())
    }

    /// Removes `key` when the transaction commits; it is no error when there is none.
    ///
    /// # Errors
    /// `InvalidArgument`: over the limit of a key.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        check_key(key.as_ref())?;
        self.written.insert(key.as_ref().to_vec(), None);
        Ok(())
    }

    /// Whether what it writes is on stable storage before it is acknowledged (default no).
    pub fn sync(&mut self, yes: bool) {
        self.sync = yes;
    }

    /// Reads those of `keys` that were not read yet.
    fn load(&mut self, keys: &[&[u8]]) -> Result<()> {
        let unknown = |key: &&&[u8]| !self.read.contains_key(**key);
        let unknown: Vec<&[u8]> = keys.iter().filter(unknown).copied().collect();
        let entries = self
            .moment
            .handle()
            .get_many(&unknown, Some(&self.moment))?;
        for (key, entry) in unknown.into_iter().zip(entries) {
            self.read.insert(key.to_vec(), entry);
        }
        Ok(())
    }

    /// False: a key that it read has changed, and nothing was written.
    fn commit(&self) -> Result<bool> {
        if self.written.is_empty() {
            // What it read is the state of one moment, and it changes nothing.
            return Ok(true);
        }
        let mut conditions = Conditions::default();
        for (key, entry) in &self.read {
            conditions.push(key, entry.as_ref().map(|(sequence, _)| *sequence));
        }
        let mut batch = WriteBatch::new();
        for (key, value) in &self.written {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        let handle = self.moment.handle();
        let written = handle.write_if(&batch, self.sync, &conditions)?;
        Ok(written.is_some())
    }
}

/// Runs `body` until what it did commits.
pub(crate) fn run<T, E: From<Error>>(
    handle: &Arc<Handle>,
    mut body: impl FnMut(&mut Transaction) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let limits = handle.limits()?;
    loop {
        let mut transaction = Transaction::begin(handle)?;
        match body(&mut transaction) {
            Ok(value) if transaction.commit()? => return Ok(value),
            Ok(_) => {}
            Err(error) => return Err(error),
        }
        if std::time::Instant::now() >= limits.deadline {
            return Err(E::from(conflicting(limits.timeout)));
        }
    }
}

/// Sets `key` to `new` if it holds `expected`. False: it holds something else.
pub(crate) fn compare_and_swap(
    handle: &Arc<Handle>,
    key: &[u8],
    expected: Option<&[u8]>,
    new: Option<&[u8]>,
) -> Result<bool> {
    handle.check_writable()?;
    let limits = handle.limits()?;
    let mut batch = WriteBatch::new();
    match new {
        Some(new) => {
            check_entry(key, new)?;
            batch.put(key, new);
        }
        None => {
            check_key(key)?;
            batch.delete(key);
        }
    }
    loop {
        let found = handle.get_many(&[key], None)?.pop().flatten();
        if found.as_ref().map(|(_, value)| value.as_slice()) != expected {
            return Ok(false);
        }
        let mut conditions = Conditions::default();
        conditions.push(key, found.map(|(sequence, _)| sequence));
        if handle.write_if(&batch, false, &conditions)?.is_some() {
            return Ok(true);
        }
        // Somebody wrote the key since it was read, perhaps the same value: look again.
        if std::time::Instant::now() >= limits.deadline {
            return Err(conflicting(limits.timeout));
        }
    }
}

fn conflicting(limit: std::time::Duration) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!(
            "other writers changed the same keys again and again for {limit:?}; nothing was written"
        ),
    )
}
