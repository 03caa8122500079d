//! Writes the databases of `crates/engine/tests/fixtures`, unpacked: `make-fixtures DIR` (see `ci/peers/make-fixtures`).
//! `make-fixtures DIR sweep` writes those of the damage sweep alone, by C++ LevelDB and by ours.
//!
//! Each is a directory with the files as C++ LevelDB left them, and `expected`: a line `KEY VALUE` in hexadecimal for
//! each entry, as that LevelDB itself reads a copy of them, and a line `KEY -` for each other key that it may have had.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use level_party_testkit::{Entries, Op, Peer, PeerChild, PeerOptions, damage, example};

fn main() {
    let mut args = std::env::args_os().skip(1);
    let out: PathBuf = args.next().expect("a directory").into();
    sweep(&out);
    if args.next().is_none() {
        by_leveldb(&out);
    }
}

/// The databases of the damage sweep, each with a log of a killed process.
fn sweep(out: &Path) {
    let leveldb = Peer::leveldb_1_23();
    let [engine, party] = ["engine", "party"].map(|layer| Peer::ours(&example("our-peer"), layer));
    Fixture::new(out, "1.23", "sweep", &leveldb).work(&leveldb);
    let ours = Fixture {
        dir: out.join("level-party-sweep"),
        ..Fixture::new(out, "1.23", "sweep", &engine)
    };
    fs::create_dir_all(&ours.dir).expect("a new directory");
    ours.work(&party);
}

fn by_leveldb(out: &Path) {
    for (version, peer) in ["1.20", "1.22", "1.23"].iter().zip(Peer::leveldbs()) {
        let fixture = |name: &str| Fixture::new(out, version, name, &peer);
        fixture("plain").filled(false, 0, 16).close();
        fixture("snappy-bloom").filled(true, 10, 3).close();
        fixture("killed").filled(true, 0, 16).kill();
        fixture("torn-log").filled(true, 0, 16).kill_and_tear();
    }
    let peer = Peer::leveldb_1_20();
    Fixture::new(out, "1.20", "split-versions", &peer)
        .split()
        .close();
    Fixture::new(out, "1.20", "sst-names", &peer)
        .filled(true, 0, 16)
        .close_and_rename();
}

struct Fixture {
    dir: PathBuf,
    peer: Peer,
    options: PeerOptions,
}

/// A fixture whose database is open.
struct Opened {
    fixture: Fixture,
    child: PeerChild,
}

/// A value that a pack stores in few bytes.
fn value(number: u32, length: usize) -> Vec<u8> {
    let word = (number.wrapping_mul(0x9e37_79b1)).to_le_bytes();
    let numbered = number.to_be_bytes();
    let bytes = numbered.iter().chain(word.iter().cycle());
    bytes.take(length).copied().collect()
}

/// More than any key's number.
const KEYS: u32 = 300;

fn key(number: u32) -> Vec<u8> {
    match number {
        0 => Vec::new(),
        1..4 => vec![0; number as usize],
        4..6 => vec![0xff; number as usize - 3],
        _ if number.is_multiple_of(2) => format!("key {number:04}").into_bytes(),
        _ => [&[0xfe, 0x00][..], &number.to_be_bytes()].concat(),
    }
}

impl Fixture {
    fn new(out: &Path, version: &str, name: &str, peer: &Peer) -> Self {
        let dir = out.join(format!("leveldb-{version}-{name}"));
        fs::create_dir_all(&dir).expect("a new directory");
        Fixture {
            dir,
            peer: peer.clone(),
            options: PeerOptions::small(),
        }
    }

    fn open(self) -> Opened {
        let child = self.peer.open(&self.dir, &self.options);
        Opened {
            fixture: self,
            child,
        }
    }

    /// Tables on levels 0, 1 and 2, and entries in the log: keys put once, put again, deleted, and put after that.
    fn filled(mut self, snappy: bool, bloom: u32, block_restart_interval: u32) -> Opened {
        self.options = PeerOptions {
            snappy,
            bloom,
            block_restart_interval,
            ..self.options
        };
        let mut opened = self.open();
        let child = &mut opened.child;
        for n in 0..240 {
            child.write(&[Op::Put(key(n), value(n, 700))], false);
        }
        child.compact();
        for n in 0..240 {
            let number = n * 7 % 260;
            let batch = match n % 4 {
                0 => vec![Op::Delete(key(number))],
                1 => vec![
                    Op::Put(key(number), value(1000 + n, 40)),
                    Op::Delete(key(number + 1)),
                ],
                _ => vec![Op::Put(key(number), value(1000 + n, 1100))],
            };
            child.write(&batch, n % 100 == 0);
        }
        // Longer than a log's block, and nothing at all.
        child.write(&[Op::Put(key(8), value(8, 70_000))], false);
        child.write(&[Op::Put(key(9), Vec::new())], false);
        for n in 0..20 {
            child.write(&[Op::Put(key(n * 13), value(2000 + n, 30))], false);
        }
        opened
    }

    /// The workload of the damage sweep; the last part is written by `last` and stays in a log.
    fn work(self, last: &Peer) {
        let [filled, changed, logged] = damage::workload();
        let mut opened = self.open();
        filled
            .iter()
            .for_each(|batch| opened.child.write(batch, false));
        opened.child.compact();
        changed
            .iter()
            .for_each(|batch| opened.child.write(batch, false));
        opened.child.close();
        let mut child = last.open(&opened.fixture.dir, &opened.fixture.options);
        logged.iter().for_each(|batch| child.write(batch, false));
        child.kill();
        opened.fixture.remove_unwanted();
    }

    /// Versions of a key, each held by a snapshot, that fill more than one table of level 1.
    fn split(mut self) -> Opened {
        self.options.snappy = false;
        // An opening recovers to level 0, and so goes any table that overlaps; others could go to level 2.
        let mut first = self.peer.open(&self.dir, &self.options);
        let ends = [100, 101].map(|number| Op::Put(key(number), value(number, 10)));
        first.write(&ends, false);
        first.close();
        let mut opened = self.open();
        let child = &mut opened.child;
        for n in 0..40 {
            let key = key(100 + n % 2);
            let op = match n {
                38 => Op::Delete(key),
                _ => Op::Put(key, value(n, 70_000)),
            };
            child.write(&[op], false);
            child.take_snapshot(n.into());
        }
        child.compact();
        opened
    }
}

impl Opened {
    fn close(self) {
        self.child.close();
        self.fixture.note_expected();
    }

    fn close_and_rename(self) {
        self.child.close();
        for file in self.fixture.files() {
            if file.extension().is_some_and(|extension| extension == "ldb") {
                fs::rename(&file, file.with_extension("sst")).expect("a new name");
            }
        }
        self.fixture.note_expected();
    }

    fn kill(self) {
        self.child.kill();
        self.fixture.note_expected();
    }

    /// As a process leaves it that was killed inside a long write.
    fn kill_and_tear(self) {
        self.child.kill();
        let is_log = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "log");
        let log = self.fixture.files().into_iter().filter(is_log).max();
        let log = fs::OpenOptions::new()
            .write(true)
            .open(log.expect("a log"))
            .expect("the log");
        let length = log.metadata().expect("its length").len();
        log.set_len(length - 5).expect("a shorter log");
        self.fixture.note_expected();
    }
}

impl Fixture {
    fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(&self.dir).expect("the database's directory");
        let paths = files.map(|file| file.expect("a file").path());
        paths.filter(|path| path.is_file()).collect()
    }

    /// What is of one run or one machine alone.
    fn remove_unwanted(&self) {
        for name in [
            "LOG",
            "LOG.old",
            "LOCK",
            "level-party.endpoint",
            "level-party.state",
            "000001.dbtmp",
        ] {
            let _ = fs::remove_file(self.dir.join(name));
        }
    }

    fn note_expected(&self) {
        self.remove_unwanted();
        let copy = self.dir.join("copy");
        let files = self.files();
        fs::create_dir(&copy).expect("a new directory");
        for file in files {
            fs::copy(&file, copy.join(file.file_name().expect("a name"))).expect("a copy");
        }
        let mut reader = self.peer.open(&copy, &self.options);
        let entries: Entries = reader.forward(None);
        reader.close();
        fs::remove_dir_all(&copy).expect("the copy goes");
        let mut expected = fs::File::create(self.dir.join("expected")).expect("a new file");
        let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
        for (key, value) in &entries {
            writeln!(expected, "{} {}", hex(key), hex(value)).expect("it is written");
        }
        let removed = (0..KEYS)
            .map(key)
            .filter(|key| entries.iter().all(|entry| entry.0 != *key));
        for key in removed {
            writeln!(expected, "{} -", hex(&key)).expect("it is written");
        }
    }
}
