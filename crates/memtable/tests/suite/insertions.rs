//! Entries in the order of their insertion.

use level_party_format::key::ValueType;
use level_party_memtable::{MemTable, MemTableWriter};

use crate::support::{Random, writer};

/// What was inserted: user key, and whether it was a deletion. The sequence is the place, counted from 1.
type Row = Vec<(Vec<u8>, bool)>;

fn insert_some(writer: &mut MemTableWriter, random: &mut Random, row: &mut Row, count: usize) {
    for _ in 0..count {
        // Also empty keys and values, and such that end within a word.
        let key_len = random.below(40) as usize;
        let value_len = random.below(60) as usize;
        let (key, value) = (random.bytes(key_len), random.bytes(value_len));
        let is_deletion = random.below(3) == 0;
        let kind = match is_deletion {
            true => ValueType::Deletion,
            false => ValueType::Value,
        };
        let sequence = row.len() as u64 + 1;
        writer.insert(&key, sequence, kind, &value).unwrap();
        row.push((key, is_deletion));
    }
}

fn walk(table: &MemTable, count: usize) -> Row {
    let mut place = table.first_inserted();
    let mut row = Row::new();
    for sequence in 1..=count as u64 {
        let (entry, behind) = table.inserted(place).expect("an entry that was inserted");
        assert_eq!(entry.sequence(), sequence);
        let mut key = Vec::new();
        entry.append_key(&mut key);
        row.push((key, entry.is_deletion()));
        place = behind;
    }
    row
}

#[test]
fn entries_are_met_in_the_order_of_their_insertion() {
    // With a filter and without.
    for len in [200_000, 3 << 20] {
        let mut writer = writer(len);
        let table = writer.reader();
        let (mut random, mut row) = (Random(len as u64), Row::new());
        for count in [1, 2, 30, 500, 1_000] {
            insert_some(&mut writer, &mut random, &mut row, count);
            assert!(walk(&table, row.len()) == row, "{} entries", row.len());
        }
    }
}

#[test]
fn last_entry_of_a_full_region_is_met() {
    for len in 1_000..1_100 {
        let mut writer = writer(len / 8 * 8);
        let mut count = 0;
        while writer
            .insert(b"k", count + 1, ValueType::Value, b"")
            .is_ok()
        {
            count += 1;
        }
        assert_eq!(walk(&writer.reader(), count as usize).len(), count as usize);
    }
}
