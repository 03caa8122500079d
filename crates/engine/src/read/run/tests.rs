use std::collections::BTreeMap;

use level_party_format::CustomComparator;
use level_party_format::batch::WriteBatch;
use level_party_format::key::append_internal_key;

use super::*;
use crate::testing::Rng;

/// Keys that differ early, late, in length only, by zeroes, or not at all.
fn key(rng: &mut Rng, common: &[u8]) -> Vec<u8> {
    let mut key = common.to_vec();
    for _ in 0..rng.below(12) {
        key.push([0, 1, 0x7f, 0xff][rng.below(4)]);
    }
    key
}

fn batches(rng: &mut Rng, common: &[u8]) -> Vec<WriteBatch> {
    let mut next = 1;
    let make = |_| {
        let mut batch = WriteBatch::new();
        for _ in 0..rng.below(6) {
            let key = key(rng, common);
            match rng.one_in(3) {
                true => batch.delete(&key),
                false => batch.put(&key, &rng.next().to_le_bytes()),
            }
        }
        batch.set_sequence(next);
        next += u64::from(batch.count());
        batch
    };
    (0..60).map(make).collect()
}

/// A run of batches of which some lie in a log, between other bytes, and the others in bytes of their own.
fn run_of(batches: &[WriteBatch], user: Comparator) -> Arc<Run> {
    let order = InternalComparator::new(user);
    let mut log = Vec::new();
    let mut ranges = Vec::new();
    for batch in batches {
        log.extend_from_slice(b"header");
        ranges.push(log.len()..log.len() + batch.as_bytes().len());
        log.extend_from_slice(batch.as_bytes());
    }
    let log = Bytes::from(log);
    let mut builder = RunBuilder::new();
    builder.begin_log(&log);
    for (at, range) in ranges.into_iter().enumerate() {
        let own = (at % 3 == 0).then(|| Bytes::copy_from_slice(&log[range.clone()]));
        let payload = own.clone().unwrap_or_else(|| log.slice(range));
        builder.add(BatchRef::parse(&payload).unwrap(), own);
    }
    let last = batches.iter().map(|batch| u64::from(batch.count())).sum();
    Arc::new(builder.finish(&order, last))
}

fn entries(run: &Arc<Run>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut iter = RunIter::new(run);
    let mut entries = Vec::new();
    iter.seek_to_first();
    while iter.valid() {
        entries.push((iter.key().to_vec(), iter.value().to_vec()));
        iter.next();
    }
    entries
}

struct Backward;

impl CustomComparator for Backward {
    fn name(&self) -> &str {
        "test.Backward"
    }
    fn compare(&self, a: &[u8], b: &[u8]) -> std::cmp::Ordering {
        b.cmp(a)
    }
    fn find_shortest_separator(&self, _: &mut Vec<u8>, _: &[u8]) {}
    fn find_short_successor(&self, _: &mut Vec<u8>) {}
}

fn worlds(mut look: impl FnMut(&mut Rng, &[WriteBatch], &Arc<Run>)) {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let common = vec![b'c'; rng.below(20)];
        let batches = batches(&mut rng, &common);
        for user in [Comparator::Bytewise, Comparator::Custom(Arc::new(Backward))] {
            look(&mut rng, &batches, &run_of(&batches, user));
        }
    }
}

#[test]
fn operations_come_in_the_order_of_their_internal_keys_whatever_the_keys_have_in_common() {
    worlds(|_, batches, run| {
        let mut expected = BTreeMap::new();
        for batch in batches {
            for (sequence, op) in (batch.sequence()..).zip(batch.iter()) {
                let mut key = Vec::new();
                let value = match op {
                    Op::Put { key: user, value } => {
                        append_internal_key(&mut key, user, sequence, ValueType::Value);
                        value.to_vec()
                    }
                    Op::Delete { key: user } => {
                        append_internal_key(&mut key, user, sequence, ValueType::Deletion);
                        Vec::new()
                    }
                };
                expected.insert(key, value);
            }
        }
        let found = entries(run);
        assert!(found.is_sorted_by(|a, b| run.order.compare(&a.0, &b.0).is_lt()));
        assert!(BTreeMap::from_iter(found) == expected);
    });
}

#[test]
fn a_key_is_found_as_it_was_at_any_sequence() {
    worlds(|rng, batches, run| {
        for _ in 0..50 {
            let at = rng.below(1 + run.last_sequence() as usize) as u64;
            let common: &[u8] = if rng.one_in(2) { b"ccc" } else { b"" };
            let sought = key(rng, common);
            let mut expected = Lookup::Absent;
            for batch in batches {
                for (sequence, op) in (batch.sequence()..=at).zip(batch.iter()) {
                    expected = match op {
                        Op::Put { key, value } if key == sought => {
                            Lookup::Value { sequence, value }
                        }
                        Op::Delete { key } if key == sought => Lookup::Deleted { sequence },
                        _ => expected,
                    };
                }
            }
            assert_eq!(run.get(&sought, at), expected);
        }
    });
}

#[test]
fn an_iterator_moves_both_ways_and_from_any_key() {
    worlds(|rng, _, run| {
        let all = entries(run);
        let mut iter = RunIter::new(run);
        assert!(!iter.valid() && iter.key().is_empty() && iter.value().is_empty());
        iter.seek_to_last();
        for entry in all.iter().rev() {
            assert_eq!((iter.key(), iter.value()), (&entry.0[..], &entry.1[..]));
            iter.prev();
        }
        assert!(!iter.valid());
        iter.next();
        assert!(!iter.valid());
        for _ in 0..20 {
            let mut target = Vec::new();
            let sequence = rng.below(100) as u64;
            append_internal_key(&mut target, &key(rng, b"c"), sequence, ValueType::Value);
            iter.seek(&target);
            let expected = all
                .iter()
                .find(|entry| run.order.compare(&entry.0, &target).is_ge());
            assert_eq!(iter.valid(), expected.is_some());
            assert_eq!(iter.key(), expected.map_or(&[][..], |entry| &entry.0));
        }
    });
}

#[test]
fn of_an_operation_that_comes_again_the_later_one_counts() {
    let batch = |value: &[u8]| {
        let mut batch = WriteBatch::new();
        batch.put(b"key", value);
        batch.set_sequence(7);
        batch
    };
    let run = run_of(
        &[batch(b"1"), batch(b"2"), batch(b"3")],
        Comparator::Bytewise,
    );
    let entries = entries(&run);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].1, b"3");
}

#[test]
fn a_run_of_nothing_is_read_as_such() {
    let run = Arc::new(RunBuilder::new().finish(&InternalComparator::default(), 7));
    assert_eq!((run.last_sequence(), run.bytes_used()), (7, 0));
    assert_eq!(run.get(b"key", 9), Lookup::Absent);
    let mut iter = RunIter::new(&run);
    iter.seek_to_last();
    assert!(!iter.valid());
    iter.seek_to_first();
    assert!(!iter.valid());
}
