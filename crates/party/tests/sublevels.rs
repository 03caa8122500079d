//! Sublevels and clears through one handle. The same beside Node's is in the testkit's tests.

use level_party::{Db, ErrorKind, Prefix, Readable, Result, WriteBatch};

fn keys(range: level_party::Range) -> Vec<String> {
    let text = |key: Result<Vec<u8>>| String::from_utf8(key.unwrap()).unwrap();
    range.keys().map(text).collect()
}

#[test]
fn every_call_of_a_sublevel_stays_within_it() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let a = db.sublevel("a").unwrap();
    let inner = a.sublevel("b").unwrap();
    let neighbours = ["!`!k", "!a", "!a\"", "!a#!k", "!aa!k", "!b!k", "k"];
    for key in neighbours {
        db.put(key, "neighbour").unwrap();
    }
    a.put("", "empty key").unwrap();
    a.write(WriteBatch::new().put("k", "1").put("l", "2").delete("none"))
        .unwrap();
    inner.put("k", "inner").unwrap();
    let mut batch = WriteBatch::new();
    batch.put(b"m", b"3");
    batch.delete(b"l");
    a.write(batch.sync(true)).unwrap();

    assert_eq!(a.get("").unwrap().as_deref(), Some(&b"empty key"[..]));
    assert_eq!(db.get("!a!m").unwrap().as_deref(), Some(&b"3"[..]));
    assert_eq!(db.get("!a!!b!k").unwrap().as_deref(), Some(&b"inner"[..]));
    assert!(!a.contains("l").unwrap() && inner.contains("k").unwrap());
    assert_eq!(
        a.get_many(["m", "l", ""]).unwrap(),
        [Some(b"3".to_vec()), None, Some(b"empty key".to_vec())]
    );
    assert_eq!(keys(a.iter()), ["", "!b!k", "k", "m"]);
    assert_eq!(keys(a.range("k"..)), ["k", "m"]);
    assert_eq!(keys(a.range(..="k")), ["", "!b!k", "k"]);
    assert_eq!(keys(a.range(.."")), [] as [&str; 0]);
    assert_eq!(keys(a.range(Prefix("!"))), ["!b!k"]);
    assert_eq!(keys(a.range(Prefix(b"\xff"))), [] as [&str; 0]);
    assert_eq!(keys(inner.iter()), ["k"]);
    let mut range = a.iter();
    range.seek("j");
    assert_eq!(range.next().unwrap().unwrap().0, b"k");
    assert_eq!(
        a.compare_and_swap("k", Some(b"1"), Some(b"2")).unwrap(),
        Ok(())
    );

    let before = a.snapshot().unwrap();
    assert_eq!(inner.clear(..).unwrap(), 1);
    assert_eq!(a.clear("l"..).unwrap(), 1);
    assert_eq!(keys(a.iter()), ["", "k"]);
    assert_eq!(a.clear(..).unwrap(), 2);
    assert_eq!(keys(before.iter()), ["", "!b!k", "k", "m"]);
    assert_eq!(keys(before.sublevel("b").unwrap().iter()), ["k"]);
    assert_eq!(keys(before.of(&inner).range("a"..)), ["k"]);
    assert_eq!(keys(db.iter()), neighbours, "the neighbours are whole");
}

#[test]
fn a_batch_and_a_transaction_reach_several_sublevels() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let (a, b) = (db.sublevel("a").unwrap(), db.sublevel("b").unwrap());
    a.write(WriteBatch::new().put("k", "1").put_in(&b, "k", "2"))
        .unwrap();
    a.transaction(|tx| {
        let (one, two) = (tx.get("k")?, tx.of(&b).get("k")?);
        tx.put("k", two.unwrap_or_default())?;
        tx.of(&b).put("k", one.unwrap_or_default())?;
        assert_eq!(tx.of(&b).iter().count(), 1);
        Ok(())
    })
    .unwrap();
    assert_eq!(a.get("k").unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(b.get("k").unwrap().as_deref(), Some(&b"1"[..]));
    db.write(WriteBatch::new().delete_in(&a, "k").delete_in(&b, "k"))
        .unwrap();
    assert_eq!(db.iter().count(), 0);
}

#[test]
fn a_name_that_would_overlap_others_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    for name in ["a!b", "a b", "é", "\0"] {
        assert_eq!(
            db.sublevel(name).unwrap_err().kind(),
            ErrorKind::InvalidArgument,
            "{name:?}"
        );
    }
    let other = db.sublevel_with("c", '/').unwrap();
    assert_eq!(other.prefix_bytes(), b"/c/");
    assert!(db.sublevel_with("c", 'é').is_err());
    assert!(db.snapshot().unwrap().sublevel("a!b").is_err());
}

#[test]
fn a_clear_of_more_than_one_batch_removes_all() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    // 20 keys of 1 MiB: their deletes are more than 16 MiB.
    for n in 0..20 {
        db.put(vec![n; 1 << 20], "").unwrap();
    }
    assert_eq!(db.clear(..).unwrap(), 20);
    assert_eq!(db.iter().count(), 0);
    let reader = Db::options().reject_writes(true).open(dir.path()).unwrap();
    assert_eq!(reader.clear(..).unwrap_err().kind(), ErrorKind::ReadOnly);
}

#[test]
fn a_limited_or_finished_range_holds_no_moment() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    for n in 0..100 {
        db.put(format!("{n:02}"), "x").unwrap();
    }
    let pins = || db.status().unwrap().leader.pins;
    let mut limited = db.iter().limit(2);
    assert_eq!(limited.size_hint(), (0, Some(2)));
    limited.next().unwrap().unwrap();
    assert_eq!(pins(), 1, "more could be sought at its moment");
    limited.next().unwrap().unwrap();
    assert_eq!(pins(), 0, "its limit is reached");
    assert!(limited.next().is_none());
    assert!(limited.limit(5).next().is_none(), "its moment is gone");
    let mut sought = db.range("98"..);
    sought.seek("99");
    assert_eq!(sought.next().unwrap().unwrap().0, b"99");
    db.delete("98").unwrap();
    sought.seek("0");
    assert_eq!(sought.next().unwrap().unwrap().0, b"98", "at its moment");
    drop(sought);
    assert_eq!(pins(), 0);
}

/// Written by npm's abstract-level 3.1.1 over classic-level 3.0.0 (`ci/peers/make-fixtures`).
#[test]
fn what_node_wrote_in_sublevels_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/abstract-level-3"
    );
    for file in std::fs::read_dir(fixture).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    let db = Db::open(dir.path()).unwrap();
    let value = |level: &level_party::Sublevel, key: &[u8]| level.get(key).unwrap();
    let a = db.sublevel("a").unwrap();
    assert_eq!(db.get("k").unwrap(), Some(vec![1]));
    assert_eq!(value(&a, b""), Some(vec![2]));
    assert_eq!(value(&a, b"k"), Some(vec![3]));
    assert_eq!(value(&a.sublevel("b").unwrap(), b"k\xff"), Some(vec![4]));
    assert_eq!(db.sublevel("aa").unwrap().iter().count(), 0);
    assert_eq!(value(&db.sublevel("").unwrap(), b"k"), Some(vec![6]));
    assert_eq!(value(&db.sublevel("a#").unwrap(), b"k"), Some(vec![]));
    assert_eq!(a.iter().count(), 3);
    let users = db.sublevel("users").unwrap();
    assert_eq!(keys(users.iter()), ["ada", "é"]);
    assert_eq!(
        users.get("ada").unwrap().unwrap(),
        br#"{"name":"Ada Lovelace","born":1815}"#
    );
    assert_eq!(a.clear(..).unwrap(), 3);
    assert_eq!(db.iter().count(), 5);
}

#[test]
fn watch_of_a_sublevel_shows_its_keys_alone() {
    use level_party::{WatchFrom, WatchItem};
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let users = db.sublevel("users").unwrap();
    let mut all = users.watch(.., WatchFrom::Now).unwrap();
    let mut some = users.watch("b".., WatchFrom::Now).unwrap();
    let mut begun = users.watch(Prefix("a"), WatchFrom::Now).unwrap();
    db.put("!user!a", "no").unwrap();
    db.put("!users", "no").unwrap();
    db.put("!users\"", "no").unwrap();
    users.put("", "empty").unwrap();
    users.put("ab", "1").unwrap();
    users.put("b", "2").unwrap();
    users.delete("ab").unwrap();
    db.put("!users!c", "3").unwrap();
    let keys = |watch: &mut level_party::Watch| {
        let mut keys = Vec::new();
        while let Some(item) = watch.try_next().unwrap() {
            let WatchItem::Change(change) = item else {
                panic!("{item:?}")
            };
            let deleted = change.value.is_none();
            keys.push((String::from_utf8(change.key).unwrap(), deleted));
        }
        keys
    };
    let expected = |keys: &[(&str, bool)]| -> Vec<(String, bool)> {
        keys.iter().map(|(key, d)| (key.to_string(), *d)).collect()
    };
    assert_eq!(
        keys(&mut all),
        expected(&[
            ("", false),
            ("ab", false),
            ("b", false),
            ("ab", true),
            ("c", false)
        ])
    );
    assert_eq!(keys(&mut some), expected(&[("b", false), ("c", false)]));
    assert_eq!(keys(&mut begun), expected(&[("ab", false), ("ab", true)]));
    assert_eq!(some.position(), all.position());
    users.compact_range("a"..).unwrap();
    assert_eq!(users.iter().count(), 3);
}

#[test]
fn appended_batch_keeps_its_whole_keys_and_its_problem() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let (users, jobs) = (db.sublevel("users").unwrap(), db.sublevel("jobs").unwrap());
    let mut batch = WriteBatch::new();
    batch.put("1", "").put_in(&users, "ada", "1815");
    let mut more = WriteBatch::new();
    more.put_in(&users, "alan", "1912").put("2", "").delete("1");
    batch.append(&more);
    assert_eq!(batch.iter().count(), 5);
    jobs.write(&batch).unwrap();
    let keys: Vec<Vec<u8>> = db.iter().keys().map(Result::unwrap).collect();
    assert_eq!(keys, [&b"!jobs!2"[..], b"!users!ada", b"!users!alan"]);
    more.put(vec![0; WriteBatch::MAX_KEY_BYTES + 1], "");
    let refused = db.write(batch.append(&more)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
}
