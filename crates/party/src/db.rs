//! `Db`: the handle.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use crate::async_db::AsyncDb;
use crate::batch::Batch;
use crate::bounds::{Bounds, KeyRange};
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::events::Events;
use crate::handle::{Handle, Yielded};
use crate::offline;
use crate::options::Options;
use crate::range::Range;
use crate::repair::RepairOptions;
use crate::report::{Destroyed, RepairReport, VerifyReport};
use crate::snapshot::Snapshot;
use crate::space::Space;
use crate::status::{Opening, Role, Status};
use crate::sublevel::Sublevel;
use crate::transaction::{self, Transaction};
use crate::typed::Typed;
use crate::watch::{Watch, WatchFrom};
use crate::writes::{WriteBatch, WriteOptions};

/// One LevelDB directory, shared with every other process that opens it.
///
/// Every process reads and writes by itself; a handle behaves the same whether its process leads or not. Clones are cheap; the
/// database is left when the last clone is dropped or [`closed`](Db::close). All calls block ([`Db::to_async`] has
/// their futures); all may be made from any thread.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// let db = level_party::Db::open(dir.path())?;
/// db.put("a", "1")?;
/// assert_eq!(db.get("a")?.as_deref(), Some(&b"1"[..]));
/// db.delete("a")?;
/// assert_eq!(db.get("a")?, None);
/// # Ok::<(), level_party::Error>(())
/// ```
#[derive(Clone)]
pub struct Db {
    handle: Arc<Handle>,
}

impl Options {
    /// Opens the database in `path`, in as many processes as you like and in any order.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists`, `NotADirectory`, `PermissionDenied`, `Locked` (held by a program that is no
    /// party member: its pid is named), `UnsupportedFilesystem`, `Corruption`, `Timeout` (a leader that does not answer),
    /// `NoLeader` (with [`Lead::Join`](crate::Lead::Join)), `Unsupported` (another product's directory; a Minecraft Bedrock world to be
    /// written to without its [`compression`](Options::compression)).
    pub fn open(mut self, path: impl AsRef<Path>) -> Result<Db> {
        self.create_if_missing &= !self.read_only;
        Db::open_with(path.as_ref(), self)
    }
}

impl Db {
    /// Opens the database in `path` with the default [`Options`], creating it if there is none.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Db> {
        Options::default().open(path)
    }

    /// Settings to open a database with.
    pub fn options() -> Options {
        Options::default()
    }

    pub(crate) fn open_with(path: &Path, options: Options) -> Result<Db> {
        Ok(Db {
            handle: Arc::new(Handle::open(path, options)?),
        })
    }

    /// The value of `key`, or `None` where there is none.
    ///
    /// Linearizable: every write acknowledged in any process before this call is seen.
    ///
    /// # Errors
    /// `Timeout`, `ConnectionLost` (only with `retry(false)`), `Corruption`, `Closed`, `Io`.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.space().get(key.as_ref())
    }

    /// Whether there is an entry of `key`. It costs less than a `get` where values are large.
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.space().contains(key.as_ref())
    }

    /// The value of each of `keys`, all of one moment, in the order asked for.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// db.batch().put("a", "1").put("c", "3").write()?;
    /// let values = db.get_many(["a", "b", "c"])?;
    /// assert_eq!(values, [Some(b"1".to_vec()), None, Some(b"3".to_vec())]);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn get_many<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        self.space().get_many(keys)
    }

    /// Sets `key` to `value`.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.batch().put(key, value).write()
    }

    /// Removes `key`; it is no error when there is none.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        self.batch().delete(key).write()
    }

    /// A chained batch.
    pub fn batch(&self) -> Batch<'_> {
        Batch::new(self.space())
    }

    /// Applies `batch`: all of it or none, in the order it was built.
    ///
    /// # Errors
    /// - `Timeout`: not applied, and it never will be.
    /// - `OutcomeUnknown`: it may have been applied once; it is never applied later than this answer's cause.
    /// - `ConnectionLost` (only with `retry(false)`): this process had to open the database anew; not applied.
    /// - `InvalidArgument`: over [`MAX_BATCH_BYTES`](crate::MAX_BATCH_BYTES), or a key over
    ///   [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES).
    pub fn write(&self, batch: &WriteBatch, options: WriteOptions) -> Result<()> {
        self.write_sequenced(batch, options).map(drop)
    }

    /// As [`Db::write`]; gives the sequence number of the batch's last operation, by which a [watch](Db::watch) tells it. For
    /// a batch without operations it is that of the last write before it.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// let mut batch = level_party::WriteBatch::new();
    /// batch.put(b"a", b"1");
    /// batch.put(b"b", b"2");
    /// assert_eq!(db.write_sequenced(&batch, Default::default())?, 2);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Db::write`].
    pub fn write_sequenced(&self, batch: &WriteBatch, options: WriteOptions) -> Result<u64> {
        self.handle.write(Cow::Borrowed(batch), options.sync)
    }

    /// Runs `body` as a transaction: what it reads is of one moment, and what it writes takes effect at one moment, for
    /// every process, if nobody changed meanwhile what it read. Else `body` runs again.
    ///
    /// So `body` may run more than once: it must do nothing beyond the transaction that can't be done twice. Where it
    /// returns an error nothing is written. Only keys that were read are watched for changes.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// let visits: u64 = db.transaction(|tx| {
    ///     let before = tx.get("visits")?.map_or(0, |v| u64::from_be_bytes(v.try_into().unwrap()));
    ///     tx.put("visits", (before + 1).to_be_bytes())?;
    ///     Ok::<_, level_party::Error>(before + 1)
    /// })?;
    /// assert_eq!(visits, 1);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// What `body` returns; as [`Db::write`]; `Conflict` if others changed the same keys until the deadline.
    pub fn transaction<T, E: From<Error>>(
        &self,
        body: impl FnMut(&mut Transaction<'_>) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        transaction::run(self.space(), body)
    }

    /// Sets `key` to `new` (`None`: removes it) if it holds `expected` (`None`: nothing), atomically over all
    /// processes. Says whether it did.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// assert!(db.compare_and_swap("owner", None, Some(b"me"))?);
    /// assert!(!db.compare_and_swap("owner", None, Some(b"you"))?);
    /// assert!(db.compare_and_swap("owner", Some(b"me"), None)?);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Db::transaction`].
    pub fn compare_and_swap(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool> {
        transaction::compare_and_swap(self.space(), key.as_ref(), expected, new)
    }

    /// The entries whose keys lie in `bounds`, in key order (bytewise), of one moment: that of the first step.
    ///
    /// The iterator is double-ended. It goes on at the same moment, whoever leads; where that moment is gone
    /// it ends with `SnapshotLost`. What can be given is told at [`KeyRange`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// db.batch().put("a", "1").put("b", "2").put("c", "3").write()?;
    /// for entry in db.range("a"..="b") {
    ///     let (key, value) = entry?;
    ///     println!("{key:?} = {value:?}");
    /// }
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn range(&self, bounds: impl KeyRange) -> Range {
        self.space().range(bounds.into_bounds())
    }

    /// All entries, in key order.
    pub fn iter(&self) -> Range {
        self.space().range(Bounds::all())
    }

    /// The entries whose keys begin with `prefix`, in key order.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range {
        self.space().range(Bounds::prefix(prefix.as_ref()))
    }

    /// Removes the entries whose keys lie in `bounds`, and says how many there were.
    ///
    /// It reads the keys of one moment and deletes them in batches of up to 16 MiB or 524,288 keys: as one batch, so at
    /// one moment for every process, where they fit. Of a larger range others may see a part removed meanwhile, always
    /// from its beginning on. Keys that come after the moment stay; a key of it that is written again meanwhile is
    /// removed nonetheless. On an error what was deleted until then stays so, and the call may be repeated.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// db.batch().put("a", "1").put("b", "2").put("c", "3").write()?;
    /// assert_eq!(db.clear("b"..)?, 2);
    /// assert_eq!(db.iter().count(), 1);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Db::write`], and `SnapshotLost` where the moment is gone.
    pub fn clear(&self, bounds: impl KeyRange) -> Result<u64> {
        self.space().clear(bounds.into_bounds())
    }

    /// The part of the database that is called `name`: its entries are those whose keys begin with `!name!`, seen
    /// without that. It is the layout of the npm package `abstract-level`, so that Node's sublevels are read and written.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// let users = db.sublevel("users")?;
    /// users.put("ada", "1815")?;
    /// assert_eq!(db.get("!users!ada")?.as_deref(), Some(&b"1815"[..]));
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument`: a name has characters of ASCII from `#` to `~` only; `!` before and after it are left out.
    pub fn sublevel(&self, name: &str) -> Result<Sublevel> {
        Sublevel::of(self, &self.handle.no_prefix, name, '!')
    }

    /// As [`Db::sublevel`] with another separator than `!` (`abstract-level`'s option `separator`), of ASCII.
    ///
    /// # Errors
    /// `InvalidArgument`: as [`Db::sublevel`]; the name's characters are those from the second after the separator on.
    pub fn sublevel_with(&self, name: &str, separator: char) -> Result<Sublevel> {
        Sublevel::of(self, &self.handle.no_prefix, name, separator)
    }

    /// The same keys and values with types: `K` and `V` say how they are encoded ([`Codec`]).
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
        Typed::new(Sublevel::whole(self))
    }

    pub(crate) fn space(&self) -> Space<'_> {
        Space {
            handle: &self.handle,
            prefix: &self.handle.no_prefix,
            at: None,
        }
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// A frozen moment of the whole database, which later writes do not touch.
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::take(self.space())
    }

    /// Follows the committed changes of the keys in `bounds`, made by whichever process: each once, in the order of its
    /// sequence number, over any number of leaders. What cannot be told is a [gap](crate::WatchItem::Gap), never silence.
    ///
    /// With [`WatchFrom::Now`], every write acknowledged after this call returns is told. A watch reads the logs. Of those that are
    /// in tables already the newest [`Options::watch_history_bytes`] are kept: who falls further behind gets a gap. It is the
    /// same in all processes, and goes on whoever leads.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// use level_party::{Position, WatchFrom, WatchItem};
    /// db.put("job/1", "new")?;
    /// let mut watch = db.watch("job/".."job0", WatchFrom::Beginning)?;
    /// if let WatchItem::Change(change) = watch.next().unwrap()? {
    ///     assert_eq!(change.value, b"new");
    /// }
    /// let stored = watch.position().to_string();
    /// drop(watch);
    /// let mut later = db.watch("job/".."job0", WatchFrom::After(stored.parse::<Position>()?))?;
    /// assert_eq!(later.try_next()?, None);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Db::get`]; `InvalidArgument` if no history is kept.
    pub fn watch(&self, bounds: impl KeyRange, from: impl Into<WatchFrom>) -> Result<Watch> {
        Watch::begin(self.space(), bounds.into_bounds(), from.into())
    }

    /// As [`Db::watch`], of the keys that begin with `prefix`.
    ///
    /// # Errors
    /// As [`Db::watch`].
    pub fn watch_prefix(
        &self,
        prefix: impl AsRef<[u8]>,
        from: impl Into<WatchFrom>,
    ) -> Result<Watch> {
        Watch::begin(self.space(), Bounds::prefix(prefix.as_ref()), from.into())
    }

    /// Compacts the tables that have keys in `bounds` (LevelDB's `CompactRange`; a table that has any is taken whole),
    /// level by level, so that deleted and overwritten entries go and reads have fewer tables to look at.
    ///
    /// It may take long; calls of this and other processes go on meanwhile. The handle's `timeout` bounds how long the
    /// leader may give no sign of life, not the work. When the leader goes, the next one is asked anew.
    ///
    /// # Errors
    /// `ReadOnly`, `Timeout`, `ConnectionLost` (with `retry(false)`, or if leader after leader goes), `Corruption`,
    /// `OutOfSpace`, `Closed`, `Io`.
    pub fn compact_range(&self, bounds: impl KeyRange) -> Result<()> {
        self.handle.compact_range(&bounds.into_bounds())
    }

    /// Looks at every block of every table: its checksum, the order of its keys, and what the levels promise. The report
    /// names what is wrong; damage is no error of the call. It takes its time as [`Db::compact_range`] does.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// db.put("a", "1")?;
    /// db.compact_range("a"..="z")?; // now it is in a table
    /// let report = db.verify()?;
    /// assert!(report.is_sound() && report.entries == 1);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Db::compact_range`], but for `ReadOnly`.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.handle.verify()
    }

    /// What this and earlier openings of the database left out or set aside because of damage, a sentence each, until it is
    /// [acknowledged](Db::acknowledge_losses) or a [repair](Db::repair) was made; empty where nothing was lost.
    ///
    /// Every process that opens the database is told ([`Db::opening`], [`Event::Losses`](crate::Event::Losses)).
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn losses(&self) -> Result<Vec<String>> {
        Ok(self.status()?.leader.losses)
    }

    /// Forgets the [losses](Db::losses), durably and for all processes, and gives what they were. Files that were set aside
    /// stay. Where there is nothing to forget it gives nothing; so it may where the leader dies meanwhile.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// for loss in db.acknowledge_losses()? {
    ///     eprintln!("seen: {loss}");
    /// }
    /// assert!(db.losses()?.is_empty());
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Db::compact_range`].
    pub fn acknowledge_losses(&self) -> Result<Vec<String>> {
        self.handle.acknowledge_losses()
    }

    /// What somebody should know of the database. It asks nobody, and never waits: while the database is being opened anew it
    /// gives nothing.
    pub fn opening(&self) -> Opening {
        self.handle.opening()
    }

    /// Makes a copy of the database as it is at one moment, in the directory `path`, while all processes go on reading and
    /// writing; gives the sequence number of the last write in it. Whoever opens `path` finds the whole copy or nothing.
    ///
    /// Tables are hard links where `path` lies on the database's filesystem, so the copy costs little time and space;
    /// elsewhere they are copied. `path` must not exist, or be an empty directory; its parent must exist. When this
    /// returns the copy is on stable storage. A process that is killed in the middle may leave a directory
    /// `.NAME.level-party-checkpoint-...` beside `path`, which may be removed. Time and leaders are as in
    /// [`Db::compact_range`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path().join("db"))?;
    /// db.put("a", "1")?;
    /// let copy = dir.path().join("copy");
    /// assert_eq!(db.checkpoint(&copy)?, 1);
    /// db.put("a", "2")?;
    /// assert_eq!(level_party::Db::open(copy)?.get("a")?.as_deref(), Some(&b"1"[..]));
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// `AlreadyExists`; `NotFound`: there is no parent directory; `InvalidArgument`: `path` names no entry of a directory,
    /// or the leader sees another directory there; `PermissionDenied`, `OutOfSpace`; as [`Db::verify`].
    pub fn checkpoint(&self, path: impl AsRef<Path>) -> Result<u64> {
        self.handle.checkpoint(path.as_ref())
    }

    /// Removes the database in the directory `path`, and the directory if nothing else is in it. Files that are no
    /// database's stay, and are named in the report. What recovery or a repair has
    /// [set aside](crate::LeaderStatus::dropped) goes.
    ///
    /// Nobody may have it open, this process included. If the process dies in the middle, what is left opens as no
    /// database's old state, and the call may be repeated.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # use level_party::{Db, ErrorKind};
    /// let path = dir.path().join("db");
    /// let db = Db::open(&path)?;
    /// assert_eq!(Db::destroy(&path).unwrap_err().kind(), ErrorKind::Locked);
    /// db.close()?;
    /// assert!(Db::destroy(&path)?.directory_removed);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// `NotFound`: there is no database, and nothing was changed; `Locked`: the message names who has it open;
    /// `NotADirectory`, `PermissionDenied`, `UnsupportedFilesystem`, `IncompatibleVersion`, `Io`.
    pub fn destroy(path: impl AsRef<Path>) -> Result<Destroyed> {
        offline::destroy(path.as_ref())
    }

    /// Makes of the damaged database in the directory `path` one that opens, with all that can still be read, and reports
    /// what was wrong, what was done and what is lost. Nothing is deleted: every file that the repaired database does not
    /// use stays under a name that begins with `level-party.replaced-`. Writes that an opening has set aside come back. A
    /// sound database is left as it is. Nobody may have it open, this process included.
    ///
    /// Where the manifest is whole and its files are sound, nothing that was deleted comes back. Where that can't be
    /// promised, [`RepairReport::actions`] says so.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # use level_party::Db;
    /// let db = Db::open(dir.path())?;
    /// db.put("a", "1")?;
    /// db.close()?;
    /// std::fs::remove_file(dir.path().join("CURRENT")).unwrap();
    /// assert!(Db::repair(dir.path())?.done);
    /// assert_eq!(Db::open(dir.path())?.get("a")?.as_deref(), Some(&b"1"[..]));
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Db::destroy`]; `InvalidArgument`: the database has another order of keys than LevelDB's own; `Corruption`:
    /// nothing could be kept ([`RepairOptions::allow_empty`]); `OutOfSpace`. If it fails, the database is as it was, beside
    /// some new files.
    pub fn repair(path: impl AsRef<Path>) -> Result<RepairReport> {
        Db::repair_options().run(path)
    }

    /// How a repair is to go about: a dry run, and what it may bring back or lose.
    pub fn repair_options() -> RepairOptions {
        RepairOptions::default()
    }

    /// What happens to this process's part in the party from here on: that it leads, that another one does, that the leader
    /// has gone.
    ///
    /// # Errors
    /// `Closed`.
    pub fn events(&self) -> Result<Events> {
        self.handle.events()
    }

    /// Has the leading process, this one or another, leave leadership to another process, and says who leads then.
    ///
    /// The leader finishes what it has begun; calls in flight in all processes complete, snapshots, iterators and watches
    /// go on. Where no other process has the database open that may lead, the leader goes on leading.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// let then = db.yield_leadership()?;
    /// assert!(!then.handed_over, "nobody else is here");
    /// # Ok::<(), level_party::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Timeout`, `Closed`.
    pub fn yield_leadership(&self) -> Result<Yielded> {
        self.handle.yield_leadership()
    }

    /// What this process is for the directory at the moment.
    pub fn role(&self) -> Role {
        self.handle.role()
    }

    /// Who leads, who else has the database open, and how it is. Nobody is asked: it answers beside a stopped leader.
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn status(&self) -> Result<Status> {
        self.handle.status()
    }

    /// About how many bytes the tables hold of the keys in `bounds`, compressed as they are
    /// (LevelDB's `GetApproximateSizes`). What is only in memory yet is not counted.
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn approximate_size(&self, bounds: impl KeyRange) -> Result<u64> {
        self.space().approximate_size(bounds.into_bounds())
    }

    /// A property of this process's engine by LevelDB's name: `leveldb.stats`, `leveldb.sstables`,
    /// `leveldb.num-files-at-level<N>`, `leveldb.approximate-memory-usage`. `None`: there is none of this name.
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn property(&self, name: &str) -> Result<Option<String>> {
        self.handle.property(name)
    }

    /// The bytes of this process's calls on the directory that are not answered yet, as
    /// [`Options::queue_bytes`](crate::Options::queue_bytes) counts them.
    pub fn queued_bytes(&self) -> usize {
        self.handle.queued_bytes()
    }

    /// The same handle for tasks: its calls are futures, which need no particular runtime.
    ///
    /// Both may be used at once, and count as one handle: it is left when the last of either is dropped.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # pollster::block_on(async {
    /// let db = level_party::Db::open(dir.path())?.to_async();
    /// db.put("a", "1").await?;
    /// assert_eq!(db.get("a").await?.as_deref(), Some(&b"1"[..]));
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn to_async(&self) -> AsyncDb {
        AsyncDb::new(self.clone(), self.handle.no_prefix.clone())
    }

    /// Leaves the directory, once what is queued is made. A leader hands over.
    ///
    /// Later calls on any clone of this handle answer `Closed`. Handles opened separately go on. Dropping the last
    /// clone does the same.
    ///
    /// # Errors
    /// None today; the result leaves room for what closing may have to report.
    pub fn close(&self) -> Result<()> {
        self.handle.close();
        Ok(())
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db")
            .field("path", &self.handle.path())
            .field("role", &self.role())
            .finish()
    }
}
