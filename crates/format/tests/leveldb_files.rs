//! Files that C++ LevelDB wrote are read as it meant them, and written again byte for byte.

use level_party_format::batch::{BatchRef, Op};
use level_party_format::block::Block;
use level_party_format::edit::VersionEdit;
use level_party_format::filter::{BloomPolicy, FilterBlock};
use level_party_format::key::{self, InternalComparator, ValueType};
use level_party_format::log::{LogItem, LogReader, LogWriter};
use level_party_format::table::{
    self, BlockHandle, Compression, FOOTER_LEN, Footer, TableBuilder, TableOptions,
};

const PLAIN: &[u8] = include_bytes!("fixtures/plain.ldb");
const SNAPPY: &[u8] = include_bytes!("fixtures/snappy.ldb");
const WAL: &[u8] = include_bytes!("fixtures/wal.log");
const MANIFEST: &[u8] = include_bytes!("fixtures/manifest");

fn raw(file: &[u8], handle: BlockHandle) -> &[u8] {
    handle.check(file.len() as u64).unwrap();
    &file[handle.offset as usize..][..handle.len_with_trailer() as usize]
}

fn block(file: &[u8], handle: BlockHandle) -> Block {
    let contents = table::decode_block(raw(file, handle), handle.offset).unwrap();
    Block::new(contents.into()).unwrap()
}

fn pairs(block: &Block) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut iter = block.iter(InternalComparator::default());
    let mut out = Vec::new();
    iter.seek_to_first().unwrap();
    while iter.valid() {
        out.push((iter.key().to_vec(), iter.value().to_vec()));
        iter.next().unwrap();
    }
    out
}

fn footer(file: &[u8]) -> Footer {
    let last = file.last_chunk::<FOOTER_LEN>().unwrap();
    Footer::decode(last, file.len() as u64).unwrap()
}

fn data_blocks(file: &[u8]) -> Vec<BlockHandle> {
    pairs(&block(file, footer(file).index))
        .iter()
        .map(|(_, value)| BlockHandle::decode(value).unwrap())
        .collect()
}

fn entries(file: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    data_blocks(file)
        .into_iter()
        .flat_map(|handle| pairs(&block(file, handle)))
        .collect()
}

/// The entries that the steps in the fixtures' README make, in a table's order. Recovery drops no version: all 64.
fn expected_entries() -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    let mut add = |user: &[u8], sequence, kind, value: &[u8]| {
        let mut key = Vec::new();
        key::append_internal_key(&mut key, user, sequence, kind);
        entries.push((key, value.to_vec()));
    };
    add(b"", 63, ValueType::Value, b"");
    for i in 0..60u64 {
        let user = format!("key{i:03}");
        match i {
            10 => add(user.as_bytes(), 61, ValueType::Value, b"second"),
            20 => add(user.as_bytes(), 62, ValueType::Deletion, b""),
            _ => {}
        }
        let dots = if i % 7 == 0 {
            ".".repeat(40)
        } else {
            String::new()
        };
        let value = format!("value of {user}{dots}");
        add(user.as_bytes(), i + 1, ValueType::Value, value.as_bytes());
    }
    add(b"\xff\xff", 64, ValueType::Value, &[b'z'; 3000]);
    entries
}

#[test]
fn tables_by_leveldb_hold_what_was_put() {
    assert_eq!(entries(PLAIN), expected_entries());
    assert_eq!(entries(SNAPPY), expected_entries());
    let handle = data_blocks(SNAPPY)[0];
    let (compression, _) = table::check_block(raw(SNAPPY, handle), handle.offset).unwrap();
    assert_eq!(compression, Compression::Snappy);
}

#[test]
fn filters_by_leveldb_match_their_blocks_keys() {
    for file in [PLAIN, SNAPPY] {
        let handle = table::find_filter(&block(file, footer(file).metaindex))
            .unwrap()
            .unwrap();
        let contents = table::decode_block(raw(file, handle), handle.offset).unwrap();
        let filters = FilterBlock::new(contents.into()).unwrap();
        let mut others = 0;
        for handle in data_blocks(file) {
            for (key, _) in pairs(&block(file, handle)) {
                assert!(filters.may_match(handle.offset, key::user_key(&key)));
            }
            others += usize::from(filters.may_match(handle.offset, b"no such key"));
        }
        assert!(others <= 1);
    }
}

#[test]
fn the_table_builder_makes_leveldbs_bytes() {
    let mut builder = TableBuilder::new(TableOptions {
        block_size: 1024,
        block_restart_interval: 4,
        compression: Compression::None,
        filter: Some(BloomPolicy::new(10)),
        ..TableOptions::default()
    });
    for (key, value) in expected_entries() {
        builder.add(&key, &value);
    }
    builder.finish();
    let built = builder.output();
    let differs = built.iter().zip(PLAIN).position(|(a, b)| a != b);
    assert_eq!(
        (built.len(), differs),
        (PLAIN.len(), None),
        "length, and first byte that differs"
    );
}

fn records(file: &[u8]) -> Vec<Vec<u8>> {
    LogReader::new(file)
        .map(|item| match item {
            LogItem::Record { payload, .. } => payload.into_owned(),
            other => panic!("LevelDB wrote no {other:?}"),
        })
        .collect()
}

#[test]
fn a_wal_by_leveldb_holds_the_batches_written() {
    let records = records(WAL);
    let batches: Vec<BatchRef> = records
        .iter()
        .map(|record| BatchRef::parse(record).unwrap())
        .collect();
    let shape: Vec<(u64, u32)> = batches
        .iter()
        .map(|batch| (batch.sequence(), batch.count()))
        .collect();
    assert_eq!(
        shape,
        [(65, 1), (66, 1), (67, 3), (70, 0), (70, 1), (71, 1)]
    );
    let big = vec![b'x'; 32_800];
    let ops: Vec<Op> = batches.iter().flat_map(|batch| batch.iter()).collect();
    let expected = [
        Op::Put {
            key: b"one",
            value: b"1",
        },
        Op::Delete { key: b"one" },
        Op::Put {
            key: b"foo",
            value: b"bar",
        },
        Op::Delete { key: b"box" },
        Op::Put {
            key: b"baz",
            value: b"boo",
        },
        Op::Put {
            key: b"big",
            value: &big,
        },
        Op::Put {
            key: b"last",
            value: b"!",
        },
    ];
    assert_eq!(ops, expected);
}

#[test]
fn the_log_writer_makes_leveldbs_bytes() {
    for file in [WAL, MANIFEST] {
        let mut writer = LogWriter::new();
        let mut out = Vec::new();
        for record in records(file) {
            writer.add_record(&record, &mut out);
        }
        assert_eq!(out, file);
    }
}

#[test]
fn leveldb_manifest_encodes_again_to_its_bytes() {
    let records = records(MANIFEST);
    let edits: Vec<VersionEdit> = records
        .iter()
        .map(|record| VersionEdit::decode(record).unwrap())
        .collect();
    for (edit, record) in edits.iter().zip(&records) {
        assert_eq!(edit.encode(), *record);
    }
    assert_eq!(edits.len(), 7);
    assert_eq!(
        edits[0].comparator.as_deref(),
        Some("leveldb.BytewiseComparator")
    );
    let numbers = |edit: &VersionEdit| {
        (
            edit.log_number,
            edit.prev_log_number,
            edit.next_file_number,
            edit.last_sequence,
        )
    };
    assert_eq!(
        numbers(&edits[0]),
        (None, None, None, None),
        "numbers come in the second record"
    );
    assert_eq!(numbers(&edits[1]), (Some(3), Some(0), Some(4), Some(0)));
    assert_eq!(numbers(&edits[6]), (Some(9), Some(0), Some(12), Some(15)));
    let last = &edits[6];
    let mut pointer = Vec::new();
    key::append_internal_key(&mut pointer, b"key9", 14, ValueType::Value);
    assert_eq!(last.compact_pointers, [(1, pointer.clone())]);
    assert_eq!(last.deleted_files, [(1, 10), (2, 8)]);
    let (level, file) = &last.new_files[0];
    assert_eq!((*level, file.number, file.size), (2, 11, 200));
    assert_eq!(file.largest, pointer);
}
