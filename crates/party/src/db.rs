//! `Db`: the handle.

use std::path::Path;
use std::sync::Arc;

use crate::async_db::AsyncDb;
use crate::bounds::KeyRange;
use crate::changes;
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::events::Events;
use crate::handle::{Handle, Yielded};
use crate::layout;
use crate::limits::{Wait, now};
use crate::offline;
use crate::options::Options;
use crate::read::Readable;
use crate::repair::RepairOptions;
use crate::report::{Destroyed, RepairReport, VerifyReport};
use crate::service::ServiceState;
use crate::snapshot::Snapshot;
use crate::space::Space;
use crate::status::{Opening, Role, Status};
use crate::store::store_methods;
use crate::sublevel::Sublevel;
use crate::transaction::{self, Transaction};
use crate::typed::Typed;
use crate::watch::{Watch, WatchFrom};
use crate::writes::{WriteBatch, WriteLimits};

/// One LevelDB directory, shared with every other process that opens it.
///
/// Every process reads and writes by itself; a handle behaves the same whether its process leads or not. All calls block
/// ([`Db::to_async`] has their futures); all may be made from any thread.
///
/// **It is open** as long as a clone of it lives, or anything made of it: a sublevel, snapshot, range, transaction or watch.
/// [`close`](Db::close) closes it for all of them.
///
/// The reads are those of [`Readable`], which has to be in scope.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use level_party::{Db, Readable};
///
/// let db = Db::open(dir.path())?;
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
    /// Opens the database in `path`, in as many processes as you like and in any order. A URL,
    /// `postgres://user@host/database` or `etcd://host,host/name`, names one on a server, for which `level-party` needs the
    /// feature of that name; what holds there, and what the URL may say, is told in
    /// [`docs/REMOTE.md`](https://github.com/level-party/level-party/blob/main/docs/REMOTE.md). A server's password may also come from
    /// `PGPASSWORD` or `PGPASSFILE`.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists`, `NotADirectory`, `PermissionDenied`, `Locked` (held by a program that is no
    /// party member: its pid is named), `UnsupportedFilesystem`, `Corruption`, `Timeout` (a leader that does not answer),
    /// `NoLeader` (with [`Lead::Join`](crate::Lead::Join)), `Unsupported` (another product's directory; a Minecraft Bedrock world to be
    /// written to without its [`compression`](Options::compression)). Of a URL: `InvalidArgument` (what it says, or options of
    /// files, which are named), `Unsupported` (such a server is not supported, or not built in), `NotFound`, `AlreadyExists`,
    /// `PermissionDenied`, `IncompatibleVersion`, `Busy`, `Timeout`, `Io`.
    pub fn open(mut self, path: impl AsRef<Path>) -> Result<Db> {
        self.create_if_missing &= !self.reject_writes;
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

    fn db(&self) -> &Db {
        self
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
    /// [Those of every read](Readable#errors).
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
    /// # use level_party::Readable;
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
    /// # use level_party::{Db, Readable};
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
    /// [Those of every read](Readable#errors).
    pub fn status(&self) -> Result<Status> {
        self.handle.status()
    }

    /// Whether the database is in use, or [moved](crate::Migration).
    ///
    /// # Errors
    /// [Those of every read](Readable#errors).
    pub fn service_state(&self) -> Result<ServiceState> {
        self.handle.service_state()
    }

    /// A property of this process's engine by LevelDB's name: `leveldb.stats`, `leveldb.sstables`,
    /// `leveldb.num-files-at-level<N>`, `leveldb.approximate-memory-usage`. `None`: there is none of this name.
    ///
    /// # Errors
    /// [Those of every read](Readable#errors).
    pub fn property(&self, name: &str) -> Result<Option<String>> {
        self.handle.property(name)
    }

    /// What one write may have.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = level_party::Db::open(dir.path())?;
    /// assert_eq!(db.limits().key_bytes, level_party::WriteBatch::MAX_KEY_BYTES);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn limits(&self) -> WriteLimits {
        self.handle.write_limits()
    }

    /// The bytes of this process's calls on the directory that are not answered yet, as
    /// [`Options::queue_bytes`](crate::Options::queue_bytes) counts them.
    pub fn queued_bytes(&self) -> usize {
        self.handle.queued_bytes()
    }

    /// The same handle for tasks: its calls are futures, which need no particular runtime.
    ///
    /// Both may be used at once, and count as one handle: it is closed when the last of either is dropped.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # pollster::block_on(async {
    /// use level_party::AsyncReadable;
    /// let db = level_party::Db::open(dir.path())?.to_async();
    /// db.put("a", "1").await?;
    /// assert_eq!(db.get("a").await?.as_deref(), Some(&b"1"[..]));
    /// # Ok::<(), level_party::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn to_async(&self) -> AsyncDb {
        AsyncDb::new(self.clone())
    }

    /// Leaves the directory, once what is queued is made. A leader hands over.
    ///
    /// Later calls on any clone of this handle, and on what was made of it, answer `Closed`. Handles opened separately go on.
    /// Dropping the last clone, and all that was made of it, does the same.
    ///
    /// # Errors
    /// None today; the result leaves room for what closing may have to report.
    pub fn close(&self) -> Result<()> {
        self.handle.close();
        Ok(())
    }
}

store_methods!(Db);

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db")
            .field("path", &self.handle.path())
            .field("role", &self.role())
            .finish()
    }
}
