//! Transactions: reads and writes of many keys that take effect at one moment, or not at all.
//!
//! Optimistic, as RocksDB's `OptimisticTransactionDB`: a transaction reads at a snapshot, keeps its writes to itself,
//! and is committed as one conditional batch: each key that it read must still have the entry (by sequence number) that
//! it read. The conditions are judged when its turn to write has come, so what commits has read the very state it
//! changes. Of a range it is also watched that nothing was put since the snapshot between the range's end and the last
//! entry that was handed out (the whole range, where it was walked to its end): a key that comes new (a phantom)
//! conflicts too. So transactions that commit are **serializable**, in the order of their commits; one that writes nothing
//! has read one moment. On a conflict nothing is written and the
//! closure runs again at a new snapshot; whoever made it conflict has committed, so there is always progress.
//!
//! Exactly once: the batch is a write like any other, made by this process itself.

mod range;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use crate::bounds::{Bounds, KeyRange};
use crate::conditions::Conditions;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{Handle, Pinned};
use crate::limits::{Limits, Wait, now};
use crate::space::{Space, behind};
use crate::sublevel::Sublevel;
use crate::writes::{WriteBatch, check_entry, check_key};

pub use range::TransactionRange;

/// A transaction under way; made by [`Db::transaction`](crate::Db::transaction).
pub struct Transaction<'a> {
    core: &'a mut Core,
    prefix: Arc<[u8]>,
}

/// What a transaction knows, by whole keys.
pub(crate) struct Core {
    /// Those of the whole transaction.
    limits: Limits,
    moment: Arc<Pinned>,
    read: Read,
    written: Written,
    walked: Vec<Walked>,
    sync: bool,
}

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
            all: bounds.is_empty(),
            bounds,
            front: None,
            back: None,
        }
    }

    /// The condition that nothing came since the moment.
    fn condition(&self, since: u64, conditions: &mut Conditions) {
        let Bounds { lower, upper } = &self.bounds;
        if self.bounds.is_empty() {
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

/// What each key held that was read, as its sequence and value.
type Read = BTreeMap<Vec<u8>, Option<(u64, Vec<u8>)>>;

/// What each key is to hold that was written; `None`: nothing.
type Written = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

impl Transaction<'_> {
    /// The value of `key`: what this transaction wrote, else what it was when the transaction began.
    ///
    /// The transaction commits only if nobody changed `key` meanwhile.
    ///
    /// # Errors
    /// As [`Snapshot::get`](crate::Snapshot::get).
    pub fn get(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let key = behind(&self.prefix, key.as_ref());
        now(self.core.get(&key))
    }

    /// The value of each of `keys`, as [`Transaction::get`], all of them at once.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn get_many<K: AsRef<[u8]>>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let whole = |key: K| behind(&self.prefix, key.as_ref()).into_owned();
        let keys: Vec<Vec<u8>> = keys.into_iter().map(whole).collect();
        now(self.core.get_many(&keys))
    }

    /// Whether there is an entry of `key`, as [`Transaction::get`].
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn contains(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.get(key)?.is_some())
    }

    /// The entries whose keys lie in `bounds`, in key order: those of when the transaction began, with its own writes in
    /// their places. Double-ended.
    ///
    /// What it was walked over is read: the transaction commits only if nobody meanwhile changed or removed an entry that
    /// it handed out, or added one there. A range that was walked to its end is read as a whole; one that was left after
    /// some entries, as far as to the last of them. Unlike with RocksDB's `OptimisticTransactionDB` there are no phantoms.
    ///
    /// When it commits, the range is read once more while other writers wait, so let it be small; where it
    /// has more than a million entries, removed ones counted, the transaction can't commit.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// // At most two seats, however many processes book at once.
    /// let booked = db.transaction(|tx| {
    ///     let taken = tx.prefix("seat/").count();
    ///     if taken < 2 {
    ///         tx.put(format!("seat/{}", std::process::id()), "")?;
    ///     }
    ///     Ok::<_, level_party::Error>(taken < 2)
    /// })?;
    /// assert!(booked);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// db.batch().put("job/1", "").put("job/2", "").write()?;
    /// // Takes the first job: of several processes each gets another one.
    /// let job = db.transaction(|tx| {
    ///     let first = tx.prefix("job/").next().transpose()?;
    ///     if let Some((key, _)) = &first {
    ///         tx.delete(key)?;
    ///     }
    ///     Ok::<_, level_party::Error>(first)
    /// })?;
    /// assert_eq!(job.unwrap().0, b"job/1");
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn range(&mut self, bounds: impl KeyRange) -> TransactionRange<'_> {
        self.walk(bounds.into_bounds())
    }

    /// All entries, as [`Transaction::range`].
    pub fn iter(&mut self) -> TransactionRange<'_> {
        self.walk(Bounds::all())
    }

    /// The entries whose keys begin with `prefix`, as [`Transaction::range`].
    pub fn prefix(&mut self, prefix: impl AsRef<[u8]>) -> TransactionRange<'_> {
        self.walk(Bounds::prefix(prefix.as_ref()))
    }

    pub(crate) fn walk(&mut self, bounds: Bounds) -> TransactionRange<'_> {
        self.core
            .walk(bounds.within(&self.prefix), self.prefix.len())
    }

    /// Sets `key` to `value` when the transaction commits.
    ///
    /// # Errors
    /// `InvalidArgument`: over the limits of [`Db::write`](crate::Db::write).
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let key = behind(&self.prefix, key.as_ref());
        self.core.put(&key, value.as_ref())
    }

    /// Removes `key` when the transaction commits; it is no error when there is none.
    ///
    /// # Errors
    /// `InvalidArgument`: over the limit of a key.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        let key = behind(&self.prefix, key.as_ref());
        self.core.delete(&key)
    }

    /// Whether what it writes is on stable storage before it is acknowledged (default no).
    pub fn sync(&mut self, yes: bool) {
        self.core.sync = yes;
    }

    /// This transaction, its keys being those of `sublevel` (of the same database), whatever it was begun on.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// let (users, by_year) = (db.sublevel("users")?, db.sublevel("by-year")?);
    /// db.transaction(|tx| {
    ///     tx.of(&users).put("ada", "1815")?;
    ///     tx.of(&by_year).put("1815", "ada")
    /// })?;
    /// assert_eq!(by_year.get("1815")?.as_deref(), Some(&b"ada"[..]));
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn of(&mut self, sublevel: &Sublevel) -> Transaction<'_> {
        Transaction {
            core: self.core,
            prefix: sublevel.space().prefix.clone(),
        }
    }
}

impl std::fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction")
            .field("prefix", &String::from_utf8_lossy(&self.prefix))
            .field("keys_read", &self.core.read.len())
            .field("keys_written", &self.core.written.len())
            .finish()
    }
}

impl Core {
    pub async fn begin(limits: Limits, handle: &Arc<Handle>) -> Result<Self> {
        let limits = handle.tie(limits);
        Ok(Core {
            limits,
            moment: Arc::new(handle.pin_by(limits).await?),
            read: Read::new(),
            written: Written::new(),
            walked: Vec::new(),
            sync: false,
        })
    }

    #[cfg(test)]
    pub fn deadline(&self) -> Instant {
        self.limits.deadline
    }

    pub async fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if let Some(written) = self.written.get(key) {
            return Ok(written.clone());
        }
        self.load(&[key]).await?;
        let entry = self.read.get(key).and_then(Option::as_ref);
        Ok(entry.map(|(_, value)| value.clone()))
    }

    pub async fn get_many(&mut self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        let foreign = |key: &&Vec<u8>| !self.written.contains_key(*key);
        let foreign: Vec<&[u8]> = keys.iter().filter(foreign).map(Vec::as_slice).collect();
        self.load(&foreign).await?;
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            values.push(self.get(key).await?);
        }
        Ok(values)
    }

    /// A walk over the whole keys in `bounds`, of which the first `hidden` bytes are not shown.
    pub fn walk(&mut self, bounds: Bounds, hidden: usize) -> TransactionRange<'_> {
        self.walked.push(Walked::new(bounds));
        let walked = self.walked.last_mut().expect("it was just pushed");
        TransactionRange::new(
            self.moment.clone(),
            hidden,
            &mut self.read,
            &self.written,
            walked,
        )
    }

    /// # Errors
    /// `InvalidArgument`.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        check_entry(key, value)?;
        self.written.insert(key.to_vec(), Some(value.to_vec()));
        Ok(())
    }

    /// # Errors
    /// `InvalidArgument`.
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        check_key(key)?;
        self.written.insert(key.to_vec(), None);
        Ok(())
    }

    pub fn sync(&mut self, yes: bool) {
        self.sync = yes;
    }

    /// Reads those of `keys` that were not read yet.
    async fn load(&mut self, keys: &[&[u8]]) -> Result<()> {
        let unknown = |key: &&&[u8]| !self.read.contains_key(**key);
        let unknown: Vec<&[u8]> = keys.iter().filter(unknown).copied().collect();
        let entries = self
            .moment
            .handle()
            .get_many_by(self.limits.untied(), &unknown, Some(&self.moment))
            .await?;
        for (key, entry) in unknown.into_iter().zip(entries) {
            self.read.insert(key.to_vec(), entry);
        }
        Ok(())
    }

    /// False: a key that it read has changed, and nothing was written.
    pub async fn commit(&self) -> Result<bool> {
        if self.written.is_empty() {
            // What it read is the state of one moment, and it changes nothing.
            return Ok(true);
        }
        let mut conditions = Conditions::default();
        for (key, entry) in &self.read {
            conditions.push(key, entry.as_ref().map(|(sequence, _)| *sequence));
        }
        for walked in &self.walked {
            walked.condition(self.moment.sequence(), &mut conditions);
        }
        let mut batch = WriteBatch::new();
        for (key, value) in &self.written {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        let handle = self.moment.handle();
        let written = handle.write_if_by(self.limits, &batch, self.sync, &conditions);
        Ok(written.await?.is_some())
    }
}

/// Runs `body` until what it did commits.
pub(crate) fn run<T, E: From<Error>>(
    space: Space<'_>,
    mut body: impl FnMut(&mut Transaction<'_>) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let limits = space.handle.limits()?;
    loop {
        let mut core = now(Core::begin(limits, space.handle))?;
        let mut transaction = Transaction {
            core: &mut core,
            prefix: space.prefix.clone(),
        };
        match body(&mut transaction) {
            Ok(value) if now(core.commit())? => return Ok(value),
            Ok(_) => {}
            Err(error) => return Err(error),
        }
        check_conflict(&limits)?;
    }
}

/// Sets `key` to `new` if it holds `expected`. False: it holds something else.
pub(crate) fn compare_and_swap(
    space: Space<'_>,
    key: &[u8],
    expected: Option<&[u8]>,
    new: Option<&[u8]>,
) -> Result<bool> {
    now(compare_and_swap_by(Wait::Thread, space, key, expected, new))
}

pub(crate) async fn compare_and_swap_by(
    wait: Wait,
    space: Space<'_>,
    key: &[u8],
    expected: Option<&[u8]>,
    new: Option<&[u8]>,
) -> Result<bool> {
    let handle = space.handle;
    let key = &*space.key(key);
    handle.check_writable()?;
    let limits = handle.limits_by(wait)?;
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
        let tied = handle.tie(limits);
        let found = handle.get_many_by(limits, &[key], None).await?;
        let found = found.into_iter().next().flatten();
        if found.as_ref().map(|(_, value)| value.as_slice()) != expected {
            return Ok(false);
        }
        let mut conditions = Conditions::default();
        conditions.push(key, found.map(|(sequence, _)| sequence));
        let written = handle.write_if_by(tied, &batch, false, &conditions);
        if written.await?.is_some() {
            return Ok(true);
        }
        // Somebody wrote the key since it was read, perhaps the same value: look again.
        check_conflict(&limits)?;
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
