//! Migrations from one directory into another, by threads of one process. With processes that are killed it is in the
//! program's own tests.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;
use level_party::{
    Comparator, Db, Error, ErrorKind, Migration, MigrationPhase, Options, Readable, Result,
    ServiceState,
};
use tempfile::{TempDir, tempdir};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

fn entries(db: &Db) -> Entries {
    db.iter().collect::<Result<_>>().unwrap()
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

/// A database of `count` entries of about 100 bytes.
fn source_of(count: usize) -> (TempDir, Db) {
    let dir = tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    for n in 0..count {
        db.put(format!("{n:08}"), format!("{n:0100}")).unwrap();
    }
    (dir, db)
}

/// Opens it once its last user in this process has closed it.
fn open(dir: &Path) -> Db {
    Db::open(dir).unwrap()
}

#[test]
fn cut_over_moves_every_acknowledged_write_while_threads_write() {
    const THREADS: u64 = 3;
    let (_dir, source) = source_of(20_000);
    let to = tempdir().unwrap();
    let begun = AtomicBool::new(false);
    let written: Vec<Entries> = std::thread::scope(|threads| {
        let write = |thread: u64| {
            let (source, begun) = (source.clone(), &begun);
            move || {
                let mut rng = Rng::with_seed(thread);
                let mut made = Entries::new();
                for n in 0.. {
                    // Keys of its own, over all that the pass goes over.
                    let key = format!("{:08}-{thread}", rng.u32(..20_000)).into_bytes();
                    let value = format!("{n}").into_bytes();
                    let done = match rng.u32(..4) {
                        0 => source.delete(&key),
                        _ => source.put(&key, &value),
                    };
                    match done {
                        Ok(())
                            if made.contains_key(&key) && source.get(&key).unwrap().is_none() =>
                        {
                            made.remove(&key);
                        }
                        Ok(()) => {
                            if source.get(&key).unwrap().is_some() {
                                made.insert(key, value);
                            }
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Moved, "{error}");
                            return made;
                        }
                    }
                    begun.store(true, Ordering::Relaxed);
                }
                made
            }
        };
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| threads.spawn(write(thread)))
            .collect();
        while !begun.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        let report = Migration::new(&source, to.path()).cut_over().unwrap();
        assert!(report.progress.changes > 0, "{report:?}");
        assert!(report.unwritable_for.is_some());
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect()
    });
    let target = open(to.path());
    let found = entries(&target);
    assert!(found == entries(&source), "the two differ");
    for (key, value) in written.into_iter().flatten() {
        assert_eq!(found.get(&key), Some(&value), "{}", key.escape_ascii());
    }
    target.put("a", "goes on").unwrap();
}

#[test]
fn moved_source_refuses_writes_in_later_openings_too() {
    let (dir, source) = source_of(10);
    let to = tempdir().unwrap();
    let report = Migration::new(&source, to.path()).cut_over().unwrap();
    assert_eq!(report.contents.unwrap().entries, 10);
    for _ in 0..2 {
        let source = open(dir.path());
        let refused: Error = source.put("a", "1").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Moved);
        let named = to.path().canonicalize().unwrap().display().to_string();
        assert!(refused.to_string().contains(&named), "{refused}");
        assert_eq!(
            kind(source.transaction(|tx| tx.put("a", "1"))),
            ErrorKind::Moved
        );
        assert_eq!(kind(source.update("a", |_| Some("1"))), ErrorKind::Moved);
        assert!(matches!(
            source.service_state().unwrap(),
            ServiceState::Moved { .. }
        ));
        assert_eq!(source.iter().count(), 10, "it can be read");
    }
    drop(source);
    let again = Migration::new(&open(dir.path()), to.path())
        .cut_over()
        .unwrap();
    assert_eq!(again.contents, None, "it was done before");
    assert_eq!(
        kind(Migration::new(&open(dir.path()), to.path()).catch_up()),
        ErrorKind::Moved
    );
    assert_eq!(
        kind(Migration::new(&open(dir.path()), to.path()).abort()),
        ErrorKind::InvalidArgument
    );
    Db::destroy(dir.path()).unwrap();
    assert!(!dir.path().exists(), "nothing is left of it");
}

/// Random writes, then another part of the copy, many times over; at the end it is the source to the letter.
#[test]
fn copy_made_in_parts_is_the_source() {
    for seed in 0..4 {
        let (_dir, source) = source_of(3_000);
        let to = tempdir().unwrap();
        let mut rng = Rng::with_seed(seed);
        for _ in 0..6 {
            for _ in 0..rng.u32(..2_000) {
                let key = format!("{:08}", rng.u32(..4_000));
                match rng.u32(..3) {
                    0 => source.delete(key).unwrap(),
                    _ => source.put(key, rng.u32(..1_000).to_string()).unwrap(),
                }
            }
            Migration::new(&source, to.path()).catch_up().unwrap();
            assert_eq!(kind(Db::open(to.path())), ErrorKind::Busy, "it is not done");
        }
        let report = Migration::new(&source, to.path()).finish().unwrap();
        assert_eq!(report.progress.entries, 0, "nothing was read twice");
        let target = open(to.path());
        assert!(entries(&target) == entries(&source), "seed {seed}");
        source.put("goes", "on").unwrap();
    }
}

#[test]
fn changes_that_are_not_kept_any_more_cost_a_pass_and_lose_nothing() {
    let dir = tempdir().unwrap();
    let options = Options::default()
        .watch_history_bytes(1)
        .write_buffer_size(64 << 10);
    let source = options.open(dir.path()).unwrap();
    let to = tempdir().unwrap();
    for n in 0..5_000 {
        source.put(format!("{n:08}"), format!("{n:0100}")).unwrap();
    }
    Migration::new(&source, to.path()).catch_up().unwrap();
    for n in 0..5_000 {
        match n % 3 {
            0 => source.delete(format!("{n:08}")).unwrap(),
            1 => source.put(format!("{n:08}"), format!("{n:0200}")).unwrap(),
            _ => {}
        }
    }
    source.compact_range(..).unwrap();
    let report = Migration::new(&source, to.path()).finish().unwrap();
    assert!(report.progress.pass > 1, "{report:?}");
    assert!(entries(&open(to.path())) == entries(&source));
}

#[test]
fn target_that_holds_something_else_is_left_alone() {
    let (_dir, source) = source_of(10);
    let (other_dir, other) = source_of(5);
    let before = entries(&other);
    let other_path = other_dir.path();
    // Also where it is open in this process.
    assert_eq!(
        kind(Migration::new(&source, other_path).finish()),
        ErrorKind::Locked
    );
    drop(other);
    assert_eq!(
        kind(Migration::new(&source, other_path).finish()),
        ErrorKind::AlreadyExists
    );
    let other = open(other_path);
    assert!(entries(&other) == before);
    other.put("a", "1").unwrap();

    let to = tempdir().unwrap();
    Migration::new(&source, to.path()).catch_up().unwrap();
    assert_eq!(
        kind(Migration::new(&other, to.path()).finish()),
        ErrorKind::AlreadyExists
    );
}

#[test]
fn former_owner_of_a_copy_ends_when_another_takes_over() {
    let (_dir, source) = source_of(3_000);
    let to = tempdir().unwrap();
    let mut finished = None;
    let interrupted = Migration::new(&source, to.path()).on_progress(|_| {
        finished.get_or_insert_with(|| Migration::new(&source, to.path()).cut_over().unwrap());
    });
    let error = interrupted.cut_over().unwrap_err();
    assert_eq!(finished.unwrap().contents.unwrap().entries, 3_000);
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Conflict | ErrorKind::Moved | ErrorKind::Busy
        ),
        "{error}"
    );
    assert!(
        matches!(source.service_state().unwrap(), ServiceState::Moved { .. }),
        "it stays moved"
    );
    assert!(entries(&open(to.path())) == entries(&source));
}

#[test]
fn database_whose_service_file_is_damaged_is_not_opened() {
    let (dir, source) = source_of(1);
    drop(source);
    std::fs::write(dir.path().join("level-party.service"), "neither").unwrap();
    let error = Db::open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert!(error.to_string().contains("level-party.service"), "{error}");
}

/// What a process leaves that dies between the file of a service state and the word that members look at.
fn leave_service_file(dir: &Path, content: &str) {
    std::fs::write(dir.join("level-party.service"), content).unwrap();
}

fn full_name(dir: &Path) -> String {
    dir.canonicalize().unwrap().display().to_string()
}

/// Found by reading: the second one took the source over, and both targets were live.
#[test]
fn source_that_moved_meanwhile_is_not_moved_elsewhere() {
    let (_dir, source) = source_of(10);
    let (first, second) = (tempdir().unwrap(), tempdir().unwrap());
    let mut moved = false;
    let late = Migration::new(&source, first.path()).on_progress(|_| {
        if !std::mem::replace(&mut moved, true) {
            Migration::new(&source, second.path()).cut_over().unwrap();
        }
    });
    assert_eq!(kind(late.cut_over()), ErrorKind::Conflict);
    let state = source.service_state().unwrap();
    let to = full_name(second.path());
    assert!(
        matches!(&state, ServiceState::Moved { to: there, .. } if *there == to),
        "{state:?}"
    );
    assert_eq!(kind(Db::open(first.path())), ErrorKind::Busy);
}

/// Found by reading: an empty database was made, and the cut-over was said to be done.
#[test]
fn cut_over_to_a_target_that_is_gone_is_not_completed() {
    let (dir, source) = source_of(10);
    drop(source);
    let place = tempdir().unwrap();
    let gone = place.path().canonicalize().unwrap().join("gone");
    leave_service_file(dir.path(), &format!("moved\nword\n{}", gone.display()));
    let source = open(dir.path());
    let migration = || Migration::new(&source, &gone);
    assert_eq!(kind(migration().cut_over()), ErrorKind::NotFound);
    assert_eq!(kind(migration().abort()), ErrorKind::NotFound);
    assert!(!gone.exists(), "nothing was made");
}

/// A source whose cut-over died between file and word, so that it took one more write; its directory, and the target's.
fn moved_in_the_file_alone() -> (TempDir, Db, TempDir) {
    let (dir, source) = source_of(10);
    let to = tempdir().unwrap();
    Migration::new(&source, to.path()).catch_up().unwrap();
    let moved = format!("moved\nword\n{}", full_name(to.path()));
    leave_service_file(dir.path(), &moved);
    source.put("a", "1").unwrap();
    (dir, source, to)
}

#[test]
fn move_that_died_before_its_word_is_aborted() {
    let (dir, source, to) = moved_in_the_file_alone();
    Migration::new(&source, to.path()).abort().unwrap();
    drop(source);
    open(dir.path()).put("a", "2").unwrap();
}

/// Found by reading: the copy became live beside its source, which then said that it was moved there.
#[test]
fn move_that_died_before_its_word_keeps_the_copy_closed() {
    let (_dir, source, to) = moved_in_the_file_alone();
    let finished = Migration::new(&source, to.path()).finish();
    assert_eq!(kind(finished), ErrorKind::Moved);
    Migration::new(&source, to.path()).cut_over().unwrap();
    assert_eq!(open(to.path()).get("a").unwrap(), Some(b"1".to_vec()));
}

#[test]
fn abort_that_died_before_its_word_is_made_good() {
    let (dir, source) = source_of(10);
    drop(source);
    let to = tempdir().unwrap();
    let moved = format!("moved\nword\n{}", full_name(to.path()));
    leave_service_file(dir.path(), &moved);
    let source = open(dir.path());
    std::fs::remove_file(dir.path().join("level-party.service")).unwrap();
    assert!(source.put("a", "1").is_err());
    let again = Migration::new(&source, to.path()).abort();
    assert_eq!(kind(again), ErrorKind::InvalidArgument, "it is live");
    source.put("a", "1").unwrap();
}

/// Found by reading: a handle of the process that makes the copy could write to it.
#[test]
fn copy_is_closed_in_the_process_that_makes_it_too() {
    let (_dir, source) = source_of(10);
    let to = tempdir().unwrap();
    let mut opened = Vec::new();
    Migration::new(&source, to.path())
        .on_progress(|_| opened.push(Db::open(to.path()).map(drop).map_err(|e| e.kind())))
        .finish()
        .unwrap();
    assert!(!opened.is_empty());
    for opened in opened {
        assert_eq!(opened, Err(ErrorKind::Busy));
    }
}

/// Found by reading: what somebody wrote while the database was claimed was taken for a part of the copy, and deleted.
#[test]
fn target_claimed_by_the_dead_keeps_what_others_wrote() {
    let (_dir, source) = source_of(10);
    let (other_dir, other) = source_of(5);
    let before = entries(&other);
    drop(other);
    leave_service_file(other_dir.path(), "filling\n");
    let copied = Migration::new(&source, other_dir.path()).finish();
    assert_eq!(kind(copied), ErrorKind::AlreadyExists);
    assert!(entries(&open(other_dir.path())) == before);
}

/// A pass that is begun in the midst shows later moments than the one at which both were to be compared.
#[test]
fn pass_begun_before_a_comparison_is_compared_at_a_later_moment() {
    const VALUE: usize = 1 << 20;
    let dir = tempdir().unwrap();
    let options = Options::default()
        .watch_history_bytes(1)
        .write_buffer_size(1 << 20);
    let source = options.open(dir.path()).unwrap();
    source.put("a", "1").unwrap();
    let to = tempdir().unwrap();
    let mut has_lost = false;
    let copied = Migration::new(&source, to.path()).on_progress(|progress| {
        if !std::mem::replace(&mut has_lost, true) {
            // More than waits in memory.
            for n in 0..80 {
                source
                    .put(format!("b{}", n % 2), vec![b'v'; VALUE])
                    .unwrap();
            }
            source.compact_range(..).unwrap();
        } else if progress.pass == 2 && progress.phase == MigrationPhase::Copying {
            source.put("c", progress.entries.to_string()).unwrap();
        }
    });
    let report = copied.finish().unwrap();
    assert!(report.progress.pass > 1, "{report:?}");
    assert!(source.contains("c").unwrap());
}

struct Backwards;

impl Comparator for Backwards {
    fn name(&self) -> &'static str {
        "test.Backwards"
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> std::cmp::Ordering {
        b.cmp(a)
    }
}

#[test]
fn source_of_another_order_than_its_target_is_refused() {
    let (dir, to) = (tempdir().unwrap(), tempdir().unwrap());
    let options = Options::default().comparator(Backwards);
    let source = options.clone().open(dir.path()).unwrap();
    source.put("a", "1").unwrap();
    source.put("b", "2").unwrap();
    let copied = Migration::new(&source, to.path()).finish();
    assert_eq!(kind(copied), ErrorKind::InvalidArgument);
    Migration::new(&source, tempdir().unwrap().path())
        .target_options(options)
        .finish()
        .unwrap();
}

#[test]
fn source_whose_state_cannot_be_written_stays_live() {
    let (dir, source) = source_of(10);
    let to = tempdir().unwrap();
    // Nothing can be written where a directory is.
    let new = dir.path().join("level-party.service-new");
    std::fs::create_dir(&new).unwrap();
    let error = Migration::new(&source, to.path()).cut_over().unwrap_err();
    assert!(
        error.to_string().contains("takes writes as before"),
        "{error}"
    );
    source.put("a", "1").unwrap();
    std::fs::remove_dir(&new).unwrap();
    Migration::new(&source, to.path()).cut_over().unwrap();
    assert_eq!(open(to.path()).get("a").unwrap(), Some(b"1".to_vec()));
}

#[test]
fn migration_shows_no_password() {
    let (_dir, source) = source_of(1);
    let migration = Migration::new(&source, "postgres://user:swordfish@host/database");
    assert!(!format!("{migration:?}").contains("swordfish"));
}
