//! The directory comes to belong to somebody else while the engine is open.

use std::sync::Arc;

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
