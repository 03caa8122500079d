use std::sync::Arc;

use level_party_format::key::{InternalComparator, ValueType};
use level_party_format::{MAX_SEQUENCE, key};

use super::*;
use crate::base::fs::MemFs;
use crate::read::files::{FileMeta, Tables};
use crate::read::version::Version;
use crate::testing::{
    Item, Rng, WatchedFs, filtered_options, memtable, numbered, sort, table_options, tables,
    write_table,
};

/// What all kinds have in common.
trait Walk {
    fn whole_entry(&mut self) -> Option<(&[u8], &[u8])>;
    fn first(&mut self) -> Result<()>;
    fn last(&mut self) -> Result<()>;
    fn to(&mut self, internal_key: &[u8]) -> Result<()>;
    fn forth(&mut self) -> Result<()>;
    fn back(&mut self) -> Result<()>;
}

macro_rules! walk {
    ($kind:ty) => {
        impl Walk for $kind {
            fn whole_entry(&mut self) -> Option<(&[u8], &[u8])> {
                self.load_value();
                self.valid().then(|| (self.key(), self.value()))
            }
            fn first(&mut self) -> Result<()> {
                self.seek_to_first()
            }
            fn last(&mut self) -> Result<()> {
                self.seek_to_last()
            }
            fn to(&mut self, internal_key: &[u8]) -> Result<()> {
                self.seek(internal_key)
            }
            fn forth(&mut self) -> Result<()> {
                self.next()
            }
            fn back(&mut self) -> Result<()> {
                self.prev()
            }
        }
    };
}
walk!(InternalIter);
walk!(MergingIter);

/// Moves at random, with runs in one direction, and compares with the sorted items after every move.
fn walk_at_random(iter: &mut dyn Walk, items: &[Item], rng: &mut Rng, moves: usize) {
    let comparator = InternalComparator::default();
    let mut at: Option<usize> = None;
    let mut forth = true;
    for _ in 0..moves {
        if rng.one_in(8) {
            forth = !forth;
        }
        match rng.below(24) {
            0 => {
                iter.first().unwrap();
                at = (!items.is_empty()).then_some(0);
            }
            1 => {
                iter.last().unwrap();
                at = items.len().checked_sub(1);
            }
            2 | 3 => {
                let target = some_key(items, rng);
                iter.to(&target).unwrap();
                let found = items.partition_point(|item| {
                    comparator.compare(&item.internal_key(), &target).is_lt()
                });
                at = (found < items.len()).then_some(found);
            }
            _ if forth => {
                iter.forth().unwrap();
                at = at.map(|at| at + 1).filter(|at| *at < items.len());
            }
            _ => {
                iter.back().unwrap();
                at = at.and_then(|at| at.checked_sub(1));
            }
        }
        let expected = at.map(|at| (items[at].internal_key(), items[at].value()));
        let expected = expected
            .as_ref()
            .map(|(key, value)| (key.as_slice(), *value));
        assert_eq!(iter.whole_entry(), expected);
    }
}

/// An item's key, or one near it.
fn some_key(items: &[Item], rng: &mut Rng) -> Vec<u8> {
    if items.is_empty() || rng.one_in(10) {
        return key::seek_key(&[rng.next() as u8], MAX_SEQUENCE);
    }
    let item = &items[rng.below(items.len())];
    let mut user = item.key.clone();
    if rng.one_in(3) {
        user.push(0);
    }
    let sequence = (item.sequence + rng.below(3) as u64).saturating_sub(1);
    key::seek_key(&user, sequence)
}

/// Items over few keys with many versions, of unlike lengths.
fn versions(count: usize, rng: &mut Rng) -> Vec<Item> {
    let mut items = Vec::new();
    for at in 0..count {
        let user = format!("k{}", rng.below(count / 4 + 1)).repeat(rng.below(3) + 1);
        let len = rng.below(60);
        items.push(Item {
            key: user.into_bytes(),
            sequence: at as u64 + 1,
            value: (!rng.one_in(4)).then(|| vec![at as u8; len]),
        });
    }
    sort(&mut items);
    items
}

/// Cuts items into as many files at random places, also between versions of one key.
fn files_of(
    fs: &MemFs,
    items: &[Item],
    count: usize,
    first: u64,
    rng: &mut Rng,
) -> Vec<Arc<FileMeta>> {
    let mut cuts: Vec<usize> = (1..count).map(|_| rng.below(items.len() + 1)).collect();
    cuts.extend([0, items.len()]);
    cuts.sort_unstable();
    cuts.dedup();
    let mut files = Vec::new();
    for (number, cut) in (first..).zip(cuts.windows(2)) {
        let options = table_options(1 + rng.below(200));
        files.push(write_table(fs, number, options, &items[cut[0]..cut[1]]));
    }
    files
}

#[test]
fn a_table_is_walked_as_its_items() {
    for seed in 0..20 {
        let rng = &mut Rng::new(seed);
        let fs = MemFs::new();
        let items = versions(1 + rng.below(200), rng);
        let meta = write_table(&fs, 1, table_options(1 + rng.below(300)), &items);
        let table = meta.table(&tables(&fs)).unwrap().to_arc();
        let mut iter = InternalIter::Table(TableIter::new(table));
        walk_at_random(&mut iter, &items, rng, 500);
    }
}

#[test]
fn an_empty_table_is_walked_as_nothing() {
    let fs = MemFs::new();
    let meta = write_table(&fs, 1, table_options(100), &[]);
    let table = meta.table(&tables(&fs)).unwrap().to_arc();
    let mut iter = InternalIter::Table(TableIter::new(table));
    walk_at_random(&mut iter, &[], &mut Rng::new(1), 100);
}

#[test]
fn files_of_a_level_are_walked_as_one() {
    for seed in 0..20 {
        let rng = &mut Rng::new(seed);
        let fs = MemFs::new();
        let items = versions(1 + rng.below(200), rng);
        let count = 1 + rng.below(8);
        let files = files_of(&fs, &items, count, 1, rng);
        let mut iter = InternalIter::Level(LevelIter::of_files(files, tables(&fs)));
        walk_at_random(&mut iter, &items, rng, 500);
    }
}

#[test]
fn a_level_without_files_is_walked_as_nothing() {
    let fs = MemFs::new();
    let mut iter = InternalIter::Level(LevelIter::of_files(Vec::new(), tables(&fs)));
    walk_at_random(&mut iter, &[], &mut Rng::new(1), 100);
}

#[test]
fn a_merge_is_walked_as_all_items_in_order() {
    for seed in 0..40 {
        let rng = &mut Rng::new(seed);
        let fs = MemFs::new();
        let items = versions(1 + rng.below(300), rng);
        let children = 1 + rng.below(if seed % 4 == 0 { 40 } else { 6 });
        let mut parts = vec![Vec::new(); children];
        // Runs of one child, as after a bulk load, and quick changes.
        let mut part = 0;
        let run = 1 + rng.below(20);
        for item in &items {
            if rng.one_in(run) {
                part = rng.below(children);
            }
            parts[part].push(item.clone());
        }
        let mut iters = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            if at % 2 == 0 {
                iters.push(InternalIter::Mem(memtable(part).1.iter()));
            } else {
                let files = match part.is_empty() {
                    true => Vec::new(),
                    false => files_of(&fs, part, 3, at as u64 * 10, rng),
                };
                iters.push(InternalIter::Level(LevelIter::of_files(files, tables(&fs))));
            }
        }
        let mut merge = MergingIter::new(iters, InternalComparator::default());
        walk_at_random(&mut merge, &items, rng, 1500);
    }
}

#[test]
fn a_merge_of_nothing_is_empty() {
    let mut merge = MergingIter::new(Vec::new(), InternalComparator::default());
    walk_at_random(&mut merge, &[], &mut Rng::new(1), 100);
}

#[test]
fn an_entry_that_is_in_two_places_comes_from_the_earlier_first() {
    let twin = |value| {
        let item = Item::put("a", 1, value);
        InternalIter::Mem(memtable(&[item]).1.iter())
    };
    let mut merge = MergingIter::new(vec![twin("x"), twin("y")], InternalComparator::default());
    let value = |merge: &mut MergingIter| merge.whole_entry().map(|(_, value)| value.to_vec());
    merge.seek_to_first().unwrap();
    assert_eq!(value(&mut merge).unwrap(), b"x");
    merge.next().unwrap();
    assert_eq!(value(&mut merge).unwrap(), b"y");
    merge.next().unwrap();
    assert!(!merge.valid());
    merge.seek_to_last().unwrap();
    assert_eq!(value(&mut merge).unwrap(), b"y");
    merge.prev().unwrap();
    assert_eq!(value(&mut merge).unwrap(), b"x");
}

/// A large table with its watched directory.
fn large() -> (WatchedFs, Arc<FileMeta>, Vec<Item>) {
    let fs = WatchedFs::default();
    let items = numbered(4000, 200);
    let meta = write_table(&fs, 1, table_options(1000), &items);
    (fs, meta, items)
}

#[test]
fn a_scan_reads_many_blocks_at_once_in_both_directions() {
    let (fs, meta, items) = large();
    let table = meta.table(&tables(&fs)).unwrap().to_arc();
    let blocks = table.index().len() as u64;
    let mut iter = TableIter::new(table);
    let before = fs.reads();
    iter.seek_to_first().unwrap();
    for item in &items {
        assert_eq!(iter.key(), item.internal_key());
        assert_eq!(iter.value(), item.value());
        iter.next().unwrap();
    }
    assert!(!iter.valid());
    let forward = fs.reads() - before;
    assert!(forward * 20 < blocks, "{forward} reads of {blocks} blocks");
    iter.seek_to_last().unwrap();
    for item in items.iter().rev() {
        assert_eq!(iter.key(), item.internal_key());
        iter.prev().unwrap();
    }
    assert!(!iter.valid());
    let backward = fs.reads() - before - forward;
    assert!(
        backward * 20 < blocks,
        "{backward} reads of {blocks} blocks"
    );
}

#[test]
fn a_merge_of_many_tables_reads_ahead_little_of_each() {
    const TABLES: usize = 2_000;
    let (fs, meta, items) = large();
    let table = meta.table(&tables(&fs)).unwrap().to_arc();
    let scan = |children: usize| {
        let mut iter = TableIter::new(Arc::clone(&table));
        iter.share_read_ahead(children);
        let before = fs.reads();
        iter.seek_to_first().unwrap();
        for item in &items {
            assert_eq!(iter.key(), item.internal_key());
            iter.next().unwrap();
        }
        let reads = (fs.reads() - before) as usize;
        (reads, iter.into_read_ahead().bytes())
    };
    let (alone, wide) = (scan(1), scan(TABLES));
    assert!(wide.0 > 4 * alone.0, "{wide:?} {alone:?}");
    assert!(wide.1 * TABLES <= 16 << 20, "{wide:?}");
    assert!(alone.1 >= 64 << 10, "{alone:?}");
}

#[test]
fn a_seek_into_the_block_it_is_in_reads_nothing() {
    let (fs, meta, items) = large();
    let table = meta.table(&tables(&fs)).unwrap().to_arc();
    let mut iter = TableIter::new(table);
    iter.seek(&items[0].internal_key()).unwrap();
    let before = fs.reads();
    for item in items[..3].iter().rev() {
        iter.seek(&item.internal_key()).unwrap();
        assert_eq!(iter.key(), item.internal_key());
    }
    assert_eq!(fs.reads(), before);
}

#[test]
fn a_place_the_disk_cannot_read_fails_only_the_block_it_is_in() {
    let (fs, meta, items) = large();
    let table = meta.table(&tables(&fs)).unwrap().to_arc();
    let bad = table.index().len() / 2;
    let handle = table.index().handle(bad).unwrap();
    fs.lose_byte("000001.ldb", handle.offset + 1);
    let mut iter = TableIter::new(Arc::clone(&table));
    let mut seen = 0;
    iter.seek_to_first().unwrap();
    let error = loop {
        assert_eq!(iter.key(), items[seen].internal_key());
        seen += 1;
        if let Err(error) = iter.next() {
            break error;
        }
    };
    assert!(!iter.valid());
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(
        (error.file(), error.offset()),
        (Some("000001.ldb"), Some(handle.offset))
    );
    let at = |item: &Item| table.index().find(table.comparator(), &item.internal_key());
    assert_eq!(at(&items[seen]), bad);
    assert!(
        iter.next().is_ok() && !iter.valid(),
        "moving on from nowhere does nothing"
    );
    for item in items.iter().rev().filter(|item| at(item) != bad) {
        iter.seek(&item.internal_key()).unwrap();
        assert_eq!(iter.key(), item.internal_key());
    }
    let after = items.iter().position(|item| at(item) == bad + 1).unwrap();
    iter.seek(&items[after].internal_key()).unwrap();
    for item in &items[after..] {
        assert_eq!(iter.key(), item.internal_key());
        iter.next().unwrap();
    }
    assert!(!iter.valid());
}

/// As a reader's iterator over the one file of [`large`], with a cache that all of it fits into.
fn through_a_cache() -> (WatchedFs, Arc<Version>, Vec<Item>) {
    let (fs, meta, items) = large();
    let tables = Tables::new(Arc::new(fs.clone()), InternalComparator::default(), false);
    let mut levels: [Vec<Arc<FileMeta>>; 7] = Default::default();
    levels[1].push(meta);
    let tables = Arc::new(tables.with_block_cache(8 << 20));
    (fs, Arc::new(Version::new(levels, tables)), items)
}

#[test]
fn short_scans_keep_their_blocks_in_memory_and_use_them() {
    let (fs, version, items) = through_a_cache();
    let mut reads = Vec::new();
    for _ in 0..2 {
        let before = fs.reads();
        for item in items.iter().step_by(100) {
            let mut iter = LevelIter::of_level(Arc::clone(&version) as _, 1, 0..1);
            iter.seek(&item.internal_key()).unwrap();
            iter.next().unwrap();
            assert!(iter.valid() || item == &items[items.len() - 1]);
        }
        reads.push(fs.reads() - before);
    }
    assert!(reads[0] > 0);
    assert_eq!(reads[1], 0);
}

#[test]
fn long_scans_and_compactions_leave_the_memory_to_others() {
    let (_, version, items) = through_a_cache();
    let level = version.level(1).to_vec();
    let one = LevelIter::of_files(level, Arc::clone(version.tables()));
    for (mut iter, allowed) in [
        (one, 0),
        (
            LevelIter::of_level(Arc::clone(&version) as _, 1, 0..1),
            4096,
        ),
    ] {
        iter.seek_to_first().unwrap();
        for item in &items {
            assert_eq!(iter.key(), item.internal_key());
            iter.next().unwrap();
        }
        iter.seek_to_last().unwrap();
        for item in items.iter().rev() {
            assert_eq!(iter.key(), item.internal_key());
            iter.prev().unwrap();
        }
        assert!(version.tables().cached_bytes() <= allowed * 2);
    }
}

#[test]
fn a_file_of_a_level_is_opened_when_it_is_reached() {
    let fs = WatchedFs::default();
    let items = numbered(40, 10);
    let mut files = Vec::new();
    for (number, part) in (1..).zip(items.chunks(10)) {
        files.push(write_table(&fs, number, filtered_options(100), part));
    }
    let mut iter = LevelIter::of_files(files, tables(&fs));
    assert_eq!(fs.opens(), 0);
    iter.seek(&items[15].internal_key()).unwrap();
    assert_eq!(fs.opens(), 1);
    for _ in 15..20 {
        iter.next().unwrap();
    }
    assert_eq!(iter.key(), items[20].internal_key());
    assert_eq!(fs.opens(), 2);
    let beyond = key::seek_key(b"1", 1);
    iter.seek(&beyond).unwrap();
    assert!(!iter.valid());
    assert_eq!(fs.opens(), 2);
}

#[test]
fn a_missing_file_fails_a_level_only_where_it_is_reached() {
    let fs = MemFs::new();
    let items = numbered(30, 10);
    let mut files = Vec::new();
    for (number, part) in (1..).zip(items.chunks(10)) {
        files.push(write_table(&fs, number, table_options(100), part));
    }
    crate::base::fs::Fs::remove(&fs, "000002.ldb").unwrap();
    let mut iter = LevelIter::of_files(files, tables(&fs));
    iter.seek_to_first().unwrap();
    for item in &items[..9] {
        assert_eq!(iter.key(), item.internal_key());
        iter.next().unwrap();
    }
    let error = iter.next().unwrap_err();
    assert_eq!(error.file(), Some("000002.ldb"));
    assert!(!iter.valid());
    iter.seek(&items[20].internal_key()).unwrap();
    assert_eq!(iter.key(), items[20].internal_key());
    assert!(iter.prev().is_err());
    assert!(!iter.valid());
}

#[test]
fn an_error_of_one_child_ends_the_merge_until_it_is_positioned_anew() {
    let fs = MemFs::new();
    let items = numbered(20, 10);
    let first = write_table(&fs, 1, table_options(100), &items[..10]);
    let second = write_table(&fs, 2, table_options(100), &items[10..]);
    crate::base::fs::Fs::remove(&fs, "000002.ldb").unwrap();
    let level = LevelIter::of_files(vec![first, second], tables(&fs));
    let extra = Item::put("000005x", 50, "");
    let iters = vec![
        InternalIter::Level(level),
        InternalIter::Mem(memtable(&[extra]).1.iter()),
    ];
    let mut merge = MergingIter::new(iters, InternalComparator::default());
    merge.seek_to_first().unwrap();
    for _ in 0..10 {
        merge.next().unwrap();
    }
    assert_eq!(key::user_key(merge.key()), b"000009");
    assert!(merge.next().is_err());
    assert!(!merge.valid());
    assert!(merge.seek_to_last().is_err());
    merge.seek(&items[3].internal_key()).unwrap();
    assert_eq!(merge.key(), items[3].internal_key());
    merge.prev().unwrap();
    assert_eq!(merge.key(), items[2].internal_key());
}

#[test]
fn separators_that_are_in_no_block_lead_to_the_next_block() {
    let fs = MemFs::new();
    let items = [
        Item::put("aaaaaaaaaa", 1, "1"),
        Item::put("kkkkkkkkkk", 2, "2"),
        Item::put("zzzzzzzzzz", 3, "3"),
    ];
    let meta = write_table(&fs, 1, table_options(1), &items);
    let table = meta.table(&tables(&fs)).unwrap().to_arc();
    let mut iter = TableIter::new(table);
    // Above the first block's key, not above the short separator after it.
    iter.seek(&key::seek_key(b"aaab", 9)).unwrap();
    assert_eq!(iter.key(), items[1].internal_key());
    let mut end = Vec::new();
    key::append_internal_key(&mut end, b"zzzzzzzzzz", 3, ValueType::Deletion);
    iter.seek(&end).unwrap();
    assert!(!iter.valid());
    iter.seek(&key::seek_key(b"zzzzzzzzzzz", 3)).unwrap();
    assert!(!iter.valid());
}
