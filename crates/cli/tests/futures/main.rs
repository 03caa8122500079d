//! Futures of this process beside real leaders in other processes: followed, killed, stopped, taken over from.

mod executor;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use executor::{Executor, block_on};
use futures_lite::StreamExt;
use futures_lite::future::poll_once;
use level_party::{
    AsyncDb, AsyncReadable, BigEndian, Db, ErrorKind, Event, Json, Lead, Prefix, Role, Utf8,
    WriteBatch,
};
use level_party_testkit::ExecChild;
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

fn leader(dir: &Path) -> ExecChild {
    let mut child = ExecChild::spawn(PROGRAM, dir);
    child.put("zbegun", "1");
    child
}

fn value(n: u64) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

#[test]
fn every_call_has_its_future_in_either_role() {
    let dir = tempfile::tempdir().unwrap();
    let child = leader(dir.path());
    let db = block_on(AsyncDb::open(dir.path())).unwrap();
    assert_eq!(db.role(), Role::Follower);
    block_on(every_call(&db));
    block_on(db.close()).unwrap();
    assert!(child.close().success());

    let db = block_on(AsyncDb::open(dir.path())).unwrap();
    assert_eq!(db.role(), Role::Leader);
    block_on(every_call(&db));
    block_on(db.close()).unwrap();
    let closed = block_on(db.get("a")).unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
}

async fn every_call(db: &AsyncDb) {
    db.put("a", "1").await.unwrap();
    db.write(WriteBatch::new().put("b", "2").put("c", "3").sync(true))
        .await
        .unwrap();
    assert_eq!(db.get("a").await.unwrap().as_deref(), Some(&b"1"[..]));
    assert!(db.contains("b").await.unwrap());
    let many = db.get_many(["a", "none", "c"]).await.unwrap();
    assert_eq!(many, [Some(b"1".to_vec()), None, Some(b"3".to_vec())]);
    let before = db.snapshot().await.unwrap();
    db.delete("a").await.unwrap();
    assert_eq!(before.get("a").await.unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(db.get("a").await.unwrap(), None);
    let swapped = db.compare_and_swap("a", None, Some(b"4")).await.unwrap();
    assert_eq!(swapped, Ok(()));
    let refused = db.compare_and_swap("a", None, Some(b"5")).await.unwrap();
    assert_eq!(refused, Err(Some(b"4".to_vec())));
    let sum = db.transaction(async |tx| {
        let a = tx.get("a").await?.unwrap_or_default();
        let rest = tx.get_many(["b", "c"]).await?;
        tx.put("sum", [a[0], rest[0].as_ref().unwrap()[0]])?;
        Ok(rest.len())
    });
    assert_eq!(sum.await.unwrap(), 2);
    let mut keys = Vec::new();
    let mut entries = before.range("a".."c");
    while let Some(entry) = entries.next().await {
        keys.push(entry.unwrap().0);
    }
    assert_eq!(keys, [b"a".to_vec(), b"b".to_vec()]);
    typed_calls(db).await.unwrap();
    assert_eq!(db.status().await.unwrap().role, db.role());
    assert!(db.approximate_size(..).await.is_ok());
    assert!(db.property("leveldb.stats").await.unwrap().is_some());
    db.write(
        WriteBatch::new()
            .delete("a")
            .delete("b")
            .delete("c")
            .delete("sum"),
    )
    .await
    .unwrap();
}

/// Each is looked at for itself in the tests of the crate; here it is made in both roles.
async fn typed_calls(db: &AsyncDb) -> level_party::Result<()> {
    let counts = db.sublevel("counts")?.typed::<Utf8, BigEndian<u64>>();
    let words = db.sublevel("words")?.typed::<BigEndian<u64>, Utf8>();
    let mut both = WriteBatch::new();
    both.put_in(&counts, "one", &1).put_in(&words, &1, "one");
    db.write(&both).await?;
    counts.put("two", &2).await?;
    let before = db.snapshot().await?.of(&counts);
    let added = db.transaction(async |tx| {
        let counts = tx.of(&counts);
        let mut range = counts.iter();
        let mut sum = 0;
        while let Some(entry) = range.next().await {
            sum += entry?.1;
        }
        counts.put("sum", &sum)?;
        tx.of(&words).put(&sum, "sum")?;
        Ok(sum)
    });
    assert_eq!(added.await?, 3);
    assert_eq!(words.get(&3).await?.as_deref(), Some("sum"));
    assert_eq!(
        counts.compare_and_swap("two", Some(&2), None).await?,
        Ok(())
    );
    assert_eq!(before.get_many(["two", "sum"]).await?, [Some(2), None]);
    let keys: Vec<String> = counts.iter().keys().try_collect().await?;
    assert_eq!(keys, ["one", "sum"]);
    assert_eq!(counts.clear(..).await? + words.clear(1..).await?, 4);
    Ok(())
}

#[test]
fn what_takes_long_has_its_future_too_in_either_role() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let child = leader(&path);
    let db = block_on(AsyncDb::open(&path)).unwrap();
    assert_eq!(db.role(), Role::Follower);
    block_on(async {
        maintain(&db, &dir.path().join("by a follower")).await;
        let then = db.yield_leadership().await.unwrap();
        assert!(then.handed_over, "{then:?}");
        assert_eq!(db.status().await.unwrap().role, Role::Leader);
        maintain(&db, &dir.path().join("by a leader")).await;
    });
    assert!(child.close().success());
}

async fn maintain(db: &AsyncDb, copy: &Path) {
    let part = db.sublevel_with("part", '/').unwrap();
    part.put("in", "1").await.unwrap();
    db.put("out", "2").await.unwrap();
    part.compact_range(..).await.unwrap();
    let report = db.verify().await.unwrap();
    assert!(report.is_sound() && report.entries >= 2, "{report:?}");
    db.checkpoint(copy).await.unwrap();
    let copied = AsyncDb::open(copy).await.unwrap();
    assert_eq!(
        copied.get("/part/in").await.unwrap().as_deref(),
        Some(&b"1"[..])
    );
    let again = db.checkpoint(copy).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
}

#[test]
fn task_is_woken_by_events_and_by_the_close() {
    let dir = tempfile::tempdir().unwrap();
    let child = leader(dir.path());
    let leader_pid = child.pid();
    let db = block_on(AsyncDb::open(dir.path())).unwrap();
    let mut events = db.events().unwrap();
    block_on(async {
        let is_attached = |told: &Option<Event>| matches!(told, Some(Event::Attached { .. }));
        let mut next = Box::pin(events.next());
        let early = poll_once(&mut next).await;
        if let Some(told) = early {
            assert!(is_attached(&told), "{told:?}");
            drop(next);
            next = Box::pin(events.next());
            assert_eq!(poll_once(&mut next).await, None);
        }
        child.kill();
        let mut lost = next.await;
        if is_attached(&lost) {
            lost = events.next().await; // that it was attached had not been told yet
        }
        assert!(
            matches!(lost, Some(Event::LeaderLost { leader_pid: pid, .. }) if pid == leader_pid),
            "{lost:?}"
        );
        let elected = events.next().await;
        assert!(
            matches!(elected, Some(Event::Elected { .. })),
            "{elected:?}"
        );
        db.close().await.unwrap();
        let left = events.next().await;
        assert!(
            matches!(left, Some(Event::SteppedDown { failed: false, .. })),
            "{left:?}"
        );
        assert_eq!(events.next().await, None);
    });
}

/// What a runtime with threads asks for.
#[test]
fn every_future_may_be_sent_to_another_thread() {
    fn sendable<T: Send>(_: &T) {}
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap().to_async();
    sendable(&db.get("a"));
    sendable(&db.get_many(["a"]));
    sendable(&db.put("a", "1"));
    sendable(&db.write(WriteBatch::new().put("a", "1")));
    sendable(&db.compare_and_swap("a", None, None));
    sendable(&db.snapshot());
    sendable(&db.iter());
    sendable(&db.status());
    sendable(&db.close());
    sendable(&db.compact_range("a".."b"));
    sendable(&db.verify());
    sendable(&db.checkpoint("copy"));
    sendable(&db.yield_leadership());
    sendable(&db.events().unwrap().next());
    let typed = db.typed::<BigEndian<u8>, Json<String>>();
    let text = String::new();
    sendable(&typed.get(&1));
    sendable(&typed.get_many([&1]));
    sendable(&typed.put(&1, &text));
    sendable(&db.write(WriteBatch::new().put_in(&typed, &1, &text)));
    sendable(&typed.compare_and_swap(&1, Some(&text), None));
    sendable(&typed.clear(1..));
    sendable(&typed.iter().next());
    // `move`: of one that borrows the compiler can't show it yet.
    sendable(&db.transaction(async move |tx| {
        let typed = tx.of(&typed);
        typed.get(&1).await?;
        typed.range(1..).next().await.transpose()?;
        Ok(())
    }));
    sendable(&db.transaction(async |tx| {
        tx.get("a").await?;
        Ok(())
    }));
}

#[test]
fn stream_goes_on_over_a_dead_leader_and_a_dropped_step() {
    const ENTRIES: usize = 2000;
    let dir = tempfile::tempdir().unwrap();
    let child = leader(dir.path());
    let db = Db::open(dir.path()).unwrap().to_async();
    block_on(async {
        for chunk in (0..ENTRIES).collect::<Vec<_>>().chunks(100) {
            let mut batch = WriteBatch::new();
            for n in chunk {
                batch.put(format!("k{n:05}"), [b'v'; 50]);
            }
            db.write(&batch).await.unwrap();
        }
        let mut entries = db.range(Prefix("k"));
        let mut seen = 0;
        while seen < 40 {
            let (key, _) = entries.next().await.unwrap().unwrap();
            assert_eq!(key, format!("k{seen:05}").as_bytes());
            seen += 1;
        }
        child.kill();
        loop {
            // Each step is polled once and dropped, then made again.
            let once = futures_lite::future::poll_once(entries.next()).await;
            let entry = match once {
                Some(entry) => entry,
                None => StreamExt::next(&mut entries).await,
            };
            let Some(entry) = entry else { break };
            assert_eq!(entry.unwrap().0, format!("k{seen:05}").as_bytes());
            seen += 1;
        }
        assert_eq!(seen, ENTRIES);
    });
}

/// Puts of many tasks, each of its own key again and again, while leaders are killed: each acknowledged value is there,
/// and a key never goes back.
#[test]
fn puts_of_tasks_are_kept_and_in_order_while_leaders_are_killed() {
    const TASKS: u64 = 32;
    const KILLS: usize = 5;
    let dir = tempfile::tempdir().unwrap();
    let mut child = leader(dir.path());
    let options = Db::options().lead(Lead::Never);
    let db = options.open(dir.path()).unwrap().to_async();
    let acknowledged: Arc<Vec<AtomicU64>> =
        Arc::new((0..TASKS).map(|_| AtomicU64::new(0)).collect());
    let stop = Arc::new(AtomicU64::new(0));
    let executor = Executor::new(2);
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (db, acknowledged, stop) = (db.clone(), acknowledged.clone(), stop.clone());
            executor.spawn(async move {
                let mut n = 0;
                while stop.load(Ordering::SeqCst) == 0 {
                    n += 1;
                    let key = format!("task{task}");
                    db.put(&key, value(n)).await.expect("acknowledged");
                    let read = db.get(&key).await.expect("read");
                    assert_eq!(read, Some(value(n)), "its own write");
                    acknowledged[task as usize].store(n, Ordering::SeqCst);
                }
                n
            })
        })
        .collect();
    let all_go_on = || {
        let before: Vec<u64> = acknowledged
            .iter()
            .map(|n| n.load(Ordering::SeqCst))
            .collect();
        for (now, before) in acknowledged.iter().zip(before) {
            while now.load(Ordering::SeqCst) < before + 3 {
                std::thread::yield_now();
            }
        }
    };
    for _ in 0..KILLS {
        all_go_on();
        child.kill();
        child = leader(dir.path());
    }
    all_go_on();
    stop.store(1, Ordering::SeqCst);
    for (task, last) in tasks.into_iter().enumerate() {
        let last = block_on(last);
        let key = format!("task{task}");
        assert_eq!(block_on(db.get(&key)).unwrap(), Some(value(last)));
    }
    drop(child);
}

/// The writes of one handle take effect in the order of their first polls: whatever is there is a prefix.
#[test]
fn unawaited_puts_take_effect_in_order_over_a_takeover() {
    const PUTS: u64 = 600;
    let dir = tempfile::tempdir().unwrap();
    let child = leader(dir.path());
    let db = Db::open(dir.path()).unwrap().to_async();
    let puts: Vec<_> = (1..=PUTS)
        .map(|n| {
            let db = db.clone();
            Box::pin(async move { db.put("last", value(n)).await })
        })
        .collect();
    block_on(async {
        let mut all = executor::JoinAll::new(puts);
        // All are issued, and the leader dies before they are awaited.
        let issued = futures_lite::future::poll_once(&mut all).await;
        child.kill();
        let results = match issued {
            Some(results) => results,
            None => all.await,
        };
        for result in results {
            result.expect("acknowledged");
        }
        assert_eq!(db.get("last").await.unwrap(), Some(value(PUTS)));
    });
}

/// The leader's table of grants is empty again after tasks that took snapshots and scans were dropped at any point.
#[test]
fn dropped_futures_leave_no_pins_at_the_leader() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = leader(dir.path());
    let db = Db::open(dir.path()).unwrap().to_async();
    block_on(async {
        for n in 0..200 {
            db.put(format!("k{n}"), [1; 100]).await.unwrap();
        }
        for polls in 0..4 {
            for _ in 0..20 {
                let mut snapshot = Box::pin(db.snapshot());
                let mut range = db.iter();
                for _ in 0..polls {
                    if futures_lite::future::poll_once(&mut snapshot)
                        .await
                        .is_some()
                    {
                        break;
                    }
                    futures_lite::future::poll_once(range.next()).await;
                }
            }
        }
        while db.status().await.unwrap().leader.pins > 0 {
            futures_lite::future::yield_now().await;
        }
    });
    assert_eq!(
        child.ok(&json!({"op": "get", "key": "zbegun"}))["value"],
        "1"
    );
}

/// Tasks of the leader itself: what is queued for the driver and what threads do side by side is in order.
#[test]
fn tasks_and_threads_of_a_leader_write_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let tasks = db.to_async();
    block_on(async {
        for n in 0..200_u64 {
            let mut put = Box::pin(tasks.put("k", value(2 * n)));
            let issued = futures_lite::future::poll_once(&mut put).await;
            // The thread's write was issued after the task's.
            db.put("k", value(2 * n + 1)).unwrap();
            if issued.is_none() {
                put.await.unwrap();
            }
            assert_eq!(tasks.get("k").await.unwrap(), Some(value(2 * n + 1)));
        }
    });
}
