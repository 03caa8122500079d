//! Recovery: from what is in the directory to an engine that may answer.
//!
//! Promises: the new log has nothing but its [beginning](crate::follow::succession), and no log of an earlier opening is
//! ever appended to. A number that any file in the directory has is not used again. Nothing old is removed here. On return
//! everything recovered is in tables, which the manifest names, all of it durable.
//! Must not know: who asks, or how he learned whether the system was restarted.
//!
//! The end of a log is judged by [`RecoveryMode`](crate::RecoveryMode). After a loss of power the first record that is missing, torn or bad
//! ends recovery: what comes behind it was never acknowledged with `sync`, because a sync of one log waits for the ones
//! before it. A gap in the sequences is such a missing record: logs are written without gaps, and the manifest carries
//! the sequence up to which they are in tables. So is a log that begins at or below what an earlier one holds. (Where
//! another program may have written the logs, neither says anything: [`Options::foreign_logs`].) Logs behind that point, and the damaged one itself, are set aside as
//! `level-party.aside-NNNNNN.log.from-S` ([`AsideName`]), a name that LevelDB ignores; nothing removes them but their owner.
//!
//! In the boot in which the logs were written, records that were appended to one after its process had been succeeded are
//! left out ([`succession`](crate::follow::succession)).

use std::collections::BTreeSet;
use std::sync::Arc;

use level_party_format::Sequence;
use level_party_format::filename::{self, CURRENT, FileKind};

use crate::base::bell::Bell;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::events;
use crate::base::fs::{Fs, WriteFile};
use crate::base::health::Health;
use crate::base::next_file::NextFile;
use crate::base::options::{Before, Options};
use crate::commit::wal::Wal;
use crate::follow::manifest_contents::Contents;
use crate::follow::succession;
use crate::lead::aside_names::{ASIDE_PREFIX, AsideName, aside_name};
use crate::lead::file_numbers::{first_free_number, is_newest_number};
use crate::lead::kept_logs::KeptLogs;
use crate::lead::losses;
use crate::lead::manifest::Manifest;
use crate::lead::obsolete::Obsolete;
use crate::lead::opened::{Base, Opened, Recovered};
use crate::lead::orphans::check_no_orphans;
use crate::lead::table_writer::TableWriting;
use crate::read::files::Tables;

mod replay;

use replay::Replay;

/// Recovers the database in the directory of `tables`, or makes it.
pub(crate) fn open(
    options: &Options,
    tables: &Arc<Tables>,
    next_file: &NextFile,
    health: &Arc<Health>,
    bell: &Arc<Bell>,
) -> Result<Opened> {
    let fs = tables.fs();
    let names = list(fs.as_ref())?;
    let created = !names.iter().any(|name| name == CURRENT);
    let mut contents = if created {
        check_may_create(fs.as_ref(), options)?;
        Contents::of_new_database()
    } else if options.error_if_exists {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            "the database exists already",
        ));
    } else {
        Contents::read(fs.as_ref(), options.comparator.name(), options.recovery)?
    };
    check_tables_exist(&contents, &names)?;
    next_file.set(first_free_number(&contents, &names)?);

    let writing = TableWriting::new(options, tables, next_file.clone(), health);
    let logs = match created {
        true => Vec::new(),
        false => find_logs(&mut contents, &names)?,
    };
    let opening = Opening {
        options,
        tables,
        next_file,
        health,
        bell,
    };
    opening.replay_to_tables(contents, &writing, &logs, &names, created)
}

/// What an opening needs throughout.
struct Opening<'a> {
    options: &'a Options,
    tables: &'a Arc<Tables>,
    next_file: &'a NextFile,
    health: &'a Arc<Health>,
    bell: &'a Arc<Bell>,
}

impl Opening<'_> {
    /// Replays the logs into tables, and makes the log and the manifest of this opening.
    fn replay_to_tables(
        &self,
        mut contents: Contents,
        writing: &TableWriting,
        logs: &[u64],
        names: &[String],
        created: bool,
    ) -> Result<Opened> {
        let fs = self.tables.fs().as_ref();
        let manifest_number = self.next_file.next();
        let mut replay = Replay::new(writing, self.options, &contents);
        if let Err(error) = replay.run(logs) {
            replay.take_back();
            return Err(error);
        }
        let Replay {
            last,
            written,
            unsynced,
            dropped,
            lost,
            aside,
            ..
        } = replay;
        let is_damaged = aside.damaged.is_some();
        contents.dropped.extend(dropped);
        contents.lost.extend(lost);
        self.health.check_owner(Before::Create)?;
        let name = &self.options.name;
        aside.set_aside(fs, last + 1, &mut contents, name)?;
        let tables = written.len();
        for file in written {
            contents.files.insert((0, file.number), file.to_new_file());
        }
        contents.last_sequence = last;
        let (wal, manifest) =
            self.begin(&mut contents, manifest_number, unsynced, names, created)?;
        let names = list(fs)?;
        let kept = match is_damaged {
            false => kept_for_followers(fs, self.options, &names, wal.number()),
            // What the log holds behind its damage is no part of the past.
            true => KeptLogs::new(self.options.tail_bytes),
        };
        let (version, log_number) = (manifest.version(), wal.number());
        let obsolete = Obsolete::scan(names, version, manifest_number, log_number, &kept);
        events::recovered(name, created, logs.len(), tables, last);
        let recovered = Recovered {
            last_sequence: last,
            dropped: contents.dropped,
            created,
        };
        Ok(Opened {
            recovered,
            base: Base {
                manifest,
                obsolete,
                kept,
            },
            wal,
        })
    }

    /// Makes the new log and the new manifest, whose last sequence is set, with all that it relies on durable.
    #[cfg_attr(
        not(test),
        expect(unused_variables, reason = "a planted bug goes on in an old log")
    )]
    fn begin(
        &self,
        contents: &mut Contents,
        manifest_number: u64,
        mut unsynced: Vec<Box<dyn WriteFile>>,
        names: &[String],
        created: bool,
    ) -> Result<(Wal, Manifest)> {
        let fs = self.tables.fs();
        let version = contents.version(self.tables, self.bell)?;
        self.health.check_owner(Before::Create)?;
        let number = self.next_file.next();
        let mut wal = Wal::create(fs.as_ref(), number)?;
        #[cfg(test)]
        if planted!(OldLogAppendedTo) {
            wal = Wal::go_on_in_last(fs.as_ref(), names)?.unwrap_or(wal);
        }
        // For a repair without a manifest, which reads again what is kept for those who follow.
        if !created && let Some(beginning) = succession::beginning(contents.last_sequence + 1) {
            wal.append(beginning.as_bytes())?;
        }
        contents.log_number = wal.number();
        contents.next_file_number = self.next_file.peek();
        if planted!(TableNotSynced) {
            unsynced.clear();
        }
        let manifest = Manifest::create(
            fs,
            manifest_number,
            contents,
            version,
            self.bell,
            self.health,
            &mut unsynced,
        )?;
        Ok((wal, manifest))
    }
}

/// The logs that stay for those who follow, of all that are below `next`: all of these are in tables. Another program's writes
/// are nobody's past.
fn kept_for_followers(fs: &dyn Fs, options: &Options, names: &[String], next: u64) -> KeptLogs {
    match options.foreign_logs {
        true => KeptLogs::new(options.tail_bytes),
        false => KeptLogs::find(fs, names, 0, next, options.tail_bytes),
    }
}

fn list(fs: &dyn Fs) -> Result<Vec<String>> {
    fs.list()
        .map_err(|error| Error::io("list", "the directory", error))
}

/// Without `CURRENT` there is no database.
fn check_may_create(fs: &dyn Fs, options: &Options) -> Result<()> {
    check_no_orphans(fs)?;
    if !options.create_if_missing {
        return Err(Error::new(
            ErrorKind::DoesNotExist,
            "there is no database here, and it was not asked to make one",
        ));
    }
    Ok(())
}

fn check_tables_exist(contents: &Contents, names: &[String]) -> Result<()> {
    let there: BTreeSet<u64> = names
        .iter()
        .filter_map(|name| match filename::parse(name) {
            Some((FileKind::Table, number)) => Some(number),
            _ => None,
        })
        .collect();
    let mut missing = contents
        .files
        .keys()
        .filter(|(_, number)| !there.contains(number));
    if let Some((_, number)) = missing.next() {
        let first = filename::table(*number);
        let message = match missing.count() {
            0 => format!("{first} is missing, and the manifest names it"),
            more => format!("tables that the manifest names are missing: {first} and {more} more"),
        };
        return Err(Error::new(ErrorKind::Corruption, message));
    }
    Ok(())
}

/// The logs to be replayed, of which none may be missing but an empty one.
fn find_logs(contents: &mut Contents, names: &[String]) -> Result<Vec<u64>> {
    let logs = logs_to_replay(contents, names);
    if let Some(missing) = logs.missing {
        let message = format!("{}: {}", missing.name, missing.what());
        if !missing.is_newest {
            return Err(Error::new(ErrorKind::Corruption, message));
        }
        contents.lose(message);
    }
    Ok(logs.numbers)
}

/// The logs that a manifest needs.
pub(crate) struct NeededLogs {
    /// Those that are there, in order, also those that no manifest ever named.
    pub(crate) numbers: Vec<u64>,
    /// The log that the manifest names, where it is not there.
    pub(crate) missing: Option<MissingLog>,
}

/// A log that a manifest names and that is not there.
pub(crate) struct MissingLog {
    pub(crate) name: String,
    /// No file has a higher number. So it was the log of the last opening, which ended well without a write; and copies
    /// that leave out `*.log` miss it.
    pub(crate) is_newest: bool,
}

impl MissingLog {
    pub(crate) fn what(&self) -> &'static str {
        match self.is_newest {
            true => {
                "it is missing; no file is newer, so it was taken for an empty log that was not copied"
            }
            false => "it is missing: the manifest says that it holds the last writes",
        }
    }
}

/// The logs that are not in tables yet.
pub(crate) fn logs_to_replay(contents: &Contents, names: &[String]) -> NeededLogs {
    let numbers: BTreeSet<u64> = names
        .iter()
        .filter_map(|name| match filename::parse(name) {
            Some((FileKind::Log, number)) => Some(number),
            _ => None,
        })
        .collect();
    // Number 0 is what the manifest of a database says that was never opened after it was made or repaired.
    let is_missing = contents.log_number != 0 && !numbers.contains(&contents.log_number);
    let is_needed = |number: &u64| {
        *number >= contents.log_number
            || (*number == contents.prev_log_number && contents.prev_log_number != 0)
    };
    NeededLogs {
        numbers: numbers.into_iter().filter(is_needed).collect(),
        missing: is_missing.then(|| MissingLog {
            name: filename::log(contents.log_number),
            is_newest: is_newest_number(contents.log_number, names),
        }),
    }
}

/// Logs that are to be set aside.
#[derive(Default)]
struct Aside {
    /// The one in which recovery ended, and where.
    damaged: Option<(u64, u64)>,
    /// Those behind it.
    later: Vec<u64>,
}

impl Aside {
    /// Tells and writes down what is lost, then gives the logs names that no recovery looks at; `from` is the first sequence that was
    /// not recovered. All of it comes before the new manifest, after which they would be removed as obsolete. Cut short
    /// anywhere, it is done again by the next opening: the damaged log goes last, and keeps its own name too.
    fn set_aside(
        self,
        fs: &dyn Fs,
        from: Sequence,
        contents: &mut Contents,
        dir: &str,
    ) -> Result<()> {
        tell_losses(dir, contents);
        let aside_of = |log: u64, at: Option<u64>| {
            let from = Some(from);
            AsideName { log, from, at }.without_prefix()
        };
        let renames: Vec<(String, String)> = self
            .later
            .iter()
            .map(|log| {
                let aside = aside_name(fs, ASIDE_PREFIX, &aside_of(*log, None))?;
                Ok((aside, filename::log(*log)))
            })
            .collect::<Result<_>>()?;
        let kept = self.damaged.map(|(log, at)| {
            let name = filename::log(log);
            let aside = copy_name(fs, &name, &aside_of(log, Some(at)));
            aside
                .map(|aside| (aside, name.clone()))
                .map_err(|error| Error::io("set aside", &name, error))
        });
        let kept = kept.transpose()?;
        for (aside, name) in renames.iter().chain(&kept) {
            contents.lose(format!("{name} was set aside as {aside}"));
        }
        losses::add(fs, &contents.lost)?;
        for (aside, name) in &renames {
            fs.rename(name, aside)
                .map_err(|error| Error::io("set aside", name, error))?;
        }
        if let Some((aside, name)) = &kept {
            keep_aside(fs, name, aside).map_err(|error| Error::io("set aside", name, error))?;
        }
        for (aside, name) in renames.iter().chain(&kept) {
            events::log_set_aside(dir, name, aside);
        }
        Ok(())
    }
}

/// Tells what this opening loses or leaves out. Damage can make many sentences of it: the first are told.
fn tell_losses(dir: &str, contents: &Contents) {
    for what in contents.lost.iter().take(losses::KEPT) {
        events::lost(dir, what);
    }
    let left_out = contents
        .dropped
        .iter()
        .filter(|what| !contents.lost.contains(what));
    for what in left_out.take(losses::KEPT) {
        events::left_out(dir, what);
    }
}

/// A name for a second copy of a log: free, or that of a copy that a recovery cut short has left.
fn copy_name(fs: &dyn Fs, name: &str, aside: &str) -> std::io::Result<String> {
    let mut aside = format!("{ASIDE_PREFIX}{aside}");
    let log = fs.read(name)?;
    while fs.exists(&aside)? && !log.starts_with(&fs.read(&aside)?) {
        aside.push_str(".more");
    }
    Ok(aside)
}

/// Gives a log a second name, durably. A copy that a recovery cut short has left is replaced.
fn keep_aside(fs: &dyn Fs, name: &str, aside: &str) -> std::io::Result<()> {
    if fs.exists(aside)? {
        fs.remove(aside)?;
    }
    fs.link(name, fs, aside)?;
    fs.sync_dir()
}
