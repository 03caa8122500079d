//! C++ LevelDB, through Python's `plyvel`: what it reads of a directory, what it writes into one, and how it holds one.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::lines::{Line, Lines};
use crate::{PATIENCE, run, run_with_input};

/// The environment variable that names the Python interpreter with `plyvel` (default `python3`).
const PYTHON: &str = "PLYVEL_PYTHON";

/// Reads `{"key": hex, "value": hex}` as bytes; each command is one open and one close of the database.
const SCRIPT: &str = r#"
import sys, plyvel
command, path = sys.argv[1:3]
db = plyvel.DB(path, create_if_missing=True)
if command == "dump":
    for key, value in db:
        sys.stdout.write(key.hex() + " " + value.hex() + "\n")
elif command == "load":
    batch = db.write_batch()
    for n, line in enumerate(sys.stdin, 1):
        key, value = line.rstrip("\n").split(" ")
        batch.put(bytes.fromhex(key), bytes.fromhex(value))
        if n % 1000 == 0:
            batch.write()
            batch = db.write_batch()
    batch.write()
elif command == "hold":
    print("held", flush=True)
    sys.stdin.read()
db.close()
"#;

/// C++ LevelDB in a process of its own.
#[derive(Debug)]
pub struct CppLevelDb {
    child: Child,
}

fn python() -> OsString {
    std::env::var_os(PYTHON).unwrap_or_else(|| "python3".into())
}

fn arguments(command: &str, dir: &Path) -> [OsString; 4] {
    ["-c".into(), SCRIPT.into(), command.into(), dir.into()]
}

impl CppLevelDb {
    /// All entries of the database in `dir`, in its order.
    ///
    /// # Panics
    /// If it cannot be started (`plyvel` is installed by `pip install plyvel`) or cannot open the database.
    pub fn dump(dir: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
        let output = run(python(), arguments("dump", dir)).success();
        let entry = |line: &str| {
            let (key, value) = line.split_once(' ').expect("a key and a value");
            (bytes(key), bytes(value))
        };
        output.text().lines().map(entry).collect()
    }

    /// Puts `entries` into the database in `dir`, which is created if there is none.
    ///
    /// # Panics
    /// As [`CppLevelDb::dump`].
    pub fn load<'a>(dir: &Path, entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) {
        let mut lines = Vec::new();
        for (key, value) in entries {
            writeln!(lines, "{} {}", hex(key), hex(value)).expect("memory takes all");
        }
        run_with_input(python(), arguments("load", dir), lines).success();
    }

    /// Opens the database in `dir` and keeps it open until dropped.
    ///
    /// # Panics
    /// As [`CppLevelDb::dump`].
    pub fn hold(dir: &Path) -> Self {
        let mut child = Command::new(python())
            .args(arguments("hold", dir))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("python cannot be started: {error}"));
        let lines = Lines::of(child.stdout.take().expect("standard output is piped"));
        assert_eq!(lines.next_within(PATIENCE), Line::Text("held".into()));
        CppLevelDb { child }
    }

    /// Whether it opens the database in `dir` at all; what it says if not.
    pub fn try_open(dir: &Path) -> Result<(), String> {
        let opened = run(python(), arguments("dump", dir));
        if opened.status.success() {
            Ok(())
        } else {
            Err(opened.stderr)
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for CppLevelDb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    (0..hex.len()).step_by(2).map(digit).collect()
}
