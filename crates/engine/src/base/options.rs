//! What an engine is opened with, and what it tells its owner.
//!
//! Promises: [`Options::default`] behaves as LevelDB 1.23 does by default.
//! Must not know: where memtable regions live, or who listens.

use std::fmt;
use std::sync::Arc;

use level_party_format::table::Compression;
use level_party_format::{Comparator, Sequence};

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::limits::MAX_OPEN_FILES;

/// How recovery judges the end of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoveryMode {
    /// Only processes died since the log was written, the system did not: a short last record is torn and ends the log;
    /// a whole record with a bad checksum is corruption.
    #[default]
    SameBoot,
    /// The system may have lost power: the first bad record ends recovery, later logs are set aside, and what was
    /// dropped is reported.
    AfterReboot,
}

/// Settings of an engine. All fields are public; start from the default.
///
/// ```
/// use level_party_engine::Options;
/// let options = Options { write_buffer_size: 1 << 20, ..Options::default() };
/// assert_eq!(options.block_size, 4096);
/// ```
#[derive(Clone)]
pub struct Options {
    /// Make the database if it does not exist.
    pub create_if_missing: bool,
    /// Fail if the database exists.
    pub error_if_exists: bool,
    /// The order of user keys. Its name is kept in the manifest and must stay the same.
    pub comparator: Comparator,
    /// Bytes of a memtable before it is frozen and flushed.
    pub write_buffer_size: usize,
    /// Bytes of a table's block before compression.
    pub block_size: usize,
    /// Keys between two whole keys in a block.
    pub block_restart_interval: usize,
    /// Bytes of a table before the next one is begun.
    pub max_file_size: u64,
    /// How new blocks are compressed, where that saves more than an eighth. Blocks of any known kind are read.
    /// [`Compression::Zstd`] is refused here: see
    /// [`zstd_that_leveldb_1_23_cannot_read`](Self::zstd_that_leveldb_1_23_cannot_read). [`Compression::ZlibRaw`] is for
    /// worlds of Minecraft Bedrock, which are refused without it unless the opener [only reads](Self::only_reads): the game
    /// reads nothing else, and no other LevelDB reads that. [`Compression::Zlib`] is never written.
    pub compression: Compression,
    /// Compress new blocks with zstd, whatever `compression` says. C++ LevelDB up to 1.23 cannot read such a block: to it,
    /// all that the block holds is corrupt. Later ones can if they were built with zstd. Tables stay as they are until a
    /// compaction rewrites them, also when this is off again.
    pub zstd_that_leveldb_1_23_cannot_read: bool,
    /// The opener writes nothing of its own. Where the directory is a world of Minecraft Bedrock, all that is written
    /// nonetheless, as what was recovered, is then raw deflate whatever `compression` says.
    pub only_reads: bool,
    /// Bits per key of the Bloom filters of new tables; `None` writes none. LevelDB's documentation suggests 10.
    pub bloom_bits_per_key: Option<usize>,
    /// How recovery judges the end of a log.
    pub recovery: RecoveryMode,
    /// Another program may have written the logs: a gap in their sequences is then no sign of a lost record (C++ LevelDB
    /// leaves one after a failed append and goes on).
    pub foreign_logs: bool,
    /// No moment below this sequence can be pinned: an earlier opening may have dropped entries there.
    pub drop_floor: Sequence,
    /// Bytes of tables' blocks that are kept in memory as they are after decompression; 0 keeps none. Reads of keys fill
    /// it, and scans as long as they are short; compactions don't.
    pub block_cache_bytes: usize,
    /// Tables that are kept open with their index and filter in memory, beside those that reads and compactions use just
    /// now. No more of them have a file descriptor, and fewer where the process has few: [`StdFs`](crate::StdFs) closes
    /// the least recently read, also those of a merge of any number of tables, and opens them again for their next read.
    pub max_open_files: usize,
    /// Bytes of logs that the leader keeps on disk when they are in tables, for [`Engine::tail_from`](crate::Engine::tail_from):
    /// the newest, until they have as many bytes; so no more than these and one log. They stay over openings, so that a reader
    /// who is not far behind goes on in the next one. No recovery replays them, and C++ LevelDB removes them when it opens the
    /// directory. 0 keeps none, and gives no tails.
    pub tail_bytes: usize,
    /// Bytes of edits that a manifest may have, or as many as its version takes if that is more, before the leader begins
    /// another one. C++ LevelDB begins one with each opening only.
    pub manifest_slack: u64,
    /// What the engine's `tracing` events call its directory, in their field `dir`.
    pub name: Arc<str>,
    /// Who is told of the engine's own events.
    pub listener: Option<Arc<dyn Listener>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            create_if_missing: true,
            error_if_exists: false,
            comparator: Comparator::default(),
            write_buffer_size: 4 << 20,
            block_size: 4096,
            block_restart_interval: 16,
            max_file_size: 2 << 20,
            compression: Compression::Snappy,
            zstd_that_leveldb_1_23_cannot_read: false,
            only_reads: false,
            bloom_bits_per_key: None,
            recovery: RecoveryMode::default(),
            foreign_logs: false,
            drop_floor: 0,
            block_cache_bytes: 8 << 20,
            max_open_files: MAX_OPEN_FILES,
            tail_bytes: 0,
            manifest_slack: 1 << 20,
            name: Arc::from(""),
            listener: None,
        }
    }
}

impl Options {
    /// [`ErrorKind::InvalidArgument`] for what no engine may be opened with.
    pub(crate) fn check(&self) -> Result<()> {
        if self.compression == Compression::Zstd && !self.zstd_that_leveldb_1_23_cannot_read {
            let message = "Compression::Zstd is asked for by the option zstd_that_leveldb_1_23_cannot_read, not by compression";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        if self.compression == Compression::Zlib {
            let message = "Compression::Zlib is read and never written: Compression::ZlibRaw is what Minecraft Bedrock writes";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok(())
    }

    /// How the blocks of new tables are compressed.
    pub(crate) fn block_compression(&self) -> Compression {
        match self.zstd_that_leveldb_1_23_cannot_read {
            true => Compression::Zstd,
            false => self.compression,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("create_if_missing", &self.create_if_missing)
            .field("error_if_exists", &self.error_if_exists)
            .field("comparator", &self.comparator.name())
            .field("write_buffer_size", &self.write_buffer_size)
            .field("block_size", &self.block_size)
            .field("block_restart_interval", &self.block_restart_interval)
            .field("max_file_size", &self.max_file_size)
            .field("compression", &self.compression)
            .field(
                "zstd_that_leveldb_1_23_cannot_read",
                &self.zstd_that_leveldb_1_23_cannot_read,
            )
            .field("only_reads", &self.only_reads)
            .field("bloom_bits_per_key", &self.bloom_bits_per_key)
            .field("recovery", &self.recovery)
            .field("foreign_logs", &self.foreign_logs)
            .field("drop_floor", &self.drop_floor)
            .field("block_cache_bytes", &self.block_cache_bytes)
            .field("max_open_files", &self.max_open_files)
            .field("tail_bytes", &self.tail_bytes)
            .field("manifest_slack", &self.manifest_slack)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What [`Listener::still_owner`] is asked before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Before {
    /// A group of writes goes to the log.
    Append,
    /// The writes of a group are published and answered.
    Answer,
    /// A log or a table is made: the file of that name, if there is one, is emptied.
    Create,
    /// The manifest is appended to, or `CURRENT` replaced.
    Manifest,
    /// A file is removed.
    Removal,
}

/// Who is told of the engine's own events. Called on the engine's threads: answer quickly and don't call back.
pub trait Listener: Send + Sync {
    /// Called before a compaction may drop anything that a snapshot below `to` would need.
    ///
    /// # Errors
    /// An error stops that compaction.
    fn raise_drop_floor(&self, to: Sequence) -> std::io::Result<()>;

    /// Whether writes are refused from now on. Asked for every group under the commit lock, before anything goes to the log: so
    /// once a write that began after the answer became `true` has ended, however, none is under way that began before. It
    /// should cost nanoseconds.
    fn refuses_writes(&self) -> bool {
        false
    }

    /// Whether the directory is still this opening's to write, asked before each step of that kind. `false` ends writing
    /// for good, and that step is not taken; a write that is in the log by then is answered with
    /// [`ErrorKind::Poisoned`]. For one of several members it [condemns](crate::Engine::condemn) the segment, and the
    /// answer is [`ErrorKind::Condemned`]. Asked for every group of writes: it should cost nanoseconds.
    fn still_owner(&self, before: Before) -> bool {
        let _ = before;
        true
    }

    /// Called before `CURRENT` is made to name the manifest `number`, while the directory is opened or, after that, once
    /// what was recovered is in tables.
    ///
    /// # Errors
    /// An error ends the opening, or writing for good.
    fn names_manifest(&self, number: u64) -> std::io::Result<()> {
        let _ = number;
        Ok(())
    }

    /// Called once when writing has ended for good.
    fn poisoned(&self, error: &Error) {
        let _ = error;
    }

    /// Called when this member's leading has failed for good: the manifest could not be written, or writing has ended. It is
    /// the last that the leader's thread does: another thread has to call [`Engine::stop_leading`](crate::Engine::stop_leading)
    /// before another member may lead. This member goes on committing and reading. Not called for an engine that was
    /// [opened](crate::Engine::open) alone, whose writing ends instead.
    fn leadership_ended(&self, error: &Error) {
        let _ = error;
    }
}

#[cfg(test)]
mod tests;
