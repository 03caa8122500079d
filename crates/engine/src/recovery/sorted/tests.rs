use std::sync::Arc;

use level_party_format::CustomComparator;
use level_party_format::batch::WriteBatch;
use level_party_format::key::{InternalComparator, append_internal_key};

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

fn tagged_of(batches: &[WriteBatch]) -> Vec<Tagged<'_>> {
    tagged(
        batches
            .iter()
            .map(|batch| BatchRef::parse(batch.as_bytes()).unwrap()),
    )
}

fn internal_keys(ops: &[Tagged<'_>], order: &[Place]) -> Vec<Vec<u8>> {
    let key = |place: &Place| {
        let op = &ops[place.at];
        let mut key = Vec::new();
        let kind = ValueType::try_from(op.tag as u8).unwrap();
        append_internal_key(&mut key, op.key, op.tag >> 8, kind);
        key
    };
    order.iter().map(key).collect()
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

#[test]
fn operations_come_in_the_order_of_their_internal_keys_whatever_the_keys_have_in_common() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let common = vec![b'c'; rng.below(20)];
        let batches = batches(&mut rng, &common);
        let ops = tagged_of(&batches);
        for user in [Comparator::Bytewise, Comparator::Custom(Arc::new(Backward))] {
            let found = internal_keys(&ops, &sorted(&ops, &user));
            let order = InternalComparator::new(user);
            assert_eq!(found.len(), ops.len());
            assert!(found.is_sorted_by(|a, b| order.compare(a, b).is_lt()));
        }
    }
}

#[test]
fn of_an_operation_that_comes_again_the_later_one_counts() {
    let batch = |value: &[u8]| {
        let mut batch = WriteBatch::new();
        batch.put(b"key", value);
        batch.set_sequence(7);
        batch
    };
    let batches = [batch(b"1"), batch(b"2"), batch(b"3")];
    let ops = tagged_of(&batches);
    let order = sorted(&ops, &Comparator::Bytewise);
    let places: Vec<usize> = order.iter().map(|place| place.at).collect();
    assert_eq!(places, [0, 1, 2]);
    assert!(comes_again(&ops[0], &ops[1], &Comparator::Bytewise));
}
