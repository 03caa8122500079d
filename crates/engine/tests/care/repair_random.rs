//! Repair of random databases with random damage, checked against the history of all writes.
//!
//! After each repair: every value that is shown was once the value of its key, and no older one than the files that were
//! not damaged show; where nothing that counts was damaged the database is what it was; a second repair finds nothing;
//! no byte of a file is gone; and openings with writes in between change nothing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use level_party_engine::{
    Comparator, Engine, ErrorKind, Fs, MemFs, Options, RecoveryMode, Repair, Write, WriteBatch,
    verify,
};
use level_party_format::filename::{self, CURRENT, FileKind};
use level_party_testkit::damage::{Files, Holdings};

use crate::support::{Rng, contents};

/// The writes of each key, oldest first: the sequence, and the value or a deletion.
type History = BTreeMap<Vec<u8>, Vec<(u64, Option<Vec<u8>>)>>;
type Shown = BTreeMap<Vec<u8>, Vec<u8>>;

fn copy(fs: &MemFs) -> Files {
    let names = fs.list().unwrap().into_iter();
    let read = names.filter_map(|name| Some((name.clone(), fs.read(&name).ok()?)));
    Files(read.collect())
}

/// The files at one moment, as a killed process leaves them.
fn killed(fs: &MemFs) -> Files {
    let mut before = copy(fs);
    loop {
        let now = copy(fs);
        if now.0 == before.0 {
            return now;
        }
        before = now;
    }
}

fn in_memory(files: &Files) -> MemFs {
    let fs = MemFs::new();
    for (name, contents) in &files.0 {
        fs.write(name, contents.clone());
    }
    fs
}

fn shared(fs: &MemFs) -> Arc<dyn Fs> {
    Arc::new(fs.clone())
}

/// A database, and what is known of its past.
struct World {
    files: Files,
    history: History,
    /// The files at earlier moments.
    earlier: Vec<Files>,
}

impl World {
    fn random(rng: &mut Rng) -> World {
        let mut world = World {
            files: Files::new(),
            history: History::new(),
            earlier: Vec::new(),
        };
        for _ in 0..=rng.below(4) {
            world.live_once(rng);
        }
        world
    }

    /// One opening, until it is closed or killed.
    fn live_once(&mut self, rng: &mut Rng) {
        let fs = in_memory(&self.files);
        let options = Options {
            write_buffer_size: 2 << 10,
            max_file_size: 1 << 10,
            block_size: 128,
            tail_bytes: [0, 4 << 10][rng.below(2) as usize],
            ..Options::default()
        };
        let engine = Engine::open(shared(&fs), options).unwrap();
        for _ in 0..rng.below(150) {
            self.write(&engine, rng);
            match rng.below(40) {
                0 => engine.flush().unwrap(),
                1 => engine.compact_range(None, None).unwrap(),
                2 => self.earlier.push(killed(&fs)),
                _ => {}
            }
        }
        let is_closed = rng.one_in(2);
        if is_closed {
            engine.close().unwrap();
        }
        self.files = killed(&fs);
        self.earlier.push(self.files.clone());
    }

    fn write(&mut self, engine: &Engine, rng: &mut Rng) {
        let mut batch = WriteBatch::new();
        let mut ops = Vec::new();
        for _ in 0..=rng.below(3) {
            let key = format!("key{:02}", rng.below(40)).into_bytes();
            let value = (!rng.one_in(4)).then(|| {
                let len = rng.below(60) as usize;
                format!("{:016x}{}", rng.next(), "x".repeat(len)).into_bytes()
            });
            match &value {
                Some(value) => batch.put(&key, value),
                None => batch.delete(&key),
            }
            ops.push((key, value));
        }
        engine.write(Write::new(batch)).unwrap();
        let first = engine.last_sequence() + 1 - ops.len() as u64;
        for (sequence, (key, value)) in (first..).zip(ops) {
            self.history.entry(key).or_default().push((sequence, value));
        }
    }

    fn shown(&self) -> Shown {
        let newest = self.history.iter().filter_map(|(key, writes)| {
            let (_, value) = writes.last()?;
            Some((key.clone(), value.clone()?))
        });
        newest.collect()
    }
}

/// Damages the files in one way, and says how.
fn damage(world: &World, files: &mut Files, rng: &mut Rng) -> String {
    let is_ours = |name: &&String| {
        filename::parse(name).is_some_and(|(kind, _)| {
            use FileKind::{Current, Log, Manifest, Table};
            matches!(kind, Current | Log | Manifest | Table)
        })
    };
    let names: Vec<String> = files.0.keys().filter(is_ours).cloned().collect();
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let name = names[rng.below(names.len() as u64) as usize].clone();
    let len = files.get(&name).len() as u64;
    let at = rng.below(len.max(1)) as usize;
    match rng.below(10) {
        0 => {
            files.0.remove(&name);
            format!("{name} is removed")
        }
        1 => {
            files.put(&name, "");
            format!("{name} is emptied")
        }
        2 => {
            files.0.get_mut(&name).unwrap().truncate(at);
            format!("{name} is cut at {at}")
        }
        3 if len > 0 => {
            files.0.get_mut(&name).unwrap()[at] ^= 1 << rng.below(8);
            format!("{name} is changed at {at}")
        }
        4 => {
            let end = at + rng.below(300) as usize;
            let bytes = files.0.get_mut(&name).unwrap();
            let end = end.min(bytes.len());
            bytes[at..end].fill(0);
            format!("{name} is zero from {at} to {end}")
        }
        5 => duplicate(files, &name, rng),
        6 => swap_tables(files, &names, rng),
        7 | 8 => restore_manifest(world, files, rng),
        _ => restore_tables(world, files, rng),
    }
}

fn duplicate(files: &mut Files, name: &str, rng: &mut Rng) -> String {
    let Some((kind, _)) = filename::parse(name) else {
        return "nothing".to_owned();
    };
    let number = 1 + rng.below(200);
    let copy = match kind {
        FileKind::Table => filename::table(number),
        FileKind::Manifest => filename::manifest(number),
        _ => return "nothing".to_owned(),
    };
    if files.0.contains_key(&copy) {
        return "nothing".to_owned();
    }
    let bytes = files.get(name).to_vec();
    files.put(&copy, bytes);
    format!("{name} is copied to {copy}")
}

fn swap_tables(files: &mut Files, names: &[String], rng: &mut Rng) -> String {
    let tables: Vec<&String> = names.iter().filter(|name| name.ends_with(".ldb")).collect();
    if tables.len() < 2 {
        return "nothing".to_owned();
    }
    let mut any = || tables[rng.below(tables.len() as u64) as usize];
    let (one, other) = (any(), any());
    let (a, b) = (files.get(one).to_vec(), files.get(other).to_vec());
    files.put(one, b);
    files.put(other, a);
    format!("{one} and {other} change places")
}

/// `CURRENT` and its manifest of an earlier moment; the newer manifest stays or goes.
fn restore_manifest(world: &World, files: &mut Files, rng: &mut Rng) -> String {
    let then = &world.earlier[rng.below(world.earlier.len() as u64) as usize];
    let current = then.get(CURRENT).to_vec();
    let name = filename::parse_current(&current).unwrap();
    if rng.one_in(2) {
        files.0.retain(|name, _| !name.starts_with("MANIFEST-"));
    }
    files.put(&name, then.get(&name).to_vec());
    files.put(CURRENT, current);
    format!("CURRENT and {name} are restored")
}

/// The tables that are gone come back.
fn restore_tables(world: &World, files: &mut Files, rng: &mut Rng) -> String {
    let then = &world.earlier[rng.below(world.earlier.len() as u64) as usize];
    let mut restored = Vec::new();
    for (name, contents) in &then.0 {
        if name.ends_with(".ldb") && !files.0.contains_key(name) {
            files.put(name, contents.clone());
            restored.push(name.clone());
        }
    }
    format!("{restored:?} are restored")
}

/// A case: the database before and after the damage.
struct Case {
    world: World,
    damaged: Files,
    damages: Vec<String>,
    holdings: Holdings,
}

/// Without the tables that a killed process had not finished.
fn finished(files: &Files) -> Files {
    let mut files = files.clone();
    let magic = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();
    files
        .0
        .retain(|name, contents| !name.ends_with(".ldb") || contents.ends_with(&magic));
    files
}

type Checked = Result<(), String>;

fn check(holds: bool, what: impl FnOnce() -> String) -> Checked {
    match holds {
        true => Ok(()),
        false => Err(what()),
    }
}

impl Case {
    fn random(seed: u64) -> Case {
        let rng = &mut Rng(seed);
        let world = World::random(rng);
        let mut damaged = world.files.clone();
        let count = 1 + rng.below(3);
        let damages = (0..count)
            .map(|_| damage(&world, &mut damaged, rng))
            .collect();
        Case {
            holdings: Holdings::of(&finished(&world.files)),
            world,
            damaged,
            damages,
        }
    }

    fn is_intact(&self, name: &str) -> bool {
        self.damaged.0.get(name) == self.world.files.0.get(name)
    }

    fn has_sound_manifest(&self) -> bool {
        let current = self.world.files.get(CURRENT);
        let manifest = filename::parse_current(current).unwrap();
        self.is_intact(CURRENT) && self.is_intact(&manifest)
    }

    /// The sequence of the newest write of a key that an intact file in use holds.
    fn held(&self, key: &[u8]) -> Option<u64> {
        let intact: BTreeSet<u64> = self
            .holdings
            .live
            .iter()
            .filter(|name| self.is_intact(name))
            .filter_map(|name| self.holdings.sequences.get(name))
            .flatten()
            .copied()
            .collect();
        let sequences = self.world.history[key]
            .iter()
            .map(|(sequence, _)| *sequence);
        sequences.filter(|sequence| intact.contains(sequence)).max()
    }

    fn run(&self) -> Checked {
        let fs = in_memory(&self.damaged);
        let repaired = Repair::new(shared(&fs), Options::default())
            .dry_run(false)
            .run();
        let repaired = match repaired {
            Ok(repaired) => repaired,
            Err(error) => return self.is_rightly_refused(&fs, &error),
        };
        check(repaired.refusal.is_none(), || {
            format!("{:?}", repaired.refusal)
        })?;
        self.no_byte_is_gone(&fs)?;
        let found = verify(&shared(&fs), &Comparator::default()).map_err(|e| e.to_string())?;
        check(found.is_sound(), || {
            format!("verify finds {:?}", found.problems)
        })?;
        let again = Repair::new(shared(&fs), Options::default())
            .run()
            .map_err(|e| e.to_string())?;
        check(again.actions.is_empty(), || {
            format!("a second repair does {:?}", again.actions)
        })?;
        let shown = reopened_thrice(&fs, repaired.done)?;
        self.is_right(&shown, found.last_sequence)
    }

    fn is_rightly_refused(&self, fs: &MemFs, error: &level_party_engine::Error) -> Checked {
        let holds = self
            .world
            .history
            .keys()
            .find(|key| self.held(key).is_some());
        let is_right = match error.kind() {
            ErrorKind::Corruption => holds.is_none(),
            ErrorKind::DoesNotExist => self
                .damaged
                .0
                .keys()
                .all(|name| filename::parse(name).is_none()),
            _ => false,
        };
        check(is_right, || format!("refused: {error}"))?;
        self.no_byte_is_gone(fs)
    }

    fn no_byte_is_gone(&self, fs: &MemFs) -> Checked {
        let after = copy(fs);
        self.damaged.0.iter().try_for_each(|(name, contents)| {
            let is_data = matches!(
                filename::parse(name),
                Some((FileKind::Table | FileKind::Log | FileKind::Manifest, _))
            );
            let kept = |other: &str| after.0.get(other) == Some(contents);
            let replaced = format!("level-party.replaced-{name}");
            check(!is_data || kept(name) || kept(&replaced), || {
                format!("{name} is gone")
            })
        })
    }

    fn is_right(&self, shown: &Shown, last_sequence: u64) -> Checked {
        let before = self.world.shown();
        let has_manifest = self.has_sound_manifest();
        let damaged: Vec<&String> = self
            .holdings
            .live
            .iter()
            .filter(|name| !self.is_intact(name))
            .collect();
        if has_manifest && damaged.is_empty() {
            return check(*shown == before, || {
                "what counts is intact, but not the result".into()
            });
        }
        for key in shown.keys().chain(before.keys()) {
            self.key_is_right(key, shown.get(key), last_sequence)?;
        }
        if has_manifest && damaged.iter().all(|name| name.ends_with(".log")) {
            for key in shown.keys() {
                let is_back = !before.contains_key(key)
                    && self.held(key).is_none()
                    && !self.is_held_by(key, &damaged);
                check(!is_back, || {
                    format!("{} was deleted and is back", key.escape_ascii())
                })?;
            }
        }
        Ok(())
    }

    fn is_held_by(&self, key: &[u8], names: &[&String]) -> bool {
        self.world.history[key].iter().any(|(sequence, _)| {
            names
                .iter()
                .any(|name| self.holdings.sequences[*name].contains(sequence))
        })
    }

    fn key_is_right(&self, key: &[u8], value: Option<&Vec<u8>>, last_sequence: u64) -> Checked {
        let name = key.escape_ascii();
        let Some(writes) = self.world.history.get(key) else {
            return Err(format!("{name} was never written"));
        };
        let held = self.held(key).unwrap_or(0);
        let newest = match value {
            Some(_) => {
                let write = writes.iter().rfind(|(_, other)| other.as_ref() == value);
                write
                    .ok_or_else(|| format!("{name} has a value it never had"))?
                    .0
            }
            None => writes
                .iter()
                .rfind(|(_, value)| value.is_none())
                .map_or(0, |write| write.0),
        };
        check(newest >= held, || {
            format!("{name} is of {newest}, but {held} is in an intact file")
        })?;
        check(value.is_none() || newest <= last_sequence, || {
            format!("{name} is of {newest}, after the last sequence {last_sequence}")
        })
    }
}

/// What the database shows after each of three openings with writes in between. A log that a killed process left torn is
/// no damage in the same boot, so that only what was repaired is opened as after a loss of power.
fn reopened_thrice(fs: &MemFs, is_repaired: bool) -> Result<Shown, String> {
    let evidence = |files: &Files| {
        let mut evidence = files.0.clone();
        evidence.retain(|name, _| name.starts_with("level-party.replaced-"));
        evidence
    };
    let before = evidence(&copy(fs));
    let mut shown = None;
    for round in 0..3 {
        let options = Options {
            create_if_missing: false,
            write_buffer_size: 2 << 10,
            recovery: match is_repaired && round % 2 == 0 {
                true => RecoveryMode::AfterReboot,
                false => RecoveryMode::SameBoot,
            },
            ..Options::default()
        };
        let engine = Engine::open(shared(fs), options).map_err(|e| format!("reopened: {e}"))?;
        let mut now = contents(&engine);
        now.retain(|key, _| !key.starts_with(b"~"));
        let first = shown.get_or_insert_with(|| now.clone());
        check(*first == now, || {
            format!("the opening {round} shows something else")
        })?;
        for number in 0..30 {
            let mut batch = WriteBatch::new();
            batch.put(format!("~{round}{number}").as_bytes(), &[b'x'; 100]);
            engine.write(Write::new(batch)).map_err(|e| e.to_string())?;
        }
        engine.close().map_err(|e| e.to_string())?;
        let after = evidence(&copy(fs));
        let is_kept = before
            .iter()
            .all(|(name, contents)| after.get(name) == Some(contents));
        check(is_kept, || {
            "an opening touches what was set aside".to_owned()
        })?;
    }
    Ok(shown.unwrap_or_default())
}

#[test]
fn random_damage_is_repaired_as_history_allows() {
    let number = |name: &str, default: u64| {
        let stated = std::env::var(name).ok();
        stated.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    // More of them by hand: `REPAIR_SEED=0 REPAIR_SEEDS=10000`.
    let first = number("REPAIR_SEED", 0);
    let count = number("REPAIR_SEEDS", 200);
    let wrong: Vec<String> = (first..first + count)
        .filter_map(|seed| {
            let case = Case::random(seed);
            let what = case.run().err()?;
            let sizes = case
                .damaged
                .0
                .iter()
                .map(|(name, it)| format!("{name}:{}", it.len()));
            let sizes: Vec<String> = sizes.collect();
            Some(format!(
                "seed {seed}: {what}\n {:?}\n {sizes:?}",
                case.damages
            ))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
