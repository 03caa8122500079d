//! Regions: how a memtable starts, fills up, is opened elsewhere, and how its memory comes back.

use std::sync::Arc;

use level_party_format::key::{InternalComparator, ValueType};
use level_party_memtable::{
    HeapRegions, InsertError, Lookup, MemTable, MemTableWriter, REGION_OVERHEAD, Region,
    RegionError, RegionSource,
};

use crate::support::{Bytes, Random, Watched, bytes_of, image, writer};

fn walk(table: &MemTable) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut iter = table.iter();
    let mut out = Vec::new();
    iter.seek_to_first();
    while iter.valid() {
        iter.load_value();
        out.push((iter.key().to_vec(), iter.value().to_vec()));
        iter.next();
    }
    out
}

#[test]
fn a_full_memtable_refuses_and_stays_as_it_was() {
    for len in [1_000, 4_096, 100_000] {
        let mut writer = writer(len);
        let mut sequence = 0;
        let mut random = Random(len as u64);
        let value = [1; 30];
        while writer
            .insert(&random.bytes(9), sequence + 1, ValueType::Value, &value)
            .is_ok()
        {
            sequence += 1;
        }
        let table = writer.reader();
        let before = (
            walk(&table),
            table.entries(),
            table.bytes_used(),
            writer.remaining(),
        );
        assert_eq!(before.1 as u64, sequence);
        for value_len in [100, 1_000, usize::MAX / 2] {
            let huge = vec![0; value_len.min(200_000)];
            assert_eq!(
                writer.insert(b"more", sequence + 1, ValueType::Value, &huge),
                Err(InsertError::Full)
            );
        }
        assert_eq!(
            before,
            (
                walk(&table),
                table.entries(),
                table.bytes_used(),
                writer.remaining()
            )
        );

        // What fits still goes in, in the right place.
        let mut small = 0;
        while writer
            .insert(b"", sequence + 1, ValueType::Deletion, b"")
            .is_ok()
        {
            sequence += 1;
            small += 1;
        }
        assert_eq!(walk(&table).len(), before.0.len() + small);
        assert_eq!(&walk(&table)[small..], &before.0[..]);
    }
}

#[test]
fn what_bytes_for_promises_always_fits() {
    for spare in [0, 1, 2, 3, 4, 5, 6, 7, 100] {
        let lens: Vec<(usize, usize)> = (0..300).map(|n| (n % 23, n * 7 % 101)).collect();
        let sum: usize = lens
            .iter()
            .map(|(key, value)| MemTableWriter::bytes_for(*key, *value))
            .sum();
        let mut writer = writer(REGION_OVERHEAD + sum + spare);
        assert!(writer.remaining() >= sum + spare);
        for (sequence, (key_len, value_len)) in (1..).zip(lens) {
            let before = writer.remaining();
            writer
                .insert(
                    &vec![5; key_len],
                    sequence,
                    ValueType::Value,
                    &vec![6; value_len],
                )
                .unwrap();
            assert!(before - writer.remaining() <= MemTableWriter::bytes_for(key_len, value_len));
        }
    }
    assert_eq!(
        MemTableWriter::bytes_for(usize::MAX, usize::MAX),
        usize::MAX
    );
}

#[test]
fn large_regions_keep_the_promised_room_beside_their_filter() {
    for entries_len in [900 << 10, 1 << 20, 4 << 20] {
        let writer = writer(REGION_OVERHEAD + entries_len);
        assert!(writer.remaining() >= entries_len);
        assert_eq!(writer.reader().bytes_used(), 0);
    }
}

#[test]
fn an_image_at_another_address_reads_the_same() {
    for len in [256 << 10, 2 << 20] {
        let fill = |writer: &mut MemTableWriter| {
            for n in 0..1_000_u64 {
                writer
                    .insert(
                        &(n * n % 1_009).to_be_bytes(),
                        n + 1,
                        ValueType::Value,
                        &n.to_le_bytes(),
                    )
                    .unwrap();
            }
        };
        let mut original = writer(len);
        fill(&mut original);
        let original = original.reader();
        let copy = MemTable::open(
            Arc::new(Bytes::copy_of(&image(len, fill))),
            InternalComparator::default(),
        )
        .unwrap();
        assert_eq!(walk(&copy), walk(&original));
        assert_eq!(walk(&copy).len(), 1_000);
        assert_eq!(
            (copy.entries(), copy.bytes_used()),
            (original.entries(), original.bytes_used())
        );
        for n in 0..1_100_u64 {
            assert_eq!(
                copy.get(&n.to_be_bytes(), 900),
                original.get(&n.to_be_bytes(), 900)
            );
        }
    }
}

#[test]
fn whatever_was_in_a_region_a_new_memtable_is_empty() {
    let regions = HeapRegions::new();
    let mut address = None;
    for round in 1..=3_u64 {
        let region = regions.allocate(1 << 20).unwrap();
        assert_eq!(*address.get_or_insert(region.ptr()), region.ptr());
        let mut writer = MemTableWriter::create(region, InternalComparator::default()).unwrap();
        let table = writer.reader();
        assert_eq!((table.entries(), table.bytes_used()), (0, 0));
        assert_eq!(walk(&table), []);
        let mut iter = table.iter();
        iter.seek_to_last();
        assert!(!iter.valid());
        for n in 0..2_000_u64 {
            assert_eq!(table.get(&n.to_be_bytes(), u64::MAX), Lookup::Absent);
        }
        for n in 0..2_000_u64 {
            writer
                .insert(&n.to_be_bytes(), n, ValueType::Value, &round.to_be_bytes())
                .unwrap();
        }
    }
}

#[test]
fn a_used_region_starts_with_a_clean_filter() {
    let regions = HeapRegions::new();
    for _ in 0..2 {
        let memory = regions.allocate(1 << 20).unwrap();
        let watched = Arc::new(Watched(memory.clone()));
        let mut writer = MemTableWriter::create(watched, InternalComparator::default()).unwrap();
        let filter = |bytes: Vec<u8>| bytes[256..256 + 65_536].iter().any(|byte| *byte != 0);
        assert!(!filter(bytes_of(&*memory)));
        for n in 0..1_000_u64 {
            writer
                .insert(&n.to_be_bytes(), n, ValueType::Value, b"")
                .unwrap();
        }
        assert!(filter(bytes_of(&*memory)));
    }
}

#[test]
fn a_region_is_reused_only_after_its_last_holder_is_gone() {
    let regions = HeapRegions::new();
    let region = regions.allocate(300_000).unwrap();
    let held = region.ptr().as_ptr() as usize;
    let mut writer = MemTableWriter::create(region, InternalComparator::default()).unwrap();
    writer.insert(b"k", 1, ValueType::Value, b"v").unwrap();
    let table = writer.reader();
    let mut iter = table.clone().iter();
    iter.seek_to_first();
    let inside = |region: &Arc<dyn Region>| {
        let start = region.ptr().as_ptr() as usize;
        (start..start + region.len()).contains(&held)
    };

    drop(writer);
    assert!(
        !inside(&regions.allocate(300_000).unwrap()),
        "a reader holds it"
    );
    drop(table);
    let others: Vec<_> = (0..3).map(|_| regions.allocate(300_000).unwrap()).collect();
    assert!(!others.iter().any(inside), "an iterator holds it");
    iter.load_value();
    assert_eq!(iter.value(), b"v");
    drop(iter);
    assert!(inside(&regions.allocate(300_000).unwrap()));
}

#[test]
fn idle_memory_is_bounded_and_not_wasted_on_small_demands() {
    let regions = HeapRegions::new();
    let large = regions.allocate(8 << 20).unwrap();
    let large_at = large.ptr();
    drop(large);
    let small = regions.allocate(100_000).unwrap();
    assert_ne!(
        small.ptr(),
        large_at,
        "a large idle region is not given for a small demand"
    );
    assert_eq!(small.len(), 100_000);
    let medium = regions.allocate(7 << 20).unwrap();
    assert_eq!((medium.ptr(), medium.len()), (large_at, 7 << 20));
    // Regions may outlive their source.
    drop(regions);
    drop(medium);
    let mut writer = MemTableWriter::create(small, InternalComparator::default()).unwrap();
    writer.insert(b"k", 1, ValueType::Value, b"v").unwrap();
}

#[test]
fn a_demand_no_memory_can_meet_is_an_error() {
    let regions = HeapRegions::new();
    for len in [
        usize::MAX,
        usize::MAX - 7,
        isize::MAX as usize,
        isize::MAX as usize - 100,
    ] {
        assert!(regions.allocate(len).is_err());
    }
    assert_eq!(regions.allocate(0).unwrap().len(), 0);
}

#[test]
fn region_without_room_for_a_header_is_refused() {
    let create = |len| {
        let region = HeapRegions::new().allocate(len).unwrap();
        MemTableWriter::create(region, InternalComparator::default()).err()
    };
    assert_eq!(create(100), Some(RegionError::TooShort));
    assert_eq!(create(256), None);
}

#[test]
fn a_header_that_does_not_fit_is_corruption() {
    let good = image(1 << 20, |writer| {
        writer.insert(b"k", 1, ValueType::Value, b"v").unwrap();
    });
    let open = |bytes: &[u8]| {
        MemTable::open(
            Arc::new(Bytes::copy_of(bytes)),
            InternalComparator::default(),
        )
    };
    assert!(open(&good).is_ok());
    let changed = |at: usize, bytes: &[u8]| {
        let mut image = good.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        open(&image).unwrap_err()
    };
    assert_eq!(changed(0, &[0]).offset, Some(0));
    assert_eq!(changed(8, &1_u64.to_ne_bytes()).offset, Some(8));
    assert_eq!(
        changed(16, &(good.len() as u64 / 8 + 1).to_ne_bytes()).offset,
        Some(16)
    );
    assert_eq!(changed(16, &31_u64.to_ne_bytes()).offset, Some(16));
    assert_eq!(changed(16, &512_u64.to_ne_bytes()).offset, Some(24));
    assert_eq!(changed(24, &1_u64.to_ne_bytes()).offset, Some(24));
    assert!(open(&good[..good.len() - 8]).is_err(), "a region cut short");
    assert!(open(&good[..128]).is_err());
    assert!(open(&[]).is_err());
}
