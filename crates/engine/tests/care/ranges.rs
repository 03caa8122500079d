//! Ranges: bounds of every kind against a model, both ways and from both ends; several keys at once; clear.

use std::collections::BTreeMap;
use std::ops::Bound;

use level_party_engine::{Engine, ErrorKind, KeyRange, MemFs, RangeCursor, Write, WriteBatch};

use crate::support::{Call, Rng, SpyFs, contents, delete, open, put, tiny};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

fn filled(rng: &mut Rng) -> (Engine, Map) {
    let engine = open(&MemFs::new(), &tiny());
    let mut map = Map::new();
    for _ in 0..600 {
        let key = key(rng);
        if rng.one_in(4) {
            delete(&engine, &key).unwrap();
            map.remove(&key);
        } else {
            let value = vec![rng.next() as u8; rng.below(100) as usize];
            put(&engine, &key, &value).unwrap();
            map.insert(key, value);
        }
    }
    (engine, map)
}

fn key(rng: &mut Rng) -> Vec<u8> {
    let len = rng.below(4);
    (0..len).map(|_| b'a' + rng.below(5) as u8).collect()
}

fn bound(rng: &mut Rng) -> Bound<Vec<u8>> {
    match rng.below(3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(key(rng)),
        _ => Bound::Excluded(key(rng)),
    }
}

fn inside(range: &KeyRange, map: &Map) -> Vec<(Vec<u8>, Vec<u8>)> {
    let order = level_party_engine::Comparator::default();
    let mut pairs: Vec<_> = map.clone().into_iter().collect();
    pairs.retain(|(key, _)| range.contains(&order, key));
    pairs
}

fn at(cursor: &RangeCursor) -> Option<Vec<u8>> {
    cursor.valid().then(|| cursor.key().to_vec())
}

#[test]
fn range_cursor_agrees_with_a_map_for_any_bounds() {
    let mut rng = Rng(21);
    let (engine, map) = filled(&mut rng);
    for _ in 0..400 {
        let (start, end) = (bound(&mut rng), bound(&mut rng));
        let range = KeyRange { start, end };
        let expected = inside(&range, &map);
        let pairs = engine.range(range.clone()).unwrap().pairs();
        assert_eq!(
            pairs.collect::<Result<Vec<_>, _>>().unwrap(),
            expected,
            "{range:?}"
        );
        let keys = engine.range(range.clone()).unwrap().keys().rev();
        let backward = expected.iter().rev().map(|(key, _)| key);
        assert!(keys.map(Result::unwrap).eq(backward.cloned()), "{range:?}");

        let mut cursor = engine.range(range.clone()).unwrap();
        for _ in 0..10 {
            let target = key(&mut rng);
            cursor.seek(&target).unwrap();
            let mut position = expected.iter().position(|(key, _)| *key >= target);
            if rng.one_in(2) {
                cursor.seek_before(&target).unwrap();
                position = expected.iter().rposition(|(key, _)| *key < target);
            }
            for _ in 0..4 {
                let shown = position.map(|at| expected[at].0.clone());
                assert_eq!(at(&cursor), shown, "{range:?} {target:?}");
                if rng.one_in(2) {
                    cursor.next().unwrap();
                    position = position.map(|at| at + 1).filter(|at| *at < expected.len());
                } else {
                    cursor.prev().unwrap();
                    position = position.and_then(|at| at.checked_sub(1));
                }
            }
        }
    }
}

#[test]
fn pairs_taken_from_both_ends_meet_once() {
    let mut rng = Rng(22);
    let (engine, map) = filled(&mut rng);
    for _ in 0..200 {
        let (start, end) = (bound(&mut rng), bound(&mut rng));
        let range = KeyRange { start, end };
        let mut left = std::collections::VecDeque::from(inside(&range, &map));
        let mut pairs = engine.range(range).unwrap().pairs();
        loop {
            let (shown, expected) = if rng.one_in(2) {
                (pairs.next(), left.pop_front())
            } else {
                (pairs.next_back(), left.pop_back())
            };
            assert_eq!(shown.map(Result::unwrap), expected);
            if expected.is_none() {
                break;
            }
        }
        assert!(pairs.next().is_none() && pairs.next_back().is_none());
    }
}

#[test]
fn an_end_at_the_empty_key_is_an_end() {
    let engine = open(&MemFs::new(), &tiny());
    put(&engine, b"", b"empty").unwrap();
    put(&engine, b"a", b"1").unwrap();
    let count = |start, end| {
        let pairs = engine.range(KeyRange { start, end }).unwrap().pairs();
        pairs.map(Result::unwrap).count()
    };
    assert_eq!(count(Bound::Unbounded, Bound::Unbounded), 2);
    assert_eq!(count(Bound::Included(vec![]), Bound::Unbounded), 2);
    assert_eq!(count(Bound::Excluded(vec![]), Bound::Unbounded), 1);
    assert_eq!(count(Bound::Unbounded, Bound::Included(vec![])), 1);
    assert_eq!(count(Bound::Unbounded, Bound::Excluded(vec![])), 0);
}

#[test]
fn a_walk_of_keys_shows_no_values() {
    let engine = open(&MemFs::new(), &tiny());
    put(&engine, b"a", b"value").unwrap();
    let mut cursor = engine.range(KeyRange::all()).unwrap().keys_only();
    cursor.seek_to_last().unwrap();
    assert_eq!(
        (cursor.key(), cursor.value(), cursor.sequence()),
        (&b"a"[..], &b""[..], 1)
    );
    cursor.seek_to_first().unwrap();
    assert_eq!((cursor.key(), cursor.value()), (&b"a"[..], &b""[..]));
}

#[test]
fn ranges_and_gets_of_many_keys_read_a_pinned_moment() {
    let engine = open(&MemFs::new(), &tiny());
    put(&engine, b"a", b"old").unwrap();
    put(&engine, b"gone", b"old").unwrap();
    let pin = engine.pin();
    put(&engine, b"a", b"new").unwrap();
    delete(&engine, b"gone").unwrap();
    engine.compact_range(None, None).unwrap();
    let moment = pin.sequence();
    let then = engine.get_many_at(&["a", "gone", "never"], moment).unwrap();
    let values = |entries: Vec<Option<level_party_engine::Entry>>| -> Vec<Option<Vec<u8>>> {
        entries.into_iter().map(|e| e.map(|e| e.value)).collect()
    };
    let old = Some(b"old".to_vec());
    assert_eq!(values(then), [old.clone(), old, None]);
    let now = engine.get_many(&["a", "gone", "never"]).unwrap();
    assert_eq!(values(now), [Some(b"new".to_vec()), None, None]);
    assert!(engine.contains_at(b"gone", moment).unwrap() && !engine.contains(b"gone").unwrap());
    let pairs = engine.range_at(KeyRange::all(), moment).unwrap().pairs();
    assert_eq!(pairs.count(), 2);
    let beyond = engine.get_many_at(&["a"], 99).unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::InvalidArgument);
    engine.close().unwrap();
    assert_eq!(engine.contains(b"a").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(
        engine.get_many(&["a"]).unwrap_err().kind(),
        ErrorKind::Closed
    );
}

#[test]
fn clear_deletes_a_range_in_chunks_and_nothing_else() {
    let fs = SpyFs::new(MemFs::new());
    let engine = Engine::open(
        std::sync::Arc::new(fs.clone()),
        level_party_engine::Options::default(),
    )
    .unwrap();
    let mut batch = WriteBatch::new();
    for number in 0..5_000 {
        batch.put(format!("{number:04}").as_bytes(), b"value");
    }
    engine.write(Write::new(batch)).unwrap();
    let mut map = contents(&engine);
    fs.note("start");
    let range = KeyRange::new("0500".."3600");
    assert_eq!(engine.clear(range.clone()).unwrap(), 3_100);
    let appends = fs
        .calls_since("start")
        .iter()
        .filter(|call| call.is_append(".log"))
        .count();
    assert_eq!(appends, 4, "3,100 keys are four chunks");
    map.retain(|key, _| !(&b"0500"[..]..&b"3600"[..]).contains(&&key[..]));
    assert_eq!(contents(&engine), map);
    fs.note("again");
    assert_eq!(engine.clear(range).unwrap(), 0);
    assert_eq!(fs.calls_since("again"), [] as [Call; 0]);
    assert_eq!(engine.clear(KeyRange::all()).unwrap(), 1_900);
    assert!(contents(&engine).is_empty());
}

#[test]
fn clear_of_long_keys_is_bounded_in_bytes() {
    let fs = SpyFs::new(MemFs::new());
    let options = level_party_engine::Options::default();
    let engine = Engine::open(std::sync::Arc::new(fs.clone()), options).unwrap();
    for number in 0..8u8 {
        let mut key = vec![b'k'; 100 << 10];
        key.push(number);
        put(&engine, &key, b"").unwrap();
    }
    fs.note("start");
    assert_eq!(engine.clear(KeyRange::all()).unwrap(), 8);
    let appends = fs
        .calls_since("start")
        .iter()
        .filter(|call| call.is_append(".log"))
        .count();
    assert_eq!(appends, 3);
}
