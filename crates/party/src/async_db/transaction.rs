//! Transactions for tasks.

use std::sync::Arc;

use crate::async_db::AsyncDb;
use crate::bounds::{Bounds, KeyRange};
use crate::error::Result;
use crate::limits::Wait;
use crate::range::End;
use crate::space::behind;
use crate::transaction::{Core, TransactionRange};

/// A [`Transaction`](crate::Transaction) whose reads are futures; made by
/// [`AsyncDb::transaction`](crate::AsyncDb::transaction).
pub struct AsyncTransaction<'a> {
    core: &'a mut Core,
    prefix: Arc<[u8]>,
}

impl<'a> AsyncTransaction<'a> {
    pub(super) fn new(core: &'a mut Core, prefix: Arc<[u8]>) -> Self {
        AsyncTransaction { core, prefix }
    }

    /// [`Transaction::range`](crate::Transaction::range).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
    /// # pollster::block_on(async {
    /// db.batch().put("job/1", "").put("job/2", "").write().await?;
    /// let job = db
    ///     .transaction(async |tx| {
    ///         let first = tx.prefix("job/").next().await.transpose()?;
    ///         if let Some((key, _)) = &first {
    ///             tx.delete(key)?;
    ///         }
    ///         Ok::<_, level_party::Error>(first)
    ///     })
    ///     .await?;
    /// assert_eq!(job.unwrap().0, b"job/1");
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn range(&mut self, bounds: impl KeyRange) -> AsyncTransactionRange<'_> {
        self.walk(bounds.into_bounds())
    }

    /// [`Transaction::iter`](crate::Transaction::iter).
    pub fn iter(&mut self) -> AsyncTransactionRange<'_> {
        self.walk(Bounds::all())
    }

    /// [`Transaction::prefix`](crate::Transaction::prefix).
    pub fn prefix(&mut self, prefix: impl AsRef<[u8]>) -> AsyncTransactionRange<'_> {
        self.walk(Bounds::prefix(prefix.as_ref()))
    }

    pub(crate) fn walk(&mut self, bounds: Bounds) -> AsyncTransactionRange<'_> {
        let range = self
            .core
            .walk(bounds.within(&self.prefix), self.prefix.len());
        AsyncTransactionRange { range }
    }

    /// [`Transaction::of`](crate::Transaction::of): this transaction, its keys being those of `part`, a sublevel or the
    /// whole of the same database, whatever it was begun on.
    pub fn of(&mut self, part: &AsyncDb) -> AsyncTransaction<'_> {
        AsyncTransaction {
            core: self.core,
            prefix: part.space().prefix.clone(),
        }
    }

    /// [`Transaction::get`](crate::Transaction::get).
    ///
    /// # Errors
    /// As there.
    pub async fn get(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let key = behind(&self.prefix, key.as_ref());
        self.core.get(&key).await
    }

    /// [`Transaction::get_many`](crate::Transaction::get_many).
    ///
    /// # Errors
    /// As there.
    pub async fn get_many<K: AsRef<[u8]>>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let whole = |key: K| behind(&self.prefix, key.as_ref()).into_owned();
        let keys: Vec<Vec<u8>> = keys.into_iter().map(whole).collect();
        self.core.get_many(&keys).await
    }

    /// [`Transaction::contains`](crate::Transaction::contains).
    ///
    /// # Errors
    /// As there.
    pub async fn contains(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.get(key).await?.is_some())
    }

    /// [`Transaction::put`](crate::Transaction::put).
    ///
    /// # Errors
    /// As there.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let key = behind(&self.prefix, key.as_ref());
        self.core.put(&key, value.as_ref())
    }

    /// [`Transaction::delete`](crate::Transaction::delete).
    ///
    /// # Errors
    /// As there.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        let key = behind(&self.prefix, key.as_ref());
        self.core.delete(&key)
    }

    /// [`Transaction::sync`](crate::Transaction::sync).
    pub fn sync(&mut self, yes: bool) {
        self.core.sync(yes);
    }
}

/// A [`TransactionRange`] whose steps are futures; made by [`AsyncTransaction::range`]. A step that is dropped before its
/// end loses no entry. After an error it ends.
pub struct AsyncTransactionRange<'a> {
    range: TransactionRange<'a>,
}

impl AsyncTransactionRange<'_> {
    /// The next entry from the front.
    ///
    /// # Errors
    /// As an item of [`TransactionRange`].
    pub async fn next(&mut self) -> Option<Result<(Vec<u8>, Vec<u8>)>> {
        self.range.step(Wait::Task, End::Front).await
    }

    /// The next entry from the back.
    ///
    /// # Errors
    /// As an item of [`TransactionRange`].
    pub async fn next_back(&mut self) -> Option<Result<(Vec<u8>, Vec<u8>)>> {
        self.range.step(Wait::Task, End::Back).await
    }
}

impl std::fmt::Debug for AsyncTransactionRange<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.range.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use crate::db::Db;
    use crate::error::Error;

    /// The same as for threads: its own writes in their places, from both ends, and a key that comes new conflicts.
    #[test]
    fn a_range_in_a_tasks_transaction_is_that_of_a_threads() {
        let dir = tempfile::tempdir().unwrap();
        let blocking = Db::open(dir.path()).unwrap();
        let db = blocking.to_async();
        let part = db.sublevel("part").unwrap();
        let mut runs = 0;
        let done = db.transaction(async |tx| {
            runs += 1;
            let mut tx = tx.of(&part);
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
                part.batch()
                    .put("a", "")
                    .put("b", "")
                    .put("d", "")
                    .write()
                    .await?;
            }
            Ok::<_, Error>(keys)
        });
        let keys = pollster::block_on(done).unwrap();
        assert_eq!(keys, [b"d", b"a", b"c"]);
        assert_eq!(runs, 2);
    }

    /// Found by review: each attempt had the handle's whole timeout again.
    #[test]
    fn all_attempts_of_a_tasks_transaction_have_one_deadline() {
        let dir = tempfile::tempdir().unwrap();
        let blocking = Db::open(dir.path()).unwrap();
        let db = blocking.to_async();
        let mut deadlines = Vec::new();
        let done = db.transaction(async |tx| {
            deadlines.push(tx.core.deadline());
            tx.get("a").await?;
            if deadlines.len() == 1 {
                // Behind the transaction's back.
                blocking.put("a", "1")?;
            }
            tx.put("b", "2")?;
            Ok::<_, Error>(())
        });
        pollster::block_on(done).unwrap();
        assert_eq!(deadlines.len(), 2);
        assert_eq!(deadlines[0], deadlines[1]);
    }
}
