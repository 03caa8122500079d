//! Transactions: reads and writes of many keys that take effect at one moment, or not at all.
//!
//! On a conflict nothing is written and the closure runs again at a new snapshot; whoever made it conflict has committed, so
//! there is always progress. How conflicts are found is told in `optimistic.rs`.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::limits::now;
use crate::optimistic::{Core, check_conflict};
use crate::read::Readable;
use crate::source::{Sealed, Source};
use crate::space::Space;
use crate::view::{View, behind};
use crate::writes::WriteBatch;

/// A transaction under way; given to the closure of [`Db::transaction`](crate::Db::transaction) and its kin.
///
/// Its reads are those of [`Readable`]. All its calls take it by reference, so that several views of it
/// ([`of`](Transaction::of)) can be used side by side. What it writes is seen by itself at once, and by others once it has
/// committed. When the closure has returned, every call of it fails with [`Closed`](crate::ErrorKind::Closed).
///
/// ```
/// use level_party::{Prefix, Readable};
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path())?;
/// // At most two seats, however many processes book at once.
/// let booked = db.transaction(|tx| {
///     let taken = tx.range(Prefix("seat/")).count();
///     if taken < 2 {
///         tx.put(format!("seat/{}", std::process::id()), "")?;
///     }
///     Ok(taken < 2)
/// })?;
/// assert!(booked);
/// # Ok::<(), level_party::Error>(())
/// ```
pub struct Transaction {
    core: Arc<Core>,
    prefix: Arc<[u8]>,
}

impl Transaction {
    pub(crate) fn new(core: Arc<Core>, prefix: Arc<[u8]>) -> Self {
        Transaction { core, prefix }
    }

    /// Sets `key` to `value` when the transaction commits.
    ///
    /// # Errors
    /// `InvalidArgument`: over the limits of [`WriteBatch`].
    #[doc(alias = "insert")]
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let key = behind(&self.prefix, key.as_ref());
        self.core.put(&key, value.as_ref())
    }

    /// Removes `key` when the transaction commits; it is no error when there is none.
    ///
    /// # Errors
    /// `InvalidArgument`: over the limit of a key.
    #[doc(alias = "remove")]
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        let key = behind(&self.prefix, key.as_ref());
        self.core.delete(&key)
    }

    /// Makes the operations of `batch` when the transaction commits, as [`put`](Transaction::put) and
    /// [`delete`](Transaction::delete) would.
    ///
    /// # Errors
    /// As [`put`](Transaction::put).
    pub fn write(&self, batch: &WriteBatch) -> Result<()> {
        batch.each(&self.prefix, |key, value| match value {
            Some(value) => self.core.put(key, value),
            None => self.core.delete(key),
        })?;
        if let Some(sync) = batch.syncs() {
            self.core.sync(sync);
        }
        Ok(())
    }

    /// Whether what it writes is on stable storage before it is acknowledged, instead of what
    /// [`Options::sync`](crate::Options::sync) says. A transaction that writes nothing syncs nothing.
    pub fn sync(&self, yes: bool) {
        self.core.sync(yes);
    }

    /// This transaction over the keys of `view` (of the same database), whatever it was begun on.
    ///
    /// ```
    /// use level_party::{BigEndian, Readable, Utf8};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// let users = db.sublevel("users")?;
    /// let counts = db.sublevel("counts")?.typed::<Utf8, BigEndian<u64>>();
    /// db.transaction(|tx| {
    ///     let (users, counts) = (tx.of(&users), tx.of(&counts));
    ///     users.put("ada", "1815")?;
    ///     let before = counts.get("users")?.unwrap_or(0);
    ///     counts.put("users", &(before + 1))
    /// })?;
    /// assert_eq!(counts.get("users")?, Some(1));
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn of<V: View>(&self, view: &V) -> V::Of<Transaction> {
        V::over(self.behind(view.prefix()))
    }

    /// This transaction over the keys behind `prefix`.
    pub(crate) fn behind(&self, prefix: &Arc<[u8]>) -> Transaction {
        Transaction {
            core: self.core.clone(),
            prefix: prefix.clone(),
        }
    }

    #[cfg(test)]
    pub(crate) fn deadline(&self) -> std::time::Instant {
        self.core.deadline()
    }
}

impl Readable for Transaction {}

impl Sealed for Transaction {
    #[allow(private_interfaces, reason = "as in the trait")]
    fn source(&self) -> Source<'_> {
        Source::Transaction {
            core: &self.core,
            prefix: &self.prefix,
        }
    }
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (read, written) = self.core.counts();
        f.debug_struct("Transaction")
            .field("prefix", &String::from_utf8_lossy(&self.prefix))
            .field("keys_read", &read)
            .field("keys_written", &written)
            .finish()
    }
}

/// Ends an attempt, however its closure ends.
pub(crate) struct Attempt(pub Arc<Core>);

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Runs `body` until what it did commits.
pub(crate) fn run<T, E: From<Error>>(
    space: Space<'_>,
    mut body: impl FnMut(&Transaction) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let limits = space.handle.limits()?;
    loop {
        let attempt = Attempt(Arc::new(now(Core::begin(limits, space.handle))?));
        let transaction = Transaction::new(attempt.0.clone(), space.prefix.clone());
        let value = body(&transaction)?;
        if now(attempt.0.commit())? {
            return Ok(value);
        }
        check_conflict(&limits)?;
    }
}
