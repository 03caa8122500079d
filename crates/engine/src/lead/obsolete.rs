//! [`Obsolete`]: removes files that nothing can read any more.
//!
//! Promises: a table is removed only when no live [`Version`] holds it, and only on the background thread, never on a
//! reader's; every removal comes after a sync of the manifest that no longer names the file, and of the directory
//! entries of what that manifest names instead. After poison nothing is removed. What earlier openings left stays while
//! a table that may have been made of it can't be opened: a repair reads it.
//! Never touched: names LevelDB does not use (so all `level-party.*` too), `LOCK`, `CURRENT`, `LOG`, and
//! `000001.dbtmp`, by whose absence the party layer knows that another program opened the database.
//! Must not know: why a file is no longer needed.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::{Arc, Weak};

use level_party_format::filename::{self, FileKind};

use crate::base::fs::Fs;
use crate::base::health::Health;
use crate::base::options::Before;
use crate::lead::kept_logs::KeptLogs;
use crate::read::version::Version;

/// The number of the temporary file that is not the engine's.
const TRIPWIRE_NUMBER: u64 = 1;

/// What may be removed, and what stands against it.
#[derive(Default)]
pub(crate) struct Obsolete {
    /// Every version a reader may still hold.
    versions: Vec<Weak<Version>>,
    /// Tables that the current version does not have.
    tables: BTreeSet<u64>,
    /// Other files that are not needed.
    names: BTreeSet<String>,
}

impl Obsolete {
    /// Finds among `names` what earlier openings left in the directory. The manifest names `version`, `manifest` is its number, and
    /// logs below `log_number` are in its tables; of those `kept` stay nevertheless.
    pub(crate) fn scan(
        names: Vec<String>,
        version: &Version,
        manifest: u64,
        log_number: u64,
        kept: &KeptLogs,
    ) -> Obsolete {
        let known: HashSet<u64> = version.files().map(|(_, file)| file.number).collect();
        let mut obsolete = Obsolete::default();
        let mut oldest_data = u64::MAX;
        for name in names {
            let Some((kind, number)) = filename::parse(&name) else {
                continue;
            };
            let needed = match kind {
                FileKind::Log => number >= log_number || kept.has(number),
                FileKind::Manifest => number >= manifest,
                FileKind::Table => known.contains(&number),
                FileKind::Temp => number == TRIPWIRE_NUMBER,
                FileKind::Lock | FileKind::Current | FileKind::InfoLog => true,
            };
            if !needed {
                if is_data(kind) {
                    oldest_data = oldest_data.min(number);
                }
                obsolete.names.insert(name);
            }
        }
        // A table has a higher number than what it was made of.
        let mut made_later = version
            .files()
            .filter(|(_, file)| file.number > oldest_data);
        if made_later.any(|(_, file)| file.table(version.tables()).is_err()) {
            let kind = |name: &String| filename::parse(name).map(|(kind, _)| kind);
            obsolete
                .names
                .retain(|name| !kind(name).is_some_and(is_data));
        }
        obsolete
    }

    /// A version that readers may take up from now on.
    pub(crate) fn watch(&mut self, version: &Arc<Version>) {
        self.versions.push(Arc::downgrade(version));
    }

    /// A table that the manifest does not name any more, or never did.
    pub(crate) fn add_table(&mut self, number: u64) {
        self.tables.insert(number);
    }

    /// A manifest that `CURRENT` does not name any more.
    pub(crate) fn add_manifest(&mut self, number: u64) {
        self.names.insert(filename::manifest(number));
    }

    /// A log whose entries are all in tables.
    pub(crate) fn add_log(&mut self, number: u64) {
        self.names.insert(filename::log(number));
    }

    /// Removes what nothing can read. The next sweep tries again what can't be removed now.
    pub(crate) fn sweep(&mut self, fs: &dyn Fs, health: &Health) {
        if health.is_poisoned() || (self.tables.is_empty() && self.names.is_empty()) {
            return;
        }
        let mut live = HashSet::new();
        self.versions.retain(|version| match version.upgrade() {
            Some(version) => {
                live.extend(version.files().map(|(_, file)| file.number));
                true
            }
            None => false,
        });
        let may_remove = || health.check_owner(Before::Removal).is_ok();
        self.names
            .retain(|name| !may_remove() || !is_gone(fs.remove(name)));
        self.tables
            .retain(|number| live.contains(number) || !may_remove() || !remove_table(fs, *number));
    }
}

/// Whether files of this kind hold entries.
fn is_data(kind: FileKind) -> bool {
    matches!(kind, FileKind::Log | FileKind::Table)
}

/// Whether the table's file is no longer there, under either of its names.
fn remove_table(fs: &dyn Fs, number: u64) -> bool {
    match fs.remove(&filename::table(number)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            is_gone(fs.remove(&filename::table_old(number)))
        }
        removed => removed.is_ok(),
    }
}

fn is_gone(removed: io::Result<()>) -> bool {
    match removed {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}
