//! What the hooks of a commit are told, and in which order.

use std::sync::Arc;

use level_party_engine::{CommitHook, Engine, ErrorKind, MemFs, Write};
use level_party_format::batch::WriteBatch;

use crate::support::{Call, SpyFs, batch_of, get, open, put, tiny};

struct Noting {
    name: &'static str,
    wanted: bool,
    fs: SpyFs,
}

impl CommitHook for Noting {
    fn claim(&mut self) -> bool {
        self.fs.note(format!("claim {}", self.name));
        self.wanted
    }

    fn assigned(&mut self, last_sequence: u64) {
        self.fs
            .note(format!("assigned {} {last_sequence}", self.name));
    }

    fn decided(&mut self, last_sequence: u64) {
        self.fs
            .note(format!("decided {} {last_sequence}", self.name));
    }
}

fn hooked(fs: &SpyFs, name: &'static str, wanted: bool) -> Write {
    let fs = fs.clone();
    let hook = Noting { name, wanted, fs };
    Write::new(batch_of(name.as_bytes(), b"value")).hook(Box::new(hook))
}

fn note(what: &str) -> Call {
    Call::Note(what.to_owned())
}

#[test]
fn hooks_are_told_before_the_append_and_after_the_publishing() {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
    fs.note("start");
    let mut two = hooked(&fs, "b", true);
    two.batch.delete(b"a");
    two.batch.put(b"c", b"");
    let writes = vec![
        hooked(&fs, "a", true),
        two,
        hooked(&fs, "x", false).sync(true),
    ];
    let answers = engine.write_all(writes);
    assert_eq!(answers[0].as_ref().unwrap(), &1);
    assert_eq!(answers[1].as_ref().unwrap(), &4);
    assert_eq!(
        answers[2].as_ref().unwrap_err().kind(),
        ErrorKind::Cancelled
    );
    let log = Call::Append("000003.log".to_owned());
    let expected = [
        note("claim a"),
        note("claim b"),
        note("claim x"),
        note("assigned a 1"),
        note("assigned b 4"),
        log,
        note("decided a 1"),
        note("decided b 4"),
    ];
    // The cancelled write asked for the sync: there is none.
    assert_eq!(fs.calls_since("start"), expected);
    assert_eq!(get(&engine, b"a"), None);
    assert_eq!(get(&engine, b"x"), None);
    assert_eq!(engine.last_sequence(), 4);
}

#[test]
fn room_is_made_before_a_write_is_claimed() {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
    while fs
        .calls()
        .iter()
        .all(|call| *call != Call::Create("000004.log".into()))
    {
        fs.note("next");
        let write = hooked(&fs, "key", true);
        engine.write(write).unwrap();
    }
    let calls = fs.calls();
    let at = |wanted: &dyn Fn(&Call) -> bool| calls.iter().position(wanted).unwrap();
    let created = at(&|call| *call == Call::Create("000004.log".into()));
    let after = |wanted: &dyn Fn(&Call) -> bool| {
        let place = calls[created..].iter().position(wanted);
        created + place.unwrap()
    };
    let claimed = after(&|call| *call == note("claim key"));
    let is_assigned =
        |call: &Call| matches!(call, Call::Note(text) if text.starts_with("assigned"));
    let assigned = after(&is_assigned);
    let appended = at(&|call| call.is_append("000004.log"));
    assert!(created < claimed && claimed < assigned && assigned < appended);
}

#[test]
fn empty_batch_gets_the_last_sequence_and_writes_nothing() {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
    assert_eq!(engine.write(Write::new(WriteBatch::new())).unwrap(), 0);
    put(&engine, b"a", b"1").unwrap();
    fs.note("start");
    assert_eq!(engine.write(Write::new(WriteBatch::new())).unwrap(), 1);
    assert_eq!(fs.calls_since("start"), []);
    // With sync it makes durable what was written before it.
    assert_eq!(
        engine
            .write(Write::new(WriteBatch::new()).sync(true))
            .unwrap(),
        1
    );
    assert_eq!(fs.calls_since("start"), [Call::Sync("000003.log".into())]);
}

#[test]
fn an_empty_batch_between_others_gets_its_place_in_their_order() {
    let engine = open(&MemFs::new(), &tiny());
    let writes = vec![
        Write::new(WriteBatch::new()),
        Write::new(batch_of(b"a", b"1")),
        Write::new(WriteBatch::new()),
        Write::new(batch_of(b"a", b"2")),
    ];
    let answers: Vec<u64> = engine
        .write_all(writes)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(answers, [0, 1, 1, 2]);
    assert_eq!(get(&engine, b"a").unwrap(), b"2");
    assert!(engine.write_all(Vec::new()).is_empty());
}

#[test]
fn a_write_at_once_comes_back_while_another_is_committed() {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(Arc::new(fs.clone()), tiny()).unwrap();
    let (appends, appending) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    fs.refuse(move |call| {
        if call.is_append(".log") {
            appends.send(()).unwrap();
            may_go_on.lock().unwrap().recv().unwrap();
        }
        None
    });
    std::thread::scope(|threads| {
        let first = threads.spawn(|| put(&engine, b"first", b"1"));
        appending.recv().unwrap();
        let write = Write::new(batch_of(b"second", b"2")).sync(true);
        let Err(write) = engine.write_at_once(write) else {
            panic!("the first is being committed");
        };
        assert!(write.sync && write.batch == batch_of(b"second", b"2"));
        go_on.send(()).unwrap();
        assert_eq!(first.join().unwrap().unwrap(), 1);
        assert_eq!((engine.last_sequence(), get(&engine, b"second")), (1, None));
        // Its record, and the zeroes behind it.
        (0..2).for_each(|_| go_on.send(()).unwrap());
        let Ok(outcome) = engine.write_at_once(write) else {
            panic!("nobody commits any more");
        };
        assert_eq!(outcome.result.unwrap(), 2);
    });
    assert_eq!(get(&engine, b"second"), Some(b"2".to_vec()));
}

#[test]
fn a_hook_that_panics_ends_writing_but_nobody_hangs() {
    struct Panicking;
    impl CommitHook for Panicking {
        fn claim(&mut self) -> bool {
            true
        }
        fn assigned(&mut self, _: u64) {
            panic!("a hook's own fault");
        }
    }
    let engine = open(&MemFs::new(), &tiny());
    put(&engine, b"a", b"1").unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        engine.write(Write::new(batch_of(b"b", b"2")).hook(Box::new(Panicking)))
    }));
    assert!(panicked.is_err());
    assert_eq!(
        put(&engine, b"c", b"3").unwrap_err().kind(),
        ErrorKind::Poisoned
    );
    assert_eq!(get(&engine, b"a").unwrap(), b"1");
    engine.close().unwrap();
}
