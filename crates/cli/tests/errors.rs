//! What is said when something cannot be done, word for word as in `tests/errors.txt`.

#![cfg(unix)] // word for word, with paths and the system's own words

use std::path::Path;

use level_party_testkit::damage::{Compression, cases};
use level_party_testkit::{Finished, ForeignLock, run, run_with_input};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

/// Gathers what commands say, with what differs from run to run left out.
struct Transcript {
    text: String,
    dir: String,
    me: String,
}

impl Transcript {
    fn run(&mut self, words: &[&str]) {
        let done = run(
            PROGRAM,
            words.iter().map(|word| word.replace("DIR", &self.dir)),
        );
        self.note(words, &done);
    }

    fn run_with(&mut self, words: &[&str], input: &[u8]) {
        let words_there = words.iter().map(|word| word.replace("DIR", &self.dir));
        let done = run_with_input(PROGRAM, words_there, input.to_vec());
        self.note(words, &done);
    }

    fn note(&mut self, words: &[&str], done: &Finished) {
        assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
        assert!(done.stdout.is_empty(), "{words:?} printed data");
        let said = done
            .stderr
            .replace(&self.dir, "DIR")
            .replace(&self.me, "THIS-TEST")
            .replace(&std::process::id().to_string(), "PID");
        let words = words.join(" ");
        self.text += &format!("$ level-party {words}\n{said}[{}]\n\n", done.code());
    }
}

#[test]
fn what_is_said_is_what_was_committed() {
    let place = tempfile::tempdir().expect("a directory");
    let path = |name: &str| place.path().join(name);
    let mut told = Transcript {
        text: String::new(),
        dir: place.path().to_str().expect("plain").to_string(),
        me: std::env::current_exe()
            .expect("a path")
            .display()
            .to_string(),
    };
    let db = path("db");
    run(
        PROGRAM,
        ["put".as_ref(), db.as_os_str(), "a".as_ref(), "1".as_ref()],
    )
    .success();
    std::fs::write(path("file"), "not a database").expect("written");
    std::fs::create_dir(path("empty")).expect("made");

    // Where there is no database.
    told.run(&["get", "DIR/none", "a"]);
    told.run(&["scan", "DIR/empty"]);
    told.run(&["count", "DIR/file"]);
    told.run(&["put", "DIR/file", "a", "1"]);
    told.run(&["put", "DIR/dta/deeper/db", "a", "1"]);
    told.run(&["serve", "DIR/dta/db"]);
    // Usage.
    told.run(&["get", "DIR/db", "b"]);
    told.run(&["put", "DIR/db", "a", "1", "b"]);
    told.run(&["clear", "DIR/db"]);
    told.run(&["batch", "DIR/db", "put", "a"]);
    told.run(&["batch", "DIR/db", "move", "a"]);
    told.run(&["watch", "DIR/db", "--since", "yesterday"]);
    told.run(&["get", "DIR/db", "--sublevel", "a b", "k"]);
    told.run(&["top", "DIR/db"]);
    told.run(&["put", "DIR/db", "-k", "1"]);
    told.run(&["scan", "DIR/db", "--lim", "1"]);
    told.run(&["scan", "DIR/db", "--limit", "few"]);
    told.run(&["gett", "DIR/db", "a"]);
    told.run(&["checkpoint", "DIR/db", "DIR/no/such/place"]);
    told.run(&["checkpoint", "DIR/db", "DIR/file"]);
    told.run(&["destroy", "DIR/none", "--yes"]);
    told.run(&["repair", "DIR/empty"]);
    // Each says so at once: the deadlines, of years, are not waited for.
    told.run(&["yield", "DIR/db", "--open-timeout", "100000000"]);
    told.run(&["yield", "DIR/empty", "--open-timeout", "100000000"]);
    told.run(&["yield", "DIR/db", "--lead", "auto"]);
    told.run(&["get", "DIR/db", "--lead", "join", "a"]);
    told.run(&["get", "DIR/db", "--lead", "maybe", "a"]);
    told.run(&["get", "DIR/db", "--lead", "never", "--timeout", "0.1", "a"]);
    // Encodings.
    told.run(&["get", "DIR/db", "--key-encoding", "hex", "zz"]);
    told.run(&["get", "DIR/db", "--key-encoding", "octal", "7"]);
    told.run(&["put", "DIR/db", "--value-encoding", "json", "a", "{"]);
    told.run(&["put", "DIR/db", "--value-encoding", "base64", "a", "?"]);
    // Input.
    told.run(&["import", "DIR/db", "DIR/absent"]);
    told.run(&["import", "DIR/db", "DIR"]);
    told.run(&["export", "DIR/db", "DIR/no/such/file"]);
    told.run_with(
        &["import", "DIR/db"],
        b"{\"key\":\"k\",\"value\":\"\"}\n\n{\"key\":\"l\"}\n",
    );
    told.run_with(
        &["import", "DIR/db"],
        b"{\"key\":\"l\",\"value\":\"\xff\"}\n",
    );
    told.run_with(
        &["import", "DIR/db"],
        b"{\"key\":\"l\",\"key\":\"m\",\"value\":\"\"}\n",
    );
    told.run_with(
        &["import", "DIR/db"],
        b"{\"key\":\"l\",\"value\":{\"a\":1}}\n",
    );
    told.run_with(&["batch", "DIR/db"], b"{\"type\":\"put\",\"key\":\"l\"}\n");
    told.run_with(
        &["batch", "DIR/db"],
        b"{\"type\":\"put\",\"sublevel\":[\"a b\"],\"key\":\"l\",\"value\":\"\"}\n",
    );
    // Another program has it.
    let held = ForeignLock::take(&db);
    told.run(&["get", "DIR/db", "--open-timeout", "3", "a"]);
    drop(held);
    // Other products' directories.
    cases::rocksdb().write_to(&path("rocks"));
    cases::riak().write_to(&path("riak"));
    cases::git_lfs_pointers(|_| true).write_to(&path("lfs"));
    cases::compressed(Compression::ZlibRaw).write_to(&path("world"));
    told.run(&["get", "DIR/rocks", "a"]);
    told.run(&["repair", "DIR/riak", "--yes"]);
    told.run(&["verify", "DIR/lfs"]);
    told.run(&["put", "DIR/world", "a", "1"]);
    // Damage.
    std::fs::write(db.join("CURRENT"), "nonsense").expect("written");
    told.run(&["get", "DIR/db", "a"]);

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors.txt");
    if std::env::var_os("UPDATE_HELP").is_some() {
        std::fs::write(&file, &told.text).expect("written");
    }
    let committed = std::fs::read_to_string(&file).expect("a committed file");
    assert!(
        committed == told.text,
        "what is said differs from tests/errors.txt; UPDATE_HELP=1 writes it anew. It is now:\n{}",
        told.text
    );
}
