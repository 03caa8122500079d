//! How a database is opened.

use std::time::Duration;

use level_party_engine::Compression as BlockCompression;
use serde::{Deserialize, Serialize};

use crate::order::{Comparator, Order};

/// What a call does that finds [`Options::queue_bytes`] taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// It waits for its turn, in the order of coming, until its deadline. A future that waits and is not polled holds up
    /// those behind it for as long.
    #[default]
    Wait,
    /// It ends at once with [`Busy`](crate::ErrorKind::Busy).
    Busy,
}

/// Whether a process may become the leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lead {
    /// It leads when nobody else does.
    #[default]
    Auto,
    /// It never leads, nor opens the directory first: `open` waits for another process to. Once it has joined, it reads and
    /// writes also while nobody leads.
    Never,
    /// It never leads, as with `Never`, and `open` does not wait for another process to come: where no process has the
    /// database open it ends with [`NoLeader`](crate::ErrorKind::NoLeader) at once.
    ///
    /// ```
    /// use level_party::{Db, ErrorKind, Lead};
    /// # let dir = tempfile::tempdir().unwrap();
    /// Db::open(dir.path())?.close();
    /// let nobody = Db::options().lead(Lead::Join).open(dir.path()).unwrap_err();
    /// assert_eq!(nobody.kind(), ErrorKind::NoLeader);
    /// # Ok::<(), level_party::Error>(())
    /// ```
    Join,
}

/// How the blocks of new tables are compressed. Those of any LevelDB, and of Minecraft Bedrock, are read whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// Snappy, as LevelDB's default.
    #[default]
    Snappy,
    /// Raw deflate, for worlds of Minecraft Bedrock: the game reads nothing else, and no other LevelDB reads this.
    ZlibRaw,
}

impl Compression {
    /// Its number on disk, by which it travels too.
    pub(crate) fn number(self) -> u8 {
        self.engine().number()
    }

    pub(crate) fn engine(self) -> BlockCompression {
        match self {
            Compression::None => BlockCompression::None,
            Compression::Snappy => BlockCompression::Snappy,
            Compression::ZlibRaw => BlockCompression::ZlibRaw,
        }
    }
}

/// What a number of a compression means, in words.
fn compression_name(number: u8) -> String {
    let known = [Compression::None, Compression::Snappy, Compression::ZlibRaw];
    match known.into_iter().find(|known| known.number() == number) {
        Some(Compression::None) => "none".into(),
        Some(Compression::Snappy) => "snappy".into(),
        Some(Compression::ZlibRaw) => "zlib-raw".into(),
        None => format!("number {number}"),
    }
}

/// Settings of a handle and, where this process opens the directory first, of the engine. Made by [`Db::options`](crate::Db::options).
///
/// The engine's settings are those of the process that opened the directory first, for as long as any process has it open;
/// one whose settings differ is told so in [`Status::differing_options`](crate::Status::differing_options).
///
/// What LevelDB's users look for and do not find here is not needed:
///
/// | LevelDB's option | here |
/// |---|---|
/// | `WriteOptions::sync` | [`Options::sync`], [`put_sync`](crate::Db::put_sync), [`WriteBatch::sync`](crate::WriteBatch::sync) |
/// | `filter_policy` | [`bloom_bits_per_key`](Options::bloom_bits_per_key) |
/// | `block_cache` | [`block_cache_bytes`](Options::block_cache_bytes); what is read once or by a scan does not displace what is read again, so there is no `fill_cache` |
/// | `max_open_files` | at most 500 tables are open, and fewer where the process may have fewer files open; any number of tables works ([`raise_descriptor_limit`](Options::raise_descriptor_limit)) |
/// | `paranoid_checks`, `ReadOptions::verify_checksums` | always on: each block and log record is checked whenever it is read from disk. Damage fails the reads that need it and no others; what an opening had to leave out is told by [`Db::losses`](crate::Db::losses) |
/// | `reuse_logs` | never: an opening writes what a log holds to tables, since nothing written behind a torn end would be found again. A process that joins, or succeeds a leader, reads no logs |
/// | `block_restart_interval` | always 16, LevelDB's default |
/// | `comparator` | [`comparator`](Options::comparator) |
/// | `env`, `info_log` | none |
///
/// ```
/// use std::time::Duration;
/// let dir = tempfile::tempdir()?;
/// let db = level_party::Db::options()
///     .timeout(Duration::from_secs(5))
///     .bloom_bits_per_key(10)
///     .open(dir.path())?;
/// db.put(b"a", b"1")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) retry: bool,
    pub(crate) create_if_missing: bool,
    pub(crate) error_if_exists: bool,
    pub(crate) reject_writes: bool,
    /// What is opened may be [filling](crate::ServiceState::Filling), and this process fills it.
    pub(crate) fills: bool,
    pub(crate) sync: bool,
    pub(crate) lead: Lead,
    pub(crate) open_timeout: Duration,
    pub(crate) timeout: Duration,
    /// These two concern this process alone, where it leads or reads by itself.
    pub(crate) block_cache_bytes: usize,
    pub(crate) map_tables: bool,
    pub(crate) raise_descriptor_limit: bool,
    pub(crate) queue_bytes: usize,
    pub(crate) when_full: WhenFull,
    pub(crate) compression: Compression,
    pub(crate) order: Order,
    pub(crate) engine: EngineOptions,
}

/// The engine's settings, compared between a follower and its leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EngineOptions {
    pub write_buffer_size: u64,
    pub block_size: u64,
    pub max_file_size: u64,
    /// [`Compression::number`].
    pub compression: u8,
    pub bloom_bits_per_key: Option<u32>,
    pub watch_history_bytes: u64,
}

impl EngineOptions {
    /// One sentence for each setting in which `self` (asked for) differs from `leader` (in force).
    pub fn differences(&self, leader: &EngineOptions) -> Vec<String> {
        let mut list = Vec::new();
        let mut note = |name: &str, asked: String, in_force: String| {
            if asked != in_force {
                list.push(format!("{name}: asked {asked}, in force is {in_force}"));
            }
        };
        let bloom = |bits: Option<u32>| bits.map_or("off".to_string(), |b| b.to_string());
        note(
            "write_buffer_size",
            self.write_buffer_size.to_string(),
            leader.write_buffer_size.to_string(),
        );
        note(
            "block_size",
            self.block_size.to_string(),
            leader.block_size.to_string(),
        );
        note(
            "max_file_size",
            self.max_file_size.to_string(),
            leader.max_file_size.to_string(),
        );
        note(
            "compression",
            compression_name(self.compression),
            compression_name(leader.compression),
        );
        note(
            "bloom_bits_per_key",
            bloom(self.bloom_bits_per_key),
            bloom(leader.bloom_bits_per_key),
        );
        note(
            "watch_history_bytes",
            self.watch_history_bytes.to_string(),
            leader.watch_history_bytes.to_string(),
        );
        list
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            retry: true,
            create_if_missing: true,
            error_if_exists: false,
            reject_writes: false,
            fills: false,
            sync: false,
            lead: Lead::Auto,
            open_timeout: Options::DEFAULT_OPEN_TIMEOUT,
            timeout: Options::DEFAULT_TIMEOUT,
            block_cache_bytes: 8 << 20,
            map_tables: false,
            raise_descriptor_limit: true,
            queue_bytes: Options::DEFAULT_QUEUE_BYTES,
            when_full: WhenFull::Wait,
            compression: Compression::default(),
            order: Order::default(),
            engine: EngineOptions {
                write_buffer_size: 4 << 20,
                block_size: 4096,
                max_file_size: 2 << 20,
                compression: Compression::default().number(),
                bloom_bits_per_key: None,
                watch_history_bytes: 4 << 20,
            },
        }
    }
}

impl Options {
    /// How long `open` waits by default for a leader or for the directory's lock: 10 seconds.
    pub const DEFAULT_OPEN_TIMEOUT: Duration = Duration::from_secs(10);
    /// How long a call waits by default for its answer: 30 seconds.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
    /// Bytes of writes that a process has under way by default: 64 MiB.
    pub const DEFAULT_QUEUE_BYTES: usize = 64 << 20;

    /// Whether calls and streams go on when this process has to open the database anew in the middle of them (default), or end
    /// with [`ConnectionLost`](crate::ErrorKind::ConnectionLost). It has to where the memory that the processes share is found
    /// damaged, or its own writing has ended. Work that the leader does for this process is asked of the next leader again, or
    /// ends so. A leader that goes is no reason for anything else to end.
    pub fn retry(mut self, yes: bool) -> Self {
        self.retry = yes;
        self
    }

    /// Whether a missing directory or database is created (default yes).
    ///
    /// Of the path only the last directory is made, as LevelDB does it: a mistyped path is an error
    /// ([`NotFound`](crate::ErrorKind::NotFound)) that names what is missing, and no tree of new directories.
    pub fn create_if_missing(mut self, yes: bool) -> Self {
        self.create_if_missing = yes;
        self
    }

    /// Whether it is an error that the database exists (default no).
    pub fn error_if_exists(mut self, yes: bool) -> Self {
        self.error_if_exists = yes;
        self
    }

    /// Whether this handle rejects every write with [`ReadOnly`](crate::ErrorKind::ReadOnly) (default no): for programs that
    /// only look.
    ///
    /// That is all it does. The process takes part as any other: where nobody else leads it leads, and a leader writes tables
    /// and compacts them, unless [`Lead::Never`] or [`Lead::Join`] is set. Nothing is created: a missing database is an error
    /// as with `create_if_missing(false)`. No handle leaves the directory's files untouched; for that, open a
    /// [checkpoint](crate::Db::checkpoint).
    pub fn reject_writes(mut self, yes: bool) -> Self {
        self.reject_writes = yes;
        self
    }

    /// Whether each write of this handle that does not say so itself is on stable storage before it is acknowledged
    /// (LevelDB's `WriteOptions::sync`, default no).
    ///
    /// Without it, an acknowledged write survives the death of any process, and a loss of power only once it was synced: by the
    /// system after some seconds, by a later write with `sync`, or when its memory goes into a table. With it, a write waits
    /// for the disk; those that wait together share one sync. A batch or transaction says so itself by its `sync`.
    ///
    /// ```
    /// let dir = tempfile::tempdir()?;
    /// let db = level_party::Db::options().sync(true).open(dir.path())?;
    /// db.put("a", "1")?; // survives a loss of power
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sync(mut self, yes: bool) -> Self {
        self.sync = yes;
        self
    }

    /// Whether this process may become the leader (default yes). Of several handles that a process opens on one
    /// directory the first decides.
    pub fn lead(mut self, lead: Lead) -> Self {
        self.lead = lead;
        self
    }

    /// How long `open` waits for the lock, or to be let in by those who have the directory open (default 10 s).
    pub fn open_timeout(mut self, limit: Duration) -> Self {
        self.open_timeout = limit;
        self
    }

    /// How long each call waits for its answer (default 30 s).
    ///
    /// Reads wait for nobody. A write waits for its turn, for room in memory, and with `sync` for the disk. One that has begun to be
    /// written is not given up: it ends when the system has written it, or synced it. A disk that takes longer than the limit holds
    /// that call, and those behind it, for as long; what has not begun by then is not made, and ends with `Timeout`.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Bytes of writes that this process has under way, beside which a write of this handle may begin (default 64 MiB): their
    /// keys and values, and 256 bytes each. One that is larger by itself is made when there is no other.
    ///
    /// ```
    /// use level_party::{Db, WhenFull};
    /// let dir = tempfile::tempdir()?;
    /// let db = Db::options()
    ///     .queue_bytes(4 << 20)
    ///     .when_full(WhenFull::Busy)
    ///     .open(dir.path())?;
    /// db.put("a", "1")?;
    /// assert_eq!(db.queued_bytes(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// What a write does that finds [`Options::queue_bytes`] taken (default: it waits).
    pub fn when_full(mut self, what: WhenFull) -> Self {
        self.when_full = what;
        self
    }

    /// Bytes of writes kept in memory before they go to a table (LevelDB's `write_buffer_size`, default 4 MiB).
    pub fn write_buffer_size(mut self, bytes: usize) -> Self {
        self.engine.write_buffer_size = bytes as u64;
        self
    }

    /// Bytes of user data in a table's block before compression (LevelDB's `block_size`, default 4 KiB).
    pub fn block_size(mut self, bytes: usize) -> Self {
        self.engine.block_size = bytes as u64;
        self
    }

    /// Bytes in a table before a compaction starts the next (LevelDB's `max_file_size`, default 2 MiB).
    pub fn max_file_size(mut self, bytes: usize) -> Self {
        self.engine.max_file_size = bytes as u64;
        self
    }

    /// How the blocks of new tables are compressed (default: snappy).
    ///
    /// A world of Minecraft Bedrock is opened for writing with [`Compression::ZlibRaw`] alone, so that the game can still
    /// read it; without it `open` ends with [`Unsupported`](crate::ErrorKind::Unsupported) before anything is changed. A
    /// [`reject_writes`](Options::reject_writes) handle needs no option: what its process writes as a leader is raw deflate there
    /// anyway.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self.engine.compression = compression.number();
        self
    }

    /// The order of the keys (LevelDB's `comparator`, default: that of their bytes).
    ///
    /// Its name is kept in the database. Every process that opens it needs an order of that name, also to lead: one with
    /// another name is refused with [`InvalidArgument`](crate::ErrorKind::InvalidArgument), and so is a second handle of
    /// this process. Of several handles that a process opens the first one's order is used. Ranges are then in this order.
    ///
    /// What rests on the order of bytes is refused with `InvalidArgument`: sublevels, a [`Prefix`](crate::Prefix), and
    /// transactions. Changes of one key (`update`, `compare_and_swap`, ...) are made.
    ///
    /// ```
    /// # use std::cmp::Ordering;
    /// # use level_party::{Comparator, Db, Readable};
    /// struct IgnoresCase;
    ///
    /// impl Comparator for IgnoresCase {
    ///     fn name(&self) -> &str {
    ///         "example.IgnoresCase"
    ///     }
    ///     fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
    ///         a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase())
    ///     }
    /// }
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let db = Db::options().comparator(IgnoresCase).open(dir.path())?;
    /// db.put("Ada", "1815")?;
    /// assert_eq!(db.get("ADA")?.as_deref(), Some(&b"1815"[..]));
    /// # Ok::<(), level_party::Error>(())
    /// ```
    pub fn comparator(mut self, order: impl Comparator + 'static) -> Self {
        self.order = Order::custom(order);
        self
    }

    /// Bits a key of a Bloom filter in each new table (LevelDB's `filter_policy`, default none; 10 gives 1 % false hits).
    pub fn bloom_bits_per_key(mut self, bits: u32) -> Self {
        self.engine.bloom_bits_per_key = Some(bits);
        self
    }

    /// Bytes of logs that the leader keeps on disk for [`Db::watch`](crate::Db::watch) when their changes are in tables (default 4 MiB): how
    /// far a watcher may fall behind, or come back later, without a gap, beside what is in no table yet. It keeps no more than
    /// this and one log. 0 keeps none, and no process can watch then.
    pub fn watch_history_bytes(mut self, bytes: usize) -> Self {
        self.engine.watch_history_bytes = bytes as u64;
        self
    }

    /// Bytes of tables' blocks that are kept in this process's memory (LevelDB's `block_cache`, default 8 MiB; 0 keeps none). They are filled by what this process reads.
    pub fn block_cache_bytes(mut self, bytes: usize) -> Self {
        self.block_cache_bytes = bytes;
        self
    }

    /// Whether tables are read through memory that the system maps to them
    /// (default no). It saves about half a microsecond for each block that is not in the block cache.
    ///
    /// The price: where a place on the disk can't be read, or a program that disregards `LOCK` cuts a table, the system
    /// ends this process with SIGBUS, and every other one that reads there and maps too; by default that is an
    /// error of the calls that need the block, and of no others. C++ LevelDB always maps.
    pub fn map_tables(mut self, yes: bool) -> Self {
        self.map_tables = yes;
        self
    }

    /// Whether the first opening of this process raises its soft limit of open files to the hard one (default yes), so that
    /// a database of thousands of tables and followers has descriptors enough. The limit counts for the whole process and
    /// for programs that it starts afterwards.
    ///
    /// Turn it off in a program that calls `select`, which knows no descriptor above 1,023. With any limit, also a hard one
    /// of 64, every table is read: the leader keeps at most 500 open, and no more than half of the descriptors that are left
    /// when it begins to lead; the others are closed, and opened again when they are read. Where descriptors run out, tables
    /// are closed before the call fails. [`Db::repair`](crate::Db::repair) always raises the limit. Windows has none.
    ///
    /// ```
    /// let dir = tempfile::tempdir()?;
    /// let db = level_party::Db::options()
    ///     .raise_descriptor_limit(false)
    ///     .open(dir.path())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn raise_descriptor_limit(mut self, yes: bool) -> Self {
        self.raise_descriptor_limit = yes;
        self
    }
}

/// How an engine is opened, with the segment's settings.
pub(crate) fn into_engine_options(
    options: &Options,
    segment: &EngineOptions,
) -> level_party_engine::Options {
    let known = [Compression::None, Compression::Snappy, Compression::ZlibRaw];
    let compression = known
        .into_iter()
        .find(|known| known.number() == segment.compression);
    level_party_engine::Options {
        create_if_missing: options.create_if_missing,
        only_reads: options.reject_writes,
        comparator: options.order.engine(),
        write_buffer_size: segment.write_buffer_size as usize,
        block_size: segment.block_size as usize,
        max_file_size: segment.max_file_size,
        compression: compression.unwrap_or(options.compression).engine(),
        block_cache_bytes: options.block_cache_bytes,
        bloom_bits_per_key: segment.bloom_bits_per_key.map(|bits| bits as usize),
        tail_bytes: segment.watch_history_bytes as usize,
        ..level_party_engine::Options::default()
    }
}
