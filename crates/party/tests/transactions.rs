//! Transactions, compare-and-swap and reads of many keys, by threads of one process. The same over several processes
//! and deaths is in the program's own tests.

use level_party::{Db, Error, ErrorKind, Prefix, Readable, Result, WriteBatch};

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
                    let add = |tx: &level_party::Transaction| {
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
    db.write(WriteBatch::new().put("a", "1").put("b", "1"))
        .unwrap();
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
        Ok(())
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
        .try_transaction(|tx| {
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
    let add = |tx: &level_party::Transaction| -> Result<()> {
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
    let swap = |expected, new| db.compare_and_swap("k", expected, new).unwrap();
    assert_eq!(swap(Some(b"1"), Some(b"2")), Err(None));
    assert_eq!(swap(None, Some(b"")), Ok(()));
    assert_eq!(
        swap(None, Some(b"1")),
        Err(Some(vec![])),
        "empty is a value"
    );
    assert_eq!(swap(Some(b""), Some(b"1")), Ok(()));
    assert_eq!(swap(Some(b"1"), None), Ok(()));
    assert_eq!(db.get("k").unwrap(), None);
}

#[test]
fn many_keys_and_large_values_come_in_order_and_of_one_moment() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    // More than one answer holds, and more keys than one request does.
    let keys: Vec<String> = (0..70_000).map(|n| format!("key{n:06}")).collect();
    for some in keys.chunks(10_000) {
        let mut batch = WriteBatch::new();
        for key in some {
            batch.put(key, format!("{key}{}", "x".repeat(20)));
        }
        db.write(&batch).unwrap();
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
fn handle_that_rejects_writes_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let viewer = || Db::options().reject_writes(true);
    let missing = viewer().open(dir.path()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let db = Db::open(dir.path()).unwrap();
    db.put("a", "1").unwrap();
    let reader = viewer().open(dir.path()).unwrap();
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
        let taken = tx.range(Prefix("seat/")).count();
        // Both are here at once: neither has seen the other's.
        std::thread::yield_now();
        if taken < limit {
            tx.put(format!("seat/{who}"), who)?;
        }
        Ok(taken < limit)
    })
}

#[test]
fn transactions_that_count_and_add_keep_the_limit() {
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
    assert_eq!(db.range(Prefix("seat/")).count(), LIMIT);
}

/// What another writer does after the first run has read, and whether that is a conflict.
fn runs_beside(
    read: impl Fn(&level_party::Transaction),
    beside: impl Fn(&Db) -> Result<()>,
) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.write(WriteBatch::new().put("b", "").put("d", "").put("f", ""))
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
fn new_key_in_a_range_that_was_read_conflicts() {
    let whole = |tx: &level_party::Transaction| assert!(tx.range("b".."g").count() > 0);
    for (key, conflicts) in [("a", false), ("c", true), ("f1", true), ("g", false)] {
        let runs = runs_beside(whole, |db| db.put(key, "new").map(drop));
        assert_eq!(runs == 2, conflicts, "all read, {key}");
    }
    let first_two = |tx: &level_party::Transaction| {
        assert_eq!(tx.iter().take(2).count(), 2);
    };
    for (key, conflicts) in [("a", true), ("c", true), ("d1", false), ("g", false)] {
        let runs = runs_beside(first_two, |db| db.put(key, "new").map(drop));
        assert_eq!(runs == 2, conflicts, "two read, {key}");
    }
    let last = |tx: &level_party::Transaction| {
        assert!(tx.iter().next_back().is_some());
    };
    for (key, conflicts) in [("a", false), ("e", false), ("g", true)] {
        let runs = runs_beside(last, |db| db.put(key, "new").map(drop));
        assert_eq!(runs == 2, conflicts, "the last read, {key}");
    }
    let none = |tx: &level_party::Transaction| {
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

#[test]
fn ended_transaction_refuses_every_call() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let view = db.sublevel("view").unwrap();
    let mut kept = None;
    db.transaction(|tx| {
        tx.put("a", "1")?;
        kept = Some((tx.of(&view), tx.iter()));
        Ok(())
    })
    .unwrap();
    let (tx, mut range) = kept.unwrap();
    let errors = [
        tx.get("a").unwrap_err(),
        tx.put("b", "2").unwrap_err(),
        range.next().unwrap().unwrap_err(),
    ];
    assert!(errors.iter().all(|e| e.kind() == ErrorKind::Closed));
    assert_eq!(db.iter().count(), 1);
}

#[test]
fn two_typed_views_share_one_transaction() {
    use level_party::{BigEndian, Utf8};
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let by_name = db.sublevel("name").unwrap().typed::<Utf8, BigEndian<u32>>();
    let by_number = db.sublevel("number").unwrap();
    let by_number = by_number.typed::<BigEndian<u32>, Utf8>();
    let added = db.transaction(|tx| {
        let (by_name, by_number) = (tx.of(&by_name), tx.of(&by_number));
        by_name.put("seven", &7)?;
        for entry in by_name.iter() {
            let (name, number) = entry?;
            by_number.put(&number, &name)?;
        }
        by_number.get(&7)
    });
    assert_eq!(added.unwrap().as_deref(), Some("seven"));
    assert_eq!(by_number.first(1..).unwrap(), Some((7, "seven".into())));
}

/// A range in a transaction against a model: what is stored, overlaid by what was written until the step.
#[test]
fn transactions_ranges_match_the_model() {
    use std::collections::BTreeMap;
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let key = |n: u64| format!("k{n:02}").into_bytes();
    let mut batch = level_party::WriteBatch::new();
    for n in (0..60).step_by(2) {
        // Several chunks.
        batch.put(key(n), vec![b's'; 500]);
    }
    db.write(&batch).unwrap();
    for seed in 0..300 {
        let mut state = seed;
        let mut dice = |sides: u64| {
            state = u64::wrapping_add(state, 1_442_695_040_888_963_407)
                .wrapping_mul(6_364_136_223_846_793_005);
            (state >> 33) % sides
        };
        db.transaction(|tx| {
            let mut model: BTreeMap<u64, bool> = (0..60).step_by(2).map(|n| (n, true)).collect();
            let mut range = tx.range(key(4)..key(56));
            // What neither end has given.
            let (mut low, mut high, mut ended) = (4, 56, false);
            for step in 0..60 {
                match dice(8) {
                    0 => {
                        let n = dice(60);
                        tx.put(key(n), "own")?;
                        model.insert(n, true);
                    }
                    1 => {
                        let n = dice(60);
                        tx.delete(key(n))?;
                        model.insert(n, false);
                    }
                    2 if dice(3) == 0 => {
                        let n = dice(60);
                        range.seek(key(n));
                        (low, ended) = (n.max(4), false);
                    }
                    3 if dice(3) == 0 => {
                        let n = dice(60);
                        range.seek_back(key(n));
                        (high, ended) = ((n + 1).min(56), false);
                    }
                    n => {
                        let mut left = model
                            .range(low.min(high)..high)
                            .filter(|(_, there)| **there);
                        let expected = match n % 2 {
                            0 => left.next(),
                            _ => left.next_back(),
                        };
                        let expected = expected.map(|(n, _)| *n).filter(|_| !ended);
                        ended = expected.is_none();
                        match (n % 2, expected) {
                            (0, Some(n)) => low = n + 1,
                            (_, Some(n)) => high = n,
                            (_, None) => {}
                        }
                        let given = match n % 2 {
                            0 => range.next(),
                            _ => range.next_back(),
                        };
                        let given = given.transpose()?.map(|(key, _)| key);
                        assert_eq!(given, expected.map(key), "seed {seed}, step {step}");
                    }
                }
            }
            // Nothing is to change: each seed begins with the same entries.
            for (n, _) in model.iter().filter(|(n, _)| *n % 2 == 1) {
                tx.delete(key(*n))?;
            }
            for n in (0..60).step_by(2) {
                tx.put(key(n), vec![b's'; 500])?;
            }
            Ok(())
        })
        .unwrap();
    }
}
