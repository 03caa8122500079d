//! Transactions for tasks.

use std::sync::Arc;

use crate::error::Result;
use crate::session::Limits;
use crate::space::{Space, behind};
use crate::transaction::Core;

/// A [`Transaction`](crate::Transaction) whose reads are futures; made by
/// [`AsyncDb::transaction`](crate::AsyncDb::transaction). It has no ranges.
pub struct AsyncTransaction {
    core: Core,
    prefix: Arc<[u8]>,
}

impl AsyncTransaction {
    pub(crate) async fn begin(limits: Limits, of: Space<'_>) -> Result<Self> {
        Ok(AsyncTransaction {
            core: Core::begin(limits, of.handle).await?,
            prefix: of.prefix.clone(),
        })
    }

    pub(crate) async fn commit(&self) -> Result<bool> {
        self.core.commit().await
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

#[cfg(test)]
mod tests {
    use crate::db::Db;
    use crate::error::Error;

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
