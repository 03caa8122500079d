//! The calls that a database and a sublevel have in common, besides the reads: for tasks.

/// Writes the methods of a type with a `space()` and a `blocking()`.
macro_rules! async_store_methods {
    ($store:ident) => {
        impl $store {
            /// Sets `key` to `value`.
            ///
            /// When this returns, every process reads the value, and it survives the death of any process. It survives a
            /// loss of power once a later write with `sync` has returned: see [`put_sync`](Self::put_sync) and
            /// [`Options::sync`](crate::Options::sync).
            ///
            /// # Errors
            /// As [`write`](Self::write).
            #[doc(alias = "insert")]
            pub async fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
                let (space, key, value) = (self.space(), key.as_ref(), value.as_ref());
                space
                    .put_by(Wait::Task, key, value, space.handle.sync)
                    .await
            }

            /// Sets `key` to `value`, and returns once it is on stable storage: it then survives a loss of power, and so
            /// does every write before it.
            ///
            /// # Errors
            /// As [`write`](Self::write).
            pub async fn put_sync(
                &self,
                key: impl AsRef<[u8]>,
                value: impl AsRef<[u8]>,
            ) -> Result<()> {
                let (key, value) = (key.as_ref(), value.as_ref());
                self.space().put_by(Wait::Task, key, value, true).await
            }

            /// Removes `key`; it is no error when there is none.
            ///
            /// # Errors
            /// As [`write`](Self::write).
            #[doc(alias = "remove")]
            pub async fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
                let space = self.space();
                space
                    .delete_by(Wait::Task, key.as_ref(), space.handle.sync)
                    .await
            }

            /// Makes all writes of `batch`, or none, in their order; every process sees them at one moment.
            ///
            /// ```
            /// use level_party::{AsyncReadable, WriteBatch};
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
            /// # pollster::block_on(async {
            /// db.write(WriteBatch::new().put("a", "1").delete("b").sync(true)).await?;
            /// assert!(db.contains("a").await?);
            /// # Ok::<(), level_party::Error>(())
            /// # }).unwrap();
            /// ```
            ///
            /// # Errors
            /// Those of [`Db::write`](crate::Db::write).
            #[doc(alias = "batch")]
            pub async fn write(&self, batch: &WriteBatch) -> Result<()> {
                self.space().write_by(Wait::Task, batch).await
            }

            /// Sets `key` to `value`, and gives what it held: both at one moment for every process.
            ///
            /// # Errors
            /// As [`transaction`](Self::transaction).
            pub async fn replace(
                &self,
                key: impl AsRef<[u8]>,
                value: impl AsRef<[u8]>,
            ) -> Result<Option<Vec<u8>>> {
                changes::replace(self.space(), Wait::Task, key.as_ref(), value.as_ref()).await
            }

            /// Removes `key`, and gives what it held: both at one moment for every process.
            ///
            /// # Errors
            /// As [`transaction`](Self::transaction).
            pub async fn take(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
                changes::take(self.space(), Wait::Task, key.as_ref()).await
            }

            /// Changes what `key` holds: `change` is told the value (`None`: there is none) and gives the new one (`None`:
            /// the key is removed). Gives what the key holds then. `change` runs again where another writer was faster;
            /// where it gives what was there nothing is written.
            ///
            /// # Errors
            /// As [`transaction`](Self::transaction).
            #[doc(alias = "update_and_fetch")]
            pub async fn update<X: Into<Vec<u8>>>(
                &self,
                key: impl AsRef<[u8]>,
                change: impl FnMut(Option<&[u8]>) -> Option<X>,
            ) -> Result<Option<Vec<u8>>> {
                changes::update(self.space(), Wait::Task, key.as_ref(), change).await
            }

            /// Sets `key` to `new` (`None`: removes it) if it holds `expected` (`None`: nothing), atomically over all
            /// processes. If it holds something else, gives that as the inner `Err`.
            ///
            /// # Errors
            /// As [`transaction`](Self::transaction).
            #[doc(alias = "compare_exchange")]
            pub async fn compare_and_swap(
                &self,
                key: impl AsRef<[u8]>,
                expected: Option<&[u8]>,
                new: Option<&[u8]>,
            ) -> Result<std::result::Result<(), Option<Vec<u8>>>> {
                let (space, key) = (self.space(), key.as_ref());
                changes::compare_and_swap(space, Wait::Task, key, expected, new).await
            }

            /// Runs `body`, a closure that awaits, as a transaction: what it reads is of one moment, and what it writes
            /// takes effect at one moment, for every process, if nobody changed meanwhile what it read. Else `body` runs
            /// again.
            ///
            /// So `body` may run more than once: it must do nothing beyond the transaction that can't be done twice. Where
            /// it returns an error, or the future is dropped, nothing is written. Transactions are serializable; only what
            /// was read is watched for changes.
            ///
            /// ```
            /// use level_party::AsyncReadable;
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
            /// # pollster::block_on(async {
            /// let visits = db
            ///     .transaction(async |tx| {
            ///         let before = tx.get("visits").await?.map_or(0, |v| v[0]);
            ///         tx.put("visits", [before + 1])?;
            ///         Ok(before + 1)
            ///     })
            ///     .await?;
            /// assert_eq!(visits, 1);
            /// # Ok::<(), level_party::Error>(())
            /// # }).unwrap();
            /// ```
            ///
            /// In a task that may go from thread to thread (`tokio::spawn`) write `async move |tx|`, and give the closure
            /// clones of the handles and views it uses, which are cheap: of a closure that borrows from around it the
            /// compiler says "`Send` is not general enough".
            ///
            /// ```
            /// # fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> T { pollster::block_on(task) }
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
            /// let users = db.sublevel("users")?;
            /// let done = spawn(async move {
            ///     let theirs = users.clone();
            ///     users.transaction(async move |tx| tx.of(&theirs).put("ada", "1815")).await
            /// });
            /// # done?;
            /// # Ok::<(), level_party::Error>(())
            /// ```
            ///
            /// # Errors
            /// What `body` returns; as [`write`](Self::write); `Conflict` if others changed what it read until the
            /// deadline.
            pub async fn transaction<T>(
                &self,
                body: impl AsyncFnMut(AsyncTransaction) -> Result<T>,
            ) -> Result<T> {
                transaction::run(self.space(), body).await
            }

            /// As [`transaction`](Self::transaction), for a `body` with an error of its own.
            ///
            /// # Errors
            /// What `body` returns; as [`transaction`](Self::transaction).
            pub async fn try_transaction<T, E: From<Error>>(
                &self,
                body: impl AsyncFnMut(AsyncTransaction) -> std::result::Result<T, E>,
            ) -> std::result::Result<T, E> {
                transaction::run(self.space(), body).await
            }

            /// Removes the entries whose keys lie in `bounds`, those of sublevels among them, and says how many there were.
            ///
            /// It goes in batches, as told at [`Db::clear`](crate::Db::clear): on an error what was deleted until then stays
            /// so, and the call may be repeated.
            ///
            /// ```
            /// use level_party::WriteBatch;
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
            /// # pollster::block_on(async {
            /// db.write(WriteBatch::new().put("a", "1").put("b", "2")).await?;
            /// assert_eq!(db.clear("b"..).await?, 1);
            /// # Ok::<(), level_party::Error>(())
            /// # }).unwrap();
            /// ```
            ///
            /// # Errors
            /// As [`write`](Self::write), and `SnapshotLost` where the moment is gone.
            #[doc(alias = "delete_range")]
            pub async fn clear(&self, bounds: impl KeyRange) -> Result<u64> {
                self.space()
                    .clear_by(Wait::Task, bounds.into_bounds()?)
                    .await
            }

            /// A frozen moment of these keys, and by [`AsyncSnapshot::of`] of all others of the database, which later
            /// writes do not touch.
            ///
            /// # Errors
            /// [Those of every read](crate::Readable#errors).
            pub async fn snapshot(&self) -> Result<AsyncSnapshot> {
                let taken = Snapshot::take_by_task(self.space()).await;
                taken.map(AsyncSnapshot::new)
            }

            /// Follows the committed changes of the keys in `bounds`, made by whichever process: each once, in the order of
            /// its sequence number, over any number of leaders. What cannot be told is a [gap](crate::WatchItem::Gap),
            /// never silence. How far back is kept, and where a watch may begin, is told at
            /// [`Db::watch`](crate::Db::watch).
            ///
            /// The watch has a thread of its own.
            ///
            /// # Errors
            /// [Those of every read](crate::Readable#errors); `InvalidArgument` if no history is kept; `Io` if the system
            /// has no thread left.
            #[doc(alias = "subscribe")]
            pub async fn watch(
                &self,
                bounds: impl KeyRange,
                from: impl Into<WatchFrom>,
            ) -> Result<AsyncWatch> {
                let (bounds, from, blocking) =
                    (bounds.into_bounds()?, from.into(), self.blocking.clone());
                let begun = Elsewhere::start(move || Watch::begin(blocking.space(), bounds, from))?;
                AsyncWatch::new(begun.await?)
            }

            /// A sublevel: its entries are those whose keys begin with `!name!`, seen without that. Sublevels nest. It is
            /// the layout of the npm package `abstract-level`.
            ///
            /// ```
            /// use level_party::AsyncReadable;
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
            /// # pollster::block_on(async {
            /// let users = db.sublevel("users")?;
            /// users.put("ada", "1815").await?;
            /// assert!(db.contains("!users!ada").await?);
            /// # Ok::<(), level_party::Error>(())
            /// # }).unwrap();
            /// ```
            ///
            /// # Errors
            /// `InvalidArgument`: a name has characters of ASCII from `#` to `~` only; `!` before and after it are left
            /// out.
            pub fn sublevel(&self, name: &str) -> Result<AsyncSublevel> {
                self.blocking.sublevel(name).map(AsyncSublevel::new)
            }

            /// As [`sublevel`](Self::sublevel) with another separator than `!` (`abstract-level`'s option `separator`), of
            /// ASCII.
            ///
            /// # Errors
            /// `InvalidArgument`: the name's characters are those from the second after the separator on.
            pub fn sublevel_with(&self, name: &str, separator: char) -> Result<AsyncSublevel> {
                let sublevel = self.blocking.sublevel_with(name, separator);
                sublevel.map(AsyncSublevel::new)
            }

            /// The names of the sublevels directly inside that have entries, in order; those with the separator `!`.
            ///
            /// # Errors
            /// [Those of every read](crate::Readable#errors).
            pub async fn sublevels(&self) -> Result<Vec<String>> {
                self.space().sublevels_by(Wait::Task).await
            }

            /// The same keys and values with types: `K` and `V` say how they are encoded
            /// ([`Codec`](crate::Codec)).
            ///
            /// ```
            /// use level_party::{BigEndian, Utf8};
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
            /// # pollster::block_on(async {
            /// let counts = db.typed::<Utf8, BigEndian<u64>>();
            /// counts.put("visits", &41).await?;
            /// assert_eq!(counts.get("visits").await?, Some(41));
            /// # Ok::<(), level_party::Error>(())
            /// # }).unwrap();
            /// ```
            pub fn typed<K: Codec, V: Codec>(&self) -> AsyncTyped<K, V> {
                self.blocking.typed::<K, V>().to_async()
            }

            /// Compacts the tables that have keys in `bounds`, level by level, so that deleted and overwritten entries go
            /// and reads have fewer tables to look at. It has a thread of its own; what it costs and which deadlines it
            /// has is told at [`Db::compact_range`](crate::Db::compact_range).
            ///
            /// # Errors
            /// `ReadOnly`, `Timeout`, `ConnectionLost` (with `retry(false)`, or if leader after leader goes),
            /// `Corruption`, `OutOfSpace`, `Closed`; `Io`, also if the system has no thread left.
            pub async fn compact_range(&self, bounds: impl KeyRange) -> Result<()> {
                let bounds = bounds.into_bounds()?.within(self.space().prefix);
                let handle = self.space().handle.clone();
                Elsewhere::start(move || handle.compact_range(&bounds))?.await
            }

            /// About how many bytes the tables hold of the keys in `bounds`, compressed as they are (LevelDB's
            /// `GetApproximateSizes`). What is only in memory yet is not counted.
            ///
            /// # Errors
            /// [Those of every read](crate::Readable#errors).
            pub async fn approximate_size(&self, bounds: impl KeyRange) -> Result<u64> {
                let space = self.space();
                let bounds = bounds.into_bounds()?.within(space.prefix);
                space.handle.approximate_size_by(Wait::Task, &bounds).await
            }

            pub(crate) fn space(&self) -> Space<'_> {
                self.blocking.space()
            }
        }

        impl crate::async_db::AsyncReadable for $store {}

        impl crate::source::Sealed for $store {
            #[allow(private_interfaces, reason = "as in the trait")]
            #[inline]
            fn source(&self) -> crate::source::Source<'_> {
                crate::source::Source::Space(self.space())
            }
        }

        impl crate::view::Places for $store {
            fn prefix(&self) -> &std::sync::Arc<[u8]> {
                self.space().prefix
            }
        }

        crate::view::plain_view!($store);
    };
}

pub(crate) use async_store_methods;
