//! The order of syncs: what must be durable before what.

use std::collections::BTreeMap;
use std::sync::Arc;

use level_party_engine::{Engine, Fs, MemFs, Options, Write};
use level_party_format::batch::WriteBatch;
use level_party_format::filename::{self, CURRENT, FileKind};

use crate::support::{Call, SpyFs, open, put, put_sync, settle, sweep, tiny};

fn spied(files: &MemFs, options: &Options) -> (SpyFs, Engine) {
    let fs = SpyFs::new(files.clone());
    let engine = Engine::open(Arc::new(fs.clone()), options.clone()).unwrap();
    (fs, engine)
}

fn position(calls: &[Call], wanted: impl Fn(&Call) -> bool) -> usize {
    let at = calls.iter().position(wanted);
    at.unwrap_or_else(|| panic!("no such call in {calls:#?}"))
}

#[test]
fn opening_is_durable_before_anything_old_goes() {
    let files = MemFs::new();
    let engine = open(&files, &tiny());
    put(&engine, b"a", b"1").unwrap();
    engine.close().unwrap();
    let (fs, engine) = spied(&files, &tiny());
    // Removal happens on the background thread; this waits for it.
    engine.compact_range(None, None).unwrap();
    let calls = fs.calls();
    let name = |name: &str| name.to_owned();
    let expected = [
        Call::Create(name("000005.ldb")),
        Call::Append(name("000005.ldb")),
        Call::Create(name("000006.log")),
        Call::Append(name("000006.log")),
        Call::Create(name("MANIFEST-000004")),
        Call::Append(name("MANIFEST-000004")),
        Call::Append(name("MANIFEST-000004")),
        Call::Create(name("000004.dbtmp")),
        Call::Append(name("000004.dbtmp")),
        Call::Sync(name("000005.ldb")),
        Call::Sync(name("MANIFEST-000004")),
        Call::Sync(name("000004.dbtmp")),
        Call::SyncDir,
        Call::Rename(name("000004.dbtmp"), name("CURRENT")),
        Call::SyncDir,
        Call::Remove(name("000003.log")),
        Call::Remove(name("MANIFEST-000002")),
    ];
    assert_eq!(calls[..expected.len()], expected);
}

#[test]
fn first_sync_of_a_log_syncs_the_directory_too() {
    let options = tiny();
    let (fs, engine) = spied(&MemFs::new(), &options);
    put_sync(&engine, b"a", b"1").unwrap();
    // The first log's name is durable since the opening.
    while fs
        .calls()
        .iter()
        .all(|call| *call != Call::Create("000004.log".into()))
    {
        put(&engine, b"key", b"value").unwrap();
    }
    fs.note("rotated");
    put_sync(&engine, b"b", b"2").unwrap();
    let calls = fs.calls_since("rotated");
    let synced = position(&calls, |call| call.is_sync("000004.log"));
    let appended = position(&calls, |call| call.is_append("000004.log"));
    let linked = position(&calls, |call| *call == Call::SyncDir);
    assert!(appended < synced && linked < synced, "{calls:?}");
    engine.flush().unwrap();
    fs.note("again");
    put_sync(&engine, b"c", b"3").unwrap();
    put_sync(&engine, b"d", b"4").unwrap();
    let dir_syncs = fs
        .calls_since("again")
        .into_iter()
        .filter(|call| *call == Call::SyncDir);
    assert_eq!(dir_syncs.count(), 1);
}

#[test]
fn a_sync_in_the_next_log_waits_for_the_log_before_it() {
    let (fs, engine) = spied(&MemFs::new(), &tiny());
    // No table can be written, so the old log is what its entries have.
    fs.refuse(|call| {
        let is_table = matches!(call, Call::Create(name) if name.ends_with(".ldb"));
        is_table.then(|| std::io::ErrorKind::StorageFull.into())
    });
    while fs.calls().iter().all(|call| !call.is_append("000004.log")) {
        put(&engine, b"key", b"value").unwrap();
    }
    assert!(!fs.calls().iter().any(|call| call.is_sync(".log")));
    put_sync(&engine, b"b", b"2").unwrap();
    let calls = fs.calls();
    let old = position(&calls, |call| call.is_sync("000003.log"));
    let new = position(&calls, |call| call.is_sync("000004.log"));
    assert!(old < new);
    fs.note("again");
    put_sync(&engine, b"c", b"3").unwrap();
    assert!(
        !fs.calls_since("again")
            .iter()
            .any(|call| call.is_sync("000003.log"))
    );
}

#[test]
fn old_log_goes_after_its_durable_table_and_manifest() {
    let (fs, engine) = spied(&MemFs::new(), &tiny());
    put(&engine, b"a", b"1").unwrap();
    fs.note("flush");
    engine.flush().unwrap();
    engine.compact_range(None, None).unwrap();
    let calls = fs.calls_since("flush");
    let table = position(&calls, |call| call.is_sync(".ldb"));
    let directory = position(&calls, |call| *call == Call::SyncDir);
    let appended = position(&calls, |call| call.is_append("MANIFEST"));
    let synced = position(&calls, |call| call.is_sync("MANIFEST"));
    let removed = position(&calls, |call| *call == Call::Remove("000003.log".into()));
    assert!(table < directory && directory < appended && appended < synced && synced < removed);
}

#[test]
fn a_group_is_one_append() {
    let (fs, engine) = spied(&MemFs::new(), &tiny());
    fs.note("start");
    put(&engine, b"a", b"1").unwrap();
    assert_eq!(fs.calls_since("start"), [Call::Append("000003.log".into())]);
}

/// The orders that docs/DURABILITY.md states, by their headings.
fn documented() -> BTreeMap<String, Vec<String>> {
    let page = include_str!("../../../../docs/DURABILITY.md");
    let mut orders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut heading = None;
    for line in page.lines() {
        if line.starts_with('#') {
            heading = line.strip_prefix("### ");
        }
        let step = line
            .split_once(". `")
            .filter(|(number, _)| number.parse::<u32>().is_ok());
        if let (Some(heading), Some((number, rest))) = (heading, step) {
            let order = orders.entry(heading.to_owned()).or_default();
            let (call, _) = rest.split_once('`').expect("a call is in backticks");
            order.push(call.to_owned());
            assert_eq!(
                number,
                order.len().to_string(),
                "{heading}: steps are numbered"
            );
        }
    }
    orders
}

/// Calls in the page's words. Files that were there are `known`.
fn in_words(calls: &[Call], known: &[String]) -> Vec<String> {
    let word = |name: &String| {
        let kind = match filename::parse(name) {
            Some((FileKind::Log, _)) => "log",
            Some((FileKind::Table, _)) => "table",
            Some((FileKind::Manifest, _)) => "manifest",
            Some((FileKind::Temp, _)) => "temporary",
            _ => name,
        };
        let new = if known.contains(name) || name == CURRENT {
            ""
        } else {
            "new "
        };
        format!("{new}{kind}")
    };
    let in_words = calls.iter().map(|call| match call {
        Call::Create(name) => format!("create {}", word(name)),
        Call::Append(name) => format!("append {}", word(name)),
        Call::Cut(name) => format!("cut {}", word(name)),
        Call::Sync(name) => format!("sync {}", word(name)),
        Call::Rename(from, to) => format!("rename {} to {}", word(from), word(to)),
        Call::Remove(name) => format!("remove {}", word(name)),
        Call::SyncDir => "sync directory".to_owned(),
        Call::Note(note) => note.clone(),
    });
    in_words.collect()
}

/// What an engine did, in the page's words.
struct Watched {
    fs: SpyFs,
    engine: Engine,
}

impl Watched {
    fn open(files: &MemFs) -> Watched {
        let (fs, engine) = spied(files, &tiny());
        Watched { fs, engine }
    }

    /// The calls in the course of `act`, and of the background work that it caused.
    fn calls_of(&self, act: impl FnOnce(&Engine)) -> Vec<String> {
        let known = self.fs.files.list().unwrap();
        let before = self.fs.calls().len();
        act(&self.engine);
        in_words(&self.fs.calls()[before..], &known)
    }
}

/// A database whose log has one write.
fn with_one_write() -> MemFs {
    let files = MemFs::new();
    let engine = open(&files, &tiny());
    put(&engine, b"a", b"1").unwrap();
    engine.close().unwrap();
    files
}

fn openings(orders: &mut BTreeMap<&str, Vec<String>>) {
    let made = Watched::open(&MemFs::new());
    orders.insert("Making a database", in_words(&made.fs.calls(), &[]));
    let files = with_one_write();
    let known = files.list().unwrap();
    let opened = Watched::open(&files);
    sweep(&opened.engine);
    orders.insert("Opening", in_words(&opened.fs.calls(), &known));
}

fn writes(orders: &mut BTreeMap<&str, Vec<String>>) {
    let watched = Watched::open(&MemFs::new());
    let calls = watched.calls_of(|engine| {
        put(engine, b"a", b"1").unwrap();
    });
    orders.insert("A write", calls);
    let calls = watched.calls_of(|engine| {
        put_sync(engine, b"a", b"1").unwrap();
    });
    orders.insert("A write with sync", calls);
    put(&watched.engine, b"a", b"2").unwrap();
    let barrier = || Write::new(WriteBatch::new()).sync(true);
    let calls = watched.calls_of(|engine| {
        engine.write(barrier()).unwrap();
    });
    orders.insert("An empty write with sync", calls);
    watched.engine.flush().unwrap();
    sweep(&watched.engine);
    let calls = watched.calls_of(|engine| {
        put_sync(engine, b"a", b"3").unwrap();
    });
    let name = "The first sync in a log that was begun while the engine ran";
    orders.insert(name, calls);
}

fn sync_beside_a_waiting_log(orders: &mut BTreeMap<&str, Vec<String>>) {
    let watched = Watched::open(&MemFs::new());
    watched.fs.refuse(|call| {
        let is_table = matches!(call, Call::Create(name) if name.ends_with(".ldb"));
        is_table.then(|| std::io::ErrorKind::StorageFull.into())
    });
    let rotated = |fs: &SpyFs| {
        let created = |call: &Call| *call == Call::Create("000004.log".into());
        fs.calls().iter().any(created)
    };
    let mut calls = watched.calls_of(|engine| {
        while !rotated(&watched.fs) {
            put(engine, b"key", &[1; 100]).unwrap();
        }
        put_sync(engine, b"key", b"2").unwrap();
    });
    // The table that could not be made is no part of it, nor what filled the first log.
    calls.retain(|call| call != "create new table" && call != "append log");
    let name = "A sync in a new log, while the table of the one before it is not written";
    orders.insert(name, calls);
}

fn tables(orders: &mut BTreeMap<&str, Vec<String>>) {
    let watched = Watched::open(&MemFs::new());
    let flush = |engine: &Engine, key: &[u8]| {
        put(engine, key, b"1").unwrap();
        engine.flush().unwrap();
        sweep(engine);
    };
    put(&watched.engine, b"a", b"1").unwrap();
    let calls = watched.calls_of(|engine| {
        engine.flush().unwrap();
        sweep(engine);
    });
    let in_a_flush = calls.len();
    orders.insert("A flush", calls);
    flush(&watched.engine, b"a");
    let calls = watched.calls_of(|engine| {
        engine.compact_range(None, None).unwrap();
        sweep(engine);
    });
    orders.insert("A compaction", calls);

    let watched = Watched::open(&MemFs::new());
    for key in [b"a", b"b", b"c"] {
        flush(&watched.engine, key);
    }
    // The fourth table of level 0 asks for a compaction of the first one, which nothing overlaps.
    let calls = watched.calls_of(|engine| {
        flush(engine, b"d");
        settle(engine, 4 << 10);
    });
    // Its first call is the write.
    let name = "A table that moves down a level as it is";
    orders.insert(name, calls[1 + in_a_flush..].to_vec());
}

#[test]
fn every_order_is_as_the_page_on_durability_says() {
    let mut seen = BTreeMap::new();
    openings(&mut seen);
    writes(&mut seen);
    sync_beside_a_waiting_log(&mut seen);
    tables(&mut seen);
    let documented = documented();
    assert_eq!(seen.len(), 10);
    assert!(documented.keys().eq(seen.keys()), "{documented:#?}");
    for (name, calls) in seen {
        assert_eq!(calls, documented[name], "{name}");
    }
}
