//! Regions that hold anything but an honest memtable: every operation ends, and stays inside the region.

use std::sync::Arc;

use level_party_format::key::{InternalComparator, ValueType};
use level_party_memtable::{Lookup, MemTable, MemTableWriter};

use crate::support::{Bytes, Random, image, internal_key};

/// Index of the head, in words of 8 bytes.
const HEAD: usize = 31;
const LIMIT_FIELD: usize = 16;
const HEIGHT_FIELD: usize = 32;

fn fill(writer: &mut MemTableWriter) {
    for n in 0..200_u64 {
        let value = vec![n as u8; n as usize % 20];
        writer
            .insert(
                &(n * 37 % 101).to_be_bytes(),
                n + 1,
                ValueType::Value,
                &value,
            )
            .unwrap();
    }
}

/// Does everything a reader can do.
fn exercise(bytes: &[u8], random: &mut Random) {
    let Ok(table) = MemTable::open(
        Arc::new(Bytes::copy_of(bytes)),
        InternalComparator::default(),
    ) else {
        return;
    };
    let inside = |slice: &[u8]| assert!(slice.len() <= bytes.len());
    assert!(table.bytes_used() <= bytes.len());
    let _ = table.entries();
    for _ in 0..20 {
        let key = random.below(110).to_be_bytes();
        if let Lookup::Value { value, .. } = table.get(&key, random.below(300)) {
            inside(&value);
        }
    }
    let mut place = table.first_inserted();
    let mut key = Vec::new();
    while let Some((entry, behind)) = table.inserted(place) {
        key.clear();
        entry.append_key(&mut key);
        inside(&key);
        assert!(place != behind, "a walk that does not end");
        place = behind;
    }
    let mut iter = table.iter();
    for start in 0..4 {
        for forward in [true, false] {
            match start {
                0 => iter.seek_to_first(),
                1 => iter.seek_to_last(),
                2 => iter.seek(&internal_key(
                    &random.below(110).to_be_bytes(),
                    5,
                    ValueType::Value,
                )),
                _ => iter.seek(&random.bytes(start)),
            }
            while iter.valid() {
                iter.load_value();
                inside(iter.key());
                inside(iter.value());
                assert!(iter.key().len() >= 8);
                if forward { iter.next() } else { iter.prev() }
            }
        }
    }
}

fn put32(image: &mut [u8], at: usize, word: u32) {
    image[at..at + 4].copy_from_slice(&word.to_ne_bytes());
}

#[test]
fn random_bytes_anywhere_do_no_harm() {
    let good = image(16 << 10, fill);
    let mut random = Random(1);
    for round in 0..2_000_u64 {
        let mut bytes = good.clone();
        for _ in 0..=(round % 40) {
            let at = random.below(bytes.len() as u64) as usize;
            let len = 1 + random.below(8) as usize;
            for byte in bytes.iter_mut().skip(at).take(len) {
                *byte = random.next() as u8;
            }
        }
        exercise(&bytes, &mut random);
    }
}

#[test]
fn random_words_in_the_links_do_no_harm() {
    let good = image(16 << 10, fill);
    let used = MemTable::open(
        Arc::new(Bytes::copy_of(&good)),
        InternalComparator::default(),
    )
    .unwrap()
    .bytes_used();
    let mut random = Random(2);
    for round in 0..3_000_u64 {
        let mut bytes = good.clone();
        for _ in 0..=(round % 30) {
            // The head's links and all words of entries; the header stays right.
            let at = 192 + 4 * random.below((64 + used as u64) / 4) as usize;
            let edge = [
                0,
                4,
                HEAD as u32,
                32,
                33,
                good.len() as u32 / 8 - 2,
                good.len() as u32 / 8,
                u32::MAX,
            ];
            let word = match random.below(3) {
                0 => edge[random.below(edge.len() as u64) as usize],
                1 => random.below(good.len() as u64 / 8) as u32,
                _ => random.next() as u32,
            };
            put32(&mut bytes, at, word);
        }
        exercise(&bytes, &mut random);
    }
}

#[test]
fn wholly_random_regions_behind_a_right_header_do_no_harm() {
    let good = image(8 << 10, fill_little);
    let mut random = Random(3);
    for round in 0..500 {
        let mut bytes = good.clone();
        let start = if round % 2 == 0 { 192 } else { 32 };
        let noise = random.bytes(bytes.len() - start);
        bytes[start..].copy_from_slice(&noise);
        // Small words lead inside more often.
        for at in (start..bytes.len() - 4).step_by(4) {
            if random.below(2) == 0 {
                let word = random.below(good.len() as u64 / 8) as u32;
                put32(&mut bytes, at, word);
            }
        }
        exercise(&bytes, &mut random);
    }
}

fn fill_little(writer: &mut MemTableWriter) {
    for n in 0..10_u64 {
        writer
            .insert(&n.to_be_bytes(), n + 1, ValueType::Value, b"v")
            .unwrap();
    }
}

#[test]
fn any_word_of_the_header_may_lie() {
    let good = image(2 << 20, fill);
    let mut random = Random(4);
    for at in (0..256).step_by(4) {
        for word in [
            0,
            1,
            4,
            12,
            13,
            HEAD as u32,
            32,
            33,
            8_192,
            1 << 18,
            (1 << 18) - 1,
            1 << 31,
            u32::MAX,
        ] {
            let mut bytes = good.clone();
            put32(&mut bytes, at, word);
            exercise(&bytes, &mut random);
        }
    }
    for limit in [32, 33, 34, 36, 8_223, 8_224, 8_225, 8_800] {
        let mut bytes = good.clone();
        put32(&mut bytes, LIMIT_FIELD, limit);
        exercise(&bytes, &mut random);
    }
}

/// The index of the entry that the head's link on level 0 leads to. A word's halves are told apart by arithmetic, not by
/// where they lie.
fn first_entry(bytes: &[u8]) -> usize {
    (get64(bytes, HEAD - 1) >> 32) as usize
}

fn get64(image: &[u8], index: usize) -> u64 {
    u64::from_ne_bytes(image[8 * index..8 * index + 8].try_into().unwrap())
}

fn put64(image: &mut [u8], index: usize, word: u64) {
    image[8 * index..8 * index + 8].copy_from_slice(&word.to_ne_bytes());
}

fn pair(low: usize, high: usize) -> u64 {
    low as u64 | (high as u64) << 32
}

#[test]
fn a_circle_ends_as_corruption_in_both_directions() {
    let good = image(16 << 10, fill_little);
    let first = first_entry(&good);
    let mut circle = good.clone();
    // One level only, or a search could pass above the circle.
    put64(&mut circle, HEIGHT_FIELD / 8, 1);
    // The first entry leads to itself, both ways.
    put64(&mut circle, first - 1, pair(first, first));
    let table = MemTable::open(
        Arc::new(Bytes::copy_of(&circle)),
        InternalComparator::default(),
    )
    .unwrap();
    for forward in [true, false] {
        let mut iter = table.iter();
        iter.seek_to_first();
        assert!(iter.valid());
        while iter.valid() {
            if forward { iter.next() } else { iter.prev() }
        }
        assert!(iter.status().is_err());
        iter.seek_to_first();
        assert!(iter.status().is_ok(), "a seek begins anew");
    }
    // A search past the circle, and one for the end of the list, end too.
    assert_eq!(table.get(&[0xff], 100), Lookup::Absent);
    let mut iter = table.iter();
    iter.seek(&internal_key(&[0xff], 1, ValueType::Value));
    assert!(!iter.valid() && iter.status().is_err());
    iter.seek_to_last();
    assert!(!iter.valid() && iter.status().is_err());
}

#[test]
fn a_link_out_of_the_region_is_corruption() {
    let good = image(16 << 10, fill_little);
    let first = first_entry(&good);
    let words = good.len() / 8;
    for bad in [1, 30, HEAD, 32, words - 1, words, u32::MAX as usize] {
        let mut bytes = good.clone();
        put64(&mut bytes, first - 1, pair(HEAD, bad));
        let table = MemTable::open(
            Arc::new(Bytes::copy_of(&bytes)),
            InternalComparator::default(),
        )
        .unwrap();
        let mut iter = table.iter();
        iter.seek_to_first();
        iter.next();
        assert!(!iter.valid() && iter.status().is_err(), "{bad}");
    }
    for (key, value) in [
        (good.len(), 1),
        (u32::MAX as usize, 1),
        (8, good.len()),
        (8, u32::MAX as usize),
        (u32::MAX as usize, u32::MAX as usize),
    ] {
        let mut bytes = good.clone();
        put64(&mut bytes, first, pair(key, value));
        let table = MemTable::open(
            Arc::new(Bytes::copy_of(&bytes)),
            InternalComparator::default(),
        )
        .unwrap();
        let mut iter = table.iter();
        iter.seek_to_first();
        assert!(
            !iter.valid() && iter.status().is_err(),
            "lengths {key} and {value}"
        );
    }
}

#[test]
fn an_unknown_type_is_absent() {
    let mut bytes = image(16 << 10, fill_little);
    let first = first_entry(&bytes);
    // The tag's low byte is the type.
    put64(&mut bytes, first + 1, 1 << 8 | 9);
    let table = MemTable::open(
        Arc::new(Bytes::copy_of(&bytes)),
        InternalComparator::default(),
    )
    .unwrap();
    assert_eq!(table.get(&0_u64.to_be_bytes(), 100), Lookup::Absent);
}
