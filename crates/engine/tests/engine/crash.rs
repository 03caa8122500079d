//! The power fails: what was not synced may be lost, in part, in any mixture.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use level_party_engine::{Engine, Fs, MemFs, Options, ReadFile, RecoveryMode, Write, WriteFile};
use level_party_format::batch::WriteBatch;
use parking_lot::Mutex;

use crate::support::{Rng, contents, open, put, tiny};

/// A directory that knows what is durable, and takes pictures of what a loss of power could leave.
#[derive(Clone)]
struct CrashFs {
    state: Arc<Mutex<State>>,
}

struct State {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Since the last sync of the directory, in order.
    renamings: Vec<Renaming>,
    rng: Rng,
    /// One call in so many is followed by a loss of power in another world.
    every: u64,
    worlds: Vec<(MemFs, u64)>,
    /// What has been promised for good so far.
    promised: Arc<AtomicU64>,
    /// No table can be made: everything stays in logs.
    no_tables: bool,
}

struct Content {
    bytes: Vec<u8>,
    synced: usize,
}

#[derive(Clone)]
enum Renaming {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

impl Renaming {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Renaming::Create(name, file) => {
                names.insert(name.clone(), *file);
            }
            Renaming::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Renaming::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl CrashFs {
    /// Starts from durable files.
    fn new(start: &MemFs, seed: u64, every: u64, promised: Arc<AtomicU64>) -> CrashFs {
        let mut files = Vec::new();
        let mut names = BTreeMap::new();
        for name in start.list().unwrap() {
            let bytes = start.read(&name).unwrap();
            names.insert(name, files.len());
            files.push(Content {
                synced: bytes.len(),
                bytes,
            });
        }
        let state = State {
            files,
            durable_names: names.clone(),
            names,
            renamings: Vec::new(),
            rng: Rng(seed),
            every,
            worlds: Vec::new(),
            promised,
            no_tables: false,
        };
        CrashFs {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn worlds(&self) -> Vec<(MemFs, u64)> {
        std::mem::take(&mut self.state.lock().worlds)
    }

    /// The files as they are, for reading.
    fn now(&self) -> MemFs {
        let state = self.state.lock();
        let now = MemFs::new();
        for (name, file) in &state.names {
            now.write(name, state.files[*file].bytes.clone());
        }
        now
    }
}

impl State {
    /// In one world, the power fails before or after this call.
    fn maybe_crash(&mut self) {
        if !self.rng.one_in(self.every) {
            return;
        }
        let mut names = self.durable_names.clone();
        // All of the unsynced renamings, none, or any.
        let mood = self.rng.below(3);
        for renaming in &self.renamings {
            if mood == 0 || (mood == 1 && self.rng.one_in(2)) {
                renaming.apply(&mut names);
            }
        }
        let world = MemFs::new();
        for (name, file) in names {
            let content = &self.files[file];
            let mut bytes = content.bytes[..content.synced].to_vec();
            let unsynced = &content.bytes[content.synced..];
            let kept = match self.rng.below(3) {
                0 => 0,
                1 => unsynced.len(),
                _ => self.rng.below(unsynced.len() as u64 + 1) as usize,
            };
            bytes.extend_from_slice(&unsynced[..kept]);
            let lost = unsynced.len() - kept;
            match self.rng.below(4) {
                0 => bytes.resize(bytes.len() + lost, 0),
                1 => (0..lost).for_each(|_| bytes.push(self.rng.next() as u8)),
                _ => {}
            }
            world.write(&name, bytes);
        }
        let promised = self.promised.load(Ordering::SeqCst);
        self.worlds.push((world, promised));
    }
}

impl Fs for CrashFs {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state.lock().names.keys().cloned().collect())
    }

    fn open_read(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
        self.now().open_read(name)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.now().read(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        let mut state = self.state.lock();
        if state.no_tables && name.ends_with(".ldb") {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.maybe_crash();
        let file = state.files.len();
        state.files.push(Content {
            bytes: Vec::new(),
            synced: 0,
        });
        state.names.insert(name.to_owned(), file);
        state
            .renamings
            .push(Renaming::Create(name.to_owned(), file));
        let state = Arc::clone(&self.state);
        Ok(Box::new(CrashFile { state, file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.maybe_crash();
        let renaming = Renaming::Rename(from.to_owned(), to.to_owned());
        renaming.apply(&mut state.names);
        state.renamings.push(renaming);
        state.maybe_crash();
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.maybe_crash();
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let renaming = Renaming::Remove(name.to_owned());
        renaming.apply(&mut state.names);
        state.renamings.push(renaming);
        state.maybe_crash();
        Ok(())
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        Ok(self.state.lock().names.contains_key(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.maybe_crash();
        state.durable_names = state.names.clone();
        state.renamings.clear();
        state.maybe_crash();
        Ok(())
    }
}

struct CrashFile {
    state: Arc<Mutex<State>>,
    file: usize,
}

impl WriteFile for CrashFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        state.files[self.file].bytes.extend_from_slice(bytes);
        state.maybe_crash();
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.maybe_crash();
        let file = &mut state.files[self.file];
        file.synced = file.bytes.len();
        state.maybe_crash();
        Ok(())
    }
}

const LAST: &[u8] = b"last";

/// Batch `number` puts its number under two keys, and deletes a third.
fn batch(number: u64) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.put(LAST, &number.to_be_bytes());
    let value = [
        &number.to_be_bytes()[..],
        &vec![number as u8; (number * 37 % 400) as usize],
    ]
    .concat();
    batch.put(&(number * 7 % 100).to_be_bytes(), &value);
    batch.delete(&(number * 11 % 100).to_be_bytes());
    batch
}

/// What there is after batches `1..=number`.
fn after(number: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut map = BTreeMap::new();
    for number in 1..=number {
        for op in &batch(number) {
            match op {
                level_party_format::batch::Op::Put { key, value } => {
                    map.insert(key.to_vec(), value.to_vec());
                }
                level_party_format::batch::Op::Delete { key } => {
                    map.remove(key);
                }
            }
        }
    }
    map
}

fn last_batch(engine: &Engine) -> u64 {
    let last = engine.get(LAST).unwrap();
    last.map_or(0, |entry| {
        u64::from_be_bytes(entry.value.try_into().unwrap())
    })
}

fn after_reboot() -> Options {
    Options {
        recovery: RecoveryMode::AfterReboot,
        write_buffer_size: 8 << 10,
        ..tiny()
    }
}

/// Writes batches up to `to`, one in ten with sync.
fn work(engine: &Engine, to: u64, promised: &AtomicU64) {
    for number in last_batch(engine) + 1..=to {
        let sync = number % 10 == 3;
        engine.write(Write::new(batch(number)).sync(sync)).unwrap();
        if sync {
            promised.fetch_max(number, Ordering::SeqCst);
        }
        if number % 130 == 0 {
            engine.flush().unwrap();
            promised.fetch_max(number, Ordering::SeqCst);
        }
    }
}

/// Opens what a loss of power left. It opens without repair, and shows a prefix of whole batches with all that was
/// promised. The opening itself may lose power too, `deep` times.
fn check(world: &MemFs, promised: u64, deep: u64, seed: u64) {
    let fs = CrashFs::new(world, seed, 12, Arc::new(AtomicU64::new(promised)));
    let engine =
        Engine::open(Arc::new(fs.clone()), after_reboot()).expect("it opens without repair");
    let last = last_batch(&engine);
    assert!(
        last >= promised,
        "{last} of {promised}: {:?}",
        engine.recovered()
    );
    assert_eq!(contents(&engine), after(last));
    put(&engine, b"more", b"").unwrap();
    engine.close().unwrap();
    // Recovery made durable what it showed: a later loss of power takes none of it back.
    let worlds = fs.worlds();
    let again = open(&fs.now(), &tiny());
    assert_eq!(last_batch(&again), last);
    assert!(again.get(b"more").unwrap().is_some());
    if deep > 0 {
        for (number, (world, promised)) in worlds.iter().enumerate() {
            if !has_more(world) {
                check(world, *promised, deep - 1, seed + number as u64 + 1);
            }
        }
    }
}

/// Whether the last write of a check is in a log of this world; its contents are no plain prefix then.
fn has_more(world: &MemFs) -> bool {
    let logs = world
        .list()
        .unwrap()
        .into_iter()
        .filter(|name| name.ends_with(".log"));
    let mut contents = logs.map(|name| world.read(&name).unwrap());
    contents.any(|bytes| bytes.windows(4).any(|window| window == b"more"))
}

#[test]
fn after_a_loss_of_power_the_state_is_a_prefix_with_all_that_was_synced() {
    let mut worlds = 0;
    for seed in 0..12 {
        let promised = Arc::new(AtomicU64::new(0));
        let fs = CrashFs::new(&MemFs::new(), seed, 9, Arc::clone(&promised));
        let engine = Engine::open(Arc::new(fs.clone()), after_reboot()).unwrap();
        work(&engine, 500, &promised);
        engine.close().unwrap();
        for (number, (world, promised)) in fs.worlds().iter().enumerate() {
            let deep = if number % 8 == 0 { 2 } else { 0 };
            check(world, *promised, deep, seed * 1000 + number as u64);
            worlds += 1;
        }
    }
    assert!(worlds > 500, "{worlds}");
}

#[test]
fn logs_that_wait_for_their_tables_lose_power_as_one() {
    for seed in 0..60 {
        let promised = Arc::new(AtomicU64::new(0));
        let fs = CrashFs::new(&MemFs::new(), seed, 6, Arc::clone(&promised));
        let engine = Engine::open(Arc::new(fs.clone()), after_reboot()).unwrap();
        fs.state.lock().no_tables = true;
        work(&engine, 70, &promised);
        engine.close().unwrap();
        let logs = fs
            .list()
            .unwrap()
            .into_iter()
            .filter(|name| name.ends_with(".log"));
        assert!(logs.count() >= 2);
        for (number, (world, promised)) in fs.worlds().iter().enumerate() {
            check(world, *promised, 0, seed * 1000 + number as u64);
        }
    }
}

#[test]
fn work_goes_on_over_many_losses_of_power() {
    let mut world = MemFs::new();
    let mut floor = 0;
    for round in 0..40 {
        let promised = Arc::new(AtomicU64::new(floor));
        let fs = CrashFs::new(&world, 99 + round, 40, Arc::clone(&promised));
        let engine = Engine::open(Arc::new(fs.clone()), after_reboot()).unwrap();
        let last = last_batch(&engine);
        assert!(last >= floor);
        assert_eq!(contents(&engine), after(last));
        work(&engine, last + 60, &promised);
        engine.close().unwrap();
        let mut worlds = fs.worlds();
        if let Some((next, promised)) = worlds.pop() {
            world = next;
            floor = promised;
        }
    }
    assert!(floor > 100, "{floor}");
}
