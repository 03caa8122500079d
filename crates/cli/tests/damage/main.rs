//! Damaged, incomplete and foreign directories under the program itself: what is kept, what is refused, what is said.
//!
//! `level_party_testkit::damage::cases` makes the directories. `docs/RELIABILITY.md` lists the classes of damage with
//! these tests.

mod current;
mod foreign;
mod openings;
mod repairs;
mod reports;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use level_party_testkit::damage::Files;
use level_party_testkit::{ExecChild, Finished, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");
/// Entries written after a repair, so that older ones would come to light under their sequences.
const NEW_ENTRIES: usize = 60;
/// Names of what a repair or an opening set aside begin so. No opening removes such a file.
const EVIDENCE: [&str; 2] = ["level-party.replaced-", "level-party.aside-"];

/// A damaged directory.
struct Damaged {
    /// Removed when dropped.
    _place: tempfile::TempDir,
    dir: PathBuf,
    /// What was in it at first.
    files: Files,
}

impl Damaged {
    fn new(files: Files) -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let dir = place.path().join("db");
        files.write_to(&dir);
        Damaged {
            _place: place,
            dir,
            files,
        }
    }

    /// Runs a command on the directory.
    fn run(&self, command: &str, words: &[&str]) -> Finished {
        let args = [OsStr::new(command), self.dir.as_os_str()];
        let words = words.iter().map(OsStr::new);
        let done = run(PROGRAM, args.into_iter().chain(words));
        assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
        done
    }

    /// Runs a command that must end with exit code `code` and say each of `words`, wherever.
    fn says(&self, code: i32, command: &[&str], words: &[&str]) -> String {
        let done = self.run(command[0], &command[1..]);
        let said = both(&done);
        assert_eq!(done.code(), code, "{command:?} said: {said}");
        for word in words {
            assert!(
                said.contains(word),
                "{command:?} does not say {word:?} but: {said}"
            );
        }
        said
    }

    /// Runs a command that must be refused, say each of `words`, and not send anybody to `repair`.
    fn refuses(&self, command: &[&str], words: &[&str]) {
        let done = self.run(command[0], &command[1..]);
        let said = both(&done);
        assert!(
            [2, 3].contains(&done.code()),
            "{command:?}, exit code {}: {said}",
            done.code()
        );
        for word in words {
            assert!(
                said.contains(word),
                "{command:?} does not say {word:?} but: {said}"
            );
        }
        assert!(!said.contains("hint: `repair`"), "{command:?}: {said}");
    }

    fn count(&self) -> usize {
        let done = self.run("count", &[]).success();
        done.text().trim().parse().expect("a number of entries")
    }

    /// All entries. Keys and values are text.
    fn entries(&self) -> BTreeMap<String, String> {
        let done = self.run("export", &[]).success();
        let entries = done.text().lines().map(|line| {
            let entry: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
            let text = |name: &str| entry[name].as_str().expect("text").to_owned();
            (text("key"), text("value"))
        });
        entries.collect()
    }

    /// Fails if any file was changed, removed or added, but for the lock and what is ours alone.
    fn is_unchanged(&self) {
        let is_ours = |name: &str| {
            name == "LOCK" || name == "000001.dbtmp" || name.starts_with("level-party.")
        };
        let theirs = |mut files: Files| {
            files.0.retain(|name, _| !is_ours(name));
            files
        };
        let (before, now) = (
            theirs(self.files.clone()),
            theirs(Files::read_from(&self.dir)),
        );
        assert_eq!(now.names(), before.names(), "files came or went");
        for (name, contents) in &before.0 {
            assert!(now.get(name) == contents, "{name} was changed");
        }
    }

    /// Repairs it. It must have `entries` entries, now and later, and keep all that was set aside.
    fn repairs_to(&self, entries: usize) -> String {
        self.says(1, &["repair"], &["to do"]);
        self.is_unchanged();
        let said = self.says(0, &["repair", "--yes"], &["repaired"]);
        self.is_sound_with(entries);
        said
    }

    /// What must hold after each repair.
    fn is_sound_with(&self, entries: usize) {
        let evidence = self.evidence();
        self.says(0, &["repair"], &["nothing is wrong"]);
        assert_eq!(self.count(), entries);
        self.says(0, &["verify"], &["nothing is wrong"]);
        let before = self.entries();
        let mut child = ExecChild::spawn(PROGRAM, &self.dir);
        for number in 0..NEW_ENTRIES {
            child.put(&format!("written after the repair {number:02}"), "1");
        }
        assert!(child.close().success());
        assert_eq!(
            self.count(),
            entries + NEW_ENTRIES,
            "older entries came to light, or some went"
        );
        let after = self.entries();
        let is_there = |entry: &(&String, &String)| after.get(entry.0) == Some(entry.1);
        assert!(before.iter().all(|entry| is_there(&entry)));
        self.says(0, &["verify"], &["nothing is wrong"]);
        let kept = self.evidence();
        for (name, contents) in &evidence.0 {
            assert!(
                kept.0.get(name) == Some(contents),
                "an opening touched {name}"
            );
        }
    }

    /// What was set aside.
    fn evidence(&self) -> Files {
        let mut files = Files::read_from(&self.dir);
        let is_evidence = |name: &str| EVIDENCE.iter().any(|prefix| name.starts_with(prefix));
        files.0.retain(|name, _| is_evidence(name));
        files
    }

    /// Fails unless the bytes that file `name` had at first are in the directory under some name.
    fn still_holds(&self, name: &str) {
        let contents = self.files.get(name);
        let now = Files::read_from(&self.dir);
        assert!(
            now.0.values().any(|now| now == contents),
            "what {name} held is in none of {:?}",
            now.names()
        );
    }
}

/// What a command said on standard output and standard error.
fn both(done: &Finished) -> String {
    format!("{}{}", String::from_utf8_lossy(&done.stdout), done.stderr)
}

/// A sound directory with a log and a table, for comparison.
#[test]
fn sound_directory_needs_no_repair() {
    let sound = Damaged::new(level_party_testkit::damage::cases::sound());
    sound.says(0, &["repair"], &["nothing is wrong"]);
    sound.says(0, &["repair", "--yes"], &["nothing is wrong"]);
    sound.is_unchanged();
    sound.is_sound_with(100);
}

/// The file of a directory.
fn remove(dir: &Path, name: &str) {
    std::fs::remove_file(dir.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
}
