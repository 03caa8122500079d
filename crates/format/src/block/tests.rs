use super::*;
use crate::key::{ValueType, append_internal_key};

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

fn ikey(user: &[u8], sequence: u64) -> Vec<u8> {
    let mut out = Vec::new();
    append_internal_key(&mut out, user, sequence, ValueType::Value);
    out
}

fn build(entries: &Entries, restart_interval: usize) -> Vec<u8> {
    let mut builder = BlockBuilder::new(restart_interval);
    for (key, value) in entries {
        builder.add(key, value);
    }
    assert_eq!(builder.is_empty(), entries.is_empty());
    let estimate = builder.size_estimate();
    let bytes = builder.finish().to_vec();
    assert_eq!(bytes.len(), estimate);
    assert_eq!(builder.finish(), bytes, "again the same");
    bytes
}

fn open(bytes: &[u8]) -> Result<BlockIter, Corruption> {
    Ok(Block::new(Bytes::copy_from_slice(bytes))?.iter(InternalComparator::default()))
}

/// Sorted entries with long shared prefixes, some long keys and values, some empty ones.
fn random_entries(rng: &mut fastrand::Rng, count: usize) -> Entries {
    let order = InternalComparator::default();
    let mut entries: Entries = (0..count)
        .map(|_| {
            let stem = ["", "a", "aaaaaaaa", "key/with/a/long/stem/"][rng.usize(0..4)];
            let mut user = stem.as_bytes().to_vec();
            let tail = if rng.u8(0..10) == 0 { 300 } else { 4 };
            let len = rng.usize(0..tail);
            user.extend(std::iter::repeat_with(|| rng.u8(b'a'..b'd')).take(len));
            let len = [0, 1, 20, 500][rng.usize(0..4)];
            (ikey(&user, rng.u64(0..5)), vec![rng.u8(..); len])
        })
        .collect();
    entries.sort_by(|a, b| order.compare(&a.0, &b.0));
    entries.dedup_by(|a, b| a.0 == b.0);
    entries
}

fn at(iter: &BlockIter) -> Option<(&[u8], &[u8])> {
    iter.valid().then(|| (iter.key(), iter.value()))
}

fn entry(entries: &Entries, index: usize) -> Option<(&[u8], &[u8])> {
    entries
        .get(index)
        .map(|(key, value)| (&key[..], &value[..]))
}

#[test]
fn the_bytes_are_leveldbs() {
    let entries = vec![
        (b"abc".to_vec(), b"1".to_vec()),
        (b"abd".to_vec(), b"22".to_vec()),
        (b"b".to_vec(), b"".to_vec()),
    ];
    let expected = b"\x00\x03\x01abc1\x02\x01\x02d22\x00\x01\x00b\0\0\0\0\x0d\0\0\0\x02\0\0\0";
    assert_eq!(build(&entries, 2), expected);
    assert_eq!(build(&Vec::new(), 16), [0, 0, 0, 0, 1, 0, 0, 0]);
}

#[test]
fn an_empty_block_has_no_entries_in_either_spelling() {
    for bytes in [
        &[0, 0, 0, 0, 1, 0, 0, 0][..],
        &[0, 0, 0, 0],
        &[1, 2, 3, 0, 0, 0, 0],
    ] {
        let block = Block::new(Bytes::copy_from_slice(bytes)).unwrap();
        assert!(block.is_empty());
        let mut iter = block.iter(InternalComparator::default());
        iter.seek_to_first().unwrap();
        assert!(!iter.valid());
        iter.seek_to_last().unwrap();
        assert!(!iter.valid());
        iter.seek(&ikey(b"a", 1)).unwrap();
        assert!(!iter.valid());
        iter.next().unwrap();
        iter.prev().unwrap();
        assert!(!iter.valid());
    }
}

#[test]
fn random_blocks_read_the_same_in_both_directions() {
    let mut rng = fastrand::Rng::with_seed(3);
    for round in 0..60 {
        let count = [1, 2, 5, 40, 300][round % 5];
        let entries = random_entries(&mut rng, count);
        for restart_interval in [1, 2, 3, 16, 1000] {
            let mut iter = open(&build(&entries, restart_interval)).unwrap();
            iter.seek_to_first().unwrap();
            for index in 0..=entries.len() {
                assert_eq!(at(&iter), entry(&entries, index));
                iter.next().unwrap();
            }
            iter.seek_to_last().unwrap();
            for index in (0..entries.len()).rev() {
                assert_eq!(at(&iter), entry(&entries, index));
                iter.prev().unwrap();
            }
            assert!(!iter.valid());
        }
    }
}

#[test]
fn seeks_find_the_first_key_not_below_the_target() {
    let mut rng = fastrand::Rng::with_seed(4);
    let order = InternalComparator::default();
    for _ in 0..20 {
        let entries = random_entries(&mut rng, 100);
        let targets = random_entries(&mut rng, 100);
        let edges = [
            (ikey(b"", u64::MAX >> 8), vec![]),
            (ikey(&[0xff; 9], 0), vec![]),
        ];
        for restart_interval in [1, 3, 16] {
            let bytes = build(&entries, restart_interval);
            let mut iter = open(&bytes).unwrap();
            let lent = BlockRef::new(&bytes).unwrap();
            let mut key = Vec::new();
            for (target, _) in targets.iter().chain(&entries).chain(&edges) {
                let index = entries.partition_point(|(key, _)| order.compare(key, target).is_lt());
                iter.seek(target).unwrap();
                assert_eq!(at(&iter), entry(&entries, index));
                let found = lent.seek(&order, target, &mut key).unwrap();
                assert_eq!(found.map(|value| (&key[..], value)), entry(&entries, index));
            }
        }
    }
}

#[test]
fn random_walks_match_a_sorted_list() {
    let mut rng = fastrand::Rng::with_seed(5);
    let order = InternalComparator::default();
    for _ in 0..30 {
        let count = rng.usize(1..80);
        let entries = random_entries(&mut rng, count);
        let restart_interval = rng.usize(1..20);
        let mut iter = open(&build(&entries, restart_interval)).unwrap();
        let mut index = None;
        for _ in 0..2000 {
            match rng.u8(0..24) {
                0 => {
                    iter.seek_to_first().unwrap();
                    index = Some(0);
                }
                1 => {
                    iter.seek_to_last().unwrap();
                    index = Some(entries.len() - 1);
                }
                2 => {
                    let target = &entries[rng.usize(0..entries.len())].0;
                    iter.seek(target).unwrap();
                    let place =
                        entries.partition_point(|(key, _)| order.compare(key, target).is_lt());
                    index = Some(place);
                }
                3..13 => {
                    iter.next().unwrap();
                    index = index
                        .map(|index| index + 1)
                        .filter(|&index| index < entries.len());
                }
                _ => {
                    iter.prev().unwrap();
                    index = index.and_then(|index| index.checked_sub(1));
                }
            }
            assert_eq!(at(&iter), index.and_then(|index| entry(&entries, index)));
        }
    }
}

#[test]
fn a_restart_array_that_does_not_fit_is_corruption() {
    for bytes in [
        &b""[..],
        &[0, 0, 0],
        &[1, 0, 0, 0],
        &[0, 0, 0, 0, 2, 0, 0, 0],
        &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
    ] {
        assert!(
            Block::new(Bytes::copy_from_slice(bytes)).is_err(),
            "{bytes:?}"
        );
    }
}

#[test]
fn a_first_restart_other_than_zero_is_corruption() {
    let mut bytes = build(&vec![(ikey(b"a", 1), vec![]), (ikey(b"b", 1), vec![])], 1);
    let first = bytes.len() - 12;
    bytes[first] = 11;
    assert!(Block::new(bytes.into()).is_err());
}

#[test]
fn lengths_that_overflow_are_corruption() {
    for lengths in [
        &[
            0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0xff, 0x0f,
        ][..],
        &[
            0, 0x80, 0x80, 0x80, 0x80, 0x08, 0x80, 0x80, 0x80, 0x80, 0x08,
        ],
        &[1, 0, 0],
        &[0, 1, 0],
        &[0, 0, 1],
        &[0, 0],
        &[0x80, 0x80, 0x80],
    ] {
        let mut bytes = lengths.to_vec();
        bytes.extend([0, 0, 0, 0, 1, 0, 0, 0]);
        let mut iter = open(&bytes).unwrap();
        assert!(iter.seek_to_first().is_err(), "{lengths:?}");
        assert!(!iter.valid());
        assert!(iter.seek_to_last().is_err(), "{lengths:?}");
        assert!(iter.seek(b"x").is_err());
        assert!(!iter.valid());
        iter.next().unwrap();
        iter.prev().unwrap();
    }
}

/// Does everything to a block that may be wrong; what is asserted is that it ends.
fn exercise(bytes: &[u8]) {
    let Ok(mut iter) = open(bytes) else { return };
    let bound = bytes.len() + 2;
    let mut steps = 0;
    let mut result = iter.seek_to_first();
    while result.is_ok() && iter.valid() && steps < bound {
        let _ = iter.value();
        result = iter.next();
        steps += 1;
    }
    assert!(steps < bound, "forward ends");
    steps = 0;
    result = iter.seek_to_last();
    while result.is_ok() && iter.valid() && steps < bound {
        let _ = iter.value();
        result = iter.prev();
        steps += 1;
    }
    assert!(steps < bound, "backward ends");
    for target in [&b""[..], b"k", &ikey(b"k\x05", 1), &ikey(b"z", 1)] {
        let sought = iter.seek(target);
        let mut key = Vec::new();
        let lent = BlockRef::new(bytes).expect("opened above");
        let found = lent.seek(&InternalComparator::default(), target, &mut key);
        match &sought {
            Ok(()) => assert_eq!(found, Ok(iter.valid().then(|| iter.value()))),
            Err(error) => assert_eq!(found.as_ref(), Err(error)),
        }
        if sought.is_ok() && iter.valid() {
            let _ = iter.prev();
            let _ = iter.next();
        }
    }
}

#[test]
fn any_changed_byte_and_any_truncation_never_panics() {
    let entries: Entries = (0..9u8)
        .map(|i| (ikey(&[b'k', i], 1), vec![i; usize::from(i)]))
        .collect();
    for restart_interval in [1, 3, 16] {
        let bytes = build(&entries, restart_interval);
        for i in 0..bytes.len() {
            exercise(&bytes[..i]);
            for byte in 0..=255 {
                let mut changed = bytes.clone();
                changed[i] = byte;
                exercise(&changed);
            }
        }
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut rng = fastrand::Rng::with_seed(6);
    for _ in 0..20_000 {
        let len = rng.usize(0..60);
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| rng.u8(0..6)).take(len).collect();
        let restarts = rng.u32(0..8);
        bytes.extend(restarts.to_le_bytes());
        exercise(&bytes);
    }
}
