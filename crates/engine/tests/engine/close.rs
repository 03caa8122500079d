//! The end of an engine.

use std::sync::Arc;

use level_party_engine::{Engine, ErrorKind, MemFs, Options};
use level_party_locks::Mutex;

use crate::support::{SpyFs, all, contents, get, open, put, tiny};

#[test]
fn after_the_close_every_call_says_so_and_views_go_on() {
    let engine = open(&MemFs::new(), &tiny());
    put(&engine, b"a", b"1").unwrap();
    let pin = engine.pin();
    let mut cursor = engine.cursor().unwrap();
    let view = engine.view().unwrap();
    engine.close().unwrap();
    engine.close().unwrap();
    assert_eq!(
        put(&engine, b"b", b"2").unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert_eq!(engine.get(b"a").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(
        engine.get_at(b"a", 1).unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert_eq!(engine.cursor().err().unwrap().kind(), ErrorKind::Closed);
    assert_eq!(engine.flush().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(
        engine.compact_range(None, None).unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert_eq!(all(&mut cursor).len(), 1);
    assert_eq!(view.get(b"a", pin.sequence()).unwrap().unwrap().value, b"1");
}

#[test]
fn the_last_handle_dropped_ends_all_work() {
    let files = MemFs::new();
    let engine = open(&files, &tiny());
    let second = engine.clone();
    for number in 0..3_000u32 {
        put(&engine, &number.to_be_bytes(), &[7; 100]).unwrap();
    }
    drop(engine);
    assert_eq!(get(&second, &1u32.to_be_bytes()).unwrap(), [7; 100]);
    drop(second);
    // Nobody writes any more: what is there now is there for good.
    let names = level_party_engine::Fs::list(&files).unwrap();
    let engine = open(&files, &tiny());
    assert_eq!(contents(&engine).len(), 3_000);
    assert!(names.iter().any(|name| name.ends_with(".ldb")));
}

#[test]
fn a_writer_that_waits_for_room_is_answered_by_the_close() {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
    // A table's sync hangs until the close has begun: flushes stand still, writers wait for room.
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let (reached, is_reached) = std::sync::mpsc::channel::<()>();
    let blocked = Mutex::new(blocked);
    fs.refuse(move |call| {
        if call.is_sync(".ldb") {
            let _ = reached.send(());
            let _ = blocked.lock().recv();
        }
        None
    });
    let writer = {
        let engine = engine.clone();
        std::thread::spawn(move || {
            loop {
                if let Err(error) = put(&engine, b"key", &[1; 1000]) {
                    return error.kind();
                }
            }
        })
    };
    is_reached.recv().unwrap();
    let closer = {
        let engine = engine.clone();
        std::thread::spawn(move || engine.close())
    };
    assert_eq!(writer.join().unwrap(), ErrorKind::Closed);
    drop(release);
    closer.join().unwrap().unwrap();
}

/// Panics when a compaction asks it anything.
struct Panicking;

impl level_party_engine::Listener for Panicking {
    fn raise_drop_floor(&self, _to: u64) -> std::io::Result<()> {
        panic!("a listener with a bug");
    }
}

/// Found by review: the caller of a compaction whose thread panicked waited for ever.
#[test]
fn a_panic_in_a_compaction_is_an_answer_to_who_asked_for_it() {
    let options = Options {
        listener: Some(Arc::new(Panicking)),
        ..tiny()
    };
    let engine = open(&MemFs::new(), &options);
    put(&engine, b"key", b"value").unwrap();
    engine.flush().unwrap();
    put(&engine, b"key", b"other").unwrap();
    let error = engine.compact_range(None, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned);
    assert_eq!(get(&engine, b"key").unwrap(), b"other");
}
