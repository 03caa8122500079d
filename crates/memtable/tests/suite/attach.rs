//! Several writers of one region, in turns.

use std::sync::Arc;

use level_party_format::key::{InternalComparator, ValueType};
use level_party_format::{Comparator, CustomComparator};
use level_party_memtable::{
    HeapRegions, InsertError, Lookup, MemTable, MemTableWriter, Region, RegionError, RegionSource,
};

use crate::support::{Owned, Random, image, internal_key};

fn order() -> InternalComparator {
    InternalComparator::default()
}

fn attach(bytes: &[u8]) -> Result<MemTableWriter, RegionError> {
    MemTableWriter::attach(Arc::new(Owned::copy_of(bytes)), order())
}

fn insert(writer: &mut MemTableWriter, key: u64, sequence: u64) {
    let inserted = writer.insert(
        &key.to_be_bytes(),
        sequence,
        ValueType::Value,
        &sequence.to_le_bytes(),
    );
    inserted.unwrap();
}

#[test]
fn writers_in_turns_make_one_sorted_list() {
    for len in [256 << 10, 2 << 20] {
        let region = HeapRegions::new().allocate(len).unwrap();
        let mut writers = vec![MemTableWriter::create(region.clone(), order()).unwrap()];
        for _ in 0..2 {
            writers.push(MemTableWriter::attach(region.clone(), order()).unwrap());
        }
        let mut random = Random(len as u64);
        let (mut keys, mut sequence, mut at) = (Vec::new(), 0, 0);
        for _ in 0..300 {
            let writer = &mut writers[at];
            writer.reload().unwrap();
            for _ in 0..random.below(4) {
                sequence += 1;
                let key = random.below(2_000);
                insert(writer, key, sequence);
                keys.push((key, sequence));
            }
            at = random.below(3) as usize;
        }
        let table = MemTable::open(region, order()).unwrap();
        assert_eq!(table.entries(), keys.len());
        for (key, sequence) in &keys {
            let value = sequence.to_le_bytes().to_vec();
            let expected = Lookup::Value {
                sequence: *sequence,
                value,
            };
            assert_eq!(table.get(&key.to_be_bytes(), *sequence), expected);
        }
        keys.sort_by_key(|(key, sequence)| (*key, u64::MAX - sequence));
        let mut iter = table.iter();
        iter.seek_to_first();
        for (key, sequence) in &keys {
            let expected = internal_key(&key.to_be_bytes(), *sequence, ValueType::Value);
            assert_eq!(iter.key(), expected);
            iter.next();
        }
        assert!(!iter.valid());
    }
}

#[test]
fn attached_writer_has_the_room_that_is_left() {
    let region = HeapRegions::new().allocate(8_192).unwrap();
    let mut first = MemTableWriter::create(region.clone(), order()).unwrap();
    for n in 0..20 {
        insert(&mut first, n, n + 1);
    }
    let second = MemTableWriter::attach(region, order()).unwrap();
    assert_eq!(second.remaining(), first.remaining());
    assert_eq!(second.reader().entries(), 20);
}

/// What another writer's insertion changes may be seen half done: links first, the end of the entries last.
#[test]
fn writer_attached_beside_another_looks_at_nothing_that_changes() {
    let empty = image(16 << 10, |_| {});
    let mut filled = image(16 << 10, |writer| {
        for n in 0..10 {
            insert(writer, n, n + 1);
        }
    });
    let allocated = 8 * 16;
    filled[allocated..allocated + 8].copy_from_slice(&empty[allocated..allocated + 8]);
    let beside = |bytes: &[u8]| {
        MemTableWriter::attach_beside(Arc::new(Owned::copy_of(bytes)), order()).unwrap()
    };
    let mut writer = beside(&filled);
    assert_eq!(writer.remaining(), writer.capacity());
    assert_eq!(writer.capacity(), beside(&empty).remaining());
    let refused = writer.reload();
    assert!(matches!(refused, Err(RegionError::Impossible { .. })));
}

fn put64(image: &mut [u8], index: usize, word: u64) {
    image[8 * index..8 * index + 8].copy_from_slice(&word.to_ne_bytes());
}

#[test]
fn region_that_makes_no_sense_is_refused_by_a_writer() {
    let good = image(16 << 10, |writer| {
        for n in 0..10 {
            insert(writer, n, n + 1);
        }
    });
    assert!(attach(&good).is_ok());
    let changed = |index, word| {
        let mut bytes = good.clone();
        put64(&mut bytes, index, word);
        attach(&bytes).err()
    };
    assert_eq!(changed(0, 0), Some(RegionError::NoMemtable));
    assert_eq!(changed(1, 1), Some(RegionError::OtherLayout { found: 1 }));
    let words = good.len() as u64 / 8;
    // Limit, filter, height, allocated, entries, links of the head: level 0 is the high half of word 30.
    for (index, word) in [
        (2, 0),
        (2, words + 1),
        (2, u64::MAX),
        (3, 1),
        (3, 8_192),
        (4, 0),
        (4, 13),
        (4, u64::MAX),
        (16, 31),
        (16, words + 1),
        (16, u64::MAX),
        (17, words),
        (17, u64::MAX),
        (30, 31 | 32 << 32),
        (30, 31 | words << 32),
        (24, 33),
    ] {
        let Some(RegionError::Impossible { value, .. }) = changed(index, word) else {
            panic!("word {index} may not be {word}");
        };
        assert!(value == word || index >= 24, "{value} in place of {word}");
    }
}

#[test]
fn reload_that_is_refused_changes_nothing() {
    let owned = Arc::new(Owned::copy_of(&image(16 << 10, |writer| {
        insert(writer, 1, 1);
    })));
    let mut writer = MemTableWriter::attach(owned.clone(), order()).unwrap();
    let room = writer.remaining();
    owned.store(4, 99);
    assert!(matches!(
        writer.reload(),
        Err(RegionError::Impossible {
            field: "height",
            offset: 32,
            value: 99
        })
    ));
    owned.store(4, 2);
    assert_eq!(writer.remaining(), room);
    writer.reload().unwrap();
    insert(&mut writer, 2, 2);
}

struct Backward;

impl CustomComparator for Backward {
    fn name(&self) -> &'static str {
        "test.Backward"
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> std::cmp::Ordering {
        b.cmp(a)
    }
}

#[test]
fn region_with_a_filter_is_refused_by_a_writer_of_another_order() {
    let region = HeapRegions::new().allocate(2 << 20).unwrap();
    let _first = MemTableWriter::create(region.clone(), order()).unwrap();
    let backward = InternalComparator::new(Comparator::Custom(Arc::new(Backward)));
    assert!(MemTableWriter::attach(region, backward).is_err());
}

#[test]
fn writer_in_a_region_of_random_words_stays_inside() {
    let good = image(16 << 10, |writer| {
        for n in 0..100 {
            insert(writer, n * 37 % 101, n + 1);
        }
    });
    let mut random = Random(7);
    let (mut refused, mut damaged) = (0, 0);
    for round in 0..2_000_u64 {
        let mut bytes = good.clone();
        for _ in 0..=(round % 30) {
            let index = 4 + random.below(bytes.len() as u64 / 8 - 4) as usize;
            let mut half = || match random.below(2) {
                0 => random.below(good.len() as u64 / 8),
                _ => random.next() >> 32,
            };
            let word = half() | half() << 32;
            put64(&mut bytes, index, word);
        }
        // Words around the region show what is stored outside.
        let owned = Arc::new(Owned::copy_of(&bytes));
        let Ok(mut writer) = MemTableWriter::attach(owned.clone(), order()) else {
            refused += 1;
            continue;
        };
        for n in 0..20 {
            let key = random.below(110).to_be_bytes();
            match writer.insert(&key, 200 + n, ValueType::Value, b"value") {
                Ok(()) | Err(InsertError::Full) => {}
                Err(InsertError::Damaged) => damaged += 1,
            }
        }
        assert!(owned.surroundings_are_untouched());
        let _ = writer.reader().get(&random.below(110).to_be_bytes(), 300);
    }
    assert!(
        refused > 0 && damaged > 0,
        "{refused} refused, {damaged} damaged"
    );
}

#[test]
fn entries_beyond_the_published_one_can_be_passed_over() {
    let region = HeapRegions::new().allocate(64 << 10).unwrap();
    let mut writer = MemTableWriter::create(region, order()).unwrap();
    for (sequence, key) in [
        (1, b"b"),
        (2, b"d"),
        (3, b"a"),
        (4, b"b"),
        (5, b"c"),
        (6, b"e"),
    ] {
        let inserted = writer.insert(key, sequence, ValueType::Value, b"");
        inserted.unwrap();
    }
    // As a writer leaves it that died after it inserted some.
    let table = writer.reader();
    let last = 2;
    assert_eq!(table.get(b"c", last), Lookup::Absent);
    let value = Vec::new();
    let expected = Lookup::Value { sequence: 1, value };
    assert_eq!(table.get(b"b", last), expected);
    let expected = [
        internal_key(b"b", 1, ValueType::Value),
        internal_key(b"d", 2, ValueType::Value),
    ];
    let mut iter = table.iter_up_to(last);
    let mut seen = Vec::new();
    iter.seek_to_first();
    while iter.valid() {
        seen.push(iter.key().to_vec());
        iter.next();
    }
    assert_eq!(seen, expected);
    iter.seek_to_last();
    while iter.valid() {
        assert_eq!(Some(iter.key()), seen.pop().as_deref());
        iter.prev();
    }
    assert!(seen.is_empty());
    iter.seek(&internal_key(b"c", 9, ValueType::Value));
    assert_eq!(iter.key(), expected[1]);
    iter.prev();
    assert_eq!(iter.key(), expected[0]);
}

/// The heap's region is an `Arc` that several writers may hold.
#[test]
fn region_set_up_again_is_empty_for_those_who_read_it() {
    let region: Arc<dyn Region> = HeapRegions::new().allocate(64 << 10).unwrap();
    let mut first = MemTableWriter::create(region.clone(), order()).unwrap();
    insert(&mut first, 1, 1);
    let table = first.reader();
    let _second = MemTableWriter::create(region, order()).unwrap();
    assert_eq!(table.entries(), 0);
    assert_eq!(table.get(&1_u64.to_be_bytes(), 9), Lookup::Absent);
}
