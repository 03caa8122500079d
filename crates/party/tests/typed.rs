//! Typed views: what goes in comes out, and what cannot is an error that says so.

use std::collections::BTreeMap;

use futures_lite::StreamExt;
use level_party::{
    AsyncRange, AsyncReadable, BigEndian, Bytes, Db, Error, ErrorKind, Json, Prefix, Readable,
    Result, Utf8, WriteBatch,
};

#[test]
fn every_call_of_a_typed_view_speaks_its_types() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.put("before", "untyped").unwrap();
    let names = db.sublevel("n").unwrap().typed::<BigEndian<i32>, Utf8>();
    names.put(&-1, "minus one").unwrap();
    names.put(&7, &String::from("seven")).unwrap();
    let mut batch = WriteBatch::new();
    batch.put_in(&names, &300, "three hundred");
    batch.delete_in(&names, &7).put_in(&names, &8, "eight");
    db.write(&batch).unwrap();
    assert_eq!(names.get(&-1).unwrap().as_deref(), Some("minus one"));
    assert!(names.contains(&8).unwrap() && !names.contains(&7).unwrap());
    let many = names.get_many([&300, &7]).unwrap();
    assert_eq!(many, [Some("three hundred".to_string()), None]);
    type Names = level_party::Range<(i32, String), (BigEndian<i32>, Utf8)>;
    let keys = |range: Names| -> Vec<i32> { range.keys().collect::<Result<_>>().unwrap() };
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
    let swapped = names.compare_and_swap(&8, Some("eight"), Some("acht"));
    assert_eq!(swapped.unwrap(), Ok(()));
    let before = db.snapshot().unwrap().of(&names);
    db.transaction(|tx| {
        let names = tx.of(&names);
        assert!(names.contains(&8)?);
        names.put(&9, "neun")?;
        names.delete(&8)?;
        let all: Vec<i32> = names
            .range(0..100)
            .map(|e| Ok(e?.0))
            .collect::<Result<_>>()?;
        assert_eq!(all, [9]);
        assert_eq!(names.get_many([&9, &8])?, [Some("neun".to_string()), None]);
        assert_eq!(names.range(Prefix(&300)).count(), 1);
        Ok(())
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
    assert_eq!(texts.range(Prefix("bef")).count(), 1);
}

#[test]
fn what_cannot_be_decoded_names_its_key_and_the_range_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.write(WriteBatch::new().put("a", "1").put("b", "{").put("c", "3"))
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
        db.write(
            WriteBatch::new()
                .put("a", "1")
                .put_in(&db.typed::<Utf8, Odd>(), "k", &odd),
        )
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

/// The same calls, in the same order, as of a thread's view.
#[test]
fn every_call_of_a_tasks_typed_view_speaks_its_types() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap().to_async();
    pollster::block_on(async {
        db.put("before", "untyped").await?;
        let names = db.sublevel("n")?.typed::<BigEndian<i32>, Utf8>();
        names.put(&-1, "minus one").await?;
        names.put(&7, &String::from("seven")).await?;
        let mut batch = WriteBatch::new();
        batch.put_in(&names, &300, "three hundred");
        batch.delete_in(&names, &7).put_in(&names, &8, "eight");
        db.write(batch.sync(true)).await?;
        assert_eq!(names.get(&-1).await?.as_deref(), Some("minus one"));
        assert!(names.contains(&8).await? && !names.contains(&7).await?);
        let many = names.get_many([&300, &7]).await?;
        assert_eq!(many, [Some("three hundred".to_string()), None]);
        assert_eq!(keys(names.iter()).await, [-1, 8, 300]);
        assert_eq!(keys(names.range(..)).await, [-1, 8, 300]);
        assert_eq!(keys(names.range(0..300)).await, [8]);
        assert_eq!(keys(names.range(..=8).limit(1)).await, [-1]);
        assert_eq!(keys(names.range(Prefix(&8))).await, [8]);
        let mut values = names.range(0..).values();
        assert_eq!(
            values.next_back().await.transpose()?.as_deref(),
            Some("three hundred")
        );
        assert_eq!(
            values.next_back().await.transpose()?.as_deref(),
            Some("eight")
        );
        assert!(values.next_back().await.is_none());
        let mut range = names.iter();
        range.seek(&9)?;
        range.seek_back(&299)?;
        assert!(range.next().await.is_none(), "the two passed each other");
        range.seek(&0)?;
        assert_eq!(
            range.next().await.transpose()?,
            Some((8, "eight".to_string()))
        );
        let swapped = names.compare_and_swap(&8, Some("eight"), Some("acht"));
        assert_eq!(swapped.await?, Ok(()));
        let refused = names.compare_and_swap(&8, Some("eight"), None);
        assert_eq!(refused.await?, Err(Some("acht".into())));
        let before = db.snapshot().await?.of(&names);
        let seen = db.transaction(async |tx| {
            let names = tx.of(&names);
            assert!(names.contains(&8).await?);
            assert_eq!(names.get(&8).await?.as_deref(), Some("acht"));
            names.put(&9, "neun")?;
            names.delete(&8)?;
            let mut range = names.range(0..100);
            assert_eq!(
                range.next().await.transpose()?,
                Some((9, "neun".to_string()))
            );
            assert!(range.next_back().await.is_none());
            assert_eq!(
                names.get_many([&9, &8]).await?,
                [Some("neun".to_string()), None]
            );
            assert_eq!(
                names
                    .range(Prefix(&300))
                    .next()
                    .await
                    .transpose()?
                    .unwrap()
                    .0,
                300
            );
            let first = names.iter().next().await.transpose()?;
            Ok(first.unwrap().0)
        });
        assert_eq!(seen.await?, -1);
        let blocking = names.to_blocking();
        assert_eq!(blocking.get(&9)?.as_deref(), Some("neun"));
        assert_eq!(blocking.to_async().get(&9).await?.as_deref(), Some("neun"));
        assert_eq!(names.clear(0..).await?, 2);
        names.delete(&-1).await?;
        assert_eq!(keys(before.iter()).await, [-1, 8, 300]);
        assert_eq!(before.get(&8).await?.as_deref(), Some("acht"));
        assert_eq!(names.bytes().iter().count().await, 0);
        assert_eq!(db.iter().count().await, 1);
        let texts = db.snapshot().await?.typed::<Utf8, Bytes>();
        let all: Vec<_> = texts
            .range("a".to_string().."z".to_string())
            .try_collect()
            .await?;
        assert_eq!(all, [("before".to_string(), b"untyped".to_vec())]);
        Ok::<_, Error>(())
    })
    .unwrap();
}

async fn keys(range: AsyncRange<(i32, String), (BigEndian<i32>, Utf8)>) -> Vec<i32> {
    range.keys().try_collect().await.unwrap()
}

#[test]
fn a_tasks_range_goes_on_after_what_cannot_be_decoded() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap().to_async();
    pollster::block_on(async {
        let mut entries = WriteBatch::new();
        entries.put("a", "1").put("b", "{").put("c", "3");
        db.write(&entries).await?;
        let numbers = db.typed::<Utf8, Json<u32>>();
        let error = numbers.get("b").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Encoding);
        assert!(error.message().contains("\"b\""), "{error}");
        let seen: Vec<_> = numbers.iter().map(Result::ok).collect().await;
        assert_eq!(seen, [Some(("a".into(), 1)), None, Some(("c".into(), 3))]);
        let keys: Vec<String> = numbers.iter().keys().try_collect().await?;
        assert_eq!(keys, ["a", "b", "c"]);
        let sum = db.transaction(async |tx| {
            let numbers = tx.of(&numbers);
            let mut range = numbers.iter();
            let (mut sum, mut bad) = (0, 0);
            while let Some(entry) = range.next().await {
                match entry {
                    Ok((_, number)) => sum += number,
                    Err(error) => bad += u32::from(error.kind() == ErrorKind::Encoding),
                }
            }
            Ok((sum, bad))
        });
        assert_eq!(sum.await?, (4, 1));
        Ok::<_, Error>(())
    })
    .unwrap();
}

#[test]
fn what_a_task_cannot_encode_is_refused_and_changes_nothing() {
    type Odd = Json<BTreeMap<Vec<u8>, u8>>;
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap().to_async();
    let odd = BTreeMap::from([(vec![1], 2)]);
    pollster::block_on(async {
        let (by_odd, of_odd) = (db.typed::<Odd, Utf8>(), db.typed::<Utf8, Odd>());
        let mut batch = WriteBatch::new();
        batch.put("a", "1").put_in(&of_odd, "k", &odd);
        let refused = [
            of_odd.put("k", &odd).await.unwrap_err(),
            of_odd
                .compare_and_swap("k", None, Some(&odd))
                .await
                .unwrap_err(),
            by_odd.get(&odd).await.unwrap_err(),
            by_odd.get_many([&odd]).await.unwrap_err(),
            by_odd.delete(&odd).await.unwrap_err(),
            by_odd.clear(..&odd).await.unwrap_err(),
            by_odd.iter().seek(&odd).unwrap_err(),
            by_odd.range(&odd..).next().await.unwrap().unwrap_err(),
            by_odd
                .range(Prefix(&odd))
                .keys()
                .next_back()
                .await
                .unwrap()
                .unwrap_err(),
            db.write(&batch).await.unwrap_err(),
        ];
        let is_said = |error: &Error| error.kind() == ErrorKind::Encoding;
        assert!(refused.iter().all(is_said), "{refused:?}");
        assert_eq!(by_odd.range(&odd..).count().await, 1, "the error alone");
        assert_eq!(db.iter().count().await, 0);
    });
}
