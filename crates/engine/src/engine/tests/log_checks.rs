//! A memtable that differs from its log never becomes a table; a log that can't tell stands in nobody's way.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use level_party_format::filename;
use level_party_memtable::Words;

use super::Engine;
use crate::support::put;
use crate::{CondemnReason, ErrorKind, Fs, MemFs, Options};

const ENTRIES: u32 = 500;

fn value(n: u32) -> Vec<u8> {
    format!("value {n:09} of an entry").into_bytes()
}

/// Entries in the memtable.
fn filled(fs: &MemFs) -> Engine {
    let engine = Engine::open(Arc::new(fs.clone()), Options::default()).unwrap();
    for n in 0..ENTRIES {
        put(&engine, &n.to_be_bytes(), &value(n)).unwrap();
    }
    engine
}

fn check(engine: &Engine) {
    for n in 0..ENTRIES {
        let found = engine.get(&n.to_be_bytes()).unwrap();
        assert_eq!(found.map(|entry| entry.value), Some(value(n)), "{n}");
    }
}

/// Stores into the memory of the active region what some program might by mistake: one bit of the value of an entry.
fn flip_a_bit_of(engine: &Engine, n: u32) {
    let member = &engine.shared.member;
    let active = member.control.view().active;
    let region = member.segment.region(active).unwrap();
    let words = Words::of(region).unwrap();
    let sought = value(n);
    let bytes: Vec<u8> = words
        .all()
        .iter()
        .flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes())
        .collect();
    let at = bytes.windows(sought.len()).position(|w| w == sought);
    let at = at.expect("the value is there") + sought.len() / 2;
    words.all()[at / 8].fetch_xor(1 << (8 * (at % 8)), Ordering::Relaxed);
}

/// The one log that has entries.
fn log_of(engine: &Engine) -> String {
    let member = &engine.shared.member;
    filename::log(member.control.region(member.control.view().active).log())
}

#[test]
fn memtable_that_differs_from_its_log_is_condemned() {
    let fs = MemFs::new();
    let engine = filled(&fs);
    flip_a_bit_of(&engine, ENTRIES / 2);
    let error = engine.flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Condemned, "{error}");
    assert_eq!(engine.condemned(), Some(CondemnReason::Damaged));
    drop(engine);
    let engine = Engine::open(Arc::new(fs), Options::default()).unwrap();
    check(&engine);
}

#[test]
fn damaged_log_leaves_the_flush_to_memory() {
    let fs = MemFs::new();
    let engine = filled(&fs);
    let log = log_of(&engine);
    let mut bytes = fs.read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs.open_log(&log).unwrap().write_at(&bytes, 0).unwrap();
    engine.flush().unwrap();
    check(&engine);
}

#[test]
fn short_or_missing_log_leaves_the_flush_to_memory() {
    let cut = |fs: &MemFs, log: &str| fs.open_log(log).unwrap().set_len(100).unwrap();
    let remove = |fs: &MemFs, log: &str| fs.remove(log).unwrap();
    for harm in [&cut as &dyn Fn(&MemFs, &str), &remove] {
        let fs = MemFs::new();
        let engine = filled(&fs);
        harm(&fs, &log_of(&engine));
        engine.flush().unwrap();
        check(&engine);
    }
}
