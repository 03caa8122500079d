//! The order of syncs: what must be durable before what.

use std::sync::Arc;

use level_party_engine::{Engine, MemFs, Options};

use crate::support::{Call, SpyFs, open, put, put_sync, tiny};

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
fn an_opening_makes_all_durable_before_it_returns_and_before_anything_old_goes() {
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
        Call::Sync(name("000005.ldb")),
        Call::Create(name("000006.log")),
        Call::Create(name("MANIFEST-000004")),
        Call::Append(name("MANIFEST-000004")),
        Call::Append(name("MANIFEST-000004")),
        Call::Sync(name("MANIFEST-000004")),
        Call::SyncDir,
        Call::Create(name("000004.dbtmp")),
        Call::Append(name("000004.dbtmp")),
        Call::Sync(name("000004.dbtmp")),
        Call::Rename(name("000004.dbtmp"), name("CURRENT")),
        Call::SyncDir,
        Call::Remove(name("000003.log")),
        Call::Remove(name("MANIFEST-000002")),
    ];
    assert_eq!(calls[..expected.len()], expected);
}

#[test]
fn the_first_sync_of_a_log_syncs_the_directory_too_and_later_ones_only_the_log() {
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
fn an_old_log_goes_only_after_its_table_and_the_manifest_are_durable() {
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
