//! What the tests share: short forms, a random source, and a directory that records calls and can refuse them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use level_party_engine::{
    Cursor, Engine, Fs, LogFile, MemFs, Options, ReadFile, Result, Write, WriteFile,
};
use level_party_format::batch::WriteBatch;
use level_party_format::{Comparator, CustomComparator};
use parking_lot::Mutex;

/// A random source that gives the same numbers for the same seed (splitmix64).
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// The bytewise order, turned round.
pub fn backward() -> Comparator {
    struct Backward;
    impl CustomComparator for Backward {
        fn name(&self) -> &'static str {
            "test.Backward"
        }
        fn compare(&self, a: &[u8], b: &[u8]) -> std::cmp::Ordering {
            b.cmp(a)
        }
        fn find_shortest_separator(&self, _: &mut Vec<u8>, _: &[u8]) {}
        fn find_short_successor(&self, _: &mut Vec<u8>) {}
    }
    Comparator::Custom(Arc::new(Backward))
}

pub fn open(fs: &MemFs, options: &Options) -> Engine {
    Engine::open(Arc::new(fs.clone()), options.clone()).expect("the database opens")
}

/// Options under which a few thousand entries make many tables on many levels.
pub fn tiny() -> Options {
    Options {
        write_buffer_size: 16 << 10,
        max_file_size: 4 << 10,
        block_size: 256,
        manifest_slack: 1 << 10,
        ..Options::default()
    }
}

pub fn batch_of(key: &[u8], value: &[u8]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.put(key, value);
    batch
}

pub fn put(engine: &Engine, key: &[u8], value: &[u8]) -> Result<u64> {
    engine.write(Write::new(batch_of(key, value)))
}

pub fn put_sync(engine: &Engine, key: &[u8], value: &[u8]) -> Result<u64> {
    engine.write(Write::new(batch_of(key, value)).sync(true))
}

pub fn delete(engine: &Engine, key: &[u8]) -> Result<u64> {
    let mut batch = WriteBatch::new();
    batch.delete(key);
    engine.write(Write::new(batch))
}

pub fn get(engine: &Engine, key: &[u8]) -> Option<Vec<u8>> {
    let entry = engine.get(key).expect("the key can be read");
    entry.map(|entry| entry.value)
}

/// All that a cursor shows, and the same backward as a check.
pub fn all(cursor: &mut Cursor) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut forward = Vec::new();
    cursor.seek_to_first().unwrap();
    while cursor.valid() {
        forward.push((cursor.key().to_vec(), cursor.value().to_vec()));
        cursor.next().unwrap();
    }
    let mut backward = Vec::new();
    cursor.seek_to_last().unwrap();
    while cursor.valid() {
        backward.push((cursor.key().to_vec(), cursor.value().to_vec()));
        cursor.prev().unwrap();
    }
    backward.reverse();
    assert_eq!(forward, backward, "both directions show the same");
    forward.into_iter().collect()
}

pub fn contents(engine: &Engine) -> BTreeMap<Vec<u8>, Vec<u8>> {
    all(&mut engine.cursor().unwrap())
}

/// Waits until no level is over its limit, by LevelDB's rules for this size of tables.
pub fn settle(engine: &Engine, max_file_size: u64) {
    loop {
        let stats = engine.stats();
        assert_eq!(stats.background_error, None);
        let limits = (1..6).map(|level| max_file_size * 5 * 10u64.pow(level - 1));
        let mut sizes = stats.bytes_per_level[1..6].iter().zip(limits);
        if stats.files_per_level[0] < 4 && sizes.all(|(size, limit)| *size < limit) {
            return;
        }
        std::thread::yield_now();
    }
}

/// Waits until every table that nobody reads is removed: the background thread looks before it takes up a request.
pub fn sweep(engine: &Engine) {
    let nothing = &[0xff; 50][..];
    engine.compact_range(Some(nothing), Some(nothing)).unwrap();
}

/// The names of files that end so, in order.
pub fn names(fs: &MemFs, suffix: &str) -> Vec<String> {
    let mut names = fs.list().unwrap();
    names.retain(|name| name.ends_with(suffix));
    names
}

/// One call that changes something in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Create(String),
    Append(String),
    Cut(String),
    Sync(String),
    Rename(String, String),
    Remove(String),
    SyncDir,
    /// What a test notes between the calls.
    Note(String),
}

impl Call {
    /// Whether it is an append to, or a sync of, a file whose name contains this.
    pub fn is_append(&self, part: &str) -> bool {
        matches!(self, Call::Append(name) if name.contains(part))
    }

    pub fn is_sync(&self, part: &str) -> bool {
        matches!(self, Call::Sync(name) if name.contains(part))
    }
}

type Fault = Arc<dyn Fn(&Call) -> Option<io::Error> + Send + Sync>;

/// A directory in memory that records every changing call, and refuses those that a test chooses.
#[derive(Clone)]
pub struct SpyFs {
    pub files: MemFs,
    shared: Arc<Spy>,
}

#[derive(Default)]
struct Spy {
    calls: Mutex<Vec<Call>>,
    fault: Mutex<Option<Fault>>,
    /// How long a file may become, if that is limited.
    longest: Mutex<Option<u64>>,
}

impl SpyFs {
    pub fn new(files: MemFs) -> SpyFs {
        SpyFs {
            files,
            shared: Arc::default(),
        }
    }

    /// Every call so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().clone()
    }

    pub fn note(&self, what: impl Into<String>) {
        self.shared.calls.lock().push(Call::Note(what.into()));
    }

    /// The calls since a note.
    pub fn calls_since(&self, note: &str) -> Vec<Call> {
        let calls = self.calls();
        let at = calls
            .iter()
            .position(|call| *call == Call::Note(note.to_owned()));
        calls[at.expect("the note was made") + 1..].to_vec()
    }

    /// From now on each call is asked first whether it is to fail. A refused call changes nothing.
    pub fn refuse(&self, fault: impl Fn(&Call) -> Option<io::Error> + Send + Sync + 'static) {
        *self.shared.fault.lock() = Some(Arc::new(fault));
    }

    pub fn refuse_nothing(&self) {
        *self.shared.fault.lock() = None;
    }

    /// Says from now on that no file may become longer.
    pub fn limit_files(&self, longest: u64) {
        *self.shared.longest.lock() = Some(longest);
    }

    fn ask(&self, call: Call) -> io::Result<()> {
        self.shared.ask(call)
    }

    fn spied(&self, name: &str, file: Box<dyn WriteFile>) -> Box<dyn WriteFile> {
        Box::new(SpyFile {
            file,
            name: name.to_owned(),
            spy: Arc::clone(&self.shared),
        })
    }

    fn spied_log(&self, name: &str, file: Box<dyn LogFile>) -> Box<dyn LogFile> {
        Box::new(SpyLog {
            file,
            name: name.to_owned(),
            spy: Arc::clone(&self.shared),
        })
    }
}

impl Spy {
    fn ask(&self, call: Call) -> io::Result<()> {
        // Asked without the lock: a fault may also be a long wait.
        let fault = self.fault.lock().clone();
        let refused = fault.and_then(|fault| fault(&call));
        self.calls.lock().push(call);
        refused.map_or(Ok(()), Err)
    }
}

impl Fs for SpyFs {
    forward!(list open_read read exists);

    fn create(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        self.ask(Call::Create(name.to_owned()))?;
        Ok(self.spied(name, self.files.create(name)?))
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        self.ask(Call::Create(name.to_owned()))?;
        Ok(self.spied(name, self.files.create_new(name)?))
    }

    fn create_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        self.ask(Call::Create(name.to_owned()))?;
        Ok(self.spied_log(name, self.files.create_log(name)?))
    }

    fn open_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        Ok(self.spied_log(name, self.files.open_log(name)?))
    }

    fn longest_file(&self) -> u64 {
        self.shared.longest.lock().unwrap_or(u64::MAX)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.ask(Call::Rename(from.to_owned(), to.to_owned()))?;
        self.files.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.ask(Call::Remove(name.to_owned()))?;
        self.files.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.ask(Call::SyncDir)?;
        self.files.sync_dir()
    }
}

struct SpyFile {
    file: Box<dyn WriteFile>,
    name: String,
    spy: Arc<Spy>,
}

impl WriteFile for SpyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let asked = self.spy.ask(Call::Append(self.name.clone()));
        if asked.is_err() {
            // As a disk that fills up: some of the bytes are there.
            self.file.append(&bytes[..bytes.len() / 2])?;
        }
        asked?;
        self.file.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.spy.ask(Call::Sync(self.name.clone()))?;
        self.file.sync()
    }
}

struct SpyLog {
    file: Box<dyn LogFile>,
    name: String,
    spy: Arc<Spy>,
}

impl LogFile for SpyLog {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let asked = self.spy.ask(Call::Append(self.name.clone()));
        if asked.is_err() {
            // As a disk that fills up: some of the bytes are there.
            self.file.write_at(&bytes[..bytes.len() / 2], offset)?;
        }
        asked?;
        self.file.write_at(bytes, offset)
    }

    fn read_some(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_some(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.spy.ask(Call::Cut(self.name.clone()))?;
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.spy.ask(Call::Sync(self.name.clone()))?;
        self.file.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.spy.ask(Call::Sync(self.name.clone()))?;
        self.file.sync_all()
    }
}
