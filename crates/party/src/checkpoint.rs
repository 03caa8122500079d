//! Where a checkpoint is made, and how it gets its name.
//!
//! Invariants:
//! - The target's name means nothing, or the whole copy, durable. The leader fills a *staging directory* beside it, named
//!   after a random token; the caller renames that one, and syncs the parent, before it lets go of its side connection.
//! - Whoever removes a staging directory gives it another name first, in one step. So either the rename to the target
//!   finds it whole, or it does not find it: nothing is ever removed from what has become the target.
//! - Of two leaders in turn the second begins anew: what the first has left under the token is removed first.
//! - The copy is readable to no more people than the database is: it has the permissions of the database's directory, or
//!   those of the empty directory that was there.
//!
//! Crash cases: the leader dies: the next one is asked with the same token, and the caller removes what is left in the end.
//! The caller dies: the leader sees the end of the connection and removes the staging directory, unless it leaves at that
//! very moment. Both die, or they are one process: the staging directory stays.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind as K};
use std::path::{Path, PathBuf};

use level_party_engine::StdFs;
use level_party_os::{DataDir, DirIdentity, sync_directory};
use serde_bytes::ByteBuf;

use crate::epoch::random_words;
use crate::error::{Error, ErrorKind, Result};
use crate::names;
use crate::protocol::Checkpoint;

/// As much of the target's name goes into that of the staging directory; names have 255 bytes at most.
const NAME_CHARS: usize = 40;

/// The caller's end: where the copy is to be.
pub(crate) struct CopyTarget {
    parent: DataDir,
    target: PathBuf,
    permissions: Permissions,
    token: u64,
}

impl CopyTarget {
    /// Looks whether a copy of the database in `database` can come to `path`.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound`, `InvalidArgument`; the system's.
    pub fn find(path: &Path, database: &DataDir) -> Result<Self> {
        let Some(name) = path.file_name() else {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "{} names no entry of a directory, so no copy can be put there",
                    path.display()
                ),
            ));
        };
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let open = || DataDir::open(&fs::canonicalize(parent)?);
        let parent = open().map_err(|error| {
            Error::io(
                format_args!("cannot open {}, where the copy is to be", parent.display()),
                error,
            )
        })?;
        let target = parent.path().join(name);
        let permissions = match free(&target)? {
            Some(of_empty_directory) => of_empty_directory,
            None => fs::metadata(database.anchored_path())
                .map_err(|error| Error::io("cannot look at the database's directory", error))?
                .permissions(),
        };
        let [token, _] =
            random_words().map_err(|error| Error::io("cannot draw a random name", error))?;
        Ok(CopyTarget {
            parent,
            target,
            permissions,
            token,
        })
    }

    /// What the leader is asked for.
    ///
    /// # Errors
    /// None but a bug's: the target has a name.
    pub fn task(&self) -> Result<Checkpoint> {
        let name = self.target.file_name();
        let name = name.ok_or_else(|| Error::protocol("a copy without a name"))?;
        let DirIdentity { dev, ino } = self.parent.identity();
        Ok(Checkpoint {
            parent: ByteBuf::from(names::to_bytes(self.parent.path().as_os_str())),
            parent_identity: (dev, ino),
            name: ByteBuf::from(names::to_bytes(name)),
            token: self.token,
        })
    }

    /// The leader has made the copy: it gets its name, durably.
    ///
    /// # Errors
    /// `AlreadyExists`: something has come to the target meanwhile; the system's.
    pub fn take(&self) -> Result<()> {
        let staging = self.staging();
        if cfg!(windows) {
            // A rename replaces no directory here. If it is not empty, it stays, and the rename fails.
            let _ = fs::remove_dir(&self.target);
        }
        let renamed = fs::set_permissions(&staging, self.permissions.clone())
            .and_then(|()| fs::rename(&staging, &self.target));
        renamed.map_err(|error| match error.kind() {
            K::AlreadyExists | K::DirectoryNotEmpty | K::NotADirectory => taken(&self.target),
            K::PermissionDenied if cfg!(windows) && self.target.exists() => taken(&self.target),
            _ => Error::io(
                format_args!("cannot give the copy its name {}", self.target.display()),
                error,
            ),
        })?;
        let synced = sync_directory(&self.parent.anchored_path());
        synced.map_err(|error| Error::io("cannot sync the copy's parent directory", error))
    }

    /// Removes what is left of work that did not succeed.
    pub fn clean(&self) {
        discard(&self.staging());
    }

    fn staging(&self) -> PathBuf {
        let name = self.target.file_name().unwrap_or_default();
        self.parent.path().join(staging_name(name, self.token))
    }
}

/// The leader's end: the directory that it fills.
pub(crate) struct Staging {
    parent: PathBuf,
    parent_identity: DirIdentity,
    path: PathBuf,
}

impl Staging {
    pub fn new(copy: &Checkpoint) -> Self {
        let parent = PathBuf::from(names::from_bytes(&copy.parent));
        let path = parent.join(staging_name(&names::from_bytes(&copy.name), copy.token));
        let (dev, ino) = copy.parent_identity;
        Staging {
            parent,
            parent_identity: DirIdentity { dev, ino },
            path,
        }
    }

    /// Makes it, empty.
    ///
    /// # Errors
    /// `InvalidArgument`: another directory is there than the one that was meant; the system's.
    pub fn make(&self) -> Result<StdFs> {
        let context = |error| {
            let what = format_args!("cannot make a copy in {}", self.parent.display()).to_string();
            Error::io(what, error)
        };
        let is_meant = match DataDir::open(&self.parent) {
            Ok(parent) => parent.identity() == self.parent_identity,
            Err(error) if error.kind() == K::NotFound => false,
            Err(error) => return Err(context(error)),
        };
        if !is_meant {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "{} is another directory to the leader (process {}), which makes the copy; name one that both see \
                     under one name",
                    self.parent.display(),
                    std::process::id()
                ),
            ));
        }
        discard(&self.path);
        #[cfg_attr(windows, expect(unused_mut))] // it has the rights of what it is in
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.path).map_err(context)?;
        Ok(StdFs::new(&self.path))
    }

    /// Removes it, if it has not become the copy.
    pub fn discard(&self) {
        discard(&self.path);
    }
}

/// The same at both ends.
fn staging_name(name: &OsStr, token: u64) -> String {
    let name: String = name.to_string_lossy().chars().take(NAME_CHARS).collect();
    format!(".{name}.level-party-checkpoint-{token:016x}")
}

/// A file that can't be removed stays: nothing depends on it.
fn discard(staging: &Path) {
    let mut gone = staging.as_os_str().to_owned();
    gone.push("-discarded");
    // What a removal that was cut short has left.
    let _ = fs::remove_dir_all(&gone);
    if fs::rename(staging, &gone).is_ok() {
        let _ = fs::remove_dir_all(&gone);
    }
}

/// The permissions of the empty directory at `target`, if there is one.
///
/// # Errors
/// `AlreadyExists`.
fn free(target: &Path) -> Result<Option<Permissions>> {
    let context =
        |error: io::Error| Error::io(format_args!("cannot look at {}", target.display()), error);
    let meta = match fs::symlink_metadata(target) {
        Err(error) if error.kind() == K::NotFound => return Ok(None),
        looked => looked.map_err(context)?,
    };
    if !meta.is_dir() || fs::read_dir(target).map_err(context)?.next().is_some() {
        return Err(taken(target));
    }
    Ok(Some(meta.permissions()))
}

fn taken(target: &Path) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!(
            "{} exists; name a path where nothing is, or an empty directory",
            target.display()
        ),
    )
}
