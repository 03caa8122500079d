//! Repair where reads fail: one that succeeds when it is tried again changes nothing, and one that never does costs no
//! more than what it reads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use level_party_engine::{
    Compression, Engine, Fs, LogFile, MemFs, Options, ReadFile, Repair, Repaired, Write,
    WriteBatch, WriteFile,
};

use crate::support::{contents, names, open, put};

/// Says of each read whether it fails: the how manieth it is, the file, and the bytes.
type Fault = Arc<dyn Fn(u64, &str, std::ops::Range<u64>) -> bool + Send + Sync>;

#[derive(Clone)]
struct FailingFs {
    files: MemFs,
    reads: Arc<AtomicU64>,
    fault: Fault,
}

impl FailingFs {
    fn new(
        files: &MemFs,
        fault: impl Fn(u64, &str, std::ops::Range<u64>) -> bool + Send + Sync + 'static,
    ) -> FailingFs {
        FailingFs {
            files: files.clone(),
            reads: Arc::default(),
            fault: Arc::new(fault),
        }
    }

    fn ask(&self, name: &str, bytes: std::ops::Range<u64>) -> io::Result<()> {
        let number = self.reads.fetch_add(1, Ordering::Relaxed);
        match (self.fault)(number, name, bytes) {
            true => Err(io::Error::other("a bad sector")),
            false => Ok(()),
        }
    }
}

impl Fs for FailingFs {
    forward!(list create logs names exists);

    fn open_read(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
        Ok(Arc::new(FailingFile {
            file: self.files.open_read(name)?,
            name: name.to_owned(),
            fs: self.clone(),
        }))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let bytes = self.files.read(name)?;
        self.ask(name, 0..bytes.len() as u64)?;
        Ok(bytes)
    }

    fn link(&self, name: &str, _: &dyn Fs, to: &str) -> io::Result<()> {
        self.files.link(name, &self.files, to)
    }
}

struct FailingFile {
    file: Arc<dyn ReadFile>,
    name: String,
    fs: FailingFs,
}

impl ReadFile for FailingFile {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset + buf.len() as u64;
        self.fs.ask(&self.name, offset..end)?;
        self.file.read_at(buf, offset)
    }
}

/// A table on level 0 with 200 entries, then a log of two blocks with 500.
fn database() -> MemFs {
    let fs = MemFs::new();
    let options = Options {
        compression: Compression::None,
        ..Options::default()
    };
    let engine = open(&fs, &options);
    for part in ["table", "log"] {
        for number in 0..if part == "log" { 500 } else { 200 } {
            let key = format!("{part}{number:03}");
            let mut batch = WriteBatch::new();
            batch.put(key.as_bytes(), &[b'v'; 100]);
            engine.write(Write::new(batch)).unwrap();
        }
        if part == "table" {
            engine.flush().unwrap();
        }
    }
    engine.close().unwrap();
    fs
}

fn repair(fs: &FailingFs) -> level_party_engine::Result<Repaired> {
    Repair::new(Arc::new(fs.clone()), Options::default())
        .dry_run(false)
        .run()
}

fn copy(fs: &MemFs) -> MemFs {
    let copy = MemFs::new();
    for name in fs.list().unwrap() {
        copy.write(&name, fs.read(&name).unwrap());
    }
    copy
}

#[test]
fn read_that_fails_once_changes_no_repair() {
    for is_mended in [true, false] {
        let damaged = database();
        let table = names(&damaged, ".ldb").remove(0);
        if is_mended {
            damaged.change(&table, |bytes| bytes[100] ^= 1).unwrap();
        } else {
            damaged.remove("CURRENT").unwrap();
            for name in damaged.list().unwrap() {
                if name.starts_with("MANIFEST-") {
                    damaged.remove(&name).unwrap();
                }
            }
        }
        let right = copy(&damaged);
        let all = FailingFs::new(&right, |_, _, _| false);
        repair(&all).unwrap();
        let right = contents(&open(&right, &Options::default()));
        for at in 0..all.reads.load(Ordering::Relaxed) {
            let fs = copy(&damaged);
            let failing = FailingFs::new(&fs, move |number, _, _| number == at);
            repair(&failing).unwrap();
            let engine = Engine::open(Arc::new(fs), Options::default()).unwrap();
            assert_eq!(contents(&engine), right, "read {at}");
        }
    }
}

#[test]
fn sector_that_is_never_read_costs_what_it_holds() {
    for suffix in [".ldb", ".log"] {
        for at in [0, 8192] {
            let fs = database();
            let bad = names(&fs, suffix).pop().unwrap();
            let len = fs.read(&bad).unwrap().len() as u64;
            let at = if suffix == ".ldb" && at > 0 {
                len - 60
            } else {
                at
            };
            let sector = at..at + 50;
            let failing = FailingFs::new(&fs, move |_, name, bytes| {
                name == bad && bytes.start < sector.end && sector.start < bytes.end
            });
            assert!(repair(&failing).unwrap().done);
            let engine = open(&fs, &Options::default());
            put(&engine, b"new", b"write").unwrap();
            let left = contents(&engine).len();
            assert!(left > 420, "{left} with a bad sector at {at} of {suffix}");
        }
    }
}
