//! Typed views: what goes in comes out, and what cannot is an error that says so.

use std::collections::BTreeMap;

use level_party::{BigEndian, Bytes, Db, Error, ErrorKind, Json, Result, Utf8};

#[test]
fn every_call_of_a_typed_view_speaks_its_types() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.put("before", "untyped").unwrap();
    let names = db.sublevel("n").unwrap().typed::<BigEndian<i32>, Utf8>();
    names.put(&-1, "minus one").unwrap();
    names.put(&7, &String::from("seven")).unwrap();
    let batch = names.batch().put_typed(&names, &300, "three hundred");
    batch
        .delete_typed(&names, &7)
        .put_typed(&names, &8, "eight")
        .write()
        .unwrap();
    assert_eq!(names.get(&-1).unwrap().as_deref(), Some("minus one"));
    assert!(names.contains(&8).unwrap() && !names.contains(&7).unwrap());
    let many = names.get_many([&300, &7]).unwrap();
    assert_eq!(many, [Some("three hundred".to_string()), None]);
    let keys = |range: level_party::TypedRange<_, _>| -> Vec<i32> {
        range.keys().collect::<Result<_>>().unwrap()
    };
    assert_eq!(keys(names.iter()), [-1, 8, 300]);
    assert_eq!(keys(names.range(..)), [-1, 8, 300]);
    assert_eq!(keys(names.range(0..300)), [8]);
    assert_eq!(keys(names.range(..=8).limit(1)), [-1]);
    let values = names.range(0..).values().rev();
    assert_eq!(
        values.map(Result::unwrap).collect::<Vec<_>>(),
        ["three hundred", "eight"]
    );
    let mut range = names.iter();
    range.seek(&9).unwrap();
    assert_eq!(
        range.next().unwrap().unwrap(),
        (300, "three hundred".to_string())
    );
    assert!(
        names
            .compare_and_swap(&8, Some("eight"), Some("acht"))
            .unwrap()
    );
    let before = names.at(&db.snapshot().unwrap());
    db.transaction(|tx| {
        let mut names = tx.typed(&names);
        assert!(names.contains(&8)?);
        names.put(&9, "neun")?;
        names.delete(&8)?;
        let all: Vec<i32> = names
            .range(0..100)?
            .map(|e| Ok(e?.0))
            .collect::<Result<_>>()?;
        assert_eq!(all, [9]);
        Ok::<_, Error>(())
    })
    .unwrap();
    assert_eq!(names.clear(0..).unwrap(), 2);
    names.delete(&-1).unwrap();
    assert_eq!(before.iter().count(), 3);
    assert_eq!(db.iter().count(), 1);

    let texts = db.typed::<Utf8, Bytes>();
    let (a, b) = ("a".to_string(), "z".to_string());
    let all: Vec<_> = texts.range(a..b).collect::<Result<_>>().unwrap();
    assert_eq!(all, [("before".to_string(), b"untyped".to_vec())]);
    assert_eq!(texts.range("a".."b").count(), 0);
    assert_eq!(texts.prefix("bef").count(), 1);
}

#[test]
fn what_cannot_be_decoded_names_its_key_and_the_range_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.batch()
        .put("a", "1")
        .put("b", "{")
        .put("c", "3")
        .write()
        .unwrap();
    let numbers = db.typed::<Utf8, Json<u32>>();
    let error = numbers.get("b").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encoding);
    assert!(error.message().contains("\"b\""), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    let seen: Vec<_> = numbers.iter().map(|entry| entry.ok()).collect();
    assert_eq!(seen, [Some(("a".into(), 1)), None, Some(("c".into(), 3))]);
    let keys: Vec<String> = numbers.iter().keys().collect::<Result<_>>().unwrap();
    assert_eq!(
        keys,
        ["a", "b", "c"],
        "values that are not asked for do no harm"
    );
    db.put(b"\xff\xfe", "4").unwrap();
    let error = numbers.iter().next_back().unwrap().unwrap_err();
    assert!(error.message().contains(r"\xff\xfe"), "{error}");
}

#[test]
fn what_cannot_be_encoded_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    // JSON has no object with such keys.
    type Odd = Json<BTreeMap<Vec<u8>, u8>>;
    let odd = BTreeMap::from([(vec![1], 2)]);
    let refused = [
        db.typed::<Utf8, Odd>().put("k", &odd).unwrap_err(),
        db.typed::<Odd, Utf8>().get(&odd).unwrap_err(),
        db.typed::<Odd, Utf8>().clear(..&odd).unwrap_err(),
        db.typed::<Odd, Utf8>()
            .range(&odd..)
            .next()
            .unwrap()
            .unwrap_err(),
        db.batch()
            .put("a", "1")
            .put_typed(&db.typed::<Utf8, Odd>(), "k", &odd)
            .write()
            .unwrap_err(),
    ];
    assert!(
        refused.iter().all(|e| e.kind() == ErrorKind::Encoding),
        "{refused:?}"
    );
    assert_eq!(
        db.typed::<Odd, Utf8>().range(&odd..).count(),
        1,
        "the error alone"
    );
    assert_eq!(db.iter().count(), 0);
}
