//! The state of an optimistic transaction: what it read, at which moment, and what it is to write.
//!
//! As RocksDB's `OptimisticTransactionDB`: a transaction reads at a snapshot, keeps its writes to itself,
//! and is committed as one conditional batch: each key that it read must still have the entry (by sequence number) that
//! it read. The conditions are judged when its turn to write has come, so what commits has read the very state it
//! changes. Of a range it is also watched that nothing was put since the snapshot between the range's end and the last
//! entry that was handed out (the whole range, where it was walked to its end): a key that comes new (a phantom)
//! conflicts too. So transactions that commit are **serializable**, in the order of their commits; one that writes nothing
//! has read one moment.
//!
//! Exactly once: the batch is a write like any other, made by this process itself.
//!
//! The state is behind a lock, so that views of it can be used side by side; the lock is never held while anything is
//! waited for. Once the transaction has ended every call of it fails.

mod merged;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use level_party_engine::WriteBatch as EngineBatch;
use level_party_locks::Mutex;

use crate::bounds::Bounds;
use crate::conditions::Conditions;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{Handle, Pinned};
use crate::limits::{Limits, Wait};
use crate::order::Order;
use crate::writes::{check_entry, check_key};

pub(crate) use merged::Merged;

/// What a transaction knows, by whole keys.
pub(crate) struct Core {
    /// Those of all attempts.
    limits: Limits,
    moment: Arc<Pinned>,
    state: Mutex<State>,
}

struct State {
    read: Read,
    written: Written,
    walked: Vec<Walked>,
    sync: bool,
    ended: bool,
}

/// What each key held that was read, as its sequence and value.
type Read = BTreeMap<Vec<u8>, Option<(u64, Vec<u8>)>>;

/// What each key is to hold that was written; `None`: nothing.
type Written = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// How much of a range was read.
struct Walked {
    bounds: Bounds,
    /// The last key handed out from each end.
    front: Option<Vec<u8>>,
    back: Option<Vec<u8>>,
    /// Nothing is left between the two.
    all: bool,
}

impl Walked {
    fn new(bounds: Bounds) -> Self {
        Walked {
            all: bounds.is_empty(&Order::BYTEWISE),
            bounds,
            front: None,
            back: None,
        }
    }

    /// The condition that nothing came since the moment.
    fn condition(&self, since: u64, conditions: &mut Conditions) {
        let Bounds { lower, upper, .. } = &self.bounds;
        if self.bounds.is_empty(&Order::BYTEWISE) {
            return;
        }
        if self.all {
            return conditions.push_range(lower, upper, since);
        }
        if let Some(front) = &self.front {
            conditions.push_range(lower, &Bound::Included(front.clone()), since);
        }
        if let Some(back) = &self.back {
            conditions.push_range(&Bound::Included(back.clone()), upper, since);
        }
    }
}

impl State {
    fn check(&self) -> Result<()> {
        match self.ended {
            false => Ok(()),
            true => Err(Error::new(
                ErrorKind::Closed,
                "this transaction has ended; use it inside the closure that it was given to",
            )),
        }
    }

    /// What the transaction says of `key` by itself. `None`: it has neither written nor read it.
    fn known(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        if let Some(written) = self.written.get(key) {
            return Some(written.as_deref());
        }
        let read = self.read.get(key)?;
        Some(read.as_ref().map(|(_, value)| value.as_slice()))
    }
}

impl Core {
    pub async fn begin(limits: Limits, handle: &Arc<Handle>) -> Result<Self> {
        handle.order().check_bytewise("transactions")?;
        let limits = handle.tie(limits);
        Ok(Core {
            limits,
            moment: Arc::new(handle.pin_by(limits).await?),
            state: Mutex::new(State {
                read: Read::new(),
                written: Written::new(),
                walked: Vec::new(),
                sync: handle.sync,
                ended: false,
            }),
        })
    }

    #[cfg(test)]
    pub fn deadline(&self) -> Instant {
        self.limits.deadline
    }

    pub async fn get_by(&self, wait: Wait, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.load(wait, &[key]).await?;
        let state = self.state.lock();
        Ok(state.known(key).flatten().map(<[u8]>::to_vec))
    }

    pub async fn contains_by(&self, wait: Wait, key: &[u8]) -> Result<bool> {
        self.load(wait, &[key]).await?;
        Ok(self.state.lock().known(key).flatten().is_some())
    }

    pub async fn get_many_by(
        &self,
        wait: Wait,
        keys: &[impl AsRef<[u8]>],
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let slices: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        self.load(wait, &slices).await?;
        let state = self.state.lock();
        let value = |key: &&[u8]| state.known(key).flatten().map(<[u8]>::to_vec);
        Ok(slices.iter().map(value).collect())
    }

    /// Reads those of `keys` that it knows nothing of.
    async fn load(&self, wait: Wait, keys: &[&[u8]]) -> Result<()> {
        let unknown: Vec<&[u8]> = {
            let state = self.state.lock();
            state.check()?;
            let is_unknown = |key: &&&[u8]| state.known(key).is_none();
            keys.iter().filter(is_unknown).copied().collect()
        };
        if unknown.is_empty() {
            return Ok(());
        }
        let limits = Limits {
            wait,
            ..self.limits.untied()
        };
        let handle = self.moment.handle();
        let entries = handle.get_many_by(limits, &unknown, Some(&self.moment));
        let entries = entries.await?;
        let mut state = self.state.lock();
        for (key, entry) in unknown.into_iter().zip(entries) {
            state.read.insert(key.to_vec(), entry);
        }
        Ok(())
    }

    /// A walk over the whole keys in `bounds`, which begin with `prefix`.
    pub fn walk(self: &Arc<Self>, bounds: Bounds, prefix: Arc<[u8]>) -> Merged {
        Merged::new(self.clone(), bounds, prefix)
    }

    /// # Errors
    /// `InvalidArgument`; the transaction has ended.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        check_entry(key, value)?;
        self.set(key, Some(value.to_vec()))
    }

    /// # Errors
    /// As [`Core::put`].
    pub fn delete(&self, key: &[u8]) -> Result<()> {
        check_key(key)?;
        self.set(key, None)
    }

    fn set(&self, key: &[u8], value: Option<Vec<u8>>) -> Result<()> {
        let mut state = self.state.lock();
        state.check()?;
        state.written.insert(key.to_vec(), value);
        Ok(())
    }

    pub fn sync(&self, yes: bool) {
        self.state.lock().sync = yes;
    }

    /// How many keys it has read, and how many it is to write.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.read.len(), state.written.len())
    }

    /// Nothing can be read or written through it any more.
    pub fn end(&self) {
        self.state.lock().ended = true;
    }

    /// Ends it, and makes its writes. False: something that it read has changed, and nothing was written.
    pub async fn commit(&self) -> Result<bool> {
        let Some((batch, conditions, sync)) = self.finish() else {
            // It read the state of one moment, and changes nothing.
            return Ok(true);
        };
        let handle = self.moment.handle();
        let written = handle.write_if_by(self.limits, &batch, sync, &conditions);
        Ok(written.await?.is_some())
    }

    /// What is to be written under which conditions. `None`: nothing.
    fn finish(&self) -> Option<(EngineBatch, Conditions, bool)> {
        let mut state = self.state.lock();
        state.ended = true;
        if state.written.is_empty() {
            return None;
        }
        let mut conditions = Conditions::default();
        for (key, entry) in &state.read {
            conditions.push(key, entry.as_ref().map(|(sequence, _)| *sequence));
        }
        for walked in &state.walked {
            walked.condition(self.moment.sequence(), &mut conditions);
        }
        let mut batch = EngineBatch::new();
        for (key, value) in &state.written {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        Some((batch, conditions, state.sync))
    }
}

/// A transaction conflicted: it may be tried once more until the deadline.
///
/// # Errors
/// `Conflict`.
pub(crate) fn check_conflict(limits: &Limits) -> Result<()> {
    if Instant::now() < limits.deadline {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Conflict,
        format!(
            "whenever it was tried, for {:?}, another writer changed what it had read; nothing was written",
            limits.timeout
        ),
    ))
}
