//! What [`super`] does when it is compiled in.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use level_party_engine::{Fs, LogFile, ReadFile, StdFs, WriteFile};

/// Where a process can be made to die, in the order in which a founder reaches them first.
pub const POINTS: &[&str] = &[
    "lock-taken",
    "word-taken",
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
    "byte-taken",
    "lowered",
    "succeeded",
    "bound",
    "serving",
    "welcomed",
    "work-begun",
    "service-file",
    "service-word",
    "copy-writes",
    "copy-moves",
    "copy-compared",
    "log-half-appended",
    "log-appended",
    "log-synced",
    "file-removed",
    "endpoint-unlinked",
    "stopped-leading",
    "engine-closed",
];

/// The steps of the engine, at which it can be made to die too.
pub const STEPS: &[&str] = level_party_engine::Step::NAMES;

/// What can be planted.
pub const BUGS: &[&str] = &[
    "no-epoch-check",
    "flock-only",
    "reverse-resume-decremented",
    "unlink-by-follower",
];

/// A point at which something happens to this process, and how often it is reached before.
struct Fate {
    point: &'static str,
    left: AtomicU64,
}

impl Fate {
    /// What a variable says: `NAME:N`.
    fn told_by(variable: &str, names: &[&[&'static str]]) -> Option<Fate> {
        let told = std::env::var(variable).ok()?;
        let (name, nth) = told.split_once(':').unwrap_or((&told, "1"));
        let nth = nth.parse();
        Some(Fate {
            point: known(names, name),
            left: AtomicU64::new(nth.unwrap_or_else(|_| panic!("{variable}=NAME:N"))),
        })
    }

    /// Whether it happens now that this point is reached.
    fn is_now(&self, point: &str) -> bool {
        self.point == point && self.left.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

static DEATH: LazyLock<Option<Fate>> =
    LazyLock::new(|| Fate::told_by("LEVEL_PARTY_KILL", &[POINTS, STEPS]));

#[cfg(unix)]
static STOP: LazyLock<Option<Fate>> =
    LazyLock::new(|| Fate::told_by("LEVEL_PARTY_STOP", &[POINTS, STEPS]));

static FAILURE: LazyLock<Option<Fate>> =
    LazyLock::new(|| Fate::told_by("LEVEL_PARTY_FAIL", &[&["append", "sync"]]));

/// The point at which a thread of this process stands still until the pipe at the path, which it opens to read, has come to
/// its end: so whoever opens it to write knows that the thread is there.
static HOLD: LazyLock<Option<(Fate, String)>> = LazyLock::new(|| {
    let told = std::env::var("LEVEL_PARTY_HOLD").ok()?;
    let mut parts = told.splitn(3, ':');
    let mut next = || parts.next().expect("LEVEL_PARTY_HOLD=NAME:N:PIPE");
    let point = known(&[POINTS, STEPS], next());
    let nth = next().parse().expect("LEVEL_PARTY_HOLD=NAME:N:PIPE");
    let left = AtomicU64::new(nth);
    Some((Fate { point, left }, next().to_owned()))
});

static PLANTED: LazyLock<Option<&'static str>> = LazyLock::new(|| {
    let told = std::env::var("LEVEL_PARTY_PLANT").ok()?;
    Some(known(&[BUGS], &told))
});

static CHUNK_PASSES: LazyLock<Option<u64>> = LazyLock::new(|| {
    let told = std::env::var("LEVEL_PARTY_CHUNK_PASSES").ok()?;
    Some(told.parse().expect("LEVEL_PARTY_CHUNK_PASSES=COUNT"))
});

fn known(names: &[&[&'static str]], name: &str) -> &'static str {
    let found = names.concat().into_iter().find(|known| *known == name);
    found.unwrap_or_else(|| panic!("{name:?} is none of {names:?}"))
}

pub(crate) fn point(name: &'static str) {
    debug_assert!(POINTS.contains(&name) || STEPS.contains(&name), "{name}");
    let is_now = |fate: &Fate| fate.is_now(name);
    if DEATH.as_ref().is_some_and(is_now) {
        std::process::abort();
    }
    #[cfg(unix)]
    if STOP.as_ref().is_some_and(is_now) {
        level_party_os::process::stop_this_one().expect("a process may stop itself");
    }
    if let Some((hold, pipe)) = &*HOLD
        && is_now(hold)
    {
        std::fs::read(pipe).expect("a pipe to stand still at");
    }
}

/// Whether this call is the one that was to fail.
fn fails(call: &str) -> bool {
    FAILURE.as_ref().is_some_and(|failure| failure.is_now(call))
}

pub(crate) fn planted(name: &'static str) -> bool {
    debug_assert!(BUGS.contains(&name), "{name}");
    *PLANTED == Some(name)
}

pub(crate) fn chunk_passes(limit: u64) -> u64 {
    CHUNK_PASSES.unwrap_or(limit)
}

pub(crate) fn files(fs: StdFs) -> Arc<dyn Fs> {
    Arc::new(Files(fs))
}

/// Files whose every change is a kill point.
struct Files(StdFs);

#[derive(Clone, Copy)]
enum Kind {
    Manifest,
    Table,
    Other,
}

fn kind(name: &str) -> Kind {
    match name {
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

    fn create_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let log = Log(self.0.create_log(name)?);
        point("log-created");
        Ok(Box::new(log))
    }

    fn open_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(Log(self.0.open_log(name)?)))
    }

    fn longest_file(&self) -> u64 {
        self.0.longest_file()
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
    if let Kind::Table = kind {
        point("table-created");
    }
    Box::new(File { file, kind })
}

impl WriteFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)?;
        if let Kind::Manifest = self.kind {
            point("manifest-appended");
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        match self.kind {
            Kind::Manifest => point("manifest-synced"),
            Kind::Table => point("table-synced"),
            Kind::Other => {}
        }
        Ok(())
    }
}

/// A log whose every change is a kill point.
struct Log(Box<dyn LogFile>);

impl LogFile for Log {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Some(death) = &*DEATH
            && death.point == "log-half-appended"
            && death.left.load(Ordering::Relaxed) == 1
        {
            self.0.write_at(&bytes[..bytes.len() / 2], offset)?;
            point("log-half-appended");
        }
        point("log-half-appended");
        if fails("append") {
            self.0.write_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write_at(bytes, offset)?;
        point("log-appended");
        Ok(())
    }

    fn read_some(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_some(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        if fails("sync") {
            return Err(io::Error::other("a sync that was to fail"));
        }
        self.0.sync()?;
        point("log-synced");
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        if fails("sync") {
            return Err(io::Error::other("a sync that was to fail"));
        }
        self.0.sync_all()?;
        point("log-synced");
        Ok(())
    }
}
