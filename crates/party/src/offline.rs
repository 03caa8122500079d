//! Work on a database that nobody has open: destroy and repair.
//!
//! Invariants:
//! - First the directory is claimed from this process's own threads (the registry), then its [`DirLock`] is taken; both are
//!   held to the end. Whoever has it is named in the error.
//! - A leader that lives on although every lock failed writes nothing more: the epoch word is taken as a candidate takes it.
//! - **Destroy** leaves a directory that opens as the whole old database, or as none: `CURRENT` goes first. From the first
//!   removal to the last but one of a file there is a `level-party.state`, which says that a database was here, so that
//!   what a crash leaves can be destroyed again (on Windows to the last but two: `LOCK` goes last, when it is free). Then
//!   comes the directory itself, if it is empty.
//! - **Repair** takes the tripwire away before anything else changes: the next leader takes the history for another
//!   program's, so that no write in flight and no watch goes on as if nothing had happened.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind as K};
use std::path::Path;
use std::sync::Arc;

use level_party_engine::{Fs, StdFs, refuse_foreign};
use level_party_os::{DataDir, DirLock, ENDPOINT_NAME, LOCK_NAME, LockError, sync_directory};

use crate::error::{Error, ErrorKind, Result};
use crate::options::{Options, into_engine_options};
use crate::registry::{self, Claim};
use crate::repair::RepairOptions;
use crate::report::{Destroyed, RepairReport};
use crate::state_file::{STATE_NAME, StateFile};
use crate::tripwire;

/// Names of what openings set aside, of what repairs replaced, and of the record of losses begin with these.
const ENGINES_OWN: [&str; 4] = [
    "level-party.service",
    "level-party.aside-",
    "level-party.replaced-",
    "level-party.losses",
];
const CURRENT: &str = "CURRENT";

/// A directory that nobody else has.
struct Alone {
    /// Released before the claim.
    lock: Option<DirLock>,
    claim: Claim,
}

impl Alone {
    fn dir(&self) -> &DataDir {
        &self.claim.dir
    }

    fn lock(claim: Claim) -> Result<Self> {
        let path = claim.dir.path();
        match DirLock::try_acquire(&claim.dir) {
            Ok(lock) => Ok(Alone {
                lock: Some(lock),
                claim,
            }),
            Err(LockError::Held(held)) => Err(Error::new(
                ErrorKind::Locked,
                format!(
                    "{} is locked by {}; close it there first",
                    path.display(),
                    held.holder()
                ),
            )),
            Err(LockError::Io(error)) => Err(Error::refused(path, error)),
        }
    }
}

pub(crate) fn destroy(path: &Path) -> Result<Destroyed> {
    let claim = registry::claim(path)?;
    // Before the lock, which makes a file.
    check_marked(&claim.dir)?;
    check_not_foreign(&claim.dir, "destroy")?;
    let alone = Alone::lock(claim)?;
    check_marked(alone.dir())?;
    remove_all(alone, path).map_err(Error::in_part)
}

/// Removes the database's files, and the directory where it is empty then.
fn remove_all(mut alone: Alone, path: &Path) -> Result<Destroyed> {
    let files = alone.dir().anchored_path();
    let context = |what: &str| {
        let what = format!("cannot remove {what} in {}", path.display());
        move |error: io::Error| Error::io(what, error)
    };
    // The mark, durable before anything goes.
    let state = StateFile::open(&files)?;
    let sync = || sync_directory(&files);
    sync().map_err(context("anything"))?;
    let destroyed = level_party_engine::destroy(&StdFs::new(&files));
    let mut removed = destroyed.map_err(Error::engine)?.removed;
    let mut remove = |name: &str| -> Result<()> {
        match fs::remove_file(files.join(name)) {
            Err(error) if error.kind() == K::NotFound => {}
            done => {
                done.map_err(context(name))?;
                removed.push(name.to_owned());
            }
        }
        Ok(())
    };
    let mut aside: Vec<String> = names(&files)
        .map_err(context("anything"))?
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .filter(|name| ENGINES_OWN.iter().any(|own| name.starts_with(own)))
        .collect();
    aside.sort();
    for name in aside {
        remove(&name)?;
    }
    remove(ENDPOINT_NAME)?;
    if cfg!(windows) {
        // What is mapped or locked can't be removed here.
        drop(state);
        remove(STATE_NAME)?;
        sync().map_err(context("anything"))?;
        alone.lock = None;
        match remove(LOCK_NAME) {
            // Somebody else has it already; it is among what is left.
            Err(_) if files.join(LOCK_NAME).exists() => {}
            done => done?,
        }
    } else {
        // The directory's own lock still keeps members out, and there is no database to be kept from others.
        remove(LOCK_NAME)?;
        sync().map_err(context("anything"))?;
        remove(STATE_NAME)?;
        drop(state);
    }
    sync().map_err(context("anything"))?;
    let left: Vec<String> = names(&files)
        .map_err(context("anything"))?
        .into_iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let directory_removed =
        left.is_empty() && remove_directory(alone.dir()).map_err(context("it"))?;
    Ok(Destroyed {
        removed,
        left,
        directory_removed,
    })
}

/// False: somebody has put something there, or somewhere else.
fn remove_directory(dir: &DataDir) -> io::Result<bool> {
    if !dir.is_at_path()? {
        return Ok(false);
    }
    match fs::remove_dir(dir.path()) {
        Err(error) if matches!(error.kind(), K::DirectoryNotEmpty | K::NotFound) => {
            return Ok(false);
        }
        removed => removed?,
    }
    if let Some(parent) = dir.path().parent() {
        sync_directory(parent)?;
    }
    Ok(true)
}

/// Another product's files are not this program's to mend or remove.
fn check_not_foreign(dir: &DataDir, what: &str) -> Result<()> {
    // Whoever removes or repairs a Bedrock world needs no option for it.
    let options = Options::default().reject_writes(true);
    let fs = StdFs::new(dir.anchored_path());
    refuse_foreign(&fs, &into_engine_options(&options, &options.engine)).map_err(|error| {
        Error::engine(error).context(format_args!("cannot {what} {}", dir.path().display()))
    })
}

/// # Errors
/// `NotFound`: there is no database, nor what is left of one that was being destroyed.
fn check_marked(dir: &DataDir) -> Result<()> {
    let files = dir.anchored_path();
    for name in [CURRENT, STATE_NAME] {
        match fs::symlink_metadata(files.join(name)) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == K::NotFound => {}
            Err(error) => return Err(Error::refused(dir.path(), error)),
        }
    }
    Err(Error::new(
        ErrorKind::NotFound,
        format!(
            "{} holds no LevelDB database (it has no CURRENT); nothing was changed",
            dir.path().display()
        ),
    ))
}

impl RepairOptions {
    /// Repairs the database in the directory `path`.
    ///
    /// # Errors
    /// As [`Db::repair`](crate::Db::repair).
    pub fn run(self, path: impl AsRef<Path>) -> Result<RepairReport> {
        repair(path.as_ref(), self)
    }
}

fn repair(path: &Path, options: RepairOptions) -> Result<RepairReport> {
    crate::descriptors::raise_limit();
    let claim = registry::claim(path)?;
    let files = claim.dir.anchored_path();
    let context = |error| Error::refused(path, error);
    check_files(&files).map_err(context)?;
    check_not_foreign(&claim.dir, "repair")?;
    let tables = crate::descriptors::for_tables();
    let fs: Arc<dyn Fs> = Arc::new(StdFs::new(&files).keeping_open(tables));
    let defaults = Options {
        order: options.order.clone(),
        ..Options::default()
    };
    let repair =
        level_party_engine::Repair::new(fs, into_engine_options(&defaults, &defaults.engine))
            .bring_back_aside(options.bring_back_aside)
            .allow_empty(options.allow_empty);
    let in_directory = |error: level_party_engine::Error| {
        Error::engine(error).context(format_args!("cannot repair {}", path.display()))
    };
    let looked = files.join(LOCK_NAME).try_exists().map_err(context)?;
    if options.dry_run {
        // Nobody has it who left no LOCK; and none is made to look.
        let _alone = match looked {
            true => Alone::lock(claim)?,
            false => Alone { lock: None, claim },
        };
        return repair.run().map(RepairReport::of).map_err(in_directory);
    }
    if !has_database(&files).map_err(context)? {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("{} holds no LevelDB database", path.display()),
        ));
    }
    let _alone = Alone::lock(claim)?;
    let _state = match files.join(STATE_NAME).try_exists().map_err(context)? {
        true => Some(StateFile::open(&files)?),
        false => None,
    };
    let was_set = tripwire::is_set(&files)?;
    tripwire::remove(&files)?;
    let repaired = repair.dry_run(false).run();
    let report = repaired.map(RepairReport::of).map_err(in_directory)?;
    if was_set && !report.done {
        tripwire::set(&files)?;
    }
    Ok(report)
}

fn names(directory: &Path) -> io::Result<Vec<OsString>> {
    let mut names = fs::read_dir(directory)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// Refuses a directory in which something else has the name of a database's file. To open a pipe waits for whoever writes
/// to it.
fn check_files(directory: &Path) -> io::Result<()> {
    for name in names(directory)?.iter().filter(|name| is_part(name)) {
        let kind = match fs::metadata(directory.join(name)) {
            // A link that leads nowhere: it is missing.
            Err(error) if error.kind() == K::NotFound => continue,
            metadata => metadata?.file_type(),
        };
        if !kind.is_file() {
            let message = format!("{} is not a file", name.display());
            return Err(io::Error::new(K::InvalidData, message));
        }
    }
    Ok(())
}

/// Whether there is any file that a repair can begin with.
fn has_database(directory: &Path) -> io::Result<bool> {
    Ok(names(directory)?.iter().any(is_part))
}

/// Whether a file of a database may have this name.
fn is_part(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    let ends = [".ldb", ".sst", ".log"]
        .iter()
        .any(|end| name.ends_with(end));
    name == CURRENT || name.starts_with("MANIFEST-") || ends
}
