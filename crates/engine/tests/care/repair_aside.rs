//! What openings set aside: it never replaces what was written since, nor an older file, and comes back as a whole.

use std::sync::Arc;

use level_party_engine::{Engine, Fs, MemFs, Options, RecoveryMode, Repair, WriteBatch};
use level_party_format::log::LogWriter;

use crate::support::{Call, SpyFs, contents, get, names, open, put};

fn after_reboot() -> Options {
    Options {
        recovery: RecoveryMode::AfterReboot,
        ..Options::default()
    }
}

fn live_log(fs: &MemFs) -> String {
    names(fs, ".log")
        .into_iter()
        .rfind(|name| !name.starts_with("level-party."))
        .unwrap()
}

fn repair(fs: &MemFs) {
    let repaired = Repair::new(Arc::new(fs.clone()), Options::default())
        .dry_run(false)
        .run()
        .unwrap();
    assert!(repaired.done);
}

/// Damages the record of the live log whose value is this.
fn damage(fs: &MemFs, value: &[u8]) {
    let log = live_log(fs);
    let bytes = fs.read(&log).unwrap();
    let at = bytes.windows(value.len()).position(|it| it == value);
    fs.change(&log, |bytes| bytes[at.unwrap()] ^= 1).unwrap();
}

fn write(engine: &Engine, entries: &[(&str, &str)]) {
    for (key, value) in entries {
        put(engine, key.as_bytes(), value.as_bytes()).unwrap();
    }
}

fn show(fs: &MemFs) -> Vec<(String, String)> {
    let engine = open(fs, &Options::default());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let all = contents(&engine).into_iter();
    all.map(|(key, value)| (text(key), text(value))).collect()
}

fn pairs(entries: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = entries.iter();
    owned.map(|(k, v)| ((*k).into(), (*v).into())).collect()
}

/// The second opening sets aside records that are older than the first one's writes.
#[test]
fn aside_logs_of_two_losses_both_come_back() {
    let fs = MemFs::new();
    let engine = open(&fs, &Options::default());
    write(&engine, &[("x", "damaged-1"), ("a", "aside-1")]);
    engine.close().unwrap();
    damage(&fs, b"damaged-1");
    let engine = open(&fs, &after_reboot());
    write(
        &engine,
        &[("b", "since-1"), ("c", "since-1"), ("y", "damaged-2")],
    );
    write(&engine, &[("b", "aside-2")]);
    engine.close().unwrap();
    damage(&fs, b"damaged-2");
    let engine = open(&fs, &after_reboot());
    write(&engine, &[("c", "since-2")]);
    engine.close().unwrap();
    repair(&fs);
    let right = [("a", "aside-1"), ("b", "aside-2"), ("c", "since-2")];
    assert_eq!(show(&fs), pairs(&right));
}

/// The power failed: of one log the end is gone, and the next one is whole. It does not say where the histories parted.
#[test]
fn whole_aside_log_replaces_no_newer_write() {
    let fs = MemFs::new();
    let engine = open(&fs, &Options::default());
    write(
        &engine,
        &[("a", "first"), ("lost", "1"), ("lost", "2"), ("lost", "3")],
    );
    engine.close().unwrap();
    let first = live_log(&fs);
    // As one that was begun when a memtable was full.
    let mut batch = WriteBatch::new();
    batch.put(b"k", b"aside");
    batch.put(b"m", b"aside");
    batch.set_sequence(5);
    let mut log = Vec::new();
    LogWriter::new().add_record(batch.as_bytes(), &mut log);
    fs.write("000004.log", log);
    fs.change(&first, |bytes| bytes.truncate(bytes.len() / 3))
        .unwrap();
    let engine = open(&fs, &after_reboot());
    assert!(!engine.losses().is_empty());
    write(&engine, &[("k", "since")]);
    engine.close().unwrap();
    repair(&fs);
    let engine = open(&fs, &Options::default());
    assert_eq!(get(&engine, b"k").unwrap(), b"since");
    assert_eq!(get(&engine, b"m").unwrap(), b"aside");
}

#[test]
fn second_aside_log_of_a_number_leaves_the_first() {
    let fs = MemFs::new();
    let engine = open(&fs, &Options::default());
    write(&engine, &[("a", "1"), ("b", "damaged"), ("c", "3")]);
    engine.close().unwrap();
    damage(&fs, b"damaged");
    let names_before: Vec<String> = fs.list().unwrap();
    let then: Vec<_> = names_before
        .iter()
        .map(|name| (name.clone(), fs.read(name).unwrap()))
        .collect();
    open(&fs, &after_reboot()).close().unwrap();
    let aside = |fs: &MemFs| {
        let mut names = fs.list().unwrap();
        names.retain(|name| name.starts_with("level-party.aside-"));
        names
    };
    let first = aside(&fs).remove(0);
    let bytes = fs.read(&first).unwrap();
    // Somebody puts a backup back, which has another log of that number.
    for (name, contents) in then {
        fs.write(&name, contents);
    }
    let log = first["level-party.aside-".len()..][.."000000.log".len()].to_owned();
    fs.change(&log, |bytes| {
        let last = bytes.len() - 1;
        bytes[last] ^= 0x20;
    })
    .unwrap();
    open(&fs, &after_reboot()).close().unwrap();
    assert_eq!(fs.read(&first).unwrap(), bytes);
    let others = aside(&fs);
    let again = others.iter().filter(|name| **name != first);
    let is_of_log = |name: &&String| name.contains(&log);
    assert_eq!(again.filter(is_of_log).count(), 1, "{others:?}");
}

/// A repair that dies leaves tables of what was set aside, newer by their sequences than what was written since.
#[test]
fn repair_cut_short_does_not_replace_newer_writes() {
    let fs = MemFs::new();
    let engine = open(&fs, &Options::default());
    write(
        &engine,
        &[("a", "damaged"), ("x", "1"), ("x", "2"), ("k", "aside")],
    );
    engine.close().unwrap();
    damage(&fs, b"damaged");
    let engine = open(&fs, &after_reboot());
    write(&engine, &[("k", "since")]);
    engine.close().unwrap();
    let spy = SpyFs::new(fs.clone());
    spy.refuse(|call| match call {
        Call::Rename(_, to) if to == "CURRENT" => Some(std::io::Error::other("killed")),
        _ => None,
    });
    for _ in 0..2 {
        let repair = Repair::new(Arc::new(spy.clone()), Options::default());
        repair.dry_run(false).run().unwrap_err();
    }
    repair(&fs);
    assert_eq!(show(&fs), pairs(&[("k", "since"), ("x", "2")]));
}
