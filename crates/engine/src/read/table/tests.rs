use std::cmp::Ordering;

use level_party_format::table::TableOptions;
use level_party_format::{Comparator, CustomComparator, crc, filename};

use super::*;
use crate::ErrorKind;
use crate::base::fs::{Fs, MemFs};
use crate::testing::{
    Item, WatchedFs, filtered_options, numbered, table_options, tables, write_table,
};

const NUMBER: u64 = 5;
const NAME: &str = "000005.ldb";

/// A table file of these items, opened.
fn table_of(fs: &MemFs, options: TableOptions, items: &[Item]) -> Arc<Table> {
    let meta = write_table(fs, NUMBER, options, items);
    tables(fs).open_table(&meta).unwrap()
}

fn get(table: &Table, key: &[u8], sequence: u64) -> Result<Lookup> {
    table.get(&SeekKey::new(key, sequence), <[u8]>::to_vec)
}

fn found(value: &str, sequence: u64) -> Lookup {
    let value = value.into();
    Lookup::Found(Entry { value, sequence })
}

#[test]
fn a_get_finds_the_newest_write_at_its_sequence() {
    let items = [
        Item::put("", 3, "empty key"),
        Item::put("a", 9, "nine"),
        Item::delete("a", 7),
        Item::put("a", 5, "five"),
        Item::put("b", 1, ""),
    ];
    for block_size in [1, 4096] {
        let fs = MemFs::new();
        let table = table_of(&fs, table_options(block_size), &items);
        assert_eq!(get(&table, b"a", u64::MAX).unwrap(), found("nine", 9));
        assert_eq!(get(&table, b"a", 9).unwrap(), found("nine", 9));
        assert_eq!(
            get(&table, b"a", 8).unwrap(),
            Lookup::Deleted { sequence: 7 }
        );
        assert_eq!(get(&table, b"a", 6).unwrap(), found("five", 5));
        assert_eq!(get(&table, b"a", 4).unwrap(), Lookup::Absent);
        assert_eq!(get(&table, b"", 3).unwrap(), found("empty key", 3));
        assert_eq!(get(&table, b"", 2).unwrap(), Lookup::Absent);
        assert_eq!(get(&table, b"b", 1).unwrap(), found("", 1));
        assert_eq!(get(&table, b"aa", 9).unwrap(), Lookup::Absent);
        assert_eq!(get(&table, b"c", 9).unwrap(), Lookup::Absent);
    }
}

#[test]
fn every_key_of_many_blocks_is_found_with_and_without_a_filter() {
    let items = numbered(500, 20);
    for options in [
        table_options(100),
        filtered_options(100),
        filtered_options(4096),
    ] {
        let fs = MemFs::new();
        let filtered = options.filter.is_some();
        let table = table_of(&fs, options, &items);
        assert_eq!(table.has_filter(), filtered);
        for item in &items {
            let lookup = get(&table, &item.key, u64::MAX).unwrap();
            let entry = lookup.into_entry().unwrap();
            assert_eq!(
                (entry.value.as_slice(), entry.sequence),
                (item.value(), item.sequence)
            );
            let mut absent = item.key.clone();
            absent.push(b'x');
            assert_eq!(get(&table, &absent, u64::MAX).unwrap(), Lookup::Absent);
        }
    }
}

#[test]
fn a_filter_saves_reading_blocks() {
    let fs = WatchedFs::default();
    let meta = write_table(&fs, NUMBER, filtered_options(100), &numbered(500, 20));
    let table = tables(&fs).open_table(&meta).unwrap();
    let before = fs.reads();
    for at in 0..500 {
        let absent = format!("{at:06}x");
        assert_eq!(
            get(&table, absent.as_bytes(), u64::MAX).unwrap(),
            Lookup::Absent
        );
    }
    assert!(
        fs.reads() - before < 50,
        "about one in a hundred is expected"
    );
}

#[test]
fn a_table_with_no_entries_has_none() {
    let fs = MemFs::new();
    let table = table_of(&fs, table_options(100), &[]);
    assert_eq!(get(&table, b"a", 1).unwrap(), Lookup::Absent);
}

#[test]
fn a_damaged_block_fails_the_reads_that_need_it_and_no_others() {
    let fs = MemFs::new();
    let items = numbered(100, 50);
    let meta = write_table(&fs, NUMBER, table_options(200), &items);
    let table = tables(&fs).open_table(&meta).unwrap();
    let bad = table.index().len() / 2;
    let handle = table.index().handle(bad).unwrap();
    fs.change(NAME, |bytes| bytes[handle.offset as usize + 3] ^= 0x10)
        .unwrap();

    let mut failed = 0;
    for item in &items {
        let at = table.index().find(table.comparator(), &item.internal_key());
        match get(&table, &item.key, item.sequence) {
            Ok(lookup) => {
                assert_ne!(at, bad);
                assert_eq!(lookup.sequence(), Some(item.sequence));
            }
            Err(error) => {
                assert_eq!(at, bad);
                assert_eq!(error.kind(), ErrorKind::Corruption);
                assert_eq!(
                    (error.file(), error.offset()),
                    (Some(NAME), Some(handle.offset))
                );
                let message = error.to_string();
                assert!(message.contains(NAME), "{message}");
                assert!(
                    message.contains(&format!("offset {}", handle.offset)),
                    "{message}"
                );
                assert!(std::error::Error::source(&error).is_some());
                failed += 1;
            }
        }
    }
    assert!((1..50).contains(&failed));
}

/// Rewrites the trailer of the block at `handle` to say it is compressed by `kind`, with a right checksum.
fn set_kind(bytes: &mut [u8], handle: BlockHandle, kind: u8) {
    let trailer = (handle.offset + handle.size) as usize;
    bytes[trailer] = kind;
    let sum = crc::mask(crc::crc32c(&bytes[handle.offset as usize..=trailer]));
    bytes[trailer + 1..trailer + 5].copy_from_slice(&sum.to_le_bytes());
}

#[test]
fn an_unknown_compression_is_an_error_of_its_block() {
    let fs = MemFs::new();
    let meta = write_table(&fs, NUMBER, table_options(200), &numbered(100, 50));
    let table = tables(&fs).open_table(&meta).unwrap();
    let handle = table.index().handle(0).unwrap();
    fs.change(NAME, |bytes| set_kind(bytes, handle, 77))
        .unwrap();
    let error = get(&table, b"000000", u64::MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.unknown_compression(), Some(77));
    assert_eq!(
        (error.file(), error.offset()),
        (Some(NAME), Some(handle.offset))
    );
    assert!(
        get(&table, b"000099", u64::MAX)
            .unwrap()
            .into_entry()
            .is_some()
    );
}

#[test]
fn a_block_that_claims_to_be_compressed_and_is_not_is_an_error() {
    let fs = MemFs::new();
    let meta = write_table(&fs, NUMBER, table_options(200), &numbered(100, 50));
    let table = tables(&fs).open_table(&meta).unwrap();
    let handle = table.index().handle(0).unwrap();
    for (kind, expected) in [
        (1, ErrorKind::Corruption),
        // Neither zstd nor zlib: perhaps another program's compression of that number.
        (2, ErrorKind::Unsupported),
        (4, ErrorKind::Corruption),
    ] {
        fs.change(NAME, |bytes| set_kind(bytes, handle, kind))
            .unwrap();
        let error = get(&table, b"000000", u64::MAX).unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
    }
}

#[test]
fn any_single_damaged_byte_gives_the_right_answer_or_an_error() {
    let fs = MemFs::new();
    let items = numbered(40, 30);
    let meta = write_table(&fs, NUMBER, filtered_options(200), &items);
    for offset in 0..meta.size as usize {
        let meta = FileMetaAgain::of(&meta);
        fs.change(NAME, |bytes| bytes[offset] ^= 0x41).unwrap();
        if let Ok(table) = tables(&fs).open_table(&meta.0) {
            for item in &items {
                if let Ok(lookup) = get(&table, &item.key, item.sequence) {
                    let entry = lookup.into_entry();
                    assert_eq!(entry.unwrap().value, item.value(), "byte {offset}");
                }
            }
        }
        fs.change(NAME, |bytes| bytes[offset] ^= 0x41).unwrap();
    }
}

/// The same file, not opened yet.
struct FileMetaAgain(crate::read::files::FileMeta);

impl FileMetaAgain {
    fn of(meta: &crate::read::files::FileMeta) -> FileMetaAgain {
        FileMetaAgain(meta.to_new_file().into())
    }
}

#[test]
fn a_file_cut_at_any_length_never_panics_and_never_opens() {
    let fs = MemFs::new();
    let meta = write_table(&fs, NUMBER, table_options(200), &numbered(40, 30));
    let bytes = fs.read(NAME).unwrap();
    for len in 0..bytes.len() {
        fs.write(NAME, &bytes[..len]);
        let whole = FileMetaAgain::of(&meta).0;
        let error = tables(&fs).open_table(&whole).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption);
        // A manifest that agrees with the short file changes nothing.
        let cut = crate::read::files::FileMeta::new(NUMBER, len as u64, Vec::new(), Vec::new());
        assert!(tables(&fs).open_table(&cut).is_err());
    }
}

#[test]
fn a_table_under_its_old_name_is_found() {
    let fs = MemFs::new();
    let meta = write_table(&fs, NUMBER, table_options(200), &numbered(10, 10));
    fs.rename(NAME, &filename::table_old(NUMBER)).unwrap();
    let tables = tables(&fs);
    let table = meta.table(&tables).unwrap();
    assert_eq!(table.name(), "000005.sst");
    assert!(get(&table, b"000003", 99).unwrap().into_entry().is_some());
}

#[test]
fn a_missing_table_is_corruption_and_is_found_when_it_is_back() {
    let fs = MemFs::new();
    let meta = write_table(&fs, NUMBER, table_options(200), &numbered(10, 10));
    fs.rename(NAME, "away").unwrap();
    let tables = tables(&fs);
    let error = meta.table(&tables).unwrap_err();
    assert_eq!(
        (error.kind(), error.file()),
        (ErrorKind::Corruption, Some(NAME))
    );
    assert!(std::error::Error::source(&error).is_some());
    fs.rename("away", NAME).unwrap();
    assert!(meta.table(&tables).is_ok());
}

#[test]
fn a_table_is_opened_once() {
    let fs = WatchedFs::default();
    let meta = write_table(&fs, NUMBER, table_options(200), &numbered(10, 10));
    let tables = tables(&fs);
    for _ in 0..3 {
        meta.table(&tables).unwrap();
    }
    assert_eq!(fs.opens(), 1);
}

/// The same table, without and with a cache.
fn cached_table(fs: &WatchedFs, items: &[Item], bytes: usize) -> Arc<Table> {
    let meta = write_table(fs, NUMBER, table_options(200), items);
    let tables = crate::Tables::new(Arc::new(fs.clone()), Default::default(), false);
    tables.with_block_cache(bytes).open_table(&meta).unwrap()
}

#[test]
fn a_block_in_memory_is_not_read_again() {
    let fs = WatchedFs::default();
    let items = numbered(100, 50);
    let table = cached_table(&fs, &items, 1 << 20);
    for round in 0..3 {
        let before = fs.reads();
        for item in &items {
            let value = get(&table, &item.key, u64::MAX).unwrap().into_entry();
            assert_eq!(value.unwrap().value, item.value());
        }
        assert_eq!(fs.reads() == before, round > 0, "round {round}");
    }
}

#[test]
fn an_error_is_not_kept_in_memory() {
    let fs = WatchedFs::default();
    let items = numbered(100, 50);
    let table = cached_table(&fs, &items, 1 << 20);
    let key = &items[0].key;
    fs.lose_byte(NAME, 3);
    assert_eq!(
        get(&table, key, u64::MAX).unwrap_err().kind(),
        ErrorKind::Io
    );
    fs.lose_byte("another", 0);
    fs.files.change(NAME, |bytes| bytes[3] ^= 1).unwrap();
    for _ in 0..2 {
        let error = get(&table, key, u64::MAX).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption);
    }
    fs.files.change(NAME, |bytes| bytes[3] ^= 1).unwrap();
    assert!(get(&table, key, u64::MAX).unwrap().into_entry().is_some());
}

#[test]
fn a_comparator_that_reads_tables_itself_does_no_harm() {
    struct Reads(Arc<Table>);
    impl CustomComparator for Reads {
        fn name(&self) -> &'static str {
            "test.Reads"
        }

        fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
            get(&self.0, b"000007", u64::MAX).expect("it reads");
            a.cmp(b)
        }
    }
    let items = numbered(20, 50);
    let inner = table_of(&MemFs::new(), table_options(200), &items);
    let fs = MemFs::new();
    let meta = write_table(&fs, NUMBER, table_options(200), &items);
    let comparator = InternalComparator {
        user: Comparator::Custom(Arc::new(Reads(inner))),
    };
    let file = fs.open_read(NAME).unwrap();
    let table = Table::open(file, NAME.into(), meta.size, comparator, false).unwrap();
    for item in &items {
        let found = get(&table, &item.key, u64::MAX).unwrap().into_entry();
        assert_eq!(found.unwrap().value, item.value());
    }
}

/// Orders keys without regard to case: keys that are equal may differ in their bytes.
struct NoCase;

impl CustomComparator for NoCase {
    fn name(&self) -> &'static str {
        "test.NoCase"
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase())
    }

    fn find_shortest_separator(&self, _start: &mut Vec<u8>, _limit: &[u8]) {}

    fn find_short_successor(&self, _key: &mut Vec<u8>) {}
}

#[test]
fn a_filter_is_not_believed_under_a_custom_order_unless_asked_for() {
    let fs = MemFs::new();
    let comparator = InternalComparator {
        user: Comparator::Custom(Arc::new(NoCase)),
    };
    let options = TableOptions {
        comparator: comparator.clone(),
        ..filtered_options(200)
    };
    let items = [Item::put("A", 1, "upper"), Item::put("b", 2, "lower")];
    let meta = write_table(&fs, NUMBER, options, &items);
    let open = |bloom| {
        let tables = crate::Tables::new(Arc::new(fs.clone()), comparator.clone(), bloom);
        tables.open_table(&meta).unwrap()
    };
    assert!(open(true).has_filter());
    let table = open(false);
    assert!(!table.has_filter());
    assert_eq!(get(&table, b"a", 9).unwrap(), found("upper", 1));
    assert_eq!(get(&table, b"B", 9).unwrap(), found("lower", 2));
}
