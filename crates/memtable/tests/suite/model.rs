//! The memtable against a sorted map of the standard library.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use level_party_format::key::{InternalComparator, ValueType};
use level_party_format::{Comparator, CustomComparator, MAX_SEQUENCE};
use level_party_memtable::{HeapRegions, Lookup, MemIter, MemTable, MemTableWriter, RegionSource};

use crate::support::{Random, internal_key, writer};

/// (user key, sequence descending) to (type, value): the order of internal keys.
type Model = BTreeMap<(Vec<u8>, Reverse<u64>), (ValueType, Vec<u8>)>;

/// Few distinct bytes and lengths, so that keys repeat and share prefixes.
fn random_key(random: &mut Random) -> Vec<u8> {
    let len = random.below(6);
    (0..len)
        .map(|_| [0, 1, b'a', b'b', 0xff][random.below(5) as usize])
        .collect()
}

fn insert(
    writer: &mut MemTableWriter,
    model: &mut Model,
    entry: (Vec<u8>, u64, ValueType, Vec<u8>),
) {
    let (key, sequence, kind, value) = entry;
    writer.insert(&key, sequence, kind, &value).unwrap();
    model.insert((key, Reverse(sequence)), (kind, value));
}

fn random_entry(random: &mut Random, sequence: u64) -> (Vec<u8>, u64, ValueType, Vec<u8>) {
    let key = random_key(random);
    let value_len = random.below(40) as usize;
    match random.below(4) {
        0 => (key, sequence, ValueType::Deletion, Vec::new()),
        _ => (key, sequence, ValueType::Value, random.bytes(value_len)),
    }
}

fn model_get(model: &Model, key: &[u8], sequence: u64) -> Option<(u64, ValueType, Vec<u8>)> {
    let (found, (kind, value)) = model.range((key.to_vec(), Reverse(sequence))..).next()?;
    (found.0 == key).then(|| (found.1.0, *kind, value.clone()))
}

fn assert_lookup(table: &MemTable, model: &Model, key: &[u8], sequence: u64) {
    let expected = model_get(model, key, sequence);
    match (table.get(key, sequence), expected) {
        (Lookup::Absent, None) => {}
        (Lookup::Deleted { sequence }, Some((model_sequence, ValueType::Deletion, _))) => {
            assert_eq!(sequence, model_sequence);
        }
        (
            Lookup::Value { sequence, value },
            Some((model_sequence, ValueType::Value, model_value)),
        ) => {
            assert_eq!((sequence, value), (model_sequence, model_value));
        }
        (got, expected) => panic!("get({key:?}, {sequence}): {got:?} instead of {expected:?}"),
    }
}

/// All entries of the model as internal key and value.
fn flatten(model: &Model) -> Vec<(Vec<u8>, Vec<u8>)> {
    model
        .iter()
        .map(|((key, sequence), (kind, value))| {
            (internal_key(key, sequence.0, *kind), value.clone())
        })
        .collect()
}

fn assert_at(iter: &mut MemIter, expected: Option<&(Vec<u8>, Vec<u8>)>) {
    assert!(iter.value().is_empty(), "not loaded yet");
    iter.load_value();
    assert_eq!(iter.value_len(), iter.value().len());
    let got = iter.valid().then(|| (iter.key(), iter.value()));
    assert_eq!(got, expected.map(|(key, value)| (&key[..], &value[..])));
    iter.status().unwrap();
}

fn assert_same_walks(table: &MemTable, model: &Model, random: &mut Random) {
    let entries = flatten(model);
    let mut iter = table.iter();
    assert_at(&mut iter, None);
    iter.seek_to_first();
    for entry in &entries {
        assert_at(&mut iter, Some(entry));
        iter.next();
    }
    assert_at(&mut iter, None);
    iter.seek_to_last();
    for entry in entries.iter().rev() {
        assert_at(&mut iter, Some(entry));
        iter.prev();
    }
    assert_at(&mut iter, None);

    for _ in 0..20 {
        let target = internal_key(&random_key(random), random.below(2_500), ValueType::Value);
        iter.seek(&target);
        let order = InternalComparator::default();
        let mut at = entries
            .iter()
            .position(|(key, _)| order.compare(key, &target).is_ge());
        assert_at(&mut iter, at.map(|at| &entries[at]));
        // Turn around at random places.
        for _ in 0..30 {
            let Some(position) = at else { break };
            if random.below(2) == 0 {
                iter.next();
                at = Some(position + 1).filter(|next| *next < entries.len());
            } else {
                iter.prev();
                at = position.checked_sub(1);
            }
            assert_at(&mut iter, at.map(|at| &entries[at]));
        }
    }
}

#[test]
fn random_operations_answer_like_a_sorted_map() {
    for (seed, len) in [(1, 1 << 20), (2, 1 << 20), (3, 512 << 10), (4, 512 << 10)] {
        let mut random = Random(seed);
        let mut writer = writer(len);
        let mut model = Model::new();
        let table = writer.reader();
        for sequence in 1..=2_000 {
            let entry = random_entry(&mut random, sequence);
            insert(&mut writer, &mut model, entry);
            let key = random_key(&mut random);
            assert_lookup(&table, &model, &key, sequence);
            assert_lookup(&table, &model, &key, random.below(sequence + 1));
            if sequence % 400 == 0 {
                assert_same_walks(&table, &model, &mut random);
            }
        }
        assert_eq!(table.entries(), model.len());
    }
}

#[test]
fn any_order_of_arrival_gives_the_same_list() {
    type Arrange = fn(&mut Vec<u64>);
    let ascending: Arrange = |_| {};
    let arrangements: [Arrange; 5] = [
        ascending,
        |numbers| numbers.reverse(),
        // Sorted runs, as batches are.
        |numbers| numbers.sort_by_key(|number| (number % 7, *number)),
        // Up and down in turns.
        |numbers| {
            numbers.sort_by_key(|number| {
                (
                    number / 10,
                    if number / 10 % 2 == 0 {
                        *number
                    } else {
                        100_000 - *number
                    },
                )
            });
        },
        |numbers| numbers.sort_by_key(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    ];
    for arrange in arrangements {
        let mut numbers: Vec<u64> = (0..3_000).collect();
        arrange(&mut numbers);
        let mut writer = writer(1 << 20);
        let mut model = Model::new();
        for (at, number) in numbers.iter().enumerate() {
            let key = number.to_be_bytes().to_vec();
            insert(
                &mut writer,
                &mut model,
                (key, at as u64 + 1, ValueType::Value, vec![7]),
            );
        }
        assert_same_walks(&writer.reader(), &model, &mut Random(9));
        for number in numbers {
            assert_lookup(
                &writer.reader(),
                &model,
                &number.to_be_bytes(),
                MAX_SEQUENCE,
            );
            assert_lookup(
                &writer.reader(),
                &model,
                &(number + 3_000).to_be_bytes(),
                MAX_SEQUENCE,
            );
        }
    }
}

#[test]
fn sorted_runs_of_any_length_land_in_the_right_places() {
    let order = InternalComparator::default();
    for seed in 0..400 {
        let mut random = Random(seed);
        let mut writer = writer(64 << 10);
        let table = writer.reader();
        let mut sequence = 0;
        let mut keys = Vec::new();
        for _ in 0..=random.below(20) {
            let mut run: Vec<u64> = (0..random.below(20)).map(|_| random.below(1_000)).collect();
            run.sort_unstable();
            for key in run {
                sequence += 1;
                writer
                    .insert(&key.to_be_bytes(), sequence, ValueType::Value, b"")
                    .unwrap();
                keys.push((key, sequence));
            }
        }
        for (key, sequence) in &keys {
            let expected = Lookup::Value {
                sequence: *sequence,
                value: b"".to_vec(),
            };
            assert_eq!(
                table.get(&key.to_be_bytes(), *sequence),
                expected,
                "seed {seed}"
            );
        }
        let mut iter = table.iter();
        iter.seek_to_last();
        let last = iter.key().to_vec();
        let mut before: Option<Vec<u8>> = None;
        let mut count = 0;
        iter.seek_to_first();
        while iter.valid() {
            assert!(before.is_none_or(|before| order.compare(&before, iter.key()).is_lt()));
            before = Some(iter.key().to_vec());
            count += 1;
            iter.next();
        }
        assert_eq!((count, before.unwrap_or_default()), (keys.len(), last));
    }
}

#[test]
fn the_newest_version_at_or_below_a_sequence_is_found() {
    let mut writer = writer(64 << 10);
    writer.insert(b"k", 10, ValueType::Value, b"ten").unwrap();
    writer.insert(b"k", 20, ValueType::Deletion, b"").unwrap();
    writer.insert(b"k", 30, ValueType::Value, b"").unwrap();
    writer
        .insert(b"", 40, ValueType::Value, b"empty key")
        .unwrap();
    let table = writer.reader();
    assert_eq!(table.get(b"k", 9), Lookup::Absent);
    assert_eq!(
        table.get(b"k", 10),
        Lookup::Value {
            sequence: 10,
            value: b"ten".to_vec()
        }
    );
    assert_eq!(
        table.get(b"k", 19),
        Lookup::Value {
            sequence: 10,
            value: b"ten".to_vec()
        }
    );
    assert_eq!(table.get(b"k", 20), Lookup::Deleted { sequence: 20 });
    assert_eq!(table.get(b"k", 29), Lookup::Deleted { sequence: 20 });
    assert_eq!(
        table.get(b"k", u64::MAX),
        Lookup::Value {
            sequence: 30,
            value: b"".to_vec()
        }
    );
    assert_eq!(
        table.get(b"", MAX_SEQUENCE),
        Lookup::Value {
            sequence: 40,
            value: b"empty key".to_vec()
        }
    );
    assert_eq!(table.get(b"", 39), Lookup::Absent);
    assert_eq!(table.get(b"k\0", MAX_SEQUENCE), Lookup::Absent);
}

#[test]
fn an_entry_given_twice_is_found_as_given_last() {
    let mut writer = writer(64 << 10);
    for value in [b"a", b"b", b"c"] {
        writer.insert(b"k", 5, ValueType::Value, value).unwrap();
        writer.insert(b"l", 6, ValueType::Value, value).unwrap();
    }
    let table = writer.reader();
    assert_eq!(
        table.get(b"k", 5),
        Lookup::Value {
            sequence: 5,
            value: b"c".to_vec()
        }
    );
    let mut iter = table.iter();
    iter.seek_to_last();
    let mut entries = 0;
    while iter.valid() {
        entries += 1;
        iter.prev();
    }
    assert_eq!(entries, 6);
}

#[test]
fn an_iterator_outlives_its_writer_and_reader_and_sees_later_entries() {
    let mut writer = writer(64 << 10);
    writer.insert(b"a", 1, ValueType::Value, b"1").unwrap();
    let mut iter = writer.reader().iter();
    iter.seek_to_first();
    writer.insert(b"b", 2, ValueType::Value, b"2").unwrap();
    drop(writer);
    iter.next();
    iter.load_value();
    assert_eq!(
        (iter.key(), iter.value()),
        (&internal_key(b"b", 2, ValueType::Value)[..], &b"2"[..])
    );
    iter.next();
    assert!(!iter.valid());
    assert_eq!((iter.key(), iter.value()), (&b""[..], &b""[..]));
    iter.next();
    iter.prev();
    assert!(!iter.valid());
}

/// Lengths first; and keys that differ only in case are equal, which a filter of their bytes would miss.
struct ShortFirst;

impl CustomComparator for ShortFirst {
    fn name(&self) -> &'static str {
        "test.ShortFirst"
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> std::cmp::Ordering {
        let rank = |key: &[u8]| (key.len(), key.to_ascii_lowercase());
        rank(a).cmp(&rank(b))
    }
}

#[test]
fn a_comparator_of_the_caller_gives_order_and_equality() {
    let order = InternalComparator::new(Comparator::Custom(Arc::new(ShortFirst)));
    let region = HeapRegions::new().allocate(1 << 20).unwrap();
    let mut writer = MemTableWriter::create(region, order).unwrap();
    for (sequence, key) in (1..).zip([&b"bb"[..], b"A", b"ccc", b"b", b""]) {
        writer.insert(key, sequence, ValueType::Value, key).unwrap();
    }
    let table = writer.reader();
    assert_eq!(
        table.get(b"a", 9),
        Lookup::Value {
            sequence: 2,
            value: b"A".to_vec()
        }
    );
    let mut iter = table.iter();
    iter.seek_to_first();
    let mut seen = Vec::new();
    while iter.valid() {
        iter.load_value();
        seen.push(iter.value().to_vec());
        iter.next();
    }
    assert_eq!(seen, [&b""[..], b"A", b"b", b"bb", b"ccc"]);
}

/// The bytewise order, which panics when its fuse has burnt down.
struct Fused(AtomicU64);

impl CustomComparator for Fused {
    fn name(&self) -> &'static str {
        "test.Fused"
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> std::cmp::Ordering {
        let left = self.0.load(Relaxed);
        if left == 0 {
            // A panic without the message: there will be hundreds.
            std::panic::resume_unwind(Box::new("the fuse has burnt down"));
        }
        self.0.store(left - 1, Relaxed);
        a.cmp(b)
    }
}

#[test]
fn an_insert_cut_short_by_a_panicking_comparator_leaves_a_sound_list() {
    let fuse = Arc::new(Fused(AtomicU64::new(u64::MAX)));
    let order = InternalComparator::new(Comparator::Custom(fuse.clone()));
    let region = HeapRegions::new().allocate(1 << 20).unwrap();
    let mut writer = MemTableWriter::create(region, order).unwrap();
    let mut random = Random(5);
    let mut kept = Vec::new();
    let mut cut = 0;
    let mut base = 0;
    for sequence in 1..=4_000 {
        base = if random.below(5) == 0 {
            random.below(1_000_000)
        } else {
            base + random.below(300)
        };
        let key = base.to_be_bytes();
        let burning = random.below(3) == 0;
        fuse.0
            .store(if burning { random.below(12) } else { u64::MAX }, Relaxed);
        let insert = || {
            writer
                .insert(&key, sequence, ValueType::Value, b"v")
                .unwrap();
        };
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(insert)) {
            Ok(()) => kept.push((key, sequence)),
            Err(_) => cut += 1,
        }
    }
    fuse.0.store(u64::MAX, Relaxed);
    assert!(
        cut > 100 && kept.len() > 2_000,
        "{cut} cut, {} kept",
        kept.len()
    );
    let table = writer.reader();
    for (key, sequence) in &kept {
        assert_eq!(
            table.get(key, *sequence),
            Lookup::Value {
                sequence: *sequence,
                value: b"v".to_vec()
            }
        );
    }
    kept.sort_by_key(|(key, sequence)| (*key, Reverse(*sequence)));
    let mut iter = table.iter();
    iter.seek_to_first();
    for (key, sequence) in kept {
        assert_eq!(iter.key(), internal_key(&key, sequence, ValueType::Value));
        iter.next();
    }
    assert!(!iter.valid());
}
