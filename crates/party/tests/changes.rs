//! Calls that change one key by what it holds, errors, and what every public type can do.

use level_party::{
    AsyncDb, AsyncRange, AsyncReadable, AsyncSnapshot, AsyncSublevel, AsyncTransaction, AsyncTyped,
    AsyncWatch, BigEndian, Db, Error, ErrorKind, Events, Options, Prefix, Range, Readable, Result,
    Snapshot, Sublevel, Transaction, Typed, Utf8, Watch, WatchCloser, WhenFull, WriteBatch,
};

#[test]
fn one_key_is_changed_by_what_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let level = db.sublevel("level").unwrap();
    assert_eq!(level.replace("a", "1").unwrap(), None);
    assert_eq!(level.replace("a", "2").unwrap(), Some(b"1".to_vec()));
    let longer = |held: Option<&[u8]>| held.map(|held| [held, b"!"].concat());
    assert_eq!(level.update("a", longer).unwrap(), Some(b"2!".to_vec()));
    assert_eq!(level.update("none", longer).unwrap(), None);
    let sequence = db.status().unwrap().leader.last_sequence;
    let same = |held: Option<&[u8]>| held.map(<[u8]>::to_vec);
    assert_eq!(level.update("a", same).unwrap(), Some(b"2!".to_vec()));
    assert_eq!(level.take("none").unwrap(), None);
    let unchanged = db.status().unwrap().leader.last_sequence;
    assert_eq!(unchanged, sequence, "nothing changed, nothing written");
    assert_eq!(level.take("a").unwrap(), Some(b"2!".to_vec()));
    assert!(db.iter().next().is_none());
}

#[test]
fn updates_of_many_threads_are_exact() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let counts = db.typed::<Utf8, BigEndian<u64>>();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..100 {
                    let add = |n: Option<u64>| Some(n.unwrap_or(0) + 1);
                    counts.update("n", add).unwrap();
                }
            });
        }
    });
    assert_eq!(counts.get("n").unwrap(), Some(400));
}

#[test]
fn tasks_change_one_key_as_threads_do() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap().to_async();
    let level = db.sublevel("level").unwrap();
    pollster::block_on(async {
        assert_eq!(level.replace("a", "1").await?, None);
        let longer = |held: Option<&[u8]>| held.map(|held| [held, b"!"].concat());
        assert_eq!(level.update("a", longer).await?, Some(b"1!".to_vec()));
        assert_eq!(level.get_with("a", <[u8]>::len).await?, Some(2));
        assert_eq!(db.sublevels().await?, ["level"]);
        assert_eq!(level.take("a").await?, Some(b"1!".to_vec()));
        assert_eq!(level.last(..).await?, None);
        Ok::<_, Error>(())
    })
    .unwrap();
}

/// Also where a view of a sublevel is made blocking.
#[test]
fn async_sublevel_never_acts_on_the_whole_database() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap().to_async();
    let level = db.sublevel("level").unwrap();
    level.to_blocking().put("a", "1").unwrap();
    let typed = level.typed::<Utf8, Utf8>();
    typed.to_blocking().put("b", "2").unwrap();
    let keys = db.to_blocking().iter().keys();
    let keys: Vec<_> = keys.collect::<Result<_>>().unwrap();
    assert_eq!(keys, [&b"!level!a"[..], b"!level!b"]);
    assert_eq!(pollster::block_on(level.db().clear(..)).unwrap(), 2);
}

#[test]
fn sublevels_are_listed_without_their_entries() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    for name in ["b", "a", "a#"] {
        let level = db.sublevel(name).unwrap();
        for n in 0..10 {
            level.put(format!("{n}"), "").unwrap();
        }
    }
    db.sublevel("a")
        .unwrap()
        .sublevel("x")
        .unwrap()
        .put("", "")
        .unwrap();
    for other in ["!", "!c", "!d e!k", "!\u{e9}!k", "plain"] {
        db.put(other, "").unwrap();
    }
    assert_eq!(db.sublevels().unwrap(), ["a", "a#", "b"]);
    assert_eq!(db.sublevel("a").unwrap().sublevels().unwrap(), ["x"]);
}

#[test]
fn written_batch_can_be_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let (a, b) = (db.sublevel("a").unwrap(), db.sublevel("b").unwrap());
    let mut batch = WriteBatch::new();
    batch
        .put("k", "1")
        .put_in(&b, "k", "2")
        .put_in(&db, "k", "3");
    assert_eq!((batch.len(), batch.is_empty()), (3, false));
    a.write(&batch).unwrap();
    a.write(&batch).unwrap();
    let keys: Vec<_> = db.iter().keys().map(|key| key.unwrap()).collect();
    assert_eq!(keys, [&b"!a!k"[..], b"!b!k", b"k"]);
    batch.clear();
    assert!(batch.is_empty());
    batch.delete_in(&b, "k");
    b.transaction(|tx| tx.of(&a).write(&batch)).unwrap();
    assert_eq!(b.first(..).unwrap(), None);
}

#[test]
fn values_are_lent_to_whoever_asks_so() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.write(WriteBatch::new().put("a", "1").put("b", "22"))
        .unwrap();
    assert_eq!(db.get_with("b", <[u8]>::len).unwrap(), Some(2));
    let read = db.transaction(|tx| tx.get_with("b", |value| tx.get(value).map(|_| value.len())));
    assert_eq!(
        read.unwrap().unwrap().unwrap(),
        2,
        "it may use the transaction"
    );
    let mut range = db.iter();
    let first = range.next_with(|key, value| (key.len(), value.len()));
    assert_eq!(first.unwrap().unwrap(), (1, 1));
    assert_eq!(range.next().unwrap().unwrap().0, b"b");
}

#[test]
fn errors_say_what_can_be_done() {
    let dir = tempfile::tempdir().unwrap();
    let late = Options::default().timeout(std::time::Duration::ZERO);
    let late = late.open(dir.path()).unwrap();
    let timeout = late.put("a", "1").unwrap_err();
    assert!(timeout.is_retryable() && timeout.had_no_effect());
    assert_eq!(timeout.kind(), ErrorKind::Timeout);
    let io = std::io::Error::from(timeout);
    assert_eq!(io.kind(), std::io::ErrorKind::TimedOut);
    let inner = io.get_ref().and_then(|e| e.downcast_ref::<Error>());
    assert_eq!(inner.unwrap().kind(), ErrorKind::Timeout);
    let full = Options::default().queue_bytes(0).when_full(WhenFull::Busy);
    let full = full.open(dir.path()).unwrap();
    full.put("a", "1")
        .expect("it is made where there is no other");
    let wrong = full
        .put(vec![0; WriteBatch::MAX_KEY_BYTES + 1], "")
        .unwrap_err();
    assert!(!wrong.is_retryable() && wrong.had_no_effect());
    assert_eq!(full.iter().count(), 1);
}

#[test]
fn handle_with_sync_makes_durable_writes() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::options().sync(true).open(dir.path()).unwrap();
    db.put("a", "1").unwrap();
    db.put_sync("b", "2").unwrap();
    db.write(WriteBatch::new().put("c", "3").sync(false))
        .unwrap();
    db.transaction(|tx| {
        tx.sync(false);
        tx.put("d", "4")
    })
    .unwrap();
    assert_eq!(db.range(Prefix("")).count(), 4);
}

#[test]
fn public_types_go_between_threads() {
    fn shared<T: Send + Sync + std::fmt::Debug>() {}
    shared::<Db>();
    shared::<Sublevel>();
    shared::<Snapshot>();
    shared::<Transaction>();
    shared::<Range>();
    shared::<Typed<Utf8, Utf8>>();
    shared::<Range<u32, (BigEndian<u32>, Utf8)>>();
    shared::<WriteBatch>();
    shared::<Watch>();
    shared::<WatchCloser>();
    shared::<Events>();
    shared::<Options>();
    shared::<Error>();
    shared::<AsyncDb>();
    shared::<AsyncSublevel>();
    shared::<AsyncSnapshot>();
    shared::<AsyncTransaction>();
    shared::<AsyncRange>();
    shared::<AsyncTyped<Utf8, Utf8>>();
    shared::<AsyncWatch>();
}
