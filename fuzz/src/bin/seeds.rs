//! Writes the inputs that fuzzing starts from: pieces of the files that C++ LevelDB wrote (the fixtures of
//! `crates/format`), the same placed across a block's end, and memtables. Each at most 4 KiB.
//!
//! `cargo run --bin seeds` in `fuzz/`; it only adds files, under names that begin with `seed-`.

use std::fs;
use std::path::{Path, PathBuf};

use level_party_format::block::Block;
use level_party_format::filter::BloomPolicy;
use level_party_format::key::InternalComparator;
use level_party_format::log::{BLOCK_LEN, LogItem, LogReader, LogWriter};
use level_party_format::table::{
    BlockHandle, Compression, FOOTER_LEN, Footer, TableBuilder, TableOptions, decode_block,
};

const MOST_BYTES: usize = 4096;

fn main() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let fixtures = crates.join("format/tests/fixtures");
    let read = |name: &str| fs::read(fixtures.join(name)).expect("the fixture is there");
    let out = Seeds {
        folder: crates.join("format/tests/corpus/inputs"),
    };
    out.logs("wal", &read("wal.log"));
    out.logs("manifest", &read("manifest"));
    for payload in payloads(&read("wal.log")) {
        out.add("batch", &payload);
    }
    for payload in payloads(&read("manifest")) {
        out.add("manifest", &payload);
    }
    for file in [read("plain.ldb"), read("snappy.ldb")] {
        out.table(&file);
    }
    out.zstd();
    out.wrong();
    out.names();
    level_party_fuzz::memtable::seeds(|bytes| {
        let folder = crates.join("memtable/tests/suite/inputs");
        Seeds { folder }.add("region", bytes);
    });
}

struct Seeds {
    folder: PathBuf,
}

impl Seeds {
    fn add(&self, target: &str, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(MOST_BYTES)];
        let folder = self.folder.join(target);
        fs::create_dir_all(&folder).expect("the folder can be made");
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
        fs::write(folder.join(format!("seed-{hash:016x}")), bytes)
            .expect("the seed can be written");
    }

    /// A log, its short records alone, and those placed around a block's end.
    fn logs(&self, target: &str, file: &[u8]) {
        self.add(target, file);
        let short: Vec<Vec<u8>> = payloads(file)
            .into_iter()
            .filter(|payload| payload.len() < 1000)
            .collect();
        for before_end in [0, 1, 6, 7, 8, 14, 20, 100] {
            let place = (BLOCK_LEN - before_end) % BLOCK_LEN;
            let mut log = (place as u16).to_le_bytes().to_vec();
            let mut writer = LogWriter::new_at(place as u64);
            for payload in &short {
                writer.add_record(payload, &mut log);
            }
            self.add(target, &log);
        }
    }

    /// A table, its parts, and tables of its entries built with other options.
    fn table(&self, file: &[u8]) {
        let footer = file
            .last_chunk::<FOOTER_LEN>()
            .expect("a fixture is a table");
        let footer = Footer::decode(footer, file.len() as u64).expect("a fixture is a table");
        let raw = |handle: BlockHandle| {
            &file[handle.offset as usize..][..handle.len_with_trailer() as usize]
        };
        let mut entries = Vec::new();
        for handle in [footer.metaindex, footer.index] {
            let contents = self.block(raw(handle));
            for (_, value) in pairs(&contents) {
                let inner = BlockHandle::decode(&value).expect("a handle");
                let contents = self.block(raw(inner));
                if handle == footer.index {
                    entries.extend(pairs(&contents));
                } else {
                    self.add("filter", &contents);
                    self.add("filter", b"\x0aone\x01two\x0dthree\x00four\x00\x00\x01");
                }
            }
        }
        self.add("table", file);
        for (compression, filter, block_size) in [
            (Compression::None, None, 100),
            (Compression::None, Some(BloomPolicy::new(10)), 300),
            (Compression::Snappy, None, 1024),
            (Compression::Snappy, Some(BloomPolicy::new(3)), 200),
        ] {
            let mut builder = TableBuilder::new(TableOptions {
                block_size,
                compression,
                filter,
                ..TableOptions::default()
            });
            for (key, value) in entries.iter().take(30) {
                builder.add(key, &value[..value.len().min(40)]);
            }
            builder.finish();
            self.add("table", builder.output());
        }
    }

    /// A stored block and its contents.
    fn block(&self, raw: &[u8]) -> Vec<u8> {
        self.add("stored_block", &raw[..raw.len() - 4]);
        let contents = decode_block(raw, 0).expect("a fixture's block");
        self.add("block", &contents);
        contents
    }

    /// What LevelDB 1.23 does not write: eight times "hello " by `zstd`, less the last space; and the shortest others.
    fn zstd(&self) {
        let hello =
            b"\x28\xb5\x2f\xfd\x24\x2f\x65\0\0\x30hello \x01\0\x02\x95\x22\x5a\xb1\x76\x1b\x02";
        let run = b"\x28\xb5\x2f\xfd\x20\x10\x83\0\0z\x02";
        self.add("stored_block", hello);
        self.add("stored_block", run);
        self.add("stored_block", b"plain\x00");
        self.add("stored_block", b"\x05\x10hello\x01");
    }

    /// One input for each rule that is easily forgotten.
    fn wrong(&self) {
        // A level of 7; a last sequence, and a batch's, beyond the largest; lengths that overflow; a first entry that
        // shares; a restart inside of an entry; a filter's base that shifts too far; too many probes.
        self.add("manifest", &[6, 7, 1]);
        self.add(
            "manifest",
            &[4, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
        );
        self.add(
            "batch",
            &[255, 255, 255, 255, 255, 255, 255, 0, 2, 0, 0, 0, 0, 0, 0, 0],
        );
        let restart = [0, 0, 0, 0, 1, 0, 0, 0];
        self.add(
            "block",
            &[
                &[0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, b'a', b'b'][..],
                &restart,
            ]
            .concat(),
        );
        self.add("block", &[&[3, 1, 1, b'a', b'b'][..], &restart].concat());
        let restarts = [0, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0];
        self.add(
            "block",
            &[&[0, 1, 1, b'a', b'b', 0, 1, 1, b'c', b'd'][..], &restarts].concat(),
        );
        self.add("filter", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64]);
        self.add("filter", &[1, 2, 3, 4, 0, 0, 31]);
        // A filter that ends before it begins; counts of operations that are not right.
        let offsets = [6, 0, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0, 11];
        self.add("filter", &[&[255; 8][..], &offsets].concat());
        for count in 0..4 {
            let header = [9, 0, 0, 0, 0, 0, 0, 0, count, 0, 0, 0];
            self.add(
                "batch",
                &[&header[..], &[1, 1, b'k', 1, b'v', 0, 1, b'k']].concat(),
            );
        }
    }

    fn names(&self) {
        for name in [
            "CURRENT",
            "LOCK",
            "LOG",
            "LOG.old",
            "000005.log",
            "000123.ldb",
            "7.sst",
            "MANIFEST-000002",
            "000001.dbtmp",
            "MANIFEST-000005\n",
            "MANIFEST-7\n",
            "18446744073709551615.log",
            "level-party.state",
            "00000000000000000000000000001.log",
            "+1.log",
            "-1.ldb",
            ".log",
            "MANIFEST-",
            "18446744073709551616.log",
            "000005.log\n",
            "MANIFEST-000005",
            "../MANIFEST-5\n",
        ] {
            self.add("names", name.as_bytes());
        }
    }
}

fn payloads(file: &[u8]) -> Vec<Vec<u8>> {
    LogReader::new(file)
        .filter_map(|item| match item {
            LogItem::Record { payload, .. } => Some(payload.into_owned()),
            _ => None,
        })
        .collect()
}

fn pairs(contents: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let block = Block::new(contents.to_vec().into()).expect("a fixture's block");
    let mut iter = block.iter(InternalComparator::default());
    let mut pairs = Vec::new();
    iter.seek_to_first().expect("a fixture's block");
    while iter.valid() {
        pairs.push((iter.key().to_vec(), iter.value().to_vec()));
        iter.next().expect("a fixture's block");
    }
    pairs
}
