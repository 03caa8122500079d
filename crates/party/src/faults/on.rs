//! What [`super`] does when it is compiled in.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use level_party_engine::{Fs, ReadFile, StdFs, WriteFile};

/// Where a process can be made to die, in the order in which a leadership that writes its tables before it answers reaches
/// them first. Where the answers come first, those of the table and the manifest are reached later, while it settles.
pub const POINTS: &[&str] = &[
    "lock-taken",
    "word-taken",
    "bound",
    "log-created",
    "table-created",
    "table-synced",
    "manifest-appended",
    "manifest-synced",
    "manifest-noted",
    "current-renamed",
    "recovered",
    "row-written",
    "tripwire-set",
    "epoch-raised",
    "serving",
    "promoted",
    "welcomed",
    "attached",
    "sent-again",
    "claimed",
    "intent-written",
    "log-half-appended",
    "log-appended",
    "log-synced",
    "applied",
    "answers-sent",
    "answer-received",
    "file-removed",
    "endpoint-unlinked",
    "engine-closed",
];

/// What can be planted.
pub const BUGS: &[&str] = &[
    "ack-before-append",
    "blind-resend",
    "no-epoch-check",
    "flock-only",
    "pin-leaked-on-disconnect",
    "reverse-resume-decremented",
    "snapshot-dropped-on-failover",
    "unlink-by-follower",
];

/// The point at which this process dies, and how often it is reached before.
struct Death {
    point: &'static str,
    left: AtomicU64,
}

static DEATH: LazyLock<Option<Death>> = LazyLock::new(|| {
    let told = std::env::var("LEVEL_PARTY_KILL").ok()?;
    let (name, nth) = told.split_once(':').unwrap_or((&told, "1"));
    Some(Death {
        point: known(POINTS, name),
        left: AtomicU64::new(nth.parse().expect("LEVEL_PARTY_KILL=NAME:N")),
    })
});

/// The point at which a thread of this process stands still until the pipe at the path, which it opens to read, has come to
/// its end: so whoever opens it to write knows that the thread is there.
static HOLD: LazyLock<Option<(Death, String)>> = LazyLock::new(|| {
    let told = std::env::var("LEVEL_PARTY_HOLD").ok()?;
    let mut parts = told.splitn(3, ':');
    let mut next = || parts.next().expect("LEVEL_PARTY_HOLD=NAME:N:PIPE");
    let point = known(POINTS, next());
    let nth = next().parse().expect("LEVEL_PARTY_HOLD=NAME:N:PIPE");
    let left = AtomicU64::new(nth);
    Some((Death { point, left }, next().to_owned()))
});

static PLANTED: LazyLock<Option<&'static str>> = LazyLock::new(|| {
    let told = std::env::var("LEVEL_PARTY_PLANT").ok()?;
    Some(known(BUGS, &told))
});

static CHUNK_PASSES: LazyLock<Option<u64>> = LazyLock::new(|| {
    let told = std::env::var("LEVEL_PARTY_CHUNK_PASSES").ok()?;
    Some(told.parse().expect("LEVEL_PARTY_CHUNK_PASSES=COUNT"))
});

static REPLY_FRAME: LazyLock<Option<usize>> = LazyLock::new(|| {
    let told = std::env::var("LEVEL_PARTY_REPLY_FRAME").ok()?;
    Some(told.parse().expect("LEVEL_PARTY_REPLY_FRAME=BYTES"))
});

fn known(names: &'static [&'static str], name: &str) -> &'static str {
    let found = names.iter().find(|known| **known == name);
    found.unwrap_or_else(|| panic!("{name:?} is none of {names:?}"))
}

pub(crate) fn point(name: &'static str) {
    debug_assert!(POINTS.contains(&name), "{name}");
    let is_reached =
        |death: &Death| death.point == name && death.left.fetch_sub(1, Ordering::Relaxed) == 1;
    if DEATH.as_ref().is_some_and(is_reached) {
        std::process::abort();
    }
    if let Some((hold, pipe)) = &*HOLD
        && is_reached(hold)
    {
        std::fs::read(pipe).expect("a pipe to stand still at");
    }
}

pub(crate) fn planted(name: &'static str) -> bool {
    debug_assert!(BUGS.contains(&name), "{name}");
    *PLANTED == Some(name)
}

pub(crate) fn chunk_passes(limit: u64) -> u64 {
    CHUNK_PASSES.unwrap_or(limit)
}

pub(crate) fn reply_frame(limit: usize) -> usize {
    REPLY_FRAME.unwrap_or(limit)
}

pub(crate) fn files(fs: StdFs) -> Arc<dyn Fs> {
    Arc::new(Files(fs))
}

/// Files whose every change is a kill point.
struct Files(StdFs);

#[derive(Clone, Copy)]
enum Kind {
    Log,
    Manifest,
    Table,
    Other,
}

fn kind(name: &str) -> Kind {
    match name {
        _ if name.ends_with(".log") => Kind::Log,
        _ if name.ends_with(".ldb") => Kind::Table,
        _ if name.starts_with("MANIFEST-") => Kind::Manifest,
        _ => Kind::Other,
    }
}

impl Fs for Files {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn open_read(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
        self.0.open_read(name)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.0.read(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        Ok(created(self.0.create(name)?, name))
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        Ok(created(self.0.create_new(name)?, name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)?;
        if to == "CURRENT" {
            point("current-renamed");
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)?;
        point("file-removed");
        Ok(())
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        self.0.exists(name)
    }

    fn link(&self, name: &str, target: &dyn Fs, to: &str) -> io::Result<()> {
        self.0.link(name, target, to)
    }

    fn keep_open_at_most(&self, tables: usize) {
        self.0.keep_open_at_most(tables);
    }

    fn directory(&self) -> Option<&Path> {
        self.0.directory()
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.0.sync_dir()
    }
}

struct File {
    file: Box<dyn WriteFile>,
    kind: Kind,
}

fn created(file: Box<dyn WriteFile>, name: &str) -> Box<dyn WriteFile> {
    let kind = kind(name);
    match kind {
        Kind::Log => point("log-created"),
        Kind::Table => point("table-created"),
        Kind::Manifest | Kind::Other => {}
    }
    Box::new(File { file, kind })
}

impl WriteFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.kind {
            Kind::Log => {
                if let Some(death) = &*DEATH
                    && death.point == "log-half-appended"
                    && death.left.load(Ordering::Relaxed) == 1
                {
                    self.file.append(&bytes[..bytes.len() / 2])?;
                    point("log-half-appended");
                }
                point("log-half-appended");
                self.file.append(bytes)?;
                point("log-appended");
            }
            Kind::Manifest => {
                self.file.append(bytes)?;
                point("manifest-appended");
            }
            Kind::Table | Kind::Other => self.file.append(bytes)?,
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        match self.kind {
            Kind::Log => point("log-synced"),
            Kind::Manifest => point("manifest-synced"),
            Kind::Table => point("table-synced"),
            Kind::Other => {}
        }
        Ok(())
    }
}
