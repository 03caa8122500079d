//! Transactions, compare-and-swap and reads of many keys, by threads of one process. The same over several processes
//! and deaths is in the program's own tests.

use level_party::{Db, Error, ErrorKind, Result};

fn number(bytes: Option<Vec<u8>>) -> u64 {
    bytes.map_or(0, |b| {
        u64::from_be_bytes(b.try_into().expect("eight bytes"))
    })
}

#[test]
fn increments_of_many_threads_are_exact() {
    const THREADS: u64 = 4;
    const EACH: u64 = 100;
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    std::thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| {
                for _ in 0..EACH {
                    let add = |tx: &mut level_party::Transaction| {
                        let before = number(tx.get("n")?);
                        tx.put("n", (before + 1).to_be_bytes())
                    };
                    db.transaction(add).unwrap();
                }
            });
        }
    });
    assert_eq!(number(db.get("n").unwrap()), THREADS * EACH);
}

#[test]
fn a_transaction_sees_its_own_writes_and_one_moment_of_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.batch().put("a", "1").put("b", "1").write().unwrap();
    let mut runs = 0;
    db.transaction(|tx| {
        runs += 1;
        assert_eq!(tx.get("a")?.as_deref(), Some(&b"1"[..]));
        if runs == 1 {
            db.put("c", "elsewhere")?;
        }
        assert_eq!(
            tx.get("c")?.is_some(),
            runs > 1,
            "the moment is that of the begin"
        );
        tx.put("a", "2")?;
        tx.delete("b")?;
        assert_eq!(
            tx.get_many(["a", "b"])?,
            [Some(b"2".to_vec()), None],
            "its own writes"
        );
        assert_eq!(
            db.get("a")?.as_deref(),
            Some(&b"1"[..]),
            "nobody else sees them"
        );
        Ok::<_, Error>(())
    })
    .unwrap();
    assert_eq!(runs, 2, "the absence of c was read, and c came");
    assert_eq!(db.get("a").unwrap().as_deref(), Some(&b"2"[..]));
    assert!(!db.contains("b").unwrap());
}

#[test]
fn a_body_that_fails_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let refused: std::result::Result<(), String> = db
        .transaction(|tx| {
            tx.put("a", "1").map_err(Refusal::from)?;
            Err(Refusal("no".into()))
        })
        .map_err(|refusal: Refusal| refusal.0);
    assert_eq!(refused, Err("no".into()));
    assert_eq!(db.get("a").unwrap(), None);
}

struct Refusal(String);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal(error.to_string())
    }
}

#[test]
fn a_key_written_meanwhile_with_the_same_value_is_a_change() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.put("a", "1").unwrap();
    let mut runs = 0;
    let add = |tx: &mut level_party::Transaction| -> Result<()> {
        runs += 1;
        tx.get("a")?;
        if runs == 1 {
            db.put("a", "1")?;
        }
        tx.put("b", "1")
    };
    db.transaction(add).unwrap();
    assert_eq!(runs, 2);
}

#[test]
fn compare_and_swap_compares_values() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    assert!(!db.compare_and_swap("k", Some(b"1"), Some(b"2")).unwrap());
    assert!(db.compare_and_swap("k", None, Some(b"")).unwrap());
    assert!(
        !db.compare_and_swap("k", None, Some(b"1")).unwrap(),
        "an empty value is one"
    );
    assert!(db.compare_and_swap("k", Some(b""), Some(b"1")).unwrap());
    assert!(db.compare_and_swap("k", Some(b"1"), None).unwrap());
    assert_eq!(db.get("k").unwrap(), None);
}

#[test]
fn many_keys_and_large_values_come_in_order_and_of_one_moment() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    // More than one answer holds, and more keys than one request does.
    let keys: Vec<String> = (0..70_000).map(|n| format!("key{n:06}")).collect();
    for some in keys.chunks(10_000) {
        let batch = some.iter().fold(db.batch(), |batch, key| {
            batch.put(key, format!("{key}{}", "x".repeat(20)))
        });
        batch.write().unwrap();
    }
    let asked = keys.iter().map(String::as_str).chain(["none", "key000001"]);
    let values = db.get_many(asked).unwrap();
    assert_eq!(values.len(), keys.len() + 2);
    for (key, value) in keys.iter().zip(&values) {
        assert!(value.as_ref().unwrap().starts_with(key.as_bytes()), "{key}");
    }
    assert_eq!(values[keys.len()], None);
    assert_eq!(values[keys.len() + 1], values[1]);
    assert_eq!(db.status().unwrap().leader.pins, 0, "no moment is held on");
}

#[test]
fn a_read_only_handle_refuses_to_write_and_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let read_only = || Db::options().read_only(true);
    let missing = read_only().open(dir.path()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let db = Db::open(dir.path()).unwrap();
    db.put("a", "1").unwrap();
    let reader = read_only().open(dir.path()).unwrap();
    assert_eq!(reader.get("a").unwrap().as_deref(), Some(&b"1"[..]));
    let refusals = [
        reader.put("a", "2").unwrap_err(),
        reader.compare_and_swap("a", None, None).unwrap_err(),
        reader.transaction(|tx| tx.put("a", "2")).unwrap_err(),
    ];
    assert!(refusals.iter().all(|e| e.kind() == ErrorKind::ReadOnly));
    assert_eq!(db.get("a").unwrap().as_deref(), Some(&b"1"[..]));
}

#[test]
fn a_transaction_that_always_conflicts_ends_at_its_one_deadline() {
    let dir = tempfile::tempdir().unwrap();
    // Time enough for two attempts on a busy machine.
    let limit = std::time::Duration::from_secs(2);
    let db = Db::options().timeout(limit).open(dir.path()).unwrap();
    let mut runs = 0;
    let conflict = db
        .transaction(|tx| {
            runs += 1;
            tx.get("a")?;
            // Behind the transaction's back, each time.
            db.put("a", runs.to_string())?;
            tx.put("b", "never")
        })
        .unwrap_err();
    // The last attempt may find the deadline behind it already when it begins or commits.
    let kinds = [ErrorKind::Conflict, ErrorKind::Timeout];
    assert!(kinds.contains(&conflict.kind()), "{conflict}");
    assert!(runs > 1);
    assert_eq!(db.get("b").unwrap(), None);
}

/// Write skew over a range: each counts the entries and adds one of its own while there are fewer than a limit.
fn book(db: &Db, who: &str, limit: usize) -> Result<bool> {
    db.transaction(|tx| {
        let taken = tx.prefix("seat/").count();
        // Both are here at once: neither has seen the other's.
        std::thread::yield_now();
        if taken < limit {
            tx.put(format!("seat/{who}"), who)?;
        }
        Ok(taken < limit)
    })
}

#[test]
fn of_many_who_count_a_range_and_add_to_it_none_goes_over_the_limit() {
    const LIMIT: usize = 30;
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let booked: usize = std::thread::scope(|threads| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let db = &db;
                let booked = move |n: &i32| book(db, &format!("{thread}.{n}"), LIMIT).unwrap();
                threads.spawn(move || (0..20).filter(booked).count())
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(booked, LIMIT);
    assert_eq!(db.prefix("seat/").count(), LIMIT);
}

/// What another writer does after the first run has read, and whether that is a conflict.
fn runs_beside(
    read: impl Fn(&mut level_party::Transaction<'_>),
    beside: impl Fn(&Db) -> Result<()>,
) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.batch()
        .put("b", "")
        .put("d", "")
        .put("f", "")
        .write()
        .unwrap();
    let mut runs = 0;
    db.transaction(|tx| {
        runs += 1;
        read(tx);
        if runs == 1 {
            beside(&db)?;
        }
        tx.put("z", "")
    })
    .unwrap();
    runs
}

#[test]
fn a_key_that_comes_new_where_a_range_was_read_conflicts_and_elsewhere_does_not() {
    let whole = |tx: &mut level_party::Transaction<'_>| assert!(tx.range("b".."g").count() > 0);
    for (key, conflicts) in [("a", false), ("c", true), ("f1", true), ("g", false)] {
        let runs = runs_beside(whole, |db| db.put(key, "new").map(drop));
        assert_eq!(runs == 2, conflicts, "all read, {key}");
    }
    let first_two = |tx: &mut level_party::Transaction<'_>| {
        assert_eq!(tx.iter().take(2).count(), 2);
    };
    for (key, conflicts) in [("a", true), ("c", true), ("d1", false), ("g", false)] {
        let runs = runs_beside(first_two, |db| db.put(key, "new").map(drop));
        assert_eq!(runs == 2, conflicts, "two read, {key}");
    }
    let last = |tx: &mut level_party::Transaction<'_>| {
        assert!(tx.iter().next_back().is_some());
    };
    for (key, conflicts) in [("a", false), ("e", false), ("g", true)] {
        let runs = runs_beside(last, |db| db.put(key, "new").map(drop));
        assert_eq!(runs == 2, conflicts, "the last read, {key}");
    }
    let none = |tx: &mut level_party::Transaction<'_>| {
        tx.range("x".."y").for_each(drop);
    };
    for (key, conflicts) in [("x", true), ("x1", true), ("y", false)] {
        let runs = runs_beside(none, |db| db.put(key, "new").map(drop));
        assert_eq!(runs == 2, conflicts, "an empty range, {key}");
        // Put and removed again: nothing is there that was not.
        let again = |db: &Db| db.put(key, "new").and_then(|()| db.delete(key));
        assert_eq!(runs_beside(none, again), 1, "{key}");
    }
    assert_eq!(runs_beside(whole, |db| db.delete("d").map(drop)), 2);
}
