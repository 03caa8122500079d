use super::*;
use bytes::Bytes;

#[test]
fn the_hash_has_leveldbs_values_tail_bytes_unsigned() {
    let long: [u8; 48] = [
        0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0, 0, 0,
        0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0,
    ];
    assert_eq!(hash(b"", 0xbc9f_1d34), 0xbc9f_1d34);
    assert_eq!(hash(&[0x62], 0xbc9f_1d34), 0xef13_45c4);
    assert_eq!(hash(&[0xc3, 0x97], 0xbc9f_1d34), 0x5b66_3814);
    assert_eq!(hash(&[0xe2, 0x99, 0xa5], 0xbc9f_1d34), 0x323c_078f);
    assert_eq!(hash(&[0xe1, 0x80, 0xb9, 0x32], 0xbc9f_1d34), 0xed21_633a);
    assert_eq!(hash(&long, 0x1234_5678), 0xf333_dabb);
}

#[test]
fn probes_are_bits_times_069_rounded_down_between_1_and_30() {
    for (bits, probes) in [
        (0, 1),
        (1, 1),
        (2, 1),
        (3, 2),
        (10, 6),
        (43, 29),
        (44, 30),
        (1000, 30),
    ] {
        let mut filter = Vec::new();
        BloomPolicy::new(bits).create_filter(&[b"k"], &mut filter);
        assert_eq!(*filter.last().unwrap(), probes, "{bits} bits");
    }
}

#[test]
fn a_small_filter_has_64_bits_and_leveldbs_bytes() {
    let mut filter = Vec::new();
    BloomPolicy::new(10).create_filter(&[b"hello", b"world"], &mut filter);
    assert_eq!(filter.len(), 9);
    assert_eq!(filter[8], 6);
    assert!(BloomPolicy::key_may_match(b"hello", &filter));
    assert!(BloomPolicy::key_may_match(b"world", &filter));
    assert!(!BloomPolicy::key_may_match(b"x", &filter));
    assert!(!BloomPolicy::key_may_match(b"foo", &filter));
}

#[test]
fn filters_of_all_sizes_match_their_keys_and_few_others() {
    let policy = BloomPolicy::new(10);
    let mut mediocre = 0;
    for length in [1, 2, 5, 10, 50, 100, 500, 1000, 10_000u32] {
        let keys: Vec<[u8; 4]> = (0..length).map(u32::to_le_bytes).collect();
        let refs: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let mut filter = b"before".to_vec();
        policy.create_filter(&refs, &mut filter);
        let filter = filter.strip_prefix(b"before").unwrap();
        assert!(filter.len() <= length as usize * 10 / 8 + 40);
        assert!(
            keys.iter()
                .all(|key| BloomPolicy::key_may_match(key, filter))
        );
        let false_positives = (0..10_000u32)
            .filter(|i| BloomPolicy::key_may_match(&(i + 1_000_000_000).to_le_bytes(), filter))
            .count();
        assert!(false_positives <= 200, "{length}: {false_positives}");
        mediocre += usize::from(false_positives > 125);
    }
    assert!(mediocre <= 2);
}

#[test]
fn empty_filter_matches_nothing_and_unknown_one_all() {
    assert!(!BloomPolicy::key_may_match(b"k", b""));
    assert!(!BloomPolicy::key_may_match(b"k", &[6]));
    assert!(!BloomPolicy::key_may_match(b"k", &[31]));
    assert!(
        BloomPolicy::key_may_match(b"k", &[0, 31]),
        "an encoding to come"
    );
    assert!(BloomPolicy::key_may_match(b"k", &[0, 255]));
    assert!(BloomPolicy::key_may_match(b"k", &[0, 0]), "no probes");
    assert!(!BloomPolicy::key_may_match(b"k", &[0, 30]));
}

fn build(blocks: &[(u64, &[&str])]) -> Vec<u8> {
    let mut builder = FilterBlockBuilder::new(BloomPolicy::new(10));
    for (offset, keys) in blocks {
        builder.start_block(*offset);
        for key in *keys {
            builder.add_key(key.as_bytes());
        }
    }
    builder.finish()
}

fn open(bytes: &[u8]) -> FilterBlock {
    FilterBlock::new(Bytes::copy_from_slice(bytes)).unwrap()
}

#[test]
fn a_builder_without_keys_gives_the_array_offset_and_base_alone() {
    assert_eq!(build(&[]), [0, 0, 0, 0, 11]);
    let filters = open(&[0, 0, 0, 0, 11]);
    assert!(filters.may_match(0, b"foo"), "out of range is maybe");
    assert!(filters.may_match(100_000, b"foo"));
}

#[test]
fn blocks_within_two_kib_share_a_filter() {
    let bytes = build(&[(0, &["foo"]), (100, &["bar", "box"]), (300, &["hello"])]);
    let filters = open(&bytes);
    for key in ["foo", "bar", "box", "hello"] {
        assert!(filters.may_match(100, key.as_bytes()));
    }
    assert!(!filters.may_match(100, b"missing"));
    assert!(!filters.may_match(2047, b"other"));
    assert!(
        filters.may_match(2048, b"missing"),
        "beyond the last filter"
    );
}

#[test]
fn filter_covers_its_range_and_skipped_ones_match_nothing() {
    let bytes = build(&[
        (0, &["foo"]),
        (2000, &["bar"]),
        (3100, &["box"]),
        (9000, &["box", "hello"]),
    ]);
    let filters = open(&bytes);
    assert!(filters.may_match(0, b"foo") && filters.may_match(2000, b"bar"));
    assert!(!filters.may_match(0, b"box") && !filters.may_match(0, b"hello"));
    assert!(filters.may_match(3100, b"box"));
    assert!(!filters.may_match(3100, b"foo") && !filters.may_match(3100, b"hello"));
    for key in ["foo", "bar", "box", "hello"] {
        assert!(!filters.may_match(4100, key.as_bytes()), "the empty filter");
    }
    assert!(filters.may_match(9000, b"box") && filters.may_match(9000, b"hello"));
    assert!(!filters.may_match(9000, b"foo") && !filters.may_match(9000, b"bar"));
}

#[test]
fn senseless_filter_blocks_are_refused() {
    for len in 0..5 {
        assert!(FilterBlock::new(Bytes::from(vec![0; len])).is_none());
    }
    assert!(
        FilterBlock::new(Bytes::from_static(&[1, 0, 0, 0, 11])).is_none(),
        "array outside"
    );
    assert!(
        FilterBlock::new(Bytes::from_static(&[0, 0, 0, 0, 64])).is_none(),
        "shift too wide"
    );
    assert!(FilterBlock::new(Bytes::from_static(&[0, 0, 0, 0, 63])).is_some());
}

#[test]
fn senseless_filter_offsets_match_all_unless_empty() {
    // One filter whose start is 9: beyond its limit (0, the array's offset).
    let filters = open(&[9, 0, 0, 0, 0, 0, 0, 0, 11]);
    assert!(filters.may_match(0, b"k"));
    // Two filters that start and end outside the data.
    let filters = open(&[9, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 11]);
    assert!(!filters.may_match(0, b"k"));
    assert!(filters.may_match(2048, b"k"));
}

#[test]
fn changed_bytes_and_truncations_never_panic() {
    let bytes = build(&[(0, &["foo"]), (2100, &["bar", "box"]), (9000, &["x"])]);
    for i in 0..bytes.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff, bytes[i].wrapping_add(1)] {
            let mut changed = bytes.clone();
            changed[i] = byte;
            ask_everywhere(&changed);
        }
        ask_everywhere(&bytes[..i]);
    }
}

fn ask_everywhere(bytes: &[u8]) {
    if let Some(filters) = FilterBlock::new(Bytes::copy_from_slice(bytes)) {
        for offset in [0, 2048, 9000, u64::from(u32::MAX), u64::MAX] {
            filters.may_match(offset, b"bar");
        }
    }
}
