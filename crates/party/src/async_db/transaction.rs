//! Transactions for tasks.

use std::sync::Arc;

use crate::async_db::AsyncReadable;
use crate::error::{Error, Result};
use crate::limits::Wait;
use crate::optimistic::{Core, check_conflict};
use crate::source::{Sealed, Source};
use crate::space::Space;
use crate::transaction::{Attempt, Transaction};
use crate::view::View;
use crate::writes::WriteBatch;

/// A transaction under way, for tasks; given to the closure of [`AsyncDb::transaction`](crate::AsyncDb::transaction).
///
/// Its reads are those of [`AsyncReadable`]; its writes wait for nothing. All its calls take it by reference, so that several
/// views of it ([`of`](AsyncTransaction::of)) can be used side by side. What it writes is seen by itself at once, and by
/// others once it has committed. When the closure's future has ended, every call of it fails with
/// [`Closed`](crate::ErrorKind::Closed).
///
/// ```
/// use level_party::{AsyncReadable, Prefix};
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
/// # pollster::block_on(async {
/// db.put("job/1", "").await?;
/// let job = db
///     .transaction(async |tx| {
///         let first = tx.first(Prefix("job/")).await?;
///         if let Some((key, _)) = &first {
///             tx.delete(key)?;
///         }
///         Ok(first)
///     })
///     .await?;
/// assert_eq!(job.unwrap().0, b"job/1");
/// # Ok::<(), level_party::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct AsyncTransaction {
    blocking: Transaction,
}

impl AsyncTransaction {
    /// Sets `key` to `value` when the transaction commits.
    ///
    /// # Errors
    /// `InvalidArgument`: over the limits of [`WriteBatch`].
    #[doc(alias = "insert")]
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.blocking.put(key, value)
    }

    /// Removes `key` when the transaction commits; it is no error when there is none.
    ///
    /// # Errors
    /// `InvalidArgument`: over the limit of a key.
    #[doc(alias = "remove")]
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        self.blocking.delete(key)
    }

    /// Makes the operations of `batch` when the transaction commits, as [`put`](AsyncTransaction::put) and
    /// [`delete`](AsyncTransaction::delete) would.
    ///
    /// # Errors
    /// As [`put`](AsyncTransaction::put).
    pub fn write(&self, batch: &WriteBatch) -> Result<()> {
        self.blocking.write(batch)
    }

    /// Whether what it writes is on stable storage before it is acknowledged, instead of what
    /// [`Options::sync`](crate::Options::sync) says.
    pub fn sync(&self, yes: bool) {
        self.blocking.sync(yes);
    }

    /// This transaction over the keys of `view` (of the same database), whatever it was begun on.
    ///
    /// ```
    /// use level_party::{BigEndian, Utf8};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
    /// # pollster::block_on(async {
    /// let users = db.sublevel("users")?;
    /// let counts = db.sublevel("counts")?.typed::<Utf8, BigEndian<u64>>();
    /// db.transaction(async |tx| {
    ///     let (users, counts) = (tx.of(&users), tx.of(&counts));
    ///     users.put("ada", "1815")?;
    ///     let before = counts.get("users").await?.unwrap_or(0);
    ///     counts.put("users", &(before + 1))
    /// })
    /// .await?;
    /// assert_eq!(counts.get("users").await?, Some(1));
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn of<V: View>(&self, view: &V) -> V::Of<AsyncTransaction> {
        V::over(AsyncTransaction {
            blocking: self.blocking.behind(view.prefix()),
        })
    }
}

impl AsyncReadable for AsyncTransaction {}

impl Sealed for AsyncTransaction {
    #[allow(private_interfaces, reason = "as in the trait")]
    fn source(&self) -> Source<'_> {
        self.blocking.source()
    }
}

/// Runs `body` until what it did commits.
pub(crate) async fn run<T, E: From<Error>>(
    space: Space<'_>,
    mut body: impl AsyncFnMut(AsyncTransaction) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let limits = space.handle.limits_by(Wait::Task)?;
    loop {
        let attempt = Attempt(Arc::new(Core::begin(limits, space.handle).await?));
        let blocking = Transaction::new(attempt.0.clone(), space.prefix.clone());
        let value = body(AsyncTransaction { blocking }).await?;
        if attempt.0.commit().await? {
            return Ok(value);
        }
        check_conflict(&limits)?;
    }
}

#[cfg(test)]
mod tests {
    use crate::async_db::AsyncReadable;
    use crate::db::Db;
    use crate::writes::WriteBatch;

    /// The same as for threads: its own writes in their places, from both ends, and a key that comes new conflicts.
    #[test]
    fn tasks_transaction_walks_as_a_threads_does() {
        let dir = tempfile::tempdir().unwrap();
        let blocking = Db::open(dir.path()).unwrap();
        let db = blocking.to_async();
        let part = db.sublevel("part").unwrap();
        let mut runs = 0;
        let done = db.transaction(async |tx| {
            runs += 1;
            let tx = tx.of(&part);
            tx.put("c", "own")?;
            tx.delete("b")?;
            let mut range = tx.range("a".."z");
            let mut keys = Vec::new();
            while let Some(entry) = range.next_back().await {
                keys.push(entry?.0);
                if let Some(entry) = range.next().await {
                    keys.push(entry?.0);
                }
            }
            if runs == 1 {
                let mut batch = WriteBatch::new();
                batch.put("a", "").put("b", "").put("d", "");
                part.write(&batch).await?;
            }
            Ok(keys)
        });
        let keys = pollster::block_on(done).unwrap();
        assert_eq!(keys, [b"d", b"a", b"c"]);
        assert_eq!(runs, 2);
    }

    /// Found by review: each attempt had the handle's whole timeout again.
    #[test]
    fn attempts_of_a_tasks_transaction_share_one_deadline() {
        let dir = tempfile::tempdir().unwrap();
        let blocking = Db::open(dir.path()).unwrap();
        let db = blocking.to_async();
        let mut deadlines = Vec::new();
        let done = db.transaction(async |tx| {
            deadlines.push(tx.blocking.deadline());
            tx.get("a").await?;
            if deadlines.len() == 1 {
                // Behind the transaction's back.
                blocking.put("a", "1")?;
            }
            tx.put("b", "2")?;
            Ok(())
        });
        pollster::block_on(done).unwrap();
        assert_eq!(deadlines.len(), 2);
        assert_eq!(deadlines[0], deadlines[1]);
    }
}
