//! The handle for tasks: the same calls as futures.
//!
//! They need no runtime. Reads are made where the task stands, and so are writes while nobody commits; the other writes are made
//! by one thread a process and directory (`lane.rs`), and another one watches the deadlines (`timer.rs`). Both are started by the
//! first task that needs them.

mod events;
mod range;
mod snapshot;
mod transaction;
mod watch;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::batch::Batch;
use crate::bounds::{Bounds, KeyRange};
use crate::codec::Codec;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::handle::Yielded;
use crate::limits::Wait;
use crate::options::Options;
use crate::report::VerifyReport;
use crate::snapshot::Snapshot;
use crate::space::Space;
use crate::status::{Opening, Role, Status};
use crate::sublevel::{self, Sublevel};
use crate::transaction as transactions;
use crate::typed::AsyncTyped;
use crate::watch::{Watch, WatchFrom};
use crate::writes::{WriteBatch, WriteOptions};

pub use events::AsyncEvents;
pub use range::{AsyncKeys, AsyncRange, AsyncValues};
pub use snapshot::AsyncSnapshot;
pub use transaction::{AsyncTransaction, AsyncTransactionRange};
pub use watch::AsyncWatch;

/// A [`Db`] whose calls are futures; made by [`Db::to_async`] or [`AsyncDb::open`].
///
/// What is said of a call of [`Db`] holds for its future too: linearizable, exactly once, an answer within its
/// deadline, the same errors. Beyond that:
///
/// - A call is issued by its **first poll**; a handle's writes take effect in that order. A future that is never
///   polled does nothing.
/// - A future that is **dropped** before its end is taken back: a write that nobody has begun with never takes effect,
///   whatever happens; one that was begun may take effect, once.
/// - Reads are made on the polling thread (microseconds, or a read of the disk), and so are writes while nobody else is writing.
///   Other writes, and those with `sync`, are made by a thread of this process, in order; those that wait together are
///   committed together.
/// - What has a **thread of its own** (`compact_range`, `verify`, `checkpoint`, `yield_leadership`, `close`, opening) is
///   begun by its first poll too; dropped after that it goes on to its end, and nobody is told of it.
///
/// Dropping the last clone leaves the directory, which for a leader takes as long as [`Db::close`]; [`AsyncDb::close`] does
/// it on a thread of its own.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # pollster::block_on(async {
/// let db = level_party::AsyncDb::open(dir.path()).await?;
/// db.put("a", "1").await?;
/// assert_eq!(db.get("a").await?.as_deref(), Some(&b"1"[..]));
/// let mut entries = db.range("a"..);
/// while let Some(entry) = entries.next().await {
///     let (key, value) = entry?;
///     println!("{key:?} = {value:?}");
/// }
/// db.close().await
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct AsyncDb {
    db: Db,
    /// What its keys begin with in the database.
    prefix: Arc<[u8]>,
}

impl AsyncDb {
    pub(crate) fn new(db: Db, prefix: Arc<[u8]>) -> Self {
        AsyncDb { db, prefix }
    }

    pub(crate) fn space(&self) -> Space<'_> {
        Space {
            handle: self.db.handle(),
            prefix: &self.prefix,
            at: None,
        }
    }

    /// The part of the database that is called `name`; as [`Db::sublevel`], and inside a sublevel one of its own.
    ///
    /// ```
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
    /// `InvalidArgument`: as [`Db::sublevel`].
    pub fn sublevel(&self, name: &str) -> Result<AsyncDb> {
        self.sublevel_with(name, '!')
    }

    /// As [`AsyncDb::sublevel`] with another separator than `!`; as [`Db::sublevel_with`].
    ///
    /// # Errors
    /// `InvalidArgument`: as [`Db::sublevel_with`].
    pub fn sublevel_with(&self, name: &str, separator: char) -> Result<AsyncDb> {
        Ok(AsyncDb {
            db: self.db.clone(),
            prefix: sublevel::prefix(&self.prefix, name, separator)?,
        })
    }

    /// The same keys and values with types; as [`Db::typed`].
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
        AsyncTyped::new(self.clone())
    }

    /// Opens the database in `path` with the default [`Options`], creating it if there is none.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub async fn open(path: impl AsRef<Path>) -> Result<AsyncDb> {
        Options::default().open_async(path).await
    }

    /// The same handle for threads, of the whole database also where this is a sublevel.
    pub fn to_blocking(&self) -> Db {
        self.db.clone()
    }

    /// The same part for threads.
    pub(crate) fn part(&self) -> Sublevel {
        Sublevel::behind(self.db.clone(), self.prefix.clone())
    }

    /// [`Db::get`].
    ///
    /// # Errors
    /// As [`Db::get`].
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.space().get_by(Wait::Task, key.as_ref()).await
    }

    /// [`Db::contains`].
    ///
    /// # Errors
    /// As [`Db::get`].
    pub async fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.space().contains_by(Wait::Task, key.as_ref()).await
    }

    /// [`Db::get_many`].
    ///
    /// # Errors
    /// As [`Db::get`].
    pub async fn get_many<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        self.space().get_many_by(Wait::Task, keys).await
    }

    /// [`Db::put`].
    ///
    /// # Errors
    /// As [`Db::write`].
    pub async fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.batch().put(key, value).write().await
    }

    /// [`Db::delete`].
    ///
    /// # Errors
    /// As [`Db::write`].
    pub async fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        self.batch().delete(key).write().await
    }

    /// A chained batch.
    pub fn batch(&self) -> AsyncBatch<'_> {
        AsyncBatch {
            batch: Batch::new(self.space()),
        }
    }

    /// [`Db::write`].
    ///
    /// # Errors
    /// As [`Db::write`].
    pub async fn write(&self, batch: &WriteBatch, options: WriteOptions) -> Result<()> {
        let space = self.space();
        let batch = space.batch(batch);
        let written = space.handle.write_by(Wait::Task, &batch, options.sync);
        written.await.map(drop)
    }

    /// [`Db::compare_and_swap`].
    ///
    /// # Errors
    /// As [`Db::transaction`].
    pub async fn compare_and_swap(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool> {
        let key = key.as_ref();
        transactions::compare_and_swap_by(Wait::Task, self.space(), key, expected, new).await
    }

    /// [`Db::transaction`], with a closure that awaits.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
    /// # pollster::block_on(async {
    /// let visits = db
    ///     .transaction(async |tx| {
    ///         let before = tx.get("visits").await?.map_or(0, |v| v[0]);
    ///         tx.put("visits", [before + 1])?;
    ///         Ok::<_, level_party::Error>(before + 1)
    ///     })
    ///     .await?;
    /// assert_eq!(visits, 1);
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// In a task that may go from thread to thread (`tokio::spawn`) write `async move |tx|`, and give the closure clones of
    /// the handles and views it uses, which are cheap: of a closure that borrows from around it the compiler says "`Send` is
    /// not general enough".
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
    /// As [`Db::transaction`].
    pub async fn transaction<T, E: From<Error>>(
        &self,
        mut body: impl AsyncFnMut(&mut AsyncTransaction<'_>) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let handle = self.db.handle();
        let limits = handle.limits_by(Wait::Task)?;
        loop {
            let mut core = transactions::Core::begin(limits, handle).await?;
            let mut transaction = AsyncTransaction::new(&mut core, self.prefix.clone());
            let value = body(&mut transaction).await?;
            if core.commit().await? {
                return Ok(value);
            }
            transactions::check_conflict(&limits)?;
        }
    }

    /// [`Db::range`].
    pub fn range(&self, bounds: impl KeyRange) -> AsyncRange {
        AsyncRange::new(self.space().range(bounds.into_bounds()))
    }

    /// [`Db::iter`].
    pub fn iter(&self) -> AsyncRange {
        AsyncRange::new(self.space().range(Bounds::all()))
    }

    /// [`Db::prefix`].
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> AsyncRange {
        AsyncRange::new(self.space().range(Bounds::prefix(prefix.as_ref())))
    }

    /// [`Db::clear`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
    /// # pollster::block_on(async {
    /// db.batch().put("a", "1").put("b", "2").write().await?;
    /// assert_eq!(db.clear("b"..).await?, 1);
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Db::clear`].
    pub async fn clear(&self, bounds: impl KeyRange) -> Result<u64> {
        self.space()
            .clear_by(Wait::Task, bounds.into_bounds())
            .await
    }

    /// [`Db::watch`]. Where it begins is asked for on a thread of its own.
    ///
    /// # Errors
    /// As [`Db::watch`]; `Io` if the system has no thread left.
    pub async fn watch(
        &self,
        bounds: impl KeyRange,
        from: impl Into<WatchFrom>,
    ) -> Result<AsyncWatch> {
        self.begin_watch(bounds.into_bounds(), from.into()).await
    }

    /// [`Db::watch_prefix`].
    ///
    /// # Errors
    /// As [`AsyncDb::watch`].
    pub async fn watch_prefix(
        &self,
        prefix: impl AsRef<[u8]>,
        from: impl Into<WatchFrom>,
    ) -> Result<AsyncWatch> {
        self.begin_watch(Bounds::prefix(prefix.as_ref()), from.into())
            .await
    }

    async fn begin_watch(&self, bounds: Bounds, from: WatchFrom) -> Result<AsyncWatch> {
        let whole = self.clone();
        let begun = Elsewhere::start(move || Watch::begin(whole.space(), bounds, from))?;
        AsyncWatch::new(begun.await?)
    }

    /// [`Db::snapshot`].
    ///
    /// # Errors
    /// As [`Db::get`].
    pub async fn snapshot(&self) -> Result<AsyncSnapshot> {
        let taken = Snapshot::take_by_task(self.space()).await;
        taken.map(AsyncSnapshot::new)
    }

    /// [`Db::role`].
    pub fn role(&self) -> Role {
        self.db.role()
    }

    /// [`Db::status`].
    ///
    /// # Errors
    /// As [`Db::get`].
    pub async fn status(&self) -> Result<Status> {
        self.db.handle().status_by(Wait::Task).await
    }

    /// [`Db::approximate_size`].
    ///
    /// # Errors
    /// As [`Db::get`].
    pub async fn approximate_size(&self, bounds: impl KeyRange) -> Result<u64> {
        let bounds = bounds.into_bounds().within(&self.prefix);
        let handle = self.db.handle();
        handle.approximate_size_by(Wait::Task, &bounds).await
    }

    /// [`Db::property`].
    ///
    /// # Errors
    /// As [`Db::get`].
    pub async fn property(&self, name: &str) -> Result<Option<String>> {
        self.db.handle().property_by(Wait::Task, name).await
    }

    /// [`Db::queued_bytes`].
    pub fn queued_bytes(&self) -> usize {
        self.db.queued_bytes()
    }

    /// [`Db::compact_range`] of this part, on a thread of its own.
    ///
    /// # Errors
    /// As [`Db::compact_range`]; `Io` if the system has no thread left.
    pub async fn compact_range(&self, bounds: impl KeyRange) -> Result<()> {
        let bounds = bounds.into_bounds().within(&self.prefix);
        let db = self.db.clone();
        Elsewhere::start(move || db.handle().compact_range(&bounds))?.await
    }

    /// [`Db::verify`], on a thread of its own.
    ///
    /// # Errors
    /// As [`Db::verify`]; `Io` if the system has no thread left.
    pub async fn verify(&self) -> Result<VerifyReport> {
        let db = self.db.clone();
        Elsewhere::start(move || db.verify())?.await
    }

    /// [`Db::losses`].
    ///
    /// # Errors
    /// As [`Db::get`].
    pub async fn losses(&self) -> Result<Vec<String>> {
        Ok(self.status().await?.leader.losses)
    }

    /// [`Db::acknowledge_losses`], on a thread of its own.
    ///
    /// # Errors
    /// As [`Db::acknowledge_losses`]; `Io` if the system has no thread left.
    pub async fn acknowledge_losses(&self) -> Result<Vec<String>> {
        let db = self.db.clone();
        Elsewhere::start(move || db.acknowledge_losses())?.await
    }

    /// [`Db::opening`].
    pub fn opening(&self) -> Opening {
        self.db.opening()
    }

    /// [`Db::checkpoint`], of the whole database, on a thread of its own.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path().join("db")).unwrap().to_async();
    /// # pollster::block_on(async {
    /// db.put("a", "1").await?;
    /// assert_eq!(db.checkpoint(dir.path().join("copy")).await?, 1);
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Db::checkpoint`]; `Io` if the system has no thread left.
    pub async fn checkpoint(&self, path: impl AsRef<Path>) -> Result<u64> {
        let (db, path) = (self.db.clone(), path.as_ref().to_path_buf());
        Elsewhere::start(move || db.checkpoint(path))?.await
    }

    /// [`Db::yield_leadership`], on a thread of its own.
    ///
    /// # Errors
    /// As [`Db::yield_leadership`]; `Io` if the system has no thread left.
    pub async fn yield_leadership(&self) -> Result<Yielded> {
        let db = self.db.clone();
        Elsewhere::start(move || db.yield_leadership())?.await
    }

    /// [`Db::events`].
    ///
    /// # Errors
    /// `Closed`.
    pub fn events(&self) -> Result<AsyncEvents> {
        self.db.events().map(AsyncEvents::new)
    }

    /// [`Db::close`], on a thread of its own.
    ///
    /// # Errors
    /// `Io` if the system has no thread left.
    pub async fn close(&self) -> Result<()> {
        let db = self.db.clone();
        Elsewhere::start(move || db.close())?.await
    }
}

impl Options {
    /// [`Options::open`], on a thread of its own.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub async fn open_async(self, path: impl AsRef<Path>) -> Result<AsyncDb> {
        let path = path.as_ref().to_path_buf();
        let opened = Elsewhere::start(move || self.open(path))?.await;
        opened.map(|db| db.to_async())
    }
}

/// A chained batch, made by [`AsyncDb::batch`]: nothing happens before [`AsyncBatch::write`] is polled, then all of it
/// or none.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
/// # pollster::block_on(async {
/// db.batch().put("a", "1").delete("b").sync(true).write().await
/// # }).unwrap();
/// ```
#[must_use = "a batch does nothing before `write`"]
pub struct AsyncBatch<'a> {
    batch: Batch<'a>,
}

impl AsyncBatch<'_> {
    /// Adds or replaces the entry of `key`.
    pub fn put(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.batch = self.batch.put(key, value);
        self
    }

    /// Removes the entry of `key`, if there is one.
    pub fn delete(mut self, key: impl AsRef<[u8]>) -> Self {
        self.batch = self.batch.delete(key);
        self
    }

    /// As [`AsyncBatch::put`] in `part`, a sublevel or the whole of the same database, so that one batch writes to several.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path()).unwrap().to_async();
    /// # pollster::block_on(async {
    /// let (users, by_year) = (db.sublevel("users")?, db.sublevel("by-year")?);
    /// db.batch().put_in(&users, "ada", "1815").put_in(&by_year, "1815", "ada").write().await?;
    /// assert!(users.contains("ada").await? && by_year.contains("1815").await?);
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn put_in(self, part: &AsyncDb, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.with(|batch| batch.put_behind(&part.prefix, key.as_ref(), value.as_ref()))
    }

    /// As [`AsyncBatch::delete`] in `part`, a sublevel or the whole of the same database.
    pub fn delete_in(self, part: &AsyncDb, key: impl AsRef<[u8]>) -> Self {
        self.with(|batch| batch.delete_behind(&part.prefix, key.as_ref()))
    }

    /// The batch with more in it.
    pub(crate) fn with(mut self, more: impl FnOnce(&mut Batch<'_>)) -> Self {
        more(&mut self.batch);
        self
    }

    /// Whether the batch is on stable storage before it is acknowledged.
    pub fn sync(mut self, yes: bool) -> Self {
        self.batch = self.batch.sync(yes);
        self
    }

    /// Applies the batch.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub async fn write(self) -> Result<()> {
        let (space, batch, options) = self.batch.finish()?;
        let written = space.handle.write_by(Wait::Task, &batch, options.sync);
        written.await.map(drop)
    }
}

/// The outcome of what another thread does.
struct Elsewhere<T> {
    shared: Arc<Mutex<Outcome<T>>>,
}

struct Outcome<T> {
    result: Option<Result<T>>,
    waker: Option<Waker>,
}

impl<T: Send + 'static> Elsewhere<T> {
    fn start(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<Self> {
        let shared = Arc::new(Mutex::new(Outcome {
            result: None,
            waker: None,
        }));
        let theirs = shared.clone();
        std::thread::Builder::new()
            .name("level-party-async".into())
            .spawn(move || {
                let result = work();
                let waker = {
                    let mut outcome = theirs.lock();
                    outcome.result = Some(result);
                    outcome.waker.take()
                };
                if let Some(waker) = waker {
                    waker.wake();
                }
            })
            .map_err(|error| Error::io("cannot start a thread", error))?;
        Ok(Elsewhere { shared })
    }
}

impl<T> Future for Elsewhere<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut outcome = self.shared.lock();
        match outcome.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                outcome.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
