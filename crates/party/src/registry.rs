//! The nodes of this process, one a directory.
//!
//! A second node on one directory would fight the first for `LOCK`, and closing a file that another program's lock
//! code has open would drop its locks (fcntl(2)). So the registry is asked before anything in the directory is
//! opened, by the directory's identity and not by its name.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use level_party_os::{DataDir, DirIdentity, Filesystem};
use parking_lot::Mutex;

use crate::election::Elector;
use crate::error::{Error, ErrorKind, Result};
use crate::node::Node;
use crate::options::Options;

static NODES: LazyLock<Mutex<HashMap<DirIdentity, Arc<Elector>>>> = LazyLock::new(Mutex::default);

/// The node of the directory at `path`, made if there is none. The caller's handle is counted.
pub(crate) fn join(path: &Path, options: Options) -> Result<Arc<Elector>> {
    let dir = open_directory(path, options.create_if_missing)?;
    let mut nodes = NODES.lock();
    if let Some(elector) = nodes
        .get(&dir.identity())
        .filter(|elector| elector.node().is_usable())
    {
        elector.add_handle();
        return Ok(elector.clone());
    }
    let identity = dir.identity();
    let elector = Elector::start(Node::new(dir, options)?)?;
    nodes.insert(identity, elector.clone());
    Ok(elector)
}

/// One handle less. True: it was the last, and the node is no longer found.
pub(crate) fn leave(elector: &Arc<Elector>) -> bool {
    let mut nodes = NODES.lock();
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
    let context = |error| Error::io(format_args!("cannot open {}", path.display()), error);
    match std::fs::metadata(path) {
        Ok(meta) if !meta.is_dir() => {
            return Err(Error::new(
                ErrorKind::NotADirectory,
                format!("{} is a file; a database is a directory", path.display()),
            ));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && create => {
            std::fs::create_dir_all(path).map_err(|error| {
                Error::io(format_args!("cannot create {}", path.display()), error)
            })?;
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
    let dir = DataDir::open(&full).map_err(context)?;
    match dir.filesystem().map_err(context)? {
        Filesystem::Local(_) => Ok(dir),
        other => Err(Error::new(
            ErrorKind::UnsupportedFilesystem,
            format!(
                "{} lies on {other:?}, where locks of several hosts or mounts cannot be trusted; use a local disk",
                path.display()
            ),
        )),
    }
}
