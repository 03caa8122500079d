//! Regions that hold anything but an honest memtable: every operation ends, and stays inside the region.

use std::sync::Arc;

use level_party_format::key::{InternalComparator, ValueType};
use level_party_memtable::{Lookup, MemTable, MemTableWriter};

use crate::support::{Bytes, Random, image, internal_key};

const HEAD: usize = 240;
const LIMIT_FIELD: usize = 12;
const HEIGHT_FIELD: usize = 24;

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
    writer.publish(200);
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
    let _ = (table.last_sequence(), table.entries());
    for _ in 0..20 {
        let key = random.below(110).to_be_bytes();
        if let Lookup::Value { value, .. } = table.get(&key, random.below(300)) {
            inside(value);
        }
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
        for _ in 0..1 + round % 40 {
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
        for _ in 0..1 + round % 30 {
            // The head's links and all words of entries; the header stays right.
            let at = 192 + 4 * random.below((64 + used as u64) / 4) as usize;
            let edge = [
                0,
                4,
                HEAD as u32,
                256,
                260,
                good.len() as u32 - 12,
                good.len() as u32,
                u32::MAX,
            ];
            let word = match random.below(3) {
                0 => edge[random.below(edge.len() as u64) as usize],
                1 => random.below(good.len() as u64) as u32 & !3,
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
        let start = if round % 2 == 0 { 192 } else { 24 };
        let noise = random.bytes(bytes.len() - start);
        bytes[start..].copy_from_slice(&noise);
        // Aligned small words lead inside more often.
        for at in (start..bytes.len() - 4).step_by(4) {
            if random.below(2) == 0 {
                let word = random.below(good.len() as u64) as u32 & !3;
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
            255,
            256,
            65_536,
            1 << 21,
            (1 << 21) - 1,
            1 << 31,
            u32::MAX,
        ] {
            let mut bytes = good.clone();
            put32(&mut bytes, at, word);
            exercise(&bytes, &mut random);
        }
    }
    for limit in [256, 259, 260, 272, 65_792, 65_800, 70_000, 70_001, 70_003] {
        let mut bytes = good.clone();
        put32(&mut bytes, LIMIT_FIELD, limit);
        exercise(&bytes, &mut random);
    }
}

/// The offset of the entry that the head's link on level 0 leads to.
fn first_entry(bytes: &[u8]) -> usize {
    u32::from_ne_bytes(bytes[HEAD - 4..HEAD].try_into().unwrap()) as usize
}

#[test]
fn a_circle_ends_as_corruption_in_both_directions() {
    let good = image(16 << 10, fill_little);
    let first = first_entry(&good);
    let mut circle = good.clone();
    // One level only, or a search could pass above the circle.
    put32(&mut circle, HEIGHT_FIELD, 1);
    // The first entry leads to itself, both ways.
    put32(&mut circle, first - 4, first as u32);
    put32(&mut circle, first, first as u32);
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
    for bad in [
        1,
        100,
        255,
        256,
        261,
        good.len() as u32 - 8,
        good.len() as u32,
        u32::MAX,
    ] {
        let mut bytes = good.clone();
        put32(&mut bytes, first - 4, bad);
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
    for (at, bad) in [
        (4, 7),
        (4, good.len() as u32),
        (4, u32::MAX),
        (8, good.len() as u32),
        (8, u32::MAX),
    ] {
        let mut bytes = good.clone();
        put32(&mut bytes, first + at, bad);
        let table = MemTable::open(
            Arc::new(Bytes::copy_of(&bytes)),
            InternalComparator::default(),
        )
        .unwrap();
        let mut iter = table.iter();
        iter.seek_to_first();
        assert!(
            !iter.valid() && iter.status().is_err(),
            "length {bad} at {at}"
        );
    }
}

#[test]
fn an_unknown_type_is_absent() {
    let mut bytes = image(16 << 10, fill_little);
    let first = first_entry(&bytes);
    // The tag's low byte is the type: behind the key's 8 bytes.
    bytes[first + 12 + 8] = 9;
    let table = MemTable::open(
        Arc::new(Bytes::copy_of(&bytes)),
        InternalComparator::default(),
    )
    .unwrap();
    assert_eq!(table.get(&0_u64.to_be_bytes(), 100), Lookup::Absent);
}
