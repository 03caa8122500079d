//! The engine and the leader's handle beside C++ LevelDB: the same work in the same directory layout, one process each.

use std::path::{Path, PathBuf};

use level_party_bench::{Child, Peer, Result, Summary, Table, Unit};

use crate::settings::{Settings, argument};

/// Workload, its name in the table, and whether it reads a database that was filled and compacted before.
const WORKLOADS: [(&str, &str, bool); 9] = [
    ("put-random", "put random", false),
    ("put-sequential", "put sequential", false),
    ("batch-random", "batch 1,000 random, an entry", false),
    (
        "batch-sequential",
        "batch 1,000 sequential, an entry",
        false,
    ),
    ("get-hit", "get hit", true),
    ("get-hot", "get hit, 10,000 hot entries", true),
    ("get-miss", "get miss, no filter", true),
    ("scan-forward", "scan forward, an entry", true),
    ("scan-reverse", "scan reverse, an entry", true),
];

/// Who is measured. Ours read one database, which the engine wrote; the peer reads its own.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Peer(&'a Peer),
    Ours(&'static str),
}

pub fn measure(settings: &Settings, peer: Option<&Peer>) -> Result<Table> {
    let prepared = settings.temporary()?;
    let ours = prepared.path().join("ours");
    let theirs = prepared.path().join("theirs");
    run(settings, Subject::Ours("engine"), "prepare", &ours)?;
    if let Some(peer) = peer {
        run(settings, Subject::Peer(peer), "prepare", &theirs)?;
    }
    let mut table = Table::new("One process, one thread", Unit::Micros);
    for (workload, name, reads) in WORKLOADS {
        let subjects = [
            ("C++ LevelDB", peer.map(Subject::Peer)),
            ("engine", Some(Subject::Ours("engine"))),
            ("leader's handle", Some(Subject::Ours("party"))),
        ];
        let mut figures: [Vec<Summary>; 3] = Default::default();
        for _ in 0..settings.rounds() {
            for ((_, subject), figures) in subjects.iter().zip(&mut figures) {
                let Some(subject) = *subject else { continue };
                let dir = match (reads, subject) {
                    (false, _) => RunDir::fresh(settings)?,
                    (true, Subject::Peer(_)) => RunDir::Kept(theirs.clone()),
                    (true, Subject::Ours(_)) => RunDir::Kept(ours.clone()),
                };
                figures.push(run(settings, subject, workload, dir.path())?);
            }
        }
        table.group(name);
        for ((name, subject), figures) in subjects.iter().zip(figures) {
            table.row(*name, subject.map(|_| Summary::median(&figures)));
        }
    }
    Ok(table)
}

enum RunDir {
    Kept(PathBuf),
    Fresh(tempfile::TempDir),
}

impl RunDir {
    fn fresh(settings: &Settings) -> Result<RunDir> {
        Ok(RunDir::Fresh(settings.temporary()?))
    }

    fn path(&self) -> &Path {
        match self {
            RunDir::Kept(path) => path,
            RunDir::Fresh(dir) => dir.path(),
        }
    }
}

fn run(settings: &Settings, subject: Subject<'_>, workload: &str, dir: &Path) -> Result<Summary> {
    let (entries, compression) = (settings.entries(), settings.compression());
    match subject {
        Subject::Peer(peer) => peer.measure(workload, dir, entries, compression),
        Subject::Ours(store) => run_store(store, workload, dir, settings),
    }
}

/// Has a child of this program do `workload` on `store` in `dir`.
pub fn run_store(store: &str, workload: &str, dir: &Path, settings: &Settings) -> Result<Summary> {
    let entries = settings.entries().to_string();
    let dir = argument(dir)?;
    let arguments = [
        "--role",
        "store",
        store,
        workload,
        dir,
        &entries,
        settings.compression(),
    ];
    let mut child = Child::myself(&arguments)?;
    let figures = Summary::from_line(&child.hear()?)?;
    child.finish()?;
    Ok(figures)
}
