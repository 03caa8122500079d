//! Settling: what an opening recovered goes into tables while the engine answers already.
//!
//! An opening that takes over from a process that was killed keeps everybody waiting until its first answer. Writing what
//! the logs hold to tables and syncing them takes most of that time; reading and sorting it takes little. So an engine may
//! be opened *unsettled* ([`Options::recover_in_background`]): the recovered entries are read from a [`Run`](crate::read::run::Run), a
//! new log takes the new ones, and nothing else in the directory is touched. The background thread settles it before it does
//! anything else, but not before somebody needs that or the owner asks for it: in the first milliseconds of a takeover
//! every survivor wants the processors and the disk.
//!
//! Invariants, until the engine is settled:
//! - The recovered logs, the manifest that `CURRENT` names and the tables in it are as they were found; nothing is removed.
//!   The new log has a higher number than every file that was there. So another opening, ours or LevelDB's, finds the logs
//!   in order, the recovered ones first. It begins with the sequence up to which they count ([`succession`]).
//! - Each recovered log ends with a whole record, read in the boot in which it was written. Where one does not, the opening
//!   writes tables first: behind a torn end no record of a later log would be found after a loss of power.
//! - No write with `sync` is made, nor anything told to be durable ([`Engine::settled`](crate::Engine::settled)), before
//!   settling is done. A sync of the recovered log would not do: its error may have been told to the process that died.
//!
//! Crash cases. The process dies: the next opening replays the recovered logs and the new one. The power fails: of the
//! recovered logs a beginning is left that has at least all that was synced before, and where it is cut the new log does
//! not count; nothing in it was answered with `sync`. Either happens while this settles: until `CURRENT` is renamed the
//! same as before; after it the tables hold the recovered logs, all durable, and the new log is the first to be replayed.
//!
//! A table that can't be written is tried again when somebody needs it, as with a flush. Any other failure ends writing for
//! good, as it does once the engine is settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::base::error::Result;
use crate::base::health::Health;
use crate::base::options::{Before, Options};
use crate::commit::memory;
use crate::commit::shared::Shared;
use crate::commit::wal::Wal;
use crate::follow::succession;
use crate::follow::tail::past::PastLog;
use crate::lead::manifest::Manifest;
use crate::lead::obsolete::Obsolete;
use crate::lead::opened::{Base, Opened, Recovered, Unsettled};
use crate::lead::table_writer::{TableWriting, Unsynced};
use crate::read::files::Tables;

impl Unsettled {
    /// The parts of an engine that answers at once; `dropped` is what was left out of the logs.
    pub(crate) fn open(
        self,
        options: &Options,
        tables: &Arc<Tables>,
        next_file: &AtomicU64,
        health: &Health,
        past: Vec<PastLog>,
        dropped: Vec<String>,
    ) -> Result<Opened> {
        // Whoever has taken over meanwhile may have a log with this number.
        health.check_owner(Before::Create)?;
        let number = next_file.fetch_add(1, Ordering::SeqCst);
        let mut wal = Wal::create(tables.fs().as_ref(), number)?;
        let last = self.run.last_sequence();
        if let Some(beginning) = succession::beginning(last + 1) {
            // On a full disk reads are answered all the same: the log tells its failure to whoever writes first.
            let _ = wal.append(beginning.as_bytes());
        }
        Ok(Opened {
            recovered: Recovered {
                last_sequence: last,
                dropped,
                ..Recovered::default()
            },
            wal,
            mem: memory::allocate(options, tables.comparator(), 0, last)?,
            base: Base::Unsettled(self),
            past,
        })
    }

    /// Settles, on the background thread, however often it has to be tried. `None`: the engine is being closed.
    pub(crate) fn settle(
        mut self,
        shared: &Shared,
        writing: &TableWriting,
    ) -> Option<(Manifest, Obsolete)> {
        loop {
            if shared.health.is_closing() {
                return None;
            }
            if shared.health.is_poisoned() {
                shared.refuse_manual(&mut shared.state.lock());
                shared.bell().rest();
                continue;
            }
            if !shared.state.lock().take_call() {
                shared.bell().rest();
                continue;
            }
            let settled = self.try_to_settle(shared, writing);
            shared.flushed(settled.as_ref().map(|_| ()));
            if let Ok(settled) = settled {
                return Some(settled);
            }
        }
    }

    fn try_to_settle(
        &mut self,
        shared: &Shared,
        writing: &TableWriting,
    ) -> Result<(Manifest, Obsolete)> {
        let since = Instant::now();
        let tables = self.run.write(writing)?;
        let written = tables.iter().map(|table| table.meta.size).sum();
        let manifest = self
            .name(shared, tables)
            .map_err(|error| shared.health.poison(error))?;
        let log_number = self.contents.log_number;
        let names = std::mem::take(&mut self.names);
        let (version, number) = (manifest.version(), manifest.number());
        let mut obsolete = Obsolete::scan(names, version, number, log_number, &self.kept);
        // Readers may have it still when tables go that both versions have.
        obsolete.watch(&self.version);
        shared.install(version, Some(log_number));
        shared.metrics.worked(0, 0, written, since);
        Ok((manifest, obsolete))
    }

    /// Writes a manifest that has these tables too, and makes it and them what the database is.
    fn name(&mut self, shared: &Shared, tables: Vec<Unsynced>) -> Result<Manifest> {
        shared.health.check()?;
        let mut unsynced = Vec::new();
        for Unsynced { meta, file } in tables {
            let place = (0, meta.number);
            self.contents.files.insert(place, meta.to_new_file());
            unsynced.push(file);
        }
        if planted!(TableNotSynced) {
            unsynced.clear();
        }
        self.contents.log_number = shared.state.lock().first_log();
        self.contents.last_sequence = self.run.last_sequence();
        let number = shared.next_file_number();
        self.contents.next_file_number = shared.next_file().load(Ordering::SeqCst);
        let version = self.contents.version(&shared.tables, shared.bell())?;
        Manifest::create(
            &shared.fs,
            number,
            &self.contents,
            version,
            shared.bell(),
            &shared.health,
            &mut unsynced,
        )
    }
}
