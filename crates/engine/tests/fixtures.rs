//! Databases that C++ LevelDB 1.20, 1.22 and 1.23 left, read in full with nothing installed.
//!
//! `tests/fixtures/*.tar.zst` are written by `ci/peers/make-fixtures`. Each archive holds a database's files and
//! `expected`, all entries in hexadecimal as the LevelDB that wrote them reads them itself, with `-` for keys that are gone.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use level_party_engine::{Cursor, Engine, Fs, MemFs, Options, RecoveryMode, Write, WriteBatch};
use level_party_format::edit::VersionEdit;
use level_party_format::filename;
use level_party_format::log::{LogItem, LogReader};
use level_party_testkit::{Entries, Entry, Model, Op, PATIENCE, Readable, damage, read_everything};

/// One fixture.
struct Database {
    files: MemFs,
    expected: Model,
}

fn unpack(name: &str) -> Database {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut database = Database {
        files: MemFs::new(),
        expected: Model::default(),
    };
    let archive = fixtures.join(format!("{name}.tar.zst"));
    for (name, contents) in damage::unpack(&archive).0 {
        if name == "expected" {
            let text = String::from_utf8(contents).expect("text");
            let lines: Vec<Op> = text.lines().map(op).collect();
            database.expected.apply(&lines);
        } else {
            let mut file = database.files.create(&name).expect("a file");
            file.append(&contents).expect("memory takes all");
        }
    }
    assert!(!database.expected.entries().is_empty());
    database
}

fn op(line: &str) -> Op {
    let (key, value) = line.split_once(' ').expect("a key and a value");
    let byte = |hex: &[u8]| {
        let hex = std::str::from_utf8(hex).expect("text");
        u8::from_str_radix(hex, 16).expect("a hexadecimal number")
    };
    let bytes = |hex: &str| hex.as_bytes().chunks(2).map(byte).collect();
    match value {
        "-" => Op::Delete(bytes(key)),
        value => Op::Put(bytes(key), bytes(value)),
    }
}

/// An engine as [`read_everything`] sees it.
struct Reader<'a>(&'a Engine);

fn shown(cursor: &Cursor) -> Option<Entry> {
    cursor
        .valid()
        .then(|| (cursor.key().to_vec(), cursor.value().to_vec()))
}

impl Readable for Reader<'_> {
    fn name(&self) -> &'static str {
        "the engine"
    }

    fn forward(&mut self) -> Entries {
        let mut cursor = self.0.cursor().unwrap();
        cursor.seek_to_first().unwrap();
        let mut entries = Entries::new();
        while let Some(entry) = shown(&cursor) {
            entries.push(entry);
            cursor.next().unwrap();
        }
        entries
    }

    fn backward(&mut self) -> Entries {
        let mut cursor = self.0.cursor().unwrap();
        cursor.seek_to_last().unwrap();
        let mut entries = Entries::new();
        while let Some(entry) = shown(&cursor) {
            entries.push(entry);
            cursor.prev().unwrap();
        }
        entries
    }

    fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(key).unwrap().map(|entry| entry.value)
    }

    fn seek(&mut self, key: &[u8]) -> Option<Entry> {
        let mut cursor = self.0.cursor().unwrap();
        cursor.seek(key).unwrap();
        shown(&cursor)
    }
}

fn open(files: &MemFs, recovery: RecoveryMode) -> Engine {
    let options = Options {
        recovery,
        bloom_bits_per_key: Some(10),
        ..Options::default()
    };
    Engine::open(Arc::new(files.clone()), options).expect("the database opens")
}

/// Reads the database as it is, after a compaction of everything, and after it was opened again; in both modes of
/// recovery. Returns how many things each opening said it dropped.
fn read_in_full(name: &str) -> Vec<usize> {
    [RecoveryMode::SameBoot, RecoveryMode::AfterReboot]
        .map(|recovery| {
            let database = unpack(name);
            let read = |engine: &Engine| {
                read_everything(&mut Reader(engine), &database.expected, usize::MAX);
            };
            let engine = open(&database.files, recovery);
            read(&engine);
            let dropped = engine.recovered().dropped.len();
            engine.compact_range(None, None).expect("it compacts");
            read(&engine);
            engine.close().expect("it closes");
            let engine = open(&database.files, recovery);
            read(&engine);
            dropped
        })
        .to_vec()
}

#[test]
fn databases_by_leveldb_1_20_are_read_in_full() {
    assert_eq!(read_in_full("leveldb-1.20-plain"), [0, 0]);
    assert_eq!(read_in_full("leveldb-1.20-snappy-bloom"), [0, 0]);
    assert_eq!(read_in_full("leveldb-1.20-killed"), [0, 0]);
    assert_eq!(read_in_full("leveldb-1.20-torn-log"), [1, 1]);
}

#[test]
fn databases_by_leveldb_1_22_are_read_in_full() {
    assert_eq!(read_in_full("leveldb-1.22-plain"), [0, 0]);
    assert_eq!(read_in_full("leveldb-1.22-snappy-bloom"), [0, 0]);
    assert_eq!(read_in_full("leveldb-1.22-killed"), [0, 0]);
    assert_eq!(read_in_full("leveldb-1.22-torn-log"), [1, 1]);
}

#[test]
fn databases_by_leveldb_1_23_are_read_in_full() {
    assert_eq!(read_in_full("leveldb-1.23-plain"), [0, 0]);
    assert_eq!(read_in_full("leveldb-1.23-snappy-bloom"), [0, 0]);
    assert_eq!(read_in_full("leveldb-1.23-killed"), [0, 0]);
    assert_eq!(read_in_full("leveldb-1.23-torn-log"), [1, 1]);
}

#[test]
fn tables_under_their_old_names_are_read_in_full() {
    let database = unpack("leveldb-1.20-sst-names");
    let names = database.files.list().unwrap();
    assert!(names.iter().any(|name| name.ends_with(".sst")));
    assert!(!names.iter().any(|name| name.ends_with(".ldb")));
    assert_eq!(read_in_full("leveldb-1.20-sst-names"), [0, 0]);
}

/// Whether a table of a level below 0 begins with the user key with which the one before it ends.
fn splits_a_key(engine: &Engine) -> bool {
    let view = engine.view().unwrap();
    let user_key = |key: &[u8]| key[..key.len() - 8].to_vec();
    let levels = view.version.levels[1..].iter();
    let mut neighbours = levels.flat_map(|level| level.windows(2));
    neighbours.any(|pair| user_key(&pair[0].largest) == user_key(&pair[1].smallest))
}

#[test]
fn split_versions_are_read_in_full() {
    assert_eq!(read_in_full("leveldb-1.20-split-versions"), [0, 0]);
}

#[test]
fn split_versions_are_joined_by_a_compaction() {
    let mut database = unpack("leveldb-1.20-split-versions");
    let engine = open(&database.files, RecoveryMode::SameBoot);
    assert!(splits_a_key(&engine), "the fixture splits no key");
    // Tables of the deepest level are written anew only together with what lies above them.
    let mut around = WriteBatch::new();
    for key in [&b""[..], b"\xff"] {
        around.put(key, b"around all");
        let put = Op::Put(key.to_vec(), b"around all".to_vec());
        database.expected.apply(&[put]);
    }
    engine.write(Write::new(around)).expect("it is written");
    engine.compact_range(None, None).expect("it compacts");
    assert!(!splits_a_key(&engine));
    read_everything(&mut Reader(&engine), &database.expected, usize::MAX);
}

#[test]
fn split_versions_are_compacted_together() {
    let database = unpack("leveldb-1.20-split-versions");
    assert_eq!(levels(&database.files), BTreeSet::from([1]));
    // Level 1 holds five tables of the largest size: it is too full by one table, which must take others along.
    let options = Options {
        max_file_size: 480_000,
        ..Options::default()
    };
    let engine = Engine::open(Arc::new(database.files.clone()), options).expect("it opens");
    let start = Instant::now();
    while engine.stats().bytes_per_level[1] > 5 * 480_000 {
        assert!(
            start.elapsed() < PATIENCE,
            "nothing is moved down: {engine:?}"
        );
        read_everything(&mut Reader(&engine), &database.expected, 10);
    }
    read_everything(&mut Reader(&engine), &database.expected, usize::MAX);
}

#[test]
fn fixtures_have_three_levels_and_writes_in_the_log() {
    for version in ["1.20", "1.22", "1.23"] {
        let database = unpack(&format!("leveldb-{version}-killed"));
        let names = database.files.list().unwrap();
        let log = names
            .iter()
            .rfind(|name| name.ends_with(".log"))
            .expect("a log");
        assert!(!database.files.read(log).unwrap().is_empty());
        let levels = levels(&database.files);
        assert_eq!(levels, BTreeSet::from([0, 1, 2]), "{version}");
    }
}

/// The levels on which the manifest has tables.
fn levels(files: &MemFs) -> BTreeSet<usize> {
    let current = files.read(filename::CURRENT).unwrap();
    let manifest = files
        .read(&filename::parse_current(&current).unwrap())
        .unwrap();
    let mut tables = BTreeSet::new();
    for item in LogReader::new(&manifest) {
        let LogItem::Record { payload, .. } = item else {
            panic!("the manifest is whole: {item:?}");
        };
        let edit = VersionEdit::decode(&payload).unwrap();
        tables.retain(|table| !edit.deleted_files.contains(table));
        tables.extend(
            edit.new_files
                .iter()
                .map(|(level, file)| (*level, file.number)),
        );
    }
    tables.into_iter().map(|(level, _)| level).collect()
}
