//! Our own program as a peer: `our-peer LAYER DIR NAME=NUMBER...` speaks the lines of `ci/peers/README.md`.
//!
//! LAYER is `party` (the whole product, a [`Db`]) or `engine` (the bare engine, which alone can compact on demand).
//! One line more than C++ LevelDB's: `info` is answered with `NAME=VALUE` words about the database.

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, Write as _, stdout};
use std::path::Path;
use std::sync::Arc;

use level_party::{Db, Readable, Snapshot, WriteBatch};
use level_party_engine::{Compression, Cursor, Engine, Options, Pin, StdFs, Write};
use level_party_os::{DataDir, DirLock};

type Outcome<T> = Result<T, Box<dyn Error>>;
type Entry = (Vec<u8>, Vec<u8>);
/// A key and its value; no value: a delete.
type Op = (Vec<u8>, Option<Vec<u8>>);

fn main() {
    if let Err(error) = run() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn run() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let layer = args.next().ok_or("no layer")?;
    let dir = args.next().ok_or("no directory")?;
    let given: HashMap<String, u32> = args
        .map(|word| {
            let (name, number) = word.split_once('=').ok_or("an option without =")?;
            Ok((name.to_owned(), number.parse()?))
        })
        .collect::<Outcome<_>>()?;
    let mut database: Box<dyn Database> = match layer.as_str() {
        "party" => Box::new(Party::open(Path::new(&dir), &given)?),
        "engine" => Box::new(Bare::open(Path::new(&dir), &given)?),
        other => return Err(format!("no layer {other}").into()),
    };
    say("open")?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        say(&answer(database.as_mut(), &words)?)?;
    }
    database.close()
}

fn say(answer: &str) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{answer}")?;
    out.flush()
}

/// What both layers can do.
trait Database {
    fn write(&mut self, ops: &[Op], sync: bool) -> Outcome<()>;
    fn get(&mut self, key: &[u8]) -> Outcome<Option<Vec<u8>>>;
    fn seek(&mut self, key: &[u8]) -> Outcome<Option<Entry>>;
    fn entries(&mut self, moment: &str, backward: bool) -> Outcome<Vec<Entry>>;
    fn snapshot(&mut self, name: &str) -> Outcome<()>;
    fn release(&mut self, name: &str);
    fn compact(&mut self) -> Outcome<()>;
    fn info(&mut self) -> Outcome<String>;
    fn close(&mut self) -> Outcome<()>;
}

fn answer(database: &mut dyn Database, words: &[&str]) -> Outcome<String> {
    let done = |()| "ok".to_owned();
    let key = |word: &str| bytes(word.strip_prefix('=').ok_or("a key without =")?);
    match *words {
        ["write", sync, ref ops @ ..] => database.write(&parse(ops)?, sync == "1").map(done),
        ["get", word] => {
            let value = database.get(&key(word)?)?;
            Ok(value.map_or_else(|| "none".to_owned(), |value| format!("={}", hex(&value))))
        }
        ["seek", word] => Ok(lines(database.seek(&key(word)?)?)),
        ["forward", moment] => Ok(lines(database.entries(moment, false)?)),
        ["backward", moment] => Ok(lines(database.entries(moment, true)?)),
        ["snapshot", name] => database.snapshot(name).map(done),
        ["release", name] => {
            database.release(name);
            Ok("ok".to_owned())
        }
        ["compact"] => database.compact().map(done),
        ["info"] => database.info(),
        _ => Err(format!("no command: {}", words.join(" ")).into()),
    }
}

fn parse(ops: &[&str]) -> Outcome<Vec<Op>> {
    let parse = |op: &&str| {
        let parts: Vec<&str> = op.split(':').collect();
        match parts[..] {
            ["p", key, value] => Ok((bytes(key)?, Some(bytes(value)?))),
            ["d", key] => Ok((bytes(key)?, None)),
            _ => Err(format!("no operation: {op}").into()),
        }
    };
    ops.iter().map(parse).collect()
}

fn lines(entries: impl IntoIterator<Item = Entry>) -> String {
    let lines = entries
        .into_iter()
        .map(|(key, value)| format!("{} {}\n", hex(&key), hex(&value)));
    lines.chain([".".to_owned()]).collect()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).expect("four bits are one digit");
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn bytes(hex: &str) -> Outcome<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or("no hexadecimal digit");
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| Ok((digit(pair[0])? << 4 | digit(*pair.last().unwrap_or(&0))?) as u8))
        .collect()
}

/// The whole product.
struct Party {
    db: Db,
    snapshots: HashMap<String, Snapshot>,
}

impl Party {
    fn open(dir: &Path, given: &HashMap<String, u32>) -> Outcome<Self> {
        let mut options = Db::options()
            .compression(match given["snappy"] {
                1 => level_party::Compression::Snappy,
                _ => level_party::Compression::None,
            })
            .write_buffer_size(given["write_buffer_size"] as usize)
            .block_size(given["block_size"] as usize)
            .max_file_size(given["max_file_size"] as usize);
        if given["bloom"] > 0 {
            options = options.bloom_bits_per_key(given["bloom"]);
        }
        Ok(Party {
            db: options.open(dir)?,
            snapshots: HashMap::new(),
        })
    }
}

impl Database for Party {
    fn write(&mut self, ops: &[Op], sync: bool) -> Outcome<()> {
        let mut batch = WriteBatch::new();
        for (key, value) in ops {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            };
        }
        Ok(self.db.write(batch.sync(sync))?)
    }

    fn get(&mut self, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
        Ok(self.db.get(key)?)
    }

    fn seek(&mut self, key: &[u8]) -> Outcome<Option<Entry>> {
        Ok(self.db.range(key..).next().transpose()?)
    }

    fn entries(&mut self, moment: &str, backward: bool) -> Outcome<Vec<Entry>> {
        let range = match self.snapshots.get(moment) {
            Some(snapshot) => snapshot.iter(),
            None => self.db.iter(),
        };
        let entries: Result<_, _> = match backward {
            false => range.collect(),
            true => range.rev().collect(),
        };
        Ok(entries?)
    }

    fn snapshot(&mut self, name: &str) -> Outcome<()> {
        self.snapshots.insert(name.to_owned(), self.db.snapshot()?);
        Ok(())
    }

    fn release(&mut self, name: &str) {
        self.snapshots.remove(name);
    }

    fn compact(&mut self) -> Outcome<()> {
        Ok(())
    }

    fn info(&mut self) -> Outcome<String> {
        let leader = self.db.status()?.leader;
        let files: Vec<String> = leader.files_per_level.iter().map(u64::to_string).collect();
        Ok(format!("epoch={} files={}", leader.epoch, files.join(",")))
    }

    fn close(&mut self) -> Outcome<()> {
        self.snapshots.clear();
        Ok(self.db.close()?)
    }
}

/// The bare engine, under the directory's lock.
struct Bare {
    engine: Engine,
    pins: HashMap<String, Pin>,
    _lock: DirLock,
}

impl Bare {
    fn open(dir: &Path, given: &HashMap<String, u32>) -> Outcome<Self> {
        std::fs::create_dir_all(dir)?;
        let lock =
            DirLock::try_acquire(&DataDir::open(dir)?).map_err(|error| format!("{error:?}"))?;
        let options = Options {
            compression: if given["snappy"] == 1 {
                Compression::Snappy
            } else {
                Compression::None
            },
            bloom_bits_per_key: (given["bloom"] > 0).then_some(given["bloom"] as usize),
            write_buffer_size: given["write_buffer_size"] as usize,
            block_size: given["block_size"] as usize,
            block_restart_interval: given["block_restart_interval"] as usize,
            max_file_size: given["max_file_size"].into(),
            ..Options::default()
        };
        let engine = Engine::open(Arc::new(StdFs::new(dir)), options)?;
        Ok(Bare {
            engine,
            pins: HashMap::new(),
            _lock: lock,
        })
    }

    fn cursor(&self, moment: &str) -> Outcome<Cursor> {
        Ok(match self.pins.get(moment) {
            Some(pin) => self.engine.cursor_at(pin.sequence())?,
            None => self.engine.cursor()?,
        })
    }

    /// How many tables, on levels below 0, begin with the user key with which the one before them ends.
    fn split_keys(&self) -> usize {
        let view = self.engine.view().unwrap();
        let user_key = |key: &[u8]| key[..key.len().saturating_sub(8)].to_vec();
        let levels = view.version.levels[1..].iter();
        let neighbours = levels.flat_map(|level| level.windows(2));
        neighbours
            .filter(|pair| user_key(&pair[0].largest) == user_key(&pair[1].smallest))
            .count()
    }
}

fn entry(cursor: &Cursor) -> Option<Entry> {
    cursor
        .valid()
        .then(|| (cursor.key().to_vec(), cursor.value().to_vec()))
}

impl Database for Bare {
    fn write(&mut self, ops: &[Op], sync: bool) -> Outcome<()> {
        let mut batch = level_party_engine::WriteBatch::new();
        for (key, value) in ops {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        self.engine.write(Write::new(batch).sync(sync))?;
        Ok(())
    }

    fn get(&mut self, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
        Ok(self.engine.get(key)?.map(|entry| entry.value))
    }

    fn seek(&mut self, key: &[u8]) -> Outcome<Option<Entry>> {
        let mut cursor = self.engine.cursor()?;
        cursor.seek(key)?;
        Ok(entry(&cursor))
    }

    fn entries(&mut self, moment: &str, backward: bool) -> Outcome<Vec<Entry>> {
        let mut cursor = self.cursor(moment)?;
        let mut entries = Vec::new();
        match backward {
            false => cursor.seek_to_first()?,
            true => cursor.seek_to_last()?,
        }
        while let Some(entry) = entry(&cursor) {
            entries.push(entry);
            match backward {
                false => cursor.next()?,
                true => cursor.prev()?,
            }
        }
        Ok(entries)
    }

    fn snapshot(&mut self, name: &str) -> Outcome<()> {
        self.pins.insert(name.to_owned(), self.engine.pin());
        Ok(())
    }

    fn release(&mut self, name: &str) {
        self.pins.remove(name);
    }

    fn compact(&mut self) -> Outcome<()> {
        Ok(self.engine.compact_range(None, None)?)
    }

    fn info(&mut self) -> Outcome<String> {
        let files: Vec<String> = self
            .engine
            .stats()
            .files_per_level
            .iter()
            .map(usize::to_string)
            .collect();
        let dropped = self.engine.recovered().dropped.len();
        Ok(format!(
            "files={} split={} dropped={dropped}",
            files.join(","),
            self.split_keys()
        ))
    }

    fn close(&mut self) -> Outcome<()> {
        self.pins.clear();
        Ok(self.engine.close()?)
    }
}
