use std::collections::BTreeMap;

use level_party_format::batch::WriteBatch;
use level_party_format::key::append_internal_key;

use super::*;
use crate::support::backward;
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
fn run_of(batches: &[WriteBatch], user: Comparator) -> Run {
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
    builder.finish(&order)
}

fn entries_of(part: Part<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    let taken = part.try_each(|key, value| {
        entries.push((key.to_vec(), value.to_vec()));
        Ok(())
    });
    taken.unwrap();
    entries
}

fn entries(run: &Run) -> Vec<(Vec<u8>, Vec<u8>)> {
    entries_of(run.whole())
}

fn worlds(mut look: impl FnMut(&[WriteBatch], &Run)) {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let common = vec![b'c'; rng.below(20)];
        let batches = batches(&mut rng, &common);
        for user in [Comparator::Bytewise, backward()] {
            look(&batches, &run_of(&batches, user));
        }
    }
}

#[test]
fn operations_come_in_the_order_of_their_internal_keys() {
    worlds(|batches, run| {
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
        let order = InternalComparator::new(run.user.clone());
        assert!(found.is_sorted_by(|a, b| order.compare(&a.0, &b.0).is_lt()));
        assert!(BTreeMap::from_iter(found) == expected);
    });
}

#[test]
fn halves_of_a_run_are_all_of_it_and_have_no_key_in_common() {
    worlds(|_, run| {
        let Some((first, second)) = run.halves() else {
            return;
        };
        let (first, second) = (entries_of(first), entries_of(second));
        assert!([&first[..], &second].concat() == entries(run));
        let user = |entry: &(Vec<u8>, Vec<u8>)| key::user_key(&entry.0).to_vec();
        assert!(user(first.last().unwrap()) != user(&second[0]));
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
fn a_run_of_nothing_has_no_entries() {
    let run = RunBuilder::new().finish(&InternalComparator::default());
    assert!(entries(&run).is_empty() && run.halves().is_none());
}
