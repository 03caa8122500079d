//! The disk says no to the k-th call, once or for good.

use std::io;
use std::sync::Arc;

use level_party_engine::{
    Engine, ErrorKind, Fs, LogFile, MemFs, Options, ReadFile, RecoveryMode, Write, WriteFile,
};
use level_party_locks::Mutex;

use super::history::{History, last_batch, read_last_batch};
use crate::support::contents;

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done.
    Io,
    /// Half of an append is done.
    NoSpace,
    /// All but the last byte of an append is done.
    Short,
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Fault::Io => io::Error::other("the disk does not answer"),
            Fault::NoSpace => io::ErrorKind::StorageFull.into(),
            Fault::Short => io::ErrorKind::WriteZero.into(),
        }
    }

    /// How many of an append's bytes come through.
    fn done(self, len: usize) -> usize {
        match self {
            Fault::Io => 0,
            Fault::NoSpace => len / 2,
            Fault::Short => len.saturating_sub(1),
        }
    }
}

/// Which calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Changes,
    Reads,
}

#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    pub scope: Scope,
    pub fault: Fault,
    pub for_good: bool,
}

/// What was tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Runs with a call refused: one for each place.
    pub runs: usize,
    /// Runs in which the opening failed.
    pub unopened: usize,
    /// Runs that ended poisoned.
    pub poisoned: usize,
}

/// Refuses the first call of a workload, then the second, until there is none left to refuse. Nothing panics or hangs,
/// the failure is told, reads go on, and the next opening finds all that was acknowledged.
pub fn each_call_fails(refusal: Refusal, options: &Options) -> Counts {
    let mut counts = Counts::default();
    loop {
        let disk = Refusing::new(refusal, counts.runs);
        run(&disk, options, &mut counts);
        if disk.state.lock().refused.is_empty() {
            return counts;
        }
        counts.runs += 1;
    }
}

const BATCHES: u64 = 45;

/// Two openings in a row, so that recoveries meet the refusal too, and then what is left.
fn run(disk: &Refusing, options: &Options, counts: &mut Counts) {
    let mut history = History::default();
    // The last batch of the history failed, but may be in the log.
    let mut in_doubt = false;
    for _ in 0..2 {
        let engine = match Engine::open(Arc::new(disk.clone()), options.clone()) {
            Ok(engine) => engine,
            Err(error) => {
                counts.unopened += 1;
                assert!(!disk.refused().is_empty(), "{error}");
                continue;
            }
        };
        let refused_before = disk.refused().len();
        // A refused read answers nothing; everything is read at the end.
        if let Ok(last) = read_last_batch(&engine) {
            let answered = history.len() - u64::from(in_doubt);
            assert!(
                last == answered || last == history.len(),
                "{:?}",
                disk.refused()
            );
            history = history.up_to(last);
            in_doubt = work(&engine, &mut history);
        }
        if disk.refusal.scope == Scope::Changes {
            let shown = contents(&engine);
            assert!(
                shown == history.after(last_batch(&engine)),
                "{:?}",
                disk.refused()
            );
        }
        // What goes on in the background has an end then.
        engine.close().unwrap();
        let ended = engine.stats().background_error;
        let poisoned = ended.is_some_and(|why| why.starts_with("writing has ended"));
        counts.poisoned += usize::from(poisoned);
        for call in &disk.refused()[refused_before..] {
            assert!(
                poisoned || !call.is_fatal(),
                "{call:?} was refused, and writing went on"
            );
        }
    }
    for recovery in [RecoveryMode::SameBoot, RecoveryMode::AfterReboot] {
        // Each on its own copy: a recovery would tidy up for the other.
        let files = disk.files.copy();
        let options = Options {
            recovery,
            ..options.clone()
        };
        let engine = Engine::open(Arc::new(files), options)
            .unwrap_or_else(|error| panic!("{error}: {:?}", disk.refused()));
        let last = last_batch(&engine);
        let answered = history.len() - u64::from(in_doubt);
        assert!(
            last == answered || last == history.len(),
            "{last} of {answered}: {:?}",
            disk.refused()
        );
        assert!(
            contents(&engine) == history.after(last),
            "{:?}",
            disk.refused()
        );
    }
}

fn is_poisoned(engine: &Engine) -> bool {
    let probe = engine.write(Write::new(Default::default()));
    probe.is_err_and(|error| error.kind() == ErrorKind::Poisoned)
}

/// Writes; gives whether the last batch of the history failed, but may be there.
fn work(engine: &Engine, history: &mut History) -> bool {
    for number in 1..=BATCHES {
        let mut tried = history.clone();
        let batch = tried.push(number);
        // Also read, so that there are reads to refuse.
        let _ = engine.get(&(number % 7).to_be_bytes());
        match engine.write(Write::new(batch).sync(number % 9 == 4)) {
            Ok(_) => *history = tried,
            // It is applied, and no power is lost here.
            Err(error) if error.kind() == ErrorKind::NotDurable => *history = tried,
            Err(error) if error.kind() == ErrorKind::Poisoned => {
                *history = tried;
                for _ in 0..3 {
                    assert!(is_poisoned(engine), "poison is for good");
                }
                assert_eq!(engine.flush().unwrap_err().kind(), ErrorKind::Poisoned);
                return true;
            }
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {
                *history = tried;
                return true;
            }
            // It had no effect, says its docstring; so its number is free.
            Err(_) => {}
        }
        if number % 25 == 20 {
            let _ = engine.flush();
        }
        if number % 40 == 35 {
            let _ = engine.compact_range(None, None);
        }
    }
    false
}

/// A directory in memory that refuses some calls.
#[derive(Clone)]
struct Refusing {
    files: Shared,
    refusal: Refusal,
    state: Arc<Mutex<State>>,
}

#[derive(Clone)]
struct Shared(MemFs);

impl Shared {
    fn copy(&self) -> MemFs {
        let copy = MemFs::new();
        for name in self.0.list().unwrap() {
            copy.write(&name, self.0.read(&name).unwrap());
        }
        copy
    }
}

struct State {
    count: usize,
    at: usize,
    refused: Vec<Call>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    what: &'static str,
    name: String,
}

impl Call {
    /// Whether nothing may be written after it failed.
    fn is_fatal(&self) -> bool {
        match self.what {
            // Of a log: it is left to its table.
            "sync" => !self.name.ends_with(".log"),
            "append" => self.name.starts_with("MANIFEST"),
            _ => false,
        }
    }
}

impl Refusing {
    fn new(refusal: Refusal, at: usize) -> Refusing {
        Refusing {
            files: Shared(MemFs::new()),
            refusal,
            state: Arc::new(Mutex::new(State {
                count: 0,
                at,
                refused: Vec::new(),
            })),
        }
    }

    fn refused(&self) -> Vec<Call> {
        self.state.lock().refused.clone()
    }

    fn refusing_log(&self, name: &str, file: Box<dyn LogFile>) -> Box<dyn LogFile> {
        Box::new(RefusingLog {
            file,
            name: name.to_owned(),
            fs: self.clone(),
        })
    }

    fn ask(&self, scope: Scope, what: &'static str, name: &str) -> io::Result<()> {
        if scope != self.refusal.scope {
            return Ok(());
        }
        let mut state = self.state.lock();
        let (at, count) = (state.at, state.count);
        state.count += 1;
        if count == at || (self.refusal.for_good && count > at) {
            state.refused.push(Call {
                what,
                name: name.to_owned(),
            });
            return Err(self.refusal.fault.error());
        }
        Ok(())
    }
}

impl Fs for Refusing {
    fn list(&self) -> io::Result<Vec<String>> {
        self.ask(Scope::Reads, "list", "")?;
        self.files.0.list()
    }

    fn open_read(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
        self.ask(Scope::Reads, "open", name)?;
        Ok(Arc::new(RefusingRead {
            file: self.files.0.open_read(name)?,
            name: name.to_owned(),
            fs: self.clone(),
        }))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.ask(Scope::Reads, "read", name)?;
        self.files.0.read(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        self.ask(Scope::Changes, "create", name)?;
        Ok(Box::new(RefusingWrite {
            file: self.files.0.create(name)?,
            name: name.to_owned(),
            fs: self.clone(),
        }))
    }

    fn create_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        self.ask(Scope::Changes, "create", name)?;
        Ok(self.refusing_log(name, self.files.0.create_log(name)?))
    }

    fn open_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        self.ask(Scope::Changes, "open", name)?;
        Ok(self.refusing_log(name, self.files.0.open_log(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.ask(Scope::Changes, "rename", from)?;
        self.files.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.ask(Scope::Changes, "remove", name)?;
        self.files.0.remove(name)
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        self.ask(Scope::Reads, "exists", name)?;
        self.files.0.exists(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.ask(Scope::Changes, "sync_dir", "")?;
        self.files.0.sync_dir()
    }
}

struct RefusingRead {
    file: Arc<dyn ReadFile>,
    name: String,
    fs: Refusing,
}

impl ReadFile for RefusingRead {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.fs.ask(Scope::Reads, "read_at", &self.name)?;
        self.file.read_at(buf, offset)
    }
}

struct RefusingWrite {
    file: Box<dyn WriteFile>,
    name: String,
    fs: Refusing,
}

impl WriteFile for RefusingWrite {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let asked = self.fs.ask(Scope::Changes, "append", &self.name);
        if asked.is_err() {
            let done = self.fs.refusal.fault.done(bytes.len());
            self.file.append(&bytes[..done])?;
        }
        asked?;
        self.file.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.fs.ask(Scope::Changes, "sync", &self.name)?;
        self.file.sync()
    }
}

struct RefusingLog {
    file: Box<dyn LogFile>,
    name: String,
    fs: Refusing,
}

impl LogFile for RefusingLog {
    fn len(&self) -> io::Result<u64> {
        self.fs.ask(Scope::Reads, "len", &self.name)?;
        self.file.len()
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let asked = self.fs.ask(Scope::Changes, "append", &self.name);
        if asked.is_err() {
            let done = self.fs.refusal.fault.done(bytes.len());
            self.file.write_at(&bytes[..done], offset)?;
        }
        asked?;
        self.file.write_at(bytes, offset)
    }

    fn read_some(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.fs.ask(Scope::Reads, "read_some", &self.name)?;
        self.file.read_some(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fs.ask(Scope::Changes, "cut", &self.name)?;
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.fs.ask(Scope::Changes, "sync", &self.name)?;
        self.file.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.fs.ask(Scope::Changes, "sync", &self.name)?;
        self.file.sync_all()
    }
}
