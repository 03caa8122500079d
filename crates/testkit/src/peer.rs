//! C++ LevelDB as a peer: the versions that `ci/peers/install` puts below `target/peers`, and our own program as one
//! more, all spoken to in the lines of `ci/peers/README.md`.

mod child;
mod options;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use child::PeerChild;
pub use options::PeerOptions;

use crate::model::{Entries, Op};
use crate::run;

/// The environment variable that names the directory of `ci/peers/install` where it is not `target/peers`.
const PEERS: &str = "LEVEL_PARTY_PEERS";

/// Entries that [`Peer::load`] puts into one batch.
const LOAD_BATCH: usize = 1000;

/// A program that opens a LevelDB directory and speaks a peer's lines.
#[derive(Debug, Clone)]
pub struct Peer {
    name: &'static str,
    command: Vec<OsString>,
    environment: Option<(&'static str, OsString)>,
}

fn installed(part: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let peers =
        std::env::var_os(PEERS).map_or_else(|| workspace.join("target/peers"), PathBuf::from);
    let path = peers.join(part);
    assert!(
        path.exists(),
        "{} is missing: run ci/peers/install",
        path.display()
    );
    path
}

fn source(name: &str) -> OsString {
    let ci = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ci/peers");
    ci.join(name).into()
}

impl Peer {
    /// The `node_modules` that hold npm's `classic-level`.
    ///
    /// # Panics
    /// If `ci/peers/install` was not run.
    pub fn node_modules() -> PathBuf {
        installed("node/node_modules")
    }

    /// LevelDB 1.20, inside npm's `classic-level`. Its tables always have a filter.
    ///
    /// # Panics
    /// If `ci/peers/install` was not run; so the other two.
    pub fn leveldb_1_20() -> Self {
        Peer {
            name: "LevelDB 1.20",
            command: vec!["node".into(), source("classic_level_peer.js")],
            environment: Some(("NODE_PATH", installed("node/node_modules").into())),
        }
    }

    /// LevelDB 1.22, inside PyPI's `plyvel`.
    pub fn leveldb_1_22() -> Self {
        Peer {
            name: "LevelDB 1.22",
            command: vec![
                installed("venv/bin/python").into(),
                source("plyvel_peer.py"),
            ],
            environment: None,
        }
    }

    /// LevelDB 1.23, Debian's `libleveldb-dev`.
    pub fn leveldb_1_23() -> Self {
        Peer {
            name: "LevelDB 1.23",
            command: vec![installed("leveldb_peer").into()],
            environment: None,
        }
    }

    /// Every C++ LevelDB.
    pub fn leveldbs() -> [Self; 3] {
        [
            Self::leveldb_1_20(),
            Self::leveldb_1_22(),
            Self::leveldb_1_23(),
        ]
    }

    /// Our own program `our-peer`: through the whole party (`"party"`) or the bare engine (`"engine"`).
    pub fn ours(program: &Path, layer: &'static str) -> Self {
        Peer {
            name: layer,
            command: vec![program.into(), layer.into()],
            environment: None,
        }
    }

    /// What it is called in a failure's words.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Starts it on `dir`, which it opens or makes.
    ///
    /// # Panics
    /// If it cannot be started or does not open the database.
    pub fn open(&self, dir: &Path, options: &PeerOptions) -> PeerChild {
        self.try_open(dir, options).unwrap_or_else(|words| {
            panic!("{} does not open {}: {words}", self.name, dir.display())
        })
    }

    /// As [`Peer::open`], or what it says when it does not open the database.
    ///
    /// # Panics
    /// If it cannot be started or gives no answer.
    pub fn try_open(&self, dir: &Path, options: &PeerOptions) -> Result<PeerChild, String> {
        PeerChild::start(self, dir, options)
    }

    /// Starts it on `dir` and kills it after a while, most likely in the middle of its recovery.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn die_while_opening(&self, dir: &Path, options: &PeerOptions, after: Duration) {
        child::start_and_kill(self, dir, options, after);
    }

    /// Opens the database in `dir` with the default options.
    ///
    /// # Panics
    /// As [`Peer::open`].
    pub fn hold(&self, dir: &Path) -> PeerChild {
        self.open(dir, &PeerOptions::default())
    }

    /// All entries of the database in `dir`, in its order.
    ///
    /// # Panics
    /// As [`Peer::open`].
    pub fn dump(&self, dir: &Path) -> Entries {
        let mut child = self.hold(dir);
        let entries = child.forward(None);
        child.close();
        entries
    }

    /// Has C++ LevelDB 1.23 repair the database in `dir` and gives all entries that can be read then, of blocks with good
    /// checksums alone; or what it says when it can't.
    ///
    /// # Panics
    /// If it cannot be started or does not end.
    pub fn repair(&self, dir: &Path) -> Result<Entries, String> {
        let program = Path::new(&self.command[0]);
        let finished = run(program, [dir.as_os_str(), "repair".as_ref()]);
        match finished.status.success() {
            true => Ok(finished.text().lines().map(child::entry).collect()),
            false => Err(finished.stderr),
        }
    }

    /// Puts `entries` into the database in `dir`.
    ///
    /// # Panics
    /// As [`Peer::open`].
    pub fn load<'a>(&self, dir: &Path, entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) {
        let mut child = self.hold(dir);
        let puts: Vec<Op> = entries
            .into_iter()
            .map(|(key, value)| Op::Put(key.to_vec(), value.to_vec()))
            .collect();
        for batch in puts.chunks(LOAD_BATCH) {
            child.write(batch, false);
        }
        child.close();
    }
}
