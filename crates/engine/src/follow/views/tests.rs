//! A second member, which reads from the manifest what a leader in the same segment publishes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use level_party_format::edit::NewFile;
use level_party_format::filename;

use super::*;
use crate::base::control::VERSION_SLOTS;
use crate::base::fs::{Fs, MemFs};
use crate::engine::Engine;
use crate::lead::manifest::Change;
use crate::support::{Rng, SpyFs, delete, put, settle, tiny};
use crate::testing::leader::{Leader, files_of, join};
use crate::testing::{SetOnDrop, WatchedFs, tables};

type Files = Vec<(usize, NewFile)>;

/// The files of each version, by its counter.
type History = BTreeMap<u32, Files>;

/// Appends a change that brings a table.
fn grow(leader: &mut Leader) -> VersionRecord {
    let added = vec![(0, leader.table(1))];
    leader.append(Change {
        added,
        ..Change::default()
    })
}

#[test]
fn follower_sees_each_version_once_published() {
    let files = MemFs::new();
    let fs = SpyFs::new(files.clone());
    let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
    let shared = Arc::clone(engine.shared());
    let follow = || Views::following(&join(&shared.member), &tables(&files)).unwrap();
    let published: Arc<Mutex<Vec<(u32, Files)>>> = Arc::default();

    // The thread that publishes stands still before an edit is appended, and again before it is synced.
    let (views, noted) = (follow(), Arc::clone(&published));
    let leader = Arc::clone(&shared);
    fs.refuse(move |call| {
        if !call.is_append("MANIFEST") && !call.is_sync("MANIFEST") {
            return None;
        }
        let own = leader.views.load_full().unwrap();
        let now = own.last_sequence();
        let followed = views.load_full().unwrap();
        let counter = own.word().version;
        assert_eq!(followed.word().version, counter);
        assert_eq!(files_of(&followed.version), files_of(&own.version));
        for key in 0..40u32 {
            let key = key.to_be_bytes();
            let (one, other) = (own.get(&key, now), followed.get(&key, now));
            assert_eq!(one.unwrap(), other.unwrap());
        }
        if call.is_append("MANIFEST") {
            noted.lock().push((counter, files_of(&own.version)));
        }
        None
    });

    let done = AtomicBool::new(false);
    let late = thread::scope(|scope| {
        let late = scope.spawn(|| follow_until(&done, &follow()));
        let over = SetOnDrop(&done);
        let mut random = Rng(1);
        for _ in 0..6_000 {
            let key = (random.below(2_000) as u32).to_be_bytes();
            match random.one_in(4) {
                true => delete(&engine, &key).unwrap(),
                false => put(&engine, &key, &random.next().to_be_bytes().repeat(8)).unwrap(),
            };
        }
        settle(&engine, tiny().max_file_size);
        drop(over);
        late.join().unwrap()
    });
    // What the reads above made due may have begun since.
    engine.close().unwrap();
    fs.refuse_nothing();
    let mut published = std::mem::take(&mut *published.lock());
    let last = shared.views.load_full().unwrap();
    published.push((last.word().version, files_of(&last.version)));
    // A new manifest begins with two records of one version.
    published.dedup();
    for pair in published.windows(2) {
        assert_eq!(pair[1].0, pair[0].0.wrapping_add(1), "each was seen");
    }
    assert!(published.len() > 4 * VERSION_SLOTS as usize);
    assert!(last.version.level(2).len() > 2, "there were compactions");
    assert_eq!(
        files_of(&follow().load_full().unwrap().version),
        published[published.len() - 1].1
    );
    let published: History = published.into_iter().collect();
    assert!(!late.is_empty());
    for (counter, files) in &late {
        assert!(published[counter] == *files, "version {counter}");
    }
}

/// The versions that views give while a leader works. No counter comes after a later one.
fn follow_until(done: &AtomicBool, views: &Views) -> History {
    let mut seen = History::new();
    let mut before = views.load_full().unwrap().word().version;
    while !done.load(Ordering::SeqCst) {
        let view = views.load_full().unwrap();
        let counter = view.word().version;
        assert!(!is_before(counter, before));
        let again = seen.insert(counter, files_of(&view.version));
        assert!(again.is_none_or(|files| files == seen[&counter]));
        before = counter;
        thread::yield_now();
    }
    seen
}

#[test]
fn appended_edit_is_seen_once_it_is_published() {
    let files = MemFs::new();
    let mut leader = Leader::found(&files);
    let views = Views::following(&leader.join(), &tables(&files)).unwrap();
    for count in 0..2 * VERSION_SLOTS as usize {
        assert_eq!(views.load().unwrap().version.level(0).len(), count);
        let record = grow(&mut leader);
        views.renew().unwrap();
        assert_eq!(views.load().unwrap().version.level(0).len(), count);
        leader.publish(&record);
        let view = views.load_full().unwrap();
        assert_eq!(view.word().version, record.counter);
        assert_eq!(files_of(&view.version), files_of(leader.version()));
    }
}

#[test]
fn late_follower_sees_the_newest_of_many_versions() {
    let files = MemFs::new();
    let mut leader = Leader::found(&files);
    let views = Views::following(&leader.join(), &tables(&files)).unwrap();
    let first = Arc::clone(&views.load().unwrap().version);
    for round in 0..3 * VERSION_SLOTS {
        let record = match round % 5 {
            4 => leader.begin_manifest(),
            _ => grow(&mut leader),
        };
        leader.publish(&record);
    }
    let view = views.load_full().unwrap();
    assert_eq!(files_of(&view.version), files_of(leader.version()));
    assert_eq!(Arc::strong_count(&first), 1, "nobody else has it");
}

#[test]
fn damaged_manifest_is_an_error_until_a_new_one_comes() {
    let files = MemFs::new();
    let mut leader = Leader::found(&files);
    let views = Views::following(&leader.join(), &tables(&files)).unwrap();
    let before = leader.record().length;
    let record = grow(&mut leader);
    let name = filename::manifest(record.manifest);
    let change = |bytes: &mut Vec<u8>| bytes[before as usize] ^= 1;
    files.change(&name, change).unwrap();
    leader.publish(&record);
    for _ in 0..2 {
        let error = views.load_full().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption);
        assert_eq!((error.file(), error.offset()), (Some(&*name), Some(before)));
    }
    let record = leader.begin_manifest();
    leader.publish(&record);
    let view = views.load_full().unwrap();
    assert_eq!(files_of(&view.version), files_of(leader.version()));
}

#[test]
fn manifest_gone_without_a_newer_version_is_an_error() {
    let files = MemFs::new();
    let mut leader = Leader::found(&files);
    let views = Views::following(&leader.join(), &tables(&files)).unwrap();
    let record = grow(&mut leader);
    leader.publish(&record);
    files.remove(&filename::manifest(record.manifest)).unwrap();
    let error = views.load_full().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DoesNotExist);
    let record = leader.begin_manifest();
    leader.publish(&record);
    assert_eq!(views.load().unwrap().version.level(0).len(), 1);
}

#[test]
fn manifest_gone_meanwhile_leads_to_the_newer_version() {
    let files = WatchedFs::default();
    let mut leader = Leader::found(&files.files);
    let views = Views::following(&leader.join(), &tables(&files)).unwrap();
    let old = grow(&mut leader);
    leader.publish(&old);
    let newer = files.files.clone();
    let leader = Arc::new(Mutex::new(leader));
    let publishing = Arc::clone(&leader);
    // A successor publishes in a new manifest and removes the old one just before that is opened.
    files.before_next_open(move || {
        let mut leader = publishing.lock();
        let record = leader.begin_manifest();
        leader.publish(&record);
        newer.remove(&filename::manifest(old.manifest)).unwrap();
    });
    let view = views.load_full().unwrap();
    assert_eq!(view.word().version, old.counter.wrapping_add(1));
    assert_eq!(files_of(&view.version), files_of(leader.lock().version()));
}

#[test]
fn version_handed_over_is_not_read_from_the_manifest() {
    let files = WatchedFs::default();
    let mut leader = Leader::found(&files.files);
    let views = Views::following(&leader.join(), &tables(&files)).unwrap();
    let opens = files.opens();
    // As the leader's process does: also when a version is handed over and another one is read first.
    let seen = grow(&mut leader);
    leader.publish(&seen);
    let record = grow(&mut leader);
    views.expect(OpenVersion {
        counter: record.counter,
        version: Arc::clone(leader.version()),
    });
    assert_eq!(views.load().unwrap().word().version, seen.counter);
    leader.publish(&record);
    assert!(Arc::ptr_eq(
        &views.load().unwrap().version,
        leader.version()
    ));
    assert_eq!(files.opens(), opens + 1);
    assert_eq!(views.versions.lock().open.len(), 1);
}
