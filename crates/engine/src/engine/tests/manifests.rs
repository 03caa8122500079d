//! A manifest that outgrew its version is followed by another one while the leader leads.

use std::sync::Arc;

use level_party_format::filename::{self, FileKind};

use super::Engine;
use crate::support::{Call, SpyFs, put};
use crate::{Fs, MemFs, Options};

/// So few that each round outgrows its manifest after some edits.
fn small() -> Options {
    Options {
        manifest_slack: 300,
        ..Options::default()
    }
}

fn manifests(fs: &dyn Fs) -> Vec<u64> {
    let names = fs.list().unwrap();
    let numbers = names.iter().filter_map(|name| match filename::parse(name) {
        Some((FileKind::Manifest, number)) => Some(number),
        _ => None,
    });
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    numbers
}

/// Makes one edit, and checks all that was written before.
fn flush_and_check(engine: &Engine, round: u32) {
    put(engine, &round.to_be_bytes(), &[7; 20]).unwrap();
    engine.flush().unwrap();
    for before in 0..=round {
        let found = engine.get(&before.to_be_bytes()).unwrap();
        assert!(found.is_some(), "{before} in round {round}");
    }
}

#[test]
fn outgrown_manifest_is_followed_by_another_and_removed() {
    let fs = MemFs::new();
    let engine = Engine::open(Arc::new(fs.clone()), small()).unwrap();
    let first = manifests(&fs);
    let mut seen = first.clone();
    for round in 0..60 {
        flush_and_check(&engine, round);
        let now = manifests(&fs);
        assert!(now.len() <= 2, "{now:?}");
        seen.extend(now);
    }
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 4, "{seen:?}");
    drop(engine);
    let longest = manifests(&fs)
        .iter()
        .map(|number| fs.read(&filename::manifest(*number)).unwrap().len())
        .max();
    assert!(longest.unwrap() < 6_000, "{longest:?}");
    let engine = Engine::open(Arc::new(fs), small()).unwrap();
    flush_and_check(&engine, 60);
}

#[test]
fn refused_manifest_leaves_the_old_one_in_use() {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), small()).unwrap();
    let first = manifests(&fs);
    fs.refuse(|call| match call {
        Call::Create(name) if name.starts_with("MANIFEST") => {
            Some(std::io::ErrorKind::StorageFull.into())
        }
        _ => None,
    });
    for round in 0..40 {
        flush_and_check(&engine, round);
    }
    assert_eq!(manifests(&fs), first);
    fs.refuse(|_| None);
    for round in 40..120 {
        flush_and_check(&engine, round);
    }
    assert_ne!(manifests(&fs), first, "it is tried again later");
    drop(engine);
    let engine = Engine::open(Arc::new(fs), small()).unwrap();
    flush_and_check(&engine, 120);
}

#[test]
fn failed_current_ends_writing_and_loses_nothing() {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), small()).unwrap();
    fs.refuse(|call| match call {
        Call::Rename(_, to) if to == filename::CURRENT => Some(std::io::ErrorKind::Other.into()),
        _ => None,
    });
    let mut written = 0;
    while written < 60 && put(&engine, &u32::to_be_bytes(written), b"value").is_ok() {
        let _ = engine.flush();
        written += 1;
    }
    assert!(written > 0 && written < 60, "{written}");
    drop(engine);
    fs.refuse(|_| None);
    let engine = Engine::open(Arc::new(fs), small()).unwrap();
    for round in 0..written {
        assert!(
            engine.get(&round.to_be_bytes()).unwrap().is_some(),
            "{round}"
        );
    }
}
