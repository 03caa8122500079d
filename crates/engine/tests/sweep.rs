//! The damage sweep: each file of a directory is removed, emptied, cut, changed or zeroed, and then repaired.
//!
//! `tests/fixtures/*-sweep.tar.zst` are directories that C++ LevelDB 1.23 and this engine left, each with a log of a
//! killed process. The `.kept` beside each says which entries C++ LevelDB's `RepairDB` keeps after each damage, so that
//! nothing need be installed here (`ci/peers/make-fixtures` writes both).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use level_party_engine::{
    Engine, Fs, MemFs, Options, RecoveryMode, Repair, Repaired, Write, WriteBatch, verify,
};
use level_party_format::filename::{self, FileKind};
use level_party_testkit::damage::{
    Damage, Files, Holdings, Kept, KeptTable, State, Version, damages, unpack, versions,
};

/// A fixture, and what C++ LevelDB keeps of it after each damage.
struct Sweep {
    files: Files,
    /// `CURRENT` and the manifest are removed too. C++ LevelDB's `RepairDB` looks at neither, so that it keeps the same.
    without_manifest: bool,
    holdings: Holdings,
    by_leveldb: KeptTable,
    versions: BTreeMap<Vec<u8>, Vec<Version>>,
}

/// What a repair left, as the engine reads it: values with their sequences.
type Left = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn sweep(name: &str) -> Sweep {
    let files = unpack(&fixture(&format!("{name}.tar.zst")));
    let kept = fixture(&format!("{name}.kept"));
    let kept = std::fs::read_to_string(kept).expect("what C++ LevelDB keeps");
    Sweep {
        holdings: Holdings::of(&files),
        by_leveldb: KeptTable::parse(&kept),
        versions: versions(),
        without_manifest: false,
        files,
    }
}

fn is_manifest(name: &str) -> bool {
    matches!(
        filename::parse(name),
        Some((FileKind::Current | FileKind::Manifest, _))
    )
}

fn in_memory(files: &Files) -> MemFs {
    let fs = MemFs::new();
    for (name, contents) in &files.0 {
        fs.write(name, contents.clone());
    }
    fs
}

fn repair(fs: &MemFs, dry_run: bool) -> level_party_engine::Result<Repaired> {
    Repair::new(Arc::new(fs.clone()), Options::default())
        .dry_run(dry_run)
        .run()
}

fn open(fs: &MemFs) -> Engine {
    let options = Options {
        create_if_missing: false,
        recovery: RecoveryMode::AfterReboot,
        ..Options::default()
    };
    Engine::open(Arc::new(fs.clone()), options).expect("a repaired database opens")
}

fn read(engine: &Engine) -> Left {
    let mut cursor = engine.cursor().expect("a cursor");
    let mut left = Left::new();
    cursor.seek_to_first().expect("it reads");
    while cursor.valid() {
        let entry = engine.get(cursor.key()).expect("it reads");
        let entry = entry.expect("what a cursor shows is there");
        assert_eq!(entry.value, cursor.value());
        left.insert(cursor.key().to_vec(), (entry.value, entry.sequence));
        cursor.next().expect("it reads");
    }
    left
}

fn files(fs: &MemFs) -> Files {
    let names = fs.list().expect("it lists").into_iter();
    let files = names.map(|name| {
        let contents = fs.read(&name).expect("it reads");
        (name, contents)
    });
    Files(files.collect())
}

/// What repairs and openings set aside, which no opening removes.
fn evidence(fs: &MemFs) -> Files {
    let mut files = files(fs);
    files.0.retain(|name, _| {
        name.starts_with("level-party.replaced-") || name.starts_with("level-party.aside-")
    });
    files
}

/// What a damage costs, or why the outcome is wrong.
type Checked = Result<(), String>;

fn check(holds: bool, what: impl FnOnce() -> String) -> Checked {
    match holds {
        true => Ok(()),
        false => Err(what()),
    }
}

fn shown(key: &[u8]) -> String {
    format!("\"{}\"", key.escape_ascii())
}

impl Sweep {
    fn run(&self) {
        let mut damages = damages(&self.files);
        assert_eq!(damages.len(), self.by_leveldb.0.len());
        if self.without_manifest {
            damages.retain(|damage| !is_manifest(&damage.file));
        }
        let wrong: Vec<String> = damages
            .iter()
            .filter_map(|damage| {
                let checked = self.repaired(damage);
                checked.err().map(|what| format!("{damage}: {what}"))
            })
            .collect();
        assert!(
            wrong.is_empty(),
            "{} of {} damages:\n{}",
            wrong.len(),
            damages.len(),
            wrong.join("\n")
        );
    }

    /// Repairs the directory with this damage and checks what is left.
    fn repaired(&self, damage: &Damage) -> Checked {
        let mut damaged = damage.apply(&self.files);
        if self.without_manifest {
            damaged.0.retain(|name, _| !is_manifest(name));
        }
        let fs = in_memory(&damaged);
        let planned = repair(&fs, true);
        check(files(&fs) == damaged, || "a dry run changes files".into())?;
        let done = match repair(&fs, false) {
            Ok(done) => done,
            Err(error) => return self.rightly_refused(damage, &error),
        };
        let planned = planned.map_err(|error| format!("a dry run: {error}"))?;
        check(planned.problems == done.problems, || {
            "a dry run finds something else".into()
        })?;
        let again = repair(&fs, true).map_err(|error| format!("a second repair: {error}"))?;
        check(again.problems.is_empty(), || {
            format!("a second repair finds {:?}", again.problems)
        })?;
        let last_sequence = last_sequence(&fs)?;
        let evidence = evidence(&fs);
        let engine = open(&fs);
        let left = read(&engine);
        let highest = left.values().map(|(_, sequence)| *sequence).max();
        check(highest.unwrap_or(0) <= last_sequence, || {
            format!("sequence {highest:?} is kept, the last one is {last_sequence}")
        })?;
        self.holds_all_it_must(&left, damage)?;
        new_writes_add_themselves_alone(&engine, &left)?;
        engine.close().map_err(|error| error.to_string())?;
        drop(engine);
        open(&fs).close().map_err(|error| error.to_string())?;
        evidence.0.iter().try_for_each(|(name, contents)| {
            let same = fs.read(name).is_ok_and(|found| found == *contents);
            check(same, || format!("an opening touches {name}"))
        })
    }

    /// A repair may refuse where C++ LevelDB keeps nothing either.
    fn rightly_refused(&self, damage: &Damage, error: &level_party_engine::Error) -> Checked {
        let Kept(by_leveldb) = self.by_leveldb.of(damage);
        let nothing = by_leveldb
            .as_ref()
            .is_none_or(|states| states.values().all(|state| *state == State::Absent));
        check(nothing, || format!("refused: {error}"))
    }

    fn holds_all_it_must(&self, left: &Left, damage: &Damage) -> Checked {
        self.nothing_foreign(left)?;
        self.nothing_of_other_files_lost(left, damage)?;
        if let Kept(Some(states)) = self.by_leveldb.of(damage) {
            self.all_that_leveldb_keeps(left, states, damage)?;
        }
        match self.without_manifest || is_of_manifest(damage) {
            true => Ok(()),
            false => self.nothing_deleted(left, damage),
        }
    }

    /// The version of a key that is shown, if any.
    fn version(&self, left: &Left, key: &[u8]) -> Option<&Version> {
        let (value, _) = left.get(key)?;
        let versions = self.versions.get(key)?;
        let shown = |version: &&Version| version.value.as_ref() == Some(value);
        versions.iter().rfind(shown)
    }

    fn nothing_foreign(&self, left: &Left) -> Checked {
        left.keys().try_for_each(|key| {
            check(self.version(left, key).is_some(), || {
                format!("{} has a value that was never put", shown(key))
            })
        })
    }

    /// Fails unless the key shows the version of `sequence` or a newer one. A deletion that is newer shows as nothing.
    fn at_least(&self, left: &Left, key: &[u8], sequence: u64) -> Checked {
        let newest = match left.contains_key(key) {
            true => self
                .version(left, key)
                .map_or(0, |version| version.sequence),
            false => {
                let deletion = |version: &&Version| version.value.is_none();
                let newest = self.versions[key].iter().rfind(deletion);
                newest.map_or(0, |version| version.sequence)
            }
        };
        check(newest >= sequence, || {
            let is = match left.contains_key(key) {
                true => format!("is of sequence {newest}"),
                false => "is missing".to_owned(),
            };
            format!("{} {is}, not of {sequence}", shown(key))
        })
    }

    fn all_that_leveldb_keeps(
        &self,
        left: &Left,
        states: &BTreeMap<Vec<u8>, State>,
        damage: &Damage,
    ) -> Checked {
        let unverified = self.unverified(damage);
        for (key, state) in states {
            let State::Version(number) = state else {
                continue;
            };
            let sequence = self.versions[key][*number].sequence;
            if !unverified.contains(&sequence) {
                self.at_least(left, key, sequence)
                    .map_err(|what| format!("C++ LevelDB keeps more: {what}"))?;
            }
        }
        Ok(())
    }

    /// The operations of log records that the damage touches. `RepairDB` looks at no checksum of a log, and takes over
    /// what a damaged record says.
    fn unverified(&self, damage: &Damage) -> BTreeSet<u64> {
        let Some(records) = self.holdings.records.get(&damage.file) else {
            return BTreeSet::new();
        };
        let before = self.files.get(&damage.file);
        let after = damage.apply(&self.files);
        let after = after.0.get(&damage.file).map_or(&[][..], Vec::as_slice);
        let touched = records
            .iter()
            .filter(|record| after.get(record.bytes.clone()) != before.get(record.bytes.clone()));
        touched
            .flat_map(|record| record.sequences.clone())
            .collect()
    }

    fn nothing_of_other_files_lost(&self, left: &Left, damage: &Damage) -> Checked {
        for (key, versions) in &self.versions {
            let held =
                |version: &&Version| self.holdings.is_held_beside(version.sequence, &damage.file);
            if let Some(version) = versions.iter().rfind(held) {
                self.at_least(left, key, version.sequence)?;
            }
        }
        Ok(())
    }

    /// A deleted key stays deleted, unless the damage took the deletion.
    fn nothing_deleted(&self, left: &Left, damage: &Damage) -> Checked {
        for key in left.keys() {
            let last = self.versions[key].last().expect("a key has a version");
            if last.value.is_none() && !self.may_lose(last.sequence, key, damage) {
                return Err(format!("{} was deleted and is back", shown(key)));
            }
        }
        Ok(())
    }

    /// Whether the damage may have taken this operation. Of a log it takes what it touches, and what C++ LevelDB does not
    /// find behind that either.
    fn may_lose(&self, sequence: u64, key: &[u8], damage: &Damage) -> bool {
        let held = self.holdings.sequences.get(&damage.file);
        let is_in_log = self.holdings.records.contains_key(&damage.file);
        let Kept(by_leveldb) = self.by_leveldb.of(damage);
        let is_found = by_leveldb
            .as_ref()
            .is_some_and(|states| states.get(key) == Some(&State::Absent));
        held.is_some_and(|held| held.contains(&sequence))
            && (!is_in_log || !is_found || self.unverified(damage).contains(&sequence))
    }
}

fn is_of_manifest(damage: &Damage) -> bool {
    matches!(filename::parse(&damage.file), Some((FileKind::Manifest, _)))
}

fn last_sequence(fs: &MemFs) -> Result<u64, String> {
    let fs: Arc<dyn Fs> = Arc::new(fs.clone());
    let verified =
        verify(&fs, &Options::default().comparator).map_err(|error| error.to_string())?;
    check(verified.problems.is_empty(), || {
        format!("verify finds {:?}", verified.problems)
    })?;
    Ok(verified.last_sequence)
}

/// No older entry comes to light as new writes take the sequences behind the last one.
fn new_writes_add_themselves_alone(engine: &Engine, left: &Left) -> Checked {
    const NEW: u32 = 60;
    for number in 0..NEW {
        let mut batch = WriteBatch::new();
        batch.put(format!("new {number:02}").as_bytes(), b"new");
        engine
            .write(Write::new(batch))
            .map_err(|error| error.to_string())?;
    }
    let now = read(engine);
    let same = left.iter().all(|(key, entry)| now.get(key) == Some(entry));
    check(same && now.len() == left.len() + NEW as usize, || {
        format!("{} entries became {}", left.len(), now.len())
    })
}

#[test]
fn repair_of_damaged_leveldb_files_keeps_what_leveldb_keeps() {
    sweep("leveldb-1.23-sweep").run();
}

#[test]
fn repair_of_our_damaged_files_keeps_what_leveldb_keeps() {
    sweep("level-party-sweep").run();
}

#[test]
fn repair_without_manifest_keeps_what_leveldb_keeps() {
    for name in ["leveldb-1.23-sweep", "level-party-sweep"] {
        let sweep = Sweep {
            without_manifest: true,
            ..sweep(name)
        };
        sweep.run();
    }
}

#[test]
fn sweep_fixtures_hold_the_workload_on_several_levels() {
    for name in ["leveldb-1.23-sweep", "level-party-sweep"] {
        let sweep = sweep(name);
        let tables = &sweep.holdings.tables_per_level;
        assert!(tables.contains_key(&0) && tables.len() > 1, "{tables:?}");
        let engine = open(&in_memory(&sweep.files));
        let left = read(&engine);
        let entries = left
            .into_iter()
            .map(|(key, (value, _))| (key, value))
            .collect();
        assert_eq!(Kept::of(&entries), Kept::undamaged(), "{name}");
    }
}
