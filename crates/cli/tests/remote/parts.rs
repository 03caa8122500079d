//! What handles have beside plain reads and writes: sublevels, types, changes of one key, transactions, snapshots, watches, tasks.
//! The same on a directory and on a server; `other` is a second handle on the same database.

use std::time::Duration;

use futures_lite::future::{block_on, zip};
use level_party::{
    AsyncReadable, BigEndian, Db, ErrorKind, Json, Prefix, Readable, Utf8, Watch, WatchFrom,
    WatchItem, WriteBatch,
};

/// Runs every part.
pub fn run(db: &Db, other: &Db) {
    for (name, part) in PARTS {
        println!("{name}");
        let level = db.sublevel(name).expect("a name");
        part(&level, &other.sublevel(name).expect("a name"));
    }
}

type Level = level_party::Sublevel;

type Part = fn(&Level, &Level);

const PARTS: &[(&str, Part)] = &[
    ("sublevels", sublevels),
    ("types", types),
    ("one-key", one_key),
    ("transactions", transactions),
    ("phantoms", phantoms),
    ("conflicts", conflicts),
    ("snapshots", snapshots),
    ("watches", watches),
    ("watch-resumed", watch_resumed),
    ("tasks", tasks),
    ("sizes", sizes),
];

fn sublevels(level: &Level, other: &Level) {
    let users = level.sublevel("users").unwrap();
    let jobs = level.sublevel("jobs").unwrap();
    users.put("ada", "1815").unwrap();
    jobs.put("1", "new").unwrap();
    let mut batch = WriteBatch::new();
    batch.put_in(&users, "alan", "1912").delete_in(&jobs, "1");
    level.write(&batch).unwrap();
    assert_eq!(other.sublevels().unwrap(), ["users"]);
    let keys = other
        .sublevel("users")
        .unwrap()
        .iter()
        .keys()
        .collect::<level_party::Result<Vec<_>>>();
    assert_eq!(keys.unwrap(), [b"ada".to_vec(), b"alan".to_vec()]);
    assert_eq!(users.first(..).unwrap().unwrap().0, b"ada");
    assert_eq!(users.last(..).unwrap().unwrap().0, b"alan");
    assert_eq!(users.clear("al"..).unwrap(), 1);
    assert_eq!(other.sublevel("users").unwrap().iter().count(), 1);
}

fn types(level: &Level, other: &Level) {
    let counts = level.typed::<Utf8, BigEndian<u64>>();
    for n in 0..300 {
        counts.put(&format!("{n:03}"), &n).unwrap();
    }
    let theirs = other.typed::<Utf8, BigEndian<u64>>();
    let sum: u64 = theirs
        .range("100".."200")
        .values()
        .map(Result::unwrap)
        .sum();
    assert_eq!(sum, (100..200_u64).sum::<u64>());
    let last = theirs
        .range("100"..)
        .limit(2)
        .rev()
        .collect::<level_party::Result<Vec<_>>>()
        .unwrap();
    assert_eq!(last, [("299".into(), 299), ("298".into(), 298)]);
    let json = level
        .sublevel("j")
        .unwrap()
        .typed::<BigEndian<i32>, Json<Vec<String>>>();
    json.put(&-1, &vec!["x".into()]).unwrap();
    json.put(&1, &Vec::new()).unwrap();
    let keys: Vec<i32> = json.iter().keys().map(Result::unwrap).collect();
    assert_eq!(keys, [-1, 1]);
}

fn one_key(level: &Level, other: &Level) {
    let count =
        |held: Option<&[u8]>| held.map_or(0, |held| u32::from_be_bytes(held.try_into().unwrap()));
    std::thread::scope(|threads| {
        for handle in [level, other, level, other] {
            threads.spawn(move || {
                for _ in 0..25 {
                    handle
                        .update("n", |held| Some((count(held) + 1).to_be_bytes()))
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(count(level.get("n").unwrap().as_deref()), 100);
    assert_eq!(level.replace("r", "1").unwrap(), None);
    assert_eq!(other.replace("r", "2").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(level.take("r").unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(level.take("r").unwrap(), None);
    assert_eq!(
        level.compare_and_swap("c", None, Some(b"me")).unwrap(),
        Ok(())
    );
    let held = other
        .compare_and_swap("c", None, Some(b"you"))
        .unwrap()
        .unwrap_err();
    assert_eq!(held.as_deref(), Some(&b"me"[..]));
}

fn transactions(level: &Level, other: &Level) {
    for n in 0..4 {
        level.put(format!("account/{n}"), "100").unwrap();
    }
    let move_one = |handle: &Level, from: u32, to: u32| {
        handle
            .transaction(|tx| {
                let balance = |n: u32| -> level_party::Result<i64> {
                    let held = tx.get(format!("account/{n}"))?.unwrap();
                    Ok(String::from_utf8(held).unwrap().parse().unwrap())
                };
                let (a, b) = (balance(from)?, balance(to)?);
                tx.put(format!("account/{from}"), (a - 1).to_string())?;
                tx.put(format!("account/{to}"), (b + 1).to_string())
            })
            .unwrap();
    };
    let total = |handle: &Level| -> i64 {
        let values = handle.range(Prefix("account/")).values();
        values
            .map(|value| {
                String::from_utf8(value.unwrap())
                    .unwrap()
                    .parse::<i64>()
                    .unwrap()
            })
            .sum()
    };
    std::thread::scope(|threads| {
        for (thread, handle) in [(0, level), (1, other), (2, level)] {
            threads.spawn(move || {
                for n in 0..20 {
                    move_one(handle, (thread + n) % 4, (thread + n + 1) % 4);
                    assert_eq!(total(handle), 400);
                }
            });
        }
    });
    let refused = level.try_transaction(|tx| {
        tx.put("account/0", "0")?;
        Err::<(), _>(Box::<dyn std::error::Error>::from("no"))
    });
    assert_eq!(refused.unwrap_err().to_string(), "no");
    assert_eq!(total(other), 400);
}

/// At most three seats, however many book at once.
fn phantoms(level: &Level, other: &Level) {
    std::thread::scope(|threads| {
        for (thread, handle) in [level, other, level, other].into_iter().enumerate() {
            threads.spawn(move || {
                for n in 0..5 {
                    let booked = handle.transaction(|tx| {
                        if tx.range(Prefix("seat/")).count() >= 3 {
                            return Ok(false);
                        }
                        tx.put(format!("seat/{thread}-{n}"), "")?;
                        Ok(true)
                    });
                    booked.unwrap();
                }
            });
        }
    });
    assert_eq!(level.range(Prefix("seat/")).count(), 3);
}

fn conflicts(level: &Level, other: &Level) {
    level.put("a", "1").unwrap();
    let mut runs = 0;
    level
        .transaction(|tx| {
            runs += 1;
            tx.get("a")?;
            if runs == 1 {
                // The same value: it is another entry nevertheless.
                other.put("a", "1")?;
            }
            tx.put("b", runs.to_string())
        })
        .unwrap();
    assert_eq!(
        (runs, other.get("b").unwrap().as_deref()),
        (2, Some(&b"2"[..]))
    );
    let mut runs = 0;
    level
        .transaction(|tx| {
            runs += 1;
            // Read up to its first entry, and not behind it.
            tx.range("a"..).next().transpose()?;
            other.put(format!("z{runs}"), "")?;
            tx.put("c", "")
        })
        .unwrap();
    assert_eq!(runs, 1, "nothing was put where it had read");
}

fn snapshots(level: &Level, other: &Level) {
    let key = |n: u32| format!("{n:05}");
    // Batches of a size that every server takes.
    for part in (0..3000).collect::<Vec<u32>>().chunks(100) {
        let mut batch = WriteBatch::new();
        for n in part {
            batch.put(key(*n), "before");
        }
        level.write(&batch).unwrap();
    }
    let before = level.snapshot().unwrap();
    for n in (0..3000).step_by(3) {
        let mut batch = WriteBatch::new();
        batch
            .put(key(n), "after")
            .delete(key(n + 1))
            .put(format!("{}+", key(n)), "new");
        batch.put(key(n), "after again");
        other.write(&batch).unwrap();
    }
    let entries: Vec<_> = before.iter().map(Result::unwrap).collect();
    assert_eq!(entries.len(), 3000);
    assert!(entries.iter().all(|(_, value)| value == b"before"));
    let back: Vec<_> = before.iter().rev().map(|entry| entry.unwrap().0).collect();
    assert!(back.iter().eq(entries.iter().rev().map(|(key, _)| key)));
    let many = before.get_many([key(0), key(1), "00000+".into()]).unwrap();
    assert_eq!(
        many,
        [Some(b"before".to_vec()), Some(b"before".to_vec()), None]
    );
    assert!(before.contains(key(1)).unwrap() && !level.contains(key(1)).unwrap());
    assert_eq!(before.range(key(1500)..).limit(3).count(), 3);
    let mut range = before.iter();
    range.seek(key(2000));
    assert_eq!(range.next().unwrap().unwrap().0, key(2000).into_bytes());
    assert_eq!(level.iter().count(), 3000);
}

fn next(watch: &mut Watch) -> level_party::Change {
    match watch.next_timeout(Duration::from_secs(60)).unwrap() {
        Some(WatchItem::Change(change)) => change,
        other => panic!("no change: {other:?}"),
    }
}

fn watches(level: &Level, other: &Level) {
    let mut watch = level.watch("k".."l", WatchFrom::Now).unwrap();
    assert_eq!(watch.try_next().unwrap(), None);
    other.put("a", "outside").unwrap();
    let mut batch = WriteBatch::new();
    batch
        .put("k1", "1")
        .put("k2", "2")
        .delete("k1")
        .put("k1", "3");
    other.write(&batch).unwrap();
    let made: [(&[u8], Option<&[u8]>); 4] = [
        (b"k1", Some(b"1")),
        (b"k2", Some(b"2")),
        (b"k1", None),
        (b"k1", Some(b"3")),
    ];
    let mut changes = Vec::new();
    loop {
        let change = next(&mut watch);
        let is_last = change.value.as_deref() == Some(b"3");
        changes.push(change);
        if is_last {
            break;
        }
    }
    let told: Vec<_> = changes
        .iter()
        .map(|change| (change.key.as_slice(), change.value.as_deref()))
        .collect();
    // Of one key twice in a batch etcd makes, and tells, the last operation alone.
    let all = told == made;
    assert!(all || told == [made[1], made[3]], "{told:?}");
    assert!(
        changes
            .windows(2)
            .all(|pair| pair[0].sequence < pair[1].sequence)
    );
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for n in 0..200 {
                other.put(format!("k{n}"), n.to_string()).unwrap();
            }
        });
        for n in 0..200 {
            let change = next(&mut watch);
            assert_eq!(change.value, Some(n.to_string().into_bytes()));
        }
    });
    let closer = watch.closer();
    std::thread::scope(|threads| {
        threads.spawn(move || closer.close());
        assert_eq!(watch.next().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    });
}

fn watch_resumed(level: &Level, other: &Level) {
    let mut watch = level.watch(.., WatchFrom::Now).unwrap();
    for n in 0..10 {
        other.put(format!("{n}"), "").unwrap();
    }
    for n in 0..4 {
        assert_eq!(next(&mut watch).key, format!("{n}").into_bytes());
    }
    let kept = watch.position().to_string();
    drop(watch);
    let mut watch = other
        .watch(.., kept.parse::<level_party::Position>().unwrap())
        .unwrap();
    for n in 4..10 {
        assert_eq!(next(&mut watch).key, format!("{n}").into_bytes());
    }
    // A position that no history has reached yet.
    let far = level_party::Position::from(u64::MAX >> 2);
    let mut watch = level.watch(.., far).unwrap();
    let gap = watch.next_timeout(Duration::from_secs(60)).unwrap();
    assert!(matches!(gap, Some(WatchItem::Gap { .. })), "{gap:?}");
}

fn tasks(level: &Level, _other: &Level) {
    let db = level.to_async();
    block_on(async {
        let (a, b) = zip(db.put("a", "1"), db.put("b", "2")).await;
        a.unwrap();
        b.unwrap();
        let (a, many) = zip(db.get("a"), db.get_many(["b", "c"])).await;
        assert_eq!(a.unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(many.unwrap(), [Some(b"2".to_vec()), None]);
        let mut puts: Vec<_> = (0..300)
            .map(|n| Box::pin(db.put(format!("n{n:03}"), "x")))
            .collect();
        let mut open = puts.len();
        // All are begun before the first is done.
        std::future::poll_fn(|context| {
            puts.retain_mut(|put| put.as_mut().poll(context).is_pending());
            open = puts.len();
            if open == 0 {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
        let before = db.snapshot().await.unwrap();
        db.delete("a").await.unwrap();
        let mut range = before.range("a"..);
        let mut seen = 0;
        while let Some(entry) = range.next().await {
            entry.unwrap();
            seen += 1;
        }
        assert_eq!(seen, 302);
        let mut watch = db.watch(.., WatchFrom::Now).await.unwrap();
        let text = db.update("n", |_| Some("u")).await.unwrap();
        assert_eq!(text.as_deref(), Some(&b"u"[..]));
        let item = watch.next().await.unwrap().unwrap();
        assert!(matches!(item, WatchItem::Change(change) if change.key == b"n"));
    });
}

fn sizes(level: &Level, _other: &Level) {
    level.put("a", "x".repeat(100_000)).unwrap();
    // In a directory it is in memory still, and not counted.
    level.approximate_size(..).unwrap();
    assert_eq!(level.approximate_size("b".."c").unwrap(), 0);
}
