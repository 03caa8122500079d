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
    let buffer = iter.interval.put_away.as_ptr();
    let decoded = iter.interval.entries.len();
    for _ in 0..15 {
        iter.next().unwrap();
    }
    iter.prev().unwrap();
    assert_eq!(iter.key(), keys[14]);
    assert_eq!(
        (iter.interval.put_away.as_ptr(), iter.interval.entries.len()),
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
    let (key, keys) = (iter.key.capacity(), iter.interval.put_away.capacity());
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
        (iter.key.capacity(), iter.interval.put_away.capacity())
    );
}

#[test]
fn iterator_on_a_shorter_block_forgets_the_longer_one() {
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

/// One entry with a long key, and many that share all of it: their keys together are 4,000 times the block.
#[test]
fn going_backward_takes_no_more_memory_than_the_block() {
    let key = vec![b'k'; 8000];
    let mut builder = BlockBuilder::new(usize::MAX);
    for _ in 0..4000 {
        builder.add(&key, b"");
    }
    let contents = builder.finish().to_vec();
    let len = contents.len();
    let mut iter = Block::new(contents.into())
        .unwrap()
        .iter(InternalComparator::default());
    iter.seek_to_last().unwrap();
    for _ in 0..4000 {
        assert_eq!(iter.key(), key);
        iter.prev().unwrap();
    }
    assert!(!iter.valid());
    assert!(iter.interval.put_away.capacity() <= len && iter.interval.last_key.capacity() <= len);
}

/// Restarts that lie lead into the middle of entries: a key may be wrong there, but every walk stays inside.
#[test]
fn restarts_inside_of_entries_do_no_harm_going_backward() {
    let mut builder = BlockBuilder::new(4);
    for i in 0..40u8 {
        builder.add(&seek_key(&[b'k', i / 8, 0, 1, 2, i], 1), &[0, 1, 1, i, 7]);
    }
    let good = builder.finish().to_vec();
    let restarts_at = good.len() - 4 - 4 * 10;
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..2000 {
        let mut bytes = good.clone();
        for word in 1..10 {
            if rng.bool() {
                let at = restarts_at + 4 * word;
                let lie = rng.u32(0..restarts_at as u32);
                bytes[at..at + 4].copy_from_slice(&lie.to_le_bytes());
            }
        }
        let mut iter = Block::new(bytes.into())
            .unwrap()
            .iter(InternalComparator::default());
        for _ in 0..60 {
            let _ = match rng.u8(0..8) {
                0..4 => iter.prev(),
                4 => iter.next(),
                5 => iter.seek_to_last(),
                _ => iter.seek(&seek_key(&[b'k', rng.u8(0..6)], 1)),
            };
        }
    }
}
