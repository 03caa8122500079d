//! The nodes of this process, one a directory.
//!
//! A second node on one directory would fight the first for `LOCK`, and closing a file that another program's lock
//! code has open would drop its locks (fcntl(2)). So the registry is asked before anything in the directory is
//! opened, by the directory's identity and not by its name.
//!
//! A forked child begins with an empty registry. Its parent's is left as it is for good: what it names lives in the
//! parent, and a thread that is not in the child may have locked it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use level_party_engine::with_descriptors;
use level_party_locks::Mutex;
use level_party_os::process::fork_generation;
use level_party_os::{DataDir, DirIdentity, Filesystem};

use crate::descriptors;
use crate::election::Elector;
use crate::error::{Error, ErrorKind, Result};
use crate::node::Node;
use crate::options::Options;
use crate::service::{self, ServiceState};

static REGISTRY: ArcSwapOption<Registry> = ArcSwapOption::const_empty();

struct Registry {
    /// Of the process that it belongs to.
    fork_generation: u64,
    nodes: Mutex<HashMap<DirIdentity, Arc<Elector>>>,
    /// Directories that this process works on with nobody's node; locked after `nodes` where both are.
    claimed: Mutex<HashSet<DirIdentity>>,
}

/// This process's registry.
fn registry() -> Arc<Registry> {
    loop {
        let found = REGISTRY.load_full();
        let fork_generation = fork_generation();
        match found {
            Some(ours) if ours.fork_generation == fork_generation => return ours,
            other => {
                let new = Arc::new(Registry {
                    fork_generation,
                    nodes: Mutex::default(),
                    claimed: Mutex::default(),
                });
                REGISTRY.compare_and_swap(&other, Some(new));
                // The parent's, if there was one, is never dropped here.
                std::mem::forget(other);
            }
        }
    }
}

/// The node of the directory at `path`, made if there is none. The caller's handle is counted.
pub(crate) fn join(path: &Path, options: Options) -> Result<Arc<Elector>> {
    if options.raise_descriptor_limit {
        descriptors::raise_limit();
    }
    let dir = open_directory(path, options.create_if_missing)?;
    let registry = registry();
    let mut nodes = registry.nodes.lock();
    if let Some(elector) = nodes
        .get(&dir.identity())
        .filter(|elector| elector.node().is_usable())
    {
        let node = elector.node();
        let same = node.options.order.check_same(&options.order);
        same.map_err(|error| error.cannot_open(&node.path))?;
        check_filling(node, options.fills)?;
        elector.add_handle();
        return Ok(elector.clone());
    }
    let identity = dir.identity();
    if registry.claimed.lock().contains(&identity) {
        return Err(under_repair(dir.path()));
    }
    let elector = Elector::start(Node::new(dir, options)?)?;
    nodes.insert(identity, elector.clone());
    Ok(elector)
}

/// Refuses another kind of handle than those that the node has: all of them write where one does.
fn check_filling(node: &Node, fills: bool) -> Result<()> {
    match (fills, node.options.fills) {
        (true, false) => {
            let what = format!(
                "{} is open in this process; close it before a copy is made into it",
                node.path.display()
            );
            Err(Error::new(ErrorKind::Locked, what))
        }
        (false, true) => {
            let filling = ServiceState::Filling {
                progress: String::new(),
            };
            Err(service::refusal(&filling).cannot_open(&node.path))
        }
        _ => Ok(()),
    }
}

/// A directory that this process has for itself: none of its threads opens it meanwhile.
pub(crate) struct Claim {
    pub dir: DataDir,
    registry: Arc<Registry>,
}

/// Takes the directory at `path` for this process alone, as far as its own threads go.
///
/// # Errors
/// `Locked`: it is open in this process; as [`join`].
pub(crate) fn claim(path: &Path) -> Result<Claim> {
    let dir = open_directory(path, false)?;
    let registry = registry();
    let nodes = registry.nodes.lock();
    let node = nodes.get(&dir.identity());
    if node.is_some_and(|elector| elector.node().is_usable()) {
        return Err(Error::new(
            ErrorKind::Locked,
            format!(
                "{} is open in this process ({}); close it first",
                dir.path().display(),
                std::process::id()
            ),
        ));
    }
    if !registry.claimed.lock().insert(dir.identity()) {
        return Err(under_repair(dir.path()));
    }
    drop(nodes);
    Ok(Claim { dir, registry })
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.registry.claimed.lock().remove(&self.dir.identity());
    }
}

fn under_repair(path: &Path) -> Error {
    Error::new(
        ErrorKind::Locked,
        format!(
            "{} is being repaired or destroyed by this process ({}); wait for that",
            path.display(),
            std::process::id()
        ),
    )
}

/// One handle less. True: it was the last, and the node is no longer found.
pub(crate) fn leave(elector: &Arc<Elector>) -> bool {
    let registry = registry();
    let mut nodes = registry.nodes.lock();
    let last = elector.remove_handle();
    if last {
        let identity = elector.node().dir.identity();
        if nodes
            .get(&identity)
            .is_some_and(|found| Arc::ptr_eq(found, elector))
        {
            nodes.remove(&identity);
        }
    }
    last
}

fn open_directory(path: &Path, create: bool) -> Result<DataDir> {
    let context = |error| Error::refused(path, error);
    match std::fs::metadata(path) {
        Ok(meta) if !meta.is_dir() => {
            return Err(Error::new(
                ErrorKind::NotADirectory,
                format!(
                    "{} is a file; a database is a directory, so name the one that holds its files",
                    path.display()
                ),
            ));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && create => {
            make_directory(path)?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("there is no directory {}", path.display()),
            ));
        }
        Err(error) => return Err(context(error)),
    }
    let full = std::fs::canonicalize(path).map_err(context)?;
    let dir = with_descriptors(|| DataDir::open(&full)).map_err(context)?;
    trusted(path, &dir.filesystem().map_err(context)?)?;
    Ok(dir)
}

/// Makes the last directory of `path`, and no other: of a mistyped path nothing is made.
fn make_directory(path: &Path) -> Result<()> {
    // Without what can't be made, as the end of `name/.`.
    let plain: PathBuf = path.components().collect();
    let Err(error) = std::fs::create_dir(&plain) else {
        return Ok(());
    };
    let is_missing = |above: &&Path| !above.as_os_str().is_empty() && !above.exists();
    let above = plain.ancestors().skip(1);
    let missing = above.take_while(is_missing).last();
    match error.kind() {
        // Another process was faster.
        std::io::ErrorKind::AlreadyExists if path.is_dir() => Ok(()),
        _ => Err(match missing {
            Some(missing) => Error::new(
                ErrorKind::NotFound,
                format!(
                    "there is no directory {}, in which {} would be made: check the path, or make that directory first",
                    missing.display(),
                    path.display()
                ),
            ),
            None => Error::refused(path, error),
        }),
    }
}

/// Refuses filesystems on which locks and sockets do not mean the same to everybody.
fn trusted(path: &Path, filesystem: &Filesystem) -> Result<()> {
    let why = match filesystem {
        Filesystem::Local(_) => return Ok(()),
        Filesystem::Network(_) => "which other hosts share: a lock here does not keep them out",
        Filesystem::Fuse(_) => {
            "which a program answers for: it need not keep locks, nor carry sockets"
        }
    };
    Err(Error::new(
        ErrorKind::UnsupportedFilesystem,
        format!(
            "{} lies on {}, {why}; move the database to a local disk",
            path.display(),
            filesystem.name()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_creates_the_directory_but_not_missing_parents() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("dta");
        for path in [
            missing.join("db"),
            missing.join("deep/er/db/."),
            missing.join("db/"),
        ] {
            let error = open_directory(&path, true).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            let named = format!("no directory {},", missing.display());
            assert!(error.message().contains(&named), "{error}");
            assert!(!missing.exists(), "nothing was made");
        }
        open_directory(&missing, true).unwrap();
        open_directory(&missing.join("db/"), true).unwrap();
        open_directory(&missing.join("db"), true).unwrap();
    }

    #[test]
    fn network_filesystem_is_refused_with_what_to_do() {
        let path = Path::new("/mnt/shared/db");
        for filesystem in [
            Filesystem::Network("nfs".into()),
            Filesystem::Network("9p".into()),
            Filesystem::Fuse("fuse".into()),
        ] {
            let error = trusted(path, &filesystem).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnsupportedFilesystem);
            for word in ["/mnt/shared/db", filesystem.name(), "a local disk"] {
                assert!(error.message().contains(word), "{error}");
            }
        }
        trusted(path, &Filesystem::Local("ext4".into())).unwrap();
    }
}
