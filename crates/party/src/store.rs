//! The calls that a database and a sublevel have in common, besides the reads: for threads.
//!
//! They are inherent methods of both types, so that writing needs no import, and written once.

/// Writes the methods of a type with a `space()`.
macro_rules! store_methods {
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
            pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
                let sync = self.space().handle.sync;
                self.space().put(key.as_ref(), value.as_ref(), sync)
            }

            /// Sets `key` to `value`, and returns once it is on stable storage: it then survives a loss of power, and so
            /// does every write before it.
            ///
            /// # Errors
            /// As [`write`](Self::write).
            pub fn put_sync(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
                self.space().put(key.as_ref(), value.as_ref(), true)
            }

            /// Removes `key`; it is no error when there is none.
            ///
            /// # Errors
            /// As [`write`](Self::write).
            #[doc(alias = "remove")]
            pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
                let sync = self.space().handle.sync;
                self.space().delete(key.as_ref(), sync)
            }

            /// Makes all writes of `batch`, or none, in their order; every process sees them at one moment.
            ///
            /// ```
            /// use level_party::{Readable, WriteBatch};
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path())?;
            /// db.write(WriteBatch::new().put("a", "1").put("b", "2").delete("c").sync(true))?;
            /// assert_eq!(db.iter().count(), 2);
            /// # Ok::<(), level_party::Error>(())
            /// ```
            ///
            /// # Errors
            /// Of all kinds but `OutcomeUnknown` nothing was written, and nothing will be.
            /// - `Timeout`: its turn did not come, or room in memory, before its deadline.
            /// - [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown): told there, with what to do next.
            /// - `InvalidArgument`: over [`WriteBatch::MAX_BYTES`](crate::WriteBatch::MAX_BYTES), `MAX_LEN` or
            ///   `MAX_KEY_BYTES`; `Encoding`: a typed key or value has no encoding.
            /// - `Busy`, with [`WhenFull::Busy`](crate::WhenFull::Busy); `ConnectionLost`, with
            ///   [`retry(false)`](crate::Options::retry); `ReadOnly`, with
            ///   [`reject_writes`](crate::Options::reject_writes).
            /// - `OutOfSpace`, `PermissionDenied`, `Closed`, `Forked`, `Io`.
            #[doc(alias = "batch")]
            pub fn write(&self, batch: &WriteBatch) -> Result<()> {
                self.space().write(batch).map(drop)
            }

            /// As [`write`](Self::write); gives the sequence number of the batch's last operation, by which a
            /// [watch](crate::Db::watch) tells it. For a batch without operations it is that of the last write before it.
            ///
            /// ```
            /// use level_party::WriteBatch;
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path())?;
            /// assert_eq!(db.write_sequenced(WriteBatch::new().put("a", "1").put("b", "2"))?, 2);
            /// # Ok::<(), level_party::Error>(())
            /// ```
            ///
            /// # Errors
            /// As [`write`](Self::write).
            pub fn write_sequenced(&self, batch: &WriteBatch) -> Result<u64> {
                self.space().write(batch)
            }

            /// Sets `key` to `value`, and gives what it held: both at one moment for every process.
            ///
            /// ```
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path())?;
            /// assert_eq!(db.replace("a", "1")?, None);
            /// assert_eq!(db.replace("a", "2")?.as_deref(), Some(&b"1"[..]));
            /// # Ok::<(), level_party::Error>(())
            /// ```
            ///
            /// # Errors
            /// As [`transaction`](Self::transaction).
            pub fn replace(
                &self,
                key: impl AsRef<[u8]>,
                value: impl AsRef<[u8]>,
            ) -> Result<Option<Vec<u8>>> {
                now(changes::replace(
                    self.space(),
                    Wait::Thread,
                    key.as_ref(),
                    value.as_ref(),
                ))
            }

            /// Removes `key`, and gives what it held: both at one moment for every process.
            ///
            /// ```
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path())?;
            /// db.put("a", "1")?;
            /// assert_eq!(db.take("a")?.as_deref(), Some(&b"1"[..]));
            /// assert_eq!(db.take("a")?, None);
            /// # Ok::<(), level_party::Error>(())
            /// ```
            ///
            /// # Errors
            /// As [`transaction`](Self::transaction).
            pub fn take(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
                now(changes::take(self.space(), Wait::Thread, key.as_ref()))
            }

            /// Changes what `key` holds: `change` is told the value (`None`: there is none) and gives the new one (`None`:
            /// the key is removed). Gives what the key holds then.
            ///
            /// `change` runs again where another writer was faster, so it must do nothing else that can't be done twice.
            /// Where it gives what was there nothing is written, and nothing synced.
            ///
            /// ```
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path())?;
            /// let visits = db.update("visits", |before| {
            ///     let before = before.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
            ///     Some((before + 1).to_be_bytes())
            /// })?;
            /// assert_eq!(visits, Some(1_u64.to_be_bytes().to_vec()));
            /// # Ok::<(), level_party::Error>(())
            /// ```
            ///
            /// # Errors
            /// As [`transaction`](Self::transaction).
            #[doc(alias = "update_and_fetch")]
            pub fn update<X: Into<Vec<u8>>>(
                &self,
                key: impl AsRef<[u8]>,
                change: impl FnMut(Option<&[u8]>) -> Option<X>,
            ) -> Result<Option<Vec<u8>>> {
                now(changes::update(
                    self.space(),
                    Wait::Thread,
                    key.as_ref(),
                    change,
                ))
            }

            /// Sets `key` to `new` (`None`: removes it) if it holds `expected` (`None`: nothing), atomically over all
            /// processes. If it holds something else, gives that as the inner `Err`.
            ///
            /// ```
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path())?;
            /// assert_eq!(db.compare_and_swap("owner", None, Some(b"me"))?, Ok(()));
            /// let owner = db.compare_and_swap("owner", None, Some(b"you"))?.unwrap_err();
            /// assert_eq!(owner.as_deref(), Some(&b"me"[..]));
            /// assert!(db.compare_and_swap("owner", Some(b"me"), None)?.is_ok());
            /// # Ok::<(), level_party::Error>(())
            /// ```
            ///
            /// # Errors
            /// As [`transaction`](Self::transaction).
            #[doc(alias = "compare_exchange")]
            pub fn compare_and_swap(
                &self,
                key: impl AsRef<[u8]>,
                expected: Option<&[u8]>,
                new: Option<&[u8]>,
            ) -> Result<std::result::Result<(), Option<Vec<u8>>>> {
                now(changes::compare_and_swap(
                    self.space(),
                    Wait::Thread,
                    key.as_ref(),
                    expected,
                    new,
                ))
            }

            /// Runs `body` as a transaction: what it reads is of one moment, and what it writes takes effect at one moment,
            /// for every process, if nobody changed meanwhile what it read. Else `body` runs again.
            ///
            /// So `body` may run more than once: it must do nothing beyond the transaction that can't be done twice. Where
            /// it returns an error nothing is written. Transactions are serializable; only what was read is watched for
            /// changes.
            ///
            /// ```
            /// use level_party::Readable;
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path())?;
            /// db.put("from", "3")?;
            /// db.transaction(|tx| {
            ///     let amount = tx.get("from")?.unwrap_or_default();
            ///     tx.delete("from")?;
            ///     tx.put("to", amount)
            /// })?;
            /// assert_eq!(db.get("to")?.as_deref(), Some(&b"3"[..]));
            /// # Ok::<(), level_party::Error>(())
            /// ```
            ///
            /// # Errors
            /// What `body` returns; as [`write`](Self::write); `Conflict` if others changed what it read until the
            /// deadline.
            pub fn transaction<T>(&self, body: impl FnMut(&Transaction) -> Result<T>) -> Result<T> {
                transaction::run(self.space(), body)
            }

            /// As [`transaction`](Self::transaction), for a `body` with an error of its own.
            ///
            /// ```
            /// use level_party::Readable;
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path())?;
            /// let refused: Result<(), Box<dyn std::error::Error>> = db.try_transaction(|tx| {
            ///     match tx.contains("ada")? {
            ///         true => Ok(tx.delete("ada")?),
            ///         false => Err("there is no ada".into()),
            ///     }
            /// });
            /// assert_eq!(refused.unwrap_err().to_string(), "there is no ada");
            /// # Ok::<(), level_party::Error>(())
            /// ```
            ///
            /// # Errors
            /// What `body` returns; as [`transaction`](Self::transaction).
            pub fn try_transaction<T, E: From<Error>>(
                &self,
                body: impl FnMut(&Transaction) -> std::result::Result<T, E>,
            ) -> std::result::Result<T, E> {
                transaction::run(self.space(), body)
            }

            /// Removes the entries whose keys lie in `bounds`, those of sublevels among them, and says how many there were.
            ///
            /// It reads the keys of one moment and deletes them in batches of up to 16 MiB or 524,288 keys: as one batch,
            /// so at one moment for every process, where they fit. Of a larger range others may see a part removed
            /// meanwhile, always from its beginning on. Keys that come after the moment stay; a key of it that is written
            /// again meanwhile is removed nonetheless. On an error what was deleted until then stays so, and the call may
            /// be repeated.
            ///
            /// ```
            /// use level_party::{Readable, WriteBatch};
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path())?;
            /// db.write(WriteBatch::new().put("a", "1").put("b", "2").put("c", "3"))?;
            /// assert_eq!(db.clear("b"..)?, 2);
            /// assert_eq!(db.iter().count(), 1);
            /// # Ok::<(), level_party::Error>(())
            /// ```
            ///
            /// # Errors
            /// As [`write`](Self::write), and `SnapshotLost` where the moment is gone.
            #[doc(alias = "delete_range")]
            pub fn clear(&self, bounds: impl KeyRange) -> Result<u64> {
                now(self.space().clear_by(Wait::Thread, bounds.into_bounds()?))
            }

            /// A frozen moment of these keys, and by [`Snapshot::of`] of all others of the database, which later writes do
            /// not touch.
            ///
            /// # Errors
            /// [Those of every read](Readable#errors).
            pub fn snapshot(&self) -> Result<Snapshot> {
                Snapshot::take(self.space())
            }

            /// Follows the committed changes of the keys in `bounds`, made by whichever process: each once, in the order of
            /// its sequence number, over any number of leaders. A [gap](crate::WatchItem::Gap) stands for changes that are lost,
            /// never silence.
            ///
            /// With [`WatchFrom::Now`], every write acknowledged after this call returns is told. A watch reads the logs.
            /// Of those that are in tables already the newest
            /// [`Options::watch_history_bytes`](crate::Options::watch_history_bytes) are kept: who falls further behind
            /// gets a gap. It is the same in all processes, and goes on whoever leads. Positions are those of the whole
            /// database, also where a sublevel is watched.
            ///
            /// ```
            /// use level_party::{Position, Prefix, WatchFrom, WatchItem};
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path())?;
            /// db.put("job/1", "new")?;
            /// let mut watch = db.watch(Prefix("job/"), WatchFrom::Beginning)?;
            /// if let WatchItem::Change(change) = watch.next().unwrap()? {
            ///     assert_eq!(change.value.as_deref(), Some(&b"new"[..]));
            /// }
            /// let stored = watch.position().to_string();
            /// drop(watch);
            /// let mut later = db.watch(Prefix("job/"), stored.parse::<Position>()?)?;
            /// assert_eq!(later.try_next()?, None);
            /// # Ok::<(), level_party::Error>(())
            /// ```
            ///
            /// # Errors
            /// [Those of every read](Readable#errors); `InvalidArgument` if no history is kept.
            #[doc(alias = "subscribe")]
            pub fn watch(
                &self,
                bounds: impl KeyRange,
                from: impl Into<WatchFrom>,
            ) -> Result<Watch> {
                Watch::begin(self.space(), bounds.into_bounds()?, from.into())
            }

            /// A sublevel: its entries are those whose keys begin with `!name!`, seen without that. Sublevels nest. It is
            /// the layout of the npm package `abstract-level`, so that Node's sublevels are read and written.
            ///
            /// ```
            /// use level_party::Readable;
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path())?;
            /// let users = db.sublevel("users")?;
            /// users.put("ada", "1815")?;
            /// assert_eq!(db.get("!users!ada")?.as_deref(), Some(&b"1815"[..]));
            /// # Ok::<(), level_party::Error>(())
            /// ```
            ///
            /// # Errors
            /// `InvalidArgument`: a name has characters of ASCII from `#` to `~` only; `!` before and after it are left
            /// out. Also where the database has a [`comparator`](crate::Options::comparator).
            pub fn sublevel(&self, name: &str) -> Result<Sublevel> {
                self.sublevel_with(name, '!')
            }

            /// As [`sublevel`](Self::sublevel) with another separator than `!` (`abstract-level`'s option `separator`), of
            /// ASCII.
            ///
            /// # Errors
            /// `InvalidArgument`: the name's characters are those from the second after the separator on.
            pub fn sublevel_with(&self, name: &str, separator: char) -> Result<Sublevel> {
                self.space().handle.order().check_bytewise("sublevels")?;
                let prefix = layout::prefix(self.space().prefix, name, separator)?;
                Ok(Sublevel::behind(self.db().clone(), prefix))
            }

            /// The names of the sublevels directly inside that have entries, in order; those with the separator `!`.
            ///
            /// ```
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path())?;
            /// db.sublevel("users")?.put("ada", "1815")?;
            /// db.sublevel("jobs")?.sublevel("done")?.put("1", "")?;
            /// assert_eq!(db.sublevels()?, ["jobs", "users"]);
            /// assert_eq!(db.sublevel("jobs")?.sublevels()?, ["done"]);
            /// # Ok::<(), level_party::Error>(())
            /// ```
            ///
            /// # Errors
            /// [Those of every read](Readable#errors).
            pub fn sublevels(&self) -> Result<Vec<String>> {
                now(self.space().sublevels_by(Wait::Thread))
            }

            /// The same keys and values with types: `K` and `V` say how they are encoded
            /// ([`Codec`](crate::Codec)).
            ///
            /// ```
            /// use level_party::{BigEndian, Utf8};
            /// # let dir = tempfile::tempdir().unwrap();
            /// # let db = level_party::Db::open(dir.path())?;
            /// let counts = db.typed::<Utf8, BigEndian<u64>>();
            /// counts.put("visits", &41)?;
            /// assert_eq!(counts.get("visits")?, Some(41));
            /// # Ok::<(), level_party::Error>(())
            /// ```
            pub fn typed<K: Codec, V: Codec>(&self) -> Typed<K, V> {
                let prefix = self.space().prefix.clone();
                Typed::new(Sublevel::behind(self.db().clone(), prefix))
            }

            /// Compacts the tables that have keys in `bounds` (LevelDB's `CompactRange`; a table that has any is taken
            /// whole), level by level, so that deleted and overwritten entries go and reads have fewer tables to look at.
            ///
            /// It may take long; calls of this and other processes go on meanwhile. The handle's `timeout` bounds how long
            /// the leader may give no sign of life, not the work. When the leader goes, the next one is asked anew.
            ///
            /// # Errors
            /// `ReadOnly`, `Timeout`, `ConnectionLost` (with `retry(false)`, or if leader after leader goes),
            /// `Corruption`, `OutOfSpace`, `Closed`, `Io`.
            pub fn compact_range(&self, bounds: impl KeyRange) -> Result<()> {
                let space = self.space();
                let bounds = bounds.into_bounds()?.within(space.prefix);
                space.handle.compact_range(&bounds)
            }

            /// About how many bytes the tables hold of the keys in `bounds`, compressed as they are (LevelDB's
            /// `GetApproximateSizes`). Entries that are only in memory are not counted.
            ///
            /// # Errors
            /// [Those of every read](Readable#errors).
            pub fn approximate_size(&self, bounds: impl KeyRange) -> Result<u64> {
                self.space().approximate_size(bounds.into_bounds()?)
            }
        }

        impl Readable for $store {}

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

pub(crate) use store_methods;
