//! The handle for tasks: the calls of [`Db`] as futures.
//!
//! They need no runtime. Reads of what is in memory are made by the polling thread, and so are writes while nobody commits. Reads
//! that would wait for the disk are made by a few threads (`readers.rs`), the other writes by one thread a process and directory
//! (`lane.rs`), and one more watches the deadlines (`timer.rs`). All are started by the first task that needs them.

mod elsewhere;
mod events;
mod range;
mod read;
mod snapshot;
mod store;
mod sublevel;
#[cfg(test)]
mod tests;
mod transaction;
mod typed;
mod watch;

use std::path::Path;

use crate::bounds::KeyRange;
use crate::changes;
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
use crate::watch::{Watch, WatchFrom};
use crate::writes::{WriteBatch, WriteLimits};

use elsewhere::Elsewhere;
use store::async_store_methods;

pub use events::AsyncEvents;
pub use range::AsyncRange;
pub use read::AsyncReadable;
pub use snapshot::AsyncSnapshot;
pub use sublevel::AsyncSublevel;
pub use transaction::AsyncTransaction;
pub use typed::AsyncTyped;
pub use watch::AsyncWatch;

/// One LevelDB directory, shared with every other process that opens it, for tasks; made by [`AsyncDb::open`] or
/// [`Db::to_async`].
///
/// It is linearizable, exactly once and has an answer within its deadline as [`Db`] is and has. Beyond that:
///
/// - A call is issued by its **first poll**; a handle's writes take effect in that order. A future that is never
///   polled does nothing.
/// - A future that is **dropped** before its end is taken back: a write that nobody has begun with never takes effect,
///   whatever happens; one that was begun may take effect, once.
/// - Reads are made on the polling thread if all they need is in memory, the system's page cache included, and so are writes
///   while nobody else is writing. A read that would wait for the disk is made by one of up to 16 threads. (Only Linux tells
///   what is in its page cache, and not for tmpfs or network file systems: elsewhere a read that finds its block in no
///   cache of this process goes to those threads. With [`Options::map_tables`] a read may wait for the disk in its poll.)
///   Other writes, and those with `sync`, are made by a thread of this process, in order; those that wait together are
///   committed together.
/// - What has a **thread of its own** (`compact_range`, `verify`, `checkpoint`, `yield_leadership`, `close`, opening) is
///   begun by its first poll too; dropped after that it goes on to its end, and nobody is told of it.
///
/// **It is open** as long as a clone of it lives, or anything made of it. Dropping the last closes it, which for a leader takes as
/// long as [`Db::close`]; [`AsyncDb::close`] does it on a thread of its own.
///
/// The reads are those of [`AsyncReadable`], which has to be in scope.
///
/// ```
/// use level_party::{AsyncDb, AsyncReadable};
/// # let dir = tempfile::tempdir().unwrap();
/// # pollster::block_on(async {
/// let db = AsyncDb::open(dir.path()).await?;
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
    blocking: Db,
}

impl AsyncDb {
    pub(crate) fn new(blocking: Db) -> Self {
        AsyncDb { blocking }
    }

    /// Opens the database in `path` with the default [`Options`], creating it if there is none.
    ///
    /// # Errors
    /// As [`Options::open`]; `Io` if the system has no thread left.
    pub async fn open(path: impl AsRef<Path>) -> Result<AsyncDb> {
        Options::default().open_async(path).await
    }

    /// The same handle for threads.
    pub fn to_blocking(&self) -> Db {
        self.blocking.clone()
    }

    /// What this process is for the directory at the moment.
    pub fn role(&self) -> Role {
        self.blocking.role()
    }

    /// Who leads, who else has the database open, and how it is. Nobody is asked: it answers beside a stopped leader.
    ///
    /// # Errors
    /// [Those of every read](crate::Readable#errors).
    pub async fn status(&self) -> Result<Status> {
        self.blocking.handle().status_by(Wait::Task).await
    }

    /// A property of this process's engine by LevelDB's name; which there are is told at [`Db::property`]. `None`: there is
    /// none of this name.
    ///
    /// # Errors
    /// [Those of every read](crate::Readable#errors).
    pub async fn property(&self, name: &str) -> Result<Option<String>> {
        self.blocking.handle().property_by(Wait::Task, name).await
    }

    /// What one write may have.
    pub fn limits(&self) -> WriteLimits {
        self.blocking.limits()
    }

    /// The bytes of this process's calls on the directory that are not answered yet, as [`Options::queue_bytes`] counts them.
    pub fn queued_bytes(&self) -> usize {
        self.blocking.queued_bytes()
    }

    /// Looks at every block of every table, on a thread of its own: its checksum, the order of its keys, and what the levels
    /// promise. The report names what is wrong; damage is no error of the call.
    ///
    /// # Errors
    /// As [`compact_range`](AsyncDb::compact_range), but for `ReadOnly`.
    pub async fn verify(&self) -> Result<VerifyReport> {
        let db = self.blocking.clone();
        Elsewhere::start(move || db.verify())?.await
    }

    /// What this and earlier openings of the database left out or set aside because of damage, a sentence each, until it is
    /// [acknowledged](AsyncDb::acknowledge_losses) or a [repair](Db::repair) was made; empty where nothing was lost.
    ///
    /// # Errors
    /// [Those of every read](crate::Readable#errors).
    pub async fn losses(&self) -> Result<Vec<String>> {
        Ok(self.status().await?.leader.losses)
    }

    /// Forgets the [losses](AsyncDb::losses), durably and for all processes, and gives what they were; on a thread of its own.
    /// Files that were set aside stay.
    ///
    /// # Errors
    /// As [`compact_range`](AsyncDb::compact_range).
    pub async fn acknowledge_losses(&self) -> Result<Vec<String>> {
        let db = self.blocking.clone();
        Elsewhere::start(move || db.acknowledge_losses())?.await
    }

    /// What somebody should know of the database. It asks nobody, and never waits: while the database is being opened anew it
    /// gives nothing.
    pub fn opening(&self) -> Opening {
        self.blocking.opening()
    }

    /// Makes a copy of the database as it is at one moment, in the directory `path`, on a thread of its own, while all
    /// processes go on reading and writing; gives the sequence number of the last write in it. What the copy costs, and what
    /// `path` must be, is told at [`Db::checkpoint`].
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
        let (db, path) = (self.blocking.clone(), path.as_ref().to_path_buf());
        Elsewhere::start(move || db.checkpoint(path))?.await
    }

    /// Has the leading process, this one or another, leave leadership to another process, and says who leads then; on a
    /// thread of its own. Calls in flight in all processes complete, snapshots, ranges and watches go on.
    ///
    /// # Errors
    /// `Timeout`, `Closed`; `Io` if the system has no thread left.
    pub async fn yield_leadership(&self) -> Result<Yielded> {
        let db = self.blocking.clone();
        Elsewhere::start(move || db.yield_leadership())?.await
    }

    /// What happens to this process's part in the party from here on: that it leads, that another one does, that the leader
    /// has gone.
    ///
    /// # Errors
    /// `Closed`.
    pub fn events(&self) -> Result<AsyncEvents> {
        self.blocking.events().map(AsyncEvents::new)
    }

    /// Leaves the directory, once what is queued is made, on a thread of its own. A leader hands over. Later calls on any clone
    /// of this handle, and on what was made of it, answer `Closed`.
    ///
    /// # Errors
    /// `Io` if the system has no thread left.
    pub async fn close(&self) -> Result<()> {
        let db = self.blocking.clone();
        Elsewhere::start(move || db.close())?.await
    }
}

async_store_methods!(AsyncDb);

impl Options {
    /// Opens the database in `path` for tasks, on a thread of its own.
    ///
    /// # Errors
    /// As [`Options::open`]; `Io` if the system has no thread left.
    pub async fn open_async(self, path: impl AsRef<Path>) -> Result<AsyncDb> {
        let path = path.as_ref().to_path_buf();
        let opened = Elsewhere::start(move || self.open(path))?.await;
        opened.map(AsyncDb::new)
    }
}
