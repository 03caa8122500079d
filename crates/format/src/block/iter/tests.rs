use super::*;
use crate::block::BlockBuilder;
use crate::key::seek_key;

fn numbered(count: u8) -> (Vec<Vec<u8>>, Block) {
    let keys: Vec<Vec<u8>> = (0..count).map(|i| seek_key(&[b'k', i], 1)).collect();
    let mut builder = BlockBuilder::new(16);
    for key in &keys {
        builder.add(key, b"value");
    }
    (keys, Block::new(builder.finish().to_vec().into()).unwrap())
}

#[test]
fn going_backward_decodes_each_restart_interval_once() {
    let (keys, block) = numbered(64);
    let mut iter = block.iter(InternalComparator::default());
    iter.seek_to_last().unwrap();
    let mut decodings = 1;
    let mut start = iter.interval.entries[0].offset;
    for _ in 1..64 {
        iter.prev().unwrap();
        let now = iter.interval.entries[0].offset;
        decodings += usize::from(now != start);
        start = now;
    }
    assert_eq!(decodings, 4);
    // A step forward and back again stays within the interval decoded.
    let buffer = iter.interval.keys.as_ptr();
    let decoded = iter.interval.entries.len();
    for _ in 0..15 {
        iter.next().unwrap();
    }
    iter.prev().unwrap();
    assert_eq!(iter.key(), keys[14]);
    assert_eq!(
        (iter.interval.keys.as_ptr(), iter.interval.entries.len()),
        (buffer, decoded)
    );
}

#[test]
fn steps_reuse_the_key_buffers() {
    let (_, block) = numbered(200);
    let mut iter = block.iter(InternalComparator::default());
    iter.seek_to_last().unwrap();
    iter.prev().unwrap();
    while iter.valid() {
        iter.prev().unwrap();
    }
    let (key, keys) = (iter.key.capacity(), iter.interval.keys.capacity());
    iter.seek_to_last().unwrap();
    iter.reset(block);
    assert!(!iter.valid());
    assert_eq!((iter.key(), iter.value()), (&b""[..], &b""[..]));
    iter.seek_to_last().unwrap();
    while iter.valid() {
        iter.prev().unwrap();
    }
    iter.seek_to_first().unwrap();
    while iter.valid() {
        iter.next().unwrap();
    }
    assert_eq!(
        (key, keys),
        (iter.key.capacity(), iter.interval.keys.capacity())
    );
}

#[test]
fn an_iterator_given_a_shorter_block_keeps_nothing_of_the_longer_one() {
    let (_, long) = numbered(200);
    let (keys, short) = numbered(1);
    let mut iter = long.iter(InternalComparator::default());
    iter.seek_to_last().unwrap();
    iter.reset(short);
    assert_eq!((iter.key(), iter.value()), (&b""[..], &b""[..]));
    iter.prev().unwrap();
    iter.next().unwrap();
    assert!(!iter.valid());
    iter.seek_to_last().unwrap();
    assert_eq!(iter.key(), keys[0]);
    iter.prev().unwrap();
    assert!(!iter.valid());
}
