//! What the crates tell through `tracing` (`docs/EVENTS.md`): heard with a small subscriber, in a process of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use level_party::{Db, Event, Lead, Readable, Role};
use level_party_testkit::example;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};

/// An event as it was heard.
#[derive(Clone, Debug)]
struct Heard {
    name: &'static str,
    target: &'static str,
    level: Level,
    fields: BTreeMap<&'static str, String>,
}

/// Keeps all events of the process: several threads tell them.
struct Listener;

static HEARD: Mutex<Vec<Heard>> = Mutex::new(Vec::new());

struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("level_party::")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        let metadata = event.metadata();
        HEARD.lock().expect("no test panicked in here").push(Heard {
            name: metadata.name(),
            target: metadata.target(),
            level: *metadata.level(),
            fields: fields.0,
        });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Begins to listen. All tests share one listener, and look at their own directory's events.
fn listen() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        tracing::subscriber::set_global_default(Listener).expect("no other subscriber is here");
    });
}

/// The events of a directory so far.
fn heard(dir: &Path) -> Vec<Heard> {
    let dir = dir.canonicalize().expect("a directory");
    let dir = dir.to_str().expect("plain");
    let all = HEARD.lock().expect("no test panicked in there");
    let of_dir = |heard: &&Heard| heard.fields["dir"] == dir;
    all.iter().filter(of_dir).cloned().collect()
}

fn names(heard: &[Heard]) -> Vec<&'static str> {
    heard.iter().map(|heard| heard.name).collect()
}

fn only<'h>(heard: &'h [Heard], name: &str) -> &'h Heard {
    let mut found = heard.iter().filter(|heard| heard.name == name);
    let first = found.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(found.next().is_none(), "{name} twice");
    first
}

/// The last event of this process's part, once there is one: the elector tells it beside the opening.
fn wait_for_event(db: &Db) -> Event {
    loop {
        let status = db.status().expect("open");
        match status.recent_events.into_iter().next() {
            Some(past) => return past.event,
            None => std::thread::yield_now(),
        }
    }
}

#[test]
fn opening_leading_and_leaving_are_told_with_fields() {
    listen();
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path()).expect("opened");
    db.put("a", "1").expect("written");
    wait_for_event(&db);
    db.close().expect("closed");
    let told = heard(dir.path());
    assert_eq!(
        names(&told),
        ["recovered", "joined", "elected", "stepped_down", "left"]
    );
    let recovered = only(&told, "recovered");
    assert_eq!(recovered.target, "level_party::recovery");
    assert_eq!(recovered.level, Level::INFO);
    assert_eq!(recovered.fields["created"], "true");
    assert_eq!(recovered.fields["last_sequence"], "0");
    let elected = only(&told, "elected");
    assert_eq!(elected.target, "level_party::members");
    assert_eq!(elected.fields["epoch"], "1");
    assert_eq!(only(&told, "stepped_down").fields["failed"], "false");
}

#[test]
fn flush_and_compaction_tell_tables_and_bytes() {
    listen();
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path()).expect("opened");
    db.put("a", "1").expect("written");
    db.compact_range(..).expect("compacted");
    db.put("a", "2").expect("written");
    db.compact_range(..).expect("compacted");
    db.close().expect("closed");
    let told = heard(dir.path());
    let flush = told.iter().find(|heard| heard.name == "flush_ended");
    let flush = flush.expect("a flush");
    assert_eq!(
        (flush.level, flush.target),
        (Level::DEBUG, "level_party::tables")
    );
    assert_ne!(flush.fields["bytes"], "0");
    let mut ended = told.iter().filter(|heard| heard.name == "compaction_ended");
    let last = ended.next_back().expect("a compaction");
    assert_eq!(last.fields["tables"], "1");
    assert!(last.fields["level"].parse::<u32>().expect("a number") > 0);
    let begun = |name: &str| told.iter().filter(|heard| heard.name == name).count();
    assert_eq!(begun("compaction_begun"), begun("compaction_ended"));
    assert_eq!(begun("flush_begun"), begun("flush_ended"));
}

#[test]
fn reads_and_writes_are_not_told() {
    listen();
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path()).expect("opened");
    wait_for_event(&db);
    let before = heard(dir.path()).len();
    for n in 0..100_u32 {
        db.put(n.to_be_bytes(), "v").expect("written");
        assert!(db.get(n.to_be_bytes()).expect("read").is_some());
    }
    assert_eq!(db.iter().count(), 100);
    assert_eq!(heard(dir.path()).len(), before);
}

#[test]
fn a_torn_log_is_told_as_left_out() {
    listen();
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path()).expect("opened");
    db.put("a", "1").expect("written");
    db.close().expect("closed");
    let log = newest(dir.path(), "log");
    let mut bytes = std::fs::read(&log).expect("a log");
    bytes.extend_from_slice(&[1, 2, 3, 4, 100, 0, 1, b'x']);
    std::fs::write(&log, bytes).expect("written");
    let db = Db::open(dir.path()).expect("opened");
    assert_eq!(db.get("a").expect("read").as_deref(), Some(&b"1"[..]));
    db.close().expect("closed");
    let told = heard(dir.path());
    let left_out = only(&told, "left_out");
    assert!(
        left_out.fields["what"].contains("torn record"),
        "{left_out:?}"
    );
    let mut recovered = told.iter().filter(|heard| heard.name == "recovered");
    assert_eq!(
        recovered.next_back().expect("recovered").fields["logs"],
        "1"
    );
}

#[test]
fn another_programs_opening_is_told() {
    listen();
    let dir = tempfile::tempdir().expect("a directory");
    Db::open(dir.path())
        .expect("opened")
        .close()
        .expect("closed");
    // C++ LevelDB removes it whenever it opens the directory.
    std::fs::remove_file(dir.path().join("000001.dbtmp")).expect("the tripwire");
    Db::open(dir.path())
        .expect("opened")
        .close()
        .expect("closed");
    let told = heard(dir.path());
    let foreign = only(&told, "foreign_program");
    assert_eq!(
        (foreign.level, foreign.target),
        (Level::WARN, "level_party::recovery")
    );
}

#[test]
fn a_handle_that_only_joins_tells_nothing_where_nobody_leads() {
    listen();
    let dir = tempfile::tempdir().expect("a directory");
    Db::open(dir.path())
        .expect("opened")
        .close()
        .expect("closed");
    let before = heard(dir.path()).len();
    let joined = Db::options().lead(Lead::Join).open(dir.path());
    assert_eq!(
        joined.expect_err("nobody leads").kind(),
        level_party::ErrorKind::NoLeader
    );
    assert_eq!(heard(dir.path()).len(), before);
}

#[test]
fn recent_events_are_the_ones_that_receivers_got() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path()).expect("opened");
    assert_eq!(wait_for_event(&db), Event::Elected { epoch: 1 });
}

/// The newest file in the directory whose name ends so.
fn newest(dir: &Path, extension: &str) -> PathBuf {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let found = paths.filter(|path| path.extension().is_some_and(|own| own == extension));
    found.max().expect("such a file")
}

/// Changes a byte of a file.
fn damage(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("the file");
    bytes[at] ^= 0xff;
    std::fs::write(path, bytes).expect("written");
}

#[test]
fn damaged_table_is_told_as_set_aside() {
    listen();
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path()).expect("opened");
    db.put("a", "1").expect("written");
    db.close().expect("closed");
    // An opening recovers the log into a table on level 0, which the next compaction takes.
    let db = Db::open(dir.path()).expect("opened");
    db.close().expect("closed");
    damage(&newest(dir.path(), "ldb"), 3);
    let small = Db::options().write_buffer_size(64 << 10);
    let db = small.open(dir.path()).expect("opened");
    let is_told = || names(&heard(dir.path())).contains(&"table_set_aside");
    let mut puts = 0;
    while !is_told() {
        assert!(puts < 100_000, "no compaction has met the table");
        db.put("a", [0; 1_000]).expect("written");
        puts += 1;
    }
    db.close().expect("closed");
    let told = heard(dir.path());
    let aside = only(&told, "table_set_aside");
    assert_eq!(
        (aside.level, aside.target),
        (Level::WARN, "level_party::tables")
    );
    assert!(!aside.fields["error"].is_empty());
}

#[test]
fn lost_writes_are_told_when_recovered_and_at_each_opening() {
    listen();
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path()).expect("opened");
    db.put("a", "1").expect("written");
    db.put("b", "2").expect("written");
    db.close().expect("closed");
    let log = newest(dir.path(), "log");
    let end = std::fs::metadata(&log).expect("a log").len();
    damage(&log, usize::try_from(end).expect("short") - 1);
    // Without it nobody knows that the system was not restarted, and a bad record ends recovery.
    std::fs::remove_file(dir.path().join("level-party.state")).expect("the state file");
    for _ in 0..2 {
        let db = Db::open(dir.path()).expect("opened");
        db.close().expect("closed");
    }
    let told = heard(dir.path());
    for name in ["lost", "log_set_aside"] {
        assert_eq!(only(&told, name).target, "level_party::recovery");
    }
    let losses = told.iter().filter(|heard| heard.name == "losses");
    let counts: Vec<_> = losses.map(|heard| &heard.fields["count"]).collect();
    assert_eq!(counts.len(), 2, "once in each opening");
    assert!(counts[0] == counts[1] && counts[0] != "0", "{counts:?}");
}

#[test]
fn death_of_another_leader_is_told() {
    listen();
    let dir = tempfile::tempdir().expect("a directory");
    let mut leader = Command::new(example("watch"))
        .arg(dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut said = [0; 8];
    let mut output = leader.stdout.take().expect("a pipe");
    output.read_exact(&mut said).expect("it has opened");
    let db = Db::open(dir.path()).expect("opened");
    let pid = leader.id();
    leader.kill().expect("killed");
    leader.wait().expect("ended");
    while db.role() != Role::Leader {
        std::thread::yield_now();
    }
    db.close().expect("closed");
    let told = heard(dir.path());
    for name in ["attached", "leader_lost"] {
        assert_eq!(only(&told, name).fields["leader_pid"], pid.to_string());
    }
    let order = ["joined", "attached", "leader_lost", "elected"];
    let found = names(&told);
    let places = order.map(|name| found.iter().position(|own| *own == name));
    assert!(places.is_sorted() && places[0].is_some(), "{found:?}");
}

/// Name, levels, target and fields of each row of the page.
type Rows = BTreeSet<(String, String, Vec<String>)>;

#[test]
fn the_page_lists_every_event_with_target_and_fields() {
    let page = include_str!("../../../docs/EVENTS.md");
    let words = |cell: &str| -> Vec<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let rows: Rows = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            let name = words(cells[1]).remove(0);
            (name, words(cells[3]).remove(0), words(cells[4]))
        })
        .collect();
    let sources = [
        include_str!("../src/trace.rs"),
        include_str!("../../engine/src/base/events.rs"),
    ];
    let told: Rows = sources
        .iter()
        .flat_map(|source| events_in(source))
        .collect();
    assert!(rows.len() > 20);
    let missing: Vec<_> = told.difference(&rows).collect();
    let gone: Vec<_> = rows.difference(&told).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "not on the page: {missing:?}; only there: {gone:?}"
    );
}

/// The events that a source file tells: `name: "..", target: .., dir, fields.., "message"`.
fn events_in(source: &str) -> Vec<(String, String, Vec<String>)> {
    let target_of = |name: &str| {
        let from = source.split(&format!("const {name}: &str = \"")).nth(1);
        let from = from.unwrap_or_else(|| panic!("no target {name}"));
        from.split('"').next().expect("its end").to_owned()
    };
    let mut found = Vec::new();
    for call in source.split("name: \"").skip(1) {
        let (name, rest) = call.split_once('"').expect("a name");
        let rest = rest.split_once("target: ").expect("a target").1;
        let (target, rest) = rest.split_once(',').expect("fields");
        let fields = rest.split('"').next().expect("a message");
        let fields = fields.split(',').map(|field| {
            let name = field.split('=').next().unwrap_or_default();
            name.trim().trim_start_matches('%').to_owned()
        });
        let fields = fields.filter(|name| !name.is_empty() && name != "dir");
        found.push((name.to_owned(), target_of(target.trim()), fields.collect()));
    }
    found
}
