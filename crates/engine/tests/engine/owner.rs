//! The directory comes to belong to somebody else while the engine is open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use level_party_engine::{Before, Engine, ErrorKind, Listener, MemFs, Options};
use level_party_locks::Mutex;

use crate::support::{Call, SpyFs, get, put, tiny};

/// An owner who loses the directory at the first step of one kind.
#[derive(Default)]
struct Losing {
    at: Mutex<Option<Before>>,
    lost: Mutex<bool>,
    poisoned: Mutex<usize>,
}

impl Listener for Losing {
    fn raise_drop_floor(&self, _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn still_owner(&self, before: Before) -> bool {
        let mut lost = self.lost.lock();
        *lost |= *self.at.lock() == Some(before);
        !*lost
    }

    fn poisoned(&self, _: &level_party_engine::Error) {
        *self.poisoned.lock() += 1;
    }
}

/// Loses the directory before a step of the kind `at`, and gives the calls that followed.
fn after_losing_it(at: Before) -> (Vec<Call>, SpyFs) {
    let fs = SpyFs::new(MemFs::new());
    let owner = Arc::new(Losing::default());
    let options = Options {
        listener: Some(Arc::clone(&owner) as Arc<dyn Listener>),
        ..tiny()
    };
    let engine = Engine::open(Arc::new(fs.clone()), options).unwrap();
    put(&engine, b"before", b"1").unwrap();
    fs.note("lost");
    *owner.at.lock() = Some(at);
    let failed = put(&engine, b"after", b"2").and_then(|_| engine.flush());
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Poisoned);
    for _ in 0..3 {
        let again = put(&engine, b"later", b"3").unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Poisoned);
    }
    engine.close().unwrap();
    drop(engine);
    assert_eq!(*owner.poisoned.lock(), 1, "its owner is told once");
    (fs.calls_since("lost"), fs)
}

fn reopened(fs: &SpyFs) -> Engine {
    Engine::open(Arc::new(fs.clone()), tiny()).expect("the database opens")
}

#[test]
fn nothing_is_appended_to_a_log_once_the_directory_is_lost() {
    let (calls, fs) = after_losing_it(Before::Append);
    assert_eq!(calls, []);
    assert_eq!(get(&reopened(&fs), b"before"), Some(b"1".to_vec()));
}

#[test]
fn appended_write_is_unanswered_if_the_directory_is_lost() {
    let (calls, _) = after_losing_it(Before::Answer);
    assert_eq!(calls.len(), 1, "its own append: {calls:?}");
}

#[test]
fn lost_directory_stops_all_changes_of_files() {
    for at in [Before::Create, Before::Manifest] {
        let (calls, _) = after_losing_it(at);
        let touches = |call: &&Call| match call {
            Call::Append(name) => name.starts_with("MANIFEST"),
            Call::Remove(_) | Call::Rename(..) => true,
            Call::Create(_) => at == Before::Create,
            _ => false,
        };
        assert_eq!(calls.iter().find(touches), None, "{at:?}: {calls:?}");
    }
}

#[test]
fn an_opening_that_loses_the_directory_leaves_current_alone() {
    let fs = SpyFs::new(MemFs::new());
    put(&reopened(&fs), b"a", b"1").unwrap();
    fs.note("lost");
    let owner = Losing::default();
    *owner.at.lock() = Some(Before::Manifest);
    let options = Options {
        listener: Some(Arc::new(owner)),
        ..tiny()
    };
    let error = Engine::open(Arc::new(fs.clone()), options).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Poisoned);
    let calls = fs.calls_since("lost");
    assert!(!calls.iter().any(|call| matches!(call, Call::Rename(..))));
    assert_eq!(get(&reopened(&fs), b"a"), Some(b"1".to_vec()));
}

/// An owner who is overtaken while the engine is opened.
struct Overtaken;

impl Listener for Overtaken {
    fn raise_drop_floor(&self, _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn still_owner(&self, _: Before) -> bool {
        false
    }
}

#[test]
fn whoever_is_overtaken_while_he_recovers_makes_no_log() {
    let left_behind = SpyFs::new(MemFs::new());
    put(&reopened(&left_behind), b"a", b"1").unwrap();
    for files in [left_behind.files, MemFs::new()] {
        let fs = SpyFs::new(files);
        let options = Options {
            listener: Some(Arc::new(Overtaken)),
            ..tiny()
        };
        let error = Engine::open(Arc::new(fs.clone()), options).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Poisoned);
        // The overtaker's log may have the same number.
        assert_eq!(fs.calls(), []);
    }
}

/// An owner who refuses writes now and then.
#[derive(Default)]
struct Refusing(AtomicBool);

impl Listener for Refusing {
    fn raise_drop_floor(&self, _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn still_owner(&self, _: Before) -> bool {
        true
    }

    fn refuses_writes(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Threads write until they are refused. What was acknowledged is there, and from the end of one refused write on nothing comes.
#[test]
fn refused_writes_have_no_effect_and_none_comes_after_one() {
    const WRITERS: u8 = 3;
    let owner = Arc::new(Refusing::default());
    let options = Options {
        listener: Some(Arc::clone(&owner) as Arc<dyn Listener>),
        ..tiny()
    };
    let engine = Engine::open(Arc::new(MemFs::new()), options).unwrap();
    for round in 0..20 {
        let acknowledged: u64 = std::thread::scope(|threads| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let engine = &engine;
                    threads.spawn(move || {
                        for made in 0.. {
                            if let Err(error) = put(engine, &[writer], b"1") {
                                assert_eq!(error.kind(), ErrorKind::Refused);
                                return made;
                            }
                        }
                        unreachable!("it is refused at some time")
                    })
                })
                .collect();
            while engine.last_sequence() % 100 < 50 + round {
                std::thread::yield_now();
            }
            owner.0.store(true, Ordering::Relaxed);
            let refused = put(&engine, b"own", b"1").unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Refused);
            let last = engine.last_sequence();
            let made = writers
                .into_iter()
                .map(|writer| writer.join().unwrap())
                .sum();
            assert_eq!(engine.last_sequence(), last, "a write came later");
            made
        });
        owner.0.store(false, Ordering::Relaxed);
        let before = engine.last_sequence();
        assert!(before >= acknowledged);
        put(&engine, b"own", b"2").unwrap();
        assert_eq!(
            engine.last_sequence(),
            before + 1,
            "a refused write takes no sequence"
        );
    }
}
